//! Counters and histograms. Handles are resolved when a route is built, so that a request touches atomics alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::AccessEntry;
use super::source::{Sample, Sources};

/// The label of requests for which no route was found. Routes start with `/`, so none can have this name.
const NO_ROUTE: &str = "none";

/// Seconds: from a fast upstream on loopback to one that takes its time.
const BUCKETS: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Arc<str>,
    status_class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    scheme: String,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// Counters of one route, resolved when the route is built. Its name is the route's path pattern: a bounded label.
#[derive(Debug)]
pub struct RouteMetrics {
    /// The route's name.
    pub name: Arc<str>,
    classes: Classes,
    total: Histogram,
    upstream: Histogram,
    /// How often the scheme let somebody in that first did on this route: mostly there is no other.
    admissions: OnceLock<(Box<str>, Counter)>,
}

#[derive(Debug)]
struct Classes {
    informational: Counter,
    success: Counter,
    redirection: Counter,
    client_error: Counter,
    server_error: Counter,
    none: Counter,
}

impl Classes {
    fn of(&self, status: u16) -> &Counter {
        match status {
            100..=199 => &self.informational,
            200..=299 => &self.success,
            300..=399 => &self.redirection,
            400..=499 => &self.client_error,
            500..=599 => &self.server_error,
            _ => &self.none,
        }
    }
}

type Histograms = Family<RouteLabel, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// All metrics of the process.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    totals: Histograms,
    upstreams: Histograms,
    rejections: Family<CodeLabel, Counter>,
    auth: Family<AuthLabels, Counter>,
    panics: Counter,
    lines_dropped: Counter,
    reload_failures: Counter,
    sources: Sources,
    routes: Mutex<HashMap<Arc<str>, Arc<RouteMetrics>>>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            totals: Family::new_with_constructor(histogram),
            upstreams: Family::new_with_constructor(histogram),
            rejections: Family::default(),
            auth: Family::default(),
            panics: Counter::default(),
            lines_dropped: Counter::default(),
            reload_failures: Counter::default(),
            sources: Sources::default(),
            routes: Mutex::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        // The encoder writes `_total` behind each counter's name and `_info` behind an info's.
        let registry = &mut self.registry;
        registry.register("doorward_requests", "Requests answered, by route and class of status", self.requests.clone());
        registry.register("doorward_request_duration_seconds", "From a request's head to the end of its response", self.totals.clone());
        registry.register(
            "doorward_upstream_duration_seconds",
            "From forwarding a request to the head of the upstream's response",
            self.upstreams.clone(),
        );
        registry.register("doorward_rejections", "Requests that Doorward refused or could not serve, by code", self.rejections.clone());
        registry.register("doorward_auth", "Authentications, by scheme, outcome and reason", self.auth.clone());
        registry.register("doorward_panics", "Panics; each ended one connection or stream", self.panics.clone());
        registry.register("doorward_log_lines_dropped", "Access-log lines that were lost because the log was slow", self.lines_dropped.clone());
        registry.register(
            "doorward_certificate_reload_failures",
            "New certificate files that were not taken into service",
            self.reload_failures.clone(),
        );
        registry.register("doorward_build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        registry.register("doorward_start_time_seconds", "When the process started, in Unix time", ConstGauge::new(started));
        registry.register_collector(Box::new(self.sources.clone()));
    }

    /// The counters of a route, made when first asked for.
    pub(super) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        let class = |status_class| self.requests.get_or_create_owned(&RequestLabels { route: Arc::clone(&name), status_class });
        let label = RouteLabel { route: Arc::clone(&name) };
        let made = Arc::new(RouteMetrics {
            classes: Classes {
                informational: class("1xx"),
                success: class("2xx"),
                redirection: class("3xx"),
                client_error: class("4xx"),
                server_error: class("5xx"),
                none: class("none"),
            },
            total: self.totals.get_or_create_owned(&label),
            upstream: self.upstreams.get_or_create_owned(&label),
            admissions: OnceLock::new(),
            name: Arc::clone(&name),
        });
        routes.insert(name, Arc::clone(&made));
        made
    }

    /// Counts one request.
    pub(super) fn count(&self, entry: &AccessEntry, total: Duration) {
        let nowhere;
        let route = if let Some(route) = &entry.route {
            route
        } else {
            nowhere = self.route(NO_ROUTE);
            &nowhere
        };
        route.classes.of(entry.status).inc();
        route.total.observe(total.as_secs_f64());
        if !entry.upstream.is_zero() {
            route.upstream.observe(entry.upstream.as_secs_f64());
        }
        if entry.code != "ok" {
            self.rejections.get_or_create(&CodeLabel { code: entry.code }).inc();
        }
    }

    pub(super) fn auth(&self, scheme: &str, outcome: &'static str, reason: &'static str) {
        self.auth.get_or_create(&AuthLabels { scheme: scheme.to_owned(), outcome, reason }).inc();
    }

    pub(super) fn admitted(&self, route: &RouteMetrics, scheme: &str) {
        let labels = || AuthLabels { scheme: scheme.to_owned(), outcome: "ok", reason: "none" };
        let (usual, count) = route.admissions.get_or_init(|| (scheme.into(), self.auth.get_or_create_owned(&labels())));
        if **usual == *scheme {
            count.inc();
        } else {
            self.auth.get_or_create(&labels()).inc();
        }
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    pub(super) fn certificate_reload_failed(&self) {
        self.reload_failures.inc();
    }

    pub(super) fn lines_dropped(&self) -> Counter {
        self.lines_dropped.clone()
    }

    pub(super) fn register_source(&self, read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>) {
        self.sources.add(read);
    }

    /// The text format. A metric that cannot be encoded ends the text early: better some numbers than none.
    pub(super) fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let encoded: fmt::Result = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        if let Err(error) = encoded {
            tracing::error!(%error, "the metrics could not be encoded");
        }
        text
    }
}
