//! Signing, as a client does it: for the command line, and for tests against the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit, Mac};
use http::Uri;

use super::request::{Form, message, quoted};
use super::{State, timestamp};
use crate::auth::{SignError, WithText};
use crate::types::Secret;

/// The URL with `timestamp`, `apikey` and `signature` at the end of its query. `now` is microseconds since 1970.
pub fn url(key: &str, secret: &Secret, link: &Uri, body: &[u8], now: i64) -> Result<String, SignError> {
    url_and_text(key, secret, link, body, now).map(|(url, _)| url)
}

/// As [`url()`], and the bytes that were signed.
pub fn url_and_text(key: &str, secret: &Secret, link: &Uri, body: &[u8], now: i64) -> Result<WithText<String>, SignError> {
    let authority = link.authority().ok_or(SignError::Url("a signed URL needs a host, such as https://app.example.com/path"))?;
    let sent = link.query().filter(|query| !query.is_empty());
    let own = format!("timestamp={}&apikey={}", timestamp::format(now), quoted(key));
    let query = sent.map_or_else(|| own.clone(), |query| format!("{query}&{own}"));
    let mut form = Form::default();
    query.split('&').for_each(|part| form.take(part));
    let claimed = super::request::claim(sent) != super::request::Claim::None;
    if form.flaw.is_some() || claimed || query.contains(';') || key.is_empty() {
        return Err(SignError::Url("the query holds what the signature would not cover: a parameter without a value, or one of the signature's own"));
    }
    let state = <State as KeyInit>::new_from_slice(secret.expose()).ok().filter(|_| !secret.is_empty()).ok_or(SignError::Secret)?;
    let text = [&message(link.path(), &form), body].concat();
    let signature = quoted(&STANDARD.encode(Mac::chain_update(state, &text).finalize().into_bytes()));
    Ok((format!("{}://{authority}{}?{query}&signature={signature}", link.scheme_str().unwrap_or("https"), link.path()), text))
}
