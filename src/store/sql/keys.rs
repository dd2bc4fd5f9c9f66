//! API keys.

use sqlx::sqlite::SqliteRow;

use super::super::Unavailable;
use super::super::keys::ApiKey;
use super::{Db, column, damaged, list, to_list};
use crate::types::{PathPattern, Secret, unix_now};

/// A key as it is listed: without its secrets. Times are Unix seconds.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyListing {
    /// Its name.
    pub name: String,
    /// Whether it has a shared secret.
    pub has_secret: bool,
    /// Whether it has a public key.
    pub has_public_key: bool,
    /// Whom the key stands for.
    pub user: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// What it may sign with; empty: all that its scheme allows.
    pub algorithms: Vec<String>,
    /// Whether it may act for other users.
    pub impersonate: bool,
    /// Which paths it may call; empty: all.
    pub paths: Vec<String>,
    /// When it begins to be good.
    pub not_before: Option<i64>,
    /// When it ends to be good.
    pub expires: Option<i64>,
    /// Whether it is refused until it is enabled again.
    pub disabled: bool,
    /// When it was last used, to the minute or so.
    pub last_used: Option<i64>,
    /// Whether a second secret or public key is accepted at the moment.
    pub rotating: bool,
    /// When it was added.
    pub created: i64,
    /// When it was revoked.
    pub revoked: Option<i64>,
}

/// What came of a step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It was done.
    Done,
    /// There is no such key, or it was revoked.
    NoSuchKey,
    /// Begun before and not finished; or to be finished without having begun.
    NotNow,
}

impl Db {
    /// The key `name`, unless there is none or it is disabled or revoked.
    pub async fn key(&self, name: &str) -> Result<Option<ApiKey>, Unavailable> {
        let name = name.to_owned();
        let row = self
            .ask(|pool| async move {
                sqlx::query(
                    "SELECT name, secret, next_secret, public_key, next_public_key, user_name, group_names, scopes, algorithms, impersonate, paths,
                            not_before, expires
                     FROM api_keys WHERE name = ? AND revoked IS NULL AND disabled = 0",
                )
                .bind(name)
                .fetch_optional(&pool)
                .await
            })
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Adds a key; `false` if the name is taken, also by a revoked key.
    pub async fn add_key(&self, key: &ApiKey) -> Result<bool, Unavailable> {
        let paths: Vec<String> = key.paths.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        let lists = [&key.groups, &key.scopes, &key.algorithms, &paths].map(|list| to_list(list));
        let key = key.clone();
        self.ask(|pool| async move {
            let [groups, scopes, algorithms, paths] = lists;
            let added = sqlx::query(
                "INSERT INTO api_keys (name, secret, next_secret, public_key, next_public_key, user_name, group_names, scopes, algorithms,
                                       impersonate, paths, not_before, expires, disabled, created)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (name) DO NOTHING",
            )
            .bind(key.name)
            .bind(key.secret.map(|secret| secret.expose().to_vec()))
            .bind(key.next_secret.map(|secret| secret.expose().to_vec()))
            .bind(key.public_key)
            .bind(key.next_public_key)
            .bind(key.user)
            .bind(groups)
            .bind(scopes)
            .bind(algorithms)
            .bind(i64::from(key.impersonate))
            .bind(paths)
            .bind(key.not_before)
            .bind(key.expires)
            .bind(unix_now())
            .execute(&pool)
            .await?;
            Ok(added.rows_affected() == 1)
        })
        .await
    }

    /// All keys by name, revoked ones too.
    pub async fn list_keys(&self) -> Result<Vec<KeyListing>, Unavailable> {
        let rows = self
            .ask(|pool| async move {
                sqlx::query(
                    "SELECT name, secret IS NOT NULL AS has_secret, public_key IS NOT NULL AS has_public_key, user_name, group_names, scopes, algorithms,
                            impersonate, paths, not_before, expires, disabled, last_used, created, revoked,
                            next_secret IS NOT NULL OR next_public_key IS NOT NULL AS rotating
                     FROM api_keys ORDER BY name",
                )
                .fetch_all(&pool)
                .await
            })
            .await?;
        rows.iter().map(listing).collect()
    }

    /// Revokes a key; `false` if there is none or it was revoked before.
    pub async fn revoke_key(&self, name: &str) -> Result<bool, Unavailable> {
        let name = name.to_owned();
        self.ask(|pool| async move {
            let revoked =
                sqlx::query("UPDATE api_keys SET revoked = ? WHERE name = ? AND revoked IS NULL").bind(unix_now()).bind(name).execute(&pool).await?;
            Ok(revoked.rows_affected() == 1)
        })
        .await
    }

    /// Begins a rotation: `next` is accepted beside the key's secret. A rotation under way is left as it is, for its
    /// new secret was given out.
    pub async fn begin_rotation(&self, name: &str, next: Secret) -> Result<Rotation, Unavailable> {
        let name = name.to_owned();
        self.ask(|pool| async move {
            let changed =
                sqlx::query("UPDATE api_keys SET next_secret = ? WHERE name = ? AND revoked IS NULL AND secret IS NOT NULL AND next_secret IS NULL")
                    .bind(next.expose().to_vec())
                    .bind(&name)
                    .execute(&pool)
                    .await?;
            outcome(&pool, &name, changed.rows_affected()).await
        })
        .await
    }

    /// Finishes a rotation: the new secret becomes the only one.
    pub async fn finish_rotation(&self, name: &str) -> Result<Rotation, Unavailable> {
        let name = name.to_owned();
        self.ask(|pool| async move {
            let changed = sqlx::query(
                "UPDATE api_keys SET secret = next_secret, next_secret = NULL WHERE name = ? AND revoked IS NULL AND next_secret IS NOT NULL",
            )
            .bind(&name)
            .execute(&pool)
            .await?;
            outcome(&pool, &name, changed.rows_affected()).await
        })
        .await
    }
}

async fn outcome(pool: &sqlx::SqlitePool, name: &str, changed: u64) -> Result<Rotation, sqlx::Error> {
    if changed == 1 {
        return Ok(Rotation::Done);
    }
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE name = ? AND revoked IS NULL").bind(name).fetch_one(pool).await?;
    Ok(if known == 0 { Rotation::NoSuchKey } else { Rotation::NotNow })
}

fn read(row: &SqliteRow) -> Result<ApiKey, Unavailable> {
    // A pattern that cannot be read must not turn into "all paths".
    let paths = list(row, "paths")?.iter().map(|pattern| pattern.parse()).collect::<Result<Vec<PathPattern>, String>>();
    Ok(ApiKey {
        name: column(row, "name")?,
        secret: column::<Option<Vec<u8>>>(row, "secret")?.map(Secret::new),
        next_secret: column::<Option<Vec<u8>>>(row, "next_secret")?.map(Secret::new),
        public_key: column(row, "public_key")?,
        next_public_key: column(row, "next_public_key")?,
        user: column(row, "user_name")?,
        groups: list(row, "group_names")?,
        scopes: list(row, "scopes")?,
        algorithms: list(row, "algorithms")?,
        impersonate: column::<i64>(row, "impersonate")? == 1,
        paths: paths.map_err(|error| damaged("paths", error))?,
        not_before: column(row, "not_before")?,
        expires: column(row, "expires")?,
    })
}

fn listing(row: &SqliteRow) -> Result<KeyListing, Unavailable> {
    Ok(KeyListing {
        name: column(row, "name")?,
        has_secret: column::<i64>(row, "has_secret")? == 1,
        has_public_key: column::<i64>(row, "has_public_key")? == 1,
        user: column(row, "user_name")?,
        groups: list(row, "group_names")?,
        scopes: list(row, "scopes")?,
        algorithms: list(row, "algorithms")?,
        impersonate: column::<i64>(row, "impersonate")? == 1,
        paths: list(row, "paths")?,
        not_before: column(row, "not_before")?,
        expires: column(row, "expires")?,
        disabled: column::<i64>(row, "disabled")? != 0,
        last_used: column(row, "last_used")?,
        rotating: column::<i64>(row, "rotating")? == 1,
        created: column(row, "created")?,
        revoked: column(row, "revoked")?,
    })
}

#[cfg(test)]
impl Db {
    /// Writes into a key's paths what Doorward would not.
    pub async fn damage_paths(&self, name: &str, paths: &str) {
        sqlx::query("UPDATE api_keys SET paths = ? WHERE name = ?").bind(paths).bind(name).execute(&self.pool).await.unwrap();
    }
}
