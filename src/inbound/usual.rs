//! What stays the same from one request of a connection to the next: nearly all of them are for one host.

use std::sync::OnceLock;

use http::header::FORWARDED;
use http::{HeaderName, HeaderValue};

use super::{Conn, Host, Lines};

/// The host that the connection's first request was for, and what headers say of such requests.
#[derive(Debug, Clone)]
pub struct Usual {
    /// The host. Its text is a copy: it keeps no request's head alive.
    pub(super) host: Host,
    /// What headers say of them, where no proxy stands before the connection: see [`described`].
    pub lines: Lines,
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

/// The names of the lines that are written of each request.
pub const DESCRIBED: [HeaderName; 6] = [X_FORWARDED_PROTO, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_FOR, FORWARDED, X_REQUEST_ID];

/// The request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What headers say of a request's way: `addresses` those that it came from, `forwarded` the same as an element of `Forwarded`.
/// Its port is what the client wrote, else the one that it connected to.
#[must_use]
pub fn described(host: &Host, conn: &Conn, addresses: &HeaderValue, forwarded: &HeaderValue) -> Lines {
    let mut lines = Lines::with_capacity(256);
    lines.push(&X_FORWARDED_PROTO, &HeaderValue::from_static("https"));
    lines.push(&X_FORWARDED_HOST, &host.raw);
    lines.push(&X_FORWARDED_PORT, &HeaderValue::from(host.port.or(conn.local_port).unwrap_or(443)));
    lines.push(&X_FORWARDED_FOR, addresses);
    lines.push(&FORWARDED, forwarded);
    lines
}

/// An element of `Forwarded` (RFC 7239) behind `earlier` ones. `None` if it were no header's value.
#[must_use]
pub fn forwarded(earlier: &str, peer: &str, host: &Host) -> Option<HeaderValue> {
    // Put together without format!, which costs more than all the rest here.
    let (open, close) = if peer.contains(':') { ("\"[", "]\"") } else { ("", "") };
    let text = [earlier, "for=", open, peer, close, ";host=\"", host.raw.to_str().unwrap_or_default(), "\";proto=https"].concat();
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Open, Peer, parse_host};
    use super::*;

    #[test]
    fn what_is_said_of_a_request_follows_from_connection_and_host() {
        for (peer, local_port, raw, port, node) in [
            (Peer::Ip("192.0.2.1:9".parse().unwrap()), Some(8443), "app", 8443, "192.0.2.1"),
            (Peer::Ip("[2001:db8::1]:9".parse().unwrap()), Some(8443), "App.example:444", 444, "\"[2001:db8::1]\""),
            (Peer::Ip("[::ffff:192.0.2.1]:9".parse().unwrap()), Some(443), "[::1]:8", 8, "192.0.2.1"),
            (Peer::Unix, None, "app", 443, "unix"),
        ] {
            let conn = Conn::new(peer, local_port, None, 0, Open::default());
            let (name, written) = parse_host(raw).unwrap();
            let host = Host { name: name.into(), port: written, raw: HeaderValue::from_static(raw) };
            let element = forwarded("", &conn.peer_text, &host).unwrap();
            let lines = described(&host, &conn, conn.peer_value.as_ref().unwrap(), &element);
            let address = &conn.peer_text;
            let wanted = format!(
                "x-forwarded-proto: https\r\nx-forwarded-host: {raw}\r\nx-forwarded-port: {port}\r\nx-forwarded-for: {address}\r\n\
                 forwarded: for={node};host=\"{raw}\";proto=https\r\n"
            );
            assert_eq!(String::from_utf8_lossy(lines.as_bytes()), wanted);
        }
    }
}
