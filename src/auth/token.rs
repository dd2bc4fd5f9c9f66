//! Opaque bearer tokens, RFC 6750, that Doorward itself gave out.
//!
//! ```text
//! Authorization: Bearer dw_…43 characters…
//! ```
//!
//! A token of a JWT's form is left to the scheme `jwt`. Every other bearer token is this scheme's.

use std::sync::Arc;

use http::HeaderValue;
use serde::Deserialize;

use super::bearer::{self, Carrier};
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal, Subject};
use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::store::tokens::Tokens;
use crate::types::{Report, unix_now};

/// Longer tokens are refused before anything is computed of them.
const MAX_TOKEN_BYTES: usize = 4096;

/// `[auth.NAME.token]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where tokens are looked up: `store`.
    source: String,
    /// Words before the token in `Authorization`; default `["Bearer"]`, `""` for none.
    #[serde(default, deserialize_with = "bearer::one_or_many")]
    prefix: Option<Vec<String>>,
    /// A header that may hold the token.
    header: Option<String>,
    /// A cookie that may hold the token.
    cookie: Option<String>,
}

/// The scheme.
#[derive(Debug)]
pub struct Token {
    name: Arc<str>,
    carrier: Carrier,
    tokens: Tokens,
}

impl Token {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let carrier = Carrier::build(settings.prefix, settings.header, settings.cookie, report);
        let tokens = source(&settings.source, stores.tokens.as_ref(), report);
        Some(Self { name: name.into(), carrier: carrier?, tokens: tokens? })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, _conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some(token) = self.carrier.take(inbound)? else { return Ok(None) };
        let subject = self.verify(token).await?;
        Ok(subject.map(|subject| Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }))
    }

    /// How to ask for this scheme's credential: RFC 6750 section 3.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        bearer_challenge(why)
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        self.carrier.credentials()
    }

    /// `None` when the token is of another scheme's form.
    async fn verify(&self, token: &str) -> Result<Option<Arc<Subject>>, AuthError> {
        if bearer::has_jwt_form(token) {
            return Ok(None);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed("the token is longer than 4096 bytes").into());
        }
        let Some(subject) = self.tokens.find(token).await? else {
            return Err(Refusal::Wrong("the token is unknown or revoked, or its user is disabled").into());
        };
        judge(&subject, unix_now())?;
        Ok(Some(subject))
    }
}

/// What must hold on every request, also of a fact that is remembered.
fn judge(subject: &Subject, now: i64) -> Result<(), Refusal> {
    // A token without an expiry is none that Doorward gave out.
    if subject.expires.is_none_or(|expires| expires <= now) {
        return Err(Refusal::Expired);
    }
    if !super::valid_user_name(&subject.user) {
        return Err(Refusal::Wrong("the user's name cannot be told to an application"));
    }
    Ok(())
}

fn source(source: &str, tokens: Option<&Tokens>, report: &mut Report) -> Option<Tokens> {
    if source != "store" {
        report.error("source", &format!("tokens cannot be looked up in {source:?}"), "write source = \"store\", the only one that is supported");
        return None;
    }
    if tokens.is_none() {
        report.error("source", "there is no store", "add a section [store] with url = \"sqlite:FILE\"");
    }
    tokens.cloned()
}

/// `Bearer`, with the error of RFC 6750 section 3.1 when a credential was sent. All texts are fixed.
fn bearer_challenge(why: &Refusal) -> Challenge {
    Challenge(HeaderValue::from_static(match why {
        Refusal::Missing => r#"Bearer realm="doorward""#,
        Refusal::Expired => r#"Bearer realm="doorward", error="invalid_token", error_description="The token has expired""#,
        Refusal::Unclaimed
        | Refusal::Malformed(_)
        | Refusal::Wrong(_)
        | Refusal::NotYetValid
        | Refusal::Skewed(_)
        | Refusal::WrongAudience
        | Refusal::WrongIssuer
        | Refusal::Replayed
        | Refusal::Forbidden(_) => r#"Bearer realm="doorward", error="invalid_token", error_description="The token is not accepted""#,
    }))
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;
    use crate::store::CacheSettings;
    use crate::store::sql::Db;
    use crate::store::tokens::issue;

    struct Fixture {
        db: Db,
        scheme: Token,
        _dir: tempfile::TempDir,
    }

    async fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let aux = Handle::current();
        let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &aux).await.unwrap();
        let tokens = Tokens::new(db.clone(), &CacheSettings::default(), &aux, &Arc::default());
        let carrier = Carrier::build(None, None, None, &mut Report::default()).unwrap();
        Fixture { db, scheme: Token { name: "tokens".into(), carrier, tokens }, _dir: dir }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_of_the_store_names_its_user_and_another_is_wrong() {
        let f = fixture().await;
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        assert_eq!(f.scheme.verify(&issued.token).await.unwrap().unwrap().user, "alice");
        for token in ["dw_unknown", "x", "a.b", "a.b.c.d.e", "..", &issued.id, &"a".repeat(4096)] {
            assert!(matches!(f.scheme.verify(token).await, Err(AuthError::Refused(Refusal::Wrong(_)))), "{token}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_of_a_jwts_form_is_left_to_others_however_long() {
        let f = fixture().await;
        for token in ["eyJh.eyJz.c2ln".to_owned(), format!("eyJh.{}.c2ln", "c".repeat(9000))] {
            assert!(f.scheme.verify(&token).await.unwrap().is_none());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_overlong_token_is_malformed() {
        let f = fixture().await;
        for token in ["a".repeat(4097), format!("a.b.c.d.{}", "e".repeat(4096))] {
            assert!(matches!(f.scheme.verify(&token).await, Err(AuthError::Refused(Refusal::Malformed(_)))));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_expired_token_is_expired_and_a_name_that_cannot_be_told_is_refused() {
        let f = fixture().await;
        let expired = issue(&f.db, "alice", &[], 0).await.unwrap();
        assert!(matches!(f.scheme.verify(&expired.token).await, Err(AuthError::Refused(Refusal::Expired))));
        let odd = issue(&f.db, "alice\r\nX: y", &[], 3600).await.unwrap();
        assert!(matches!(f.scheme.verify(&odd.token).await, Err(AuthError::Refused(Refusal::Wrong(_)))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_is_gone_is_unavailable() {
        let f = fixture().await;
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        f.db.close().await;
        assert!(matches!(f.scheme.verify(&issued.token).await, Err(AuthError::Unavailable(_))));
    }

    #[test]
    fn a_token_holds_until_the_second_before_its_expiry() {
        let subject = |expires| Subject { user: "alice".to_owned(), expires, ..Subject::default() };
        assert_eq!(judge(&subject(Some(100)), 99), Ok(()));
        for (expires, now) in [(Some(100), 100), (Some(100), 101), (Some(i64::MIN), 0), (None, 0), (Some(i64::MAX), i64::MAX)] {
            assert_eq!(judge(&subject(expires), now), Err(Refusal::Expired), "{expires:?} at {now}");
        }
    }

    #[test]
    fn settings_that_name_another_source_or_no_store_are_reported() {
        for (text, expected) in [("introspection", "only one"), ("", "only one"), ("Store", "only one"), ("store", "[store]")] {
            let mut report = Report::default();
            assert!(source(text, None, &mut report).is_none());
            let problem = report.problems().first().unwrap();
            assert!(problem.key == "source" && problem.remedy.contains(expected), "{problem:?}");
        }
        let settings = toml::from_str::<Settings>("source = 'store'\nprefix = ''\nheader = 'X-Token'\ncookie = 'tok'").unwrap();
        assert_eq!(settings.prefix, Some(vec![String::new()]));
        assert!(toml::from_str::<Settings>("").is_err());
        assert!(toml::from_str::<Settings>("source = 'store'\nsauce = 1").is_err());
    }

    #[test]
    fn only_a_credential_that_was_sent_is_called_invalid() {
        let text = |why| bearer_challenge(&why).0.to_str().unwrap().to_owned();
        assert_eq!(text(Refusal::Missing), "Bearer realm=\"doorward\"");
        assert!(text(Refusal::Expired).ends_with("error=\"invalid_token\", error_description=\"The token has expired\""));
        for why in [Refusal::Unclaimed, Refusal::Wrong("secret detail"), Refusal::Malformed("secret detail"), Refusal::Skewed(7)] {
            let text = text(why);
            assert!(text.contains("error=\"invalid_token\"") && !text.contains("secret detail"), "{text}");
        }
    }
}
