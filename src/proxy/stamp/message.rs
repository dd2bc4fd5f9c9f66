//! `Signature-Input` and `Signature`: every identity header signed with a private key, with the request that it was written on,
//! as RFC 9421 says.
//!
//! ```text
//! Signature-Input: doorward=("@method" "@target-uri" "x-forwarded-user");created=1790000000;keyid="2026-11";alg="ed25519";tag="doorward"
//! Signature: doorward=:…:
//! ```
//!
//! The scheme of `@target-uri` is `https`, its host that of `X-Forwarded-Host`. A value outside ASCII is covered by its bytes (`;bs`, section
//! 2.1.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;

use super::keys::SigningKey;
use crate::inbound::parse_host;

/// What signatures are called, and what they are made for.
const LABEL: &str = "doorward";

/// How far ahead of the reader's clock a signature may have been made, in seconds.
const SKEW: i64 = 5;

pub(super) const INPUT: HeaderName = HeaderName::from_static("signature-input");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("Signature-Input or Signature is missing or malformed")]
    Malformed,
    #[error("no private key of that name is configured")]
    UnknownKey,
    #[error("the signature does not cover what Doorward covers, or says something else of itself")]
    Coverage,
    #[error("the signature is {0} s old")]
    Age(i64),
    #[error("the signature does not match the request and its identity headers")]
    Wrong,
}

/// What is signed.
#[derive(Debug)]
pub(super) struct Stamped<'a> {
    pub method: &'a str,
    /// `X-Forwarded-Host`.
    pub host: &'a [u8],
    /// Path and query as sent upstream.
    pub target: &'a str,
    /// Lower-case names and values of the identity headers, in the order in which they are covered.
    pub identity: Vec<(&'a str, &'a [u8])>,
}

impl Stamped<'_> {
    /// The list of components with its parameters.
    fn input(&self, id: &str, key: &SigningKey, created: i64) -> String {
        let mut list = "(\"@method\" \"@target-uri\"".to_owned();
        for (name, value) in &self.identity {
            list.extend([" \"", name, if is_plain(value) { "\"" } else { "\";bs" }]);
        }
        format!("{list});created={created};keyid=\"{id}\";alg=\"{}\";tag=\"{LABEL}\"", key.message_algorithm())
    }

    /// The bytes that are signed; `None` if the host is none.
    fn base(&self, input: &str) -> Option<Vec<u8>> {
        let (name, port) = parse_host(std::str::from_utf8(self.host).ok()?)?;
        let port = port.filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
        let mut base = format!("\"@method\": {}\n\"@target-uri\": https://{name}{port}{}\n", self.method, self.target).into_bytes();
        for (name, value) in &self.identity {
            let (parameter, value) =
                if is_plain(value) { ("", value.to_vec()) } else { (";bs", format!(":{}:", STANDARD.encode(value)).into_bytes()) };
            base.extend_from_slice(&[b"\"", name.as_bytes(), b"\"", parameter.as_bytes(), b": ", &value, b"\n"].concat());
        }
        base.extend_from_slice(&[b"\"@signature-params\": ", input.as_bytes()].concat());
        Some(base)
    }

    /// The values of `Signature-Input` and `Signature`. `now` is Unix seconds.
    pub(super) fn sign(&self, (id, key): &(String, SigningKey), now: i64) -> Option<(String, String)> {
        let input = self.input(id, key, now);
        let signature = STANDARD.encode(key.sign(&self.base(&input)?)?);
        Some((format!("{LABEL}={input}"), format!("{LABEL}=:{signature}:")))
    }

    /// Whether one of `keys` signed this, at most `max_age` seconds ago. Nothing but what [`Self::sign`] writes is believed.
    pub(super) fn verify(
        &self,
        keys: &[(String, SigningKey)],
        input: Option<&[u8]>,
        signature: Option<&[u8]>,
        now: i64,
        max_age: i64,
    ) -> Result<(), MessageError> {
        let text = |value: Option<&[u8]>| -> Option<String> {
            let value = std::str::from_utf8(value?).ok()?;
            value.strip_prefix(LABEL)?.strip_prefix('=').map(str::to_owned)
        };
        let (input, signature) = text(input).zip(text(signature)).ok_or(MessageError::Malformed)?;
        let parameter = |name: &str, end: char| input.rsplit_once(name)?.1.split(end).next();
        let created: i64 = parameter(";created=", ';').and_then(|text| text.parse().ok()).ok_or(MessageError::Malformed)?;
        let id = parameter(";keyid=\"", '"').ok_or(MessageError::Malformed)?;
        let (id, key) = keys.iter().find(|(known, _)| known == id).ok_or(MessageError::UnknownKey)?;
        if input != self.input(id, key, created) {
            return Err(MessageError::Coverage);
        }
        let age = now.saturating_sub(created);
        if age > max_age || age < -SKEW {
            return Err(MessageError::Age(age));
        }
        let bytes = signature.strip_prefix(':').and_then(|text| text.strip_suffix(':')).and_then(|text| STANDARD.decode(text).ok());
        let base = self.base(&input).ok_or(MessageError::Malformed)?;
        if key.verify(&base, &bytes.ok_or(MessageError::Malformed)?) { Ok(()) } else { Err(MessageError::Wrong) }
    }
}

/// Whether a value can stand in a signature base as it is, and means the same without blanks at its ends.
fn is_plain(value: &[u8]) -> bool {
    value.trim_ascii() == value && value.iter().all(|byte| (b' '..=b'~').contains(byte))
}
