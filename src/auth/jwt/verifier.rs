//! From a token to what is known of its bearer. Knows nothing of requests.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::claims::ClaimRules;
use super::compact::{Compact, decode, named_issuer};
use super::header::HeaderRules;
use super::keys::Keys;
use crate::auth::{AuthError, Refusal, Subject};
use crate::store::facts::{FactKey, Facts};
use crate::types::{json, unix_now};

/// Everything that the tokens of a scheme are judged by.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Under which name facts are remembered.
    pub fact_scope: String,
    /// Longer tokens are refused before they are decoded.
    pub max_token_bytes: usize,
    /// One, which may be nameless, or several with a name of its own each.
    pub issuers: Vec<Rules>,
}

/// Everything that the tokens of one issuer are judged by. No key or audience of one is another's.
#[derive(Debug)]
pub(super) struct Rules {
    /// Which headers are accepted.
    pub header: HeaderRules,
    /// Which claims are accepted.
    pub claims: ClaimRules,
    /// Which signatures are accepted.
    pub keys: Keys,
}

/// What can be said of a token at once.
#[derive(Debug)]
pub(super) enum Recall<'v> {
    /// Of another form or by another issuer: another scheme may know it.
    NotMine,
    /// Verified lately, and still good.
    Known(Arc<Subject>),
    /// To be verified, and remembered under the key.
    New(Fresh<'v>),
}

/// A token that is to be verified.
#[derive(Debug)]
pub(super) struct Fresh<'v> {
    /// Under which its facts are remembered.
    pub key: FactKey,
    /// What it is judged by.
    pub rules: &'v Rules,
    /// Its second part, decoded; `None` where that cannot be.
    payload: Option<Vec<u8>>,
}

impl Verifier {
    /// Whether the token is this scheme's and known. Waits for nothing. What is remembered are facts: the dates, the
    /// audience and the rest are judged again.
    pub fn recall(&self, token: &str, facts: &Facts, now: i64) -> Result<Recall<'_>, Refusal> {
        let Some(token) = Compact::split(token, self.max_token_bytes)? else { return Ok(Recall::NotMine) };
        let key = Facts::key(&self.fact_scope, token.text.as_bytes());
        if let Some(subject) = facts.get(&key, now) {
            let issuer = subject.claims.get("iss").and_then(Value::as_str);
            self.rules_of(issuer).ok_or(Refusal::WrongIssuer)?.claims.judge(&subject.claims, now)?;
            return Ok(Recall::Known(subject));
        }
        let payload = decode(token.payload);
        let issuer = payload.as_deref().and_then(named_issuer);
        Ok(match self.rules_of(issuer.as_deref()) {
            Some(rules) => {
                drop(issuer);
                Recall::New(Fresh { key, rules, payload })
            }
            None => Recall::NotMine,
        })
    }

    /// The rules for tokens whose `iss` is `named`: those of the issuer of exactly that name.
    pub fn rules_of(&self, named: Option<&str>) -> Option<&Rules> {
        self.issuers.iter().find(|rules| rules.claims.issuer.as_deref().is_none_or(|ours| Some(ours) == named))
    }

    /// Verifies a token that [`Verifier::recall`] called new. In this order: nothing of the claims is believed before the
    /// signature.
    pub async fn verify(&self, token: &str, fresh: Fresh<'_>) -> Result<Subject, AuthError> {
        let rules = fresh.rules;
        let claims = json::object(&self.signed_payload(token, fresh).await?)
            .ok_or(Refusal::Malformed("the token's claims are not one JSON object with unique names"))?;
        // The clock is read here: fetching a key may have taken seconds.
        rules.claims.judge(&claims, unix_now())?;
        Ok(rules.claims.subject(claims)?)
    }

    /// What a token says whose header is accepted and whose signature is good.
    pub async fn signed_payload(&self, token: &str, fresh: Fresh<'_>) -> Result<Vec<u8>, AuthError> {
        let Some(token) = Compact::split(token, self.max_token_bytes)? else {
            return Err(Refusal::Malformed("not a token of three parts").into());
        };
        let header = fresh.rules.header.read(token.header)?;
        fresh.rules.keys.verify(&token, &header).await?;
        fresh.payload.ok_or_else(|| Refusal::Malformed("the token's payload is not base64url without padding").into())
    }
}

/// Until when what was found out from `began` on may be believed: not beyond `max_age`, nor the token's own expiry.
pub(super) fn deadline(subject: &Subject, began: i64, max_age: Duration) -> i64 {
    let aged = began.saturating_add(i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX));
    subject.expires.map_or(aged, |expires| expires.min(aged))
}
