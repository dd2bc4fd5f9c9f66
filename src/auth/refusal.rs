//! Why a request has no identity, and how its client is told.
//!
//! Nothing here knows of status codes: see `proxy/reject.rs`.

use std::borrow::Cow;

use super::challenge::OwnChallenge;
use super::signing::SignedText;
use crate::payload::{Mismatch, PayloadError};
use crate::store::Unavailable;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The credential is missing or wrong: 401.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The same, told in the scheme's own words, which its clients know.
    #[error("{0}")]
    RefusedAs(#[source] Refusal, ErrorForm),
    /// Nobody can say at the moment: 503.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The body that the signature covers could not be read: 413, 408 or 400.
    #[error(transparent)]
    Payload(PayloadError),
}

impl From<PayloadError> for AuthError {
    /// A body that is not the one that was signed is a wrong credential.
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Mismatch(mismatch) => Self::Refused(mismatch.into()),
            PayloadError::TooLarge(_) | PayloadError::TimedOut | PayloadError::Broken(_) | PayloadError::Spool(_) => Self::Payload(error),
        }
    }
}

/// Why a credential was refused. `Display` is for the log; the client sees [`Refusal::code`] at most.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credential that any scheme of the route knows.
    #[error("no credential was presented")]
    Missing,
    /// A credential was presented that no scheme of the route claims.
    #[error("no scheme of this route accepts the credential presented")]
    Unclaimed,
    /// Not of the form that its scheme asks for.
    #[error("malformed credential: {0}")]
    Malformed(&'static str),
    /// The signature, secret or password is wrong, or the key, token or user is not known. One answer for all of
    /// these, so that nobody learns which keys or users exist; the log is told more.
    #[error("wrong credential: {0}")]
    Wrong(&'static str),
    /// The signature does not match, or its key is not known: the same as [`Refusal::Wrong`] to clients. With what should have been
    /// signed, for the operator.
    #[error("wrong credential: {0}")]
    Mismatch(Box<SignedText>),
    /// A part of the body is not the one that was signed. With what should have been signed, for the operator.
    #[error("wrong credential: {0}")]
    WrongBody(Mismatch),
    /// Past its expiry.
    #[error("the credential has expired")]
    Expired,
    /// Not valid yet.
    #[error("the credential is not valid yet")]
    NotYetValid,
    /// Its time is too far from this machine's clock.
    #[error("the timestamp is {0} s away from this machine's clock")]
    Skewed(i64),
    /// A token for somebody else.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// A token by somebody else.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// A signature that may be used once was used before.
    #[error("the signature was used before")]
    Replayed,
    /// The key is good, but not for this.
    #[error("the key may not do this: {0}")]
    Forbidden(&'static str),
}

impl From<Mismatch> for Refusal {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch.note {
            None => Self::Wrong(mismatch.what),
            Some(_) => Self::WrongBody(mismatch),
        }
    }
}

impl Refusal {
    /// A short, fixed code: for the log, the metric label and the client.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "credentials_missing",
            Self::Unclaimed => "credentials_not_accepted",
            Self::Malformed(_) => "credentials_malformed",
            Self::Wrong(_) | Self::Mismatch(_) | Self::WrongBody(_) => "credentials_wrong",
            Self::Expired => "credentials_expired",
            Self::NotYetValid => "credentials_not_yet_valid",
            Self::Skewed(_) => "clock_skew",
            Self::WrongAudience => "wrong_audience",
            Self::WrongIssuer => "wrong_issuer",
            Self::Replayed => "replayed",
            Self::Forbidden(_) => "key_not_allowed",
        }
    }
}

/// How a scheme tells its clients that they were refused, where that is not by 401 and a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorForm {
    /// 403 and `{"error": TEXT}`. The text holds nothing of the request.
    Forbidden(Cow<'static, str>),
    /// 401 with exactly this challenge, and a nonce that the next proof is to hold (RFC 9449 section 8).
    Challenge(Box<OwnChallenge>),
    /// 401 and `{"status_code":401,"error":ERROR,"description":DESCRIPTION}`, as Flask-JWT has it.
    FlaskJwt {
        /// The kind of refusal.
        error: &'static str,
        /// What was wrong.
        description: &'static str,
    },
}

impl ErrorForm {
    /// `WWW-Authenticate` of Flask-JWT.
    pub const FLASK_JWT_CHALLENGE: &'static str = "JWT realm=\"Login Required\"";
}
