//! `[store]`: where Doorward's own data is.

use std::path::PathBuf;

use serde::Deserialize;
use tokio::runtime::Handle;

use super::sql::{CONNECTIONS, Db, OpenError, Place};
use crate::types::{Report, Secret, SecretSource};

/// `[store]`: what Doorward itself keeps.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:FILE`, `postgres://USER@HOST/DATABASE` or `mysql://USER@HOST/DATABASE`; created and migrated at start.
    pub url: String,
    /// The password, where the URL does not hold it, in place.
    pub password: Option<Secret>,
    /// The password, in a file. Read again whenever a connection was lost.
    pub password_file: Option<PathBuf>,
    /// The password, in the environment.
    pub password_env: Option<String>,
    /// How many connections to a server there are at most; 8 without it.
    pub max_connections: Option<u32>,
}

impl Settings {
    /// The store at a URL, with nothing else said.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Reports what can be seen without opening the store, creating it or connecting to it. Keys start with `store.`.
    pub fn check(&self, report: &mut Report) {
        report.within("store", |report| {
            let Some(place) = self.place(report) else { return };
            if let Err(error) = place.check() {
                report.error("url", &error.problem, &error.remedy);
            }
            if place.is_exposed() {
                report.warn("url", "others than its owner may read the database, which holds the secrets of API keys", "chmod 600 the file");
            }
            if let Some(weakness) = place.weakness() {
                report.warn("url", weakness, "write sslmode=verify-full, and sslrootcert=FILE where the authority is your own");
            }
        });
    }

    /// The database, without going there. Reports what is wrong under `store` and returns `None` then.
    pub fn database(&self, aux: &Handle, report: &mut Report) -> Option<Db> {
        let place = report.within("store", |report| self.place(report))?;
        Some(Db::at(place, self.password_file.clone(), self.max_connections.unwrap_or(CONNECTIONS), aux))
    }

    fn place(&self, report: &mut Report) -> Option<Place> {
        if self.max_connections == Some(0) {
            report.error("max_connections", "without a connection nothing can be asked", "write at least 1, or leave it out");
            return None;
        }
        let source =
            SecretSource { key: "password", inline: self.password.as_ref(), file: self.password_file.as_ref(), env: self.password_env.as_deref() };
        let password = if source.is_absent() { None } else { Some(source.load(report)?) };
        match Place::parse(&self.url, password.as_ref()) {
            Ok(place) => Some(place),
            Err(OpenError { problem, remedy }) => {
                report.error("url", &problem, &remedy);
                None
            }
        }
    }
}
