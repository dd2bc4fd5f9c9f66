//! API keys: names with a shared secret.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::cache::{Known, Limits};
use super::sql::Db;
use super::{CacheSettings, LOADS, MAX_NAME_BYTES, Metrics, Unavailable, digest, random_text};
use crate::types::{PathPattern, Secret};

/// A key that may sign requests.
#[derive(Debug)]
pub struct ApiKey {
    /// Its name, as clients send it.
    pub name: String,
    /// The shared secret.
    pub secret: Secret,
    /// A second secret that is accepted while keys are being changed.
    pub next_secret: Option<Secret>,
    /// Whom the key stands for; the key's own name without it.
    pub user: Option<String>,
    /// Whether it may act for other users.
    pub impersonate: bool,
    /// Which paths it may call; empty: all.
    pub paths: Vec<PathPattern>,
}

/// API keys in the store, remembered for `cache.max_age`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys {
    db: Db,
    known: Known<ApiKey>,
}

impl Keys {
    /// Keys of `db`.
    #[must_use]
    pub fn new(db: Db, cache: &CacheSettings, aux: &Handle, metrics: &Arc<Metrics>) -> Self {
        let known = Known::new("store", Limits::new(cache, LOADS), aux.clone(), Arc::clone(metrics), |metrics| &metrics.keys);
        Self { db, known }
    }

    /// The key `name`, unless there is none or it was revoked.
    pub async fn find(&self, name: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Ok(None);
        }
        let load = || {
            let (db, name) = (self.db.clone(), name.to_owned());
            async move { db.key(&name).await }
        };
        self.known.get(digest(name), Instant::now(), load).await
    }

    /// A new secret: 32 random bytes as 43 characters of base64url. The characters are the key of the MAC.
    pub fn new_secret() -> Result<Secret, Unavailable> {
        random_text().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HumanDuration;
    use super::super::sql::{NewKey, Rotation};
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

    fn new_key(name: &str) -> NewKey {
        NewKey { name: name.to_owned(), secret: Secret::new("s3cret"), user: None, impersonate: false, paths: Vec::new() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_is_found_as_it_was_added_and_only_by_its_exact_name() {
        let f = fixture(0).await;
        let paths = vec!["/api/**".parse().unwrap(), "/u/{id}".parse().unwrap()];
        let key = NewKey { user: Some("webshop".to_owned()), impersonate: true, paths: paths.clone(), ..new_key("aspnet") };
        assert!(f.db.add_key(key).await.unwrap());
        let found = f.keys.find("aspnet").await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.secret.expose(), found.user.as_deref()), ("aspnet", &b"s3cret"[..], Some("webshop")));
        assert!(found.impersonate && found.next_secret.is_none());
        assert_eq!(found.paths, paths);
        for name in ["Aspnet", "aspnet ", "aspnet\0", "", "%", "aspne_", "' OR 1=1 --", &"a".repeat(256)] {
            assert!(f.keys.find(name).await.unwrap().is_none(), "{name:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_name_is_given_once_also_after_its_key_was_revoked() {
        let f = fixture(0).await;
        assert!(f.db.add_key(new_key("a")).await.unwrap());
        assert!(!f.db.add_key(new_key("a")).await.unwrap());
        assert!(f.db.revoke_key("a").await.unwrap());
        assert!(!f.db.revoke_key("a").await.unwrap());
        assert!(!f.db.revoke_key("none").await.unwrap());
        assert!(f.keys.find("a").await.unwrap().is_none());
        assert!(!f.db.add_key(new_key("a")).await.unwrap());
        let listed = f.db.list_keys().await.unwrap();
        assert!(listed.len() == 1 && listed[0].revoked.is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rotation_accepts_both_secrets_until_it_is_finished() {
        let f = fixture(0).await;
        f.db.add_key(new_key("a")).await.unwrap();
        assert_eq!(f.db.finish_rotation("a").await.unwrap(), Rotation::NotNow);
        assert_eq!(f.db.begin_rotation("a", Secret::new("next")).await.unwrap(), Rotation::Done);
        assert_eq!(f.db.begin_rotation("a", Secret::new("another")).await.unwrap(), Rotation::NotNow);
        let key = f.keys.find("a").await.unwrap().unwrap();
        assert_eq!((key.secret.expose(), key.next_secret.as_ref().unwrap().expose()), (&b"s3cret"[..], &b"next"[..]));
        assert!(f.db.list_keys().await.unwrap()[0].rotating);
        assert_eq!(f.db.finish_rotation("a").await.unwrap(), Rotation::Done);
        let key = f.keys.find("a").await.unwrap().unwrap();
        assert_eq!((key.secret.expose(), key.next_secret.is_none()), (&b"next"[..], true));
        f.db.revoke_key("a").await.unwrap();
        assert_eq!(f.db.begin_rotation("a", Secret::new("x")).await.unwrap(), Rotation::NoSuchKey);
        assert_eq!(f.db.finish_rotation("none").await.unwrap(), Rotation::NoSuchKey);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_is_remembered_while_its_age_allows_and_the_database_is_gone() {
        let f = fixture(3600).await;
        f.db.add_key(new_key("a")).await.unwrap();
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
        f.db.add_key(new_key("a")).await.unwrap();
        for paths in ["[\"no-slash\"]", "not json", "", "null", "{}"] {
            f.db.damage_paths("a", paths).await;
            let error = f.keys.find("a").await.unwrap_err().to_string();
            assert!(error.contains("paths") && !error.contains("s3cret"), "{error}");
        }
    }
}
