//! Requests and URLs signed with a shared key, as Fost and Django do it.
//!
//! ```text
//! Authorization: FOST KEY:SIGNATURE          GET /path?a=1&_k=KEY&_e=EXPIRY&_s=SIGNATURE
//! X-FOST-Timestamp: 2026-11-22 06:00:00
//! X-FOST-Headers: X-FOST-Headers X-FOST-User
//! X-FOST-User: alice
//! ```
//!
//! Verifying is pure and is told the time; it never forwards a byte of a body that it has not seen the end of. Beyond what
//! the origin asks, a request is refused when something that the application might act on is not covered: a query beside a
//! body, a body on GET, HEAD or OPTIONS (it could change places with the query, and these may be repeated), a parameter that
//! a signed URL leaves out. The methods that change something are let in once per signature.

mod key;
mod recorded;
mod request;
pub mod sign;
mod text;
mod timestamp;
mod url;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;

use self::key::{Keyring, Macs, PreparedKey, State};
use self::request::Head;
use super::signing::{self, Scope, memory_of_mac, nothing, once_only, scope, verified};
use super::uploads::Uploads;
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::Room;
use crate::store::Stores;
use crate::store::facts::Subject;
use crate::types::{ByteSize, HumanDuration, Report};

pub use super::signing::KeySettings;

/// `[auth.NAME.fost]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far a timestamp may be from this machine's clock, either way.
    pub max_skew: HumanDuration,
    /// The longest signed body.
    pub max_body: ByteSize,
    /// Whether a signed URL must expire.
    pub require_expiry: bool,
    /// Whether a request with a body may have a query, which is not signed then.
    pub allow_unsigned_query: bool,
    /// Keys by name. They win over keys of the same name in the store.
    pub keys: BTreeMap<String, KeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_skew: HumanDuration::from_secs(15),
            max_body: ByteSize(64 << 20),
            require_expiry: true,
            allow_unsigned_query: false,
            keys: BTreeMap::new(),
        }
    }
}

/// The scheme.
#[derive(Debug)]
pub struct Fost {
    rules: Rules,
    uploads: Uploads,
    room: Arc<Room>,
    stores: Arc<Stores>,
}

/// All that verifying needs, but for keys that are in the store.
#[derive(Debug)]
struct Rules {
    name: Arc<str>,
    /// Seconds.
    max_skew: i64,
    max_body: u64,
    require_expiry: bool,
    allow_unsigned_query: bool,
    keys: Keyring,
    /// Of the keys of the configuration.
    scopes: BTreeMap<String, Scope>,
}

impl Fost {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, mut settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        signing::debug(name, &mut settings.keys, stores);
        let rules = Rules::build(name, settings, stores.keys.is_some(), report)?;
        Some(Self { room: Room::new(rules.max_body), rules, uploads: Uploads::default(), stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = conn;
        let (subject, query_credentials) = match (request::is_mine(inbound.headers()), url::is_mine(inbound.query())) {
            (false, false) => return Ok(None),
            (true, true) => return Err(Refusal::Malformed("both a signed request and a signed URL").into()),
            (true, false) => (self.signed_request(inbound).await?, [].as_slice()),
            (false, true) => (self.signed_url(inbound).await?, url::PARAMETERS),
        };
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.rules.name), query_credentials }))
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        Challenge(HeaderValue::from_static("FOST realm=\"doorward\""))
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        let headers = vec![http::header::AUTHORIZATION, request::TIMESTAMP, request::HEADERS, request::USER];
        CredentialNames { headers, cookies: Vec::new() }
    }

    async fn signed_request(&self, inbound: &mut Inbound) -> Result<Arc<Subject>, AuthError> {
        // The clock is read when the head has arrived: a long upload must not make a good signature stale.
        let now = self.stores.clock.now();
        let mut signed = request::read(&Head::of(inbound))?;
        self.rules.in_time(signed.seconds, now)?;
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let mut macs = signed.begin(self.rules.states(key.as_deref()));
        let once = once_only(inbound.method());
        let (memory, until) = (self.rules.memory(&signed), signed.seconds.saturating_add(self.rules.max_skew));
        let length = match inbound.payload() {
            none if none.is_empty() => 0,
            body if once => {
                let held = pin!(body.hold(self.rules.max_body, &self.room, |chunk| macs.update(chunk)));
                // Two copies of one request that upload side by side, longer than the memory lasts, would each be the first.
                self.uploads.during(memory, held).await.ok_or(Refusal::Replayed)??
            }
            body => nothing(body, &self.room).await?,
        };
        let subject = match self.rules.settle(&mut signed, key.as_deref(), macs, length, (inbound.query(), inbound.rule_path()), now) {
            Err(refusal) => return Err(self.told(refusal, &signed, key.as_deref(), inbound, now).await.into()),
            Ok(subject) => subject,
        };
        if once && !self.stores.replay.first_use(memory, until, now).await? {
            return Err(Refusal::Replayed.into());
        }
        Ok(subject)
    }

    /// A refusal, with what should have been signed where that is what it is about.
    async fn told(&self, refusal: Refusal, signed: &request::Signed, key: Option<&PreparedKey>, inbound: &mut Inbound, now: i64) -> Refusal {
        let Some(why) = refusal.unlike() else { return refusal };
        let mut parts = text::request(signed);
        if inbound.payload().is_empty() {
            parts.part("query", inbound.query().unwrap_or_default().as_bytes(), "");
        }
        match parts.body(inbound.payload(), self.rules.max_body, &self.room).await {
            Some(parts) => Refusal::Mismatch(Box::new(parts.end(why, signing::is_debugged(key, &self.stores, now)))),
            None => refusal,
        }
    }

    async fn signed_url(&self, inbound: &mut Inbound) -> Result<Arc<Subject>, AuthError> {
        let signed = url::read(&Head::of(inbound))?;
        let now = self.stores.clock.now();
        self.rules.not_expired(signed.expires, now)?;
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let macs = signed.macs(self.rules.states(key.as_deref()));
        let debugged = signing::is_debugged(key.as_deref(), &self.stores, now);
        let judged = verified(key.as_deref(), macs, &signed.tag).map_err(|refusal| refusal.told(debugged, || text::url(&signed.document)))?;
        let subject = judged.identify(None, inbound.rule_path(), now)?;
        nothing(inbound.payload(), &self.room).await?;
        Ok(subject)
    }
}

impl Rules {
    fn build(name: &str, settings: Settings, store_has_keys: bool, report: &mut Report) -> Option<Self> {
        let scopes = settings.keys.keys().map(|key| (key.clone(), scope("fost", name, key))).collect();
        let keys = Keyring::build(settings.keys, (name, "fost"), key::MANNER, store_has_keys, report);
        let max_skew = i64::try_from(settings.max_skew.0.as_secs()).unwrap_or(i64::MAX);
        if max_skew == 0 {
            report.error("max_skew", "timestamps count whole seconds", "write at least \"1s\"");
        }
        if settings.max_skew.0 > Duration::from_secs(300) {
            report.warn("max_skew", "a signature that was overheard stays good for long", "set the clocks right and write \"15s\"");
        }
        if settings.allow_unsigned_query {
            report.warn("allow_unsigned_query", "whoever overhears a request with a body can change its query", "leave it out");
        }
        if !settings.require_expiry {
            report.warn("require_expiry", "a signed URL without an expiry is good for ever", "leave it out");
        }
        let keys = keys.filter(|_| max_skew > 0)?;
        Some(Self {
            name: name.into(),
            max_skew,
            max_body: settings.max_body.0,
            require_expiry: settings.require_expiry,
            allow_unsigned_query: settings.allow_unsigned_query,
            keys,
            scopes,
        })
    }

    /// The MACs of `key`, or those that an unknown key is measured with.
    fn states<'a>(&'a self, key: Option<&'a PreparedKey>) -> &'a [State] {
        self.keys.states(key)
    }

    fn in_time(&self, seconds: i64, now: i64) -> Result<(), Refusal> {
        let away = now.saturating_sub(seconds);
        if away.unsigned_abs() > self.max_skew.unsigned_abs() { Err(Refusal::Skewed(away)) } else { Ok(()) }
    }

    fn not_expired(&self, expires: Option<i64>, now: i64) -> Result<(), Refusal> {
        match expires {
            Some(expires) if now > expires => Err(Refusal::Expired),
            None if self.require_expiry => Err(Refusal::Malformed("a signed URL without _e")),
            Some(_) | None => Ok(()),
        }
    }

    /// Judges a signed request whose body, `length` bytes, has been fed to `macs`. `path` is the decoded one.
    fn settle(
        &self,
        signed: &mut request::Signed,
        key: Option<&PreparedKey>,
        mut macs: Macs,
        length: u64,
        (query, path): (Option<&str>, &str),
        now: i64,
    ) -> Result<Arc<Subject>, Refusal> {
        let query = query.unwrap_or_default();
        if length == 0 {
            macs.update(query.as_bytes());
        } else if !query.is_empty() && !self.allow_unsigned_query {
            return Err(Refusal::Malformed("a query beside a body, which the signature does not cover"));
        }
        verified(key, macs, &signed.tag)?.identify(signed.user.take(), path, now)
    }

    /// What the replay memory keeps of a signature.
    fn memory(&self, signed: &request::Signed) -> [u8; 32] {
        let known = self.scopes.get(&signed.key).copied();
        memory_of_mac(&signed.tag, &known.unwrap_or_else(|| scope("fost", &self.name, &signed.key)))
    }
}
