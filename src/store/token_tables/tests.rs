//! Tables in SQLite, as the packages make them.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::*;
use crate::types::{HumanDuration, Report};

struct Fixture {
    writer: SqlitePool,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new(schema: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(dir.path().join("app.db")).create_if_missing(true);
        let writer = SqlitePool::connect_with(options).await.unwrap();
        sqlx::raw_sql("CREATE TABLE auth_user (id integer PRIMARY KEY, username varchar(150), is_active bool, email varchar(254))")
            .execute(&writer)
            .await
            .unwrap();
        sqlx::raw_sql("INSERT INTO auth_user VALUES (1, 'alice', 1, 'a@x.example'), (2, 'eve', 0, '')").execute(&writer).await.unwrap();
        sqlx::raw_sql(schema).execute(&writer).await.unwrap();
        Self { writer, dir }
    }

    async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.writer).await.unwrap();
    }

    fn table(&self, more: &str, max_age: u64) -> TokenTable {
        let text = format!("url = 'sqlite:{}'\n{more}", self.dir.path().join("app.db").display());
        let table = toml::from_str::<Settings>(&text).unwrap().table(&mut Report::default()).unwrap();
        let age = HumanDuration::from_secs(max_age);
        let cache = CacheSettings { max_age: age, negative_max_age: age, ..CacheSettings::default() };
        let mapping = Mapping { user: vec!["username".to_owned()], email: "email".to_owned(), groups: "groups".to_owned() };
        TokenTable::new(&[1; 32], &table, mapping, &cache, &Handle::current(), &Arc::default())
    }
}

const TOOLKIT_2: &str = "CREATE TABLE oauth2_provider_application (id integer PRIMARY KEY, client_id varchar(100));
    CREATE TABLE oauth2_provider_accesstoken (id integer PRIMARY KEY, token varchar(255) UNIQUE, expires datetime, scope text, application_id bigint, user_id integer);
    INSERT INTO oauth2_provider_application VALUES (5, 'app-1');
    INSERT INTO oauth2_provider_accesstoken VALUES (1, 'tok-a', '2099-01-01 00:00:00', 'read write', 5, 1), (2, 'tok-e', '2099-01-01 00:00:00', '', 5, 2),
        (3, 'tok-none', '2099-01-01 00:00:00', '', 5, NULL), (4, 'tok-gone', '2099-01-01 00:00:00', '', 5, 99), (5, 'tok-odd', 'never', '', 5, 1),
        (6, 'tok-null', NULL, '', 5, 1);";

async fn user(table: &TokenTable, token: &str) -> Option<String> {
    table.find(token).await.unwrap().map(|subject| subject.user.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_active_user_is_known_and_no_other() {
    let f = Fixture::new(TOOLKIT_2).await;
    let table = f.table("preset = 'django-oauth-toolkit'\nemail_column = 'email'", 0);
    let subject = table.find("tok-a").await.unwrap().unwrap();
    assert_eq!((subject.user.as_str(), subject.email.as_deref(), subject.expires), ("alice", Some("a@x.example"), Some(4_070_908_800)));
    assert_eq!((&subject.scopes, subject.claims["client_id"].as_str()), (&vec!["read".to_owned(), "write".to_owned()], Some("app-1")));
    for token in ["tok-e", "tok-gone", "tok-x", "TOK-A", "tok-a ", "", "'", "' OR '1'='1", "%", "tok-_", "tok-a\0"] {
        assert_eq!(user(&table, token).await, None, "{token:?}");
    }
    // A token that no user stands behind has no user's name; damaged rows are no answer.
    assert_eq!(user(&table, "tok-none").await.as_deref(), Some(""));
    for token in ["tok-odd", "tok-null"] {
        let error = table.find(token).await.unwrap_err().to_string();
        assert!(error.contains("expires") && !error.contains(token), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_used_as_soon_as_the_table_has_them() {
    let f = Fixture::new(TOOLKIT_2).await;
    let table = f.table("preset = 'django-oauth-toolkit'", 0);
    assert_eq!(user(&table, "tok-a").await.as_deref(), Some("alice"));
    f.run("ALTER TABLE oauth2_provider_accesstoken ADD COLUMN token_checksum varchar(64);").await;
    // Known without a checksum for a while; both ways find the token, as long as there are both columns.
    assert_eq!(user(&table, "tok-a").await.as_deref(), Some("alice"));
    let anew = f.table("preset = 'django-oauth-toolkit'", 0);
    assert_eq!(user(&anew, "tok-a").await, None);
    f.run("UPDATE oauth2_provider_accesstoken SET token_checksum = '9a0e6b6fbe6e3b9b0b7d9e6a0d6d7c7a' WHERE id = 2").await;
    let hash = statement::TokenForm::Sha256Hex.of("tok-a");
    sqlx::query("UPDATE oauth2_provider_accesstoken SET token_checksum = ? WHERE id = 1").bind(&hash).execute(&f.writer).await.unwrap();
    assert_eq!(user(&anew, "tok-a").await.as_deref(), Some("alice"));
    assert_eq!(user(&anew, &hash).await, None, "who reads the table cannot use what stands there");
    // And back: the statement fails once, then the table is looked at again.
    f.run("ALTER TABLE oauth2_provider_accesstoken DROP COLUMN token_checksum").await;
    assert!(anew.find("tok-a").await.is_err());
    assert_eq!(user(&anew, "tok-a").await.as_deref(), Some("alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_compares_without_case_lets_no_other_spelling_in() {
    let f = Fixture::new(
        "CREATE TABLE authtoken_token (key varchar(40) COLLATE NOCASE, user_id integer); INSERT INTO authtoken_token VALUES ('AbC1', 1);
        CREATE TABLE two (key varchar(40) COLLATE NOCASE, u text); INSERT INTO two VALUES ('AbC1', 'alice'), ('aBc1', 'bob'), ('77', 'carol');",
    )
    .await;
    let table = f.table("preset = 'drf-authtoken'", 0);
    assert_eq!(user(&table, "AbC1").await.as_deref(), Some("alice"));
    for token in ["abc1", "ABC1", "aBc1"] {
        assert_eq!(user(&table, token).await, None, "{token}");
    }
    let seen = f.table("query = 'SELECT key AS token, u AS user_name FROM two WHERE key = ?'", 0);
    assert_eq!((user(&seen, "AbC1").await.as_deref(), user(&seen, "aBc1").await.as_deref()), (Some("alice"), Some("bob")));
    assert_eq!(user(&seen, "ABC1").await, None);
    // Without the column it cannot be seen what was found.
    let blind = f.table("query = 'SELECT u AS user_name FROM two WHERE key = ? AND u = ''alice'''".replace("''alice''", "\"alice\"").as_str(), 0);
    let error = blind.find("abc1").await.unwrap_err().to_string();
    assert!(error.contains("whatever their case"), "{error}");
    let digits = f.table("query = 'SELECT u AS user_name FROM two WHERE key = ?'", 0);
    assert_eq!(user(&digits, "77").await.as_deref(), Some("carol"));
    assert!(digits.find("AbC1").await.unwrap_err().to_string().contains("more than one row"));
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_bits_and_groups_are_read() {
    let f = Fixture::new("CREATE TABLE oauth2_client (id integer PRIMARY KEY, client_id text); INSERT INTO oauth2_client VALUES (9, 'c-9');
        CREATE TABLE oauth2_accesstoken (id integer PRIMARY KEY, user_id integer, token varchar(255), client_id integer, expires datetime, scope integer);
        INSERT INTO oauth2_accesstoken VALUES (1, 1, 't2', 9, '2099-01-01 00:00:00.5', 2), (2, 1, 't6', 9, '2099-01-01 00:00:00', 6);
        CREATE TABLE auth_group (id integer PRIMARY KEY, name text); INSERT INTO auth_group VALUES (1, 'staff'), (2, 'a \"b\", c'), (3, 'others');
        CREATE TABLE auth_user_groups (id integer PRIMARY KEY, user_id integer, group_id integer); INSERT INTO auth_user_groups VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3);").await;
    let table = f.table("preset = 'django-oauth2-provider'\ngroups = true", 0);
    let subject = table.find("t2").await.unwrap().unwrap();
    assert_eq!((subject.scopes.join(" "), subject.claims["client_id"].as_str()), ("read".to_owned(), Some("c-9")));
    let mut groups = subject.groups.clone();
    groups.sort();
    assert_eq!(groups, ["a \"b\", c", "staff"]);
    assert_eq!(table.find("t6").await.unwrap().unwrap().scopes, ["read", "write"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_ones_own_reads_and_never_writes() {
    let f = Fixture::new("CREATE TABLE t (h text, u text, e integer, c text); CREATE TABLE log (x text)").await;
    let hash = statement::TokenForm::Sha256Hex.of("tok-q");
    sqlx::query("INSERT INTO t VALUES (?, 'dora', 4000000000, '{\"tenant\":\"acme\"}')").bind(&hash).execute(&f.writer).await.unwrap();
    let table = f.table("query = 'SELECT u AS user_name, e AS expires, c AS claims FROM t WHERE h = ?'\ntoken_form = 'sha256-hex'", 0);
    let subject = table.find("tok-q").await.unwrap().unwrap();
    assert_eq!((subject.user.as_str(), subject.claims["tenant"].as_str(), subject.expires), ("dora", Some("acme"), Some(4_000_000_000)));
    let writing = f.table("query = 'WITH x AS (SELECT ?) INSERT INTO log SELECT * FROM x RETURNING x AS user_name'", 0);
    let error = writing.find("tok-q").await.unwrap_err().to_string();
    assert!(error.contains("readonly") && !error.contains("tok-q"), "{error}");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM log").fetch_one(&f.writer).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_no_answer_and_is_found_once_it_is() {
    let f = Fixture::new(TOOLKIT_2).await;
    let (here, away) = (f.dir.path().join("app.db"), f.dir.path().join("away.db"));
    std::fs::rename(&here, &away).unwrap();
    let table = f.table("preset = 'django-oauth-toolkit'", 0);
    assert!(table.find("tok-a").await.is_err());
    assert!(!here.exists(), "nothing is created");
    std::fs::write(&here, "not a database, and long enough to be looked at as one").unwrap();
    assert!(table.find("tok-a").await.is_err());
    assert_eq!(table.status().failures_total, 2);
    std::fs::remove_file(&here).unwrap();
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(user(&table, "tok-a").await.as_deref(), Some("alice"));
    assert_eq!(table.status().ok, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_asked_again() {
    let f = Fixture::new(TOOLKIT_2).await;
    let table = f.table("preset = 'django-oauth-toolkit'", 60);
    assert_eq!((user(&table, "tok-a").await.as_deref(), user(&table, "tok-new").await), (Some("alice"), None));
    f.run("DELETE FROM oauth2_provider_accesstoken; INSERT INTO oauth2_provider_accesstoken VALUES (1, 'tok-new', '2099-01-01 00:00:00', '', 5, 1)")
        .await;
    assert_eq!((user(&table, "tok-a").await.as_deref(), user(&table, "tok-new").await), (Some("alice"), None));
}
