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

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

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

/// How much is asked of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    Plain,
    IfOffered,
    Unverified,
    Authority,
    Full,
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

/// What a URL says behind its question mark.
#[derive(Default)]
struct Told {
    protection: Option<Protection>,
    authority: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    search_path: Option<String>,
    cache: Option<usize>,
}

impl Told {
    fn take(&mut self, server: &mut Server, postgres: bool, name: &str, value: String) -> Result<(), OpenError> {
        match name {
            "sslmode" | "ssl-mode" => self.protection = Some(protection(&value)?),
            "sslrootcert" | "ssl-ca" => self.authority = Some(readable(name, value)?),
            "sslcert" | "ssl-cert" => self.certificate = Some(readable(name, value)?),
            "sslkey" | "ssl-key" => self.key = Some(readable(name, value)?),
            "host" if postgres && value.starts_with('/') => server.socket = Some(value),
            "socket" if !postgres => server.socket = Some(value),
            "search_path" if postgres => self.search_path = Some(value),
            "statement-cache-capacity" => {
                let number = value
                    .parse()
                    .map_err(|_| OpenError::new(format!("the option {name} is no number"), "write 0 behind a proxy that shares connections"))?;
                self.cache = Some(number);
            }
            _ => {
                let known =
                    "sslmode, sslrootcert, sslcert, sslkey, statement-cache-capacity, and host=/FOLDER and search_path (postgres) or socket (mysql)";
                return Err(OpenError::new(format!("the url has an option {name:?}, which is not known"), format!("known are {known}")));
            }
        }
        Ok(())
    }
}

fn protection(mode: &str) -> Result<Protection, OpenError> {
    match mode.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(Protection::Plain),
        "prefer" | "preferred" => Ok(Protection::IfOffered),
        "require" | "required" => Ok(Protection::Unverified),
        "verify-ca" => Ok(Protection::Authority),
        "verify-full" | "verify-identity" => Ok(Protection::Full),
        _ => Err(OpenError::new("the url asks for an unknown mode of TLS", "write sslmode=verify-full, verify-ca, require, prefer or disable")),
    }
}

/// A file that can be read now: a wrong name should be found by `doorward check`, not when the database is needed.
fn readable(option: &str, file: String) -> Result<String, OpenError> {
    match std::fs::File::open(&file) {
        Ok(_) => Ok(file),
        Err(error) => {
            Err(OpenError::new(format!("the file of the url's option {option} cannot be read: {error}"), "check the path and its permissions"))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Place::parse(url, None).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// The mode of TLS that is asked for, by its name with PostgreSQL.
    fn mode(place: &Place) -> &'static str {
        match &place.target {
            Target::Sqlite(_) => "none",
            Target::Postgres(options) => match options.get_ssl_mode() {
                PgSslMode::Disable => "disable",
                PgSslMode::Allow => "allow",
                PgSslMode::Prefer => "prefer",
                PgSslMode::Require => "require",
                PgSslMode::VerifyCa => "verify-ca",
                PgSslMode::VerifyFull => "verify-full",
            },
            Target::Mysql(options) => match options.get_ssl_mode() {
                MySqlSslMode::Disabled => "disable",
                MySqlSslMode::Preferred => "prefer",
                MySqlSslMode::Required => "require",
                MySqlSslMode::VerifyCa => "verify-ca",
                MySqlSslMode::VerifyIdentity => "verify-full",
            },
        }
    }

    #[test]
    fn another_machine_is_verified_unless_the_url_says_otherwise_which_is_weak() {
        for (host, query, expected, weak) in [
            ("db.example.com", "", "verify-full", false),
            ("10.0.0.5:6000", "", "verify-full", false),
            ("localhost", "", "prefer", false),
            ("127.0.0.1", "", "prefer", false),
            ("127.9.9.9:1", "", "prefer", false),
            ("[::1]", "", "prefer", false),
            ("localhost.example.com", "", "verify-full", false),
            ("127.0.0.1.example.com", "", "verify-full", false),
            ("[2001:db8::1]", "", "verify-full", false),
            ("db", "?sslmode=verify-ca", "verify-ca", false),
            ("db", "?ssl-mode=VERIFY_IDENTITY", "verify-full", false),
            ("db", "?sslmode=require", "require", true),
            ("db", "?ssl-mode=REQUIRED", "require", true),
            ("db", "?sslmode=prefer", "prefer", true),
            ("db", "?sslmode=disable", "disable", true),
            ("127.0.0.1", "?sslmode=disable", "disable", false),
            ("127.0.0.1", "?sslmode=verify-full", "verify-full", false),
        ] {
            for kind in ["postgres", "postgresql", "mysql", "mariadb"] {
                let place = place(&format!("{kind}://u@{host}/d{query}"));
                assert_eq!((mode(&place), place.weakness().is_some()), (expected, weak), "{kind} {host} {query}");
            }
        }
        for url in ["postgres://u@%2Frun%2Fpostgresql/d", "postgres://u@h/d?host=/run/postgresql", "mysql://u@localhost/d?socket=/run/m.sock"] {
            assert_eq!((mode(&place(url)), place(url).weakness().is_some()), ("disable", false), "{url}");
        }
    }

    #[test]
    fn what_is_shown_of_a_url_has_neither_user_nor_password_nor_options() {
        for (url, shown) in [
            ("postgres://alice:hunter2@db.example.com:6000/d?sslmode=disable", "postgres://db.example.com:6000/d"),
            ("mariadb://alice:hunter2@db/d", "mysql://db/d"),
            ("postgres://alice:hunter2@%2Frun%2Fpg/d", "postgres:///run/pg/d"),
            ("sqlite:/a/b.db", "/a/b.db"),
        ] {
            let place = place(url);
            assert_eq!((place.to_string().as_str(), format!("{place:?}").as_str()), (shown, shown));
        }
    }

    #[test]
    fn names_and_passwords_are_decoded() {
        let Target::Postgres(options) = place("postgres://al%40ice:p%2Fw%23d@h/d%20b").target else { panic!("another kind") };
        assert_eq!((options.get_username(), options.get_database()), ("al@ice", Some("d b")));
        assert!(format!("{options:?}").contains("p/w#d"));
        let beside = Secret::new("hunter2");
        let Target::Mysql(options) = Place::parse("mysql://u@h/d", Some(&beside)).unwrap().target else { panic!("another kind") };
        assert!(format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn a_mistake_in_a_url_is_said_without_the_password() {
        let beside = Secret::new("hunter2");
        for (url, password, expected) in [
            ("postgres://db/d", None, "no user"),
            ("postgres://:hunter2@db/d", None, "no user"),
            ("postgres://u:hun#ter2@db/d", None, "cannot be read"),
            ("postgres://u:1#hunter2@db/d", None, "percent-encode"),
            ("postgres://u:12/hunter2@db/d", None, "no user"),
            ("postgres://u:1?hunter2@db/d", None, "no user"),
            ("postgres://u:hun/ter2@db/d", None, "cannot be read"),
            ("postgres://u:hunter2@db", None, "no database"),
            ("postgres://u:hunter2@db/", None, "no database"),
            ("postgres://u:hunter2@db/a/b", None, "no database"),
            ("postgres://u:hunter2@/d", None, ""),
            ("postgres://u:hunter2@db:99999/d", None, "cannot be read"),
            ("postgres://u:%ff@db/d", None, "UTF-8"),
            ("postgres://u:hunter2@db/d", Some(&beside), "twice"),
            ("postgres://u:hunter2@db/d?sslmod=disable", None, "\"sslmod\""),
            ("postgres://u:hunter2@db/d?sslmode=yes", None, "unknown mode"),
            ("postgres://u:hunter2@db/d?sslmode=", None, "unknown mode"),
            ("postgres://u:hunter2@db/d?sslrootcert=/no/such/file", None, "cannot be read"),
            ("postgres://u:hunter2@db/d?socket=/x", None, "\"socket\""),
            ("mysql://u:hunter2@db/d?host=/x", None, "\"host\""),
            ("mysql://u:hunter2@db/d?statement-cache-capacity=x", None, "no number"),
            ("oracle://u:hunter2@db/d", None, "\"oracle\" is not supported"),
            ("u:hunter2@db/d", None, "not supported"),
            ("hunter2", None, "not supported"),
            ("sqlite:a.db", Some(&beside), "no password"),
        ] {
            let error = Place::parse(url, password).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter2") && !error.contains("ter2"), "{url}: {error}");
        }
    }
}
