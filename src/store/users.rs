//! Users with a password.

use super::sql::Db;
use super::{Unavailable, can_be_a_name};
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

/// Users in the store. Not cached here: see `passwords.rs`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users {
    db: Db,
}

impl Users {
    /// Users of `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The user `name`, disabled or not.
    pub async fn find(&self, name: &str) -> Result<Option<User>, Unavailable> {
        if !can_be_a_name(name) {
            return Ok(None);
        }
        self.db.user(name).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql::NewUser;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_user_is_found_as_added_and_only_by_the_exact_name() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &tokio::runtime::Handle::current()).await.unwrap();
        let users = Users::new(db.clone());
        let groups = vec!["a b".to_owned(), "\"quoted\", and comma".to_owned()];
        let new =
            || NewUser { name: "Zoë".to_owned(), password_hash: "$x".to_owned(), email: Some("z@example.com".to_owned()), groups: groups.clone() };
        assert!(db.add_user(new()).await.unwrap());
        assert!(!db.add_user(new()).await.unwrap());
        let user = users.find("Zoë").await.unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.password_hash.expose(), user.email.as_deref()), ("Zoë", &b"$x"[..], Some("z@example.com")));
        assert!(user.groups == groups && !user.disabled);
        assert!(!format!("{user:?}").contains("$x"));
        for name in ["", "zoë", "Zoe\u{308}", "Zoë\0", "_oë", "%"] {
            assert!(users.find(name).await.unwrap().is_none(), "{name:?}");
        }
        assert!(db.set_disabled("Zoë", true).await.unwrap() && db.set_password_hash("Zoë", "$y".to_owned()).await.unwrap());
        let user = users.find("Zoë").await.unwrap().unwrap();
        assert!(user.disabled && user.password_hash.expose() == b"$y");
        assert!(!db.set_disabled("nobody", true).await.unwrap() && !db.set_password_hash("nobody", "$y".to_owned()).await.unwrap());
        assert!(db.list_users().await.unwrap()[0].disabled);
        db.close().await;
        assert!(users.find("Zoë").await.is_err());
    }
}
