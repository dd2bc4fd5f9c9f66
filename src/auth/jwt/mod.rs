//! JSON Web Tokens (RFC 7519, RFC 8725), signed by an identity provider or with a shared secret.
//!
//! ```text
//! Authorization: Bearer HEADER.PAYLOAD.SIGNATURE
//!   form, length        compact.rs    not ours, or too long, before anything is decoded
//!   known?              verifier.rs   facts of tokens by public keys; dates judged again
//!   issuer, unverified  compact.rs    another's token is left to another scheme; of several issuers exactly one is picked
//!   header              header.rs     algorithm, type, no extensions
//!   signature           keys.rs       a secret, a public key, or an issuer's key set
//!   claims              claims.rs     issuer, audience, dates, purpose; then the user's name
//!   its sender          sender/       who holds the key or certificate that it is bound to
//!   withdrawn?          revoked.rs    a list of names
//! ```
//!
//! It never takes a key from a token, never lets a token choose an algorithm that is not configured, and never says "not
//! mine" of a token that it began to verify.

use std::sync::Arc;

use http::HeaderValue;

use super::bearer::Carrier;
use super::sender::{self, Senders};
use super::{AuthError, Challenge, CredentialNames, ErrorForm, Identity, Refusal, Subject};
use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::store::facts::Origin;
use crate::types::{Report, unix_now};
use revoked::Revoked;
use verifier::{Recall, Verifier, deadline};

mod checks;
pub(super) mod claims;
pub(super) mod compact;
mod flask;
pub(super) mod header;
mod keys;
mod revoked;
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
    senders: Senders,
    revoked: Option<Revoked>,
    /// Whether refusals are told in Flask-JWT's words.
    flask: bool,
    stores: Arc<Stores>,
}

impl Jwt {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then. Fetches nothing.
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let verifier = settings.verifier(name, &stores.jwks, report);
        let senders = sender::build(settings.dpop.as_ref(), settings.leeway_seconds(), report);
        let flask = settings.is_flask();
        let revoked = match settings.revoked_file.as_ref().map(|path| Revoked::read(path, stores.aux.clone())) {
            None => Some(None),
            Some(Ok(revoked)) => Some(Some(revoked)),
            Some(Err(error)) => {
                report.error("revoked_file", &error, "put the jti of each revoked token there, one a line; the file may be empty");
                None
            }
        };
        let prefix = settings.prefix.or_else(|| flask.then(|| vec!["JWT".to_owned()]));
        let word = prefix.iter().flatten().find(|prefix| !prefix.is_empty()).cloned();
        let carrier = Carrier::build(prefix, settings.header, settings.cookie, report)?;
        let carrier = carrier.with_query_parameter(settings.query_parameter.as_deref(), report)?;
        Some(Self {
            name: name.into(),
            carrier,
            word: word.unwrap_or_else(|| "Bearer".to_owned()),
            verifier: verifier?,
            senders: senders?,
            revoked: revoked?,
            flask,
            stores: Arc::clone(stores),
        })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        match self.attempt(conn, inbound).await {
            Err(AuthError::Refused(why)) => Err(match self.own_words(inbound, &why) {
                Some(form) => AuthError::RefusedAs(why, form),
                None => why.into(),
            }),
            outcome => outcome,
        }
    }

    async fn attempt(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some((token, presented)) = self.senders.take(&self.carrier, inbound)? else { return Ok(None) };
        let (stores, now) = (&self.stores, unix_now());
        let (subject, once) = match self.verifier.recall(token, &stores.facts, now)? {
            Recall::NotMine => return Ok(None),
            Recall::Known(subject) => {
                stores.metrics.jwt.hit();
                let once = self.senders.check(conn, inbound, (token, presented), &subject.claims, now)?;
                (subject, once)
            }
            Recall::New(fresh) => {
                stores.metrics.jwt.miss();
                // Copied, so that nothing is borrowed from the request while an issuer is asked.
                let (token, key) = (token.to_owned(), fresh.key);
                let mut subject = self.verifier.verify(&token, fresh).await?;
                subject.origin = Origin::of_signed_token(&token, &subject.claims);
                let subject = Arc::new(subject);
                stores.facts.insert(key, Arc::clone(&subject), deadline(&subject, now, stores.cache.max_age.0), token.len());
                let once = self.senders.check(conn, inbound, (&token, presented), &subject.claims, unix_now())?;
                (subject, once)
            }
        };
        if let Some(revoked) = &self.revoked {
            revoked.check(&subject.claims, now).await?;
        }
        if let Some(once) = once {
            once.take(&stores.replay, unix_now()).await?;
        }
        Ok(Some(self.identity(subject)))
    }

    /// A refusal in the words that this scheme's clients know; `None` where those are everybody's.
    pub fn own_words(&self, inbound: &Inbound, why: &Refusal) -> Option<ErrorForm> {
        if !self.flask {
            return None;
        }
        Some(match self.carrier.take(inbound) {
            Ok(Some(token)) => {
                let rules = self.verifier.rules_of(compact::issuer_of(token).as_deref());
                flask::with_token(why, token, rules, unix_now())
            }
            Ok(None) | Err(_) => {
                let header = inbound.single(http::header::AUTHORIZATION).ok().flatten().unwrap_or_default();
                flask::without_token(why, header.split_ascii_whitespace().count())
            }
        })
    }

    /// How to ask for this scheme's credential (RFC 6750 section 3).
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        if self.flask {
            return Challenge(HeaderValue::from_static(ErrorForm::FLASK_JWT_CHALLENGE));
        }
        self.senders.challenge(challenge(&self.word, why), why)
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        self.senders.credentials(self.carrier.credentials())
    }

    /// Query parameters that may hold the token.
    pub fn parameters(&self) -> &'static [&'static str] {
        self.carrier.parameters()
    }

    fn identity(&self, subject: Arc<Subject>) -> Identity {
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
        Refusal::Wrong(_) | Refusal::Mismatch(_) | Refusal::WrongBody(_) => Some("the token is not valid"),
        Refusal::Expired => Some("the token has expired"),
        Refusal::NotYetValid | Refusal::Skewed(_) => Some("the token is not valid yet"),
        Refusal::WrongAudience => Some("the token is for another audience"),
        Refusal::WrongIssuer => Some("the token is from another issuer"),
        Refusal::Replayed => Some("the credential was used before"),
        Refusal::Forbidden(_) => Some("the credential is not allowed here"),
    }
}
