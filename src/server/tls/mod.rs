//! Certificates -> `rustls::ServerConfig`, swapped as a whole when the files change.
//!
//! ```text
//! files --read once--> Material --build--> InService --swap--> next handshake
//!                         |          any problem: the old one stays in service
//!                         +-- SHA-256 of all contents: what "changed" means
//! ```

mod material;
mod resolve;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use serde::Deserialize;

use crate::types::{HostPattern, Problem, Report, Severity};

use material::{Fingerprint, InService, Material};

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
pub struct Certificates {
    current: ArcSwap<InService>,
    source: Mutex<Source>,
}

/// Where certificates come from. The lock is held while files are read, so that two reloads cannot overtake each other.
#[derive(Debug)]
struct Source {
    settings: Settings,
    /// Contents that were tried and refused.
    refused: Option<Fingerprint>,
}

/// Certificates that were read and found good, but are not in service yet.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    loaded: InService,
}

/// New certificate files that cannot be used. The old ones are still in service.
#[derive(Debug, thiserror::Error)]
pub struct ReloadError(pub Vec<Problem>);

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { "; " };
            write!(f, "{before}{}: {}", problem.key, problem.problem)?;
        }
        Ok(())
    }
}

impl Certificates {
    /// Reads all files and checks that each key fits its certificate. Reports (keys start with `tls.`) and returns `None` if
    /// any does not. An expired certificate is only warned of.
    pub fn load(settings: &Settings, report: &mut Report) -> Option<Arc<Self>> {
        Self::prepare(settings, report).map(|prepared| Arc::new(Self::new(prepared)))
    }

    /// Puts what was prepared into service.
    #[must_use]
    pub fn new(prepared: Prepared) -> Self {
        let Prepared { settings, loaded } = prepared;
        Self { current: ArcSwap::from_pointee(loaded), source: Mutex::new(Source { settings, refused: None }) }
    }

    /// Reads and checks as [`Certificates::load`] does; puts nothing into service.
    pub fn prepare(settings: &Settings, report: &mut Report) -> Option<Prepared> {
        let loaded = report.within("tls", |report| Material::read(settings).build(settings, report))?;
        Some(Prepared { settings: settings.clone(), loaded })
    }

    /// Puts what was prepared into service, for handshakes from now on, and watches its files instead of the old ones.
    pub fn install(&self, prepared: Prepared) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        *source = Source { settings: prepared.settings, refused: None };
        self.current.store(Arc::new(prepared.loaded));
    }

    /// Reads the files again. `Ok(true)` if they had changed and are in service now; `Ok(false)` if nothing changed. On an
    /// error the old ones stay in service; the caller logs it and counts it. Blocks on the file system.
    pub fn reload(&self) -> Result<bool, ReloadError> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let material = Material::read(&source.settings);
        let fingerprint = material.fingerprint();
        if fingerprint == self.current.load().fingerprint {
            source.refused = None;
            return Ok(false);
        }
        let mut report = Report::default();
        match report.within("tls", |report| material.build(&source.settings, report)) {
            Some(loaded) => {
                self.current.store(Arc::new(loaded));
                source.refused = None;
                Ok(true)
            }
            None => {
                source.refused = Some(fingerprint);
                Err(ReloadError(report.problems().iter().filter(|problem| problem.severity == Severity::Error).cloned().collect()))
            }
        }
    }

    /// For the next handshake.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// When each certificate in service expires, in Unix time: by its server name, `default` for the first.
    #[must_use]
    pub fn not_after(&self) -> Vec<(String, i64)> {
        self.current.load().not_after.clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("not_after", &self.current.load().not_after).finish()
    }
}

#[cfg(test)]
mod tests;
