//! The path: refused when two readers could understand it differently, else forwarded exactly as it came.
//!
//! Rules are matched against the percent-decoded path. What is refused here is every spelling by which an application, a
//! framework or a file system resolves a path to another one: dot segments, empty segments, encoded separators, path
//! parameters, control characters, encoded letters, double encoding, and segments that end in a dot or a blank (IIS).

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

use super::Unclean;

/// Path and query as sent. HTTP/2 can say `?x` alone: it would be signed as that and forwarded as `/?x`.
pub(super) fn take(uri: &Uri) -> Result<PathAndQuery, Unclean> {
    let target = uri.path_and_query().ok_or(Unclean::Target("there is none"))?;
    if target.as_str().starts_with('/') { Ok(target.clone()) } else { Err(Unclean::Target("it does not start with '/'")) }
}

/// Checks `path` as sent and returns it percent-decoded.
pub(super) fn decode_path(path: &str) -> Result<Cow<'_, str>, Unclean> {
    if !path.starts_with('/') {
        return Err(Unclean::Target("the path does not start with '/'"));
    }
    // The common path holds nothing to decode and nothing to doubt.
    let decoded = if path.contains('%') { Cow::Owned(percent_decode(path)?) } else { Cow::Borrowed(path) };
    if let Some(what) = decoded.bytes().find_map(refused_byte) {
        return Err(Unclean::Target(what));
    }
    if !path.is_ascii() {
        return Err(Unclean::Target("the path holds a raw byte outside ASCII"));
    }
    // What stands before a slash is the end of a segment. An empty last segment is a trailing slash; any other is "//".
    let mut before = 0;
    for byte in decoded.bytes() {
        if byte == b'/' && before == b'/' {
            return Err(Unclean::Target("the path holds an empty segment"));
        }
        if byte == b'/' && ends_badly(before) {
            return Err(Unclean::Target(BAD_END));
        }
        before = byte;
    }
    if ends_badly(before) { Err(Unclean::Target(BAD_END)) } else { Ok(decoded) }
}

/// Whether `path` has one meaning only, as `decode_path` judges it.
#[must_use]
pub fn path_is_clear(path: &str) -> bool {
    decode_path(path).is_ok()
}

const BAD_END: &str = "a segment of the path ends in a dot or a blank";

fn ends_badly(last: u8) -> bool {
    matches!(last, b'.' | b' ')
}

fn refused_byte(byte: u8) -> Option<&'static str> {
    match byte {
        b'\\' => Some("the path holds a backslash"),
        b';' => Some("the path holds a semicolon"),
        b'#' => Some("the path holds a number sign"),
        0..=0x1f | 0x7f => Some("the path holds a control character"),
        _ => None,
    }
}

fn percent_decode(path: &str) -> Result<String, Unclean> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let value = match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
            (Some(high), Some(low)) => high << 4 | low,
            _ => return Err(Unclean::Target("the path holds a broken percent escape")),
        };
        match value {
            b'/' | b'\\' => return Err(Unclean::Target("the path holds an encoded separator")),
            b'.' => return Err(Unclean::Target("the path holds an encoded dot")),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => return Err(Unclean::Target("the path holds an encoded letter or digit")),
            b'%' if bytes.clone().take(2).filter(|b| hex(*b).is_some()).count() == 2 => return Err(Unclean::Target("the path is encoded twice")),
            _ => decoded.push(value),
        }
    }
    String::from_utf8(decoded).map_err(|_| Unclean::Target("the path does not decode to UTF-8"))
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_is_a_path_and_perhaps_a_query() {
        let taken = |target: &str| {
            let mut parts = http::uri::Parts::default();
            (parts.scheme, parts.authority) = (Some(http::uri::Scheme::HTTPS), Some("a".parse().unwrap()));
            parts.path_and_query = Some(target.parse().unwrap());
            take(&Uri::from_parts(parts).unwrap()).is_ok()
        };
        assert!(taken("/") && taken("/?x") && taken("/a?b"));
        assert!(!taken("?x") && !taken("*"));
        assert!(take(&Uri::from_static("a:443")).is_err());
    }

    #[test]
    fn a_path_with_one_meaning_is_decoded() {
        for (path, decoded) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/caf%C3%A9/", "/café/"),
            ("/caf%c3%a9", "/café"),
            ("/a%20b", "/a b"),
            ("/100%25", "/100%"),
            ("/100%25/x", "/100%/x"),
            ("/a+b:c@d,e=f&g!h'i(j)*k~l_m-n$", "/a+b:c@d,e=f&g!h'i(j)*k~l_m-n$"),
            ("/.well-known/x", "/.well-known/x"),
            ("/what%3f", "/what?"),
            ("/v1.2/a.b", "/v1.2/a.b"),
            ("/%7Euser", "/~user"),
        ] {
            assert_eq!(decode_path(path).ok().as_deref(), Some(decoded), "{path}");
        }
    }

    #[test]
    fn a_path_that_two_readers_could_understand_differently_is_refused() {
        for path in [
            "",
            "*",
            "admin",
            "//",
            "//evil.com/",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/./a",
            "/../a",
            "/a/..",
            "/a/../b",
            "/a/.",
            "/a/...",
            "/%2e",
            "/%2E%2e/a",
            "/a%2e",
            "/.%2e/a",
            "/a\\b",
            "/a%5cb",
            "/a%5Cb",
            "/a%2fb",
            "/a%2Fb",
            "/a;b",
            "/a;b=c/d",
            "/..;/a",
            "/a%3bb",
            "/a%3Bb=c",
            "/a%00",
            "/a%0d%0a",
            "/a%1f",
            "/a%7f",
            "/%61dmin",
            "/%41",
            "/%30",
            "/a%252e",
            "/a%252fb",
            "/a%2561",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%C0%AE",
            "/a%c0%af",
            "/a%ff",
            "/a%ed%a0%80",
            "/a./b",
            "/a.",
            "/a%20",
            "/a%20/b",
            "/a#b",
            "/a%23b",
            "/caf\u{e9}",
        ] {
            assert!(decode_path(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_accepted_path_resolves_to_another_one(path in "/[a-z%2eEfF5cC.;/\\\\]{0,12}") {
            if let Ok(decoded) = decode_path(&path) {
                let resolves_to_itself = decoded.split('/').all(|s| s != "." && s != "..") && !decoded.contains("//") && !decoded.contains('\\');
                prop_assert!(resolves_to_itself);
                prop_assert_eq!(decoded.matches('/').count(), path.matches('/').count());
            }
        }

        #[test]
        fn no_path_makes_it_panic(path in ".*") {
            let _ = decode_path(&path);
        }
    }
}
