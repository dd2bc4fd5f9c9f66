//! The header form: a request that is signed as a whole.
//!
//! ```text
//! Authorization: FOST KEY:base64(HMAC-SHA1(secret, document))
//!
//! document = METHOD SP PATH LF TIMESTAMP LF VALUE LF VALUE … LF PAYLOAD
//! ```
//!
//! `X-FOST-Headers` names the headers whose values are signed, itself first: were its own value not the first that is signed,
//! header values and body could trade places. PAYLOAD is the body where there is one, else the query.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::key::{Macs, State, Tag};
use super::timestamp;
use crate::auth::signing::{self, unescape_unless};
use crate::auth::{Refusal, valid_user_name};
use crate::inbound::Inbound;
use crate::types::is_graphic;

pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("x-fost-timestamp");
pub(super) const HEADERS: HeaderName = HeaderName::from_static("x-fost-headers");
pub(super) const USER: HeaderName = HeaderName::from_static("x-fost-user");

/// What a signature may cover, but for the body.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub method: &'a Method,
    /// As sent.
    pub path: &'a str,
    /// As sent, without `?`.
    pub query: Option<&'a str>,
    /// As sent: cleaning takes it out of `headers`.
    pub host: &'a HeaderValue,
    pub headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    pub(super) fn of(inbound: &'a Inbound) -> Self {
        Self { method: inbound.method(), path: inbound.path(), query: inbound.query(), host: &inbound.host().raw, headers: inbound.headers() }
    }
}

/// A signed request, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub key: String,
    pub tag: Tag,
    /// Unix seconds of its timestamp.
    pub seconds: i64,
    /// The user that it names, among the signed headers.
    pub user: Option<String>,
    /// The document up to PAYLOAD, with the path as sent.
    pub beginning: Vec<u8>,
    /// The same with the path decoded, where that is another path and a harmless one.
    pub decoded: Option<Vec<u8>>,
}

/// Whether the request claims to be signed this way: by the first word of `Authorization`, without case.
pub(super) fn is_mine(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| credentials(value.as_bytes()).is_some())
}

/// What follows `FOST` and one space.
fn credentials(value: &[u8]) -> Option<&[u8]> {
    let (word, rest) = value.split_at_checked(4)?;
    (word.eq_ignore_ascii_case(b"FOST") && (rest.is_empty() || rest.starts_with(b" "))).then(|| rest.get(1..).unwrap_or_default())
}

/// Reads all that a signed request says of itself. Believes none of it.
pub(super) fn read(head: &Head<'_>) -> Result<Signed, Refusal> {
    let sent = credentials(one(head, &AUTHORIZATION)?).ok_or(Refusal::Malformed("another kind of Authorization beside FOST"))?;
    let (key, tag) = key_and_tag(sent)?;
    let time = one(head, &TIMESTAMP)?;
    let seconds = timestamp::parse(time).ok_or(Refusal::Malformed("X-FOST-Timestamp is not YYYY-MM-DD HH:MM:SS"))?;
    let list = one(head, &HEADERS)?;
    let (mut document, mut user) = (begun(head.method, head.path.as_bytes(), time, head.path.len() + list.len()), None);
    let values = document.len();
    signed_headers(head, list, |name, value| {
        if *name == USER {
            user = Some(value);
        }
        document.extend_from_slice(value);
        document.push(b'\n');
    })?;
    let user = match user {
        Some(value) => Some(user_name(value)?),
        None if head.headers.contains_key(USER) => return Err(Refusal::Malformed("X-FOST-User is not among the signed headers")),
        None => None,
    };
    let decoded = decoded_path(head.path).map(|path| {
        let mut decoded = begun(head.method, path.as_bytes(), time, document.len());
        decoded.extend_from_slice(document.get(values..).unwrap_or_default());
        decoded
    });
    Ok(Signed { key, tag, seconds, user, beginning: document, decoded })
}

impl Signed {
    /// The MACs to feed with PAYLOAD.
    pub(super) fn begin(&self, states: &[State]) -> Macs {
        Macs::begin(states, std::iter::once(self.beginning.as_slice()).chain(self.decoded.as_deref()))
    }
}

/// `KEY:SIGNATURE`, with exactly one colon.
fn key_and_tag(sent: &[u8]) -> Result<(String, Tag), Refusal> {
    let malformed = Refusal::Malformed("Authorization is not FOST KEY:SIGNATURE");
    let text = std::str::from_utf8(sent).map_err(|_| malformed.clone())?;
    let (key, signature) = text.split_once(':').ok_or_else(|| malformed.clone())?;
    // One colon; no blank anywhere, so that there is one way to write a credential.
    if !is_graphic(text) || signature.contains(':') {
        return Err(malformed);
    }
    Ok((signing::name(key)?, tag(signature)?))
}

/// The 20 bytes of a signature.
pub(super) fn tag(text: &str) -> Result<Tag, Refusal> {
    signing::tag(text).ok_or(Refusal::Malformed("the signature is not the base64 of 20 bytes"))
}

/// Shows the names that `X-FOST-Headers` lists, and the values that they stand for.
fn signed_headers<'a>(head: &Head<'a>, list: &'a [u8], mut each: impl FnMut(&HeaderName, &'a [u8])) -> Result<(), Refusal> {
    let words = || list.split(|b| *b == b' ').filter(|word| !word.is_empty());
    for (at, word) in words().enumerate() {
        // Of most lists the only one.
        let name = if word.eq_ignore_ascii_case(HEADERS.as_str().as_bytes()) { Ok(HEADERS) } else { HeaderName::from_bytes(word) };
        let name = name.map_err(|_| Refusal::Malformed("X-FOST-Headers holds what is not a header's name"))?;
        if words().take(at).any(|earlier| earlier.eq_ignore_ascii_case(word)) {
            return Err(Refusal::Malformed("X-FOST-Headers lists a header twice"));
        }
        if at == 0 && name != HEADERS {
            return Err(Refusal::Malformed("X-FOST-Headers does not name itself first"));
        }
        // The list is its own first value.
        each(&name, if at == 0 { list } else { one(head, &name)? });
    }
    if words().next().is_none() {
        return Err(Refusal::Malformed("X-FOST-Headers does not name itself first"));
    }
    Ok(())
}

/// The one value of a header.
fn one<'a>(head: &Head<'a>, name: &HeaderName) -> Result<&'a [u8], Refusal> {
    let host = (name == http::header::HOST).then_some(head.host);
    let mut values = head.headers.get_all(name).iter().chain(host);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(Refusal::Malformed("a header that the signature needs is missing")),
        (Some(_), Some(_)) => Err(Refusal::Malformed("a header that the signature needs is there more than once")),
    }
}

fn user_name(value: &[u8]) -> Result<String, Refusal> {
    match std::str::from_utf8(value) {
        Ok(name) if valid_user_name(name) => Ok(name.to_owned()),
        Ok(_) | Err(_) => Err(Refusal::Malformed("X-FOST-User is not a name that an application can be told")),
    }
}

/// The document up to PAYLOAD. The signer makes it too.
pub(super) fn beginning(method: &Method, path: &[u8], timestamp: &[u8], values: &[&[u8]]) -> Vec<u8> {
    let mut document = begun(method, path, timestamp, path.len() + values.iter().map(|v| v.len() + 1).sum::<usize>());
    for value in values {
        document.extend_from_slice(value);
        document.push(b'\n');
    }
    document
}

/// The document up to the headers' values, for which there is some room.
fn begun(method: &Method, path: &[u8], timestamp: &[u8], room: usize) -> Vec<u8> {
    let mut document = Vec::with_capacity(64 + room);
    for (bytes, end) in [(method.as_str().as_bytes(), b' '), (path, b'\n'), (timestamp, b'\n')] {
        document.extend_from_slice(bytes);
        document.push(end);
    }
    document
}

/// The path as the origin's server signs it; `None` where that is the path as sent, or where decoding could hide
/// something: an encoded `/`, `\`, `.`, `%` or control character, or bytes that are not UTF-8.
pub(super) fn decoded_path(path: &str) -> Option<String> {
    if !path.contains('%') {
        return None;
    }
    let hides = |escape: u8| matches!(escape, b'/' | b'\\' | b'.' | b'%') || escape.is_ascii_control();
    let decoded = String::from_utf8(unescape_unless(path.as_bytes(), hides)?).ok()?;
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}
