//! Users of a Django project with their passwords, the same on SQLite, PostgreSQL and MariaDB.

use crate::support::client::{BOTH, Call};
use crate::support::databases::{Database, Kind, authority};
use crate::support::django;
use crate::support::gateway::Gateway;
use crate::support::relay::{Relay, Way};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, within};

const PASSWORD: &str = "pässwörd 1";
const REMEMBER_NOTHING: &str = "max_age = \"0s\"\nnegative_max_age = \"0s\"";
const PBKDF2: &str = "pbkdf2_sha256$600$Qk3vS0dJ1yZ2$46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=";
/// Of "another one", made by Django as those below.
const OTHER: &str = "pbkdf2_sha256$600$Qk3vS0dJ1yZ2$iY8x+332b+o68SEuUD9oUJNHbkibGZoZi4npKS0XPqU=";

/// Made by Django 5.2.19 with argon2-cffi 25.1.0 and bcrypt 5.0.0 of `PASSWORD`, some at less than the usual cost.
const USERS: [(&str, &str, bool); 12] = [
    ("Alice", PBKDF2, true),
    ("sha1", "pbkdf2_sha1$600$Qk3vS0dJ1yZ2$xyFt6XQW/LZSgINU/ADWHURowqA=", true),
    ("argon2", "argon2$argon2id$v=19$m=102400,t=2,p=8$UWszdlMwZEoxeVoyYWJjZGVmZ2hpag$w2kzpXXzDoCKsD8t5Gx2UcNQpa9Zm4YEiSIIur2kJ4o", true),
    ("bcrypt_sha256", "bcrypt_sha256$$2b$05$WV8aUYO6g0PYU8BbxU1geeltlxQrl9eANO8fKWSqXB2BpMaxxprVy", true),
    ("bcrypt", "bcrypt$$2b$05$y.8XpMUj2Q3FWgRde08eaOBUzq9a7/41T1VczcqaUCHsKdQ5H.o/a", true),
    (
        "scrypt",
        "scrypt$16384$Qk3vS0dJ1yZ2abcdefghij$8$5$5kDpw2atMAeVZDYspe23NProt0/DKLbJhq2LMzaqUerrVFufQ1XhaXeoscBa8Jy/bl/ro0yOI6YsCZxKa/kczA==",
        true,
    ),
    ("inactive", PBKDF2, false),
    ("unusable", "!hJ5qonMOZYJ0eEGFoszWLAqjreSM1kZ2wVFanQ5N", true),
    ("empty", "", true),
    ("weak", "md5$Qk3vS0dJ1yZ2$02e9a8241a99044f2337d1c346acfc82", true),
    ("costly", "pbkdf2_sha256$99999999$Qk3vS0dJ1yZ2$46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=", true),
    ("broken", "pbkdf2_sha256$600$Qk3vS0dJ1yZ2", true),
];

fn setup(upstream: &Upstream, url: &str, more: &str, cache: &str) -> Setup {
    Setup::new(&upstream.url())
        .section("cache", cache)
        .section("identity.headers", "\"X-Email\" = \"email\"")
        .rest(&format!("[auth.django.basic]\nusers = {:?}\n{more}", format!("django:{url}")))
        .public("/public/**")
        .route("/staff/**", &["django"])
        .rest("[route.require]\ngroups = [\"staff\"]")
        .route("/x/**", &["django"])
}

async fn status(gate: &Gateway, target: &str, user: &str, password: &str) -> u16 {
    let mut statuses = Vec::new();
    for proto in BOTH {
        statuses.push(gate.get(target).proto(proto).basic(user, password).send().await.status.as_u16());
    }
    assert_eq!(statuses[0], statuses[1], "{target} {user}");
    statuses[0]
}

async fn until(gate: &Gateway, user: &str, password: &str, wanted: u16) {
    within("the table's state being known", async {
        while gate.get("/x/y").basic(user, password).send().await.status != wanted {
            breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn users_with_every_hash_that_django_makes_come_in_with_their_password_alone() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::accounts(&database, &USERS).await;
        let gate = setup(&upstream, &database.url, "", REMEMBER_NOTHING).start().await;
        for (name, hash, _) in &USERS[..6] {
            assert_eq!(status(&gate, "/x/y", name, PASSWORD).await, 200, "{kind:?} {name}");
            assert!(upstream.take().iter().all(|seen| seen.user() == Some(*name) && !seen.has("x-email")), "{kind:?} {name}");
            for wrong in [&PASSWORD[1..], hash] {
                assert_eq!(status(&gate, "/x/y", name, wrong).await, 401, "{kind:?} {name} {wrong}");
            }
        }
        for name in ["inactive", "unusable", "empty", "weak", "nobody", "alice", "ALICE", "Alicé", "%", "' OR '1'='1"] {
            assert_eq!(status(&gate, "/x/y", name, PASSWORD).await, 401, "{kind:?} {name}");
        }
        assert_eq!(status(&gate, "/x/y", "unusable", USERS[7].1).await, 401);
        // What nobody can judge, and what would cost minutes, is neither right nor wrong.
        for name in ["costly", "broken"] {
            assert_eq!(status(&gate, "/x/y", name, PASSWORD).await, 503, "{kind:?} {name}");
            gate.said("the user's password hash cannot be used").await;
        }
        assert_eq!(upstream.count(), 6 * BOTH.len(), "{kind:?}");
        // One row that makes no sense is no outage.
        let metrics = gate.admin("/metrics").send().await.text();
        assert!(metrics.lines().any(|line| line.starts_with("doorward_source_up{source=\"django users ") && line.ends_with("} 1.0")), "{metrics}");
        assert!(!gate.output().contains("46tXpy") && !gate.output().contains(PASSWORD));
        if kind != Kind::Sqlite {
            assert!(!gate.output().contains(&database.password()));
        }
    }
}

#[tokio::test]
async fn groups_and_addresses_are_read_where_that_is_said() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::accounts(&database, &[USERS[0], ("bob", PBKDF2, true)]).await;
        let gate = setup(&upstream, &database.url, "django = { groups = true, email_column = \"email\" }", REMEMBER_NOTHING).start().await;
        assert_eq!(status(&gate, "/staff/y", "Alice", PASSWORD).await, 200, "{kind:?}");
        assert!(upstream.take().iter().all(|seen| seen.one("x-email") == "alice@x.example"));
        assert_eq!(status(&gate, "/staff/y", "bob", PASSWORD).await, 403, "{kind:?}");
        assert_eq!(status(&gate, "/x/y", "bob", PASSWORD).await, 200, "{kind:?}");
    }
}

#[tokio::test]
async fn a_user_table_of_ones_own_may_compare_without_case_and_doorward_does_not() {
    for kind in [Kind::Sqlite, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let collation = if kind == Kind::Sqlite { "COLLATE NOCASE" } else { "" };
        database
            .run(&format!(
                "CREATE TABLE shop_member (id integer, login varchar(80) {collation}, password varchar(128), is_active bool); \
                 INSERT INTO shop_member VALUES (1, 'Zoë', '{PBKDF2}', 1), (2, 'bob ', '{PBKDF2}', 1), (3, 'twice', '{PBKDF2}', 1), (4, 'twice', '{PBKDF2}', 1)"
            ))
            .await;
        let gate =
            setup(&upstream, &database.url, "django = { user_table = \"shop_member\", user_column = \"login\" }", REMEMBER_NOTHING).start().await;
        assert_eq!(status(&gate, "/x/y", "Zoë", PASSWORD).await, 200, "{kind:?}");
        for other in ["zoë", "ZOË", "Zoe", "zoe", "bob"] {
            assert_eq!(status(&gate, "/x/y", other, PASSWORD).await, 401, "{kind:?} {other}");
        }
        assert_eq!(status(&gate, "/x/y", "twice", PASSWORD).await, 503, "{kind:?}");
        gate.said("more than one row has this name").await;
    }
}

#[tokio::test]
async fn a_database_that_is_down_is_503_for_who_is_not_remembered_and_is_found_again() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::accounts(&database, &[USERS[0], ("bob", PBKDF2, true)]).await;
        let relay = Relay::to(database.address(), Way::Cut);
        let gate = setup(&upstream, &database.url_through(&relay), "", "max_age = \"1h\"\nnegative_max_age = \"0s\"").start().await;
        for proto in BOTH {
            let answer = gate.get("/x/y").proto(proto).basic("Alice", PASSWORD).send().await;
            assert!(answer.status == 503 && answer.headers.contains_key("retry-after"), "{kind:?}");
        }
        assert_eq!(gate.get("/public/x").send().await.status, 200);
        let ready = gate.admin("/readyz?verbose").send().await;
        assert!(ready.text().contains("django users "), "{}", ready.text());
        relay.set(Way::Open);
        until(&gate, "Alice", PASSWORD, 200).await;
        relay.set(Way::Cut);
        assert_eq!(status(&gate, "/x/y", "Alice", PASSWORD).await, 200, "remembered");
        assert_eq!(status(&gate, "/x/y", "bob", PASSWORD).await, 503, "not remembered");
        relay.set(Way::Silent);
        assert_eq!(gate.get("/x/y").basic("bob", PASSWORD).send().await.status, 503, "slow");
        relay.set(Way::Open);
        until(&gate, "bob", PASSWORD, 200).await;
        database.run("DROP TABLE auth_user").await;
        assert_eq!(gate.get("/x/y").basic("carol", PASSWORD).send().await.status, 503, "a table that is gone is no unknown user");
    }
}

#[tokio::test]
async fn what_changes_in_the_table_counts_within_the_age_of_what_is_remembered() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::accounts(&database, &[USERS[0], ("bob", PBKDF2, true)]).await;
        let gate = setup(&upstream, &database.url, "", "max_age = \"1s\"\nnegative_max_age = \"1s\"").start().await;
        for name in ["Alice", "bob"] {
            assert_eq!(status(&gate, "/x/y", name, PASSWORD).await, 200, "{kind:?}");
        }
        let no = if kind == Kind::Postgres { "false" } else { "0" };
        database
            .run(&format!(
                "UPDATE auth_user SET password = '{OTHER}' WHERE username = 'Alice'; UPDATE auth_user SET is_active = {no} WHERE username = 'bob'"
            ))
            .await;
        until(&gate, "Alice", PASSWORD, 401).await;
        until(&gate, "bob", PASSWORD, 401).await;
        until(&gate, "Alice", "another one", 200).await;
    }
}

#[tokio::test]
async fn what_is_remembered_of_a_user_who_was_revoked_is_asked_for_anew() {
    const KEY: &str = "admin-key-0123456789abcdef-0123456789abcdef";
    let (upstream, database) = (Upstream::echo(), Database::fresh(Kind::Sqlite).await);
    django::accounts(&database, &USERS[..1]).await;
    let setup = setup(&upstream, &database.url, "", "max_age = \"1h\"\nnegative_max_age = \"0s\"");
    let gate = setup.section("admin", "key_file = \"secrets/admin\"").file("secrets/admin", KEY).start().await;
    assert_eq!(status(&gate, "/x/y", "Alice", PASSWORD).await, 200);
    database.run(&format!("UPDATE auth_user SET password = '{OTHER}'")).await;
    assert_eq!(status(&gate, "/x/y", "Alice", PASSWORD).await, 200, "for an hour, as the configuration says");
    let call = Call::plain(gate.admin.unwrap(), "POST", "/admin/revoke").header("Authorization", format!("Bearer {KEY}"));
    assert_eq!(call.body("{\"user\": \"Alice\"}").send().await.status, 200);
    assert_eq!(status(&gate, "/x/y", "Alice", PASSWORD).await, 401);
    assert_eq!(status(&gate, "/x/y", "Alice", "another one").await, 200);
}

#[tokio::test]
async fn a_connection_is_encrypted_and_verified_and_its_password_comes_from_a_file() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = Database::fresh(kind).await;
        django::accounts(&database, &USERS[..1]).await;
        let (mode, file) = if kind == Kind::Postgres { ("sslmode=verify-full", "sslrootcert") } else { ("ssl-mode=VERIFY_IDENTITY", "ssl-ca") };
        for (host, expected) in [("localhost", 200), ("127.0.0.1", 503)] {
            let upstream = Upstream::echo();
            let url = database.url_with(|url| {
                url.set_host(Some(host)).unwrap();
                url.set_password(None).unwrap();
                url.set_query(Some(&format!("{mode}&{file}={}", authority())));
            });
            let setup = setup(&upstream, &url, "[auth.django.basic.django]\npassword_file = \"secrets/db\"", REMEMBER_NOTHING);
            let gate = setup.file("secrets/db", &format!("{}\n", database.password())).start().await;
            assert_eq!(status(&gate, "/x/y", "Alice", PASSWORD).await, expected, "{kind:?} {host}");
            assert!(!gate.output().contains(&database.password()));
        }
    }
}

#[tokio::test]
async fn a_database_that_hangs_keeps_no_user_of_the_store_waiting() {
    let (upstream, database) = (Upstream::echo(), Database::fresh(Kind::Postgres).await);
    let relay = Relay::to(database.address(), Way::Silent);
    let setup =
        setup(&upstream, &database.url_through(&relay), "", REMEMBER_NOTHING).rest("[auth.own.basic]\nusers = \"store\"").route("/own/**", &["own"]);
    setup.cli_ok(&["user", "add", "tom", "--password-stdin"], &format!("{PASSWORD}\n"));
    let gate = setup.start().await;
    let waiting = futures_util::future::join_all((0..200).map(|at| gate.get("/x/y").basic(&format!("user{at}"), PASSWORD).send()));
    let others = async {
        // As soon as all have asked.
        within("all questions", async {
            while misses(&gate).await < 200.0 {
                breathe().await
            }
        })
        .await;
        assert_eq!(gate.get("/own/y").basic("tom", PASSWORD).send().await.status, 200);
    };
    let (answers, ()) = tokio::join!(waiting, others);
    assert!(answers.iter().all(|answer| answer.status == 503));
}

/// How many passwords were not remembered.
async fn misses(gate: &Gateway) -> f64 {
    let metrics = gate.admin("/metrics").send().await.text();
    let line = metrics.lines().find(|line| line.starts_with("doorward_cache_misses_total{cache=\"passwords\"}")).unwrap_or("0");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
