//! Listeners, workers, drain.
//!
//! ```text
//! accept (aux runtime, one task a socket) --least loaded--> worker 0..N (a thread, a runtime)
//!   permit of the connection limit                            handshake -> HTTP/1.1 or HTTP/2 -> Proxy::handle
//! ```

mod accept;
mod addresses;
mod admin;
mod conn;
mod control;
mod desk;
pub mod devcerts;
mod failures;
mod flight;
mod frames;
mod inspect;
mod listen;
mod obey;
mod place;
mod plain;
mod recorded;
mod redirect;
mod serve;
mod socket;
pub mod tls;
mod worker;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use serde::Deserialize;

use crate::inbound::{ClientCertificate, Conn, HeadFault};
use crate::payload::ResponseBody;
use crate::proxy::Proxy;
use crate::telemetry::Telemetry;
use crate::types::{ByteSize, HostPattern, HumanDuration, Report, some};

pub use desk::{AdminSettings, Desk};
pub use listen::Listeners;
pub use place::Place;
pub use recorded::read_recorded;

/// `[listen]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// TLS listeners: `ADDRESS:PORT`, `unix:/path` or `fd:N`.
    pub https: Vec<String>,
    /// Plain listeners that only answer 308 or 403.
    #[serde(default)]
    pub http: Vec<String>,
    /// The admin listener: `ADDRESS:PORT`, `unix:/path` or `fd:N`; none without it.
    pub admin: Option<String>,
    /// What redirects say; else taken from the request's host.
    pub public_url: Option<String>,
    /// Names that are answered; others get 421. All without it.
    #[serde(default, deserialize_with = "some")]
    pub hosts: Vec<HostPattern>,
    /// Peers whose X-Forwarded-* and Forwarded are extended rather than replaced.
    #[serde(default)]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// `Strict-Transport-Security`; empty for none.
    #[serde(default = "default_hsts")]
    pub hsts: String,
}

fn default_hsts() -> String {
    "max-age=31536000".to_owned()
}

/// `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open client connections.
    pub max_connections: usize,
    /// Open connections of one client address (IPv6: of one /64); 0: no limit. Half of `max_connections` without it, so that no
    /// single address shuts the others out, and a balancer that was not named in `trusted_proxies` still has as many.
    pub max_connections_per_address: Option<usize>,
    /// All header lines together: 431 beyond.
    pub max_header_bytes: ByteSize,
    /// Number of header lines: 431 beyond.
    pub max_headers: usize,
    /// Request body; 0: no limit. 413 beyond.
    pub max_body: ByteSize,
    /// To send a request's head, and how long a connection may stay without a request, in HTTP/1.1 and HTTP/2 alike.
    pub header_timeout: HumanDuration,
    /// For the TLS handshake.
    pub handshake_timeout: HumanDuration,
    /// While a body is awaited, at least 1 KiB must arrive in each such period; likewise for a client that reads slowly. 0: no limit.
    pub body_timeout: HumanDuration,
    /// For what is in flight when Doorward is told to stop.
    pub drain_timeout: HumanDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: None,
            max_header_bytes: ByteSize(32 * 1024),
            max_headers: 100,
            max_body: ByteSize(0),
            header_timeout: HumanDuration::from_secs(10),
            handshake_timeout: HumanDuration::from_secs(5),
            body_timeout: HumanDuration::from_secs(30),
            drain_timeout: HumanDuration::from_secs(30),
        }
    }
}

impl Limits {
    /// The connections of one address.
    fn per_address(&self) -> usize {
        match self.max_connections_per_address {
            Some(0) => usize::MAX,
            Some(most) => most,
            None => self.max_connections.div_ceil(2),
        }
    }

    /// Checks that no limit makes serving impossible or is switched off by accident. Keys start with `limits.`.
    pub fn check(&self, report: &mut Report) {
        report.within("limits", |report| {
            if self.max_connections == 0 {
                report.error("max_connections", "no client could connect", "write a number from 1 on, such as 10_000");
            }
            if self.max_connections_per_address.is_some_and(|most| most > self.max_connections) {
                let problem = "no address reaches it: it is above max_connections";
                report.warn("max_connections_per_address", problem, "write a smaller number, 0 for no limit, or leave it out for the half");
            }
            if !(4 << 10..=1 << 20).contains(&self.max_header_bytes.0) {
                report.error("max_header_bytes", "it is not between 4KiB and 1MiB", "write \"32KiB\"");
            }
            if !(10..=1000).contains(&self.max_headers) {
                report.error("max_headers", "it is not between 10 and 1000", "write 100");
            }
            for (key, timeout) in [("header_timeout", self.header_timeout), ("handshake_timeout", self.handshake_timeout)] {
                if timeout.0.is_zero() {
                    report.error(key, "clients could not be that fast", "write a duration such as \"10s\"");
                } else if timeout.0 > Duration::from_secs(300) {
                    report.warn(key, "idle clients hold connections for a long time", "write a duration such as \"10s\"");
                }
            }
            if self.body_timeout.0.is_zero() {
                report.warn("body_timeout", "clients that stop sending or reading are waited for without a limit", "write \"30s\"");
            }
        });
    }
}

/// What requests are answered with. Shared by all workers; each request reads it once.
#[derive(Debug)]
pub struct World {
    /// Routes, schemes, policies: replaced as a whole by a reload.
    pub proxy: ArcSwap<Proxy>,
    /// Replaced file by file, whenever the files change.
    pub certificates: Arc<tls::Certificates>,
}

impl conn::Answer for Arc<World> {
    type Body = ResponseBody;

    fn tls(&self) -> tls::Terms {
        self.certificates.terms()
    }

    fn outlives(&self, certificate: &ClientCertificate) -> bool {
        self.certificates.judge(certificate)
    }

    fn sees_credentials(&self, headers: &http::HeaderMap) -> bool {
        self.proxy.load().stamp.sees_credentials(headers)
    }

    async fn answer(&self, conn: &Conn, request: Request<Incoming>, head: Result<(), HeadFault>) -> Response<ResponseBody> {
        let proxy = self.proxy.load_full();
        proxy.handle(conn, request, head).await
    }
}

/// How many worker threads there are: one for each processor that may be used (a control group's quota counts).
/// [`Conn::worker`] is below it.
#[must_use]
pub fn worker_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How far the server's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Nothing is accepted any more; what is in flight is finished.
    Draining,
    /// What is left is ended.
    Stopped,
}

/// How the end came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that still had something in flight after `drain_timeout` and were ended.
    pub cut_off: usize,
}

/// Serves until `shutdown` is ready, then drains: not ready at once, nothing new is accepted, what is in flight is finished
/// within `drain_timeout`. Runs on the runtime for everything beside requests; requests are served by threads that it starts.
/// Dropping the future ends everything at once. Fails only if no thread can be started.
pub async fn serve(
    listeners: Listeners,
    world: Arc<World>,
    telemetry: Telemetry,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<DrainOutcome> {
    let certificates = Arc::clone(&world.certificates);
    telemetry.register_source(Box::new(move || certificates.dates()));
    serve::serve(listeners, world, telemetry, limits, shutdown).await
}

#[cfg(test)]
mod tests;
