//! `sql = { url = "…", preset = "…" }`: what may stand there, and everything that can be wrong with it.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::database::dialect;
use super::statement::{self, DjangoUser, Lookup, Preset, Reading, TokenForm, is_identifier};
use crate::store::sql::Place;
use crate::types::{Report, Secret, SecretSource};

/// `[auth.NAME.token]`, `sql`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `sqlite:FILE`, `postgres://…` or `mysql://…`; it may hold a password.
    pub url: Option<Secret>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// A variable that holds the URL.
    pub url_env: Option<String>,
    /// The password, in place.
    pub password: Option<Secret>,
    /// The password, in a file.
    pub password_file: Option<PathBuf>,
    /// The password, in the environment.
    pub password_env: Option<String>,
    /// One of the tables that are known by name.
    pub preset: Option<String>,
    /// A SELECT of one's own.
    pub query: Option<String>,
    /// How the token stands in `query`: `plain` or `sha256-hex`.
    pub token_form: Option<String>,
    /// The table of Django's users; default `auth_user`.
    pub user_table: Option<String>,
    /// The column of it that is the user's name; default `username`.
    pub user_column: Option<String>,
    /// The column of it that is the e-mail address; default: none is read.
    pub email_column: Option<String>,
    /// Whether Django's groups are read.
    pub groups: bool,
    /// Connections at most; default 4.
    pub max_connections: Option<u32>,
}

/// A table that can be asked.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) place: Place,
    pub(super) lookup: Lookup,
    pub(super) reading: Reading,
    pub(super) connections: u32,
    /// What files, variables and secrets held.
    made_of: Vec<u8>,
    /// Which of the known tables it is.
    pub preset: Option<Preset>,
}

impl Table {
    /// What it is made of, besides what its settings print as: secrets print as `***`.
    #[must_use]
    pub fn made_of(&self) -> &[u8] {
        &self.made_of
    }

    /// Whether tokens travel as `Authorization: Token KEY`, as those of Django REST framework do.
    #[must_use]
    pub fn says_token(&self) -> bool {
        self.preset == Some(Preset::DrfAuthtoken)
    }
}

/// The database of another program at `url`, which stands under `key`. Opens nothing.
pub(in crate::store) fn place(key: &str, url: &str, password: Option<&Secret>, report: &mut Report) -> Option<Place> {
    match Place::parse(url, password) {
        Ok(place) => {
            if place.file().is_some_and(|file| !file.is_file()) {
                report.warn(key, "there is no such file yet; nothing can be looked up before there is", "see that the path is right");
            }
            if let Some(weakness) = place.weakness() {
                report.warn(key, weakness, "write sslmode=verify-full into the url");
            }
            Some(place)
        }
        Err(why) => {
            report.error(key, &why.problem, &why.remedy);
            None
        }
    }
}

/// How many connections there are at most; 4 unless something else is said.
pub(in crate::store) fn connections(most: Option<u32>, report: &mut Report) -> Option<u32> {
    let most = most.unwrap_or(4);
    let sound = (1..=1000).contains(&most);
    if !sound {
        report.error("max_connections", "it is not between 1 and 1000", "write max_connections = 4, or leave it out");
    }
    sound.then_some(most)
}

impl Settings {
    /// Reads them. Every mistake is reported, relative to `sql`, not only the first. Opens nothing.
    pub fn table(&self, report: &mut Report) -> Option<Table> {
        let mut made_of = Vec::new();
        let place = self.place(&mut made_of, report);
        let preset = self.checked_preset(report);
        let user = self.user(report);
        let form = self.checked_form(report);
        let connections = connections(self.max_connections, report);
        let (place, user, form, connections) = (place?, user?, form?, connections?);
        let (lookup, reading) = match (preset?, &self.query) {
            (Some(preset), _) => statement::preset(preset, dialect(&place), &user),
            (None, query) => match statement::own(query.as_deref()?, form, dialect(&place)) {
                Ok(own) => own,
                Err(why) => {
                    report.error("query", why, "see docs/tokens.md for a query's form");
                    return None;
                }
            },
        };
        Some(Table { place, lookup, reading, connections, made_of, preset: preset? })
    }

    /// Notes in `made_of` what cannot be seen in the settings.
    fn place(&self, made_of: &mut Vec<u8>, report: &mut Report) -> Option<Place> {
        let url = self.checked_url(report)?;
        let source =
            SecretSource { key: "password", inline: self.password.as_ref(), file: self.password_file.as_ref(), env: self.password_env.as_deref() };
        let password = if source.is_absent() { None } else { Some(source.load(report)?) };
        made_of.extend(url.expose());
        made_of.push(0);
        made_of.extend(password.as_ref().map(Secret::expose).unwrap_or_default());
        let Ok(text) = std::str::from_utf8(url.expose()) else {
            report.error("url", "it is not UTF-8", "write \"sqlite:FILE\", \"postgres://USER@HOST/DATABASE\" or \"mysql://USER@HOST/DATABASE\"");
            return None;
        };
        place("url", text, password.as_ref(), report)
    }

    /// A URL without a password is no secret.
    fn checked_url(&self, report: &mut Report) -> Option<Secret> {
        let source = SecretSource { key: "url", inline: self.url.as_ref(), file: self.url_file.as_ref(), env: self.url_env.as_deref() };
        let plain = self.url.as_ref().filter(|_| self.url_file.is_none() && self.url_env.is_none());
        let open = plain.filter(|url| {
            let text = std::str::from_utf8(url.expose()).unwrap_or_default();
            !Url::parse(text).is_ok_and(|url| url.password().is_some())
        });
        match open {
            Some(url) => Some(url.clone()),
            None => source.load(report),
        }
    }

    fn checked_preset(&self, report: &mut Report) -> Option<Option<Preset>> {
        let names = Preset::ALL.map(|(name, _)| name).join(", ");
        match (&self.preset, &self.query) {
            (Some(name), None) => match Preset::ALL.iter().find(|(known, _)| known == name) {
                Some((_, preset)) => return Some(Some(*preset)),
                None => report.error("preset", &format!("{name:?} is not known"), &format!("write one of {names}, or a query of your own")),
            },
            (None, Some(_)) => return Some(None),
            (None, None) => {
                report.error("preset", "it is not said which table to read", &format!("write preset = one of {names}, or query = \"SELECT …\""))
            }
            (Some(_), Some(_)) => report.error("query", "there is a preset as well", "keep one of preset and query"),
        }
        None
    }

    fn checked_form(&self, report: &mut Report) -> Option<TokenForm> {
        match (self.token_form.as_deref(), &self.query) {
            (Some(_), None) => report.error("token_form", "a preset knows it itself", "remove it"),
            (None | Some("plain"), _) => return Some(TokenForm::Plain),
            (Some("sha256-hex"), Some(_)) => return Some(TokenForm::Sha256Hex),
            (Some(_), Some(_)) => report.error("token_form", "it is neither \"plain\" nor \"sha256-hex\"", "write token_form = \"sha256-hex\""),
        }
        None
    }

    /// What of Django's users is read.
    pub(in crate::store) fn user(&self, report: &mut Report) -> Option<DjangoUser> {
        let given = [("user_table", &self.user_table, true), ("user_column", &self.user_column, false), ("email_column", &self.email_column, false)];
        let mut sound = true;
        for (key, name, with_schema) in given {
            let Some(name) = name else { continue };
            if self.query.is_some() {
                report.error(key, "a query says itself what it reads", "remove it");
                sound = false;
            } else if !is_identifier(name, with_schema) {
                report.error(key, "it is not a name of letters, digits and _", "write it as it stands in the database");
                sound = false;
            }
        }
        if self.groups && self.query.is_some() {
            report.error("groups", "a query says itself what it reads", "return the groups in the column claims");
            sound = false;
        }
        sound.then(|| DjangoUser {
            table: self.user_table.clone().unwrap_or_else(|| "auth_user".to_owned()),
            name: self.user_column.clone().unwrap_or_else(|| "username".to_owned()),
            email: self.email_column.clone(),
            groups: self.groups,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Severity;

    fn read(toml: &str) -> (Option<Table>, Vec<(String, bool)>) {
        let mut report = Report::default();
        let table = toml::from_str::<Settings>(toml).unwrap().table(&mut report);
        (table, report.problems().iter().map(|p| (p.key.clone(), p.severity == Severity::Error)).collect())
    }

    #[test]
    fn a_preset_or_a_query_and_a_url_are_enough() {
        for toml in [
            "url = 'postgres://u@db.example/app'\npreset = 'django-oauth-toolkit'",
            "url = 'mysql://u@127.0.0.1/app'\npreset = 'django-oauth2-provider'\nuser_table = 'app.member'\nuser_column = 'email'\ngroups = true",
            "url = 'postgres://u@db.example/app?sslmode=require'\npassword = 'p'\npreset = 'drf-authtoken'",
            "url = 'postgres://u@db.example/app'\nquery = 'SELECT u AS user_name FROM t WHERE h = $1'\ntoken_form = 'sha256-hex'",
        ] {
            let (table, problems) = read(toml);
            assert!(table.is_some() && problems.iter().all(|(_, error)| !error), "{toml}: {problems:?}");
        }
        assert!(toml::from_str::<Settings>("ulr = 'x'").is_err());
    }

    #[test]
    fn every_mistake_is_reported_under_its_key() {
        for (toml, key) in [
            ("preset = 'drf-authtoken'", "url"),
            ("url = 'redis://x'\npreset = 'drf-authtoken'", "url"),
            ("url = 'sqlite:/x'\nurl_env = 'X'\npreset = 'drf-authtoken'", "url"),
            ("url = 'postgres://u@h/d'", "preset"),
            ("url = 'postgres://u@h/d'\npreset = 'django'", "preset"),
            ("url = 'postgres://u@h/d'\npreset = 'drf-authtoken'\nquery = 'SELECT $1'", "query"),
            ("url = 'postgres://u@h/d'\nquery = 'DELETE FROM t WHERE k = $1'", "query"),
            ("url = 'postgres://u@h/d'\nquery = 'SELECT ?'", "query"),
            ("url = 'postgres://u@h/d'\nquery = 'SELECT $1'\ntoken_form = 'md5'", "token_form"),
            ("url = 'postgres://u@h/d'\npreset = 'drf-authtoken'\ntoken_form = 'plain'", "token_form"),
            ("url = 'postgres://u@h/d'\npreset = 'drf-authtoken'\nuser_table = 'a b'", "user_table"),
            ("url = 'postgres://u@h/d'\npreset = 'drf-authtoken'\nuser_column = 'a.b'", "user_column"),
            ("url = 'postgres://u@h/d'\nquery = 'SELECT $1'\nemail_column = 'email'", "email_column"),
            ("url = 'postgres://u@h/d'\nquery = 'SELECT $1'\ngroups = true", "groups"),
            ("url = 'postgres://u@h/d?sslmode=maybe'\npreset = 'drf-authtoken'", "url"),
            ("url = 'postgres://u@h/d?sslrootcert=/nonexistent'\npreset = 'drf-authtoken'", "url"),
            ("url = 'postgres://u:p@h/d'\npassword = 'q'\npreset = 'drf-authtoken'", "url"),
            ("url = 'postgres://u@h/d'\npreset = 'drf-authtoken'\nmax_connections = 0", "max_connections"),
            ("url = 'postgres://u@h/d'\npreset = 'drf-authtoken'\npassword_env = 'DOORWARD_SURELY_UNSET'", "password_env"),
        ] {
            let errors: Vec<_> = read(toml).1.into_iter().filter(|(_, error)| *error).collect();
            assert!(errors.iter().any(|(found, _)| found == key), "{toml}: {errors:?}");
        }
    }

    #[test]
    fn a_password_in_the_file_and_a_missing_database_are_warned_of() {
        let (table, problems) = read("url = 'postgres://u:p@127.0.0.1/d'\npreset = 'drf-authtoken'");
        assert!(table.is_some() && problems == [("url".to_owned(), false)], "{problems:?}");
        let (table, problems) = read("url = 'sqlite:/nonexistent/x.db'\npreset = 'drf-authtoken'");
        assert!(table.is_some() && problems == [("url".to_owned(), false)], "{problems:?}");
    }
}
