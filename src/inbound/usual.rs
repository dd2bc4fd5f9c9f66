//! What stays the same from one request of a connection to the next: nearly all of them are for one host.

use std::sync::OnceLock;

use http::HeaderValue;

use super::Host;

/// The host that the connection's first request was for, and what headers say of it.
#[derive(Debug, Clone)]
pub struct Usual {
    /// The host. Its text is a copy: it keeps no request's head alive.
    pub(super) host: Host,
    /// `X-Forwarded-Port`.
    pub port: HeaderValue,
    /// `Forwarded`, where no proxy stands before the connection.
    pub forwarded: HeaderValue,
}

/// Written once, by the first request. Requests for another host find nothing here.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered(OnceLock<Option<Usual>>);

impl Remembered {
    /// What is known of the host that a client wrote so.
    pub(super) fn of(&self, raw: &[u8]) -> Option<&Usual> {
        self.0.get()?.as_ref().filter(|usual| usual.host.raw.as_bytes() == raw)
    }

    /// Remembers the first host of all; `None` for a host that no header can name.
    pub(super) fn first(&self, make: impl FnOnce() -> Option<Usual>) {
        self.0.get_or_init(make);
    }
}

/// `X-Forwarded-Port`: what the client wrote, else the port that it connected to.
#[must_use]
pub fn forwarded_port(host: &Host, local_port: Option<u16>) -> HeaderValue {
    HeaderValue::from(host.port.or(local_port).unwrap_or(443))
}

/// An element of `Forwarded` (RFC 7239) behind `earlier` ones. `None` if it were no header's value.
#[must_use]
pub fn forwarded(earlier: &str, peer: &str, host: &Host) -> Option<HeaderValue> {
    // Put together without format!, which costs more than all the rest here.
    let (open, close) = if peer.contains(':') { ("\"[", "]\"") } else { ("", "") };
    let text = [earlier, "for=", open, peer, close, ";host=\"", host.raw.to_str().unwrap_or_default(), "\";proto=https"].concat();
    HeaderValue::try_from(text).ok()
}
