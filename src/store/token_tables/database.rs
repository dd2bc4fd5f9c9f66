//! The database that holds a token table: opened when it is first asked, for reading alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tokio::runtime::Handle;

use super::row::{self, Row, Trouble};
use crate::store::sql::{Place, Target};

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

/// The dialect of a place.
pub(in crate::store) fn dialect(place: &Place) -> Dialect {
    match &place.target {
        Target::Sqlite(_) => Dialect::Sqlite,
        Target::Postgres(_) => Dialect::Postgres,
        Target::Mysql(_) => Dialect::Mysql,
    }
}

/// A pool whose connections belong to `aux` and only read. Nothing is opened yet.
pub(in crate::store) fn pool(place: &Place, connections: u32, aux: &Handle) -> Pool {
    // The pool starts a task that closes idle connections.
    let _entered = aux.enter();
    match &place.target {
        Target::Sqlite(file) => {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .read_only(true)
                .create_if_missing(false)
                .busy_timeout(ACQUIRE)
                .pragma("query_only", "ON")
                .disable_statement_logging();
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).idle_timeout(IDLE).max_lifetime(IDLE);
            Pool::Sqlite(pool.connect_lazy_with(options))
        }
        Target::Postgres(options) => {
            let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).idle_timeout(IDLE).max_lifetime(LIFETIME);
            let read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
            let pool = pool.after_connect(move |connection, _| Box::pin(async move { connection.execute(read_only).await.map(drop) }));
            Pool::Postgres(pool.connect_lazy_with((**options).clone()))
        }
        Target::Mysql(options) => {
            let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).idle_timeout(IDLE).max_lifetime(LIFETIME);
            let read_only = "SET SESSION TRANSACTION READ ONLY";
            let pool = pool.after_connect(move |connection, _| Box::pin(async move { connection.execute(read_only).await.map(drop) }));
            Pool::Mysql(pool.connect_lazy_with((**options).clone()))
        }
    }
}

/// Connections to one database.
#[derive(Debug)]
pub(in crate::store) enum Pool {
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
    pub(in crate::store) async fn rows(&self, sql: Arc<str>, binds: usize, value: &str) -> Result<Vec<Row>, Trouble> {
        match self {
            Self::Sqlite(pool) => fetch!(pool, sql, binds, value, row::of_sqlite),
            Self::Postgres(pool) => fetch!(pool, sql, binds, value, row::of_postgres),
            Self::Mysql(pool) => fetch!(pool, sql, binds, value, row::of_mysql),
        }
    }
}
