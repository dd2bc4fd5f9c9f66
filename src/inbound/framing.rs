//! Which methods there are, where a request ends, what it expects, and whether it wants to become a tunnel.
//!
//! Over HTTP/1 `heads` has looked at the bytes before; here stands what is left of the head, and all of one over HTTP/2.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

use super::Unclean;
use super::heads::plain_number;
use super::seen::Seen;
use crate::payload::Payload;

/// Methods that are let through, HTTP's own and WebDAV's. `CONNECT` and `TRACE` are not among them, nor is anything in
/// lower case.
pub(super) const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "MKCALENDAR",
    "SEARCH",
    "QUERY",
    "ACL",
    "BIND",
    "UNBIND",
    "REBIND",
    "CHECKIN",
    "CHECKOUT",
    "VERSION-CONTROL",
    "PURGE",
];

/// RFC 9112 section 6: one way to say where the body ends, in its canonical form.
pub(super) fn check_framing(version: Version, headers: &HeaderMap, seen: Seen) -> Result<(), Unclean> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if plain_number(length.as_bytes()).is_none() {
            return Err(Unclean::Framing("Content-Length is not a plain number"));
        }
        if lengths.next().is_some() {
            return Err(Unclean::Framing("more than one Content-Length"));
        }
    }
    if !seen.may_hold([&header::TRANSFER_ENCODING]) {
        return Ok(());
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if version != Version::HTTP_11 {
            return Err(Unclean::Framing("Transfer-Encoding outside HTTP/1.1"));
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Unclean::Framing("Transfer-Encoding other than chunked"));
        }
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Unclean::Framing("both Transfer-Encoding and Content-Length"));
        }
    }
    Ok(())
}

/// Whether the client waits to be told to go on with the body.
pub(super) fn expectation(headers: &HeaderMap) -> Result<bool, Unclean> {
    let expectations: Vec<_> = headers.get_all(header::EXPECT).iter().collect();
    match expectations.as_slice() {
        [] => Ok(false),
        [one] if one.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Unclean::Expectation),
    }
}

/// The key of a WebSocket handshake. Anything less than a whole one is no upgrade: `Upgrade` is then dropped like any hop-by-hop header.
pub(super) fn wanted_upgrade(method: &Method, version: Version, headers: &HeaderMap, payload: &Payload) -> Option<HeaderValue> {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let upgrade = one(header::UPGRADE)?;
    let connection = one(header::CONNECTION)?.to_str().ok()?;
    let key = one(header::SEC_WEBSOCKET_KEY)?;
    let whole = method == Method::GET
        && version == Version::HTTP_11
        && payload.is_empty()
        && upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        && connection.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        && one(header::SEC_WEBSOCKET_VERSION)? == "13"
        && key.len() == 24;
    whole.then(|| key.clone())
}
