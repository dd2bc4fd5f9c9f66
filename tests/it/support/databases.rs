//! A database of its own for each test, on SQLite and on the servers that `tests/services.sh` starts.

use sqlx::{Connection, MySqlConnection, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// The kinds of databases that the product knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
    Mysql,
}

impl Kind {
    /// All of them: a test that says something of databases says it of each.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mysql];
}

/// An empty database. It goes when this value goes.
#[derive(Debug)]
pub struct Database {
    pub kind: Kind,
    /// What a configuration says of it, with name and password.
    pub url: String,
    name: String,
    dir: Option<TempDir>,
}

impl Database {
    /// Makes one. Panics where there is no server, and says how to get it.
    pub async fn fresh(kind: Kind) -> Self {
        let name = format!("t{:016x}", random());
        if kind == Kind::Sqlite {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}/d.db", dir.path().display());
            return Self { kind, url, name, dir: Some(dir) };
        }
        let create = match kind {
            Kind::Mysql => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"),
            Kind::Postgres | Kind::Sqlite => format!("CREATE DATABASE {name}"),
        };
        let server = server(kind);
        run(kind, server.as_str(), &create).await;
        let mut url = server;
        url.set_path(&name);
        Self { kind, url: url.into(), name, dir: None }
    }

    /// One of a server that is the test's own, and goes with it.
    pub fn elsewhere(kind: Kind, url: String) -> Self {
        Self { kind, url, name: String::new(), dir: Some(tempfile::tempdir().unwrap()) }
    }

    /// Runs statements on it, separated by semicolons: as another program would, beside the product.
    pub async fn run(&self, sql: &str) {
        let url = if self.kind == Kind::Sqlite { format!("{}?mode=rwc", self.url) } else { self.url.clone() };
        run(self.kind, &url, sql).await;
    }

    /// The password in `url`; empty for SQLite.
    pub fn password(&self) -> String {
        url::Url::parse(&self.url).unwrap().password().unwrap_or_default().to_owned()
    }

    /// Where the server is.
    pub fn address(&self) -> std::net::SocketAddr {
        let url = url::Url::parse(&self.url).unwrap();
        std::net::SocketAddr::from(([127, 0, 0, 1], url.port().unwrap()))
    }

    /// The number that a statement finds, as another program would ask.
    pub async fn number(&self, sql: &str) -> i64 {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (sql, url) = (sqlx::AssertSqlSafe(sql.to_owned()), self.url.as_str());
        match self.kind {
            Kind::Sqlite => sqlx::query_scalar(sql).fetch_one(&mut SqliteConnection::connect(url).await.unwrap()).await.unwrap(),
            Kind::Postgres => sqlx::query_scalar(sql).fetch_one(&mut PgConnection::connect(url).await.unwrap()).await.unwrap(),
            Kind::Mysql => sqlx::query_scalar(sql).fetch_one(&mut MySqlConnection::connect(url).await.unwrap()).await.unwrap(),
        }
    }

    /// `url` by way of a relay.
    pub fn url_through(&self, relay: &super::relay::Relay) -> String {
        self.url_with(|url| url.set_port(Some(relay.address.port())).unwrap())
    }

    /// `url` with another name or address, user or option: whatever a test has to change.
    pub fn url_with(&self, change: impl FnOnce(&mut url::Url)) -> String {
        let mut url = url::Url::parse(&self.url).unwrap();
        change(&mut url);
        url.into()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.dir.is_some() {
            return;
        }
        let (kind, force) = (self.kind, if self.kind == Kind::Postgres { " WITH (FORCE)" } else { "" });
        let sql = format!("DROP DATABASE IF EXISTS {}{force}", self.name);
        // A thread of its own: a runtime cannot be waited for from within another.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(kind, server(kind).as_str(), &sql));
        });
        let _ = dropping.join();
    }
}

/// Where the server is, and who may make databases there.
fn server(kind: Kind) -> url::Url {
    let name = match kind {
        Kind::Postgres => "DOORWARD_TEST_POSTGRES",
        Kind::Mysql => "DOORWARD_TEST_MYSQL",
        Kind::Sqlite => unreachable!("SQLite has no server"),
    };
    let url = std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: this test needs a server; start it with: eval \"$(tests/services.sh start)\""));
    url::Url::parse(&url).unwrap()
}

/// The certificate of the authority that signed the servers' own, which are for `localhost`.
pub fn authority() -> String {
    std::env::var("DOORWARD_TEST_DATABASE_CA")
        .unwrap_or_else(|_| panic!("DOORWARD_TEST_DATABASE_CA is not set; set it with: eval \"$(tests/services.sh start)\""))
}

async fn run(kind: Kind, url: &str, sql: &str) {
    // sqlx finds the provider of its TLS as the process has set it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    let done = match kind {
        Kind::Sqlite => sql.execute(&mut SqliteConnection::connect(url).await.unwrap()).await.map(drop),
        Kind::Postgres => sql.execute(&mut PgConnection::connect(url).await.unwrap()).await.map(drop),
        Kind::Mysql => sql.execute(&mut MySqlConnection::connect(url).await.unwrap()).await.map(drop),
    };
    done.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes)
}
