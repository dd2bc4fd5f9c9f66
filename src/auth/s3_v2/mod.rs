//! Requests and URLs signed as Amazon S3 once asked for: signature version 2.
//!
//! ```text
//! Authorization: AWS KEY:SIGNATURE      GET /path?AWSAccessKeyId=KEY&Expires=1790000000&Signature=SIGNATURE
//! Date: Sun, 22 Nov 2026 06:00:00 GMT
//!
//! SIGNATURE = base64(HMAC-SHA1(secret, document))
//! document  = METHOD LF Content-MD5 LF Content-Type LF (Date | Expires) LF CanonicalizedAmzHeaders CanonicalizedResource
//! ```
//!
//! The signature covers a body through `Content-MD5` alone, and of the query no more than S3's sub-resources. So a request whose
//! body has no `Content-MD5`, or whose query holds another parameter, is refused unless the configuration says otherwise.
//! The methods that change something are let in once per signature. The host is not covered.

mod date;
mod document;
mod query;
mod recorded;
mod request;
pub mod sign;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::Hmac;
use http::HeaderValue;
use md5::{Digest, Md5};
use serde::Deserialize;
use sha1::Sha1;

use self::document::Head;
use self::request::Signed;
use super::signing::{self, Keyring, Manner, memory, nothing, once_only, verified};
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::{Payload, Room};
use crate::store::Stores;
use crate::store::facts::Subject;
use crate::types::{ByteSize, HumanDuration, Report};

pub use super::signing::KeySettings;

/// One MAC, waiting for its document.
type State = Hmac<Sha1>;
type Macs = signing::Macs<State>;
type PreparedKey = signing::PreparedKey<State>;

/// A key without a user stands for its own name.
const MANNER: Manner = Manner { prefix: "", names_users: false, algorithms: &["hmac-sha1"] };

/// `[auth.NAME.s3-v2]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far a date may be from this machine's clock, either way.
    pub max_skew: HumanDuration,
    /// How far ahead a signed URL may expire.
    pub max_expiry: HumanDuration,
    /// The longest signed body.
    pub max_body: ByteSize,
    /// Whether a body may come without `Content-MD5`. It is not signed then.
    pub allow_unsigned_body: bool,
    /// Whether a query may hold more than sub-resources. The rest is not signed then.
    pub allow_unsigned_query: bool,
    /// Keys by name. They win over keys of the same name in the store.
    pub keys: BTreeMap<String, KeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_skew: HumanDuration::from_secs(15 * 60),
            max_expiry: HumanDuration::from_secs(7 * 24 * 3600),
            max_body: ByteSize(64 << 20),
            allow_unsigned_body: false,
            allow_unsigned_query: false,
            keys: BTreeMap::new(),
        }
    }
}

/// The scheme.
#[derive(Debug)]
pub struct S3V2 {
    rules: Rules,
    room: Arc<Room>,
    stores: Arc<Stores>,
}

/// All that verifying needs, but for keys that are in the store.
#[derive(Debug)]
struct Rules {
    name: Arc<str>,
    /// Seconds.
    max_skew: i64,
    /// Seconds.
    max_expiry: i64,
    max_body: u64,
    allow_unsigned_body: bool,
    allow_unsigned_query: bool,
    keys: Keyring<State>,
}

impl S3V2 {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, mut settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        signing::debug(name, &mut settings.keys, stores);
        let rules = Rules::build(name, settings, stores.keys.is_some(), report)?;
        Some(Self { room: Room::new(rules.max_body), rules, stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = conn;
        let now = self.stores.clock.now();
        let signed = match (request::is_mine(inbound.headers()), query::is_mine(inbound.query())) {
            (false, false) => return Ok(None),
            (true, true) => return Err(Refusal::Malformed("both a signed request and a signed URL").into()),
            (true, false) => request::read_headers(&Head::of(inbound), self.rules.allow_unsigned_query)?,
            (false, true) => request::read_url(&Head::of(inbound), self.rules.allow_unsigned_query)?,
        };
        let until = self.rules.in_time(signed.time, now)?;
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let debugged = signing::is_debugged(key.as_deref(), &self.stores, now);
        let judged = self.rules.settle(&signed, key.as_deref(), inbound.rule_path(), now);
        let subject = judged.map_err(|refusal| refusal.told(debugged, || document::parts(&signed)))?;
        // The signature does not need the body: it is used up before the body is read, so that no other request can use it
        // while that takes its time.
        if once_only(inbound.method()) && !self.stores.replay.first_use(self.rules.memory(&signed), until, now).await? {
            return Err(Refusal::Replayed.into());
        }
        self.check_body(inbound.payload(), signed.md5).await?;
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.rules.name), query_credentials: signed.query_credentials }))
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        Challenge(HeaderValue::from_static("AWS realm=\"doorward\""))
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        CredentialNames { headers: vec![http::header::AUTHORIZATION], cookies: Vec::new() }
    }

    /// Makes sure that the body is the one that was signed.
    async fn check_body(&self, body: &mut Payload, signed: Option<[u8; 16]>) -> Result<(), AuthError> {
        let Some(signed) = signed else {
            if !self.rules.allow_unsigned_body {
                nothing(body, &self.room).await?;
            }
            return Ok(());
        };
        let mut hash = Md5::new();
        if !body.is_empty() {
            body.hold(self.rules.max_body, &self.room, |chunk| hash.update(chunk)).await?;
        }
        let found: [u8; 16] = hash.finalize().into();
        if found == signed { Ok(()) } else { Err(Refusal::Wrong("the body is not the one that Content-MD5 names").into()) }
    }
}

/// When a request was signed, or until when it is good. Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    Signed(i64),
    Expires(i64),
}

impl Rules {
    fn build(name: &str, settings: Settings, store_has_keys: bool, report: &mut Report) -> Option<Self> {
        let keys = Keyring::build(settings.keys, (name, "s3-v2"), MANNER, store_has_keys, report);
        let [max_skew, max_expiry] = [settings.max_skew, settings.max_expiry].map(|limit| i64::try_from(limit.0.as_secs()).unwrap_or(i64::MAX));
        for (key, limit, remedy) in [("max_skew", max_skew, "write at least \"1s\""), ("max_expiry", max_expiry, "write \"1h\", or \"7d\"")] {
            if limit == 0 {
                report.error(key, "dates count whole seconds", remedy);
            }
        }
        if settings.max_skew.0 > Duration::from_secs(15 * 60) {
            report.warn("max_skew", "a signature that was overheard stays good for long", "set the clocks right and write \"15m\"");
        }
        if settings.allow_unsigned_body {
            report.warn("allow_unsigned_body", "whoever overhears a request without Content-MD5 can change its body", "leave it out");
        }
        if settings.allow_unsigned_query {
            report.warn("allow_unsigned_query", "whoever overhears a request can change its query", "leave it out");
        }
        let keys = keys.filter(|_| max_skew > 0 && max_expiry > 0)?;
        Some(Self {
            name: name.into(),
            max_skew,
            max_expiry,
            max_body: settings.max_body.0,
            allow_unsigned_body: settings.allow_unsigned_body,
            allow_unsigned_query: settings.allow_unsigned_query,
            keys,
        })
    }

    /// Until when the signature is good, if it is good at `now`.
    fn in_time(&self, time: Time, now: i64) -> Result<i64, Refusal> {
        match time {
            Time::Signed(at) if now.abs_diff(at) > self.max_skew.unsigned_abs() => Err(Refusal::Skewed(now.saturating_sub(at))),
            Time::Signed(at) => Ok(at.saturating_add(self.max_skew)),
            Time::Expires(at) if now > at => Err(Refusal::Expired),
            Time::Expires(at) if at > now.saturating_add(self.max_expiry) => Err(Refusal::Malformed("the URL expires later than is allowed")),
            Time::Expires(at) => Ok(at),
        }
    }

    /// Judges the signature. `path` is the decoded one. An unknown key is measured as long as a known one.
    fn settle(&self, signed: &Signed, key: Option<&PreparedKey>, path: &str, now: i64) -> Result<Arc<Subject>, Refusal> {
        let macs = Macs::begin(self.keys.states(key), std::iter::once(signed.document.as_slice()));
        verified(key, macs, &signed.tag)?.identify(None, path, now)
    }

    /// What the replay memory keeps of a signature.
    fn memory(&self, signed: &Signed) -> [u8; 32] {
        memory("s3-v2", [self.name.as_bytes(), signed.key.as_bytes(), &signed.tag])
    }
}
