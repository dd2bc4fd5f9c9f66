//! What of a request goes to the upstream.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

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
    /// The client's headers that are left, and those of the stamp.
    pub headers: HeaderMap,
    /// More of them, ready to be sent.
    pub described: Lines,
    /// The body.
    pub payload: Payload,
    /// The upgrade that the client wants.
    pub upgrade: Option<WantedUpgrade>,
}
