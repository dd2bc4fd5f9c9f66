//! `[identity]`: what may stand there.

use std::collections::BTreeMap;

use http::HeaderName;
use serde::Deserialize;

use super::assertion::Assertions;
use super::attribute::Attribute;
use super::encoding::Encoding;
use super::keys::KeyList;
use super::{fost, message, names};
use crate::types::{ByteSize, Report};

/// `[identity]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The header that names the user; `X-Forwarded-User`.
    pub user_header: Option<String>,
    /// Any of `hmac`, `jwt`, `http-message-signature` and `fost`; `["hmac"]`.
    pub signature: Option<Vec<String>>,
    /// `aud` of the assertion; needed for `jwt`.
    pub audience: Option<String>,
    /// `iss` of the assertion; `doorward`.
    pub issuer: Option<String>,
    /// Header of the assertion; `X-Doorward-Assertion`.
    pub assertion_header: Option<String>,
    /// The longest body of a request that is signed with `fost`.
    pub max_body: Option<ByteSize>,
    /// `utf-8`, `percent`, `base64url` or `rfc2047`; `utf-8`.
    pub encoding: Option<String>,
    /// Further names that only Doorward may set.
    pub also_strip: Vec<String>,
    /// Header = attribute of the identity (`user`, `email`, `groups`, `scopes`), or a claim by dotted path.
    pub headers: BTreeMap<String, String>,
    /// Signing keys by id, in the order of the file; the first of its kind signs.
    pub keys: KeyList,
}

/// The headers of the stamp.
#[derive(Debug)]
pub(super) struct Names {
    pub user: HeaderName,
    pub assertion: HeaderName,
    pub mapped: Vec<(HeaderName, Attribute)>,
    pub reserved: Vec<HeaderName>,
}

impl Names {
    pub(super) fn read(settings: &Settings, report: &mut Report) -> Option<Self> {
        let user = names::read("user_header", settings.user_header.as_deref().unwrap_or("X-Forwarded-User"), report);
        let assertion = names::read("assertion_header", settings.assertion_header.as_deref().unwrap_or("X-Doorward-Assertion"), report);
        let mut mapped = Vec::new();
        let mut sound = true;
        for (header, attribute) in &settings.headers {
            let key = format!("headers.{header}");
            match names::read(&key, header, report) {
                Some(_) if attribute.is_empty() => {
                    report.error(&key, "no attribute is named", "write \"user\", \"email\", \"groups\", \"scopes\", or the path of a claim");
                    sound = false;
                }
                Some(name) => mapped.push((name, Attribute::named(attribute))),
                None => sound = false,
            }
        }
        let strip: Vec<_> = settings.also_strip.iter().map(|name| names::read("also_strip", name, report)).collect();
        let (user, assertion) = (user?, assertion?);
        let mut written = vec![
            ("X-Doorward-Signature".to_owned(), names::SIGNATURE),
            ("user_header".to_owned(), user.clone()),
            ("assertion_header".to_owned(), assertion.clone()),
        ];
        written.extend(mapped.iter().map(|(name, _)| (format!("headers.{name}"), name.clone())));
        let strip: Vec<_> = strip.into_iter().collect::<Option<_>>()?;
        if !names::distinct(&written, report) || !sound {
            return None;
        }
        let mut reserved: Vec<HeaderName> = written.into_iter().map(|(_, name)| name).chain(names::USUAL).chain(strip).collect();
        reserved.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        reserved.dedup();
        Some(Self { user, assertion, mapped, reserved })
    }

    /// Whether none of them is written by a signature too, which `shared` are.
    pub(super) fn are_distinct_from(&self, shared: &[HeaderName], report: &mut Report) -> bool {
        let own = [("user_header".to_owned(), self.user.clone()), ("assertion_header".to_owned(), self.assertion.clone())];
        let mapped = self.mapped.iter().map(|(name, _)| (format!("headers.{name}"), name.clone()));
        let all: Vec<_> = shared.iter().map(|name| ("signature".to_owned(), name.clone())).chain(own).chain(mapped).collect();
        names::distinct(&all, report)
    }
}

pub(super) fn read_encoding(text: Option<&str>, report: &mut Report) -> Option<Encoding> {
    let text = text.unwrap_or("utf-8");
    let found = Encoding::NAMES.iter().find(|(name, _)| *name == text).map(|(_, encoding)| *encoding);
    if found.is_none() {
        let all: Vec<&str> = Encoding::NAMES.iter().map(|(name, _)| *name).collect();
        report.error("encoding", &format!("{text:?} is not an encoding"), &format!("write one of {}", all.join(", ")));
    }
    found
}

/// Which signatures are written.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    pub hmac: bool,
    pub jwt: bool,
    pub message: bool,
    pub fost: bool,
}

impl Signatures {
    /// Headers that they write, and that a client may send for a scheme to read.
    pub(super) fn shared_names(&self) -> Vec<HeaderName> {
        let message: &[HeaderName] = if self.message { &[message::INPUT, message::SIGNATURE] } else { &[] };
        let fost: &[HeaderName] = if self.fost { &fost::WRITTEN } else { &[] };
        message.iter().chain(fost).cloned().collect()
    }
}

const ANY: &str = "write any of \"hmac\", \"jwt\", \"http-message-signature\" and \"fost\"";

pub(super) fn read_signature(names: Option<Vec<String>>, report: &mut Report) -> Option<Signatures> {
    let names = names.unwrap_or_else(|| vec!["hmac".to_owned()]);
    let mut kinds = Signatures::default();
    if names.is_empty() {
        report.warn("signature", "whatever reaches the application past Doorward can claim to be anybody", "write signature = [\"hmac\"]");
    }
    for name in names {
        match name.as_str() {
            "hmac" => kinds.hmac = true,
            "jwt" => kinds.jwt = true,
            "http-message-signature" => kinds.message = true,
            "fost" => kinds.fost = true,
            other => {
                report.error("signature", &format!("{other:?} is not a signature"), ANY);
                return None;
            }
        }
    }
    Some(kinds)
}

pub(super) fn read_assertions(issuer: Option<String>, audience: Option<String>, report: &mut Report) -> Option<Assertions> {
    let issuer = issuer.unwrap_or_else(|| "doorward".to_owned());
    if issuer.is_empty() {
        report.error("issuer", "the issuer is empty", "leave it out, or write this gate's name");
    }
    match audience {
        Some(audience) if !audience.is_empty() => (!issuer.is_empty()).then(|| Assertions::new(issuer, audience)),
        Some(_) | None => {
            let problem = "an assertion without an audience could be used at any other application";
            report.error("audience", problem, "write audience = \"APPLICATION\", and have the application check it");
            None
        }
    }
}
