//! What is meant for this hop alone.

use http::HeaderValue;

use super::Inbound;

impl Inbound {
    /// `Proxy-Authorization`, if it was sent once. It is not among the headers, and is never forwarded.
    #[must_use]
    pub fn proxy_authorization(&self) -> Option<&HeaderValue> {
        self.proxy_authorization.as_ref()
    }
}
