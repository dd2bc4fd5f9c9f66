//! Requests that an API key signs in their query, as dj-api-auth and dj-sso-client do it.
//!
//! ```text
//! GET /hello/?q=a+b&timestamp=1426118400.25&apikey=KEY&signature=base64(HMAC-SHA256(secret, message))
//!
//! message = PATH "?" QUERY BODY
//! ```
//!
//! QUERY is the query without `signature`, read as a form and written again. The method is not covered, nor is the border
//! between query and body: so every signature is let in once, whatever its method. What reads differently but is written again
//! the same is refused. A refusal is told as the origin does: 403 and `{"error": TEXT}`.

mod recorded;
mod request;
pub mod sign;
mod timestamp;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hmac::Hmac;
use http::{HeaderValue, Method};
use serde::Deserialize;
use sha2::Sha256;

use self::request::{Claim, Signed};
use super::signing::{self, Keyring, Manner, Parts, memory, nothing, verified};
use super::uploads::Uploads;
use super::{AuthError, Challenge, CredentialNames, ErrorForm, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::Room;
use crate::store::Stores;
use crate::store::facts::Subject;
use crate::types::{ByteSize, HumanDuration, Report};

pub use super::signing::KeySettings;

/// One MAC, waiting for its message.
type State = Hmac<Sha256>;
type Macs = signing::Macs<State>;
type PreparedKey = signing::PreparedKey<State>;

/// A key without a user stands for `apikey:KEY`.
const MANNER: Manner = Manner { prefix: "apikey:", names_users: false, algorithms: &["hmac-sha256"] };

const MISSING: &str = "parameter missing";
const NOT_ALLOWED: &str = "entry point not allowed for the API key";
const WRONG: &str = "signature error";

/// `[auth.NAME.query-hmac]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far a timestamp may be from this machine's clock, either way.
    pub max_skew: HumanDuration,
    /// The longest signed body.
    pub max_body: ByteSize,
    /// Keys by name. They win over keys of the same name in the store.
    pub keys: BTreeMap<String, KeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_skew: HumanDuration::from_secs(300), max_body: ByteSize(64 << 20), keys: BTreeMap::new() }
    }
}

/// The scheme.
#[derive(Debug)]
pub struct QueryHmac {
    rules: Rules,
    uploads: Uploads,
    room: Arc<Room>,
    stores: Arc<Stores>,
}

/// All that verifying needs, but for keys that are in the store.
#[derive(Debug)]
struct Rules {
    name: Arc<str>,
    /// Microseconds.
    max_skew: i64,
    /// What a client is told whose clock is wrong.
    drift: String,
    max_body: u64,
    keys: Keyring<State>,
}

impl QueryHmac {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, mut settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        signing::debug(name, &mut settings.keys, stores);
        let rules = Rules::build(name, settings, stores.keys.is_some(), report)?;
        Some(Self { room: Room::new(rules.max_body), rules, uploads: Uploads::default(), stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = conn;
        match request::claim(inbound.query()) {
            Claim::None => Ok(None),
            // `apikey` or `signature` alone may be the application's own parameter, where somebody shows another credential.
            Claim::Part if inbound.presents_credentials() => Ok(None),
            Claim::Part | Claim::Whole => {
                let subject = self.signed_request(inbound).await?;
                Ok(Some(Identity { subject, scheme: Arc::clone(&self.rules.name), query_credentials: request::PARAMETERS }))
            }
        }
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        Challenge(HeaderValue::from_static("Query-HMAC realm=\"doorward\""))
    }

    /// Where this scheme's credentials travel: in the query alone.
    pub fn credentials(&self) -> CredentialNames {
        CredentialNames::default()
    }

    async fn signed_request(&self, inbound: &mut Inbound) -> Result<Arc<Subject>, AuthError> {
        // The clock is read when the head has arrived: a long upload must not make a good signature stale.
        let now = self.stores.clock.micros();
        let signed = request::read(inbound.path(), inbound.query().unwrap_or_default()).ok_or_else(missing)?;
        let time = self.rules.in_time(signed.time, now)?;
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let mut macs = signed.begin(self.rules.keys.states(key.as_deref()));
        let memory = self.rules.memory(&signed);
        let bodiless = *inbound.method() == Method::GET || *inbound.method() == Method::HEAD;
        let body = inbound.payload();
        if signed.flaw.is_some() {
            // It is refused whatever the body says.
        } else if bodiless {
            nothing(body, &self.room).await.map_err(as_wrong)?;
        } else if !body.is_empty() {
            let held = pin!(body.hold(self.rules.max_body, &self.room, |chunk| macs.update(chunk)));
            // Two copies of one request that upload side by side, longer than the memory lasts, would each be the first.
            self.uploads.during(memory, held).await.ok_or_else(|| wrong(Refusal::Replayed))??;
        }
        let seconds = now.div_euclid(timestamp::SECOND);
        let subject = match self.rules.settle(&signed, key.as_deref(), macs, inbound.rule_path(), seconds) {
            Err(error) => return Err(self.told(error, &signed, key.as_deref(), inbound, seconds).await),
            Ok(subject) => subject,
        };
        // A timestamp has fractions; the memory counts seconds, and remembers to the end of the last one.
        let until = time.saturating_add(self.rules.max_skew).div_euclid(timestamp::SECOND);
        if !self.stores.replay.first_use(memory, until, seconds).await? {
            return Err(wrong(Refusal::Replayed));
        }
        Ok(subject)
    }

    /// An error, with what should have been signed where that is what it is about. A request with a flaw is refused without: its body
    /// was not read.
    async fn told(&self, error: AuthError, signed: &Signed, key: Option<&PreparedKey>, inbound: &mut Inbound, now: i64) -> AuthError {
        let AuthError::RefusedAs(refusal, form) = error else { return error };
        let Some(why) = refusal.unlike().filter(|_| signed.flaw.is_none()) else { return AuthError::RefusedAs(refusal, form) };
        let refusal = match parts(&signed.message).body(inbound.payload(), self.rules.max_body, &self.room).await {
            Some(parts) => Refusal::Mismatch(Box::new(parts.end(why, signing::is_debugged(key, &self.stores, now)))),
            None => refusal,
        };
        AuthError::RefusedAs(refusal, form)
    }
}

/// The parts of what should have been signed, but for the body.
fn parts(message: &[u8]) -> Parts {
    let mut parts = Parts::default();
    signing::target_parts(&mut parts, message, "");
    parts
}

fn refused(refusal: Refusal, text: &'static str) -> AuthError {
    AuthError::RefusedAs(refusal, ErrorForm::Forbidden(Cow::Borrowed(text)))
}

fn missing() -> AuthError {
    refused(Refusal::Malformed("apikey, timestamp or signature is missing"), MISSING)
}

fn wrong(refusal: Refusal) -> AuthError {
    refused(refusal, WRONG)
}

/// A refusal in the scheme's words; whatever else went wrong as it is.
fn as_wrong(error: AuthError) -> AuthError {
    match error {
        AuthError::Refused(refusal) => wrong(refusal),
        AuthError::RefusedAs(..) | AuthError::Unavailable(_) | AuthError::Payload(_) => error,
    }
}

impl Rules {
    fn build(name: &str, settings: Settings, store_has_keys: bool, report: &mut Report) -> Option<Self> {
        let keys = Keyring::build(settings.keys, (name, "query-hmac"), MANNER, store_has_keys, report);
        let seconds = settings.max_skew.0.as_secs();
        // A year of it is more than anybody means, and far from where numbers end.
        let sound = (1..=31_536_000).contains(&seconds);
        if !sound {
            report.error("max_skew", "it is told to clients in whole seconds, and a signature is remembered for as long", "write \"300s\"");
        } else if settings.max_skew.0 > Duration::from_secs(300) {
            report.warn("max_skew", "a signature that was held back stays good for long", "set the clocks right and write \"300s\"");
        }
        Some(Self {
            name: name.into(),
            max_skew: i64::try_from(seconds).ok().filter(|_| sound)? * timestamp::SECOND,
            drift: format!("time drift > {seconds} sec"),
            max_body: settings.max_body.0,
            keys: keys?,
        })
    }

    /// The time of the request, in microseconds, if it is near enough to `now`.
    fn in_time(&self, time: Option<i64>, now: i64) -> Result<i64, AuthError> {
        let refusal = match time {
            None => Refusal::Malformed("the timestamp is not a number of seconds"),
            Some(time) if now.abs_diff(time) <= self.max_skew.unsigned_abs() => return Ok(time),
            Some(time) => Refusal::Skewed(now.saturating_sub(time) / timestamp::SECOND),
        };
        Err(AuthError::RefusedAs(refusal, ErrorForm::Forbidden(Cow::Owned(self.drift.clone()))))
    }

    /// Judges a request whose body has been fed to `macs`. `path` is the decoded one, `now` are seconds. An unknown key has been measured as
    /// long as a known one.
    fn settle(&self, signed: &Signed, key: Option<&PreparedKey>, macs: Macs, path: &str, now: i64) -> Result<Arc<Subject>, AuthError> {
        let judged = verified(key, macs, signed.tag.as_ref().map_or(&[], |tag| tag.as_slice()));
        let Some(known) = key else { return Err(refused(Refusal::Wrong(signing::NO_KEY), NOT_ALLOWED)) };
        if !known.opens(path) {
            return Err(refused(Refusal::Forbidden("the path is not among the key's paths"), NOT_ALLOWED));
        }
        if let Some(flaw) = signed.flaw {
            return Err(wrong(Refusal::Malformed(flaw)));
        }
        judged.map_err(wrong)?.identify(None, path, now).map_err(|refusal| refused(refusal, NOT_ALLOWED))
    }

    /// What the replay memory keeps of a signature.
    fn memory(&self, signed: &Signed) -> [u8; 32] {
        memory("query-hmac", [self.name.as_bytes(), signed.key.as_bytes(), signed.tag.as_ref().map_or(&[], |tag| tag.as_slice())])
    }
}
