//! Listeners, workers, drain.

pub mod tls;

use serde::Deserialize;

use crate::types::{ByteSize, HostPattern, HumanDuration};

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
    /// Names that are answered; others get 421. Empty: all.
    #[serde(default)]
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
    /// All header lines together: 431 beyond.
    pub max_header_bytes: ByteSize,
    /// Number of header lines: 431 beyond.
    pub max_headers: usize,
    /// Request body; 0: no limit. 413 beyond.
    pub max_body: ByteSize,
    /// To send a request's head, and how long a connection may stay idle between requests (HTTP/1.1).
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
