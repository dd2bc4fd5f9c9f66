//! Which parts of a signed text are credentials: those that no log shows, not even while a key is debugged.

use std::borrow::Cow;

use super::spelling::unescape;
use super::text::header_line;

/// Words in the names of headers and query parameters that hold credentials.
const WORDS: [&str; 8] = ["authorization", "cookie", "token", "secret", "password", "passwd", "api-key", "api_key"];

/// Whether a header or query parameter of this name holds a credential.
fn is_credential(name: &[u8]) -> bool {
    let decoded = unescape(name).unwrap_or_else(|| name.to_vec());
    let name = String::from_utf8_lossy(&decoded).to_ascii_lowercase();
    let signature = name == "signature" || name == "_s" || name.ends_with("-signature") || name.ends_with("_signature");
    signature || WORDS.iter().any(|word| name.contains(word))
}

/// A part of a signed text without its credentials: `authorization: <25 bytes>`, `access_token=<40 bytes>`.
pub(super) fn redacted<'a>(name: &str, part: &'a [u8]) -> Cow<'a, [u8]> {
    let named = name.strip_prefix("header ").or_else(|| name.strip_prefix("query-param "));
    if let Some(named) = named.filter(|named| is_credential(named.as_bytes())) {
        // Of a line that does not begin with its name, all is the value.
        let label = if header_line(part).as_deref() == Some(named) { named.len() + 1 } else { 0 };
        let (label, value) = part.split_at_checked(label).unwrap_or((b"", part));
        return Cow::Owned([label, hidden(value).as_bytes()].concat());
    }
    if name == "signature before" {
        return Cow::Owned(hidden(part).into_bytes());
    }
    if !part.contains(&b'=') {
        return Cow::Borrowed(part);
    }
    let mut clean = Vec::with_capacity(part.len());
    for pair in part.split_inclusive(|b| b"?&; ".contains(b)) {
        let end = pair.len().saturating_sub(usize::from(pair.last().is_some_and(|b| b"?&; ".contains(b))));
        let (pair, border) = pair.split_at_checked(end).unwrap_or((pair, b""));
        match pair.iter().position(|b| *b == b'=').and_then(|at| pair.split_at_checked(at)) {
            Some((name, value)) if is_credential(name) => {
                clean.extend_from_slice(name);
                clean.push(b'=');
                clean.extend_from_slice(hidden(value.get(1..).unwrap_or_default()).as_bytes());
            }
            Some(_) | None => clean.extend_from_slice(pair),
        }
        clean.extend_from_slice(border);
    }
    Cow::Owned(clean)
}

fn hidden(value: &[u8]) -> String {
    format!("<{} bytes>", value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_credential_is_not_shown() {
        for (name, part, shown) in [
            ("method", "GET", "GET"),
            ("header authorization", "authorization: Bearer abc", "authorization:<11 bytes>"),
            ("header x-api-key", "k3y", "<3 bytes>"),
            ("header cookie", "a=b: c", "<6 bytes>"),
            ("header x-amz-security-token", "x-amz-security-token:abc", "x-amz-security-token:<3 bytes>"),
            ("header x-date", "x-date: now", "x-date: now"),
            ("header signature", "signature: abc", "signature:<4 bytes>"),
            ("signature before", "ad80", "<4 bytes>"),
            ("query", "a=1&access_token=abc&b=2", "a=1&access_token=<3 bytes>&b=2"),
            ("query", "%61ccess_token=abc", "%61ccess_token=<3 bytes>"),
            ("query", "X-Amz-Security-Token=abc%3D&X-Amz-SignedHeaders=host", "X-Amz-Security-Token=<6 bytes>&X-Amz-SignedHeaders=host"),
            ("request target", "get /x?password=abc HTTP/1.1", "get /x?password=<3 bytes> HTTP/1.1"),
            ("query", "apikey=KEY&timestamp=1", "apikey=KEY&timestamp=1"),
            ("@target-uri", "\"@target-uri\": https://h/x?token=abc", "\"@target-uri\": https://h/x?token=<3 bytes>"),
            ("@signature-params", "\"@signature-params\": (\"@method\");keyid=\"k\"", "\"@signature-params\": (\"@method\");keyid=\"k\""),
        ] {
            assert_eq!(String::from_utf8_lossy(&redacted(name, part.as_bytes())), shown, "{name} {part}");
        }
    }
}
