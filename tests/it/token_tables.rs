//! Opaque tokens in the SQL tables of other programs, the same on SQLite, PostgreSQL and MariaDB.

use crate::support::client::BOTH;
use crate::support::databases::{Database, Kind, authority};
use crate::support::django::{self, sha256};
use crate::support::gateway::Gateway;
use crate::support::relay::{Relay, Way};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, now, within};

struct Place {
    gate: Gateway,
    upstream: Upstream,
    database: Database,
}

const FAR: &str = "2099-01-01 00:00:00.5";
const PAST: &str = "2020-01-01 00:00:00";

/// A gate whose scheme `table` reads `sql`; a route that asks for nothing, one for writers, one for staff.
fn setup(upstream: &Upstream, url: &str, sql: &str, more: &str, cache: &str) -> Setup {
    Setup::new(&upstream.url())
        .section("cache", cache)
        .rest(&format!("[auth.table.token]\nsource = \"sql\"\n{more}\n[auth.table.token.sql]\nurl = {url:?}\n{sql}"))
        .public("/public/**")
        .route("/w/**", &["table"])
        .rest("[route.require]\nscopes = [\"write\"]")
        .route("/staff/**", &["table"])
        .rest("[route.require]\ngroups = [\"staff\"]")
        .route("/c/**", &["table"])
        .rest("[route.require]\nclaims = { tenant = [\"acme\"], client_id = [\"app\"] }")
        .route("/t/**", &["table"])
}

const REMEMBER_NOTHING: &str = "max_age = \"0s\"\nnegative_max_age = \"0s\"";

async fn place(database: Database, sql: &str, more: &str) -> Place {
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &database.url, sql, more, REMEMBER_NOTHING).start().await;
    Place { gate, upstream, database }
}

impl Place {
    /// The answer over both protocols, and whom the application was told.
    async fn at(&self, target: &str, authorization: &str) -> (u16, Option<String>) {
        let mut outcomes = Vec::new();
        for proto in BOTH {
            let status = self.gate.get(target).proto(proto).header("Authorization", authorization).send().await.status.as_u16();
            outcomes.push((status, self.upstream.take().first().and_then(|seen| seen.user().map(str::to_owned))));
        }
        assert_eq!(outcomes[0], outcomes[1], "{target} {authorization}");
        outcomes.remove(0)
    }

    async fn bearer(&self, token: &str) -> (u16, Option<String>) {
        self.at("/t/x", &format!("Bearer {token}")).await
    }
}

/// Whether that was the answer, and that the user.
#[track_caller]
fn is(said: (u16, Option<String>), status: u16, user: Option<&str>, what: &str) {
    assert_eq!((said.0, said.1.as_deref()), (status, user), "{what}");
}

#[tokio::test]
async fn tokens_of_django_oauth_toolkit_are_read_with_and_without_checksums() {
    for kind in Kind::ALL {
        for checksums in [true, false] {
            let database = Database::fresh(kind).await;
            django::users(&database).await;
            django::toolkit(&database, checksums).await;
            let edge = time::OffsetDateTime::from_unix_timestamp(now() - 1).unwrap();
            let edge = format!("{} {:02}:{:02}:{:02}", edge.date(), edge.hour(), edge.minute(), edge.second());
            for (token, expires, user) in [
                ("Tok-Good", FAR, "1"),
                ("tok-eve", FAR, "2"),
                ("tok-past", PAST, "1"),
                ("tok-edge", edge.as_str(), "1"),
                ("tok-gone", FAR, "99"),
                ("tok-client", FAR, "NULL"),
            ] {
                django::toolkit_token(&database, checksums, token, expires, user).await;
            }
            let place = place(database, "preset = \"django-oauth-toolkit\"\ngroups = true\nemail_column = \"email\"", "").await;
            let what = format!("{kind:?}, checksums {checksums}");
            is(place.bearer("Tok-Good").await, 200, Some("alice"), &what);
            for target in ["/w/x", "/staff/x"] {
                is(place.at(target, "Bearer Tok-Good").await, 200, Some("alice"), &what);
            }
            let hash = sha256("Tok-Good");
            for token in
                ["tok-eve", "tok-past", "tok-edge", "tok-gone", "tok-client", "unknown", "tok-good", "TOK-GOOD", &hash, "'OR'1'='1", "%", "Tok-Goo_"]
            {
                is(place.bearer(token).await, 401, None, &format!("{what}: {token}"));
            }
        }
    }
}

#[tokio::test]
async fn a_token_without_a_user_may_stand_for_its_client_where_that_is_said() {
    let database = Database::fresh(Kind::Sqlite).await;
    django::users(&database).await;
    django::toolkit(&database, true).await;
    for (token, user) in [("machine", "NULL"), ("gone", "99"), ("eve", "2"), ("alice", "1")] {
        django::toolkit_token(&database, true, token, FAR, user).await;
    }
    let place = place(database, "preset = \"django-oauth-toolkit\"", "user_claim = [\"username\", \"client_id\"]").await;
    is(place.bearer("machine").await, 200, Some("app-7"), "no user at all");
    is(place.bearer("alice").await, 200, Some("alice"), "a user");
    for token in ["gone", "eve"] {
        is(place.bearer(token).await, 401, None, token);
    }
}

#[tokio::test]
async fn tokens_of_django_oauth2_provider_are_read_with_their_scope_bits() {
    for kind in Kind::ALL {
        let database = Database::fresh(kind).await;
        django::users(&database).await;
        django::oauth2_provider(&database).await;
        // Sent without a word, as tutorials over it do.
        let place = place(database, "preset = \"django-oauth2-provider\"", "prefix = \"\"").await;
        for (token, target, status) in [
            ("t-read", "/t/x", 200),
            ("t-read", "/w/x", 403),
            ("t-write", "/w/x", 200),
            ("t-both", "/w/x", 200),
            ("t-old", "/t/x", 401),
            ("t-eve", "/t/x", 401),
            ("T-READ", "/t/x", 401),
            ("t-none", "/t/x", 401),
            ("Bearer t-read", "/t/x", 401),
        ] {
            is(place.at(target, token).await, status, (status == 200).then_some("alice"), &format!("{kind:?} {token}"));
        }
    }
}

#[tokio::test]
async fn keys_of_django_rest_framework_are_read_behind_the_word_token() {
    for kind in Kind::ALL {
        let database = Database::fresh(kind).await;
        django::users(&database).await;
        django::authtoken(&database).await;
        let place = place(database, "preset = \"drf-authtoken\"\ngroups = true", "").await;
        for (authorization, target, status) in [
            ("Token Key-of-Alice", "/t/x", 200),
            ("token Key-of-Alice", "/staff/x", 200),
            ("Bearer Key-of-Alice", "/t/x", 401),
            ("Token key-of-alice", "/t/x", 401),
            ("Token Key-of-Eve", "/t/x", 401),
            ("Token Key-of-Nobody", "/t/x", 401),
        ] {
            is(place.at(target, authorization).await, status, (status == 200).then_some("alice"), &format!("{kind:?} {authorization}"));
        }
        let asked = place.gate.get("/t/x").send().await;
        assert_eq!((asked.status.as_u16(), asked.header("www-authenticate")), (401, "Token realm=\"doorward\""));
    }
}

/// A table of one's own with every column that there can be, in the types that are natural to each database.
async fn own_table(kind: Kind) -> Database {
    let database = Database::fresh(kind).await;
    let (moment, json) = match kind {
        Kind::Sqlite => ("text", "text"),
        Kind::Postgres => ("timestamp with time zone", "jsonb"),
        Kind::Mysql => ("timestamp NULL", "json"),
    };
    let at = |text: &str| django::moment(kind, text);
    database
        .run(&format!(
            "CREATE TABLE api_tokens (digest varchar(64), plain varchar(80), who varchar(80), until {moment}, epoch bigint, scopes text, app text, more {json});
            INSERT INTO api_tokens VALUES ('{}', 'Own-1', 'dora', {far}, 4000000000, 'read write', 'app', '{{\"tenant\": \"acme\", \"username\": \"root\"}}'),
                ('{}', 'own-2', 'dora', {past}, 1, '', NULL, NULL), ('{}', 'own-3', 'dora', NULL, NULL, NULL, NULL, NULL),
                ('{}', 'own-4', NULL, {far}, 4000000000, '', 'app', '{{\"username\": \"root\"}}')",
            sha256("Own-1"),
            sha256("own-2"),
            sha256("own-3"),
            sha256("own-4"),
            far = at("2037-01-01 00:00:00"),
            past = at(PAST),
        ))
        .await;
    database
}

#[tokio::test]
async fn a_query_of_ones_own_reads_any_table() {
    for kind in Kind::ALL {
        let place_of_token = if kind == Kind::Postgres { "$1" } else { "?" };
        for (columns, token_form, key) in [
            ("until AS expires", "sha256-hex", "digest"),
            ("epoch AS expires", "sha256-hex", "digest"),
            ("until AS expires, plain AS token", "plain", "plain"),
        ] {
            let query = format!(
                "SELECT who AS user_name, {columns}, scopes AS scope, app AS client_id, more AS claims FROM api_tokens WHERE {key} = {place_of_token}"
            );
            let place = place(own_table(kind).await, &format!("query = \"{query}\"\ntoken_form = \"{token_form}\""), "").await;
            let what = format!("{kind:?}: {query}");
            for target in ["/t/x", "/w/x", "/c/x"] {
                is(place.at(target, "Bearer Own-1").await, 200, Some("dora"), &what);
            }
            is(place.bearer("own-3").await, 200, Some("dora"), &format!("without an expiry: {what}"));
            is(place.at("/w/x", "Bearer own-3").await, 403, None, &what);
            let digest = sha256("Own-1");
            for token in ["own-2", "own-4", "own-5", "OWN-1", "own-1", "oWn-3", &digest, "'", "\"", "\\", "Own-1'--", "?", "$1", "$$", "%s", ":token"]
            {
                is(place.bearer(token).await, 401, None, &format!("{token}: {what}"));
            }
        }
    }
}

#[tokio::test]
async fn a_table_that_compares_without_case_is_not_asked_blindly() {
    for kind in [Kind::Sqlite, Kind::Mysql] {
        let database = Database::fresh(kind).await;
        let collation = if kind == Kind::Sqlite { "COLLATE NOCASE" } else { "" };
        database.run(&format!("CREATE TABLE t (k varchar(40) {collation}, u varchar(40)); INSERT INTO t VALUES ('Key', 'alice')")).await;
        let upstream = Upstream::echo();
        let gate = setup(&upstream, &database.url, "query = \"SELECT u AS user_name FROM t WHERE k = ?\"", "", REMEMBER_NOTHING).start().await;
        for token in ["Key", "key", "KEY"] {
            assert_eq!(gate.get("/t/x").bearer(token).send().await.status, 503, "{kind:?} {token}");
        }
        assert_eq!(gate.get("/t/x").bearer("other").send().await.status, 401);
        assert_eq!(upstream.count(), 0);
        gate.said("let the query also return the column as token").await;
        // The other way out: a comparison that minds the case.
        let exact = if kind == Kind::Sqlite { "k = ? COLLATE BINARY" } else { "k = ? AND BINARY k = ?" };
        let place = place(database, &format!("query = \"SELECT u AS user_name FROM t WHERE {exact}\""), "").await;
        is(place.bearer("Key").await, 200, Some("alice"), "the same");
        is(place.bearer("key").await, 401, None, "another case");
    }
}

#[tokio::test]
async fn rows_that_make_no_sense_are_503_and_let_nobody_in() {
    for kind in Kind::ALL {
        let database = Database::fresh(kind).await;
        database
            .run("CREATE TABLE t (k varchar(40), u varchar(40), e varchar(40), c varchar(80)); INSERT INTO t VALUES ('no-time', 'alice', 'soon', NULL), \
                  ('no-json', 'alice', NULL, 'x'), ('list', 'alice', NULL, '[1]'), ('twice', 'alice', NULL, '{\"a\":1,\"a\":2}'), ('two', 'alice', NULL, NULL), ('two', 'bob', NULL, NULL)")
            .await;
        let place_of_token = if kind == Kind::Postgres { "$1" } else { "?" };
        let query = format!("SELECT k AS token, u AS user_name, e AS expires, c AS claims FROM t WHERE k = {place_of_token}");
        let place = place(database, &format!("query = \"{query}\""), "").await;
        for token in ["no-time", "no-json", "list", "twice", "two"] {
            is(place.bearer(token).await, 503, None, &format!("{kind:?} {token}"));
        }
        is(place.bearer("none").await, 401, None, "none");
    }
}

#[tokio::test]
async fn no_query_writes_whatever_it_says() {
    for kind in Kind::ALL {
        let database = Database::fresh(kind).await;
        let (prepare, query) = match kind {
            Kind::Sqlite => ("CREATE TABLE log (x text)", "WITH a AS (SELECT ? AS x) INSERT INTO log SELECT x FROM a RETURNING x AS user_name"),
            Kind::Postgres => ("CREATE TABLE log (x text)", "WITH a AS (INSERT INTO log VALUES ($1) RETURNING x) SELECT x AS user_name FROM a"),
            Kind::Mysql => (
                "CREATE TABLE log (x text); CREATE FUNCTION note(x text) RETURNS text NOT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (x); RETURN x; END",
                "SELECT note(?) AS user_name",
            ),
        };
        database.run(prepare).await;
        let place = place(database, &format!("query = \"{query}\""), "").await;
        is(place.bearer("mallory-4711").await, 503, None, &format!("{kind:?}"));
        let refusal = match kind {
            Kind::Sqlite => "readonly database",
            Kind::Postgres => "read-only transaction",
            Kind::Mysql => "READ ONLY transaction",
        };
        place.gate.said(refusal).await;
        assert_eq!(place.database.number("SELECT count(*) FROM log").await, 0);
        assert!(!place.gate.output().contains("mallory-4711"));
    }
}

#[tokio::test]
async fn a_database_that_is_down_slow_or_back_is_503_for_so_long_and_no_longer() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::users(&database).await;
        django::authtoken(&database).await;
        let relay = Relay::to(database.address(), Way::Cut);
        let sql = "preset = \"drf-authtoken\"";
        let gate = setup(&upstream, &database.url_through(&relay), sql, "", "max_age = \"1s\"\nnegative_max_age = \"0s\"").start().await;
        let status = || async { gate.get("/t/x").header("Authorization", "Token Key-of-Alice").send().await.status.as_u16() };
        let until = |wanted: u16| {
            within("the database's state being known", async move {
                while status().await != wanted {
                    breathe().await
                }
            })
        };
        assert_eq!(status().await, 503);
        assert_eq!(gate.get("/public/x").send().await.status, 200);
        relay.set(Way::Open);
        until(200).await;
        relay.set(Way::Cut);
        until(503).await;
        relay.set(Way::Silent);
        assert_eq!(status().await, 503);
        relay.set(Way::Open);
        until(200).await;
        // Taken away while it is remembered.
        database.run("DELETE FROM authtoken_token").await;
        until(401).await;
        // A table that is gone is no "unknown token".
        database.run("DROP TABLE authtoken_token").await;
        until(503).await;
    }
}

#[tokio::test]
async fn a_connection_is_encrypted_and_verified_and_its_password_comes_from_a_file() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = Database::fresh(kind).await;
        django::users(&database).await;
        django::authtoken(&database).await;
        let (mode, file) = if kind == Kind::Postgres { ("sslmode=verify-full", "sslrootcert") } else { ("ssl-mode=VERIFY_IDENTITY", "ssl-ca") };
        for (host, ca, status) in [("localhost", authority(), 200), ("127.0.0.1", authority(), 503), ("localhost", "own".to_owned(), 503)] {
            let upstream = Upstream::echo();
            let url = |ca: &str| {
                database.url_with(|url| {
                    url.set_host(Some(host)).unwrap();
                    url.set_password(None).unwrap();
                    url.set_query(Some(&format!("{mode}&{file}={ca}")));
                })
            };
            let setup = self::setup(&upstream, "PLACE", "password_file = \"secrets/db\"\npreset = \"drf-authtoken\"", "", REMEMBER_NOTHING);
            let other = setup.path("certs/server.crt");
            let ca = if ca == "own" { other.display().to_string() } else { ca };
            let text = setup.file("secrets/db", &format!("{}\n", database.password()));
            let gate = text.replace("PLACE", &url(&ca)).start().await;
            let said = gate.get("/t/x").header("Authorization", "Token Key-of-Alice").send().await;
            assert_eq!(said.status, status, "{kind:?} {host} {ca}");
            assert!(!gate.output().contains(&database.password()));
        }
    }
}

#[tokio::test]
async fn many_who_bear_one_token_cause_one_question_and_what_is_known_is_not_asked_again() {
    let database = Database::fresh(Kind::Sqlite).await;
    django::users(&database).await;
    django::authtoken(&database).await;
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &database.url, "preset = \"drf-authtoken\"", "", "max_age = \"1h\"").start().await;
    let status = || async { gate.get("/t/x").header("Authorization", "Token Key-of-Alice").send().await.status.as_u16() };
    let all = futures_util::future::join_all((0..30).map(|_| status())).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
    let metrics = gate.admin("/metrics").send().await.text();
    let count = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("doorward_cache_{name}_total{{cache=\"tokens\"}}"))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(count("hits") + count("misses") >= 30.0, "{metrics}");
    database.run("DELETE FROM authtoken_token").await;
    assert_eq!(status().await, 200, "for an hour, as the configuration says");
}
