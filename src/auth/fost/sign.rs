//! Signing, as a client does it: for the command line, and for tests against the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit, Mac};
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::key::State;
use super::{request, timestamp, url};
use crate::auth::{SignError, WithText};
use crate::types::Secret;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The headers that sign a request, in the order in which they are signed, ready to be added to it: `X-FOST-Headers` and
/// `X-FOST-Timestamp`, then `headers` as given, then `Authorization`.
///
/// `target` gives path and query exactly as they will be sent. `payload` is the body; where it is empty the query is signed.
/// `now` is Unix seconds.
pub fn request(
    key: &str,
    secret: &Secret,
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    payload: &[u8],
    now: i64,
) -> Result<Vec<(String, String)>, SignError> {
    request_and_text(key, secret, method, target, headers, payload, now).map(|(headers, _)| headers)
}

/// As [`request`], and the bytes that were signed.
pub fn request_and_text(
    key: &str,
    secret: &Secret,
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    payload: &[u8],
    now: i64,
) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let timestamp = timestamp::format(now).ok_or(SignError::Time)?;
    let names: Vec<&str> = std::iter::once("X-FOST-Headers").chain(headers.iter().map(|(name, _)| name.as_str())).collect();
    let list = names.join(" ");
    let values: Vec<&[u8]> = std::iter::once(list.as_bytes()).chain(headers.iter().map(|(_, value)| value.as_bytes())).collect();
    let payload = if payload.is_empty() { target.query().unwrap_or_default().as_bytes() } else { payload };
    let beginning = request::beginning(method, target.path().as_bytes(), timestamp.as_bytes(), &values);
    let text = [&beginning, payload].concat();
    let signature = mac(secret, &text)?;
    let mut signed = vec![("X-FOST-Headers".to_owned(), list.clone()), ("X-FOST-Timestamp".to_owned(), timestamp)];
    signed.extend_from_slice(headers);
    signed.push(("Authorization".to_owned(), format!("FOST {}:{signature}", utf8_percent_encode(key, RESERVED))));
    Ok((signed, text))
}

/// The URL with `_k`, `_e` and `_s` at the end of its query: good for GET and HEAD until `expires` (Unix seconds).
pub fn url(key: &str, secret: &Secret, link: &Uri, expires: i64) -> Result<String, SignError> {
    url_and_text(key, secret, link, expires).map(|(url, _)| url)
}

/// As [`url()`], and the bytes that were signed.
pub fn url_and_text(key: &str, secret: &Secret, link: &Uri, expires: i64) -> Result<WithText<String>, SignError> {
    let authority = link.authority().ok_or(SignError::Url("a signed URL needs a host, such as https://app.example.com/path"))?;
    let query = link.query().filter(|query| !query.is_empty());
    let parts: Vec<&str> = query.map(|query| query.split('&').collect()).unwrap_or_default();
    if parts.iter().any(|part| part.starts_with("_k=") || part.starts_with("_e=") || part.starts_with("_s")) {
        return Err(SignError::Url("the query holds a parameter that the signature leaves out: _k, _e, or one that begins with _s"));
    }
    let expires = expires.to_string();
    let text = url::document(authority.as_str().as_bytes(), link.path(), &parts, &expires);
    let signature = mac(secret, &text)?;
    let separator = if query.is_some() { "&" } else { "" };
    let url = format!(
        "{}://{authority}{}?{}{separator}_k={}&_e={expires}&_s={}",
        link.scheme_str().unwrap_or("https"),
        link.path(),
        query.unwrap_or_default(),
        utf8_percent_encode(key, RESERVED),
        utf8_percent_encode(&signature, RESERVED),
    );
    Ok((url, text))
}

fn mac(secret: &Secret, document: &[u8]) -> Result<String, SignError> {
    let state = State::new_from_slice(secret.expose()).ok().filter(|_| !secret.is_empty()).ok_or(SignError::Secret)?;
    Ok(STANDARD.encode(state.chain_update(document).finalize().into_bytes()))
}
