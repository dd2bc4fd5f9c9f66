//! What a signature must cover and say, and how long it is good. Nothing here depends on a key.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::MAX_SIGNATURES;
use super::component::{self, CONTENT_DIGEST, Component, Message};
use super::fields::{self, Params, Raw, Signed};
use crate::auth::Refusal;
use crate::auth::signing::{KeySettings, Parts};
use crate::types::{HumanDuration, Report};

/// Headers that are never there when signatures are looked at, as they end at this hop.
const NEVER_THERE: &[&str] =
    &["connection", "expect", "forwarded", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// `[auth.NAME.http-message-signature]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What every signature must cover: derived components such as `@method`, and headers, which must then be there.
    pub components: Vec<String>,
    /// Headers that must be covered where they are sent.
    pub components_if_present: Vec<String>,
    /// Whether a body may come without a `Content-Digest` that is covered. It is not signed then.
    pub allow_unsigned_body: bool,
    /// Whether a signature must say when it was made.
    pub require_created: bool,
    /// Whether a signature must say until when it is good.
    pub require_expires: bool,
    /// Whether a signature must bear a nonce, and so be good once whatever the method.
    pub require_nonce: bool,
    /// How long after its creation a signature is good.
    pub max_age: HumanDuration,
    /// How far ahead of this machine's clock a signature may have been made.
    pub max_skew: HumanDuration,
    /// Only signatures of this label are looked at.
    pub label: Option<String>,
    /// Only signatures with this tag are looked at.
    pub tag: Option<String>,
    /// Keys by name. They win over keys of the same name in the store.
    pub keys: BTreeMap<String, KeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            components: ["@method", "@authority", "@target-uri"].map(str::to_owned).to_vec(),
            components_if_present: Vec::new(),
            allow_unsigned_body: false,
            require_created: true,
            require_expires: false,
            require_nonce: false,
            max_age: HumanDuration::from_secs(5 * 60),
            max_skew: HumanDuration::from_secs(15),
            label: None,
            tag: None,
            keys: BTreeMap::new(),
        }
    }
}

/// The settings, made ready.
#[derive(Debug)]
pub(super) struct Rules {
    components: Vec<Component>,
    if_present: Vec<HeaderName>,
    pub allow_unsigned_body: bool,
    require_created: bool,
    require_expires: bool,
    require_nonce: bool,
    /// Seconds.
    max_age: i64,
    /// Seconds.
    max_skew: i64,
    label: Option<String>,
    tag: Option<String>,
    /// `Accept-Signature`, RFC 9421 section 5.1.
    pub accept: HeaderValue,
}

/// A signature that covers enough and is in time, with what it signs.
#[derive(Debug)]
pub(super) struct Document {
    pub signed: Signed,
    pub keyid: String,
    pub base: Vec<u8>,
    /// Until when it is good, Unix seconds.
    pub until: i64,
}

/// What should have been signed, by its parts: one for each component.
pub(super) fn parts(document: &Document) -> Parts {
    Parts::default().lines(&document.base, |at, _| match document.signed.components.get(at) {
        Some(component) => component.part_name().into(),
        None => "@signature-params".into(),
    })
}

impl Rules {
    /// Reports what is wrong with the settings and returns `None` then.
    pub(super) fn build(settings: &Settings, report: &mut Report) -> Option<Self> {
        let components = components(&settings.components, report);
        let if_present = headers(&settings.components_if_present, report);
        let [max_age, max_skew] = [settings.max_age, settings.max_skew].map(|limit| i64::try_from(limit.0.as_secs()).unwrap_or(i64::MAX));
        if max_age == 0 {
            report.error("max_age", "times count whole seconds", "write at least \"1s\"");
        }
        for (key, limit, most) in [("max_age", settings.max_age, 3600), ("max_skew", settings.max_skew, 900)] {
            if limit.0 > Duration::from_secs(most) {
                report.warn(key, "a signature that was overheard stays good for long", "set the clocks right, and leave it out");
            }
        }
        if settings.allow_unsigned_body {
            report.warn("allow_unsigned_body", "whoever overhears a request without Content-Digest can change its body", "leave it out");
        }
        let label = settings.label.as_deref().unwrap_or("sig1");
        if sfv::KeyRef::from_str(label).is_err() {
            report.error("label", "no signature can be called so", "write small letters and digits, such as \"sig1\"");
            return None;
        }
        let Some(accept) = accept(settings, label) else {
            report.error("tag", "a tag holds ASCII alone", "write a plain name");
            return None;
        };
        if max_age == 0 {
            return None;
        }
        Some(Self {
            components: components?,
            if_present: if_present?,
            allow_unsigned_body: settings.allow_unsigned_body,
            require_created: settings.require_created,
            require_expires: settings.require_expires,
            require_nonce: settings.require_nonce,
            max_age,
            max_skew,
            label: settings.label.clone(),
            tag: settings.tag.clone(),
            accept,
        })
    }

    /// Whether the signature is one of those that the configuration asks for.
    pub(super) fn asks_for(&self, raw: &Raw) -> bool {
        self.label.as_deref().is_none_or(|label| label == raw.label()) && self.tag.as_deref().is_none_or(|tag| raw.tag() == Some(tag))
    }

    /// What the signatures of a request sign: of those that cover enough and are in time. `None` when the configuration asks for
    /// none of them; an error when it does, and none is good enough, or too many are.
    pub(super) fn documents(&self, message: &Message<'_>, now: i64) -> Result<Option<Vec<Document>>, Refusal> {
        let mut raw = fields::read(message.headers)?;
        raw.retain(|raw| self.asks_for(raw));
        if raw.is_empty() {
            return Ok(None);
        }
        let mut documents = Vec::new();
        let mut why = Refusal::Missing;
        for raw in raw.into_iter().rev() {
            match raw.read().and_then(|signed| self.document(signed, message, now)) {
                Ok(document) => documents.push(document),
                Err(refusal) => why = refusal,
            }
        }
        documents.reverse();
        match documents.len() {
            0 => Err(why),
            1..=MAX_SIGNATURES => Ok(Some(documents)),
            _ => Err(Refusal::Malformed("more signatures than are verified for one request")),
        }
    }

    /// What `signed` signs, if it covers enough of `message` and is good at `now` (Unix seconds).
    fn document(&self, signed: Signed, message: &Message<'_>, now: i64) -> Result<Document, Refusal> {
        let params = &signed.params;
        let keyid = params.keyid.clone().ok_or(Refusal::Malformed("a signature without keyid"))?;
        for (required, is_there) in [
            (self.require_created, params.created.is_some()),
            (self.require_expires, params.expires.is_some()),
            (self.require_nonce, params.nonce.is_some()),
        ] {
            if required && !is_there {
                return Err(Refusal::Malformed("a signature without a parameter that is required: created, expires or nonce"));
            }
        }
        if params.nonce.as_deref() == Some("") {
            return Err(Refusal::Malformed("the nonce is empty"));
        }
        self.covers_enough(&signed, message)?;
        let until = self.in_time(params, now)?;
        let base = component::base(&signed.components, &signed.input, message)?;
        Ok(Document { signed, keyid, base, until })
    }

    fn covers_enough(&self, signed: &Signed, message: &Message<'_>) -> Result<(), Refusal> {
        let covers = |name: &HeaderName| signed.covers(name);
        if !self.components.iter().all(|component| signed.components.contains(component)) {
            return Err(Refusal::Malformed("the signature does not cover every component that is required"));
        }
        if self.if_present.iter().any(|name| message.headers.contains_key(name) && !covers(name)) {
            return Err(Refusal::Malformed("the signature does not cover a header that is sent and that must be covered"));
        }
        // A body of unknown length is seen to when it is read.
        if !self.allow_unsigned_body && message.length.is_some_and(|length| length > 0) && !covers(&CONTENT_DIGEST) {
            return Err(Refusal::Malformed("a body, and no content-digest among the covered components"));
        }
        Ok(())
    }

    /// Until when the signature is good, if it is good at `now`.
    fn in_time(&self, params: &Params, now: i64) -> Result<i64, Refusal> {
        let end = match params.created {
            Some(created) if created > now.saturating_add(self.max_skew) => return Err(Refusal::Skewed(now.saturating_sub(created))),
            Some(created) if now > created.saturating_add(self.max_age) => return Err(Refusal::Skewed(now.saturating_sub(created))),
            Some(created) => created.saturating_add(self.max_age),
            None => now.saturating_add(self.max_age),
        };
        match (params.created, params.expires) {
            (None, None) => Err(Refusal::Malformed("a signature with neither created nor expires is good for ever")),
            (Some(_), None) => Ok(end),
            (_, Some(expires)) if now > expires => Err(Refusal::Expired),
            (Some(created), Some(expires)) if expires < created => Err(Refusal::Malformed("a signature that expires before it is made")),
            (Some(_), Some(expires)) => Ok(expires.min(end)),
            (None, Some(expires)) if expires > end => Err(Refusal::Malformed("a signature without created expires later than is allowed")),
            (None, Some(expires)) => Ok(expires),
        }
    }
}

fn components(names: &[String], report: &mut Report) -> Option<Vec<Component>> {
    let mut components = Vec::new();
    for name in names {
        match Component::named(name) {
            Ok(component) if components.contains(&component) => {
                report.error("components", &format!("{name:?} stands here twice"), "keep one");
                return None;
            }
            Ok(component) if component.header().is_none_or(can_be_there) => components.push(component),
            Ok(_) | Err(_) => {
                report.error(
                    "components",
                    &format!("{name:?} is nothing that a request could cover"),
                    "write \"@method\", or a header's name in small letters",
                );
                return None;
            }
        }
    }
    if components.is_empty() {
        report.error(
            "components",
            "a signature would cover nothing",
            "leave it out, or list at least \"@method\", \"@authority\" and \"@target-uri\"",
        );
        return None;
    }
    let has = |name: &str| names.iter().any(|have| have == name);
    let names_path = has("@path") && has("@query");
    if !has("@method") || !(has("@target-uri") || (has("@authority") || has("host")) && (names_path || has("@request-target"))) {
        let problem = "whoever overhears a request can send it with another method, to another host, or with another path or query";
        report.warn("components", problem, "add \"@method\", \"@authority\" and \"@target-uri\"");
    }
    Some(components)
}

fn headers(names: &[String], report: &mut Report) -> Option<Vec<HeaderName>> {
    let header = |name: &String| Component::named(name).ok().and_then(|component| component.header().filter(|name| can_be_there(name)).cloned());
    let headers: Option<Vec<_>> = names.iter().map(header).collect();
    if headers.is_none() {
        report.error("components_if_present", "one of these is no header that a request could cover", "write headers' names in small letters");
    }
    headers
}

fn can_be_there(name: &HeaderName) -> bool {
    !NEVER_THERE.contains(&name.as_str()) && !name.as_str().starts_with("x-forwarded-")
}

/// What a client is asked to sign. `content-digest` is that of the empty body where there is none.
fn accept(settings: &Settings, label: &str) -> Option<HeaderValue> {
    let digest = (!settings.allow_unsigned_body && !settings.components.iter().any(|name| name == "content-digest")).then_some("content-digest");
    let names: Vec<String> = settings.components.iter().map(String::as_str).chain(digest).map(|name| format!("\"{name}\"")).collect();
    let mut text = format!("{label}=({})", names.join(" "));
    for (required, param) in [(settings.require_created, ";created"), (settings.require_expires, ";expires")] {
        if required {
            text.push_str(param);
        }
    }
    if let Some(tag) = &settings.tag {
        text.push_str(";tag=");
        text.push_str(&sfv::ItemSerializer::new().bare_item(sfv::StringRef::from_str(tag).ok()?).finish());
    }
    HeaderValue::try_from(text).ok()
}
