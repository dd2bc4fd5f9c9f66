//! `Content-Digest`, RFC 9530: the hash of the body's bytes as they travel.

use http::HeaderMap;

use super::component::CONTENT_DIGEST;
use super::dictionary;
use crate::auth::Refusal;
use crate::payload::{Algorithm, Digests};

/// What the body is said to be; `None` when the field is not there, or says nothing that can be checked: algorithms that are not
/// known, or that are broken (`md5`, `sha`), are passed over.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Digests>, Refusal> {
    let Some(members) = dictionary::read(headers, &CONTENT_DIGEST)? else { return Ok(None) };
    let mut digests = None;
    for member in members {
        let bytes = member.bytes().ok_or(Refusal::Malformed("Content-Digest holds something that is not a byte sequence"))?;
        let (algorithm, length) = match member.key.as_str() {
            "sha-256" => (Algorithm::Sha256, 32),
            "sha-512" => (Algorithm::Sha512, 64),
            _ => continue,
        };
        if bytes.len() != length {
            return Err(Refusal::Malformed("a digest of Content-Digest is not as long as its algorithm makes it"));
        }
        digests = Some(digests.unwrap_or_else(Digests::default).and(algorithm, bytes));
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_says_what_the_body_is_or_nothing() {
        let read = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (CONTENT_DIGEST, line.parse().unwrap())).fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            });
            super::read(&headers).map(|digests| digests.map(|digests| format!("{digests:?}"))).ok()
        };
        let (short, long) = ("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", format!("sha-512=:{}==:", "A".repeat(86)));
        for (lines, expected) in [
            (&[][..], Some(None)),
            (&["md5=:AQI=:"], Some(None)),
            (&[short], Some(Some("Digests(1)".to_owned()))),
            (&[short, long.as_str()], Some(Some("Digests(2)".to_owned()))),
            (&[short, "md5=:AQI=:"], Some(Some("Digests(1)".to_owned()))),
            (&[short, short], None),
            (&["sha-256=:AQI=:"], None),
            (&["sha-512=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"], None),
            (&["sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="], None),
            (&["sha-256=\"x\""], None),
            (&["sha-256"], None),
            (&["sha-256=()"], None),
            (&["md5=x"], None),
            (&["SHA-256=:AQI=:"], None),
        ] {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }
}
