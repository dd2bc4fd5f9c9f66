//! A signed request that was recorded: what it says of itself, and whether another text than the right one is what its client signed. For
//! the operator's command line alone; nothing here is used while requests are served.

use std::fmt;

use super::{Access, AuthError, Kind, Scheme};
use crate::inbound::Inbound;

/// What a signed request says of itself. Nothing of it is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presented {
    /// The key's name; `None` for a webhook.
    pub key: Option<String>,
    /// When it was signed, or until when it is good, in Unix seconds.
    pub time: Option<i64>,
}

/// The signature of a request and its key: says of any text whether it is what was signed. Compares in constant time.
pub struct Trial(Box<Signed>);

type Signed = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Trial {
    pub(super) fn new(signed: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(signed))
    }

    /// Whether the client signed `text`.
    #[must_use]
    pub fn signed(&self, text: &[u8]) -> bool {
        self.0(text)
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trial(***)")
    }
}

impl Access {
    /// The schemes among these whose clients sign; none on a public route.
    #[must_use]
    pub fn signed(&self) -> Self {
        match self {
            Self::Public => Self::Accept(Vec::new()),
            Self::Accept(schemes) => Self::Accept(schemes.iter().filter(|scheme| scheme.is_signed()).cloned().collect()),
        }
    }
}

impl Scheme {
    /// Whether its clients sign their requests.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        match &self.kind {
            Kind::Fost(_)
            | Kind::QueryHmac(_)
            | Kind::S3V2(_)
            | Kind::HttpMessageSignature(_)
            | Kind::AwsV4(_)
            | Kind::HttpSignature(_)
            | Kind::Webhook(_) => true,
            Kind::Jwt(_) | Kind::Token(_) | Kind::TokenReview(_) | Kind::Basic(_) | Kind::ClientCertificates(_) => false,
        }
    }

    /// What the request says of itself, if it bears a credential of this scheme that can be read.
    pub fn presented(&self, inbound: &mut Inbound) -> Option<Presented> {
        match &self.kind {
            Kind::Fost(scheme) => scheme.presented(inbound),
            Kind::QueryHmac(scheme) => scheme.presented(inbound),
            Kind::S3V2(scheme) => scheme.presented(inbound),
            Kind::HttpMessageSignature(scheme) => scheme.presented(inbound),
            Kind::AwsV4(scheme) => scheme.presented(inbound),
            Kind::HttpSignature(scheme) => scheme.presented(inbound),
            Kind::Webhook(scheme) => scheme.presented(inbound),
            Kind::Jwt(_) | Kind::Token(_) | Kind::TokenReview(_) | Kind::Basic(_) | Kind::ClientCertificates(_) => None,
        }
    }

    /// The request's signature and its key, if that is known.
    pub async fn trial(&self, inbound: &mut Inbound) -> Result<Option<Trial>, AuthError> {
        match &self.kind {
            Kind::Fost(scheme) => scheme.trial(inbound).await,
            Kind::QueryHmac(scheme) => scheme.trial(inbound).await,
            Kind::S3V2(scheme) => scheme.trial(inbound).await,
            Kind::HttpMessageSignature(scheme) => scheme.trial(inbound).await,
            Kind::AwsV4(scheme) => scheme.trial(inbound).await,
            Kind::HttpSignature(scheme) => scheme.trial(inbound).await,
            Kind::Webhook(scheme) => scheme.trial(inbound),
            Kind::Jwt(_) | Kind::Token(_) | Kind::TokenReview(_) | Kind::Basic(_) | Kind::ClientCertificates(_) => Ok(None),
        }
    }
}
