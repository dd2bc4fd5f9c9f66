//! Opening the database: the file, its permissions, its migrations.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::runtime::Handle;

use super::super::health::Health;
use super::{DEADLINE, Db};
use crate::types::unix_now;

/// Less than [`DEADLINE`], so that the cause that is reported is the lock and not the time.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// Between two tries to open a database that another process holds.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// SQLite has one writer anyway; these are for readers.
const CONNECTIONS: u32 = 4;

/// Each step is applied once, in order, in one transaction with the note that it was. A step that was released is
/// never changed: a new one is added.
const MIGRATIONS: &[(i64, &str)] = &[
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
        ALTER TABLE api_keys_2 RENAME TO api_keys;",
    ),
];

/// Why the database was not opened: what is wrong and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct OpenError {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl OpenError {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

impl Db {
    /// Opens `sqlite:FILE`. The file is created if it is missing, readable by its owner alone; its folder is not.
    /// A database of another program or of a newer Doorward is refused and left as it is.
    pub async fn open(url: &str, aux: &Handle) -> Result<Self, OpenError> {
        let file = file_of(url)?;
        create(&file)?;
        let failed = |cause: &dyn std::fmt::Display| {
            OpenError::new(
                format!("the database {} cannot be opened: {cause}", file.display()),
                "see that it is a database of Doorward's, and not locked",
            )
        };
        let path = file.clone();
        let opened = aux.spawn(async move { tokio::time::timeout(DEADLINE * 2, connect(&path)).await }).await;
        match opened {
            Ok(Ok(Ok(pool))) => Ok(Self { pool, aux: aux.clone(), health: Arc::new(Health::new("store")) }),
            Ok(Ok(Err(OpenFailure::Refused(why)))) => Err(why),
            Ok(Ok(Err(OpenFailure::Sql(error)))) => Err(failed(&error)),
            Ok(Err(_)) => Err(failed(&"another process keeps it locked")),
            Err(broken) => Err(failed(&broken)),
        }
    }

    /// Whether `url` names a place where a database could be. Opens and creates nothing.
    pub fn check(url: &str) -> Result<(), OpenError> {
        let file = file_of(url)?;
        match file.parent() {
            Some(folder) if !folder.is_dir() => Err(no_folder(folder)),
            _ => Ok(()),
        }
    }

    /// Whether others than the owner may read the file of `url`.
    #[must_use]
    pub fn is_exposed(url: &str) -> bool {
        file_of(url).ok().and_then(|file| std::fs::metadata(file).ok()).is_some_and(|meta| meta.mode() & 0o077 != 0)
    }
}

enum OpenFailure {
    Refused(OpenError),
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for OpenFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// The file that `url` names. Only its form is looked at.
fn file_of(url: &str) -> Result<PathBuf, OpenError> {
    let remedy = "write url = \"sqlite:FILE\", such as \"sqlite:/var/lib/doorward/doorward.db\"";
    let Some(path) = url.strip_prefix("sqlite:") else {
        let kind = url.split(':').next().unwrap_or_default();
        return Err(OpenError::new(format!("a store of the kind {kind:?} is not supported"), remedy));
    };
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

/// Creates the file before SQLite does, which would make it readable by all. The WAL files take its permissions over.
fn create(file: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(no_folder(file.parent().unwrap_or(file))),
        Err(error) => Err(OpenError::new(
            format!("the database {} cannot be created: {error}", file.display()),
            "let the user that runs Doorward write to its folder",
        )),
    }
}

fn no_folder(folder: &Path) -> OpenError {
    OpenError::new(format!("the folder {} does not exist", folder.display()), "create it, writable by the user that runs Doorward")
}

/// SQLite does not wait at the lock while the database is turned to WAL, as a process that starts at the same time
/// may be doing: so it is tried again, until the caller's patience ends.
async fn connect(file: &Path) -> Result<SqlitePool, OpenFailure> {
    loop {
        match connect_once(file).await {
            Err(OpenFailure::Sql(error)) if is_busy(&error) => tokio::time::sleep(RETRY_AFTER).await,
            done => return done,
        }
    }
}

/// SQLITE_BUSY, whose extended codes hold it in their lowest byte.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

async fn connect_once(file: &Path) -> Result<SqlitePool, OpenFailure> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(DEADLINE).connect_with(options).await?;
    migrate(&pool, MIGRATIONS).await?;
    Ok(pool)
}

/// Brings the tables up to date. Two processes that start at once wait for each other at the lock.
async fn migrate(pool: &SqlitePool, steps: &[(i64, &'static str)]) -> Result<(), OpenFailure> {
    let mut transaction = pool.begin_with("BEGIN EXCLUSIVE").await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut *transaction).await?;
    let ours: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'doorward_schema'")
        .fetch_one(&mut *transaction)
        .await?;
    if ours == 0 && tables > 0 {
        let refusal = OpenError::new("the database belongs to another program: it holds tables, but none of Doorward's", "name a file of its own");
        return Err(OpenFailure::Refused(refusal));
    }
    if ours == 0 {
        sqlx::query("CREATE TABLE doorward_schema (version INTEGER NOT NULL PRIMARY KEY, applied INTEGER NOT NULL) STRICT")
            .execute(&mut *transaction)
            .await?;
    }
    let version: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM doorward_schema").fetch_one(&mut *transaction).await?;
    let newest = steps.last().map_or(0, |step| step.0);
    if version > newest {
        return Err(OpenFailure::Refused(OpenError::new(
            format!("the database is of a newer Doorward: its tables are of version {version}, this one knows {newest}"),
            "start that newer Doorward, or name another file",
        )));
    }
    for (number, sql) in steps.iter().filter(|step| step.0 > version) {
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO doorward_schema (version, applied) VALUES (?, ?)").bind(number).bind(unix_now()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NEWEST: i64 = 2;

    async fn version(db: &Db) -> i64 {
        sqlx::query_scalar("SELECT max(version) FROM doorward_schema").fetch_one(&db.pool).await.unwrap()
    }

    fn url(dir: &tempfile::TempDir) -> String {
        format!("sqlite:{}", dir.path().join("doorward.db").display())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_database_is_readable_by_its_owner_alone_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let aux = Handle::current();
        let db = Db::open(&url(&dir), &aux).await.unwrap();
        assert_eq!(version(&db).await, NEWEST);
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
        assert!(!Db::is_exposed(&url(&dir)));
        let again = Db::open(&url(&dir), &aux).await.unwrap();
        assert_eq!(version(&again).await, NEWEST);
        std::fs::set_permissions(dir.path().join("doorward.db"), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Db::is_exposed(&url(&dir)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_database_is_in_wal_mode_with_foreign_keys() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&url(&dir), &Handle::current()).await.unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&db.pool).await.unwrap();
        let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&db.pool).await.unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&db.pool).await.unwrap();
        assert_eq!((mode.as_str(), keys, synchronous), ("wal", 1, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn processes_that_start_at_once_migrate_once() {
        let dir = tempfile::tempdir().unwrap();
        let (url, aux) = (url(&dir), Handle::current());
        let opened = futures_util::future::join_all((0..6).map(|_| Db::open(&url, &aux))).await;
        for db in opened {
            let steps: i64 = sqlx::query_scalar("SELECT count(*) FROM doorward_schema").fetch_one(&db.unwrap().pool).await.unwrap();
            assert_eq!(steps, NEWEST);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_of_a_newer_doorward_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&url(&dir), &Handle::current()).await.unwrap();
        sqlx::query("INSERT INTO doorward_schema VALUES (99, 0)").execute(&db.pool).await.unwrap();
        let refused = Db::open(&url(&dir), &Handle::current()).await.unwrap_err();
        assert!(refused.problem.contains("newer Doorward") && refused.problem.contains("99"), "{refused}");
        assert_eq!(version(&db).await, 99);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_of_another_program_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("doorward.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let other = SqlitePool::connect_with(options).await.unwrap();
        sqlx::query("CREATE TABLE invoices (id INTEGER)").execute(&other).await.unwrap();
        let refused = Db::open(&url(&dir), &Handle::current()).await.unwrap_err();
        assert!(refused.problem.contains("another program"), "{refused}");
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&other).await.unwrap();
        assert_eq!(tables, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_step_that_fails_leaves_nothing_of_itself() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&url(&dir), &Handle::current()).await.unwrap();
        let steps = |last| [MIGRATIONS[0], MIGRATIONS[1], (3, last)];
        let broken = steps("CREATE TABLE half (id INTEGER); CREATE TABLE api_keys (id INTEGER);");
        assert!(matches!(migrate(&db.pool, &broken).await, Err(OpenFailure::Sql(_))));
        assert_eq!(version(&db).await, NEWEST);
        let half: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetch_one(&db.pool).await.unwrap();
        assert_eq!(half, 0);
        assert!(migrate(&db.pool, &steps("CREATE TABLE whole (id INTEGER)")).await.is_ok());
        assert_eq!(version(&db).await, 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_of_an_older_doorward_are_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("doorward.db");
        let old = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path).create_if_missing(true)).await.unwrap();
        migrate(&old, &MIGRATIONS[..1]).await.ok().unwrap();
        let key = "INSERT INTO api_keys (name, secret, next_secret, user_name, impersonate, paths, created, revoked)";
        for (name, revoked) in [("a", "NULL"), ("gone", "7")] {
            let sql = format!("{key} VALUES ('{name}', x'01', x'02', 'u', 1, '[\"/api/**\"]', 5, {revoked})");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&old).await.unwrap();
        }
        old.close().await;
        let db = Db::open(&url(&dir), &Handle::current()).await.unwrap();
        let key = db.key("a").await.unwrap().unwrap();
        assert_eq!((key.secret.unwrap().expose(), key.next_secret.unwrap().expose(), key.user.as_deref()), (&[1][..], &[2][..], Some("u")));
        assert!(key.impersonate && key.paths.len() == 1 && key.groups.is_empty() && key.expires.is_none());
        assert!(db.key("gone").await.unwrap().is_none());
        assert_eq!(db.list_keys().await.unwrap().iter().map(|key| (key.created, key.revoked)).collect::<Vec<_>>(), [(5, None), (5, Some(7))]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_opened_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let aux = Handle::current();
        let text = dir.path().join("notes.txt");
        std::fs::write(&text, "not a database, and long enough to have a header".repeat(20)).unwrap();
        let here = dir.path().display();
        for (url, expected) in [
            (format!("sqlite:{here}/none/doorward.db"), "does not exist"),
            (format!("sqlite:{here}"), "cannot be opened"),
            (format!("sqlite:{}", text.display()), "cannot be opened"),
            ("sqlite:".to_owned(), "no file"),
            ("sqlite::memory:".to_owned(), "no file"),
            ("sqlite:a.db?mode=memory".to_owned(), "options"),
            ("postgres://u:hunter2@db/x".to_owned(), "\"postgres\" is not supported"),
            ("doorward.db".to_owned(), "not supported"),
        ] {
            let error = Db::open(&url, &aux).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
