//! Steps for MySQL and MariaDB, under a lock that belongs to the connection.
//!
//! A statement that changes tables ends every transaction there: so each can be made again where a run was cut off, and a
//! step is noted when all of its statements are done. Names compare byte by byte, but for blanks at their end, which no name
//! of ours has.

use sqlx::MySqlConnection;

use super::{Failure, judge};
use crate::types::unix_now;

const STEPS: &[(i64, &[&str])] = &[
    (
        2,
        &[
            "CREATE TABLE IF NOT EXISTS api_keys (
            name VARCHAR(255) NOT NULL PRIMARY KEY,
            secret BLOB,
            next_secret BLOB,
            public_key TEXT,
            next_public_key TEXT,
            user_name VARCHAR(255),
            group_names TEXT NOT NULL,
            scopes TEXT NOT NULL,
            algorithms TEXT NOT NULL,
            impersonate BIGINT NOT NULL,
            paths TEXT NOT NULL,
            not_before BIGINT,
            expires BIGINT,
            disabled BIGINT NOT NULL,
            last_used BIGINT,
            created BIGINT NOT NULL,
            revoked BIGINT
        ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "CREATE TABLE IF NOT EXISTS tokens (
            id VARCHAR(64) NOT NULL PRIMARY KEY,
            hash BINARY(32) NOT NULL UNIQUE,
            user_name VARCHAR(255) NOT NULL,
            scopes TEXT NOT NULL,
            created BIGINT NOT NULL,
            expires BIGINT NOT NULL,
            revoked BIGINT
        ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "CREATE TABLE IF NOT EXISTS users (
            name VARCHAR(255) NOT NULL PRIMARY KEY,
            password_hash TEXT NOT NULL,
            email TEXT,
            group_names TEXT NOT NULL,
            disabled BIGINT NOT NULL,
            created BIGINT NOT NULL
        ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "CREATE TABLE IF NOT EXISTS doorward_changes (topic VARCHAR(64) NOT NULL PRIMARY KEY, version BIGINT NOT NULL)
         ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "INSERT INTO doorward_changes SELECT 'keys', 0 FROM (SELECT 1) AS one WHERE NOT EXISTS (SELECT 1 FROM doorward_changes)",
        ],
    ),
    (3, &["ALTER TABLE api_keys ADD COLUMN debug_until BIGINT"]),
];

const TABLES: &str = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
const OURS: &str = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'doorward_schema'";

/// Locks of this kind are the server's, so that the database's name is in it, at a length that all servers allow.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('doorward-', MD5(DATABASE())), 25)";

/// What a run that was cut off had added already.
fn column_is_there(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|state| state == "42S21")
}

/// Brings the tables of the connection's database up to date. The lock goes with the connection, which the caller closes.
pub(in crate::store::sql) async fn run(connection: &mut MySqlConnection) -> Result<(), Failure> {
    let locked: Option<i64> = sqlx::query_scalar(LOCK).fetch_one(&mut *connection).await?;
    if locked != Some(1) {
        return Err(Failure::Sql(sqlx::Error::Protocol("another process keeps the tables locked".to_owned())));
    }
    let tables: i64 = sqlx::query_scalar(TABLES).fetch_one(&mut *connection).await?;
    let ours: i64 = sqlx::query_scalar(OURS).fetch_one(&mut *connection).await?;
    let version = match ours {
        0 => None,
        _ => Some(sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM doorward_schema").fetch_one(&mut *connection).await?),
    };
    let done = judge(version, tables, STEPS.last().map_or(0, |step| step.0))?;
    if version.is_none() {
        let sql = "CREATE TABLE doorward_schema (version BIGINT NOT NULL PRIMARY KEY, applied BIGINT NOT NULL) ENGINE = InnoDB";
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    for (number, statements) in STEPS.iter().filter(|step| step.0 > done) {
        for sql in *statements {
            let done = sqlx::query(*sql).execute(&mut *connection).await;
            if !done.as_ref().err().is_some_and(column_is_there) {
                done?;
            }
        }
        let note = "INSERT INTO doorward_schema (version, applied) VALUES (?, ?)";
        sqlx::query(note).bind(number).bind(unix_now()).execute(&mut *connection).await?;
    }
    Ok(())
}
