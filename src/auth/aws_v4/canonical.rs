//! The signed bytes.
//!
//! ```text
//! PUT                                          METHOD
//! /bucket/a%20file                             the path as sent; for services other than S3 escaped once more
//! acl=&partNumber=3                            the query, sorted
//! host:app.example.com                         the signed headers: trimmed, runs of blanks made one, lines joined by ','
//! x-amz-date:20261122T083000Z
//!
//! host;x-amz-date                              their names
//! e3b0c442…                                    the body's SHA-256, or a word that stands for it
//! ```
//!
//! There is no path normalisation: a path that it would change is not let in at all.

use http::{HeaderMap, Method};

use crate::auth::Refusal;
use crate::inbound::Inbound;

/// What a signature may cover.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub method: &'a Method,
    /// As sent.
    pub path: &'a str,
    /// As sent, without `?`.
    pub query: Option<&'a str>,
    /// `Host` or `:authority` as sent.
    pub host: &'a [u8],
    /// The body's length, where the client said it.
    pub length: Option<u64>,
    pub headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    /// `length` is the body's, where the client said it: the header itself is gone by now.
    pub(super) fn of(inbound: &'a Inbound, length: Option<u64>) -> Self {
        let host = inbound.host().raw.as_bytes();
        Self { method: inbound.method(), path: inbound.path(), query: inbound.query(), host, length, headers: inbound.headers() }
    }

    /// The one value of a header, or `None`.
    pub(super) fn one(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Refusal::Malformed("a header holds bytes outside visible ASCII")),
            (Some(_), Some(_)) => Err(Refusal::Malformed("a header that the signature needs is there more than once")),
        }
    }

    /// The canonical request up to the body's hash, which the caller appends. `signed` are the names of the signed headers;
    /// `twice` says that the path is escaped once more.
    pub(super) fn canonical(&self, signed: &str, twice: bool) -> Result<Vec<u8>, Refusal> {
        let mut all = Vec::with_capacity(512);
        all.extend_from_slice(self.method.as_str().as_bytes());
        all.push(b'\n');
        escape(self.path, |b| b == b'/' || (b == b'%' && !twice), &mut all);
        all.push(b'\n');
        query(self.query, &mut all)?;
        all.push(b'\n');
        for name in signed.split(';') {
            self.header(name, &mut all)?;
        }
        all.push(b'\n');
        all.extend_from_slice(signed.as_bytes());
        all.push(b'\n');
        Ok(all)
    }

    fn header(&self, name: &str, all: &mut Vec<u8>) -> Result<(), Refusal> {
        all.extend_from_slice(name.as_bytes());
        all.push(b':');
        match name {
            "host" => folded(self.host, all),
            "content-length" => match self.length {
                Some(length) => all.extend_from_slice(length.to_string().as_bytes()),
                None => return Err(Refusal::Malformed("it signs a Content-Length that it does not have")),
            },
            _ => {
                let mut values = self.headers.get_all(name).iter().peekable();
                if values.peek().is_none() {
                    return Err(Refusal::Malformed("it signs a header that did not arrive"));
                }
                while let Some(value) = values.next() {
                    folded(value.as_bytes(), all);
                    if values.peek().is_some() {
                        all.push(b',');
                    }
                }
            }
        }
        all.push(b'\n');
        Ok(())
    }

    /// Makes sure that the signature covers what it has to: the host, each header of Amazon's, and each that an application would
    /// fold into such a one (`x_amz_acl`).
    pub(super) fn covered_by(&self, signed: &str, also: &[&str]) -> Result<(), Refusal> {
        // Each name stands for a header; a list that could not be whole is not compared with all of them.
        if signed.split(';').count() > self.headers.keys_len().saturating_add(2) {
            return Err(Refusal::Malformed("it signs a header that did not arrive"));
        }
        let is_signed = |name: &str| signed.split(';').any(|signed| signed == name);
        if !is_signed("host") {
            return Err(Refusal::Malformed("the host is not signed"));
        }
        for name in self.headers.keys().map(http::HeaderName::as_str) {
            let folded = name.bytes().take(6).map(|b| if b.is_ascii_alphanumeric() { b } else { b'-' }).eq(*b"x-amz-");
            if (folded || also.contains(&name)) && !is_signed(name) {
                return Err(Refusal::Malformed("a header that has to be signed is not"));
            }
        }
        Ok(())
    }
}

/// Trimmed, and each run of blanks made one. Blanks alone: that is how Amazon does it.
fn folded(value: &[u8], all: &mut Vec<u8>) {
    let start = all.len();
    for byte in value {
        let blank = *byte == b' ' && (all.len() == start || all.last() == Some(&b' '));
        if !blank {
            all.push(*byte);
        }
    }
    if all.len() > start && all.last() == Some(&b' ') {
        all.pop();
    }
}

/// The query without the signature itself, sorted by name and value. Escapes stay as they were sent, what should have been
/// escaped is. What Amazon's rule would let be changed unnoticed is refused: see `docs/signatures.md`.
fn query(query: Option<&str>, all: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>, usize)> = Vec::new();
    // An empty query is none, to Amazon's clients too.
    for (at, part) in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')).enumerate() {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.is_empty() {
            return Err(Refusal::Malformed("a query parameter without a name"));
        }
        if name != super::query::SIGNATURE {
            pairs.push((parameter(name)?, parameter(value)?, at));
        }
    }
    pairs.sort_unstable();
    for (index, (name, value, at)) in pairs.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| pairs.get(before));
        if before.is_some_and(|(other, _, earlier)| other == name && earlier > at) {
            return Err(Refusal::Malformed("a repeated query parameter, not in the order that is signed"));
        }
        if index > 0 {
            all.push(b'&');
        }
        all.extend_from_slice(name);
        all.push(b'=');
        all.extend_from_slice(value);
    }
    Ok(())
}

/// A name or value of the query. A raw `+` is a blank to those who read forms, and so it is signed; a raw `;` ends a parameter to
/// some of them.
fn parameter(text: &str) -> Result<Vec<u8>, Refusal> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b';' || (byte == b'%' && !(hex(bytes.next()) && hex(bytes.next()))) {
            return Err(Refusal::Malformed("a query parameter that could be read in two ways"));
        }
    }
    let mut escaped = Vec::with_capacity(text.len());
    for (at, piece) in text.split('+').enumerate() {
        if at > 0 {
            escaped.extend_from_slice(b"%20");
        }
        escape(piece, |b| b == b'%', &mut escaped);
    }
    Ok(escaped)
}

/// Writes `%XX` for each byte but the unreserved ones of RFC 3986 and those to keep.
fn escape(text: &str, keep: impl Fn(u8) -> bool, all: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || keep(byte) {
            all.push(byte);
        } else {
            let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or_default();
            all.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Result<String, Refusal> {
        let mut all = Vec::new();
        query(Some(text), &mut all).map(|()| String::from_utf8(all).unwrap())
    }

    #[test]
    fn a_query_is_sorted_and_escaped() {
        for (sent, want) in [
            ("", ""),
            ("acl", "acl="),
            ("b=2&a=1", "a=1&b=2"),
            ("a=1&a=2", "a=1&a=2"),
            ("a=b=c", "a=b%3Dc"),
            ("q=a+b%20c%2B", "q=a%20b%20c%2B"),
            ("p=/x:y@z,~", "p=%2Fx%3Ay%40z%2C~"),
            ("a-b=1&a=2&a.b=3", "a=2&a-b=1&a.b=3"),
            ("X-Amz-Signature=0&a=1", "a=1"),
        ] {
            assert_eq!(written(sent).as_deref(), Ok(want), "{sent}");
        }
    }

    #[test]
    fn what_could_be_changed_unnoticed_or_read_in_two_ways_is_refused() {
        for sent in ["&", "a=1&", "&a=1", "a&&b", "=1", "a=2&a=1", "b=1&a=3&b=0", "a;b", "a=1;b", "a=%", "a=%4", "a=%zz", "%g0=1"] {
            assert!(written(sent).is_err(), "{sent}");
        }
    }

    #[test]
    fn a_path_is_escaped_once_more_where_that_is_the_rule() {
        for (sent, once, twice) in [("/", "/", "/"), ("/a%20b/~", "/a%20b/~", "/a%2520b/~"), ("/(a)@b", "/%28a%29%40b", "/%28a%29%40b")] {
            for (is_twice, want) in [(false, once), (true, twice)] {
                let mut all = Vec::new();
                escape(sent, |b| b == b'/' || (b == b'%' && !is_twice), &mut all);
                assert_eq!(all, want.as_bytes(), "{sent}");
            }
        }
    }

    #[test]
    fn blanks_of_a_value_are_folded_and_nothing_else_is() {
        for (value, want) in
            [("", ""), ("   ", ""), ("a", "a"), ("  a   b  ", "a b"), ("\"a   b\"", "\"a b\""), ("\ta \t b\t", "\ta \t b\t"), ("a  ", "a")]
        {
            let mut all = b"x ".to_vec();
            folded(value.as_bytes(), &mut all);
            assert_eq!(all, [b"x ", want.as_bytes()].concat(), "{value:?}");
        }
    }

    proptest! {
        /// Two queries with one canonical form hold the same parameters, read as a form, in the same order for each name.
        #[test]
        fn queries_with_one_canonical_form_say_the_same(a in "[ab=&+;%2015Bc]{0,12}", b in "[ab=&+;%2015Bc]{0,12}") {
            let read = |text: &str| {
                let mut all: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
                all.sort_by(|x, y| x.0.cmp(&y.0));
                all
            };
            if let (Ok(x), Ok(y)) = (written(&a), written(&b)) && x == y {
                prop_assert_eq!(read(&a), read(&b));
            }
        }
    }
}
