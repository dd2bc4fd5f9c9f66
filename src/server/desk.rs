//! What the admin listener says of the sources that the gate depends on, and how operators revoke through it.
//!
//! ```text
//! POST /admin/revoke           Authorization: Bearer KEY        the key of [admin]; without one there is no such path
//! {"token": "…"}               a bearer token, whoever gave it out
//! {"jti": "…", "issuer": "…"}  the same, by its name
//! {"user": "…"}                all tokens of a user that were issued until now
//! {"key": "…"}                 an API key
//! ```
//!
//! What is revoked is written nowhere but as a hash.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::store::health::SourceStatus;
use crate::store::revocations::Revocation;
use crate::store::{Stores, Unavailable};
use crate::types::{Report, Secret, SecretSource, unix_now};

/// Shorter keys can be guessed.
const SHORTEST_KEY: usize = 32;
/// Longer names and tokens are nobody's.
const LONGEST: usize = 16 * 1024;

/// `[admin]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// The key that revoking needs, in place.
    pub key: Option<Secret>,
    /// The file that holds it.
    pub key_file: Option<PathBuf>,
    /// The variable that holds it.
    pub key_env: Option<String>,
}

impl AdminSettings {
    /// Reports what is wrong, with keys that start with `admin.`. The key, if there is a good one.
    pub fn read(&self, has_listener: bool, report: &mut Report) -> Option<Secret> {
        let source = SecretSource { key: "key", inline: self.key.as_ref(), file: self.key_file.as_ref(), env: self.key_env.as_deref() };
        if source.is_absent() {
            return None;
        }
        report.within("admin", |report| {
            if !has_listener {
                report.error("", "there is no admin listener that the key could open", "write listen.admin = \"127.0.0.1:9901\"");
            }
            let key = source.load(report)?;
            if key.len() < SHORTEST_KEY {
                report.error("key", "it is shorter than 32 bytes", "make one with: openssl rand -base64 32");
                return None;
            }
            Some(key)
        })
    }
}

/// Why nothing was revoked, or not everywhere.
#[derive(Debug)]
pub(super) enum RevokeError {
    /// The key is missing or wrong.
    Unauthorized,
    /// This is not one of the forms.
    Malformed(&'static str),
    /// It is revoked as far as it could be; the rest could not be reached.
    Unavailable(Unavailable),
}

impl From<Unavailable> for RevokeError {
    fn from(cause: Unavailable) -> Self {
        Self::Unavailable(cause)
    }
}

/// One of the forms; whatever else stands beside it is a mistake, not to be passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    token: Option<String>,
    jti: Option<String>,
    issuer: Option<String>,
    user: Option<String>,
    key: Option<String>,
}

/// What the admin listener reaches of the stores.
#[derive(Debug)]
pub struct Desk {
    stores: Arc<Stores>,
    /// SHA-256 of the key: two of one length are compared, whatever a client sends.
    key: Option<[u8; 32]>,
}

impl Desk {
    /// Without a key, nothing can be revoked.
    #[must_use]
    pub fn new(stores: Arc<Stores>, key: Option<&Secret>) -> Self {
        Self { stores, key: key.map(|key| Sha256::digest(key.expose()).into()) }
    }

    /// How each source has fared.
    pub(super) fn sources(&self) -> Vec<SourceStatus> {
        self.stores.sources(unix_now())
    }

    /// Whether anything can be revoked here.
    pub(super) fn revokes(&self) -> bool {
        self.key.is_some()
    }

    /// Whether `Authorization` bears the key.
    pub(super) fn admits(&self, authorization: Option<&[u8]>) -> Result<(), RevokeError> {
        let presented = authorization.and_then(|value| value.split_at_checked(7)).filter(|(word, _)| word.eq_ignore_ascii_case(b"Bearer "));
        let (Some(key), Some((_, presented))) = (&self.key, presented) else { return Err(RevokeError::Unauthorized) };
        let presented: [u8; 32] = Sha256::digest(presented).into();
        if bool::from(presented.ct_eq(key)) { Ok(()) } else { Err(RevokeError::Unauthorized) }
    }

    /// Revokes what `body` names: first in the store, so that whoever asks it anew is told, then in all replicas.
    pub(super) async fn revoke(&self, body: &[u8]) -> Result<&'static str, RevokeError> {
        let asked: Asked = serde_json::from_slice(body).map_err(|_| RevokeError::Malformed("the body is not JSON of one of the forms"))?;
        let fits = |text: &String| !text.is_empty() && text.len() <= LONGEST;
        let texts = [&asked.token, &asked.jti, &asked.issuer, &asked.user, &asked.key];
        if !texts.into_iter().flatten().all(fits) {
            return Err(RevokeError::Malformed("a name is empty or too long"));
        }
        let (what, stored) = match &asked {
            Asked { token: Some(token), jti: None, issuer: None, user: None, key: None } => {
                (Revocation::Token(token), self.stores.revoke_token(token).await)
            }
            Asked { token: None, jti: Some(jti), issuer: Some(issuer), user: None, key: None } => (Revocation::TokenId { issuer, jti }, Ok(())),
            Asked { token: None, jti: None, issuer: None, user: Some(user), key: None } => {
                (Revocation::User(user), self.stores.revoke_tokens_of(user).await)
            }
            Asked { token: None, jti: None, issuer: None, user: None, key: Some(key) } => (Revocation::Key(key), self.stores.revoke_key(key).await),
            Asked { .. } => return Err(RevokeError::Malformed("write one of token, jti and issuer, user, key")),
        };
        let told = self.stores.revocations.revoke(&[what]).await;
        stored.and(told)?;
        Ok(match what {
            Revocation::Token(_) | Revocation::StoredToken(_) | Revocation::TokenId { .. } => "token",
            Revocation::User(_) | Revocation::FactsAbout(_) => "user",
            Revocation::Key(_) => "key",
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;
    use crate::store::CacheSettings;
    use crate::store::facts::{Origin, Subject};

    async fn desk() -> Desk {
        let stores = Stores::open(None, &CacheSettings::default(), Handle::current(), &mut Report::default()).await.unwrap();
        Desk::new(stores, Some(&Secret::new("0123456789abcdef0123456789abcdef")))
    }

    #[tokio::test]
    async fn only_the_whole_key_opens() {
        let desk = desk().await;
        for good in ["Bearer 0123456789abcdef0123456789abcdef", "bearer 0123456789abcdef0123456789abcdef"] {
            assert!(desk.admits(Some(good.as_bytes())).is_ok());
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic 0123456789abcdef0123456789abcdef",
            "Bearer  0123456789abcdef0123456789abcdef",
            "Bearer 0123456789abcdef0123456789abcdeF",
            "Bearer 0123456789abcdef0123456789abcde",
            "Bearer 0123456789abcdef0123456789abcdef0",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert!(desk.admits(Some(bad.as_bytes())).is_err(), "{bad:?}");
        }
        assert!(desk.admits(None).is_err());
        let closed = Desk { key: None, ..desk };
        assert!(!closed.revokes() && closed.admits(Some(b"Bearer ")).is_err());
    }

    #[tokio::test]
    async fn each_form_revokes_and_nothing_else_does() {
        let desk = desk().await;
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            "\"token\"",
            r#"{"token": ""}"#,
            r#"{"token": 1}"#,
            r#"{"token": "a", "user": "b"}"#,
            r#"{"token": "a", "token": "b"}"#,
            r#"{"jti": "a"}"#,
            r#"{"issuer": "a"}"#,
            r#"{"user": "a", "more": 1}"#,
            r#"{"tokens": "a"}"#,
        ] {
            assert!(matches!(desk.revoke(bad.as_bytes()).await, Err(RevokeError::Malformed(_))), "{bad}");
        }
        assert!(desk.stores.revocations.is_empty());
        let long = format!("{{\"user\": \"{}\"}}", "a".repeat(LONGEST + 1));
        assert!(desk.revoke(long.as_bytes()).await.is_err());
        for (body, what) in [
            (r#"{"token": "a"}"#, "token"),
            (r#"{"jti": "a", "issuer": "b"}"#, "token"),
            (r#"{"user": "alice"}"#, "user"),
            (r#"{"key": "k"}"#, "key"),
        ] {
            assert_eq!(desk.revoke(body.as_bytes()).await.unwrap(), what);
        }
        assert_eq!(desk.stores.revocations.len(), 4);
        let key = Subject { origin: Origin::Key { name: "k".into() }, ..Subject::default() };
        assert!(!desk.stores.revocations.permits(&key).unwrap());
    }

    #[test]
    fn a_weak_key_or_one_without_a_listener_stops_the_start() {
        for (key, has_listener, good) in
            [("0123456789abcdef0123456789abcdef", true, true), ("short", true, false), ("0123456789abcdef0123456789abcdef", false, false)]
        {
            let settings = AdminSettings { key: Some(Secret::new(key)), ..AdminSettings::default() };
            let mut report = Report::default();
            let _ = settings.read(has_listener, &mut report);
            assert_eq!(!report.has_errors(), good, "{key}");
            assert!(report.problems().iter().all(|problem| problem.key.starts_with("admin")));
        }
        assert!(AdminSettings::default().read(false, &mut Report::default()).is_none());
    }
}
