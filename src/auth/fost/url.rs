//! The URL form: a link that works by itself until it expires, for GET and HEAD.
//!
//! ```text
//! GET /reports/?year=2026&_k=KEY&_e=1790000000&_s=percent-encoded base64(HMAC-SHA1(secret, document))
//!
//! document = HOST PATH [ "?" QUERY ] LF EXPIRY
//! ```
//!
//! QUERY is the query without the parts that begin with `_k=`, `_e=` or `_s`. What the signature leaves out could be changed
//! by anyone who has the link: so there is exactly one of each, and no other parameter may begin with `_s`.

use http::Method;

use super::key::{Macs, State, Tag};
use super::request::{self, Head};
use crate::auth::Refusal;
use crate::auth::signing::{self, unescape};

/// The query parameters of the form; none of them reaches the application.
pub(super) const PARAMETERS: &[&str] = &["_k", "_e", "_s"];

/// A signed URL, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub key: String,
    pub tag: Tag,
    /// Unix seconds, if it has an expiry.
    pub expires: Option<i64>,
    /// All of what is signed.
    pub document: Vec<u8>,
}

/// Whether the query bears a key and a signature.
pub(super) fn is_mine(query: Option<&str>) -> bool {
    let has = |name| query.is_some_and(|query| query.split('&').any(|part| part.starts_with(name)));
    has("_k=") && has("_s=")
}

/// The parts of a query.
#[derive(Debug, Default)]
struct Parts<'a> {
    key: Option<&'a str>,
    expiry: Option<&'a str>,
    signature: Option<&'a str>,
    covered: Vec<&'a str>,
}

/// Reads all that a signed URL says of itself. Believes none of it.
pub(super) fn read(head: &Head<'_>) -> Result<Signed, Refusal> {
    if *head.method != Method::GET && *head.method != Method::HEAD {
        return Err(Refusal::Malformed("a signed URL is for GET and HEAD only"));
    }
    let parts = split(head.query.unwrap_or_default())?;
    let (Some(key), Some(signature)) = (parts.key, parts.signature) else {
        return Err(Refusal::Malformed("a signed URL has _k and _s"));
    };
    let signature = unescape(signature.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
    let tag = request::tag(&signature.ok_or(Refusal::Malformed("_s is not percent-encoded"))?)?;
    let expires = parts.expiry.map(expiry).transpose()?;
    Ok(Signed {
        key: signing::name(key)?,
        tag,
        expires,
        document: document(head.host.as_bytes(), head.path, &parts.covered, parts.expiry.unwrap_or_default()),
    })
}

impl Signed {
    /// The MACs; nothing is left to feed them with.
    pub(super) fn macs(&self, states: &[State]) -> Macs {
        Macs::begin(states, std::iter::once(self.document.as_slice()))
    }
}

fn split(query: &str) -> Result<Parts<'_>, Refusal> {
    let mut parts = Parts::default();
    for part in query.split('&') {
        let place = match part {
            _ if part.starts_with("_k=") => &mut parts.key,
            _ if part.starts_with("_e=") => &mut parts.expiry,
            _ if part.starts_with("_s=") => &mut parts.signature,
            _ => {
                covered(part)?;
                parts.covered.push(part);
                continue;
            }
        };
        if place.replace(part.get(3..).unwrap_or_default()).is_some() {
            return Err(Refusal::Malformed("_k, _e or _s is there twice"));
        }
    }
    Ok(parts)
}

/// Refuses a further parameter that an application would read as one of the form's, however its name is spelt.
fn covered(part: &str) -> Result<(), Refusal> {
    let name = part.split_once('=').map_or(part, |(name, _)| name);
    let name = name.replace('+', " ");
    // A name that does not decode cannot be any of the three.
    let decoded = unescape(name.as_bytes()).unwrap_or_else(|| name.into_bytes());
    if decoded.starts_with(b"_s") || decoded == b"_k" || decoded == b"_e" {
        return Err(Refusal::Malformed("a parameter that the signature does not cover"));
    }
    Ok(())
}

fn expiry(text: &str) -> Result<i64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(Refusal::Malformed("_e is not a number of seconds"))
}

/// The signed bytes. The signer makes them too.
pub(super) fn document(host: &[u8], path: &str, covered: &[&str], expiry: &str) -> Vec<u8> {
    let mut document = [host, path.as_bytes()].concat();
    for (at, part) in covered.iter().enumerate() {
        document.push(if at == 0 { b'?' } else { b'&' });
        document.extend_from_slice(part.as_bytes());
    }
    document.push(b'\n');
    document.extend_from_slice(expiry.as_bytes());
    document
}
