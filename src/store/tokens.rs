//! Opaque tokens that Doorward gave out. Only their SHA-256 is stored.
//!
//! ```text
//! token   dw_ and 43 characters: 32 random bytes, base64url without padding
//! hash    SHA-256 of all 46 characters
//! id      the first 12 hexadecimal digits of the hash: says nothing of the token
//! ```

use std::sync::Arc;
use std::time::Instant;

use serde_json::Map;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::cache::{Known, Limits};
use super::facts::{Origin, Subject};
use super::revocations::Revocations;
use super::sealed::SealedFacts;
use super::sql::{Db, NewToken, TokenRow};
use super::{CacheSettings, LOADS, Metrics, Unavailable, digest, random_text};
use crate::types::unix_now;

/// Before every token, so that people and secret scanners know one when they see it.
const PREFIX: &str = "dw_";

/// Tokens in the store, remembered for `cache.max_age`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens {
    db: Db,
    known: Known<Subject>,
}

/// A token just made: the only moment at which it can be read. Without `Debug`.
pub struct Issued {
    /// The token.
    pub token: Zeroizing<String>,
    /// The name under which it is listed and revoked.
    pub id: String,
    /// Unix seconds.
    pub expires: i64,
}

impl Tokens {
    /// Tokens of `db`.
    #[must_use]
    pub fn new(db: Db, cache: &CacheSettings, aux: &Handle, metrics: &Arc<Metrics>) -> Self {
        let known = Known::new("store", Limits::new(cache, LOADS), aux.clone(), Arc::clone(metrics), |metrics| &metrics.tokens);
        Self { db, known }
    }

    /// In a fleet of replicas: users of whom something was revoked are asked for anew, and what replicas with the same
    /// database learn is shared under the name `scope`, if they share facts.
    #[must_use]
    pub fn in_fleet(self, revocations: &Arc<Revocations>, facts: Option<&SealedFacts>, scope: Option<&str>) -> Self {
        let known = self.known.ended_by(revocations);
        let known = match scope {
            Some(scope) => known.shared_through(facts, &format!("store {scope}")),
            None => known,
        };
        Self { known, ..self }
    }

    /// What is known of the bearer of `token`; `None` if it is unknown, revoked, or its user is disabled. The caller
    /// judges `Subject::expires`.
    pub async fn find(&self, token: &str) -> Result<Option<Arc<Subject>>, Unavailable> {
        let hash = digest(token);
        let load = || {
            let db = self.db.clone();
            async move { Ok(db.token(hash).await?.map(|row| subject(row, hash))) }
        };
        self.known.get(hash, Instant::now(), load).await
    }
}

/// Makes a token for `user` that lasts `lifetime` seconds, and stores its hash.
pub async fn issue(db: &Db, user: &str, scopes: &[String], lifetime: i64) -> Result<Issued, Unavailable> {
    let token = Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(random_text()?)));
    let hash = digest(&token);
    let id: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let expires = unix_now().saturating_add(lifetime);
    let new = NewToken { id: id.clone(), hash, user: user.to_owned(), scopes: scopes.to_vec(), expires };
    if db.add_token(new).await? {
        return Ok(Issued { token, id, expires });
    }
    Err(Unavailable::new("store", "another token has the same id; ask again"))
}

fn subject(row: TokenRow, token: [u8; 32]) -> Subject {
    let origin = Origin::Store { token };
    Subject { user: row.user, email: row.email, groups: row.groups, scopes: row.scopes, claims: Map::new(), expires: Some(row.expires), origin }
}

#[cfg(test)]
mod tests {
    use super::super::HumanDuration;
    use super::super::sql::NewUser;
    use super::*;

    struct Fixture {
        db: Db,
        tokens: Tokens,
        dir: tempfile::TempDir,
    }

    /// Tokens that are remembered for `max_age` seconds.
    async fn fixture(max_age: u64) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let aux = Handle::current();
        let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &aux).await.unwrap();
        let age = HumanDuration::from_secs(max_age);
        let cache = CacheSettings { max_age: age, negative_max_age: age, ..CacheSettings::default() };
        let tokens = Tokens::new(db.clone(), &cache, &aux, &Arc::default());
        Fixture { db, tokens, dir }
    }

    fn scopes() -> Vec<String> {
        vec!["read".to_owned(), "write".to_owned()]
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_that_was_issued_says_whose_it_is() {
        let f = fixture(0).await;
        let issued = issue(&f.db, "alice", &scopes(), 3600).await.unwrap();
        assert!(issued.token.starts_with("dw_") && issued.token.len() == 46);
        assert_eq!(issued.id.len(), 12);
        let subject = f.tokens.find(&issued.token).await.unwrap().unwrap();
        let origin = Origin::Store { token: digest(&issued.token) };
        let expected = Subject { user: "alice".to_owned(), scopes: scopes(), expires: Some(issued.expires), origin, ..Subject::default() };
        assert_eq!(*subject, expected);
        let left = issued.expires - unix_now();
        assert!((3590..=3600).contains(&left), "{left}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_but_the_token_itself_is_a_token() {
        let f = fixture(0).await;
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        let other_case = issued.token.to_uppercase();
        let longer = format!("{}A", *issued.token);
        for token in ["", "dw_", "%", &issued.id, &other_case, &longer, &issued.token[..45], "' OR 1=1 --"] {
            assert!(f.tokens.find(token).await.unwrap().is_none(), "{token:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_database_does_not_hold_the_token() {
        let f = fixture(0).await;
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        f.db.close().await;
        let random = issued.token.strip_prefix(PREFIX).unwrap().as_bytes();
        let mut bytes = 0;
        for entry in std::fs::read_dir(f.dir.path()).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            bytes += content.len();
            assert!(!content.windows(random.len()).any(|window| window == random));
        }
        assert!(bytes > 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_user_of_the_store_gives_groups_and_address_and_when_disabled_no_entry() {
        let f = fixture(0).await;
        let groups = vec!["staff".to_owned()];
        let user =
            NewUser { name: "alice".to_owned(), password_hash: "-".to_owned(), email: Some("a@example.com".to_owned()), groups: groups.clone() };
        assert!(f.db.add_user(user).await.unwrap());
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        let subject = f.tokens.find(&issued.token).await.unwrap().unwrap();
        assert_eq!((subject.email.as_deref(), &subject.groups), (Some("a@example.com"), &groups));
        assert!(f.db.set_disabled("alice", true).await.unwrap());
        assert!(f.tokens.find(&issued.token).await.unwrap().is_none());
        assert!(f.db.set_disabled("alice", false).await.unwrap());
        assert!(f.tokens.find(&issued.token).await.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_revoked_token_is_not_found_and_an_expired_one_is() {
        let f = fixture(0).await;
        let revoked = issue(&f.db, "alice", &[], 3600).await.unwrap();
        let expired = issue(&f.db, "bob", &scopes(), -10).await.unwrap();
        assert!(f.db.revoke_token(&revoked.id).await.unwrap());
        assert!(!f.db.revoke_token(&revoked.id).await.unwrap());
        assert!(!f.db.revoke_token("000000000000").await.unwrap());
        assert!(f.tokens.find(&revoked.token).await.unwrap().is_none());
        let subject = f.tokens.find(&expired.token).await.unwrap().unwrap();
        assert!(subject.expires.unwrap() < unix_now());
        let listed = f.db.list_tokens().await.unwrap();
        assert_eq!(listed.len(), 2);
        let entry = listed.iter().find(|entry| entry.id == expired.id).unwrap();
        assert_eq!((entry.user.as_str(), &entry.scopes, entry.revoked), ("bob", &scopes(), None));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_is_gone_is_unavailable_and_never_an_answer() {
        let f = fixture(3600).await;
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        f.db.close().await;
        assert!(f.tokens.find(&issued.token).await.is_err());
        assert!(f.tokens.find("dw_other").await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unknown_token_is_remembered_as_such_and_a_known_one_too() {
        let f = fixture(3600).await;
        let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
        assert!(f.tokens.find(&issued.token).await.unwrap().is_some());
        assert!(f.tokens.find("dw_unknown").await.unwrap().is_none());
        f.db.close().await;
        assert!(f.tokens.find(&issued.token).await.unwrap().is_some());
        assert!(f.tokens.find("dw_unknown").await.unwrap().is_none());
    }
}
