//! `Digest: SHA-256=BASE64` (RFC 3230): what the body is said to be.

use sha2::{Digest as _, Sha256, Sha512};

use crate::auth::Refusal;
use crate::auth::signing::tag_of_any_length as tag;

/// What a header says of the body; at least one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests {
    sha256: Option<Vec<u8>>,
    sha512: Option<Vec<u8>>,
}

/// The hashes of a body that is being read.
#[derive(Debug)]
pub(super) struct Hashes {
    sha256: Option<(Sha256, Vec<u8>)>,
    sha512: Option<(Sha512, Vec<u8>)>,
}

impl Digests {
    /// Reads the header. Each of SHA-256 and SHA-512 at most once, in any case; any other, which would go unread, is refused.
    pub(super) fn read(value: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed("Digest is not SHA-256=BASE64 or SHA-512=BASE64");
        let text = std::str::from_utf8(value).map_err(|_| malformed.clone())?;
        let mut found = Self { sha256: None, sha512: None };
        for one in text.split(',') {
            let (name, value) = one.trim_matches([' ', '\t']).split_once('=').ok_or_else(|| malformed.clone())?;
            let (place, length) = match name.to_ascii_lowercase().as_str() {
                "sha-256" => (&mut found.sha256, 32),
                "sha-512" => (&mut found.sha512, 64),
                _ => return Err(malformed),
            };
            let value = tag(value).filter(|value| value.len() == length).ok_or_else(|| malformed.clone())?;
            if place.replace(value).is_some() {
                return Err(malformed);
            }
        }
        Ok(found)
    }

    /// Begins to check a body.
    pub(super) fn begin(&self) -> Hashes {
        Hashes { sha256: self.sha256.clone().map(|said| (Sha256::new(), said)), sha512: self.sha512.clone().map(|said| (Sha512::new(), said)) }
    }
}

impl Hashes {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some((hash, _)) = &mut self.sha256 {
            hash.update(bytes);
        }
        if let Some((hash, _)) = &mut self.sha512 {
            hash.update(bytes);
        }
    }

    /// Whether the body is the one that was said; by every hash that was.
    pub(super) fn match_all(self) -> bool {
        self.sha256.is_none_or(|(hash, said)| hash.finalize().as_slice() == said)
            && self.sha512.is_none_or(|(hash, said)| hash.finalize().as_slice() == said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    const SHA512: &str = "SHA-512=WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==";

    fn matches(header: &str, body: &[u8]) -> bool {
        let mut hashes = Digests::read(header.as_bytes()).unwrap().begin();
        body.chunks(4).for_each(|chunk| hashes.update(chunk));
        hashes.match_all()
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
            assert!(Digests::read(header.as_bytes()).is_err(), "{header}");
        }
    }
}
