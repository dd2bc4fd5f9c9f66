//! Where a database is: what its URL says, and what it may not say.
//!
//! ```text
//! sqlite:FILE
//! postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=FILE]     HOST may be a folder: %2Frun%2Fpostgresql
//! mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?ssl-mode=…&ssl-ca=FILE&socket=FILE]
//! ```
//!
//! Without a mode, the certificate of a server on another machine is verified, with its name. A URL is never shown whole:
//! what is shown of it has no user, no password and no options.

mod options;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use self::options::{Protection, Told, is_loopback};
use super::OpenError;
use crate::types::Secret;

/// A database, and how to get there. `Debug` and `Display` show neither user nor password.
#[derive(Clone)]
pub struct Place {
    pub(in crate::store) target: Target,
    shown: String,
    weakness: Option<&'static str>,
}

#[derive(Clone)]
pub(in crate::store) enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
    Mysql(Box<MySqlConnectOptions>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Place {
    /// Reads `url`. `password` stands for one that the URL does not hold. Only its form is looked at.
    pub fn parse(url: &str, password: Option<&Secret>) -> Result<Self, OpenError> {
        let kind = url.split(':').next().unwrap_or_default();
        match kind {
            "sqlite" if password.is_some() => Err(OpenError::new("a file has no password", "leave the password out")),
            "sqlite" => {
                let file = file_of(url)?;
                Ok(Self { shown: file.display().to_string(), target: Target::Sqlite(file), weakness: None })
            }
            "postgres" | "postgresql" | "mysql" | "mariadb" => server(url, kind.starts_with("postgres"), password),
            // The rest is not shown: it may be a password.
            _ if url.contains("://") => Err(OpenError::new(format!("a database of the kind {kind:?} is not supported"), KINDS)),
            _ => Err(OpenError::new("a place without the kind of its database is not supported", KINDS)),
        }
    }

    /// The file of a database that is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.target {
            Target::Sqlite(file) => Some(file),
            Target::Postgres(_) | Target::Mysql(_) => None,
        }
    }

    /// What is weak about the way to it: the configuration asks for less than a verified connection to another machine.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        self.weakness
    }
}

const KINDS: &str = "write url = \"sqlite:FILE\", \"postgres://USER@HOST/DATABASE\" or \"mysql://USER@HOST/DATABASE\"";

/// The file that `url` names.
fn file_of(url: &str) -> Result<PathBuf, OpenError> {
    let remedy = "write url = \"sqlite:FILE\", such as \"sqlite:/var/lib/doorward/doorward.db\"";
    let path = url.strip_prefix("sqlite:").unwrap_or_default();
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') {
        return Err(OpenError::new("the store has no file, so that nothing would outlive this process", remedy));
    }
    if path.contains(['?', '\0']) {
        return Err(OpenError::new("the store's url holds options", remedy));
    }
    // SQLite takes a name that begins with `file:` for a URI; an absolute path never does.
    std::path::absolute(path).map_err(|error| OpenError::new(format!("the store's file {path:?} has no absolute path: {error}"), remedy))
}

/// What a URL says of a server, decoded.
struct Server {
    user: String,
    password: Option<String>,
    host: String,
    /// A socket's folder (PostgreSQL) or the socket (MySQL).
    socket: Option<String>,
    port: Option<u16>,
    database: String,
    options: Vec<(String, String)>,
}

fn server(url: &str, postgres: bool, password: Option<&Secret>) -> Result<Place, OpenError> {
    let remedy = "write KIND://USER@HOST/DATABASE, and the characters / ? # @ : % of a password as %2F %3F %23 %40 %3A %25";
    let broken = |problem: &str| OpenError::new(problem, remedy);
    let parsed = Url::parse(url).map_err(|error| broken(&format!("the url cannot be read: {error}")))?;
    let decoded =
        |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| broken("the url holds something that is not UTF-8"));
    // The user comes first: where there is none, the rest may be the pieces of a password, and is not spoken of.
    if parsed.username().is_empty() || parsed.fragment().is_some() {
        return Err(broken("the url names no user, or a password in it is not percent-encoded"));
    }
    let host = decoded(parsed.host_str().unwrap_or_default().trim_matches(['[', ']']))?;
    let database = decoded(parsed.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains(['/', '@']) {
        return Err(broken("the url names no database, or a password in it is not percent-encoded"));
    }
    let from_file = password.map(|secret| std::str::from_utf8(secret.expose()).map(str::to_owned));
    let password = match (parsed.password().map(decoded).transpose()?, from_file) {
        (Some(_), Some(_)) => return Err(OpenError::new("the password is given twice", "take it out of the url")),
        (_, Some(Err(_))) => return Err(OpenError::new("the password is not UTF-8", "give it another, such as the output of: openssl rand -hex 32")),
        (within, None) => within,
        (None, Some(Ok(beside))) => Some(beside),
    };
    let options = parsed.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let mut server = Server { user: decoded(parsed.username())?, password, host, socket: None, port: parsed.port(), database, options };
    if server.host.starts_with('/') {
        server.socket = Some(std::mem::replace(&mut server.host, "localhost".to_owned()));
    }
    if server.host.is_empty() && !server.options.iter().any(|(name, _)| name == "socket" || name == "host") {
        return Err(broken("the url names no host"));
    }
    server.place(postgres)
}

impl Server {
    fn place(mut self, postgres: bool) -> Result<Place, OpenError> {
        let mut told = Told::default();
        for (name, value) in std::mem::take(&mut self.options) {
            told.take(&mut self, postgres, &name, value)?;
        }
        let near = self.socket.is_some() || is_loopback(&self.host);
        let protection = match told.protection {
            Some(_) | None if self.socket.is_some() => Protection::Plain,
            Some(protection) => protection,
            None if near => Protection::IfOffered,
            None => Protection::Full,
        };
        let weakness = match protection {
            Protection::Plain | Protection::IfOffered | Protection::Unverified if !near => {
                Some("whoever stands between here and the database can read and change what it says")
            }
            Protection::Plain | Protection::IfOffered | Protection::Unverified | Protection::Authority | Protection::Full => None,
        };
        let at = match (&self.socket, self.port) {
            (Some(socket), _) => socket.clone(),
            (None, Some(port)) => format!("{}:{port}", self.host),
            (None, None) => self.host.clone(),
        };
        let shown = format!("{}://{at}/{}", if postgres { "postgres" } else { "mysql" }, self.database);
        let target = if postgres {
            Target::Postgres(Box::new(self.postgres(protection, told)))
        } else {
            Target::Mysql(Box::new(self.mysql(protection, told)))
        };
        Ok(Place { target, shown, weakness })
    }

    fn postgres(self, protection: Protection, told: Told) -> PgConnectOptions {
        let mode = match protection {
            Protection::Plain => PgSslMode::Disable,
            Protection::IfOffered => PgSslMode::Prefer,
            Protection::Unverified => PgSslMode::Require,
            Protection::Authority => PgSslMode::VerifyCa,
            Protection::Full => PgSslMode::VerifyFull,
        };
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port.unwrap_or(5432))
            .username(&self.user)
            .database(&self.database)
            .ssl_mode(mode)
            .application_name("doorward")
            .disable_statement_logging();
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        if let Some(folder) = self.socket {
            options = options.socket(folder);
        }
        if let Some(file) = told.authority {
            options = options.ssl_root_cert(file);
        }
        if let Some((certificate, key)) = told.certificate.zip(told.key) {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        if let Some(schema) = told.search_path {
            options = options.options([("search_path", schema)]);
        }
        told.cache.map_or(options.clone(), |capacity| options.statement_cache_capacity(capacity))
    }

    fn mysql(self, protection: Protection, told: Told) -> MySqlConnectOptions {
        let mode = match protection {
            Protection::Plain => MySqlSslMode::Disabled,
            Protection::IfOffered => MySqlSslMode::Preferred,
            Protection::Unverified => MySqlSslMode::Required,
            Protection::Authority => MySqlSslMode::VerifyCa,
            Protection::Full => MySqlSslMode::VerifyIdentity,
        };
        let mut options = MySqlConnectOptions::new()
            .host(&self.host)
            .port(self.port.unwrap_or(3306))
            .username(&self.user)
            .database(&self.database)
            .ssl_mode(mode)
            .charset("utf8mb4")
            .disable_statement_logging();
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        if let Some(socket) = self.socket {
            options = options.socket(socket);
        }
        if let Some(file) = told.authority {
            options = options.ssl_ca(file);
        }
        if let Some((certificate, key)) = told.certificate.zip(told.key) {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        told.cache.map_or(options.clone(), |capacity| options.statement_cache_capacity(capacity))
    }
}
