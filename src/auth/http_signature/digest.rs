//! `Digest: SHA-256=BASE64` (RFC 3230): what the body is said to be.

use crate::auth::Refusal;
use crate::auth::signing::tag_of_any_length as tag;
use crate::payload::{Algorithm, Digests};

/// Reads the header. Each of SHA-256 and SHA-512 at most once, in any case; any other, which would go unread, is refused.
pub(super) fn read(value: &[u8]) -> Result<Digests, Refusal> {
    let malformed = Refusal::Malformed("Digest is not SHA-256=BASE64 or SHA-512=BASE64");
    let text = std::str::from_utf8(value).map_err(|_| malformed.clone())?;
    let (mut digests, mut seen) = (Digests::default(), Vec::new());
    for one in text.split(',').take(3) {
        let (name, value) = one.trim_matches([' ', '\t']).split_once('=').ok_or_else(|| malformed.clone())?;
        let (algorithm, length) = match name.to_ascii_lowercase().as_str() {
            "sha-256" => (Algorithm::Sha256, 32),
            "sha-512" => (Algorithm::Sha512, 64),
            _ => return Err(malformed),
        };
        let value = tag(value).filter(|value| value.len() == length && !seen.contains(&length)).ok_or_else(|| malformed.clone())?;
        seen.push(length);
        digests = digests.and(algorithm, &value);
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::payload::{BodyCheck as _, Ready};

    const SHA256: &str = "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    const SHA512: &str = "SHA-512=WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==";

    fn matches(header: &str, body: &[u8]) -> bool {
        let (mut digests, mut ready) = (read(header.as_bytes()).unwrap(), Ready::default());
        body.chunks(4).all(|chunk| digests.take(Bytes::copy_from_slice(chunk), &mut ready).is_ok()) && digests.end(&mut ready).is_ok()
    }

    /// The body and its values are those of RFC 5843 and draft-cavage-http-signatures, appendix C.
    #[test]
    fn a_body_is_measured_by_every_hash_that_is_named() {
        let body = br#"{"hello": "world"}"#;
        for header in [SHA256, SHA512, &format!("{SHA256},{SHA512}"), &format!("{SHA512} , {SHA256}"), &SHA256.replace("SHA", "sha")] {
            assert!(matches(header, body), "{header}");
            assert!(!matches(header, b"{\"hello\": \"World\"}") && !matches(header, b""), "{header}");
        }
        let empty = "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(matches(empty, b""));
        assert!(!matches(&format!("{empty},{SHA512}"), body), "each counts");
    }

    #[test]
    fn a_header_that_says_less_or_more_is_refused() {
        for header in [
            "",
            "SHA-256",
            "SHA-256=",
            "SHA-256=AAAA",
            "MD5=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
            "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
            &format!("{SHA256},{SHA256}"),
            &format!("{SHA256},"),
            &format!("{SHA256},MD5=AAAA"),
            &format!("{SHA256}\n"),
            &SHA256.replace("SHA-256", "SHA-512"),
            &SHA256.replace("BPE=", "BPF="),
        ] {
            assert!(read(header.as_bytes()).is_err(), "{header}");
        }
    }
}
