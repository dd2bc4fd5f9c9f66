//! Opaque tokens: their SHA-256, never the tokens.

use sqlx::sqlite::SqliteRow;

use super::super::Unavailable;
use super::{Db, column, list};
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
        let row = self
            .ask(|pool| async move {
                sqlx::query(
                    "SELECT t.user_name, t.scopes, t.expires, u.email, u.group_names
                     FROM tokens t LEFT JOIN users u ON u.name = t.user_name
                     WHERE t.hash = ? AND t.revoked IS NULL AND coalesce(u.disabled, 0) = 0",
                )
                .bind(hash.to_vec())
                .fetch_optional(&pool)
                .await
            })
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Adds a token; `false` if its hash or id is taken.
    pub async fn add_token(&self, token: NewToken) -> Result<bool, Unavailable> {
        self.ask(|pool| async move {
            let added =
                sqlx::query("INSERT INTO tokens (id, hash, user_name, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
                    .bind(token.id)
                    .bind(token.hash.to_vec())
                    .bind(token.user)
                    .bind(token.scopes.join(" "))
                    .bind(unix_now())
                    .bind(token.expires)
                    .execute(&pool)
                    .await?;
            Ok(added.rows_affected() == 1)
        })
        .await
    }

    /// All tokens, the newest first; expired and revoked ones too.
    pub async fn list_tokens(&self) -> Result<Vec<TokenListing>, Unavailable> {
        let rows = self
            .ask(|pool| async move {
                sqlx::query("SELECT id, user_name, scopes, created, expires, revoked FROM tokens ORDER BY created DESC, id").fetch_all(&pool).await
            })
            .await?;
        rows.iter().map(listing).collect()
    }

    /// Revokes all tokens of a user; how many.
    pub async fn revoke_tokens_of(&self, user: &str) -> Result<u64, Unavailable> {
        let user = user.to_owned();
        self.ask(|pool| async move {
            let revoked = sqlx::query("UPDATE tokens SET revoked = ? WHERE user_name = ? AND revoked IS NULL")
                .bind(unix_now())
                .bind(user)
                .execute(&pool)
                .await?;
            Ok(revoked.rows_affected())
        })
        .await
    }

    /// Revokes a token; `false` if there is none or it was revoked before.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, Unavailable> {
        let id = id.to_owned();
        self.ask(|pool| async move {
            let revoked =
                sqlx::query("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL").bind(unix_now()).bind(id).execute(&pool).await?;
            Ok(revoked.rows_affected() == 1)
        })
        .await
    }
}

fn read(row: &SqliteRow) -> Result<TokenRow, Unavailable> {
    let known_user = column::<Option<String>>(row, "group_names")?.is_some();
    Ok(TokenRow {
        user: column(row, "user_name")?,
        scopes: words(&column::<String>(row, "scopes")?),
        expires: column(row, "expires")?,
        email: column(row, "email")?,
        groups: if known_user { list(row, "group_names")? } else { Vec::new() },
    })
}

fn listing(row: &SqliteRow) -> Result<TokenListing, Unavailable> {
    Ok(TokenListing {
        id: column(row, "id")?,
        user: column(row, "user_name")?,
        scopes: words(&column::<String>(row, "scopes")?),
        created: column(row, "created")?,
        expires: column(row, "expires")?,
        revoked: column(row, "revoked")?,
    })
}

fn words(scopes: &str) -> Vec<String> {
    scopes.split_ascii_whitespace().map(str::to_owned).collect()
}
