//! Asks the schemes of a route, one after the other.

use super::challenge::{Challenge, one_of_each_word};
use super::{Access, AuthError, Identity, Refusal, Scheme};
use crate::inbound::{Conn, Inbound};

/// What one scheme said, for the metric `doorward_auth_total{scheme,outcome,reason}`.
pub trait Witness {
    /// `scheme` is `None` when no scheme claimed the request.
    fn attempted(&mut self, scheme: Option<&Scheme>, outcome: &Result<(), &AuthError>);
}

/// Establishes who is asking. `Ok(None)` on a public route alone.
pub async fn authenticate(access: &Access, conn: &Conn, inbound: &mut Inbound, witness: &mut impl Witness) -> Result<Option<Identity>, AuthError> {
    let schemes = match access {
        Access::Public => return Ok(None),
        Access::Accept(schemes) => schemes,
    };
    for scheme in schemes {
        match scheme.identify(conn, inbound).await {
            Ok(None) => {}
            Ok(Some(identity)) => {
                witness.attempted(Some(scheme), &Ok(()));
                return Ok(Some(identity));
            }
            Err(error) => {
                witness.attempted(Some(scheme), &Err(&error));
                return Err(error);
            }
        }
    }
    let refusal = if inbound.presents_credentials() { Refusal::Unclaimed } else { Refusal::Missing };
    let error = match schemes.first().and_then(|first| first.own_words(inbound, &refusal)) {
        Some(form) => AuthError::RefusedAs(refusal, form),
        None => AuthError::Refused(refusal),
    };
    witness.attempted(None, &Err(&error));
    Err(error)
}

/// What to tell a client that was refused: one challenge for each word that `Authorization` may start with. Where two schemes
/// share a word, the first of the route speaks for both: clients read two challenges of one name as a contradiction.
#[must_use]
pub fn challenges(access: &Access, why: &Refusal) -> Vec<Challenge> {
    match access {
        Access::Public => Vec::new(),
        Access::Accept(schemes) => one_of_each_word(schemes.iter().map(|scheme| scheme.challenge(why))),
    }
}
