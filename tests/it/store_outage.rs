//! A database that is down, slow, back, new, or not to be trusted.

use std::process::Stdio;

use crate::support::client::Call;
use crate::support::databases::{Database, Kind, authority};
use crate::support::fost::Fost;
use crate::support::gateway::Gateway;
use crate::support::relay::{Relay, Way};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, within};

const SERVERS: [Kind; 2] = [Kind::Postgres, Kind::Mysql];

/// Keys in the configuration and in the store at `url`, tokens in the store, and a public route.
fn setup(upstream: &Upstream, url: &str) -> Setup {
    Setup::new(&upstream.url())
        .section("store", &format!("url = {url:?}"))
        .section("cache", "negative_max_age = \"0s\"")
        .file("secrets/known.key", "a secret of more than sixteen bytes")
        .rest("[auth.partners.fost]\n[auth.partners.fost.keys.known]\nsecret_file = \"secrets/known.key\"\n[auth.tokens.token]\nsource = \"store\"")
        .public("/public/**")
        .route("/fost/**", &["partners"])
        .route("/token/**", &["tokens"])
}

/// Adds a key to the store and gives its secret.
fn add(setup: &Setup, name: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(&setup.cli_ok(&["key", "add", name, "--json"], "")).unwrap();
    answer["secret"].as_str().unwrap().to_owned()
}

fn signed(gate: &Gateway, key: &str, secret: &str) -> Call {
    gate.get("/fost/x").headers(&Fost::new().key(key, secret).sign("GET", "/fost/x", b""))
}

async fn status(call: Call) -> u16 {
    call.send().await.status.as_u16()
}

/// What is decided without the store goes on.
async fn assert_rest_goes_on(gate: &Gateway) {
    assert_eq!(status(gate.get("/public/x")).await, 200);
    assert_eq!(status(signed(gate, "known", "a secret of more than sixteen bytes")).await, 200);
    assert_eq!(status(gate.get("/fost/x")).await, 401);
}

/// Waits until `call` is answered otherwise than by 503.
async fn recovered(what: &str, call: impl Fn() -> Call) -> u16 {
    within(what, async {
        loop {
            match status(call()).await {
                503 => breathe().await,
                other => return other,
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_database_that_is_down_at_start_stops_only_what_needs_it_and_is_found_when_it_comes() {
    for kind in SERVERS {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let direct = setup(&upstream, &database.url);
        let secret = add(&direct, "stored");
        let relay = Relay::to(database.address(), Way::Cut);
        let gate = setup(&upstream, &database.url_through(&relay)).start().await;
        assert_rest_goes_on(&gate).await;
        for _ in 0..3 {
            assert_eq!(status(signed(&gate, "stored", &secret)).await, 503);
            assert_eq!(status(signed(&gate, "nobody", &secret)).await, 503, "nobody knows whether there is such a key");
            assert_eq!(status(gate.get("/token/x").bearer("dw_0123456789")).await, 503);
        }
        gate.said("the store does not answer").await;
        relay.set(Way::Open);
        assert_eq!(recovered("the database", || signed(&gate, "stored", &secret)).await, 200);
        assert_eq!(status(signed(&gate, "nobody", &secret)).await, 401);
        assert_eq!(status(gate.get("/token/x").bearer("dw_0123456789")).await, 401);
        gate.said("the store answers again").await;
        assert!(!gate.output().contains(&database.password()), "{kind:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_empty_and_down_at_start_gets_its_tables_when_it_comes() {
    for kind in SERVERS {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let relay = Relay::to(database.address(), Way::Cut);
        let gate = setup(&upstream, &database.url_through(&relay)).start().await;
        assert_eq!(status(signed(&gate, "nobody", "x")).await, 503);
        relay.set(Way::Open);
        assert_eq!(recovered("the database", || signed(&gate, "nobody", "x")).await, 401);
        let secret = add(&setup(&upstream, &database.url), "stored");
        assert_eq!(status(signed(&gate, "stored", &secret)).await, 200);
    }
}

#[tokio::test]
async fn a_database_that_goes_down_under_way_is_asked_again_when_it_is_back_and_what_is_known_goes_on() {
    for kind in SERVERS {
        for way in [Way::Cut, Way::Silent] {
            let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
            let (relay, direct) = (Relay::to(database.address(), Way::Open), setup(&upstream, &database.url));
            let (known, other) = (add(&direct, "stored"), add(&direct, "other"));
            let gate = setup(&upstream, &database.url_through(&relay)).start().await;
            assert_eq!(status(signed(&gate, "stored", &known)).await, 200);
            relay.set(way);
            assert_eq!(status(signed(&gate, "other", &other)).await, 503, "{kind:?} {way:?}");
            assert_eq!(status(signed(&gate, "stored", &known)).await, 200, "it is remembered");
            assert_eq!(status(signed(&gate, "stored", "another secret")).await, 401);
            assert_eq!(status(signed(&gate, "nobody", &other)).await, 503);
            assert_rest_goes_on(&gate).await;
            relay.set(Way::Open);
            assert_eq!(recovered("the database", || signed(&gate, "other", &other)).await, 200, "{kind:?} {way:?}");
            assert_eq!(status(signed(&gate, "nobody", &other)).await, 401);
            assert!(!gate.output().contains(&database.password()));
        }
    }
}

#[tokio::test]
async fn tables_that_were_dropped_are_made_again_without_a_restart() {
    for kind in SERVERS {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let setup = setup(&upstream, &database.url);
        let secret = add(&setup, "stored");
        let gate = setup.start().await;
        assert_eq!(status(signed(&gate, "nobody", &secret)).await, 401);
        database.run("DROP TABLE api_keys; DROP TABLE tokens; DROP TABLE users; DROP TABLE doorward_changes; DROP TABLE doorward_schema").await;
        assert_eq!(recovered("the tables", || signed(&gate, "stored", &secret)).await, 401);
    }
}

#[test]
fn ten_processes_that_start_at_once_on_an_empty_database_make_its_tables_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for kind in Kind::ALL {
        let (upstream, database) = (runtime.block_on(async { Upstream::echo() }), runtime.block_on(Database::fresh(kind)));
        let setup = setup(&upstream, &database.url);
        let config = setup.save();
        let started: Vec<_> = (0..10)
            .map(|number| {
                std::process::Command::new(env!("CARGO_BIN_EXE_doorward"))
                    .args(["key", "add", &format!("key{number}"), "--config"])
                    .arg(&config)
                    .current_dir(setup.dir.path())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for process in started {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{kind:?}: {output:?}");
        }
        assert_eq!(runtime.block_on(database.number("SELECT count(*) FROM api_keys")), 10);
        let steps = runtime.block_on(database.number("SELECT count(*) FROM doorward_schema"));
        assert_eq!(steps, if kind == Kind::Sqlite { 3 } else { 2 }, "{kind:?}");
    }
}

#[tokio::test]
async fn a_database_of_another_program_or_of_a_newer_doorward_is_refused_and_left_as_it_is() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        database.run("CREATE TABLE users (id INTEGER)").await;
        let setup = setup(&upstream, &database.url);
        for arguments in [&["key", "list"][..], &["run"]] {
            let refused = setup.cli(arguments, "");
            let text = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && text.contains("another program"), "{kind:?} {arguments:?}: {refused:?}");
        }
        assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
        database.run("DROP TABLE users").await;
        setup.cli_ok(&["key", "list"], "");
        database.run("INSERT INTO doorward_schema VALUES (99, 0)").await;
        let refused = setup.cli(&["key", "list"], "");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("newer Doorward"), "{kind:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_its_certificate_and_its_name() {
    let ca = authority();
    for kind in SERVERS {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        for (host, query, expected) in [
            ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), Ok(())),
            ("localhost", format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}"), Ok(())),
            ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), Ok(())),
            ("127.0.0.1", "sslmode=require".to_owned(), Ok(())),
            ("127.0.0.1", "sslmode=disable".to_owned(), Ok(())),
            ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), Err("ertificate")),
            ("localhost", "sslmode=verify-full".to_owned(), Err("ertificate")),
            ("127.0.0.1", "sslmode=verify-ca".to_owned(), Err("ertificate")),
        ] {
            let url = database.url_with(|url| {
                url.set_host(Some(host)).unwrap();
                url.set_query(Some(&query));
            });
            let output = setup(&upstream, &url).cli(&["key", "list"], "");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match expected {
                Ok(()) => assert!(output.status.success(), "{kind:?} {host} {query}: {said}"),
                Err(why) => assert!(!output.status.success() && said.contains(why), "{kind:?} {host} {query}: {said}"),
            }
            assert!(!said.contains(&database.password()), "{said}");
        }
    }
}

#[tokio::test]
async fn the_password_may_stand_in_a_file_is_read_again_and_is_never_told() {
    for kind in SERVERS {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let secret = add(&setup(&upstream, &database.url), "stored");
        let bare = database.url_with(|url| url.set_password(None).unwrap());
        let wrong = "a-wrong-password-0123456789";
        let setup = setup(&upstream, &bare).with("store", "password_file = \"secrets/database.key\"").file("secrets/database.key", wrong);
        let refused = setup.cli(&["key", "list"], "");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("cannot be opened") && !said.contains(wrong), "{said}");
        let gate = setup.env("RUST_LOG", "trace").start().await;
        assert_eq!(status(signed(&gate, "stored", &secret)).await, 503);
        gate.setup.write("secrets/database.key", &format!("{}\n", database.password()));
        assert_eq!(recovered("the new password", || signed(&gate, "stored", &secret)).await, 200);
        let output = gate.output();
        assert!(!output.contains(wrong) && !output.contains(&database.password()), "{kind:?}");
    }
}

#[tokio::test]
async fn checking_a_configuration_connects_to_no_database() {
    let upstream = Upstream::echo();
    let relay = Relay::to("127.0.0.1:1".parse().unwrap(), Way::Silent);
    for kind in ["postgres", "mysql"] {
        let setup = setup(&upstream, &format!("{kind}://someone:hunter2@127.0.0.1:{}/d", relay.address.port()));
        let said = setup.cli_ok(&["check"], "");
        assert!(!said.contains("hunter2"));
        for (line, expected) in [
            ("url = \"KIND://db.example.com/d\"", "store.url"),
            ("url = \"KIND://u:hunter2@db.example.com/d?sslmode=disable\"", "can read and change"),
            ("url = \"KIND://u:hunter2@db.example.com/d\"\npassword_env = \"HOME\"", "twice"),
            ("url = \"KIND://u@db.example.com/d\"\npassword_file = \"none\"", "store.password_file"),
            ("url = \"KIND://u@db.example.com/d\"\nmax_connections = 0", "store.max_connections"),
            ("url = \"KIND://u@db.example.com/d?sslmod=x\"", "sslmod"),
        ] {
            let output = setup_with(&upstream, &line.replace("KIND", kind)).cli(&["check"], "");
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(expected) && !said.contains("hunter2"), "{line}: {said}");
        }
    }
    assert_eq!(relay.accepted(), 0);
}

fn setup_with(upstream: &Upstream, store: &str) -> Setup {
    setup(upstream, "").section("store", store)
}

#[tokio::test]
async fn whoever_may_not_make_tables_may_serve_from_those_that_are_there() {
    let (upstream, database) = (Upstream::echo(), Database::fresh(Kind::Postgres).await);
    let secret = add(&setup(&upstream, &database.url), "stored");
    let role = format!("{}_r", url::Url::parse(&database.url).unwrap().path().trim_start_matches('/'));
    database.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let url = database.url_with(|url| {
        url.set_username(&role).unwrap();
        url.set_password(Some("reader")).unwrap();
    });
    let gate = setup(&upstream, &url).start().await;
    assert_eq!(status(signed(&gate, "stored", &secret)).await, 200);
    drop(gate);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
