//! API keys: names with a shared secret or a public key.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::cache::{Known, Limits};
use super::follow::Epoch;
use super::sql::Db;
use super::usage::{Usage, Used};
use super::{CacheSettings, LOADS, Metrics, Unavailable, can_be_a_name, random_text};
use crate::types::{PathPattern, Secret};

/// A key that may sign requests: a shared secret or a public key, never both.
#[derive(Debug, Clone, Default)]
pub struct ApiKey {
    /// Its name, as clients send it.
    pub name: String,
    /// The shared secret.
    pub secret: Option<Secret>,
    /// A second secret that is accepted while keys are being changed.
    pub next_secret: Option<Secret>,
    /// The public key: PEM, SubjectPublicKeyInfo. Never the key of a MAC.
    pub public_key: Option<String>,
    /// A second public key that is accepted while keys are being changed.
    pub next_public_key: Option<String>,
    /// Whom the key stands for; the key's own name without it.
    pub user: Option<String>,
    /// The groups of that user. Not of others for whom the key acts.
    pub groups: Vec<String>,
    /// What a request with this key may do, as OAuth scopes do it for a token.
    pub scopes: Vec<String>,
    /// The algorithms that it may sign with; empty: all that its scheme allows.
    pub algorithms: Vec<String>,
    /// Whether it may act for other users.
    pub impersonate: bool,
    /// Which paths it may call; empty: all.
    pub paths: Vec<PathPattern>,
    /// Unix seconds before which it is not good.
    pub not_before: Option<i64>,
    /// Unix seconds from which on it is good no longer.
    pub expires: Option<i64>,
    /// Until when the log shows what should have been signed with it, where a signature does not match. Unix seconds.
    pub debug_until: Option<i64>,
    /// Told of each good use.
    pub used: Used,
}

/// API keys in the store, remembered for `cache.max_age`, or until another process changes one. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    db: Db,
    usage: Arc<Usage>,
    epoch: Arc<Epoch>,
    known: Known<ApiKey>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("db", &self.db).finish_non_exhaustive()
    }
}

impl Keys {
    /// Keys of `db`.
    #[must_use]
    pub fn new(db: Db, cache: &CacheSettings, aux: &Handle, metrics: &Arc<Metrics>) -> Self {
        let known = Known::new("store", Limits::new(cache, LOADS), aux.clone(), Arc::clone(metrics), |metrics| &metrics.keys);
        let epoch = Epoch::follow(db.clone(), cache.max_age.0.max(cache.negative_max_age.0), aux);
        Self { usage: Usage::new(db.clone(), aux.clone()), epoch, db, known }
    }

    /// The key `name`, unless there is none or it is disabled or revoked. The caller judges its time of life.
    pub async fn find(&self, name: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        if !can_be_a_name(name) {
            return Ok(None);
        }
        let load = || {
            let (db, epoch, usage, name) = (self.db.clone(), Arc::clone(&self.epoch), Arc::clone(&self.usage), name.to_owned());
            async move {
                epoch.begin(&db).await?;
                Ok(db.key(&name).await?.map(|key| ApiKey { used: usage.of(&name), ..key }))
            }
        };
        self.known.get(self.epoch.key(name), Instant::now(), load).await
    }

    /// A new secret: 32 random bytes as 43 characters of base64url. The characters are the key of the MAC.
    pub fn new_secret() -> Result<Secret, Unavailable> {
        random_text().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HumanDuration;
    use super::super::sql::Rotation;
    use super::*;

    struct Fixture {
        db: Db,
        keys: Keys,
        _dir: tempfile::TempDir,
    }

    /// Keys that are remembered for `max_age` seconds.
    async fn fixture(max_age: u64) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let aux = Handle::current();
        let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &aux).await.unwrap();
        let age = HumanDuration::from_secs(max_age);
        let cache = CacheSettings { max_age: age, negative_max_age: age, ..CacheSettings::default() };
        let keys = Keys::new(db.clone(), &cache, &aux, &Arc::default());
        Fixture { db, keys, _dir: dir }
    }

    fn new_key(name: &str) -> ApiKey {
        ApiKey { name: name.to_owned(), secret: Some(Secret::new("s3cret")), ..ApiKey::default() }
    }

    fn bytes(secret: Option<&Secret>) -> Option<&[u8]> {
        secret.map(Secret::expose)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_is_found_as_it_was_added_and_only_by_its_exact_name() {
        let f = fixture(0).await;
        let paths = vec!["/api/**".parse().unwrap(), "/u/{id}".parse().unwrap()];
        let key = ApiKey { user: Some("webshop".to_owned()), impersonate: true, paths: paths.clone(), ..new_key("aspnet") };
        assert!(f.db.add_key(&key).await.unwrap());
        let found = f.keys.find("aspnet").await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), bytes(found.secret.as_ref()), found.user.as_deref()), ("aspnet", Some(&b"s3cret"[..]), Some("webshop")));
        assert!(found.impersonate && found.next_secret.is_none());
        assert_eq!(found.paths, paths);
        for name in ["Aspnet", "aspnet ", "aspnet\0", "", "%", "aspne_", "' OR 1=1 --", &"a".repeat(256)] {
            assert!(f.keys.find(name).await.unwrap().is_none(), "{name:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_that_a_key_says_is_kept() {
        let f = fixture(0).await;
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let key = ApiKey {
            name: "full".to_owned(),
            public_key: Some("PEM".to_owned()),
            next_public_key: Some("PEM 2".to_owned()),
            groups: vec!["staff".to_owned(), "with blank".to_owned()],
            scopes: words("read write"),
            algorithms: words("ed25519 ecdsa-p256-sha256"),
            not_before: Some(-5),
            expires: Some(i64::MAX),
            ..ApiKey::default()
        };
        assert!(f.db.add_key(&key).await.unwrap());
        let found = f.keys.find("full").await.unwrap().unwrap();
        assert!(found.secret.is_none() && found.next_secret.is_none() && found.paths.is_empty() && !found.impersonate);
        assert_eq!((found.public_key.as_deref(), found.next_public_key.as_deref()), (Some("PEM"), Some("PEM 2")));
        assert_eq!((&found.groups, &found.scopes, &found.algorithms), (&key.groups, &key.scopes, &key.algorithms));
        assert_eq!((found.not_before, found.expires), (Some(-5), Some(i64::MAX)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_name_is_given_once_also_after_its_key_was_revoked() {
        let f = fixture(0).await;
        assert!(f.db.add_key(&new_key("a")).await.unwrap());
        assert!(!f.db.add_key(&new_key("a")).await.unwrap());
        assert!(f.db.revoke_key("a").await.unwrap());
        assert!(!f.db.revoke_key("a").await.unwrap());
        assert!(!f.db.revoke_key("none").await.unwrap());
        assert!(f.keys.find("a").await.unwrap().is_none());
        assert!(!f.db.add_key(&new_key("a")).await.unwrap());
        let listed = f.db.list_keys().await.unwrap();
        assert!(listed.len() == 1 && listed[0].revoked.is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rotation_accepts_both_secrets_until_it_is_finished() {
        let f = fixture(0).await;
        f.db.add_key(&new_key("a")).await.unwrap();
        assert_eq!(f.db.finish_rotation("a").await.unwrap(), Rotation::NotNow);
        assert_eq!(f.db.begin_rotation("a", Secret::new("next")).await.unwrap(), Rotation::Done);
        assert_eq!(f.db.begin_rotation("a", Secret::new("another")).await.unwrap(), Rotation::NotNow);
        let key = f.keys.find("a").await.unwrap().unwrap();
        assert_eq!((bytes(key.secret.as_ref()), bytes(key.next_secret.as_ref())), (Some(&b"s3cret"[..]), Some(&b"next"[..])));
        assert!(f.db.list_keys().await.unwrap()[0].rotating);
        assert_eq!(f.db.finish_rotation("a").await.unwrap(), Rotation::Done);
        let key = f.keys.find("a").await.unwrap().unwrap();
        assert_eq!((bytes(key.secret.as_ref()), key.next_secret.is_none()), (Some(&b"next"[..]), true));
        f.db.revoke_key("a").await.unwrap();
        assert_eq!(f.db.begin_rotation("a", Secret::new("x")).await.unwrap(), Rotation::NoSuchKey);
        assert_eq!(f.db.finish_rotation("none").await.unwrap(), Rotation::NoSuchKey);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_is_remembered_while_its_age_allows_and_the_database_is_gone() {
        let f = fixture(3600).await;
        f.db.add_key(&new_key("a")).await.unwrap();
        assert!(f.keys.find("a").await.unwrap().is_some());
        assert!(f.keys.find("unknown").await.unwrap().is_none());
        f.db.close().await;
        assert!(f.keys.find("a").await.unwrap().is_some());
        assert!(f.keys.find("unknown").await.unwrap().is_none());
        assert!(f.keys.find("other").await.is_err(), "what is not known is not \"no such key\"");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pattern_that_cannot_be_read_does_not_become_all_paths() {
        let f = fixture(0).await;
        f.db.add_key(&new_key("a")).await.unwrap();
        for paths in ["[\"no-slash\"]", "not json", "", "null", "{}"] {
            f.db.damage_paths("a", paths).await;
            let error = f.keys.find("a").await.unwrap_err().to_string();
            assert!(error.contains("paths") && !error.contains("s3cret"), "{error}");
        }
    }
}
