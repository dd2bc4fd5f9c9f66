//! `X-Doorward-Signature`: an HMAC over the user's name and the request that it was written on.
//!
//! ```text
//! X-Doorward-Signature: v1;t=UNIX_SECONDS;k=KEY_ID;s=base64url(HMAC-SHA256(key, document))
//!
//! document  = "v1" LF t LF METHOD LF TARGET LF USER
//! ```
//!
//! TARGET is the path and query as sent upstream, USER the bytes of the user header. None of the five can hold a line feed
//! but USER, which is last: two requests never have one document.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;

use crate::types::Secret;

/// One MAC, waiting for its document.
pub(super) type State = Hmac<Sha256>;

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not `v1;t=…;k=…;s=…`.
    #[error("the signature is not of the form v1;t=SECONDS;k=KEY;s=SIGNATURE")]
    Malformed,
    /// Made by a key that is not configured.
    #[error("no key of that name is configured")]
    UnknownKey,
    /// Made too long ago, or in the future; holds its age in seconds.
    #[error("the signature is {0} s old")]
    Age(i64),
    /// Not the MAC of this request and user.
    #[error("the signature does not match the request and the user")]
    Wrong,
}

/// What a signature header says of itself; nothing is verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Unix seconds.
    pub time: i64,
    /// The key's id.
    pub key: &'a str,
    /// The MAC.
    pub tag: [u8; 32],
}

/// The length of a header but for time and key's id: of `v1;t=;k=;s=` and 43 characters of a MAC.
const BUT_TIME_AND_KEY: usize = 11 + 43;

/// The key made ready; `None` for an empty one.
pub(super) fn prepare(secret: &Secret) -> Option<State> {
    State::new_from_slice(secret.expose()).ok().filter(|_| !secret.is_empty())
}

/// The value of the header. `user` is what the user header holds.
pub(super) fn sign(state: &State, key: &str, method: &str, target: &str, user: &[u8], now: i64) -> Option<HeaderValue> {
    let mut digits = itoa::Buffer::new();
    let time = digits.format(now);
    let tag = fed(state, time, method, target, user).finalize().into_bytes();
    // Without format!, which costs more than all else here but the MAC, and with room for just so much: a header's value takes it
    // over as it is.
    let mut text = Vec::with_capacity(BUT_TIME_AND_KEY + time.len() + key.len());
    for part in ["v1;t=", time, ";k=", key, ";s="] {
        text.extend_from_slice(part.as_bytes());
    }
    let mut encoded = [0; 43];
    URL_SAFE_NO_PAD.encode_slice(tag, &mut encoded).ok()?;
    text.extend_from_slice(&encoded);
    HeaderValue::try_from(text).ok()
}

/// Verifies the header of a request that reached an application: `user` is what the user header holds, `target` path and
/// query as the application received them, `now` Unix seconds. Older than `max_age` seconds, or as far in the future, is
/// refused. The MAC is compared in constant time. Says nothing of which key the header names: see [`parse`].
pub fn verify_hmac(secret: &Secret, header: &str, method: &str, target: &str, user: &[u8], now: i64, max_age: i64) -> Result<(), SignatureError> {
    verify(&prepare(secret).ok_or(SignatureError::UnknownKey)?, header, method, target, user, now, max_age)
}

pub(super) fn verify(state: &State, header: &str, method: &str, target: &str, user: &[u8], now: i64, max_age: i64) -> Result<(), SignatureError> {
    let parsed = parse(header)?;
    // Not verified by its number but by its text: parsing has made sure that there is one text for each number.
    fed(state, &parsed.time.to_string(), method, target, user).verify_slice(&parsed.tag).map_err(|_| SignatureError::Wrong)?;
    let age = now.saturating_sub(parsed.time);
    if age.unsigned_abs() > max_age.unsigned_abs() { Err(SignatureError::Age(age)) } else { Ok(()) }
}

/// Reads the header: its four parts, in their order, each once.
pub fn parse(header: &str) -> Result<Parsed<'_>, SignatureError> {
    let parts = || {
        let rest = header.strip_prefix("v1;t=")?;
        let (time, rest) = rest.split_once(";k=")?;
        let (key, tag) = rest.split_once(";s=")?;
        let canonical = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit()) && (time == "0" || !time.starts_with('0'));
        let time = time.parse().ok().filter(|_| canonical)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?.try_into().ok()?;
        valid_key_id(key).then_some(Parsed { time, key, tag })
    };
    parts().ok_or(SignatureError::Malformed)
}

/// Whether `id` may name a key: it is written into headers and tokens as it is.
pub(super) fn valid_key_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn fed(state: &State, time: &str, method: &str, target: &str, user: &[u8]) -> State {
    let mut mac = state.clone();
    for bytes in [b"v1\n", time.as_bytes(), b"\n", method.as_bytes(), b"\n", target.as_bytes(), b"\n", user] {
        mac.update(bytes);
    }
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Vector {
        secret_hex: String,
        key_id: String,
        t: i64,
        method: String,
        target: String,
        user: String,
        header: String,
    }

    fn vectors() -> Vec<(Secret, Vector)> {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/identity-hmac.json")).unwrap();
        let unhex = |hex: &str| (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect::<Vec<_>>();
        vectors.into_iter().map(|vector| (Secret::new(unhex(&vector.secret_hex)), vector)).collect()
    }

    #[test]
    fn every_vector_is_signed_and_verified() {
        assert_eq!(vectors().len(), 3);
        for (secret, v) in vectors() {
            let header = sign(&prepare(&secret).unwrap(), &v.key_id, &v.method, &v.target, v.user.as_bytes(), v.t).unwrap();
            assert_eq!(header.to_str().unwrap(), v.header);
            for (now, good) in [(v.t - 61, false), (v.t - 60, true), (v.t, true), (v.t + 60, true), (v.t + 61, false), (i64::MIN, false)] {
                let said = verify_hmac(&secret, &v.header, &v.method, &v.target, v.user.as_bytes(), now, 60);
                assert_eq!(said.is_ok(), good, "{now}: {said:?}");
            }
            assert_eq!(parse(&v.header).unwrap().key, v.key_id);
        }
    }

    #[test]
    fn a_signature_of_something_else_is_wrong() {
        let (secret, v) = vectors().remove(1);
        let said = |method: &str, target: &str, user: &str| verify_hmac(&secret, &v.header, method, target, user.as_bytes(), v.t, 60);
        assert_eq!(said(&v.method, &v.target, &v.user), Ok(()));
        for (method, target, user) in [
            ("GET", v.target.as_str(), v.user.as_str()),
            ("POST", "/api/accounts/?page=3", &v.user),
            ("POST", "/api/accounts/", &v.user),
            ("POST", &v.target, "root"),
            ("POST", &v.target, ""),
            ("POST", &v.target, "kirit@example.com\n"),
            ("POST\n/api", "accounts/?page=2", &v.user),
        ] {
            assert_eq!(said(method, target, user), Err(SignatureError::Wrong), "{method} {target} {user}");
        }
        assert_eq!(verify_hmac(&Secret::new("other"), &v.header, &v.method, &v.target, v.user.as_bytes(), v.t, 60), Err(SignatureError::Wrong));
        assert_eq!(verify_hmac(&Secret::new(""), &v.header, &v.method, &v.target, v.user.as_bytes(), v.t, 60), Err(SignatureError::UnknownKey));
    }

    #[test]
    fn a_header_has_one_form() {
        let tag = "9F4Eo80_b51kwwNFKop8WOx_3QbtsWcnMN8xIgBxHuw";
        assert!(parse(&format!("v1;t=1;k=a;s={tag}")).is_ok());
        for header in [
            String::new(),
            "v1".to_owned(),
            format!("v2;t=1;k=a;s={tag}"),
            format!("v1;k=a;t=1;s={tag}"),
            format!("v1;t=1;t=2;k=a;s={tag}"),
            format!("v1;t=01;k=a;s={tag}"),
            format!("v1;t=+1;k=a;s={tag}"),
            format!("v1;t=-1;k=a;s={tag}"),
            format!("v1;t=;k=a;s={tag}"),
            format!("v1;t=1e9;k=a;s={tag}"),
            format!("v1;t=99999999999999999999;k=a;s={tag}"),
            format!("v1;t=1;k=;s={tag}"),
            format!("v1;t=1;k=a b;s={tag}"),
            format!("v1;t=1;k=a;k=b;s={tag}"),
            format!("v1;t=1;k=a;s={tag}="),
            format!("v1;t=1;k=a;s={tag};s={tag}"),
            format!("v1; t=1;k=a;s={tag}"),
            format!(" v1;t=1;k=a;s={tag}"),
            format!("v1;t=1;k=a;s={}", &tag[1..]),
            format!("v1;t=1;k=a;s=A{tag}"),
            format!("v1;t=1;k=a;s={}x", &tag[..42]),
        ] {
            assert_eq!(parse(&header), Err(SignatureError::Malformed), "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in "\\PC*") {
            let _ = parse(&header);
        }

        #[test]
        fn any_bit_of_the_header_but_the_keys_name_counts(at: proptest::sample::Index, bit in 0..7u8) {
            let (secret, v) = vectors().remove(0);
            let at = at.index(v.header.len());
            let mut bytes = v.header.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let said = verify_hmac(&secret, &String::from_utf8(bytes).unwrap(), &v.method, &v.target, v.user.as_bytes(), v.t, i64::MAX);
            let of_the_key = v.header.find(";k=").unwrap() + 3..v.header.find(";s=").unwrap();
            // Which key is named decides which secret is asked; that is not asked here.
            prop_assert!(said.is_err() || of_the_key.contains(&at));
        }
    }
}
