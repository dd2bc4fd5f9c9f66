//! The certificate that the client proved to hold in the TLS handshake, as its identity.
//!
//! ```text
//! TLS      chain, dates, purpose, revocation lists   ../../server/tls/: at the handshake, and again at every request
//! here     what the certificate says                 document.rs
//!          which of its names is the user's          names.rs, pattern.rs
//! ```
//!
//! A connection without a certificate is left to the next scheme. One with a certificate is this scheme's: if it is not
//! let in, no other credential of the request is looked at.

use std::sync::Arc;

use http::HeaderValue;
use serde::Deserialize;

use super::{AuthError, Challenge, CredentialNames, ErrorForm, Identity, OwnChallenge, Refusal, Subject, valid_scope, valid_user_name};
use crate::inbound::{ClientCertificate, Conn, Inbound, Lapse};
use crate::store::Stores;
use crate::types::{Report, some};
use document::Document;
use names::Kind;
use pattern::Pattern;

mod claims;
mod document;
mod names;
mod pattern;

#[cfg(test)]
mod tests;

const CHALLENGE: &str = "ClientCertificate realm=\"doorward\"";

/// `[auth.NAME.client-certificate]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `san-uri`, `san-dns`, `san-email` or `cn`: which name of a certificate is the user's.
    user_from: String,
    /// Patterns of names; without it, every certificate that the handshake accepted is let in.
    #[serde(default, deserialize_with = "some")]
    allow: Vec<String>,
    /// The groups of everybody whom this scheme lets in.
    #[serde(default)]
    groups: Vec<String>,
    /// The same for scopes.
    #[serde(default)]
    scopes: Vec<String>,
}

/// The scheme.
#[derive(Debug)]
pub struct ClientCertificates {
    name: Arc<str>,
    rules: Arc<Rules>,
}

/// Who is let in, and as whom.
#[derive(Debug)]
struct Rules {
    kind: Kind,
    allow: Vec<Pattern>,
    groups: Vec<String>,
    scopes: Vec<String>,
}

/// What these rules say of a connection's certificate: read once, as neither of the two changes.
#[derive(Debug)]
struct Found {
    rules: Arc<Rules>,
    outcome: Result<Arc<Subject>, Refusal>,
}

impl ClientCertificates {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    #[allow(clippy::needless_pass_by_value, reason = "every scheme takes its settings over")]
    pub fn build(name: &str, settings: Settings, _stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let rules = Rules::build(settings, report)?;
        Some(Self { name: name.into(), rules: Arc::new(rules) })
    }

    /// Whether the connection bears a certificate, and whose.
    #[allow(clippy::unused_async, reason = "every scheme may wait")]
    pub async fn authenticate(&self, conn: &Conn, _inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some(certificate) = &conn.client_certificate else { return Ok(None) };
        let subject = self.subject(certificate)?;
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }))
    }

    fn subject(&self, certificate: &ClientCertificate) -> Result<Arc<Subject>, Refusal> {
        let read = || Found { rules: Arc::clone(&self.rules), outcome: self.rules.identify(certificate).map(Arc::new) };
        certificate.remember(|found: &Found| Arc::ptr_eq(&found.rules, &self.rules), read).outcome.clone()
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, _why: &Refusal) -> Challenge {
        Challenge(HeaderValue::from_static(CHALLENGE))
    }

    /// Where this scheme's credentials travel: in no part of a request.
    pub fn credentials(&self) -> CredentialNames {
        CredentialNames::default()
    }
}

impl Rules {
    fn build(settings: Settings, report: &mut Report) -> Option<Self> {
        let Settings { user_from, allow, groups, scopes } = settings;
        let Some(kind) = Kind::named(&user_from) else {
            let problem = format!("{user_from:?} is no name of a certificate");
            report.error("user_from", &problem, "write \"san-uri\", \"san-dns\", \"san-email\" or \"cn\"");
            return None;
        };
        if allow.is_empty() {
            report.warn(
                "allow",
                "whoever has a certificate of tls.client_ca is let in",
                "list who may, such as allow = [\"spiffe://cluster.local/ns/*/sa/*\"]",
            );
        }
        let mut patterns = Vec::new();
        for text in &allow {
            match Pattern::parse(kind, text) {
                Ok(pattern) => patterns.push(pattern),
                Err(problem) => report.error("allow", &format!("{text:?}: {problem}"), kind.example()),
            }
        }
        let plain = groups.iter().all(|group| valid_user_name(group));
        if !plain {
            report.error("groups", "a group's name is empty, too long, or holds a character that does not show", "write plain names");
        }
        let sound = scopes.iter().all(|scope| valid_scope(scope));
        if !sound {
            report.error("scopes", "a scope is empty or holds a blank, a quote, a backslash or something outside ASCII", "write one scope a text");
        }
        (plain && sound && patterns.len() == allow.len()).then_some(Self { kind, allow: patterns, groups, scopes })
    }

    /// Whose certificate it is. Its dates and its chain are not looked at here.
    fn identify(&self, certificate: &ClientCertificate) -> Result<Subject, Refusal> {
        let document = Document::read(&certificate.der).map_err(Refusal::Wrong)?;
        let user = names::select(self.kind, &document, |name| self.allow.is_empty() || self.allow.iter().any(|pattern| pattern.matches(name)))?;
        Ok(Subject {
            email: claims::email(self.kind, &user, &document),
            groups: self.groups.clone(),
            scopes: self.scopes.clone(),
            expires: Some(document.not_after),
            claims: claims::of(&document, &certificate.sha256),
            user,
            ..Subject::default()
        })
    }
}

/// What is said on a connection whose certificate a handshake would not accept any longer, whatever is asked for on it.
pub(super) fn lapsed(why: Lapse) -> AuthError {
    let refusal = match why {
        Lapse::Expired => Refusal::Expired,
        Lapse::NotYetValid => Refusal::NotYetValid,
        Lapse::Refused(why) => Refusal::Wrong(why),
    };
    let own = OwnChallenge { challenge: HeaderValue::from_static(CHALLENGE), nonce: None };
    AuthError::RefusedAs(refusal, ErrorForm::Challenge(Box::new(own)))
}
