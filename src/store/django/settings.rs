//! `users = "django:DATABASE-URL"`, and `[auth.NAME.basic.django]` beside it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::store::sql::Place;
use crate::store::token_tables;
use crate::types::{Report, Secret, SecretSource};

/// `[auth.NAME.basic.django]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The database's password, in place.
    password: Option<Secret>,
    /// The password, in a file.
    password_file: Option<PathBuf>,
    /// The password, in the environment.
    password_env: Option<String>,
    /// The table of users; default `auth_user`.
    user_table: Option<String>,
    /// The column that is the user's name; default `username`.
    user_column: Option<String>,
    /// The column that is the e-mail address; default: none is read.
    email_column: Option<String>,
    /// Whether groups are read.
    groups: bool,
    /// Connections at most; default 4.
    max_connections: Option<u32>,
}

/// A table that can be asked.
#[derive(Debug)]
pub struct Table {
    pub(super) place: Place,
    pub(super) sql: Arc<str>,
    pub(super) connections: u32,
    /// What cannot be seen in the settings: secrets print as `***`.
    made_of: Vec<u8>,
}

impl Table {
    /// What it is made of, besides what its settings print as.
    #[must_use]
    pub fn made_of(&self) -> &[u8] {
        &self.made_of
    }
}

impl Settings {
    /// Reads them, with the URL that stands behind `django:`. Every mistake is reported, relative to `[auth.NAME.basic]`.
    /// Opens nothing.
    pub fn table(&self, url: &str, report: &mut Report) -> Option<Table> {
        let (password, user, connections) = report.within("django", |report| {
            let source = SecretSource {
                key: "password",
                inline: self.password.as_ref(),
                file: self.password_file.as_ref(),
                env: self.password_env.as_deref(),
            };
            let password = if source.is_absent() { Some(None) } else { source.load(report).map(Some) };
            (password, self.names().user(report), token_tables::connections(self.max_connections, report))
        });
        let (password, user) = (password?, user);
        if url::Url::parse(url).is_ok_and(|url| url.password().is_some()) {
            report.warn("users", "a password stands in the configuration file", "move it to a file, and write django = { password_file = \"PATH\" }");
        }
        let place = token_tables::place("users", url, password.as_ref(), report);
        let (user, place) = (user?, place?);
        let made_of = [url.as_bytes(), &[0], password.as_ref().map(Secret::expose).unwrap_or_default()].concat();
        Some(Table { sql: token_tables::users_statement(&place, &user), place, connections: connections?, made_of })
    }

    /// The names of tables and columns, as those of token tables.
    fn names(&self) -> token_tables::Settings {
        token_tables::Settings {
            user_table: self.user_table.clone(),
            user_column: self.user_column.clone(),
            email_column: self.email_column.clone(),
            groups: self.groups,
            ..token_tables::Settings::default()
        }
    }
}
