//! The whole configuration file: composed of each module's Settings; every problem in one report with its line.

mod lines;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::types::{Problem, Report, Severity};
use crate::{auth, proxy, server, store, telemetry};

pub use lines::Lines;

/// A configuration file, read and of the right form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[listen]`
    pub listen: server::ListenSettings,
    /// `[tls]`
    pub tls: server::tls::Settings,
    /// `[upstream]`
    pub upstream: proxy::upstream::Settings,
    /// `[admin]`
    #[serde(default)]
    pub admin: server::AdminSettings,
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
    /// `[[route]]`
    #[serde(default)]
    pub route: Vec<proxy::route::Settings>,
}

/// A problem with the line it stands on.
#[derive(Debug)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// One-based line; 0 if the file could not be read at all.
    pub line: usize,
    /// The problem.
    pub problem: Problem,
}

impl std::fmt::Display for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Problem { key, problem, remedy, .. } = &self.problem;
        write!(f, "{}:{}: {severity}: {key}{}{problem}; {remedy}", self.file.display(), self.line, if key.is_empty() { "" } else { ": " })
    }
}

/// Every problem of a configuration file.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(pub Vec<Located>);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, located) in self.0.iter().enumerate() {
            write!(f, "{}{located}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// A configuration, and where each of its keys stands, to find the lines of problems found later.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    lines: Lines,
}

impl Loaded {
    /// Gives each problem of `report` its file and line.
    #[must_use]
    pub fn locate(&self, report: &Report) -> Vec<Located> {
        self.lines.locate(report)
    }

    /// Takes the configuration out, to build from it, and leaves what finds the lines.
    #[must_use]
    pub fn split(self) -> (Config, Lines) {
        (self.config, self.lines)
    }
}

/// A configuration file as far as it could be read, to look for further mistakes in it. Nothing is ever started with it.
#[derive(Debug)]
pub struct Draft {
    /// Without what was of no use; `None` if nothing was.
    pub config: Option<Config>,
    /// What was found wrong so far.
    pub report: Report,
    replaced: Vec<String>,
    lines: Lines,
}

impl Draft {
    /// Gives each problem its line: those of form, and of `found` those that are no mere consequence of them.
    #[must_use]
    pub fn locate(&self, found: &Report) -> Vec<Located> {
        let mut all = self.lines.locate(&self.report);
        all.extend(self.lines.locate(found).into_iter().filter(|located| !self.is_consequence(&located.problem)));
        all.sort_by_key(|located| located.line);
        all
    }

    /// Whether a problem is with a value that stands in for one that was of no use, or with what such a value is a part of.
    fn is_consequence(&self, problem: &Problem) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with(['.', '[']))
        };
        self.replaced.iter().any(|key| within(&problem.key, key) || within(key, &problem.key) || problem.problem.contains(&format!("[{key}]")))
    }
}

/// Reads `path` as [`load`] does, and hands out also what has mistakes.
pub fn draft(path: &Path) -> Result<Draft, ConfigError> {
    let text = text(path)?;
    let mut report = Report::default();
    let lines = Lines::of(path, &text);
    let (config, replaced) = read::read(path, &text, &mut report).map_or_else(|| (None, Vec::new()), |read| (Some(read.config), read.replaced));
    Ok(Draft { config, report, replaced, lines })
}

fn text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let problem = Problem {
            severity: Severity::Error,
            key: String::new(),
            problem: format!("cannot read the configuration: {error}"),
            remedy: "name the file with --config FILE".to_owned(),
        };
        ConfigError(vec![Located { file: path.to_owned(), line: 0, problem }])
    })
}

/// Reads `path`: `${ENV}` replaced in every string, relative paths taken from the file's folder. All mistakes of form are
/// found at once: each is noted, put aside, and the rest is read again.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let text = text(path)?;
    parse(path, &text)
}

/// As [`load`], from a text that stands for the file `path`.
pub fn parse(path: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let lines = Lines::of(path, text);
    let mut report = Report::default();
    match read::read(path, text, &mut report) {
        Some(read) if !report.has_errors() => Ok(Loaded { config: read.config, lines }),
        _ => Err(ConfigError(lines.locate(&report))),
    }
}
