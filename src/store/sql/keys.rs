//! API keys.

use super::super::Unavailable;
use super::super::keys::ApiKey;
use super::super::usage::Used;
use super::pool::{Row, Value};
use super::{Db, damaged, to_list};
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
    /// Until when its wrong signatures are debugged.
    pub debug_until: Option<i64>,
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

/// How many names the statement for uses has room for.
const USES: usize = 32;

impl Db {
    /// The key `name`, unless there is none or it is disabled or revoked.
    pub async fn key(&self, name: &str) -> Result<Option<ApiKey>, Unavailable> {
        let sql = "SELECT name, secret, next_secret, public_key, next_public_key, user_name, group_names, scopes, algorithms, impersonate, paths,
                          not_before, expires, debug_until
                   FROM api_keys WHERE name = ? AND revoked IS NULL AND disabled = 0";
        let found = self.first(sql, vec![name.into()]).await?;
        let key = found.map(|row| read(&row)).transpose()?;
        // There are databases that take a blank at a name's end for nothing.
        Ok(key.filter(|key| key.name == name))
    }

    /// Adds a key; `false` if the name is taken, also by a revoked key.
    pub async fn add_key(&self, key: &ApiKey) -> Result<bool, Unavailable> {
        let sql = "INSERT INTO api_keys (name, secret, next_secret, public_key, next_public_key, user_name, group_names, scopes, algorithms,
                                         impersonate, paths, not_before, expires, disabled, created)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)";
        let mut values = vec![key.name.as_str().into()];
        values.extend(said(key));
        values.push(unix_now().into());
        let added = self.add(sql, values).await?;
        self.keys_changed(added).await
    }

    /// Puts `key` in the place of the one that has its name, which is then neither disabled nor revoked; `false` if there is none.
    pub async fn replace_key(&self, key: &ApiKey) -> Result<bool, Unavailable> {
        let sql = "UPDATE api_keys SET secret = ?, next_secret = ?, public_key = ?, next_public_key = ?, user_name = ?, group_names = ?, scopes = ?,
                                       algorithms = ?, impersonate = ?, paths = ?, not_before = ?, expires = ?, disabled = 0, revoked = NULL
                   WHERE name = ?";
        let mut values = said(key);
        values.push(key.name.as_str().into());
        self.change_key(sql, values).await
    }

    /// All keys by name, revoked ones too.
    pub async fn list_keys(&self) -> Result<Vec<KeyListing>, Unavailable> {
        let sql =
            "SELECT name, secret IS NOT NULL AS has_secret, public_key IS NOT NULL AS has_public_key, user_name, group_names, scopes, algorithms,
                          impersonate, paths, not_before, expires, disabled, last_used, created, revoked, debug_until,
                          next_secret IS NOT NULL OR next_public_key IS NOT NULL AS rotating
                   FROM api_keys ORDER BY name";
        self.all(sql).await?.iter().map(listing).collect()
    }

    /// Revokes a key; `false` if there is none or it was revoked before.
    pub async fn revoke_key(&self, name: &str) -> Result<bool, Unavailable> {
        self.change_key("UPDATE api_keys SET revoked = ? WHERE name = ? AND revoked IS NULL", vec![unix_now().into(), name.into()]).await
    }

    /// Refuses a key until it is enabled again, or enables it; `false` if there is none or it was revoked.
    pub async fn set_key_disabled(&self, name: &str, disabled: bool) -> Result<bool, Unavailable> {
        self.change_key("UPDATE api_keys SET disabled = ? WHERE name = ? AND revoked IS NULL", vec![disabled.into(), name.into()]).await
    }

    /// Has the wrong signatures of a key debugged until then (Unix seconds), or no longer; `false` if there is none or it was revoked.
    pub async fn set_key_debugged(&self, name: &str, until: Option<i64>) -> Result<bool, Unavailable> {
        self.change_key("UPDATE api_keys SET debug_until = ? WHERE name = ? AND revoked IS NULL", vec![until.into(), name.into()]).await
    }

    /// Begins a rotation: `next` is accepted beside the key's secret. A rotation under way is left as it is, for its
    /// new secret was given out.
    pub async fn begin_rotation(&self, name: &str, next: Secret) -> Result<Rotation, Unavailable> {
        let sql = "UPDATE api_keys SET next_secret = ? WHERE name = ? AND revoked IS NULL AND secret IS NOT NULL AND next_secret IS NULL";
        let changed = self.change_key(sql, vec![next.expose().to_vec().into(), name.into()]).await?;
        self.rotated(name, changed).await
    }

    /// The same with a public key.
    pub async fn begin_public_rotation(&self, name: &str, next: String) -> Result<Rotation, Unavailable> {
        let sql = "UPDATE api_keys SET next_public_key = ? WHERE name = ? AND revoked IS NULL AND public_key IS NOT NULL AND next_public_key IS NULL";
        let changed = self.change_key(sql, vec![next.into(), name.into()]).await?;
        self.rotated(name, changed).await
    }

    /// Finishes a rotation: the new secret or public key becomes the only one.
    pub async fn finish_rotation(&self, name: &str) -> Result<Rotation, Unavailable> {
        for sql in [
            "UPDATE api_keys SET secret = next_secret, next_secret = NULL WHERE name = ? AND revoked IS NULL AND next_secret IS NOT NULL",
            "UPDATE api_keys SET public_key = next_public_key, next_public_key = NULL
             WHERE name = ? AND revoked IS NULL AND next_public_key IS NOT NULL",
        ] {
            if self.change_key(sql, vec![name.into()]).await? {
                return Ok(Rotation::Done);
            }
        }
        self.rotated(name, false).await
    }

    /// How often keys were changed, by whichever process.
    pub async fn key_changes(&self) -> Result<i64, Unavailable> {
        match self.first("SELECT version FROM doorward_changes WHERE topic = 'keys'", Vec::new()).await? {
            Some(row) => row.get("version"),
            None => Err(damaged("version", "there is no such row")),
        }
    }

    async fn change_key(&self, sql: &'static str, values: Vec<Value>) -> Result<bool, Unavailable> {
        let changed = self.change(sql, values).await?;
        self.keys_changed(changed).await
    }

    /// Tells the processes that serve. If that fails, they see the change when what they know has aged.
    async fn keys_changed(&self, changed: bool) -> Result<bool, Unavailable> {
        if changed {
            let told = self.change("UPDATE doorward_changes SET version = version + 1 WHERE topic = 'keys'", Vec::new()).await;
            if let Err(error) = told {
                tracing::warn!(cause = %error, "the change was made; a Doorward that serves sees it within cache.max_age only");
            }
        }
        Ok(changed)
    }

    /// Notes when keys were used, to the minute or so: as many as fit one statement have the latest time of them all.
    pub async fn note_uses(&self, uses: &[(String, i64)]) -> Result<(), Unavailable> {
        let sql = "UPDATE api_keys SET last_used = ? WHERE (last_used IS NULL OR last_used < ?) AND name IN
                   (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        for some in uses.chunks(USES) {
            let latest = some.iter().map(|(_, at)| *at).max().unwrap_or(0);
            let mut values: Vec<Value> = vec![latest.into(), latest.into()];
            // The places that are left hold the last name again.
            let names = some.iter().chain(some.last().into_iter().cycle()).take(USES);
            values.extend(names.map(|(name, _)| name.as_str().into()));
            self.change(sql, values).await?;
        }
        Ok(())
    }

    async fn rotated(&self, name: &str, changed: bool) -> Result<Rotation, Unavailable> {
        if changed {
            return Ok(Rotation::Done);
        }
        let known = self.first("SELECT name FROM api_keys WHERE name = ? AND revoked IS NULL", vec![name.into()]).await?;
        Ok(if known.is_none() { Rotation::NoSuchKey } else { Rotation::NotNow })
    }
}

/// All that a key says of itself but its name, in the order of the statements.
fn said(key: &ApiKey) -> Vec<Value> {
    let paths: Vec<String> = key.paths.iter().map(|pattern| pattern.as_str().to_owned()).collect();
    let bytes = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_vec());
    vec![
        bytes(&key.secret).into(),
        bytes(&key.next_secret).into(),
        key.public_key.clone().into(),
        key.next_public_key.clone().into(),
        key.user.clone().into(),
        to_list(&key.groups).into(),
        to_list(&key.scopes).into(),
        to_list(&key.algorithms).into(),
        key.impersonate.into(),
        to_list(&paths).into(),
        key.not_before.into(),
        key.expires.into(),
    ]
}

fn read(row: &Row) -> Result<ApiKey, Unavailable> {
    // A pattern that cannot be read must not turn into "all paths".
    let paths = row.list("paths")?.iter().map(|pattern| pattern.parse()).collect::<Result<Vec<PathPattern>, String>>();
    Ok(ApiKey {
        name: row.get("name")?,
        secret: row.get::<Option<Vec<u8>>>("secret")?.map(Secret::new),
        next_secret: row.get::<Option<Vec<u8>>>("next_secret")?.map(Secret::new),
        public_key: row.get("public_key")?,
        next_public_key: row.get("next_public_key")?,
        user: row.get("user_name")?,
        groups: row.list("group_names")?,
        scopes: row.list("scopes")?,
        algorithms: row.list("algorithms")?,
        impersonate: row.get::<i64>("impersonate")? == 1,
        paths: paths.map_err(|error| damaged("paths", error))?,
        not_before: row.get("not_before")?,
        expires: row.get("expires")?,
        debug_until: row.get("debug_until")?,
        used: Used::default(),
    })
}

fn listing(row: &Row) -> Result<KeyListing, Unavailable> {
    Ok(KeyListing {
        name: row.get("name")?,
        has_secret: row.get("has_secret")?,
        has_public_key: row.get("has_public_key")?,
        user: row.get("user_name")?,
        groups: row.list("group_names")?,
        scopes: row.list("scopes")?,
        algorithms: row.list("algorithms")?,
        impersonate: row.get::<i64>("impersonate")? == 1,
        paths: row.list("paths")?,
        not_before: row.get("not_before")?,
        expires: row.get("expires")?,
        disabled: row.get::<i64>("disabled")? != 0,
        last_used: row.get("last_used")?,
        debug_until: row.get("debug_until")?,
        rotating: row.get("rotating")?,
        created: row.get("created")?,
        revoked: row.get("revoked")?,
    })
}

#[cfg(test)]
impl Db {
    /// Writes into a key's paths what Doorward would not.
    pub async fn damage_paths(&self, name: &str, paths: &str) {
        self.change("UPDATE api_keys SET paths = ? WHERE name = ?", vec![paths.into(), name.into()]).await.unwrap();
    }
}
