//! Signing, as a client does it: for the command line, and for tests against the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sha2::{Digest, Sha256};

use super::document::{Head, VERSIONS, document};
use super::legacy;
use super::parameters::Parameters;
use super::{Algorithm, Dialect, date};
use crate::auth::signing::{PrivateKey, PublicAlgorithm};
use crate::auth::{SignError, WithText};
use crate::types::Secret;

/// How to sign.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Whose spelling.
    pub dialect: Dialect,
    /// The hash.
    pub algorithm: Algorithm,
}

/// The headers that sign a request, ready to be added to it: `Date`, `headers` as given, `Digest` where there is a body,
/// `Authorization`. All of them are signed, with the host and the request line. `now` is Unix seconds.
pub fn request(
    manner: Manner,
    (key, secret): (&str, &Secret),
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
) -> Result<Vec<(String, String)>, SignError> {
    request_and_text(manner, (key, secret), method, target, headers, body, now).map(|(headers, _)| headers)
}

/// As [`request`], and the bytes that were signed.
pub fn request_and_text(
    manner: Manner,
    (key, secret): (&str, &Secret),
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let sign = |document: &[u8]| manner.algorithm.sign(secret, document).ok_or(SignError::Secret);
    signed(manner.dialect, (key, manner.algorithm.name(), &sign), method, target, headers, body, now)
}

/// The same in the draft's own dialect with an RSA key, PKCS#8 in PEM: RSASSA-PKCS1-v1_5 with SHA-256, called `rsa-sha256`, or with `pss` RSASSA-PSS
/// with SHA-512, called `hs2019`; and the bytes that were signed.
pub fn request_by_rsa(
    (key, pem, pss): (&str, &Secret, bool),
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let (algorithm, name) = if pss { (PublicAlgorithm::RsaPssSha512, "hs2019") } else { (PublicAlgorithm::RsaV15Sha256, "rsa-sha256") };
    let private = PrivateKey::from_pem(pem).map_err(SignError::Key)?;
    let sign = |document: &[u8]| private.sign(algorithm, document).ok_or(SignError::Key("a private key of this scheme is an RSA key"));
    signed(Dialect::Draft, (key, name, &sign), method, target, headers, body, now)
}

/// The key's name, what its algorithm is called, and how it signs.
type Signer<'a> = (&'a str, &'a str, &'a dyn Fn(&[u8]) -> Result<Vec<u8>, SignError>);

fn signed(
    dialect: Dialect,
    signer: Signer<'_>,
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let (key, _, sign) = signer;
    if key.contains(['"', '\\', '#']) || !key.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(SignError::Url("this key's name cannot be written in a signature of this scheme"));
    }
    let host = target.authority().ok_or(SignError::Url("the URL has no host"))?.as_str();
    let date = date::format(now).ok_or(SignError::Time)?;
    let mut signed = vec![("Date".to_owned(), date.clone())];
    signed.extend_from_slice(headers);
    if !body.is_empty() {
        signed.push(match dialect {
            Dialect::ApisixV1 => ("X-HMAC-DIGEST".to_owned(), STANDARD.encode(sign(body)?)),
            Dialect::Draft | Dialect::Kong | Dialect::Apisix => ("Digest".to_owned(), format!("SHA-256={}", STANDARD.encode(Sha256::digest(body)))),
        });
    }
    let mut map = HeaderMap::new();
    for (name, value) in &signed {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) else {
            return Err(SignError::Url("a header cannot be sent"));
        };
        if map.insert(name, value).is_some() {
            return Err(SignError::Url("a header that is to be signed is there more than once"));
        }
    }
    let path = percent_encoding::percent_decode_str(target.path()).decode_utf8().map_err(|_| SignError::Url("the path is not UTF-8"))?;
    let sent = target.path_and_query().map_or("/", |target| target.as_str());
    let head = Head { method, target: sent, path: &path, host: host.as_bytes(), headers: &map, length: None, proxy_authorization: None };
    let names: Vec<String> = std::iter::once("host".to_owned()).chain(signed.iter().map(|(name, _)| name.to_ascii_lowercase())).collect();
    let (credential, text) = credential(dialect, signer, &head, &names, &date)?;
    signed.extend(credential);
    Ok((signed, text))
}

/// The headers that carry the signature.
fn credential(
    dialect: Dialect,
    (key, algorithm, sign): Signer<'_>,
    head: &Head<'_>,
    names: &[String],
    date: &str,
) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let tag = |document: &[u8]| sign(document).map(|tag| STANDARD.encode(tag));
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    if dialect == Dialect::ApisixV1 {
        // The date has a line of its own.
        all.retain(|name| *name != "date");
        let document = legacy::document(head, key, date, &all).map_err(|_| SignError::Url("the query cannot be signed in one way"))?;
        let document = document.into_iter().next().unwrap_or_default();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("X-HMAC-ACCESS-KEY", key),
            header("X-HMAC-ALGORITHM", algorithm),
            header("X-HMAC-SIGNED-HEADERS", &all.join(";")),
            header("X-HMAC-SIGNATURE", &tag(&document)?),
        ];
        return Ok((headers, document));
    }
    let (word, name) = match dialect {
        Dialect::Kong => ("hmac", "username"),
        Dialect::Draft | Dialect::Apisix | Dialect::ApisixV1 => ("Signature", "keyId"),
    };
    all.insert(0, if dialect == Dialect::Draft { "(request-target)" } else { "@request-target" });
    let [version, ..] = VERSIONS;
    let document = document(head, dialect, key, &all, &Parameters::default(), version).map_err(|_| SignError::Url("a header cannot be signed"))?;
    let value = format!("{word} {name}=\"{key}\",algorithm=\"{algorithm}\",headers=\"{}\",signature=\"{}\"", all.join(" "), tag(&document)?);
    Ok((vec![("Authorization".to_owned(), value)], document))
}
