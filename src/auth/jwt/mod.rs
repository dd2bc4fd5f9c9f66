//! JSON Web Tokens (RFC 7519, RFC 8725), signed by an identity provider or with a shared secret.
//!
//! ```text
//! Authorization: Bearer HEADER.PAYLOAD.SIGNATURE
//!   form, length        compact.rs    not ours, or too long, before anything is decoded
//!   known?              verifier.rs   facts of tokens by public keys; dates judged again
//!   issuer, unverified  compact.rs    another's token is left to another scheme
//!   header              header.rs     algorithm, type, no extensions
//!   signature           keys.rs       a secret, a public key, or an issuer's key set
//!   claims              claims.rs     issuer, audience, dates; then the user's name
//! ```
//!
//! It never takes a key from a token, never lets a token choose an algorithm that is not configured, and never says "not
//! mine" of a token that it began to verify.

use std::sync::Arc;

use http::HeaderValue;

use super::bearer::Carrier;
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::types::{Report, unix_now};
use verifier::{Recall, Verifier, deadline};

mod claims;
mod compact;
mod header;
mod keys;
mod settings;
mod sources;
mod verifier;

#[cfg(test)]
mod tests;

pub use settings::Settings;

/// The scheme.
#[derive(Debug)]
pub struct Jwt {
    name: Arc<str>,
    carrier: Carrier,
    /// The word that a challenge begins with.
    word: String,
    verifier: Verifier,
    stores: Arc<Stores>,
}

impl Jwt {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then. Fetches nothing.
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let verifier = settings.verifier(name, &stores.jwks, report);
        let word = settings.prefix.iter().flatten().find(|prefix| !prefix.is_empty()).cloned();
        let carrier = Carrier::build(settings.prefix, settings.header, settings.cookie, report)?;
        Some(Self { name: name.into(), carrier, word: word.unwrap_or_else(|| "Bearer".to_owned()), verifier: verifier?, stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, _: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some(token) = self.carrier.take(inbound)? else { return Ok(None) };
        let (stores, now) = (&self.stores, unix_now());
        let key = match self.verifier.recall(token, &stores.facts, now)? {
            Recall::NotMine => return Ok(None),
            Recall::Known(subject) => {
                stores.metrics.jwt.hit();
                return Ok(Some(self.identity(subject)));
            }
            Recall::New(key) => key,
        };
        stores.metrics.jwt.miss();
        // Copied, so that nothing is borrowed from the request while an issuer is asked.
        let token = token.to_owned();
        let subject = Arc::new(self.verifier.verify(&token).await?);
        stores.facts.insert(key, Arc::clone(&subject), deadline(&subject, now, stores.cache.max_age.0), token.len());
        Ok(Some(self.identity(subject)))
    }

    /// How to ask for this scheme's credential (RFC 6750 section 3).
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        challenge(&self.word, why)
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        self.carrier.credentials()
    }

    fn identity(&self, subject: Arc<super::Subject>) -> Identity {
        Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }
    }
}

fn challenge(word: &str, why: &Refusal) -> Challenge {
    let error = described(why).map(|text| format!(", error=\"invalid_token\", error_description=\"{text}\"")).unwrap_or_default();
    let value = HeaderValue::try_from(format!("{word} realm=\"doorward\"{error}"));
    Challenge(value.unwrap_or_else(|_| HeaderValue::from_static("Bearer realm=\"doorward\"")))
}

/// One fixed sentence for a client; `None` when it presented nothing. Nothing of the credential or the cause is in it.
fn described(why: &Refusal) -> Option<&'static str> {
    match why {
        Refusal::Missing => None,
        Refusal::Unclaimed => Some("the credential is not accepted here"),
        Refusal::Malformed(_) => Some("the token is malformed"),
        Refusal::Wrong(_) => Some("the token is not valid"),
        Refusal::Expired => Some("the token has expired"),
        Refusal::NotYetValid | Refusal::Skewed(_) => Some("the token is not valid yet"),
        Refusal::WrongAudience => Some("the token is for another audience"),
        Refusal::WrongIssuer => Some("the token is from another issuer"),
        Refusal::Replayed => Some("the credential was used before"),
        Refusal::Forbidden(_) => Some("the credential is not allowed here"),
    }
}
