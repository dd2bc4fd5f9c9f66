//! Users with a password, wherever they are kept.
//!
//! ```text
//! Users ── now() ──> Asked ── find(name) ──> User      as they are at that moment
//! store      Doorward's own database    sql/users.rs
//! htpasswd   a file, watched            htpasswd/
//! Django     the table of its users     django/
//! ```

use std::sync::Arc;

use super::django::DjangoUsers;
use super::htpasswd::{Htpasswd, Table};
use super::passwords::hash::{Form, Kind};
use super::sources::Mark;
use super::sql::Db;
use super::{Unavailable, can_be_a_name};
use crate::types::Secret;

/// A user, and the hash of the password as it stands there.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The hash, in the source's form.
    pub password_hash: Secret,
    /// E-mail address.
    pub email: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether the user may not log in.
    pub disabled: bool,
}

/// One place that knows users. Not cached here: see `passwords.rs`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users(Source);

#[derive(Debug, Clone)]
enum Source {
    Store(Db),
    Htpasswd(Arc<Htpasswd>),
    Django(Arc<DjangoUsers>),
}

/// The same place as it is at one moment: what a file says later changes nothing about it.
#[derive(Debug, Clone)]
pub(super) struct Asked(Moment);

#[derive(Debug, Clone)]
enum Moment {
    Store(Db),
    Htpasswd(Arc<Htpasswd>, Arc<Table>),
    Django(Arc<DjangoUsers>),
}

impl Users {
    /// Users of Doorward's own store.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self(Source::Store(db))
    }

    /// Users of an htpasswd file.
    #[must_use]
    pub fn of_htpasswd(file: Arc<Htpasswd>) -> Self {
        Self(Source::Htpasswd(file))
    }

    /// Users of a Django project.
    #[must_use]
    pub fn of_django(table: Arc<DjangoUsers>) -> Self {
        Self(Source::Django(table))
    }

    /// The user of exactly this name as it is now, disabled or not.
    pub async fn find(&self, name: &str) -> Result<Option<User>, Unavailable> {
        self.now().find(name).await
    }

    /// They as they are now.
    pub(super) fn now(&self) -> Asked {
        Asked(match &self.0 {
            Source::Store(db) => Moment::Store(db.clone()),
            Source::Htpasswd(file) => Moment::Htpasswd(Arc::clone(file), file.table()),
            Source::Django(table) => Moment::Django(Arc::clone(table)),
        })
    }
}

impl Asked {
    /// The user `name`, disabled or not, exactly as it was asked for.
    pub(super) async fn find(&self, name: &str) -> Result<Option<User>, Unavailable> {
        if !can_be_a_name(name) {
            return Ok(None);
        }
        match &self.0 {
            Moment::Store(db) => db.user(name).await,
            Moment::Htpasswd(_, table) => Ok(table.find(name)),
            Moment::Django(table) => table.find(name).await,
        }
    }

    /// What tells this source from all others.
    pub(super) fn mark(&self) -> Mark {
        match &self.0 {
            Moment::Store(_) => [0; 32],
            Moment::Htpasswd(file, _) => *file.mark(),
            Moment::Django(table) => *table.mark(),
        }
    }

    /// What is known of a user's password without asking anybody: another text is another password.
    pub(super) fn line_of(&self, name: &str) -> &[u8] {
        match &self.0 {
            Moment::Htpasswd(_, table) => table.hash_of(name),
            Moment::Store(_) | Moment::Django(_) => &[],
        }
    }

    /// In which form hashes stand there.
    pub(super) fn form(&self) -> Form {
        match &self.0 {
            Moment::Store(_) => Form::Store,
            Moment::Htpasswd(..) => Form::Htpasswd,
            Moment::Django(_) => Form::Django,
        }
    }

    /// For logs.
    pub(super) fn name(&self) -> &str {
        match &self.0 {
            Moment::Store(_) => "store",
            Moment::Htpasswd(file, _) => file.name(),
            Moment::Django(table) => table.name(),
        }
    }

    /// What a user's password usually costs there: so much is spent on somebody who is unknown.
    pub(super) fn usual(&self) -> Kind {
        match &self.0 {
            Moment::Store(_) => Kind::OF_STORE,
            Moment::Htpasswd(_, table) => table.usual(),
            Moment::Django(table) => table.usual(),
        }
    }

    /// Takes note of a hash that was found there.
    pub(super) fn saw(&self, kind: Kind) {
        if let Moment::Django(table) = &self.0 {
            table.saw(kind);
        }
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
