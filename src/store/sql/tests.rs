//! The file of SQLite: its permissions, its steps, and who else may have made it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio::runtime::Handle;

use super::migrate::sqlite::{STEPS, apply};
use super::migrate::{Failure, NEWEST};
use super::pool::Pool;
use super::*;

fn pool(db: &Db) -> &SqlitePool {
    match &db.link.pool {
        Pool::Sqlite(pool) => pool,
        Pool::Postgres(_) | Pool::Mysql(_) => panic!("another kind of database"),
    }
}

async fn version(db: &Db) -> i64 {
    sqlx::query_scalar("SELECT max(version) FROM doorward_schema").fetch_one(pool(db)).await.unwrap()
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
    assert!(!db.place().is_exposed());
    let again = Db::open(&url(&dir), &aux).await.unwrap();
    assert_eq!(version(&again).await, NEWEST);
    std::fs::set_permissions(dir.path().join("doorward.db"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(db.place().is_exposed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_in_wal_mode_with_foreign_keys() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&url(&dir), &Handle::current()).await.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool(&db)).await.unwrap();
    let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(pool(&db)).await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool(&db)).await.unwrap();
    assert_eq!((mode.as_str(), keys, synchronous), ("wal", 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_migrate_once() {
    let dir = tempfile::tempdir().unwrap();
    let (url, aux) = (url(&dir), Handle::current());
    let opened = futures_util::future::join_all((0..6).map(|_| Db::open(&url, &aux))).await;
    for db in opened {
        let steps: i64 = sqlx::query_scalar("SELECT count(*) FROM doorward_schema").fetch_one(pool(&db.unwrap())).await.unwrap();
        assert_eq!(steps, NEWEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_doorward_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&url(&dir), &Handle::current()).await.unwrap();
    sqlx::query("INSERT INTO doorward_schema VALUES (99, 0)").execute(pool(&db)).await.unwrap();
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
    let steps = |last| [STEPS[0], STEPS[1], STEPS[2], (NEWEST + 1, last)];
    let broken = steps("CREATE TABLE half (id INTEGER); CREATE TABLE api_keys (id INTEGER);");
    assert!(matches!(apply(pool(&db), &broken).await, Err(Failure::Sql(_))));
    assert_eq!(version(&db).await, NEWEST);
    let half: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetch_one(pool(&db)).await.unwrap();
    assert_eq!(half, 0);
    assert!(apply(pool(&db), &steps("CREATE TABLE whole (id INTEGER)")).await.is_ok());
    assert_eq!(version(&db).await, NEWEST + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_older_doorward_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("doorward.db");
    let old = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path).create_if_missing(true)).await.unwrap();
    apply(&old, &STEPS[..1]).await.ok().unwrap();
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
        ("oracle://u:hunter2@db/x".to_owned(), "\"oracle\" is not supported"),
        ("doorward.db".to_owned(), "not supported"),
    ] {
        let error = Db::open(&url, &aux).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
