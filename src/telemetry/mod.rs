//! Diagnostics, metrics, and one access-log line per request.
//!
//! ```text
//! tracing events ---> standard error     JSON, or readable on a terminal
//! AccessEntry -+----> standard output    one line a request, written by a thread of its own
//!              +----> counters ----+
//! Sources ------------------------> /metrics
//! ```
//!
//! Nothing here ever blocks a request: a line that finds the queue full is dropped and counted.

mod access_log;
mod diagnostics;
mod line;
mod metrics;
mod source;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::types::Report;

pub use line::AccessEntry;
pub use metrics::RouteMetrics;
pub use source::{Kind, Sample};

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `auto` (readable on a terminal, else JSON), `json` or `text`.
    pub format: Format,
    /// Least level of diagnostics: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Whether each request is written to the access log (standard output).
    pub access: bool,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Readable on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Format {
    /// Whether a stream gets readable lines.
    fn is_text(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal,
            Self::Json => false,
            Self::Text => true,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Auto, level: "info".to_owned(), access: true }
    }
}

/// How long [`Telemetry::flush`] waits for a slow standard output.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

impl Settings {
    /// Reports a level that is none. Keys start with `log.`.
    pub fn check(&self, report: &mut Report) {
        let _ = report.within("log", |report| diagnostics::level(&self.level, report));
    }
}

/// Metrics and access log of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    metrics: Arc<metrics::Metrics>,
    access: Option<access_log::AccessLog>,
}

impl Telemetry {
    /// Installs the subscriber for diagnostics (standard error) and starts the access-log writer (standard output).
    /// Called once; reports a bad level.
    pub fn start(settings: &Settings, report: &mut Report) -> Option<Self> {
        let level = report.within("log", |report| diagnostics::level(&settings.level, report))?;
        diagnostics::install(settings.format, level);
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let telemetry = if settings.access {
            Self::with_output(settings.format.is_text(terminal), Box::new(std::io::stdout()))
        } else {
            Ok(Self::without_output())
        };
        telemetry.map_err(|error| report.error("log.access", &format!("the log's thread did not start: {error}"), "allow more threads")).ok()
    }

    /// Metrics alone: no diagnostics are installed and no line is written.
    #[must_use]
    pub fn without_output() -> Self {
        Self { metrics: Arc::new(metrics::Metrics::new()), access: None }
    }

    /// Metrics, and access-log lines to `output`: readable ones if `text`, else JSON. Installs no diagnostics.
    pub fn with_output(text: bool, output: Box<dyn std::io::Write + Send>) -> std::io::Result<Self> {
        let metrics = Arc::new(metrics::Metrics::new());
        let access = access_log::AccessLog::start(text, output, metrics.lines_dropped())?;
        Ok(Self { metrics, access: Some(access) })
    }

    /// The counters of the route `name`; the same for the same name, also across reloads.
    #[must_use]
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.metrics.route(name)
    }

    /// Whether anybody reads what only lines tell: who does not write it need not copy it.
    #[must_use]
    pub fn writes_lines(&self) -> bool {
        self.access.is_some()
    }

    /// Counts the request and queues its line. Never blocks: when the queue is full the line is dropped and counted.
    pub fn record(&self, entry: impl Into<Box<AccessEntry>>) {
        let entry = entry.into();
        let total = entry.started.elapsed();
        self.metrics.count(&entry, total);
        if let Some(access) = &self.access {
            access.queue(entry, total);
        }
    }

    /// Counts one authentication: `doorward_auth_total{scheme,outcome,reason}`. `scheme` is the configured name, or `none`.
    pub fn auth(&self, scheme: &str, outcome: &'static str, reason: &'static str) {
        self.metrics.auth(scheme, outcome, reason);
    }

    /// Counts that `scheme` let somebody in on a route, as [`Telemetry::auth`] would: outcome `ok`, reason `none`.
    pub fn admitted(&self, route: &RouteMetrics, scheme: &str) {
        self.metrics.admitted(route, scheme);
    }

    /// Counts a panic that ended one connection.
    pub fn panicked(&self) {
        self.metrics.panicked();
    }

    /// Counts a certificate that could not be reloaded.
    pub fn certificate_reload_failed(&self) {
        self.metrics.certificate_reload_failed();
    }

    /// Asks `read` for its samples at each [`Telemetry::render`]: for numbers that someone else counts already, such as
    /// those of caches. `read` must not block.
    pub fn register_source(&self, read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>) {
        self.metrics.register_source(read);
    }

    /// All metrics in the Prometheus text format (OpenMetrics).
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.render()
    }

    /// Waits until all lines queued so far are written; at most two seconds. Blocks the calling thread: for shutdown only.
    pub fn flush(&self) {
        if let Some(access) = &self.access {
            access.flush(FLUSH_LIMIT);
        }
    }
}

#[cfg(test)]
mod tests;
