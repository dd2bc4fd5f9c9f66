//! Diagnostics, metrics, and one access-log line per request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::types::Report;

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

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Auto, level: "info".to_owned(), access: true }
    }
}

/// One request, for the access log and the metrics. Filled on the way; written when the response has left.
#[derive(Debug)]
pub struct AccessEntry {
    /// When the request's head had arrived.
    pub started: Instant,
    /// The request's id, also sent upstream.
    pub request_id: String,
    /// The client's address; `None` for `unix:`.
    pub peer: Option<SocketAddr>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    /// Method.
    pub method: http::Method,
    /// Host, without port; empty if the request had no usable one.
    pub host: String,
    /// Path without the query.
    pub path: String,
    /// The route's counters and name; `None` if none was found.
    pub route: Option<Arc<RouteMetrics>>,
    /// The scheme's name in the configuration.
    pub scheme: Option<Arc<str>>,
    /// The user's name.
    pub user: Option<String>,
    /// `ok`, or the rejection's code.
    pub code: &'static str,
    /// The rejection's cause, for the operator.
    pub cause: Option<String>,
    /// The response's status; 0 if none was sent.
    pub status: u16,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
    /// Spent on authentication.
    pub auth: Duration,
    /// From forwarding to the head of the upstream's response.
    pub upstream: Duration,
    /// Whether the response was cut off before its end.
    pub broken: bool,
}

/// Counters of one route, resolved when the route is built. Its name is the route's path pattern: a bounded label.
#[derive(Debug)]
pub struct RouteMetrics {
    /// The route's name.
    pub name: Arc<str>,
}

/// Metrics and access log of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {}

impl Telemetry {
    /// Installs the subscriber for diagnostics (standard error) and starts the access-log writer (standard output).
    /// Called once; reports a bad level.
    pub fn start(settings: &Settings, report: &mut Report) -> Option<Self> {
        let _ = (settings, report);
        todo!()
    }

    /// The counters of the route `name`; the same for the same name, also across reloads.
    #[must_use]
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        let _ = name;
        todo!()
    }

    /// Counts the request and queues its line. Never blocks: when the queue is full the line is dropped and counted.
    pub fn record(&self, entry: AccessEntry) {
        let _ = entry;
        todo!()
    }

    /// Counts one authentication: `doorward_auth_total{scheme,outcome,reason}`. `scheme` is the configured name, or `none`.
    pub fn auth(&self, scheme: &str, outcome: &'static str, reason: &'static str) {
        let _ = (scheme, outcome, reason);
        todo!()
    }

    /// Counts a panic that ended one connection.
    pub fn panicked(&self) {
        todo!()
    }

    /// Counts a certificate that could not be reloaded.
    pub fn certificate_reload_failed(&self) {
        todo!()
    }

    /// All metrics in the Prometheus text format (OpenMetrics).
    #[must_use]
    pub fn render(&self) -> String {
        todo!()
    }
}
