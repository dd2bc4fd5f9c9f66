//! The one host that a request is for.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Uri, Version, header};

use super::seen::Seen;
use super::{Conn, Unclean};

/// The host that a request is for: exactly one, said alike in all places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Lower case, without the port. An IPv6 address keeps its brackets.
    pub name: Arc<str>,
    /// The port, if the client wrote one.
    pub port: Option<u16>,
    /// As the client sent it.
    pub raw: HeaderValue,
}

impl Host {
    /// Takes the host out of the headers. HTTP/1: exactly one `Host`, and the target names none. HTTP/2: `:authority`, and
    /// a `Host` beside it only if it is the same.
    pub(super) fn take(version: Version, uri: &Uri, headers: &mut HeaderMap, seen: Seen, conn: &Conn) -> Result<Self, Unclean> {
        if seen.repeats() && headers.get_all(header::HOST).iter().nth(1).is_some() {
            return Err(Unclean::Host("more than one Host header"));
        }
        let host = headers.remove(header::HOST);
        let raw = if version == Version::HTTP_2 {
            let authority = uri.authority().ok_or(Unclean::Host("no :authority"))?.as_str();
            if host.is_some_and(|host| host != authority) {
                return Err(Unclean::Host(":authority and Host differ"));
            }
            if let Some(usual) = conn.usual_host(authority.as_bytes()) {
                return Ok(usual);
            }
            HeaderValue::from_str(authority).map_err(|_| Unclean::Host("the :authority is not a host"))?
        } else {
            if uri.scheme().is_some() || uri.authority().is_some() {
                return Err(Unclean::Target("the target names a scheme or a host"));
            }
            host.ok_or(Unclean::Host("no Host header"))?
        };
        if let Some(usual) = conn.usual_host(raw.as_bytes()) {
            return Ok(usual);
        }
        let (name, port) = raw.to_str().ok().and_then(parse).ok_or(Unclean::Host("the host is not of the form name[:port]"))?;
        let host = Self { name: name.into(), port, raw };
        conn.remember(&host);
        Ok(host)
    }
}

/// Reads `name[:port]`: a DNS name, an IPv4 address, or an IPv6 address in brackets.
#[must_use]
pub fn parse(text: &str) -> Option<(String, Option<u16>)> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':')?),
            };
            (format!("[{}]", address.to_ascii_lowercase()), port)
        }
        None => match text.split_once(':') {
            Some((name, port)) => (dns_name(name)?, Some(port)),
            None => (dns_name(text)?, None),
        },
    };
    let port = match port {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    Some((name, port))
}

/// Letters, digits, `-` and `_` in labels. A trailing dot is refused: `a.` and `a` are one host to DNS and two to a rule.
fn dns_name(name: &str) -> Option<String> {
    let valid = !name.is_empty()
        && name.len() <= 253
        && name
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    valid.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for (text, name, port) in [
            ("a", "a", None),
            ("App.Example.COM:8443", "app.example.com", Some(8443)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
            ("my_host", "my_host", None),
        ] {
            assert_eq!(parse(text), Some((name.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_host() {
        for text in [
            "",
            " ",
            "a b",
            "a,b",
            "a@b",
            "u:p@a",
            "a/b",
            "a?b",
            "a#b",
            "a:",
            "a:b",
            "a:99999",
            "a:-1",
            "a:+1",
            ":80",
            "a..b",
            ".a",
            "a.",
            "[::1",
            "::1",
            "[a]",
            "[::1]80",
            "[::1%25eth0]",
            "a\t",
            "é",
            "a%41",
            "http://a",
            "a:80:80",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
