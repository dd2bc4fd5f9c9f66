//! Certificates -> rustls::ServerConfig, and a resolver that can be swapped.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::types::{HostPattern, Report};

/// `[tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key of the leaf.
    pub private_key: PathBuf,
    /// `1.2` (default) or `1.3`.
    #[serde(default)]
    pub min_version: Option<String>,
    /// `none` (default), `optional` or `required`.
    #[serde(default)]
    pub client_auth: Option<String>,
    /// PEM bundle that client certificates are verified against.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// More certificates, chosen by server name.
    #[serde(default)]
    pub sni: Vec<SniSettings>,
}

/// `[[tls.sni]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SniSettings {
    /// Exact or `*.domain`.
    pub name: HostPattern,
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key of the leaf.
    pub private_key: PathBuf,
}

/// The certificates in service.
#[derive(Debug)]
pub struct Certificates {}

impl Certificates {
    /// Reads all files and checks that each key fits its certificate. Reports and returns `None` if any does not.
    pub fn load(settings: &Settings, report: &mut Report) -> Option<Arc<Self>> {
        let _ = (settings, report);
        todo!()
    }
}
