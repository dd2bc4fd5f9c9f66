//! Requests and URLs signed as Amazon's services ask for: Signature Version 4.
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=KEY/20261122/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=…
//! x-amz-date: 20261122T083000Z
//! x-amz-content-sha256: the body's SHA-256, or UNSIGNED-PAYLOAD, or STREAMING-…
//!
//! Signature = hex(HMAC-SHA256(signing key, "AWS4-HMAC-SHA256" LF time LF scope LF SHA256(canonical request)))
//! ```
//!
//! The signature covers method, path, query and host, the headers that it names (all of Amazon's have to be among them), and a
//! body whose hash it says. A body is verified on its way; one without a hash is read first. The methods that change something
//! are let in once per signature. Amazon's session tokens mean nothing here and are refused unless the configuration says otherwise.

mod canonical;
mod chunks;
mod content;
mod date;
mod query;
mod recorded;
mod request;
mod secret;
mod settings;
pub mod sign;
mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hmac::Mac;
use http::HeaderValue;
use http_body::Body as _;
use sha2::{Digest, Sha256};

use self::canonical::Head;
use self::chunks::{Chain, Decoder};
use self::content::Content;
use self::request::{Scope, Signed};
use self::secret::{Plain, Prefixed, signing_key};
use super::signing::{self, memory, nothing, once_only};
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::{Algorithm, Digests, Payload, Room};
use crate::store::Stores;
use crate::store::facts::Subject;
use crate::types::Report;

use self::settings::Rules;
pub use self::settings::Settings;
pub use super::signing::KeySettings;

type PreparedKey = signing::PreparedKey<Prefixed>;

/// The scheme.
#[derive(Debug)]
pub struct AwsV4 {
    rules: Rules,
    room: Arc<Room>,
    stores: Arc<Stores>,
}

/// What a good signature says.
#[derive(Debug)]
struct Accepted {
    subject: Arc<Subject>,
    /// What the signatures of the body's chunks are made with.
    key: Plain,
}

impl AwsV4 {
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
        let in_query = match (request::is_mine(inbound.headers()), query::is_mine(inbound.query())) {
            (false, false) => return Ok(None),
            (true, true) => return Err(Refusal::Malformed("both a signed request and a signed URL").into()),
            (_, in_query) => in_query,
        };
        // The header itself is gone: where the body ends is said anew to the application.
        let length = inbound.payload().size_hint().exact();
        let head = Head::of(inbound, length);
        let signed = if in_query { request::read_url(&head, &self.rules)? } else { request::read_headers(&head, &self.rules)? };
        let until = self.rules.in_time(&signed, now)?;
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let found = self.found(inbound.payload(), &signed.content).await?;
        let debugged = signing::is_debugged(key.as_deref(), &self.stores, now);
        let judged = self.rules.settle(&signed, &found, key.as_deref(), inbound.rule_path(), now);
        let accepted = judged.map_err(|refusal| refusal.told(debugged, || text::parts(&signed, &found)))?;
        // It is used up before the rest of the body is read, so that no other request can use it while that takes its time.
        if once_only(inbound.method()) && !self.stores.replay.first_use(self.rules.memory(&signed), until, now).await? {
            return Err(Refusal::Replayed.into());
        }
        self.check_body(inbound, &signed, accepted.key, debugged).await?;
        Ok(Some(Identity { subject: accepted.subject, scheme: Arc::clone(&self.rules.name), query_credentials: signed.query_credentials }))
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        Challenge(HeaderValue::from_static("AWS4-HMAC-SHA256 realm=\"doorward\""))
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        let token = http::HeaderName::from_static("x-amz-security-token");
        CredentialNames { headers: vec![http::header::AUTHORIZATION, token], cookies: Vec::new() }
    }

    /// The SHA-256 of the body, where the request does not say it. Not read where it does.
    async fn found(&self, body: &mut Payload, content: &Content) -> Result<[u8; 32], AuthError> {
        let mut hash = Sha256::new();
        if *content == Content::Unsaid && !body.is_empty() {
            body.hold(self.rules.max_body, &self.room, |piece| hash.update(piece)).await?;
        }
        Ok(hash.finalize().into())
    }

    /// Makes sure that the body is the one that was signed, now or on its way.
    async fn check_body(&self, inbound: &mut Inbound, signed: &Signed, key: Plain, debugged: bool) -> Result<(), AuthError> {
        match &signed.content {
            Content::Unsaid => {}
            Content::Digest(hash) => inbound.payload().verify(Digests::default().and(Algorithm::Sha256, hash), &self.room).await?,
            Content::Unsigned if self.rules.allow_unsigned_payload => {}
            Content::Unsigned => {
                nothing(inbound.payload(), &self.room).await?;
            }
            Content::Chunks(framing) => {
                let chain =
                    framing.signed.then(|| Chain::new(key, &signed.stamp, &self.rules.scope(&signed.stamp).text(), signed.tag).debugged(debugged));
                if chain.is_none() && !self.rules.allow_unsigned_payload {
                    return Err(Refusal::Malformed("a body that the signature does not cover").into());
                }
                inbound.payload().verify(Decoder::new(*framing, chain), &self.room).await?;
                content::decoded(inbound.headers_mut());
            }
        }
        Ok(())
    }
}

impl Rules {
    /// Until when the signature is good, if it is good at `now`.
    fn in_time(&self, signed: &Signed, now: i64) -> Result<i64, Refusal> {
        let at = signed.time.signed;
        let Some(good_for) = signed.time.good_for else {
            let away = now.saturating_sub(at);
            return if now.abs_diff(at) > self.max_skew.unsigned_abs() { Err(Refusal::Skewed(away)) } else { Ok(at.saturating_add(self.max_skew)) };
        };
        if !(1..=self.max_expiry).contains(&good_for) {
            return Err(Refusal::Malformed("the URL is good for longer than is allowed"));
        }
        let until = at.saturating_add(good_for);
        if at > now.saturating_add(self.max_skew) {
            return Err(Refusal::NotYetValid);
        }
        if now > until { Err(Refusal::Expired) } else { Ok(until) }
    }

    /// What a signature made at `stamp` has to be good for.
    fn scope<'a>(&'a self, stamp: &'a str) -> Scope<'a> {
        Scope { date: stamp.get(..8).unwrap_or_default(), region: &self.region, service: &self.service }
    }

    /// What a URL's body is, where nothing says it.
    fn content_of_urls(&self) -> Content {
        if self.service == "s3" { Content::Unsigned } else { Content::Unsaid }
    }

    /// Judges the signature. `found` is the hash of the body, where that was read; `path` the decoded one. An unknown key is
    /// measured as long as a known one.
    fn settle(&self, signed: &Signed, found: &[u8; 32], key: Option<&PreparedKey>, path: &str, now: i64) -> Result<Accepted, Refusal> {
        let scope = self.scope(&signed.stamp);
        let hash = Sha256::new().chain_update(&signed.canonical).chain_update(signed.content.text(found)).finalize();
        let document = request::string_to_sign(&signed.stamp, &scope, &hash);
        // One of each secret, and none is passed over once one has matched.
        let mut matching = None;
        for secret in self.keys.states(key) {
            let Some(state) = signing_key(secret, &scope) else { continue };
            if Mac::chain_update(state.clone(), &document).verify_slice(&signed.tag).is_ok() {
                matching = Some(state);
            }
        }
        match (key, matching) {
            (Some(holder), Some(key)) => Ok(Accepted { subject: holder.identify(None, path, now)?, key }),
            (Some(_), None) => Err(Refusal::Wrong(signing::UNLIKE)),
            (None, _) => Err(Refusal::Wrong(signing::NO_KEY)),
        }
    }

    /// What the replay memory keeps of a signature.
    fn memory(&self, signed: &Signed) -> [u8; 32] {
        memory("aws-v4", [self.name.as_bytes(), signed.key.as_bytes(), &signed.tag])
    }
}
