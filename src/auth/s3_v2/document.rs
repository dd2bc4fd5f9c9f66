//! The signed bytes.
//!
//! ```text
//! PUT                                    METHOD
//! 4gJE4saaMU4BqNR0kLY+lw==               Content-MD5, or nothing
//! application/x-download                 Content-Type, or nothing
//!                                        Date; nothing beside x-amz-date; Expires for a URL
//! x-amz-acl:public-read                  CanonicalizedAmzHeaders: lower case, sorted, equal names joined by ','
//! x-amz-date:Tue, 27 Mar 2007 21:06:08 +0000
//! /bucket/key?acl                        CanonicalizedResource: path as sent, sub-resources
//! ```

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, Method};

use super::Time;
use super::request::Signed;
use crate::auth::Refusal;
use crate::auth::signing::{Parts, header_line};
use crate::inbound::Inbound;

/// What a signature may cover.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub method: &'a Method,
    /// As sent.
    pub path: &'a str,
    /// As sent, without `?`.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    pub(super) fn of(inbound: &'a Inbound) -> Self {
        Self { method: inbound.method(), path: inbound.path(), query: inbound.query(), headers: inbound.headers() }
    }

    /// The one value of a header, or `None`.
    pub(super) fn one(&self, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(|value| value.as_bytes())),
            (_, Some(_)) => Err(Refusal::Malformed("a header that the signature needs is there more than once")),
        }
    }
}

pub(super) const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// The document. `date` is the fourth line, `resource` the sub-resources from `?` on.
pub(super) fn document(head: &Head<'_>, date: &[u8], resource: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut document = head.method.as_str().as_bytes().to_vec();
    for line in [head.one(&CONTENT_MD5)?.unwrap_or_default(), head.one(&http::header::CONTENT_TYPE)?.unwrap_or_default(), date] {
        document.push(b'\n');
        document.extend_from_slice(line);
    }
    document.push(b'\n');
    for (name, value) in amz_headers(head.headers)? {
        document.extend_from_slice(&[name.as_bytes(), b":", &value, b"\n"].concat());
    }
    document.extend_from_slice(head.path.as_bytes());
    document.extend_from_slice(resource);
    Ok(document)
}

/// The same by its parts.
pub(super) fn parts(signed: &Signed) -> Parts {
    let last = signed.document.iter().filter(|b| **b == b'\n').count();
    Parts::default().lines(&signed.document, |at, line| match at {
        0 => "method".into(),
        1 => "header content-md5".into(),
        2 => "header content-type".into(),
        3 if matches!(signed.time, Time::Expires(_)) => "expiry".into(),
        3 => "header date".into(),
        _ if at == last => "resource".into(),
        _ => header_line(line).map_or_else(|| "header".into(), |name| format!("header {name}").into()),
    })
}

/// The headers that are signed, by name. One that an application would fold into the same variable (`x_amz_acl`) is refused: it would
/// be read, and is not covered.
fn amz_headers(headers: &HeaderMap) -> Result<BTreeMap<&str, Vec<u8>>, Refusal> {
    let mut signed: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            let folded: String = name.chars().take(6).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            if folded == "x-amz-" {
                return Err(Refusal::Malformed("a header that could be taken for a signed one"));
            }
            continue;
        }
        let value = value.as_bytes().trim_ascii();
        signed.entry(name).and_modify(|all| all.extend_from_slice(&[b",", value].concat())).or_insert_with(|| value.to_vec());
    }
    Ok(signed)
}
