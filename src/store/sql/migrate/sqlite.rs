//! Steps for SQLite: each run is one transaction, which has the database for itself.

use std::time::Duration;

use sqlx::sqlite::SqlitePool;

use super::{Failure, judge};
use crate::types::unix_now;

/// Between two tries to open a database that another process holds.
const RETRY_AFTER: Duration = Duration::from_millis(20);

pub(in crate::store::sql) const STEPS: &[(i64, &str)] = &[
    (
        1,
        "CREATE TABLE api_keys (
            name TEXT NOT NULL PRIMARY KEY,
            secret BLOB NOT NULL,
            next_secret BLOB,
            user_name TEXT,
            impersonate INTEGER NOT NULL,
            paths TEXT NOT NULL,
            created INTEGER NOT NULL,
            revoked INTEGER
        ) STRICT;
        CREATE TABLE tokens (
            id TEXT NOT NULL PRIMARY KEY,
            hash BLOB NOT NULL UNIQUE,
            user_name TEXT NOT NULL,
            scopes TEXT NOT NULL,
            created INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            revoked INTEGER
        ) STRICT;
        CREATE TABLE users (
            name TEXT NOT NULL PRIMARY KEY,
            password_hash TEXT NOT NULL,
            email TEXT,
            group_names TEXT NOT NULL,
            disabled INTEGER NOT NULL,
            created INTEGER NOT NULL
        ) STRICT;",
    ),
    // A key may do without a secret, which SQLite lets no ALTER say.
    (
        2,
        "CREATE TABLE api_keys_2 (
            name TEXT NOT NULL PRIMARY KEY,
            secret BLOB,
            next_secret BLOB,
            public_key TEXT,
            next_public_key TEXT,
            user_name TEXT,
            group_names TEXT NOT NULL,
            scopes TEXT NOT NULL,
            algorithms TEXT NOT NULL,
            impersonate INTEGER NOT NULL,
            paths TEXT NOT NULL,
            not_before INTEGER,
            expires INTEGER,
            disabled INTEGER NOT NULL,
            last_used INTEGER,
            created INTEGER NOT NULL,
            revoked INTEGER
        ) STRICT;
        INSERT INTO api_keys_2 (name, secret, next_secret, user_name, group_names, scopes, algorithms, impersonate, paths, disabled, created, revoked)
            SELECT name, secret, next_secret, user_name, '[]', '[]', '[]', impersonate, paths, 0, created, revoked FROM api_keys;
        DROP TABLE api_keys;
        ALTER TABLE api_keys_2 RENAME TO api_keys;
        CREATE TABLE doorward_changes (topic TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) STRICT;
        INSERT INTO doorward_changes VALUES ('keys', 0);",
    ),
    (3, "ALTER TABLE api_keys ADD COLUMN debug_until INTEGER;"),
];

/// Brings the tables up to date. SQLite does not wait at the lock while the database is turned to WAL, as a process that
/// starts at the same time may be doing: so it is tried again, until the caller's patience ends.
pub(in crate::store::sql) async fn run(pool: &SqlitePool) -> Result<(), Failure> {
    loop {
        match apply(pool, STEPS).await {
            Err(Failure::Sql(error)) if is_busy(&error) => tokio::time::sleep(RETRY_AFTER).await,
            done => return done,
        }
    }
}

/// SQLITE_BUSY, whose extended codes hold it in their lowest byte.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// One try.
pub(in crate::store::sql) async fn apply(pool: &SqlitePool, steps: &[(i64, &'static str)]) -> Result<(), Failure> {
    let mut transaction = pool.begin_with("BEGIN EXCLUSIVE").await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut *transaction).await?;
    let ours: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'doorward_schema'")
        .fetch_one(&mut *transaction)
        .await?;
    let version = match ours {
        0 => None,
        _ => Some(sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM doorward_schema").fetch_one(&mut *transaction).await?),
    };
    let done = judge(version, tables, steps.last().map_or(0, |step| step.0))?;
    if version.is_none() {
        let sql = "CREATE TABLE doorward_schema (version INTEGER NOT NULL PRIMARY KEY, applied INTEGER NOT NULL) STRICT";
        sqlx::query(sql).execute(&mut *transaction).await?;
    }
    for (number, sql) in steps.iter().filter(|step| step.0 > done) {
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        let note = "INSERT INTO doorward_schema (version, applied) VALUES (?, ?)";
        sqlx::query(note).bind(number).bind(unix_now()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
