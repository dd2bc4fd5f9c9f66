//! Who is asking? Schemes are tried in the route's order; the first that recognises its credential decides.
//!
//! A scheme answers `Ok(None)` (not mine), `Ok(Some(identity))`, or an error that ends the request. It never answers
//! "could not decide, ask the next". Nothing here knows of status codes: see `proxy/reject.rs`.

mod ask;
mod basic;
mod bearer;
mod challenge;
pub mod fost;
pub mod http_message_signature;
pub mod http_signature;
mod jwt;
mod policy;
pub mod query_hmac;
pub mod s3_v2;
mod sender;
mod signing;
mod token;
mod token_review;
mod uploads;
pub mod webhook;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use crate::inbound::{Conn, Inbound};
use crate::payload::PayloadError;
use crate::store::revocations::Revocations;
use crate::store::{Stores, Unavailable};
use crate::types::Report;

pub use crate::store::facts::Subject;
pub use crate::types::{claim, valid_user_name};
pub use ask::{Witness, authenticate};
pub use challenge::{Challenge, Offer, OwnChallenge, challenges};
pub use policy::{Denied, Permit, Policy, Settings as RequireSettings};
pub use signing::SignError;

/// A caller whose credential was verified.
#[derive(Debug)]
pub struct Identity {
    /// What is known of the caller, shared by all requests with the same credential.
    pub subject: Arc<Subject>,
    /// The scheme's name in the configuration, for logs and metrics.
    pub scheme: Arc<str>,
    /// Query parameters that carried the credential and that the application does not see.
    pub query_credentials: &'static [&'static str],
}

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
            PayloadError::Mismatch(mismatch) => Self::Refused(Refusal::Wrong(mismatch.0)),
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

impl Refusal {
    /// A short, fixed code: for the log, the metric label and the client.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "credentials_missing",
            Self::Unclaimed => "credentials_not_accepted",
            Self::Malformed(_) => "credentials_malformed",
            Self::Wrong(_) => "credentials_wrong",
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

/// Headers and cookies that carry credentials of a scheme: removed from every request before it is forwarded.
#[derive(Debug, Default)]
pub struct CredentialNames {
    /// Lower-case header names.
    pub headers: Vec<http::HeaderName>,
    /// Cookie names.
    pub cookies: Vec<String>,
}

/// Whom a route lets in.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody, as nobody.
    Public,
    /// Whoever one of these schemes knows. Never empty: such a route does not load.
    Accept(Vec<Arc<Scheme>>),
}

/// The table of schemes. A new scheme is one file and one line here.
macro_rules! schemes {
    ($($(#[$doc:meta])* $module:ident::$type:ident = $name:literal,)+) => {
        /// `[auth.NAME.KIND]`: exactly one kind for each name.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct SchemeSettings {
            $($(#[$doc])* #[serde(rename = $name)] pub $module: Option<$module::Settings>,)+
        }

        #[derive(Debug)]
        #[allow(clippy::large_enum_variant, reason = "one for each configured scheme, behind an Arc")]
        enum Kind { $($(#[$doc])* $type($module::$type),)+ }

        impl SchemeSettings {
            /// All kinds that there are.
            pub const KINDS: &'static [&'static str] = &[$($name,)+];

            fn build(self, name: &str, stores: &Arc<Stores>, report: &mut Report) -> Option<(Kind, &'static str)> {
                let mut built = Vec::new();
                $(if let Some(settings) = self.$module {
                    built.push(report.within($name, |report| $module::$type::build(name, settings, stores, report)).map(|s| (Kind::$type(s), $name)));
                })+
                if built.len() != 1 {
                    report.error("", "a name under [auth] has exactly one kind", &format!("write [auth.{name}.KIND] with one of {}", Self::KINDS.join(", ")));
                    return None;
                }
                built.pop().flatten()
            }
        }

        impl Scheme {
            async fn attempt(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
                match &self.kind { $(Kind::$type(scheme) => scheme.authenticate(conn, inbound).await,)+ }
            }

            fn offer(&self, why: &Refusal) -> Offer {
                match &self.kind { $(Kind::$type(scheme) => scheme.challenge(why).into(),)+ }
            }

            /// Where this scheme's credentials travel.
            #[must_use]
            pub fn credentials(&self) -> CredentialNames {
                match &self.kind { $(Kind::$type(scheme) => scheme.credentials(),)+ }
            }
        }
    };
}

schemes! {
    /// Requests and URLs signed with a shared key, as Fost and Django do.
    fost::Fost = "fost",
    /// Requests that an API key signs in their query, as dj-api-auth does.
    query_hmac::QueryHmac = "query-hmac",
    /// Requests and URLs signed as Amazon S3 once asked for, signature version 2.
    s3_v2::S3V2 = "s3-v2",
    /// Requests signed as RFC 9421 says.
    http_message_signature::HttpMessageSignature = "http-message-signature",
    /// Requests signed by the drafts before RFC 9421, as clients of Kong and APISIX do.
    http_signature::HttpSignature = "http-signature",
    /// Deliveries that a service signs: webhooks.
    webhook::Webhook = "webhook",
    /// JSON Web Tokens of an identity provider.
    jwt::Jwt = "jwt",
    /// Opaque bearer tokens.
    token::Token = "token",
    /// Tokens that the Kubernetes API server knows.
    token_review::TokenReview = "kubernetes-token-review",
    /// User name and password, RFC 7617.
    basic::Basic = "basic",
}

/// One configured scheme.
#[derive(Debug)]
pub struct Scheme {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its kind, such as `jwt`: a metric label.
    pub kind_name: &'static str,
    kind: Kind,
    revocations: Arc<Revocations>,
}

impl Scheme {
    /// How its clients are told that they are not known, where that is not everybody's way.
    fn own_words(&self, inbound: &Inbound, why: &Refusal) -> Option<ErrorForm> {
        if let Kind::Jwt(jwt) = &self.kind { jwt.own_words(inbound, why) } else { None }
    }

    /// Builds `[auth.NAME]`; reports what is wrong and returns `None` then.
    pub fn build(name: &str, settings: SchemeSettings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let (kind, kind_name) = settings.build(name, stores, report)?;
        Some(Self { name: name.into(), kind_name, kind, revocations: Arc::clone(&stores.revocations) })
    }

    /// Whom the request comes from by this scheme, unless that credential was revoked: asked last, of every answer, so that
    /// a revocation ends also what is remembered or was being looked up.
    async fn identify(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some(identity) = self.attempt(conn, inbound).await? else { return Ok(None) };
        if self.revocations.permits(&identity.subject)? {
            return Ok(Some(identity));
        }
        Err(Refusal::Wrong("the credential was revoked").into())
    }
}
