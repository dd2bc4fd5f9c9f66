//! What of a request goes to the upstream.

use http::Method;
use http::uri::PathAndQuery;

use super::{Host, Lines, WantedUpgrade};
use crate::payload::Payload;

/// A cleaned request, taken apart.
#[derive(Debug)]
pub struct Parts {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// The host that it is for.
    pub host: Host,
    /// All headers but the host's and the one that says where the body ends.
    pub lines: Lines,
    /// Whether one of them may bind an identity to the connection that it is sent on.
    pub binds: bool,
    /// The body.
    pub payload: Payload,
    /// The upgrade that the client wants.
    pub upgrade: Option<WantedUpgrade>,
}
