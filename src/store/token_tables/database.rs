//! The database that holds a token table: opened when it is first asked, for reading alone.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tokio::runtime::Handle;
use url::Url;

use super::row::{self, Row, Trouble};
use crate::types::Secret;

/// For a free connection, opening one included.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Connections that nobody uses are closed.
const IDLE: Duration = Duration::from_secs(60);
/// Connections are opened anew from time to time: the server may be another, the file too.
const LIFETIME: Duration = Duration::from_secs(300);
/// More rows than these are not looked at: one is right, and a table that compares without case may hold a few.
const MOST_ROWS: usize = 8;

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// Whether connections are encrypted, and the server's certificate verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Both, except towards this machine; or as the URL itself says.
    Default,
    /// Both, by these authorities or the well-known ones.
    Verify(Option<PathBuf>),
    /// Neither.
    Off,
}

/// A database that can be opened. `Debug` shows nothing of a password.
#[derive(Clone)]
pub struct Database {
    name: String,
    options: Options,
}

#[derive(Clone)]
enum Options {
    Sqlite(SqliteConnectOptions),
    Postgres(Box<PgConnectOptions>),
    Mysql(Box<MySqlConnectOptions>),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Database {
    /// From a URL: `sqlite:FILE`, `postgres://…`, `mysql://…` or `mariadb://…`. Opens nothing. The error is a sentence
    /// without anything of the URL that could be secret.
    pub fn parse(url: &str, password: Option<&Secret>, tls: &Tls) -> Result<Self, String> {
        let password = match password.map(|password| std::str::from_utf8(password.expose())).transpose() {
            Ok(password) => password,
            Err(_) => return Err("the password is not UTF-8".to_owned()),
        };
        if let Some(file) = url.strip_prefix("sqlite:") {
            return sqlite(file.strip_prefix("//").unwrap_or(file), password, tls);
        }
        let parsed = Url::parse(url).map_err(|error| format!("not a database's URL: {error}"))?;
        let tls = match tls {
            Tls::Default if says_tls(&parsed) => None,
            Tls::Default if is_local(&parsed) => Some(&Tls::Off),
            Tls::Default => Some(&Tls::Verify(None)),
            Tls::Verify(_) | Tls::Off if says_tls(&parsed) => return Err("TLS is spoken of both in the URL and in tls".to_owned()),
            Tls::Verify(_) | Tls::Off => Some(tls),
        };
        let options = match parsed.scheme() {
            "postgres" | "postgresql" => Options::Postgres(Box::new(postgres(&parsed, password, tls)?)),
            "mysql" | "mariadb" => Options::Mysql(Box::new(mysql(&parsed, password, tls)?)),
            other => return Err(format!("a database of the kind {other:?} is not supported")),
        };
        Ok(Self { name: name(&parsed), options })
    }

    /// Which SQL it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.options {
            Options::Sqlite(_) => Dialect::Sqlite,
            Options::Postgres(_) => Dialect::Postgres,
            Options::Mysql(_) => Dialect::Mysql,
        }
    }

    /// What is asked, for logs and metrics: without user and password.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of an SQLite database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.options {
            Options::Sqlite(options) => Some(options.get_filename()),
            Options::Postgres(_) | Options::Mysql(_) => None,
        }
    }

    /// A pool whose connections belong to `aux`. Nothing is opened yet.
    pub(super) fn pool(&self, connections: u32, aux: &Handle) -> Pool {
        // The pool starts a task that closes idle connections.
        let _entered = aux.enter();
        match &self.options {
            Options::Sqlite(options) => {
                let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).idle_timeout(IDLE).max_lifetime(IDLE);
                Pool::Sqlite(pool.connect_lazy_with(options.clone()))
            }
            Options::Postgres(options) => {
                let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).idle_timeout(IDLE).max_lifetime(LIFETIME);
                let read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
                let pool = pool.after_connect(move |connection, _| Box::pin(async move { connection.execute(read_only).await.map(|_| ()) }));
                Pool::Postgres(pool.connect_lazy_with((**options).clone()))
            }
            Options::Mysql(options) => {
                let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).idle_timeout(IDLE).max_lifetime(LIFETIME);
                let read_only = "SET SESSION TRANSACTION READ ONLY";
                let pool = pool.after_connect(move |connection, _| Box::pin(async move { connection.execute(read_only).await.map(|_| ()) }));
                Pool::Mysql(pool.connect_lazy_with((**options).clone()))
            }
        }
    }
}

fn sqlite(file: &str, password: Option<&str>, tls: &Tls) -> Result<Database, String> {
    if file.is_empty() || file.starts_with(':') || file.contains(['?', '\0']) {
        return Err("it names no file, or holds options".to_owned());
    }
    if password.is_some() || *tls != Tls::Default {
        return Err("a file has no password and no TLS".to_owned());
    }
    // SQLite takes a name that begins with `file:` for a URI; an absolute path never does.
    let path = std::path::absolute(file).map_err(|error| format!("the file has no absolute path: {error}"))?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true)
        .create_if_missing(false)
        .busy_timeout(ACQUIRE)
        .pragma("query_only", "ON")
        .disable_statement_logging();
    Ok(Database { name: format!("sqlite:{}", path.display()), options: Options::Sqlite(options) })
}

fn postgres(url: &Url, password: Option<&str>, tls: Option<&Tls>) -> Result<PgConnectOptions, String> {
    // The library's error may repeat what it could not read.
    let mut options = PgConnectOptions::from_url(url).map_err(|_| "not a PostgreSQL URL, or with options that are not known")?;
    if let Some(password) = password {
        options = options.password(password);
    }
    options = match tls {
        None => options,
        Some(Tls::Off) => options.ssl_mode(PgSslMode::Disable),
        Some(Tls::Verify(Some(file))) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(file),
        Some(Tls::Verify(None) | Tls::Default) => options.ssl_mode(PgSslMode::VerifyFull),
    };
    Ok(options.application_name("doorward").disable_statement_logging())
}

fn mysql(url: &Url, password: Option<&str>, tls: Option<&Tls>) -> Result<MySqlConnectOptions, String> {
    let mut options = MySqlConnectOptions::from_url(url).map_err(|_| "not a MySQL URL, or with options that are not known")?;
    if let Some(password) = password {
        options = options.password(password);
    }
    options = match tls {
        None => options,
        Some(Tls::Off) => options.ssl_mode(MySqlSslMode::Disabled),
        Some(Tls::Verify(Some(file))) => options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(file),
        Some(Tls::Verify(None) | Tls::Default) => options.ssl_mode(MySqlSslMode::VerifyIdentity),
    };
    Ok(options.disable_statement_logging())
}

fn says_tls(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| matches!(&*name, "sslmode" | "ssl-mode" | "sslrootcert" | "ssl-root-cert" | "ssl-ca"))
}

/// Whether the server is on this machine: by a loopback address or a socket in the file system.
fn is_local(url: &Url) -> bool {
    let socket = url.query_pairs().any(|(name, value)| name == "socket" || (name == "host" && value.starts_with('/')));
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    socket || host == "localhost" || host.to_ascii_lowercase().starts_with("%2f") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn name(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Connections to one database.
#[derive(Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    Mysql(MySqlPool),
}

macro_rules! fetch {
    ($pool:expr, $sql:expr, $binds:expr, $value:expr, $read:path) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for _ in 0..$binds {
            query = query.bind($value.to_owned());
        }
        let mut connection = $pool.acquire().await?;
        match query.fetch(&mut *connection).take(MOST_ROWS).try_collect::<Vec<_>>().await {
            Ok(rows) => rows.iter().map($read).collect(),
            Err(error) => {
                // Whatever is wrong may be wrong with the connection: the file or the server behind it may be another by now.
                connection.close_on_drop();
                Err(error.into())
            }
        }
    }};
}

impl Pool {
    /// The rows that `sql` gives, a few at most, with `value` bound to each of its `binds` placeholders. `sql` comes from
    /// the configuration or the program itself; what a client sends is only ever bound.
    pub(super) async fn rows(&self, sql: Arc<str>, binds: usize, value: &str) -> Result<Vec<Row>, Trouble> {
        match self {
            Self::Sqlite(pool) => fetch!(pool, sql, binds, value, row::of_sqlite),
            Self::Postgres(pool) => fetch!(pool, sql, binds, value, row::of_postgres),
            Self::Mysql(pool) => fetch!(pool, sql, binds, value, row::of_mysql),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, tls: &Tls) -> Result<Database, String> {
        Database::parse(url, None, tls)
    }

    #[test]
    fn a_url_names_one_of_three_databases_and_shows_no_password() {
        for (url, dialect, name) in [
            ("sqlite:/var/db.sqlite3", Dialect::Sqlite, "sqlite:/var/db.sqlite3"),
            ("sqlite:///var/db.sqlite3", Dialect::Sqlite, "sqlite:/var/db.sqlite3"),
            ("postgres://u:s3cret@db.example:5433/app", Dialect::Postgres, "postgres://db.example:5433/app"),
            ("postgresql://u:s3cret@db.example/app", Dialect::Postgres, "postgresql://db.example/app"),
            ("mysql://u:s3cret@db.example/app", Dialect::Mysql, "mysql://db.example/app"),
            ("mariadb://u:s3cret@db.example/app", Dialect::Mysql, "mariadb://db.example/app"),
        ] {
            let database = parse(url, &Tls::Default).unwrap();
            assert_eq!((database.dialect(), database.name()), (dialect, name), "{url}");
            assert!(!format!("{database:?}").contains("s3cret"));
        }
        for url in ["", "app", "sqlite:", "sqlite::memory:", "sqlite:a?mode=rwc", "redis://x", "http://x", "oracle://s3cret@x", "postgres"] {
            let error = parse(url, &Tls::Default).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(Database::parse("sqlite:/x", Some(&Secret::new("p")), &Tls::Default).is_err());
        assert!(Database::parse("postgres://h/d", Some(&Secret::new(b"\xff")), &Tls::Default).is_err());
    }

    #[test]
    fn connections_to_other_machines_are_verified_unless_said_otherwise() {
        let modes = |url: &str, tls: &Tls| match parse(url, tls).unwrap().options {
            Options::Postgres(options) => format!("{:?}", options.get_ssl_mode()),
            Options::Mysql(options) => format!("{:?}", options.get_ssl_mode()),
            Options::Sqlite(_) => String::new(),
        };
        for (url, tls, mode) in [
            ("postgres://db.example/a", Tls::Default, "VerifyFull"),
            ("postgres://10.0.0.7/a", Tls::Default, "VerifyFull"),
            ("postgres://localhost.example/a", Tls::Default, "VerifyFull"),
            ("postgres://127.0.0.1/a", Tls::Default, "Disable"),
            ("postgres://[::1]/a", Tls::Default, "Disable"),
            ("postgres://localhost/a", Tls::Default, "Disable"),
            ("postgres:///a?host=/run/postgresql", Tls::Default, "Disable"),
            ("postgres://%2Frun%2Fpostgresql/a", Tls::Default, "Disable"),
            ("postgres://db.example/a?sslmode=require", Tls::Default, "Require"),
            ("postgres://db.example/a", Tls::Off, "Disable"),
            ("postgres://127.0.0.1/a", Tls::Verify(None), "VerifyFull"),
            ("mysql://db.example/a", Tls::Default, "VerifyIdentity"),
            ("mysql://127.0.0.1/a", Tls::Default, "Disabled"),
            ("mysql://u@localhost/a?socket=/run/mysqld.sock", Tls::Default, "Disabled"),
            ("mariadb://127.0.0.1/a", Tls::Verify(Some("/ca.pem".into())), "VerifyIdentity"),
            ("mysql://db.example/a", Tls::Off, "Disabled"),
        ] {
            assert_eq!(modes(url, &tls), mode, "{url} {tls:?}");
        }
        assert!(parse("postgres://h/a?sslmode=require", &Tls::Off).is_err());
    }
}
