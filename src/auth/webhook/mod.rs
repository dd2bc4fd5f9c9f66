//! Deliveries that a service signs with a shared secret: webhooks.
//!
//! ```text
//! POST /hooks/stripe
//! Stripe-Signature: t=1492774577,v1=HEX             HEX = HMAC-SHA256(secret, t "." body)
//! ```
//!
//! Where the signature stands and what it covers is a preset's or a template's to say: see `preset.rs`, `template.rs`. Most cover the
//! body and a moment, and neither method nor host, path, query or other headers. So the configuration names the paths, a query is
//! refused, and nothing but POST is let in unless it says otherwise. What a sender tells in a header of its own (`X-GitHub-Event`)
//! may have been changed: the body alone is the sender's word.
//!
//! A delivery is verified before any of it is forwarded. It is let in once while its timestamp is good; one without a timestamp as
//! often as it comes, unless `once_within` says how long it is remembered. What is remembered is what was signed: the same delivery with
//! another of its signatures is the same.
//!
//! There are no keys with names: whoever has the secret is the sender.

mod header;
mod preset;
mod recorded;
mod rules;
mod secrets;
pub mod sign;
mod template;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;
use serde::Deserialize;

use self::rules::{Delivery, Rules};
use self::template::Head;
use super::signing::{DEBUGGED, UNLIKE};
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::{Payload, Room};
use crate::store::Stores;
use crate::types::{ByteSize, HumanDuration, PathPattern, Report, Secret};

pub use self::header::{Encoding, TimestampFormat};
pub use self::preset::{Preset, TemplateSettings, Way};
pub use self::secrets::SecretEncoding;

/// `[auth.NAME.webhook]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A well-known sender.
    pub preset: Option<Preset>,
    /// Or a sender's own form.
    pub template: Option<TemplateSettings>,
    /// Whom its deliveries stand for; the scheme's name without it.
    pub user: Option<String>,
    /// The paths that the sender calls. Required where the signature does not cover the path.
    pub paths: Vec<PathPattern>,
    /// The methods that it uses.
    pub methods: Vec<String>,
    /// How far a timestamp may be from this machine's clock, either way.
    pub max_skew: HumanDuration,
    /// How long a delivery is remembered and not let in again; zero: not at all. By default as long as its timestamp is good.
    pub once_within: Option<HumanDuration>,
    /// The longest body.
    pub max_body: Option<ByteSize>,
    /// Whether there may be a query that the signature does not cover.
    pub allow_unsigned_query: bool,
    /// The shared secret, in place.
    pub secret: Option<Secret>,
    /// The shared secret, in a file.
    pub secret_file: Option<PathBuf>,
    /// The shared secret, in the environment.
    pub secret_env: Option<String>,
    /// A second secret that is accepted beside it, in place.
    pub next_secret: Option<Secret>,
    /// The second secret, in a file.
    pub next_secret_file: Option<PathBuf>,
    /// The second secret, in the environment.
    pub next_secret_env: Option<String>,
    /// The sender's Ed25519 public key: `whpk_…`, base64 or hexadecimal digits.
    pub public_key: Option<String>,
    /// The sender's public key in a file: the same, or PEM.
    pub public_key_file: Option<PathBuf>,
    /// A second public key that is accepted beside it.
    pub next_public_key: Option<String>,
    /// The second public key, in a file.
    pub next_public_key_file: Option<PathBuf>,
    /// Whether the log shows what should have been signed, where a signature does not match. Ends by itself after an hour.
    pub debug_signatures: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preset: None,
            template: None,
            user: None,
            paths: Vec::new(),
            methods: vec!["POST".to_owned()],
            max_skew: HumanDuration::from_secs(300),
            once_within: None,
            max_body: None,
            allow_unsigned_query: false,
            secret: None,
            secret_file: None,
            secret_env: None,
            next_secret: None,
            next_secret_file: None,
            next_secret_env: None,
            public_key: None,
            public_key_file: None,
            next_public_key: None,
            next_public_key_file: None,
            debug_signatures: false,
        }
    }
}

/// The scheme.
#[derive(Debug)]
pub struct Webhook {
    rules: Arc<Rules>,
    room: Arc<Room>,
    /// Until when the log shows what should have been signed. Unix seconds.
    debug_until: Option<i64>,
    stores: Arc<Stores>,
}

impl Webhook {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let debug_until = stores.debugging.until(name, "", settings.debug_signatures, stores.clock.now());
        if settings.debug_signatures {
            report.warn("debug_signatures", DEBUGGED, "take it out once the fault is found; it ends by itself an hour after it was first read");
        }
        let rules = Rules::build(name, settings, report)?;
        Some(Self { room: Room::new(rules.max_body), rules: Arc::new(rules), debug_until, stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = conn;
        if !inbound.headers().contains_key(&self.rules.form.signature_header) {
            return Ok(None);
        }
        let head = Head::of(inbound);
        self.rules.admits(head, inbound.rule_path())?;
        let delivery = self.rules.read(head)?;
        self.rules.in_time(&delivery, self.stores.clock.now())?;
        if let Err(error) = self.check(inbound.payload(), &delivery).await {
            return Err(self.told(error, inbound).await);
        }
        Ok(Some(Identity { subject: Arc::clone(&self.rules.subject), scheme: Arc::clone(&self.rules.name), query_credentials: &[] }))
    }

    /// Makes sure that the sender made the delivery, and that it was not let in before.
    async fn check(&self, body: &mut Payload, delivery: &Delivery) -> Result<(), AuthError> {
        let limit = self.rules.max_body;
        let mut measures = self.rules.begin(delivery);
        body.hold(limit, &self.room, |chunk| measures.update(chunk)).await?;
        measures.update(&delivery.after);
        if !self.rules.matches(delivery, &measures) && !self.verifies(body, delivery).await? {
            return Err(Refusal::Wrong(UNLIKE).into());
        }
        // The clock is read anew: two copies of one delivery that arrive slowly must find each other in the memory, or be too late.
        let now = self.stores.clock.now();
        self.rules.in_time(delivery, now)?;
        if let Some(until) = self.rules.remembered(delivery, now)
            && !self.stores.replay.first_use(self.rules.memory(measures), until, now).await?
        {
            return Err(Refusal::Replayed.into());
        }
        Ok(())
    }

    /// An error, with what should have been signed where that is what it is about.
    async fn told(&self, error: AuthError, inbound: &mut Inbound) -> AuthError {
        let AuthError::Refused(refusal) = error else { return error };
        let Some(why) = refusal.unlike() else { return refusal.into() };
        let filled = self.rules.parts(Head::of(inbound));
        let Ok((before, after)) = filled else { return refusal.into() };
        let Some(mut parts) = before.body(inbound.payload(), self.rules.max_body, &self.room).await else { return refusal.into() };
        for (name, bytes) in after {
            parts.part(name, &bytes, "");
        }
        let shown = self.stores.debugging.is_on(self.debug_until, self.stores.clock.now());
        Refusal::Mismatch(Box::new(parts.end(why, shown))).into()
    }

    /// A public key needs all that is signed in one piece. It is put together only now that the body is here, so that none is held in
    /// memory while it arrives.
    async fn verifies(&self, body: &mut Payload, delivery: &Delivery) -> Result<bool, AuthError> {
        if !self.rules.has_public(delivery) {
            return Ok(false);
        }
        let mut message = delivery.before.clone();
        body.hold(self.rules.max_body, &self.room, |chunk| message.extend_from_slice(chunk)).await?;
        message.extend_from_slice(&delivery.after);
        Ok(self.rules.verifies(delivery, &message))
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        Challenge(HeaderValue::from_static("Webhook realm=\"doorward\""))
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        let own = std::iter::once(&self.rules.form.signature_header);
        CredentialNames { headers: own.chain(&self.rules.other_header).cloned().collect(), cookies: Vec::new() }
    }
}
