//! Users with a password.

use super::super::Unavailable;
use super::super::users::User;
use super::pool::Row;
use super::{Db, to_list};
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
        let sql = "SELECT name, password_hash, email, group_names, disabled FROM users WHERE name = ?";
        let user = self.first(sql, vec![name.into()]).await?.map(|row| read(&row)).transpose()?;
        // There are databases that take a blank at a name's end for nothing.
        Ok(user.filter(|user| user.name == name))
    }

    /// Adds a user; `false` if the name is taken.
    pub async fn add_user(&self, user: NewUser) -> Result<bool, Unavailable> {
        let sql = "INSERT INTO users (name, password_hash, email, group_names, disabled, created) VALUES (?, ?, ?, ?, 0, ?)";
        let groups = to_list(&user.groups);
        self.add(sql, vec![user.name.into(), user.password_hash.into(), user.email.into(), groups.into(), unix_now().into()]).await
    }

    /// All users by name.
    pub async fn list_users(&self) -> Result<Vec<UserListing>, Unavailable> {
        self.all("SELECT name, email, group_names, disabled, created FROM users ORDER BY name").await?.iter().map(listing).collect()
    }

    /// Lets a user log in, or not; `false` if there is none.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<bool, Unavailable> {
        self.change("UPDATE users SET disabled = ? WHERE name = ?", vec![disabled.into(), name.into()]).await
    }

    /// Gives a user another password; `false` if there is none.
    pub async fn set_password_hash(&self, name: &str, hash: String) -> Result<bool, Unavailable> {
        self.change("UPDATE users SET password_hash = ? WHERE name = ?", vec![hash.into(), name.into()]).await
    }
}

fn read(row: &Row) -> Result<User, Unavailable> {
    Ok(User {
        name: row.get("name")?,
        password_hash: Secret::new(row.get::<String>("password_hash")?),
        email: row.get("email")?,
        groups: row.list("group_names")?,
        // Whatever is not a plain "no" keeps the user out.
        disabled: row.get::<i64>("disabled")? != 0,
    })
}

fn listing(row: &Row) -> Result<UserListing, Unavailable> {
    Ok(UserListing {
        name: row.get("name")?,
        email: row.get("email")?,
        groups: row.list("group_names")?,
        disabled: row.get::<i64>("disabled")? != 0,
        created: row.get("created")?,
    })
}
