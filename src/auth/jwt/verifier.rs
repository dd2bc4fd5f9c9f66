//! From a token to what is known of its bearer. Knows nothing of requests.

use std::sync::Arc;
use std::time::Duration;

use super::claims::ClaimRules;
use super::compact::{Compact, decode};
use super::header::HeaderRules;
use super::keys::Keys;
use crate::auth::{AuthError, Refusal, Subject};
use crate::store::facts::{FactKey, Facts};
use crate::types::{json, unix_now};

/// Everything that a token is judged by.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Under which name facts are remembered.
    pub fact_scope: String,
    /// Longer tokens are refused before they are decoded.
    pub max_token_bytes: usize,
    /// Which headers are accepted.
    pub header: HeaderRules,
    /// Which claims are accepted.
    pub claims: ClaimRules,
    /// Which signatures are accepted.
    pub keys: Keys,
}

/// What can be said of a token at once.
#[derive(Debug)]
pub(super) enum Recall {
    /// Of another form or by another issuer: another scheme may know it.
    NotMine,
    /// Verified lately, and still good.
    Known(Arc<Subject>),
    /// To be verified, and remembered under the key.
    New(FactKey),
}

impl Verifier {
    /// Whether the token is this scheme's and known. Waits for nothing. What is remembered are facts: the dates, the
    /// audience and the rest are judged again.
    pub fn recall(&self, token: &str, facts: &Facts, now: i64) -> Result<Recall, Refusal> {
        let Some(token) = Compact::split(token, self.max_token_bytes)? else { return Ok(Recall::NotMine) };
        let key = Facts::key(&self.fact_scope, token.text.as_bytes());
        if let Some(subject) = facts.get(&key, now) {
            self.claims.judge(&subject.claims, now)?;
            return Ok(Recall::Known(subject));
        }
        match &self.claims.issuer {
            Some(issuer) if !token.names_issuer(issuer) => Ok(Recall::NotMine),
            Some(_) | None => Ok(Recall::New(key)),
        }
    }

    /// Verifies a token that is this scheme's. In this order: nothing of the claims is believed before the signature.
    pub async fn verify(&self, token: &str) -> Result<Subject, AuthError> {
        let claims = json::object(&self.signed_payload(token).await?)
            .ok_or(Refusal::Malformed("the token's claims are not one JSON object with unique names"))?;
        // The clock is read here: fetching a key may have taken seconds.
        self.claims.judge(&claims, unix_now())?;
        Ok(self.claims.subject(claims)?)
    }

    /// What a token says whose header is accepted and whose signature is good.
    pub async fn signed_payload(&self, token: &str) -> Result<Vec<u8>, AuthError> {
        let Some(token) = Compact::split(token, self.max_token_bytes)? else {
            return Err(Refusal::Malformed("not a token of three parts").into());
        };
        let header = self.header.read(token.header)?;
        self.keys.verify(&token, &header).await?;
        decode(token.payload).ok_or_else(|| Refusal::Malformed("the token's payload is not base64url without padding").into())
    }
}

/// Until when what was found out from `began` on may be believed: not beyond `max_age`, nor the token's own expiry.
pub(super) fn deadline(subject: &Subject, began: i64, max_age: Duration) -> i64 {
    let aged = began.saturating_add(i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX));
    subject.expires.map_or(aged, |expires| expires.min(aged))
}
