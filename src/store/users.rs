//! Users with a password.

use super::Unavailable;
use crate::types::Secret;

/// A user of the store.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// Argon2id, in PHC form.
    pub password_hash: Secret,
    /// E-mail address.
    pub email: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether the user may not log in.
    pub disabled: bool,
}

/// Users in the store. Not cached here: see `passwords.rs`.
#[derive(Debug)]
pub struct Users {}

impl Users {
    /// The user `name`, disabled or not.
    pub async fn find(&self, name: &str) -> Result<Option<User>, Unavailable> {
        let _ = name;
        todo!()
    }
}
