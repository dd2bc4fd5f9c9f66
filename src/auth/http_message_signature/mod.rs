//! Requests signed as RFC 9421 says, HTTP Message Signatures, with the body's digest of RFC 9530.
//!
//! ```text
//! Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
//! Signature-Input: sig1=("@method" "@authority" "@target-uri" "content-digest");created=1790000000;keyid="partner"
//! Signature: sig1=:…:
//!
//! what is signed:
//! "@method": POST
//! "@authority": app.example.com
//! "@target-uri": https://app.example.com/orders?page=2
//! "content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
//! "@signature-params": ("@method" "@authority" "@target-uri" "content-digest");created=1790000000;keyid="partner"
//! ```
//!
//! The signer chooses what a signature covers; the configuration says what it must. A request may bear several signatures. Those
//! that cover too little, are not in time, or are by keys that nobody here knows are others' business. Of the rest every one must be
//! right, and all must stand for the same user. The key, never the request, decides the algorithm.

mod component;
mod dictionary;
mod digest;
mod fields;
mod keys;
mod recorded;
mod rules;
pub mod sign;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderValue;
use http_body::Body as _;

use self::component::{CONTENT_DIGEST, Message, SIGNATURE, SIGNATURE_INPUT};
use self::keys::Keys;
use self::rules::{Document, Rules};
use super::signing::{self, memory, nothing, once_only};
use super::{AuthError, Challenge, CredentialNames, Identity, Offer, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::payload::{Digests, Payload, Room};
use crate::store::Stores;
use crate::types::Report;

pub use self::rules::Settings;

/// More signatures that cover enough than are verified for one request.
const MAX_SIGNATURES: usize = 4;

/// What is held of one body, in bytes, while it is verified.
const HELD: u64 = 64 << 10;

/// The scheme.
#[derive(Debug)]
pub struct HttpMessageSignature {
    name: Arc<str>,
    rules: Rules,
    keys: Keys,
    room: Arc<Room>,
    stores: Arc<Stores>,
}

impl HttpMessageSignature {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, mut settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        signing::debug(name, &mut settings.keys, stores);
        let rules = Rules::build(&settings, report);
        let keys = Keys::build(settings.keys, name, stores.keys.is_some(), report);
        Some(Self { name: name.into(), rules: rules?, keys: keys?, room: Room::new(HELD), stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = conn;
        if !fields::is_mine(inbound.headers()) {
            return Ok(None);
        }
        let now = self.stores.clock.now();
        let digests = digest::read(inbound.headers())?;
        let length = inbound.payload().size_hint().exact();
        let Some(documents) = self.rules.documents(&Message::of(inbound, length), now)? else { return Ok(None) };
        let mut found = Vec::new();
        for document in &documents {
            let key = self.keys.find(&document.keyid, &self.stores).await?;
            found.push(key);
        }
        let subject = self.keys.settle(&documents, &found, inbound.rule_path(), now).map_err(|(at, refusal)| {
            let debugged = found.get(at).and_then(Option::as_ref).is_some_and(|key| key.holder.is_debugged(&self.stores, now));
            refusal.told(debugged, || documents.get(at).map(rules::parts).unwrap_or_default())
        })?;
        let known = || documents.iter().zip(&found).filter(|(_, key)| key.is_some()).map(|(document, _)| document);
        // The signatures do not need the body: they are used up before it is read, so that no other request can use one while
        // that takes its time.
        let once = once_only(inbound.method());
        for document in known() {
            let once = once || document.signed.params.nonce.is_some();
            if !once && document.signed.covers_method() {
                continue;
            }
            let fresh = self.stores.replay.first_use(self.memory(document), document.until, now).await?;
            // Where the method is not signed, a signature seen under GET must not be good for a POST: it is noted, and may repeat.
            if once && !fresh {
                return Err(Refusal::Replayed.into());
            }
        }
        let covered = known().all(|document| document.signed.covers(&CONTENT_DIGEST));
        self.check_body(inbound.payload(), digests, covered).await?;
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }))
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Offer {
        let _ = why;
        let challenge = Challenge(HeaderValue::from_static("HTTP-Message-Signature realm=\"doorward\""));
        Offer { challenge, accept_signature: Some(self.rules.accept.clone()) }
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        CredentialNames { headers: vec![SIGNATURE, SIGNATURE_INPUT], cookies: Vec::new() }
    }

    /// Makes sure that the body is the one that was signed: a long one on its way, before its last byte is forwarded.
    async fn check_body(&self, body: &mut Payload, digests: Option<Digests>, covered: bool) -> Result<(), AuthError> {
        if !(covered && digests.is_some() || self.rules.allow_unsigned_body) {
            nothing(body, &self.room).await?;
        }
        // What is said is checked, also where nobody signed it.
        if let Some(digests) = digests {
            body.verify(digests, &self.room).await?;
        }
        Ok(())
    }

    /// What the replay memory keeps of a signature: the nonce, else all that was signed. Never the signature itself, as one made with
    /// ECDSA has a twin that is as good, and that anybody can compute.
    fn memory(&self, document: &Document) -> [u8; 32] {
        let (kind, once) = match &document.signed.params.nonce {
            Some(nonce) => ("http-message-signature nonce", nonce.as_bytes()),
            None => ("http-message-signature", document.base.as_slice()),
        };
        memory(kind, [self.name.as_bytes(), document.keyid.as_bytes(), once])
    }
}
