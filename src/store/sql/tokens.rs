//! Opaque tokens: their SHA-256, never the tokens.

use super::super::Unavailable;
use super::Db;
use super::pool::Row;
use crate::types::unix_now;

/// A token to be added.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The name under which it is listed and revoked.
    pub id: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Whose it is.
    pub user: String,
    /// OAuth scopes.
    pub scopes: Vec<String>,
    /// Unix seconds.
    pub expires: i64,
}

/// What the database knows of a token that was not revoked and whose user is not disabled.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Whose it is.
    pub user: String,
    /// OAuth scopes.
    pub scopes: Vec<String>,
    /// Unix seconds; may have passed.
    pub expires: i64,
    /// The user's e-mail address, if the user stands in the store.
    pub email: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
}

/// A token as it is listed. Times are Unix seconds.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenListing {
    /// The name under which it is revoked: the first twelve hexadecimal digits of its hash.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// OAuth scopes.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub created: i64,
    /// When it expires.
    pub expires: i64,
    /// When it was revoked.
    pub revoked: Option<i64>,
}

impl Db {
    /// The token with this hash; `None` if it is unknown or revoked, or its user is disabled. Expired ones are found.
    pub async fn token(&self, hash: [u8; 32]) -> Result<Option<TokenRow>, Unavailable> {
        // The lengths: there are databases that take a blank at a name's end for nothing.
        let sql = "SELECT t.user_name, t.scopes, t.expires, u.email, u.group_names
                   FROM tokens t LEFT JOIN users u ON u.name = t.user_name AND length(u.name) = length(t.user_name)
                   WHERE t.hash = ? AND t.revoked IS NULL AND coalesce(u.disabled, 0) = 0";
        self.first(sql, vec![hash.to_vec().into()]).await?.map(|row| read(&row)).transpose()
    }

    /// Adds a token; `false` if its hash or id is taken.
    pub async fn add_token(&self, token: NewToken) -> Result<bool, Unavailable> {
        let sql = "INSERT INTO tokens (id, hash, user_name, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?)";
        let scopes = token.scopes.join(" ");
        let values = vec![token.id.into(), token.hash.to_vec().into(), token.user.into(), scopes.into(), unix_now().into(), token.expires.into()];
        self.add(sql, values).await
    }

    /// All tokens, the newest first; expired and revoked ones too.
    pub async fn list_tokens(&self) -> Result<Vec<TokenListing>, Unavailable> {
        let sql = "SELECT id, user_name, scopes, created, expires, revoked FROM tokens ORDER BY created DESC, id";
        self.all(sql).await?.iter().map(listing).collect()
    }

    /// Revokes all tokens of a user; how many.
    pub async fn revoke_tokens_of(&self, user: &str) -> Result<u64, Unavailable> {
        let values = vec![unix_now().into(), user.into()];
        let sql = "UPDATE tokens SET revoked = ? WHERE user_name = ? AND revoked IS NULL";
        self.ask(move |pool| async move { pool.change(sql, values).await }).await
    }

    /// Revokes a token; `false` if there is none or it was revoked before.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, Unavailable> {
        self.change("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", vec![unix_now().into(), id.into()]).await
    }
}

fn read(row: &Row) -> Result<TokenRow, Unavailable> {
    let known_user = row.get::<Option<String>>("group_names")?.is_some();
    Ok(TokenRow {
        user: row.get("user_name")?,
        scopes: words(&row.get::<String>("scopes")?),
        expires: row.get("expires")?,
        email: row.get("email")?,
        groups: if known_user { row.list("group_names")? } else { Vec::new() },
    })
}

fn listing(row: &Row) -> Result<TokenListing, Unavailable> {
    Ok(TokenListing {
        id: row.get("id")?,
        user: row.get("user_name")?,
        scopes: words(&row.get::<String>("scopes")?),
        created: row.get("created")?,
        expires: row.get("expires")?,
        revoked: row.get("revoked")?,
    })
}

fn words(scopes: &str) -> Vec<String> {
    scopes.split_ascii_whitespace().map(str::to_owned).collect()
}
