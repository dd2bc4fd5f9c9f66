//! Users with a password.

use sqlx::sqlite::SqliteRow;

use super::super::Unavailable;
use super::super::users::User;
use super::{Db, column, list, to_list};
use crate::types::{Secret, unix_now};

/// A user to be added. Without `Debug`: a password's hash is not for logs.
pub struct NewUser {
    /// The name.
    pub name: String,
    /// Argon2id, in PHC form.
    pub password_hash: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
}

/// A user as it is listed: without the password's hash. Times are Unix seconds.
#[derive(Debug, PartialEq, Eq)]
pub struct UserListing {
    /// The name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether the user may not log in.
    pub disabled: bool,
    /// When the user was added.
    pub created: i64,
}

impl Db {
    /// The user `name`, disabled or not.
    pub async fn user(&self, name: &str) -> Result<Option<User>, Unavailable> {
        let name = name.to_owned();
        let row = self
            .ask(|pool| async move {
                sqlx::query("SELECT name, password_hash, email, group_names, disabled FROM users WHERE name = ?")
                    .bind(name)
                    .fetch_optional(&pool)
                    .await
            })
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Adds a user; `false` if the name is taken.
    pub async fn add_user(&self, user: NewUser) -> Result<bool, Unavailable> {
        self.ask(|pool| async move {
            let added = sqlx::query(
                "INSERT INTO users (name, password_hash, email, group_names, disabled, created) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (name) DO NOTHING",
            )
            .bind(user.name)
            .bind(user.password_hash)
            .bind(user.email)
            .bind(to_list(&user.groups))
            .bind(unix_now())
            .execute(&pool)
            .await?;
            Ok(added.rows_affected() == 1)
        })
        .await
    }

    /// All users by name.
    pub async fn list_users(&self) -> Result<Vec<UserListing>, Unavailable> {
        let rows =
            self.ask(|pool| async move {
                sqlx::query("SELECT name, email, group_names, disabled, created FROM users ORDER BY name").fetch_all(&pool).await
            })
            .await?;
        rows.iter().map(listing).collect()
    }

    /// Lets a user log in, or not; `false` if there is none.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<bool, Unavailable> {
        let name = name.to_owned();
        self.ask(|pool| async move {
            let changed = sqlx::query("UPDATE users SET disabled = ? WHERE name = ?").bind(i64::from(disabled)).bind(name).execute(&pool).await?;
            Ok(changed.rows_affected() == 1)
        })
        .await
    }

    /// Gives a user another password; `false` if there is none.
    pub async fn set_password_hash(&self, name: &str, hash: String) -> Result<bool, Unavailable> {
        let name = name.to_owned();
        self.ask(|pool| async move {
            let changed = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?").bind(hash).bind(name).execute(&pool).await?;
            Ok(changed.rows_affected() == 1)
        })
        .await
    }
}

fn read(row: &SqliteRow) -> Result<User, Unavailable> {
    Ok(User {
        name: column(row, "name")?,
        password_hash: Secret::new(column::<String>(row, "password_hash")?),
        email: column(row, "email")?,
        groups: groups(row)?,
        // Whatever is not a plain "no" keeps the user out.
        disabled: column::<i64>(row, "disabled")? != 0,
    })
}

fn listing(row: &SqliteRow) -> Result<UserListing, Unavailable> {
    Ok(UserListing {
        name: column(row, "name")?,
        email: column(row, "email")?,
        groups: groups(row)?,
        disabled: column::<i64>(row, "disabled")? != 0,
        created: column(row, "created")?,
    })
}

fn groups(row: &SqliteRow) -> Result<Vec<String>, Unavailable> {
    list(row, "group_names")
}
