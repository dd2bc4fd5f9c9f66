//! What a proxy in front told of a request. Believed from the configured addresses alone, and never for a decision.

use std::net::IpAddr;

use http::header::HeaderMap;
use ipnet::IpNet;

use super::Conn;
use crate::types::AddressBlock;

/// Longer ids are not passed on: they end up in every log.
const MAX_ID_BYTES: usize = 128;

/// Empty from anybody who is not trusted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// All values of `X-Forwarded-For`, in one line.
    pub(super) forwarded_for: Option<String>,
    /// `X-Request-Id`, if it is one word of letters, digits and `-._`.
    pub(super) request_id: Option<String>,
}

impl Told {
    /// Reads the headers before they are stripped.
    pub(super) fn read(conn: &Conn, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        match conn.peer.ip() {
            Some(ip) if trusted.iter().any(|net| net.contains(&ip)) => {
                Self { forwarded_for: joined(headers, "x-forwarded-for"), request_id: id(headers) }
            }
            _ => Self::default(),
        }
    }

    /// Whom what the request takes up is counted for: the peer, or whom a trusted proxy had before it. `None` on a local
    /// socket.
    pub(super) fn client(&self, conn: &Conn) -> Option<AddressBlock> {
        self.address(conn).map(AddressBlock::from)
    }

    /// The same, to the last bit.
    pub(super) fn address(&self, conn: &Conn) -> Option<IpAddr> {
        // The last one is the proxy's own word; those before it are the client's.
        let told = self.forwarded_for.as_deref().and_then(|chain| chain.rsplit(',').next()?.trim().parse().ok());
        told.or_else(|| conn.peer.ip())
    }
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Option<Vec<&str>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
}

fn id(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(super::X_REQUEST_ID).iter();
    let (value, more) = (values.next()?.to_str().ok()?, values.next());
    let word = (1..=MAX_ID_BYTES).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    (word && more.is_none()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::{Open, Peer};

    fn conn() -> Conn {
        Conn::new(Peer::Ip("10.1.2.3:4".parse().unwrap()), None, None, 0, Open::default())
    }

    fn told(trusted: &str, lines: &[(&'static str, &str)]) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Told::read(&conn(), &headers, &[trusted.parse().unwrap()])
    }

    #[test]
    fn what_is_taken_up_counts_for_whom_a_trusted_proxy_names_last() {
        let block = |address: &str| Some(AddressBlock::from(address.parse::<std::net::IpAddr>().unwrap()));
        for (trusted, chain, client) in [
            ("10.0.0.0/8", "9.9.9.9, 1.1.1.1", "1.1.1.1"),
            ("10.0.0.0/8", "2001:db8::7", "2001:db8::1"),
            ("10.0.0.0/8", "1.1.1.1, unknown", "10.1.2.3"),
            ("192.168.0.0/16", "1.1.1.1", "10.1.2.3"),
        ] {
            assert_eq!(told(trusted, &[("x-forwarded-for", chain)]).client(&conn()), block(client), "{chain}");
        }
        assert_eq!(Told::default().client(&Conn::new(Peer::Unix, None, None, 0, Open::default())), None);
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), ("x-request-id", "abc-1.2_3")];
        let believed = Told { forwarded_for: Some("1.1.1.1, 2.2.2.2".to_owned()), request_id: Some("abc-1.2_3".to_owned()) };
        assert_eq!(told("10.0.0.0/8", &lines), believed);
        assert_eq!(told("192.168.0.0/16", &lines), Told::default());
    }

    #[test]
    fn an_id_that_is_not_one_short_word_is_not_passed_on() {
        let long = "a".repeat(MAX_ID_BYTES + 1);
        for id in ["", "a b", "a\"b", "a,b", "<a>", &long] {
            assert_eq!(told("10.0.0.0/8", &[("x-request-id", id)]).request_id, None, "{id}");
        }
        assert_eq!(told("10.0.0.0/8", &[("x-request-id", "a"), ("x-request-id", "b")]).request_id, None);
    }
}
