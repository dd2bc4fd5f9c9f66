//! What a request says its body is.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::canonical::Head;
use super::request::unhex;
use crate::auth::Refusal;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKS_AND_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_AND_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What a request says its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The body with this SHA-256.
    Digest([u8; 32]),
    /// Any body: it is not signed.
    Unsigned,
    /// Nothing: what arrives is what was signed.
    Unsaid,
    /// `aws-chunked`.
    Chunks(Chunks),
}

/// How an `aws-chunked` body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    /// Whether each chunk, and the trailer, has a signature of its own.
    pub signed: bool,
    /// Whether checksums follow the last chunk.
    pub trailer: bool,
    /// Bytes of the body once it is decoded.
    pub length: u64,
}

impl Content {
    /// Reads a value of `x-amz-content-sha256`.
    pub(super) fn read(value: Option<&str>, head: &Head<'_>) -> Result<Option<Self>, Refusal> {
        let chunks = |signed, trailer| Ok(Some(Self::Chunks(Chunks { signed, trailer, length: decoded_length(head)? })));
        match value {
            None => Ok(None),
            Some(UNSIGNED) => Ok(Some(Self::Unsigned)),
            Some(CHUNKS) => chunks(true, false),
            Some(CHUNKS_AND_TRAILER) => chunks(true, true),
            Some(UNSIGNED_AND_TRAILER) => chunks(false, true),
            Some(hash) => {
                unhex(hash).map(|hash| Some(Self::Digest(hash))).ok_or(Refusal::Malformed("x-amz-content-sha256 is neither a hash nor a known word"))
            }
        }
    }

    /// As it is signed; `found` is the hash of the body that arrived, where nothing is said.
    pub(super) fn text(&self, found: &[u8; 32]) -> String {
        match self {
            Self::Digest(hash) => super::request::hex(hash),
            Self::Unsaid => super::request::hex(found),
            Self::Unsigned => UNSIGNED.to_owned(),
            Self::Chunks(Chunks { signed: true, trailer: false, .. }) => CHUNKS.to_owned(),
            Self::Chunks(Chunks { signed: true, trailer: true, .. }) => CHUNKS_AND_TRAILER.to_owned(),
            Self::Chunks(Chunks { signed: false, .. }) => UNSIGNED_AND_TRAILER.to_owned(),
        }
    }
}

fn decoded_length(head: &Head<'_>) -> Result<u64, Refusal> {
    let text = head.one("x-amz-decoded-content-length")?.unwrap_or_default();
    let canonical = text == "0" || (text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') && text.len() <= 18);
    text.parse().ok().filter(|_| canonical).ok_or(Refusal::Malformed("x-amz-decoded-content-length is not a plain number"))
}

/// Takes away what spoke of the framing that the application does not see: `aws-chunked`, and Amazon's headers about it.
pub(super) fn decoded(headers: &mut HeaderMap) {
    for name in ["x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"] {
        headers.remove(name);
    }
    let codings: Vec<HeaderValue> = headers.get_all(CONTENT_ENCODING).iter().filter_map(without_chunks).collect();
    headers.remove(CONTENT_ENCODING);
    for coding in codings {
        headers.append(CONTENT_ENCODING, coding);
    }
}

/// The codings of one line but `aws-chunked`; `None` where nothing is left.
fn without_chunks(line: &HeaderValue) -> Option<HeaderValue> {
    let is_chunks = |coding: &&[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"aws-chunked");
    if !line.as_bytes().split(|b| *b == b',').any(|coding| is_chunks(&coding)) {
        return Some(line.clone());
    }
    let kept: Vec<&[u8]> = line
        .as_bytes()
        .split(|b| *b == b',')
        .filter(|coding| !is_chunks(coding))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty())
        .collect();
    // A part of a valid value is a valid value.
    (!kept.is_empty()).then(|| HeaderValue::from_bytes(&kept.join(&b", "[..])).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn read(value: &str, length: &str) -> Result<Option<Content>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-decoded-content-length", HeaderValue::from_str(length).unwrap());
        Content::read(Some(value), &Head { method: &Method::PUT, path: "/", query: None, host: b"h", length: None, headers: &headers })
    }

    #[test]
    fn a_body_is_a_hash_or_one_of_four_words() {
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for value in [hash, UNSIGNED, CHUNKS, CHUNKS_AND_TRAILER, UNSIGNED_AND_TRAILER] {
            let content = read(value, "66560").unwrap().unwrap();
            assert_eq!(content.text(&[0; 32]), value, "what is read is what is signed");
            assert!(!matches!(content, Content::Chunks(chunks) if chunks.length != 66_560));
        }
        assert_eq!(Content::Unsaid.text(&[0xab; 32]), "ab".repeat(32));
        for value in
            ["", "unsigned-payload", "STREAMING-UNSIGNED-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", &hash.to_uppercase(), &hash[1..]]
        {
            assert!(read(value, "1").is_err(), "{value}");
        }
        for length in ["", "-1", "+1", "01", "1.0", "0x10", "1e3", "1000000000000000000", "99999999999999999999", " 1"] {
            assert!(read(CHUNKS, length).is_err(), "{length}");
        }
    }

    #[test]
    fn the_framing_is_taken_off_and_other_codings_stay() {
        for (lines, want) in [
            (&["aws-chunked"][..], &[][..]),
            (&["aws-chunked,gzip"], &["gzip"]),
            (&["gzip, AWS-Chunked , br"], &["gzip, br"]),
            (&["gzip", "aws-chunked"], &["gzip"]),
            (&["gzip,, br"], &["gzip,, br"]),
            (&["x-aws-chunked"], &["x-aws-chunked"]),
            (&[], &[]),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(line));
            }
            headers.append("x-amz-trailer", HeaderValue::from_static("x"));
            headers.append("x-amz-acl", HeaderValue::from_static("private"));
            decoded(&mut headers);
            let have: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!((have, headers.len()), (want.to_vec(), want.len() + 1), "{lines:?}");
        }
    }
}
