//! Who is asking? Schemes are tried in the route's order; the first that recognises its credential decides.
//!
//! A scheme answers `Ok(None)` (not mine), `Ok(Some(identity))`, or an error that ends the request. It never answers
//! "could not decide, ask the next". Nothing here knows of status codes: see `proxy/reject.rs`.

pub mod aws_v4;
mod basic;
mod bearer;
mod challenge;
mod client_certificate;
pub mod fost;
pub mod http_message_signature;
pub mod http_signature;
mod jwt;
mod order;
mod policy;
pub mod query_hmac;
mod recorded;
mod refusal;
pub mod s3_v2;
mod sender;
mod signing;
mod token;
mod token_review;
mod uploads;
pub mod webhook;

use std::sync::Arc;

use serde::Deserialize;

use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::store::revocations::Revocations;
use crate::types::Report;

pub use crate::store::facts::Subject;
pub use crate::types::{claim, valid_user_name};
pub use challenge::{Challenge, Offer, OwnChallenge, challenges};
pub use order::{Witness, authenticate};
pub use policy::{Denied, Permit, Policy, Settings as RequireSettings};
pub use recorded::{Presented, Trial};
pub use refusal::{AuthError, ErrorForm, Refusal};
pub use signing::{ALGORITHMS, Part, SignError, SignedText, WithText, valid_scope, visible};

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
    /// Requests and URLs signed as Amazon's services ask for, signature version 4.
    aws_v4::AwsV4 = "aws-v4",
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
    /// The client's certificate.
    client_certificate::ClientCertificates = "client-certificate",
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
    /// Query parameters that may carry this scheme's credential and that no application sees.
    #[must_use]
    pub fn parameters(&self) -> &'static [&'static str] {
        if let Kind::Token(token) = &self.kind {
            token.parameters()
        } else if let Kind::Jwt(jwt) = &self.kind {
            jwt.parameters()
        } else {
            &[]
        }
    }

    /// Whether its credential is a bearer token: one that an opaque scheme does not know may still be its own.
    fn reads_bearer_tokens(&self) -> bool {
        matches!(self.kind, Kind::Token(_) | Kind::Jwt(_) | Kind::TokenReview(_))
    }

    /// Whether it knows nobody unless clients are asked for certificates.
    #[must_use]
    pub fn needs_client_certificates(&self) -> bool {
        matches!(self.kind, Kind::ClientCertificates(_))
    }

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
