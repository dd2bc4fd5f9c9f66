//! The whole configuration file: composed of each module's Settings; every problem in one report with its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::types::{Problem, Report};
use crate::{auth, proxy, server, store, telemetry};

/// A configuration file, read and of the right form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[listen]`
    pub listen: server::ListenSettings,
    /// `[tls]`
    pub tls: server::tls::Settings,
    /// `[limits]`
    #[serde(default)]
    pub limits: server::Limits,
    /// `[identity]`
    #[serde(default)]
    pub identity: proxy::stamp::Settings,
    /// `[store]`
    pub store: Option<store::Settings>,
    /// `[cache]`
    #[serde(default)]
    pub cache: store::CacheSettings,
    /// `[log]`
    #[serde(default)]
    pub log: telemetry::Settings,
    /// `[auth.NAME.KIND]`
    #[serde(default)]
    pub auth: BTreeMap<String, auth::SchemeSettings>,
}

/// A problem with the line it stands on.
#[derive(Debug)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// One-based line; 0 if the key stands nowhere.
    pub line: usize,
    /// The problem.
    pub problem: Problem,
}

/// Every problem of a configuration file.
#[derive(Debug, thiserror::Error)]
#[error("{} problem(s) in the configuration", .0.len())]
pub struct ConfigError(pub Vec<Located>);

/// A configuration and the text that it was read from, to find the lines of problems found later.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
}

impl Loaded {
    /// Gives each problem of `report` its file and line.
    #[must_use]
    pub fn locate(&self, report: &Report) -> Vec<Located> {
        let _ = report;
        todo!()
    }
}

/// Reads `path`: `${ENV}` replaced in every string, relative paths taken from the file's folder.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let _ = path;
    todo!()
}
