//! Requests signed by the drafts that came before RFC 9421 (draft-cavage-http-signatures-12), and in the two dialects of them that
//! gateways taught their clients.
//!
//! ```text
//! draft      Authorization: Signature keyId="KEY",algorithm="hs2019",headers="(request-target) host (created) digest",
//!                                     created=1402170695,signature="BASE64"          or the same in a header Signature
//! kong       Authorization: hmac username="KEY", algorithm="hmac-sha256", headers="date host request-line", signature="BASE64"
//!                                                                                    or the same in Proxy-Authorization
//! apisix     Authorization: Signature keyId="KEY",algorithm="hmac-sha256",headers="@request-target date host",signature="BASE64"
//! apisix-v1  X-HMAC-ACCESS-KEY, X-HMAC-SIGNATURE, …                                  see legacy.rs
//! ```
//!
//! What is signed is in `document.rs`. What the originals verify, and what is done here:
//!
//! | | Kong hmac-auth (3.x) | APISIX hmac-auth (3.11 on; before it) | here |
//! | --- | --- | --- | --- |
//! | must be covered | nothing (`enforce_headers = []`) | `date`; before: method, path, query, date | request line, host, a date, and `Digest` of a body |
//! | date | `X-Date` or `Date`, whichever fits, signed or not | `Date`; before: not looked at by default | each one that is signed, one at least |
//! | body | not looked at unless `validate_request_body`, and then by a `Digest` that may be unsigned | the same | recomputed, by a header that is signed |
//! | a listed header that is not there | signed as `name:` | left out; before: signed as `name:` | refused |
//! | a listed header twice | the first counts | the first counts | refused |
//! | a parameter twice, or unknown | greedy match | the last counts | refused |
//! | comparison | `==` of strings | `==` of strings | constant time; an unknown key costs what a known one does |
//! | replay | within 300 s | within 300 s | what changes things is let in once |
//!
//! Kong signs `HTTP/1.1`, `HTTP/2.0` or `HTTP/1.0` as the client speaks it to Kong. A client that was moved here may speak another
//! version than it signs, so any of the three is taken, and the version is not covered. Kong puts no space after a name that has no
//! value and one after every other; so does this. Names of headers are signed as the list spells them, in the draft in lower case.

mod date;
mod digest;
mod document;
mod legacy;
mod parameters;
mod public;
mod recorded;
mod request;
mod rules;
pub mod sign;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use self::document::Head;
use self::request::{Said, Signed};
use self::rules::Rules;
use super::signing::{self, Hmacs, Seed, nothing, once_only};
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::{BodyCheck, Mismatch, Payload, Ready, Room};
use crate::store::Stores;
use crate::store::facts::Subject;
use crate::types::{HumanDuration, Report};

pub use super::signing::{Algorithm, KeySettings};

type PreparedKey = signing::PreparedKey<Seed>;

/// Whose spelling of the draft the clients use.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// draft-cavage-http-signatures-12.
    #[default]
    Draft,
    /// Kong's hmac-auth.
    Kong,
    /// APISIX's hmac-auth, since 3.11.
    Apisix,
    /// APISIX's hmac-auth, before 3.11.
    ApisixV1,
}

/// `[auth.NAME.http-signature]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whose spelling.
    pub dialect: Dialect,
    /// How requests may be signed with a shared secret. What a public key verifies is said of the key.
    pub algorithms: Vec<Algorithm>,
    /// How far a date may be from this machine's clock, either way.
    pub max_skew: HumanDuration,
    /// Headers that must be signed wherever they are sent.
    pub required: Vec<String>,
    /// Whether the signature may leave out method, path and query.
    pub allow_unsigned_target: bool,
    /// Whether the signature may leave out the host.
    pub allow_unsigned_host: bool,
    /// Whether a body may come without a signed header that says what it is.
    pub allow_unsigned_body: bool,
    /// Keys by name. They win over keys of the same name in the store.
    pub keys: BTreeMap<String, KeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            algorithms: vec![Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512],
            max_skew: HumanDuration::from_secs(300),
            required: Vec::new(),
            allow_unsigned_target: false,
            allow_unsigned_host: false,
            allow_unsigned_body: false,
            keys: BTreeMap::new(),
        }
    }
}

/// What is held of one body, in bytes, while it is verified.
const HELD: u64 = 64 << 10;

/// The scheme.
#[derive(Debug)]
pub struct HttpSignature {
    rules: Rules,
    room: Arc<Room>,
    stores: Arc<Stores>,
}

impl HttpSignature {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, mut settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        signing::debug(name, &mut settings.keys, stores);
        let rules = Rules::build(name, settings, stores.keys.is_some(), report)?;
        Some(Self { rules, room: Room::new(HELD), stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = conn;
        let now = self.stores.clock.now();
        let length = document::length(inbound);
        let head = Head::of(inbound, length);
        let Some(claimed) = request::claimed(&head, self.rules.dialect)? else { return Ok(None) };
        let signed = request::read(&head, self.rules.dialect, claimed)?;
        self.rules.covered(&signed.covers, inbound.headers())?;
        let until = self.rules.in_time(&signed.times, now)?;
        let (subject, key) = self.judge(&signed, inbound.rule_path(), now).await?;
        self.use_up(&signed, inbound, until, now).await?;
        self.check_body(inbound.payload(), signed, key.as_deref()).await?;
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.rules.name), query_credentials: &[] }))
    }

    /// Who signed, and the key if it is a shared secret. Of two keys with one name, the one in the configuration wins, of whatever kind.
    async fn judge(&self, signed: &Signed, path: &str, now: i64) -> Result<(Arc<Subject>, Option<Cow<'_, PreparedKey>>), AuthError> {
        let rules = &self.rules;
        let told = |refusal: Refusal, debugged| refusal.told(debugged, || text::parts(signed, rules.dialect));
        if signed.rsa.is_none() {
            let elsewhere = rules.public.get(&signed.key).is_some();
            let key = if elsewhere { None } else { rules.keys.find(&signed.key, &self.stores).await? };
            let debugged = signing::is_debugged(key.as_deref(), &self.stores, now);
            let subject = rules.settle(signed, key.as_deref(), path, now).map_err(|refusal| told(refusal, debugged))?;
            return Ok((subject, key));
        }
        let elsewhere = rules.keys.get(&signed.key).is_some();
        let key = if elsewhere { None } else { rules.public.find(&signed.key, &self.stores).await? };
        let debugged = key.as_deref().is_some_and(|key| key.is_debugged(&self.stores, now));
        Ok((rules.settle_public(signed, key.as_deref(), path, now).map_err(|refusal| told(refusal, debugged))?, None))
    }

    /// The signature does not need the body: it is used up before the body is read, so that no other request can use it while that
    /// takes its time.
    async fn use_up(&self, signed: &Signed, inbound: &Inbound, until: i64, now: i64) -> Result<(), AuthError> {
        let once = once_only(inbound.method());
        // Where the method is not signed, a signature that was seen under GET must not be good for a POST.
        if !once && signed.covers.target {
            return Ok(());
        }
        let first = self.stores.replay.first_use(self.rules.memory(signed), until, now).await?;
        if first || !once { Ok(()) } else { Err(Refusal::Replayed.into()) }
    }

    /// Makes sure that the body is the one that was signed: a long one on its way, before its last byte is forwarded. What is said is
    /// checked, also where nobody signed it.
    async fn check_body(&self, body: &mut Payload, signed: Signed, key: Option<&PreparedKey>) -> Result<(), AuthError> {
        if (matches!(signed.body, Said::Nothing) || !signed.covers.body) && !self.rules.allow_unsigned_body {
            nothing(body, &self.room).await?;
        }
        match signed.body {
            Said::Nothing => {}
            Said::Digests(digests) => body.verify(digests, &self.room).await?,
            Said::Mac(tag) => {
                let algorithm = signed.algorithm.ok_or(Refusal::Malformed("no algorithm is named"))?;
                body.verify(KeyedBody { macs: Some(algorithm.begin(self.rules.keys.states(key))), tag }, &self.room).await?;
            }
        }
        Ok(())
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        Challenge(HeaderValue::from_static(match self.rules.dialect {
            Dialect::Draft => "Signature realm=\"doorward\",headers=\"(request-target) host date digest\"",
            Dialect::Kong => "hmac realm=\"doorward\"",
            Dialect::Apisix => "Signature realm=\"doorward\",headers=\"@request-target host date digest\"",
            Dialect::ApisixV1 => "hmac-auth-v1 realm=\"doorward\"",
        }))
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        let more: &[HeaderName] = match self.rules.dialect {
            Dialect::Draft => &[request::SIGNATURE],
            // Taken off every request as it is; but whoever shows it where there is no TLS has shown it to everybody.
            Dialect::Kong => &[PROXY_AUTHORIZATION],
            Dialect::Apisix => &[],
            Dialect::ApisixV1 => &[legacy::ACCESS_KEY, legacy::SIGNATURE, legacy::ALGORITHM, legacy::SIGNED_HEADERS, legacy::DIGEST],
        };
        CredentialNames { headers: std::iter::once(&AUTHORIZATION).chain(more).cloned().collect(), cookies: Vec::new() }
    }
}

/// A body whose MAC is known beforehand.
#[derive(Debug)]
struct KeyedBody {
    /// Gone once it was compared.
    macs: Option<Hmacs>,
    tag: Vec<u8>,
}

impl BodyCheck for KeyedBody {
    fn take(&mut self, piece: Bytes, ready: &mut Ready) -> Result<(), Mismatch> {
        if let Some(macs) = &mut self.macs {
            macs.update(&piece);
        }
        ready.push(piece);
        Ok(())
    }

    fn end(&mut self, _: &mut Ready) -> Result<(), Mismatch> {
        let good = self.macs.take().is_some_and(|macs| macs.match_any(&self.tag));
        if good { Ok(()) } else { Err(Mismatch::of("the body is not the one whose MAC was signed")) }
    }
}
