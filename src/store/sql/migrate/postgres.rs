//! Steps for PostgreSQL: each run is one transaction, which holds an advisory lock.

use sqlx::{Connection, PgConnection};

use super::{Failure, judge};
use crate::types::unix_now;

/// Of the advisory lock: the ASCII letters `doorward`.
const LOCK: i64 = 0x646f_6f72_7761_7264;

const STEPS: &[(i64, &str)] = &[
    (
        2,
        r#"CREATE TABLE api_keys (
        name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        secret BYTEA,
        next_secret BYTEA,
        public_key TEXT,
        next_public_key TEXT,
        user_name TEXT,
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
    );
    CREATE TABLE tokens (
        id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        hash BYTEA NOT NULL UNIQUE,
        user_name TEXT COLLATE "C" NOT NULL,
        scopes TEXT NOT NULL,
        created BIGINT NOT NULL,
        expires BIGINT NOT NULL,
        revoked BIGINT
    );
    CREATE TABLE users (
        name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        password_hash TEXT NOT NULL,
        email TEXT,
        group_names TEXT NOT NULL,
        disabled BIGINT NOT NULL,
        created BIGINT NOT NULL
    );
    CREATE TABLE doorward_changes (topic TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
    INSERT INTO doorward_changes VALUES ('keys', 0);"#,
    ),
    (3, "ALTER TABLE api_keys ADD COLUMN debug_until BIGINT"),
];

/// Views and tables of extensions are nobody's data.
const TABLES: &str = "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";

const OURS: &str = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'doorward_schema'";

/// Brings the tables of the connection's schema up to date.
pub(in crate::store::sql) async fn run(connection: &mut PgConnection) -> Result<(), Failure> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let tables: i64 = sqlx::query_scalar(TABLES).fetch_one(&mut *transaction).await?;
    let ours: i64 = sqlx::query_scalar(OURS).fetch_one(&mut *transaction).await?;
    let version = match ours {
        0 => None,
        _ => Some(sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM doorward_schema").fetch_one(&mut *transaction).await?),
    };
    let done = judge(version, tables, STEPS.last().map_or(0, |step| step.0))?;
    if version.is_none() {
        let sql = "CREATE TABLE doorward_schema (version BIGINT NOT NULL PRIMARY KEY, applied BIGINT NOT NULL)";
        sqlx::query(sql).execute(&mut *transaction).await?;
    }
    for (number, sql) in STEPS.iter().filter(|step| step.0 > done) {
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        let note = "INSERT INTO doorward_schema (version, applied) VALUES ($1, $2)";
        sqlx::query(note).bind(number).bind(unix_now()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
