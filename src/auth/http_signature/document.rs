//! The signed bytes, in three of the dialects. The fourth is in `legacy.rs`.
//!
//! ```text
//! draft                        kong                                  apisix
//! (request-target): get /x?y   @request-target: get /x?y             KEY
//! (created): 1402170695        GET /x?y HTTP/1.1     (request-line)  GET /x?y          (@request-target)
//! host: a.example              Host: a.example                       Host: a.example
//! date: …                      X-Date: …                             date: … LF
//! ```
//!
//! Lines are joined by LF. Names of headers are lower case in the draft, and as the list has them in the other two. A header that is
//! listed and not there is refused: Kong signs its name alone, APISIX nothing. So is one that is there twice: the originals take the
//! first and forward both.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Body as _;

use super::Dialect;
use super::parameters::Parameters;
use crate::auth::Refusal;
use crate::inbound::Inbound;

/// The versions that a request line may name. It is not known which of them the client wrote: proxies and ALPN change it. So it is
/// covered in name only.
pub(super) const VERSIONS: [&str; 3] = ["HTTP/1.1", "HTTP/2.0", "HTTP/1.0"];

/// What a signature may cover.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub method: &'a Method,
    /// Path and query as sent.
    pub target: &'a str,
    /// The path, decoded.
    pub path: &'a str,
    /// As sent.
    pub host: &'a [u8],
    pub headers: &'a HeaderMap,
    /// Of the body, where it is known beforehand.
    pub length: Option<u64>,
    pub proxy_authorization: Option<&'a HeaderValue>,
}

impl<'a> Head<'a> {
    /// `length` is the body's.
    pub(super) fn of(inbound: &'a Inbound, length: Option<u64>) -> Self {
        Self {
            method: inbound.method(),
            target: inbound.target().as_str(),
            path: inbound.rule_path(),
            host: inbound.host().raw.as_bytes(),
            headers: inbound.headers(),
            length,
            proxy_authorization: inbound.proxy_authorization(),
        }
    }

    /// The one value of a header, or `None`.
    pub(super) fn one(&self, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(|value| value.as_bytes())),
            (_, Some(_)) => Err(Refusal::Malformed("a header that the signature needs is there more than once")),
        }
    }

    /// The value that is signed for `name`. `Host` and `Content-Length` are no longer among the headers.
    pub(super) fn signed(&self, name: &HeaderName) -> Result<Cow<'a, [u8]>, Refusal> {
        let value = if *name == http::header::HOST {
            Some(Cow::Borrowed(self.host))
        } else if *name == http::header::CONTENT_LENGTH {
            self.length.map(|length| Cow::Owned(length.to_string().into_bytes()))
        } else {
            self.one(name)?.map(Cow::Borrowed)
        };
        value.ok_or(Refusal::Malformed("a header that is said to be signed is not there"))
    }
}

/// How long the body is, where it is known.
pub(super) fn length(inbound: &mut Inbound) -> Option<u64> {
    inbound.payload().size_hint().exact()
}

/// A header's name out of a list.
pub(super) fn header(name: &str) -> Result<HeaderName, Refusal> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refusal::Malformed("the list of headers names something that is none"))
}

/// The document, with `version` in its request line. `names` are the listed ones.
pub(super) fn document(
    head: &Head<'_>,
    dialect: Dialect,
    key: &str,
    names: &[&str],
    said: &Parameters<'_>,
    version: &str,
) -> Result<Vec<u8>, Refusal> {
    let mut lines: Vec<Vec<u8>> = Vec::with_capacity(names.len() + 2);
    if dialect == Dialect::Apisix {
        lines.push(key.as_bytes().to_vec());
    }
    for name in names {
        lines.push(match (dialect, *name) {
            (Dialect::Draft, "(request-target)") | (Dialect::Kong, "@request-target") => {
                format!("{name}: {} {}", head.method.as_str().to_ascii_lowercase(), head.target).into_bytes()
            }
            (Dialect::Apisix, "@request-target") => format!("{} {}", head.method, head.target).into_bytes(),
            (Dialect::Kong, "request-line") => format!("{} {} {version}", head.method, head.target).into_bytes(),
            (Dialect::Draft, "(created)") => time(name, said.created)?,
            (Dialect::Draft, "(expires)") => time(name, said.expires)?,
            (Dialect::Draft, _) => [name.to_ascii_lowercase().as_bytes(), b": ", &head.signed(&header(name)?)?].concat(),
            (Dialect::Kong | Dialect::Apisix | Dialect::ApisixV1, _) => [name.as_bytes(), b": ", &head.signed(&header(name)?)?].concat(),
        });
    }
    if dialect == Dialect::Apisix {
        lines.push(Vec::new());
    }
    Ok(lines.join(&b'\n'))
}

fn time(name: &str, said: Option<i64>) -> Result<Vec<u8>, Refusal> {
    let said = said.ok_or(Refusal::Malformed("a time that is said to be signed is not there"))?;
    Ok(format!("{name}: {said}").into_bytes())
}
