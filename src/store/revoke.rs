//! Revoking in Doorward's own store, and how its sources have fared.

use std::collections::BTreeMap;

use super::health::SourceStatus;
use super::{Stores, Unavailable, digest, sql};

impl Stores {
    /// Revokes a token of the store, if it is one.
    pub async fn revoke_token(&self, token: &str) -> Result<(), Unavailable> {
        let Some(db) = &self.database else { return Ok(()) };
        let id: String = digest(token).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        db.revoke_token(&id).await.map(drop)
    }

    /// Revokes all tokens of a user that are in the store.
    pub async fn revoke_tokens_of(&self, user: &str) -> Result<(), Unavailable> {
        let Some(db) = &self.database else { return Ok(()) };
        db.revoke_tokens_of(user).await.map(drop)
    }

    /// Revokes a key of the store, if it is one.
    pub async fn revoke_key(&self, name: &str) -> Result<(), Unavailable> {
        let Some(db) = &self.database else { return Ok(()) };
        db.revoke_key(name).await.map(drop)
    }

    /// How each source has fared, at `now` (Unix seconds): the database, what replicas share, key sets, introspection
    /// servers, token tables, files and tables of users, reviewers of tokens. Each
    /// name stands there once, in order.
    #[must_use]
    pub fn sources(&self, now: i64) -> Vec<SourceStatus> {
        let store = self.database.iter().map(sql::Db::status);
        let shared = self.shared.iter().map(|shared| shared.health().status(now));
        let key_sets = self.jwks.status().into_iter().map(|set| SourceStatus {
            name: format!("jwks {}", set.name),
            ok: if set.last_error.is_some() { Some(false) } else { set.age_seconds.map(|_| true) },
            age_seconds: set.age_seconds,
            failures_total: set.failures_total,
            last_error: set.last_error,
            last_error_age_seconds: None,
        });
        let introspection = self.introspection.all().into_iter().map(|server| server.status());
        let tables = self.token_tables.all().into_iter().map(|table| table.status());
        let files = self.htpasswd.all().into_iter().map(|file| file.status());
        let django = self.django_users.all().into_iter().map(|table| table.status());
        let reviews = self.token_reviews.all().into_iter().map(|server| server.status());
        let all = store.chain(shared).chain(key_sets).chain(introspection).chain(tables).chain(files).chain(django).chain(reviews);
        let mut named: BTreeMap<String, SourceStatus> = BTreeMap::new();
        for source in all {
            let told = match named.remove(&source.name) {
                Some(known) => known.joined(source),
                None => source,
            };
            named.insert(told.name.clone(), told);
        }
        named.into_values().collect()
    }
}
