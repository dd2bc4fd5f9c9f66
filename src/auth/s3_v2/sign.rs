//! Signing, as a client does it: for the command line, and for tests against the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::document::{Head, document};
use super::{State, date, query};
use crate::auth::{SignError, WithText};
use crate::types::Secret;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The headers that sign a request, ready to be added to it: `Date`, `headers` as given (of them `Content-Type` and those that
/// begin with `x-amz-` are signed), `Content-MD5` where there is a body, `Authorization`. `now` is Unix seconds.
pub fn request(
    key: &str,
    secret: &Secret,
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
) -> Result<Vec<(String, String)>, SignError> {
    request_and_text(key, secret, method, target, headers, body, now).map(|(headers, _)| headers)
}

/// As [`request`], and the bytes that were signed.
pub fn request_and_text(
    key: &str,
    secret: &Secret,
    method: &Method,
    target: &Uri,
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let date = date::format(now).ok_or(SignError::Time)?;
    let mut signed = vec![("Date".to_owned(), date.clone())];
    signed.extend_from_slice(headers);
    if !body.is_empty() {
        signed.push(("Content-MD5".to_owned(), STANDARD.encode(Md5::digest(body))));
    }
    let line = if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-amz-date")) { "" } else { &date };
    let (signature, text) = signature(secret, method, target, &signed, line)?;
    signed.push(("Authorization".to_owned(), format!("AWS {key}:{signature}")));
    Ok((signed, text))
}

/// The URL with `AWSAccessKeyId`, `Expires` and `Signature` at the end of its query: good for this method, without a body,
/// until `expires` (Unix seconds).
pub fn url(key: &str, secret: &Secret, method: &Method, link: &Uri, expires: i64) -> Result<String, SignError> {
    url_and_text(key, secret, method, link, expires).map(|(url, _)| url)
}

/// As [`url()`], and the bytes that were signed.
pub fn url_and_text(key: &str, secret: &Secret, method: &Method, link: &Uri, expires: i64) -> Result<WithText<String>, SignError> {
    let authority = link.authority().ok_or(SignError::Url("a signed URL needs a host, such as https://app.example.com/path"))?;
    let (signature, text) = signature(secret, method, link, &[], &expires.to_string())?;
    let query = link.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
    let url = format!(
        "{}://{authority}{}?{query}AWSAccessKeyId={}&Expires={expires}&Signature={}",
        link.scheme_str().unwrap_or("https"),
        link.path(),
        utf8_percent_encode(key, RESERVED),
        utf8_percent_encode(&signature, RESERVED),
    );
    Ok((url, text))
}

fn signature(secret: &Secret, method: &Method, target: &Uri, lines: &[(String, String)], date: &str) -> Result<WithText<String>, SignError> {
    const UNREADABLE: SignError = SignError::Url("a header is not one that can be sent, or is given twice");
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else { return Err(UNREADABLE) };
        headers.append(name, value);
    }
    let not_covered = SignError::Url("the query holds a parameter that the signature does not cover: all but S3's sub-resources");
    let query = query::read(target.query(), false, false).map_err(|_| not_covered)?;
    let head = Head { method, path: target.path(), query: None, headers: &headers };
    let document = document(&head, date.as_bytes(), &query.signed).map_err(|_| UNREADABLE)?;
    let state = <State as KeyInit>::new_from_slice(secret.expose()).ok().filter(|_| !secret.is_empty()).ok_or(SignError::Secret)?;
    Ok((STANDARD.encode(Mac::chain_update(state, &document).finalize().into_bytes()), document))
}
