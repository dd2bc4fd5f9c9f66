//! What a configured webhook asks of a delivery, and its verdict.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use sha2::{Digest, Sha256};

use super::Settings;
use super::header::{self, Found, Made};
use super::preset::{Form, Place, Preset};
use super::secrets::Secrets;
use super::template::{Head, NamedPart, Said};
use crate::auth::signing::{Hmacs, Parts, is_alias, memory};
use crate::auth::{Refusal, valid_user_name};
use crate::store::facts::Subject;
use crate::types::{PathPattern, Report};

/// A public key needs the whole body at once.
const MOST_FOR_PUBLIC_KEYS: u64 = 4 << 20;

/// All that verifying needs.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) name: Arc<str>,
    pub(super) subject: Arc<Subject>,
    pub(super) form: Form,
    pub(super) other_header: Option<HeaderName>,
    /// The headers that are signed, or hold what is.
    covered: Vec<HeaderName>,
    secrets: Secrets,
    paths: Vec<PathPattern>,
    methods: Vec<Method>,
    allow_unsigned_query: bool,
    /// Seconds.
    max_skew: i64,
    /// Seconds; zero: as often as it comes.
    once_within: i64,
    pub(super) max_body: u64,
}

/// A delivery, read but not believed.
#[derive(Debug)]
pub(super) struct Delivery {
    signatures: Vec<(Made, Vec<u8>)>,
    /// Unix seconds.
    pub(super) time: Option<i64>,
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
}

/// The measures of a body that is being read, with what is signed around it.
#[derive(Debug)]
pub(super) struct Measures {
    macs: Hmacs,
    hash: Sha256,
}

impl Measures {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.macs.update(bytes);
        self.hash.update(bytes);
    }
}

impl Rules {
    pub(super) fn build(name: &str, mut settings: Settings, report: &mut Report) -> Option<Self> {
        let other_header = settings.preset.and_then(Preset::other_header);
        let form = match (settings.preset, settings.template.take()) {
            (Some(preset), None) => preset.form(),
            (None, Some(template)) => report.within("template", |report| template.build(report)),
            (Some(_), Some(_)) | (None, None) => {
                report.error(
                    "preset",
                    "a webhook has a preset or a template, and not both",
                    "write preset = \"github\", \"stripe\", \"slack\", \"standard-webhooks\" or \"svix\"",
                );
                None
            }
        };
        let secrets = settings.secrets(form.as_ref().map_or_else(Default::default, |form| form.secret_encoding), report);
        let user = settings.user.take().unwrap_or_else(|| name.to_owned());
        let mut sound = valid_user_name(&user);
        if !sound {
            report.error("user", "the user's name is empty, too long, or holds a character that does not show", "write a plain name");
        }
        let methods: Vec<Method> = settings.methods.iter().filter_map(|method| method.parse().ok()).collect();
        if methods.is_empty() || methods.len() != settings.methods.len() {
            report.error("methods", "nothing, or something that is no method, is let in", "leave it out, or write [\"POST\"]");
            sound = false;
        }
        let (form, secrets) = (form?, secrets?);
        sound &= check_secrets(&form, &secrets, settings.max_body.map(|size| size.0), report);
        sound &= check_windows(&form, &settings, report);
        let public = !secrets.public.is_empty();
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let max_skew = seconds(settings.max_skew.0);
        let once_within = settings.once_within.map_or(if form.timestamp.is_some() { max_skew } else { 0 }, |limit| seconds(limit.0));
        sound.then(|| Self {
            name: name.into(),
            subject: Arc::new(Subject { user, ..Subject::default() }),
            covered: form.covered(),
            form,
            other_header,
            secrets,
            paths: settings.paths,
            methods,
            allow_unsigned_query: settings.allow_unsigned_query,
            max_skew,
            once_within,
            max_body: settings.max_body.map_or(if public { 1 << 20 } else { 32 << 20 }, |size| size.0),
        })
    }

    /// Whether a delivery may come like this, whoever made it. `path` is the decoded one.
    pub(super) fn admits(&self, head: Head<'_>, path: &str) -> Result<(), Refusal> {
        if !self.methods.contains(head.method) {
            return Err(Refusal::Forbidden("the method is not one of the webhook's"));
        }
        if !self.paths.is_empty() && !self.paths.iter().any(|pattern| pattern.matches(path)) {
            return Err(Refusal::Forbidden("the path is not one of the webhook's"));
        }
        let query = head.query.is_some_and(|query| !query.is_empty());
        if query && !self.allow_unsigned_query && !self.form.signed.covers_query() {
            return Err(Refusal::Malformed("a query that the signature does not cover"));
        }
        if head.headers.keys().any(|sent| self.covered.iter().any(|name| is_alias(sent.as_str(), name.as_str()))) {
            return Err(Refusal::Malformed("a header that could be taken for a signed one"));
        }
        Ok(())
    }

    /// Reads what a delivery says of itself.
    pub(super) fn read(&self, head: Head<'_>) -> Result<Delivery, Refusal> {
        let (Found { signatures, .. }, said, time) = self.said(head)?;
        let (before, after) = self.form.signed.fill(head, said)?;
        Ok(Delivery { signatures, time, before, after })
    }

    /// What the signature's own headers say, and its time in Unix seconds.
    fn said<'a>(&self, head: Head<'a>) -> Result<(Found<'a>, Said<'a>, Option<i64>), Refusal> {
        let form = &self.form;
        let value = header::text(head.headers, &form.signature_header)?.ok_or(Refusal::Malformed("there is no signature"))?;
        let found = header::read(value, &form.layout, form.encoding, form.made)?;
        let (timestamp, time) = match &form.timestamp {
            None => (None, None),
            Some((place, format)) => {
                let text = match place {
                    Place::Header(name) => header::text(head.headers, name)?,
                    Place::Field => found.timestamp,
                };
                let text = text.ok_or(Refusal::Malformed("there is no timestamp"))?;
                (Some(text), Some(format.read(text).ok_or(Refusal::Malformed("the timestamp cannot be read"))?))
            }
        };
        let id = form.id_header.as_ref().map_or(Ok(None), |name| header::text(head.headers, name))?;
        Ok((found, Said { timestamp, id: id.filter(|id| !id.is_empty()) }, time))
    }

    /// What should have been signed before the body, and behind it.
    pub(super) fn parts(&self, head: Head<'_>) -> Result<(Parts, Vec<NamedPart>), Refusal> {
        let (_, said, _) = self.said(head)?;
        let (before, after) = self.form.signed.parts(head, said)?;
        let mut parts = Parts::default();
        for (name, bytes) in before {
            parts.part(name, &bytes, "");
        }
        Ok((parts, after))
    }

    /// Whether the delivery was signed near enough to `now`.
    pub(super) fn in_time(&self, delivery: &Delivery, now: i64) -> Result<(), Refusal> {
        match delivery.time {
            Some(time) if now.abs_diff(time) > self.max_skew.unsigned_abs() => Err(Refusal::Skewed(now.saturating_sub(time))),
            Some(_) | None => Ok(()),
        }
    }

    /// Until when a delivery is remembered that was verified at `now`; `None` if it may come again.
    pub(super) fn remembered(&self, delivery: &Delivery, now: i64) -> Option<i64> {
        if self.once_within == 0 {
            return None;
        }
        let asked = now.saturating_add(self.once_within);
        // A signature that is good for longer than it would be remembered would come again.
        Some(delivery.time.map_or(asked, |time| asked.max(time.saturating_add(self.max_skew))))
    }

    /// Begins to measure the body.
    pub(super) fn begin(&self, delivery: &Delivery) -> Measures {
        let mut measures = Measures { macs: self.form.algorithm.begin(&self.secrets.seeds), hash: Sha256::new() };
        measures.update(&delivery.before);
        measures
    }

    /// Whether any of the signatures that are made with a secret is good. Each is compared, in constant time.
    pub(super) fn matches(&self, delivery: &Delivery, measures: &Measures) -> bool {
        let tags = delivery.signatures.iter().filter(|(made, _)| *made == Made::Mac);
        tags.fold(false, |good, (_, tag)| measures.macs.clone().match_any(tag) | good)
    }

    /// Whether a public key is worth asking.
    pub(super) fn has_public(&self, delivery: &Delivery) -> bool {
        !self.secrets.public.is_empty() && delivery.signatures.iter().any(|(made, _)| *made == Made::Ed25519)
    }

    /// Whether any of the signatures that are made with a private key is good for `message`.
    pub(super) fn verifies(&self, delivery: &Delivery, message: &[u8]) -> bool {
        let tags = delivery.signatures.iter().filter(|(made, _)| *made == Made::Ed25519);
        tags.flat_map(|(_, tag)| self.secrets.public.iter().map(move |key| (key, tag))).any(|(key, tag)| key.verify_sig(message, tag).is_ok())
    }

    /// Whether any of the signatures is good for `text` in place of what was sent.
    pub(super) fn made(&self, delivery: &Delivery, text: &[u8]) -> bool {
        let mut measures = Measures { macs: self.form.algorithm.begin(&self.secrets.seeds), hash: Sha256::new() };
        measures.update(text);
        self.matches(delivery, &measures) | self.verifies(delivery, text)
    }

    /// What the replay memory keeps: what was signed, so that the same delivery under another of its signatures is still the same.
    pub(super) fn memory(&self, measures: Measures) -> [u8; 32] {
        memory("webhook", [self.name.as_bytes(), &measures.hash.finalize(), b""])
    }
}

/// Whether there is something to verify with, of the right kind, and what a public key needs.
fn check_secrets(form: &Form, secrets: &Secrets, max_body: Option<u64>, report: &mut Report) -> bool {
    let both = form.layout == header::Layout::Versions;
    let (shared, public) = (!secrets.seeds.is_empty(), !secrets.public.is_empty());
    let (takes_shared, takes_public) = (both || form.made == Made::Mac, both || form.made == Made::Ed25519);
    let mut sound = true;
    let mut mistake = |wrong: bool, key: &str, problem: &str, remedy: &str| {
        if wrong {
            report.error(key, problem, remedy);
            sound = false;
        }
    };
    mistake(takes_shared && !shared && !(both && public), "secret", "no secret is given", "write secret_file = \"PATH\" or secret_env = \"NAME\"");
    mistake(!takes_shared && shared, "secret", "its signatures are made with a private key", "leave it out, and write public_key");
    mistake(!takes_public && public, "public_key", "its signatures are made with a shared secret", "leave it out");
    mistake(!takes_shared && !public, "public_key", "no public key is given", "write public_key, or public_key_file = \"PATH\"");
    let long = public && max_body.is_some_and(|size| size > MOST_FOR_PUBLIC_KEYS);
    mistake(long, "max_body", "a public key needs the whole body in memory", "write at most \"4MiB\"");
    sound
}

/// Whether the windows make sense, and what remains open.
fn check_windows(form: &Form, settings: &Settings, report: &mut Report) -> bool {
    let mut sound = true;
    if settings.max_skew.0.as_secs() == 0 {
        report.error("max_skew", "timestamps count whole seconds", "write at least \"1s\"");
        sound = false;
    }
    if settings.paths.is_empty() && !form.signed.covers_path() {
        report.error(
            "paths",
            "the signature does not cover the path: a delivery could be sent to every route",
            "list the paths that the sender calls",
        );
        sound = false;
    }
    if settings.allow_unsigned_query && !form.signed.covers_query() {
        report.warn(
            "allow_unsigned_query",
            "whoever overhears a delivery can change its query",
            "leave it out, and let the sender call a URL without a query",
        );
    }
    let dated = form.timestamp.is_some();
    if dated && settings.max_skew.0 > Duration::from_secs(300) {
        report.warn("max_skew", "a delivery that was held back stays good for long", "set the clocks right and write \"300s\"");
    }
    match settings.once_within.map(|limit| limit.0.as_secs()) {
        Some(0) if dated => report.warn("once_within", "whoever overhears a delivery can repeat it while its timestamp is good", "leave it out"),
        Some(0) | None if !dated => {
            report.warn(
                "once_within",
                "the signature has no timestamp: whoever overhears a delivery can repeat it for ever",
                "write \"24h\", if the application does not notice repeats itself",
            );
        }
        Some(_) | None => {}
    }
    sound
}
