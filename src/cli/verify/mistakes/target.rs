//! Method, host, path and query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::super::draft::{Draft, replaced};
use super::{Mistake, mistake};

/// All but the unreserved characters of RFC 3986, and what separates.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'&').remove(b'=');

pub(super) const MISTAKES: &[Mistake] = &[
    mistake("signed the path decoded", "signs the path as it is sent", |d| d.path(|path| Some(percent_decode(path).collect()))),
    mistake("signed the path as it is sent", "signs the path as this scheme writes it", |d| {
        d.each(|facts, piece| (piece.name == "path").then(|| facts.path.clone().into_bytes()))
    }),
    mistake("signed the path percent-encoded once more", "signs the path as it is sent", |d| d.path(|path| Some(escaped_again(path)))),
    mistake("signed percent-encodings in lower case", "writes them as they are sent, in upper case", |d| {
        let path = d.path(|path| Some(hex_case(path, u8::to_ascii_lowercase)));
        d.query(|_, query| Some(hex_case(query, u8::to_ascii_lowercase))) | path
    }),
    mistake("signed percent-encodings in upper case", "writes them as they are sent, in lower case", |d| {
        let path = d.path(|path| Some(hex_case(path, u8::to_ascii_uppercase)));
        d.query(|_, query| Some(hex_case(query, u8::to_ascii_uppercase))) | path
    }),
    mistake("signed the path with a slash at its end", "signs the path as it is sent", |d| {
        d.path(|path| (!path.ends_with(b"/")).then(|| [path, b"/"].concat()))
    }),
    mistake("signed the path without the slash at its end", "signs the path as it is sent", |d| {
        d.path(|path| path.strip_suffix(b"/").map(<[u8]>::to_vec))
    }),
    mistake("signed the path without its query", "signs the query too", without_query),
    mistake("signed the whole URL in the place of the path", "signs the path alone", |d| {
        d.each(|facts, piece| (piece.name == "path").then(|| format!("https://{}{}", facts.host, facts.path).into_bytes()))
    }),
    mistake("signed the query with its parameters sorted", "signs them in the order in which they are sent", |d| {
        d.query(|_, query| Some(sorted(query)))
    }),
    mistake("signed the query with its parameters not sorted", "sorts them by name", |d| {
        d.query(|facts, query| (sorted(facts.query.as_bytes()) == query).then(|| facts.query.clone().into_bytes()))
    }),
    mistake("signed the query decoded", "signs the query as it is sent", |d| d.query(|_, query| Some(decoded(query)))),
    mistake("wrote a blank of the query as + instead of %20", "writes %20", |d| d.query(|_, query| replace_all(query, b"%20", b"+"))),
    mistake("wrote a blank of the query as %20 instead of +", "writes +", |d| d.query(|_, query| replace_all(query, b"+", b"%20"))),
    mistake("escaped more of the query than is sent escaped", "signs the query as it is sent", |d| d.query(|_, query| Some(escaped(query)))),
    mistake("left the = out of a parameter without a value", "writes it", |d| d.query(|_, query| without_empty(query))),
    mistake("signed the method in lower case", "signs it in upper case", |d| method(d, false)),
    mistake("signed the method in upper case", "signs it in lower case", |d| method(d, true)),
    mistake("signed a Host without its port", "signs the host as it is sent, with the port", |d| {
        d.host(|host| host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map(|(host, _)| host.to_owned()))
    }),
    mistake("signed a Host with the port 443", "leaves out the port, which https has anyway, or sends it too", |d| {
        d.host(|host| (!host.contains(':')).then(|| format!("{host}:443")))
    }),
    mistake("signed a Host with the port 8443", "sends the port too", |d| d.host(|host| (!host.contains(':')).then(|| format!("{host}:8443")))),
    mistake("signed a Host in lower case", "signs the host as it is sent", |d| d.host(|host| Some(host.to_ascii_lowercase()))),
    mistake("signed http:// in the place of https://", "signs the URL that it calls", |d| {
        d.each(|_, piece| replaced(&piece.bytes, b"https://", b"http://".to_vec()))
    }),
];

fn escaped_again(path: &[u8]) -> Vec<u8> {
    path.iter().flat_map(|byte| if *byte == b'%' { b"%25".to_vec() } else { vec![*byte] }).collect()
}

/// The digits of each escape in another case.
fn hex_case(text: &[u8], case: fn(&u8) -> u8) -> Vec<u8> {
    let mut left = 0_u8;
    let change = |byte: &u8| {
        let inside = left > 0;
        left = if *byte == b'%' { 2 } else { left.saturating_sub(1) };
        if inside { case(byte) } else { *byte }
    };
    text.iter().map(change).collect()
}

fn sorted(query: &[u8]) -> Vec<u8> {
    let mut pairs: Vec<&[u8]> = query.split(|b| *b == b'&').collect();
    pairs.sort_unstable();
    pairs.join(&b'&')
}

fn decoded(query: &[u8]) -> Vec<u8> {
    let blanks: Vec<u8> = query.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    percent_decode(&blanks).collect()
}

fn escaped(query: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = percent_decode(query).collect();
    percent_encode(&plain, IN_QUERY).to_string().into_bytes()
}

/// `None` where there is nothing to replace.
pub(super) fn replace_all(text: &[u8], wanted: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.to_vec();
    let mut done = Vec::new();
    while let Some(at) = rest.windows(wanted.len()).position(|window| window == wanted) {
        let after = rest.split_off(at);
        done.extend_from_slice(&rest);
        done.extend_from_slice(by);
        rest = after.get(wanted.len()..)?.to_vec();
    }
    if done.is_empty() { None } else { Some([done, rest].concat()) }
}

fn without_empty(query: &[u8]) -> Option<Vec<u8>> {
    let pairs: Vec<&[u8]> = query.split(|b| *b == b'&').map(|pair| pair.strip_suffix(b"=").unwrap_or(pair)).collect();
    Some(pairs.join(&b'&'))
}

fn without_query(d: &mut Draft<'_>) -> bool {
    let whole = d.each(|facts, piece| {
        let query = [b"?", facts.query.as_bytes()].concat();
        match piece.name.as_str() {
            "@target-uri" | "(request-target)" | "@request-target" | "request line" | "request target" | "url" if !facts.query.is_empty() => {
                replaced(&piece.bytes, &query, Vec::new())
            }
            "resource" => piece.bytes.split(|b| *b == b'?').next().map(<[u8]>::to_vec),
            _ => None,
        }
    });
    let mut parts = false;
    for at in 0..d.pieces.len() {
        let before = at.checked_sub(1);
        if let Some(query) = d.pieces.get_mut(at).filter(|piece| piece.name == "query" && !piece.bytes.is_empty()) {
            query.bytes.clear();
            parts = true;
            // The question mark goes with it.
            if let Some(path) = before.and_then(|before| d.pieces.get_mut(before)).filter(|path| path.end == b"?") {
                path.end.clear();
            }
        }
    }
    whole | parts
}

fn method(d: &mut Draft<'_>, upper: bool) -> bool {
    d.each(|facts, piece| {
        let (lower, upper) = (facts.method.to_ascii_lowercase(), if upper { facts.method.to_ascii_uppercase() } else { String::new() });
        let (from, to) = if upper.is_empty() { (facts.method.as_str(), lower) } else { (lower.as_str(), upper) };
        match piece.name.as_str() {
            "method" | "@method" => replaced(&piece.bytes, from.as_bytes(), to.into_bytes()),
            "(request-target)" | "@request-target" | "request line" | "request target" => {
                replaced(&piece.bytes, format!("{from} ").as_bytes(), format!("{to} ").into_bytes())
            }
            _ => None,
        }
    })
}
