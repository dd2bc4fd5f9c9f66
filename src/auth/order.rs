//! Schemes are asked in the route's order; the first that recognises its credential decides.
//!
//! Of opaque tokens no form says whose they are: one that its scheme's source does not know is shown to the route's
//! other schemes for bearer tokens, and to nothing else.

use super::{Access, AuthError, Identity, Refusal, Scheme, client_certificate, token};
use crate::inbound::{Conn, Inbound};

/// What one scheme said, for the metric `doorward_auth_total{scheme,outcome,reason}`.
pub trait Witness {
    /// `scheme` is `None` when no scheme claimed the request.
    fn attempted(&mut self, scheme: Option<&Scheme>, outcome: &Result<(), &AuthError>);
}

/// Establishes who is asking. `Ok(None)` on a public route alone. Nobody is let in, on any route, on a connection whose
/// client certificate a new handshake would refuse.
pub async fn authenticate(access: &Access, conn: &Conn, inbound: &mut Inbound, witness: &mut impl Witness) -> Result<Option<Identity>, AuthError> {
    if let Some(why) = conn.client_certificate.as_ref().and_then(|certificate| certificate.lapse()) {
        let error = client_certificate::lapsed(why);
        witness.attempted(None, &Err(&error));
        return Err(error);
    }
    let schemes = match access {
        Access::Public => return Ok(None),
        Access::Accept(schemes) => schemes,
    };
    let mut unknown = None;
    for scheme in schemes {
        // A token that one source does not know may be another's. No other credential of the request stands in for it.
        if unknown.is_some() && !scheme.reads_bearer_tokens() {
            continue;
        }
        match scheme.identify(conn, inbound).await {
            Ok(None) => {}
            Ok(Some(identity)) => {
                witness.attempted(Some(scheme), &Ok(()));
                return Ok(Some(identity));
            }
            Err(AuthError::Refused(why)) if why == token::UNKNOWN => {
                let error = AuthError::Refused(why);
                witness.attempted(Some(scheme), &Err(&error));
                unknown = Some(error);
            }
            Err(error) => {
                witness.attempted(Some(scheme), &Err(&error));
                return Err(error);
            }
        }
    }
    if let Some(error) = unknown {
        return Err(error);
    }
    let refusal = if inbound.presents_credentials() { Refusal::Unclaimed } else { Refusal::Missing };
    let error = match schemes.first().and_then(|first| first.own_words(inbound, &refusal)) {
        Some(form) => AuthError::RefusedAs(refusal, form),
        None => AuthError::Refused(refusal),
    };
    witness.attempted(None, &Err(&error));
    Err(error)
}
