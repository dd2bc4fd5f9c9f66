//! Signing, as a sender does it: for the command line, and for tests against the verifier.

use http::{HeaderMap, Method};

use super::Preset;
use super::header::Layout;
use super::preset::Place;
use super::secrets::decode;
use super::template::{Head, Said};
use crate::auth::{SignError, WithText};
use crate::types::{Report, Secret};

/// The headers that sign `body`, ready to be added to a request. `id` names the delivery where the sender names deliveries; `now` is
/// Unix seconds.
pub fn delivery(preset: Preset, secret: &Secret, id: &str, body: &[u8], now: i64) -> Result<Vec<(String, String)>, SignError> {
    delivery_and_text(preset, secret, id, body, now).map(|(headers, _)| headers)
}

/// As [`delivery`], and the bytes that were signed.
pub fn delivery_and_text(preset: Preset, secret: &Secret, id: &str, body: &[u8], now: i64) -> Result<WithText<Vec<(String, String)>>, SignError> {
    let form = preset.form().ok_or(SignError::Secret)?;
    let secret = decode(secret, form.secret_encoding, "secret", &mut Report::default()).ok_or(SignError::Secret)?;
    let timestamp = now.to_string();
    let said = Said { timestamp: Some(&timestamp), id: Some(id) };
    let head = Head { method: &Method::POST, host: "", path: "", query: None, headers: &HeaderMap::new() };
    let (before, after) = form.signed.fill(head, said).map_err(|_| SignError::Url("the id holds a full stop"))?;
    let text = [before.as_slice(), body, &after].concat();
    let tag = form.algorithm.sign(&secret, &text).ok_or(SignError::Secret)?;
    let tag = form.encoding.encode(&tag);
    let signature = match &form.layout {
        Layout::Prefix(prefix) => format!("{prefix}{tag}"),
        Layout::Fields { signature, timestamp: Some(name) } => format!("{name}={timestamp},{signature}={tag}"),
        Layout::Fields { signature, timestamp: None } => format!("{signature}={tag}"),
        Layout::Versions => format!("v1,{tag}"),
    };
    let mut headers = Vec::new();
    headers.extend(form.id_header.map(|name| (name.to_string(), id.to_owned())));
    if let Some((Place::Header(name), _)) = form.timestamp {
        headers.push((name.to_string(), timestamp));
    }
    headers.push((form.signature_header.to_string(), signature));
    Ok((headers, text))
}
