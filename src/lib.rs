//! Doorward: a reverse-proxy sidecar that enforces authentication in front of an application that knows nothing of it.

pub mod auth;
pub mod config;
pub mod idp;
pub mod inbound;
pub mod observe;
pub mod payload;
pub mod proxy;
pub mod reload;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod types;
