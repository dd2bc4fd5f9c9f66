//! Opaque bearer tokens, RFC 6750: they say nothing by themselves and are looked up.
//!
//! ```text
//! Authorization: Bearer dw_…43 characters…
//!   where it stands     ../bearer.rs
//!   whose it is         source.rs      Doorward's store, another server (RFC 7662), another program's table
//!   may it be used?     rules.rs       expiry, begin, issuer, audience: on every request
//!   by whom?            ../sender/     who holds the key or certificate that it is bound to
//! ```
//!
//! A token of a JWT's form is left to the scheme `jwt`, unless the settings say otherwise. Every other bearer token is
//! this scheme's; one that its source does not know is shown to the route's other schemes for bearer tokens, see
//! [`UNKNOWN`].

use std::sync::Arc;

use http::HeaderValue;

use super::bearer::{self, Carrier};
use super::sender::Senders;
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal, Subject};
use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::types::{Report, unix_now};
use rules::Rules;
use source::Source;

mod introspection;
mod rules;
mod settings;
mod source;
#[cfg(test)]
mod tests;

pub use settings::Settings;

/// Longer tokens are refused before anything is computed of them.
const MAX_TOKEN_BYTES: usize = 4096;
/// The same for tokens that may be JWTs.
const MAX_JWT_BYTES: usize = 16 * 1024;

/// What is said of a token that the source does not know, and of no other.
pub(super) const UNKNOWN: Refusal = Refusal::Wrong("the token is unknown or revoked, or its user is disabled");

/// The scheme.
#[derive(Debug)]
pub struct Token {
    name: Arc<str>,
    carrier: Carrier,
    source: Source,
    rules: Rules,
    senders: Senders,
    /// Whether tokens of a JWT's form are looked up, too.
    jwt_form: bool,
    stores: Arc<Stores>,
}

impl Token {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then. Asks nobody anything.
    #[allow(clippy::needless_pass_by_value, reason = "every scheme takes its settings over")]
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let settings::Parts { carrier, source, rules, senders } = settings.parts(name, stores, report)?;
        Some(Self { name: name.into(), carrier, source, rules, senders, jwt_form: settings.jwt_form, stores: Arc::clone(stores) })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some((token, presented)) = self.senders.take(&self.carrier, inbound)? else { return Ok(None) };
        let Some(subject) = self.verify(token).await? else { return Ok(None) };
        if let Some(once) = self.senders.check(conn, inbound, (token, presented), &subject.claims, unix_now())? {
            once.take(&self.stores.replay, unix_now()).await?;
        }
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }))
    }

    /// How to ask for this scheme's credential: RFC 6750 section 3.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        self.senders.challenge(challenge(self.carrier.word(), why), why)
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        self.senders.credentials(self.carrier.credentials())
    }

    /// Query parameters that may hold the token.
    pub fn parameters(&self) -> &'static [&'static str] {
        self.carrier.parameters()
    }

    /// `None` when the token is of another scheme's form.
    async fn verify(&self, token: &str) -> Result<Option<Arc<Subject>>, AuthError> {
        if !self.jwt_form && bearer::has_jwt_form(token) {
            return Ok(None);
        }
        if token.len() > if self.jwt_form { MAX_JWT_BYTES } else { MAX_TOKEN_BYTES } {
            return Err(Refusal::Malformed("the token is longer than any that is looked up").into());
        }
        let Some(subject) = self.source.find(token).await? else {
            return Err(UNKNOWN.into());
        };
        self.rules.judge(&subject, unix_now())?;
        Ok(Some(subject))
    }
}

/// The error of RFC 6750 section 3.1 when a credential was sent. All texts are fixed.
fn challenge(word: &str, why: &Refusal) -> Challenge {
    let error = match why {
        Refusal::Missing => "",
        Refusal::Expired => r#", error="invalid_token", error_description="The token has expired""#,
        Refusal::Unclaimed
        | Refusal::Malformed(_)
        | Refusal::Wrong(_)
        | Refusal::Mismatch(_)
        | Refusal::WrongBody(_)
        | Refusal::NotYetValid
        | Refusal::Skewed(_)
        | Refusal::WrongAudience
        | Refusal::WrongIssuer
        | Refusal::Replayed
        | Refusal::Forbidden(_) => r#", error="invalid_token", error_description="The token is not accepted""#,
    };
    let value = HeaderValue::try_from(format!("{word} realm=\"doorward\"{error}"));
    Challenge(value.unwrap_or_else(|_| HeaderValue::from_static("Bearer realm=\"doorward\"")))
}
