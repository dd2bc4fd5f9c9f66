//! API keys: what they say of their holder, how long they live, and how they come from elsewhere.

use serde_json::Value;

use crate::support::client::Call;
use crate::support::databases::{Database, Kind};
use crate::support::fost::Fost;
use crate::support::gateway::Gateway;
use crate::support::query_hmac;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, now, s3, within};

const SECRET: &str = "a secret of more than sixteen bytes";

/// The three schemes with a shared key, each below a path of its own, and paths that ask for a group or a scope.
fn setup(upstream: &Upstream) -> Setup {
    let setup = Setup::new(&upstream.url())
        .section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")
        .section("identity.headers", "\"X-Forwarded-Groups\" = \"groups\"")
        .rest("[auth.fost.fost]\n[auth.query.query-hmac]\n[auth.s3.s3-v2]");
    ["staff", "admin"]
        .iter()
        .fold(setup, |setup, group| {
            setup
                .rest(&format!(
                    "[[route]]\npath = \"/group/{group}/**\"\naccept = [\"fost\", \"query\", \"s3\"]\n[route.require]\ngroups = [\"{group}\"]"
                ))
                .rest(&format!(
                    "[[route]]\npath = \"/scope/{group}/**\"\naccept = [\"fost\", \"query\", \"s3\"]\n[route.require]\nscopes = [\"{group}\"]"
                ))
        })
        .route("/**", &["fost", "query", "s3"])
}

/// A GET signed with a key, in each of the three ways.
fn signed(gate: &Gateway, scheme: &str, key: &str, secret: &str, path: &str) -> Call {
    match scheme {
        "fost" => gate.get(path).headers(&Fost::new().key(key, secret).sign("GET", path, b"")),
        "query" => gate.get(&query_hmac::sign(key, secret, path, &query_hmac::timestamp(0), b"")),
        "s3" => gate.get(path).headers(&s3::S3::new().key(key, secret).sign("GET", path, None)),
        other => panic!("no scheme {other}"),
    }
}

const SCHEMES: [&str; 3] = ["fost", "query", "s3"];

async fn status(call: Call) -> u16 {
    call.send().await.status.as_u16()
}

/// What is answered to who is refused by a scheme.
fn refused(scheme: &str) -> u16 {
    if scheme == "query" { 403 } else { 401 }
}

fn add(setup: &Setup, arguments: &[&str]) -> String {
    let answer = setup.cli_ok(&[&["key", "add", "--json"], arguments].concat(), "");
    serde_json::from_str::<Value>(&answer).unwrap()["secret"].as_str().unwrap_or_default().to_owned()
}

fn listed(setup: &Setup, name: &str) -> Value {
    let all: Value = serde_json::from_str(&setup.cli_ok(&["key", "list", "--json"], "")).unwrap();
    all.as_array().unwrap().iter().find(|key| key["name"] == name).cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn groups_and_scopes_of_a_key_open_the_routes_that_ask_for_them() {
    let upstream = Upstream::echo();
    let mut setup = setup(&upstream).file("secrets/k.key", SECRET);
    for (name, kind) in [("fost", "fost"), ("query", "query-hmac"), ("s3", "s3-v2")] {
        setup = setup.rest(&format!(
            "[auth.{name}.{kind}.keys.configured]\nsecret_file = \"secrets/k.key\"\nuser = \"carl\"\ngroups = [\"staff\", \"other\"]\nscopes = [\"staff\"]"
        ));
    }
    let stored = add(&setup, &["stored", "--user", "carl", "--group", "staff", "--group", "other", "--scope", "staff"]);
    let plain = add(&setup, &["plain"]);
    let gate = setup.start().await;
    for scheme in SCHEMES {
        for (key, secret) in [("configured", SECRET), ("stored", &stored)] {
            for (path, expected) in [("/group/staff/x", 200), ("/group/admin/x", 403), ("/scope/staff/x", 200), ("/scope/admin/x", 403)] {
                assert_eq!(status(signed(&gate, scheme, key, secret, path)).await, expected, "{scheme} {key} {path}");
            }
            let seen = upstream.take();
            assert!(seen.iter().all(|seen| seen.user() == Some("carl") && seen.one("x-forwarded-groups") == "staff,other"), "{seen:?}");
        }
        assert_eq!(status(signed(&gate, scheme, "plain", &plain, "/group/staff/x")).await, 403, "{scheme}");
        assert_eq!(status(signed(&gate, scheme, "plain", &plain, "/x")).await, 200, "{scheme}");
        assert!(!upstream.only().has("x-forwarded-groups"));
    }
}

#[tokio::test]
async fn another_user_for_whom_a_key_acts_has_its_scopes_and_none_of_its_groups() {
    let upstream = Upstream::echo();
    let setup = setup(&upstream);
    let secret = add(&setup, &["acting", "--impersonate", "--group", "staff", "--scope", "staff"]);
    let gate = setup.start().await;
    for (path, expected) in [("/group/staff/x", 403), ("/scope/staff/x", 200)] {
        let headers = Fost::new().key("acting", &secret).user("bob").sign("GET", path, b"");
        assert_eq!(status(gate.get(path).headers(&headers)).await, expected, "{path}");
    }
    assert_eq!(upstream.only().user(), Some("bob"));
}

fn cause(line: &Value) -> &str {
    line["cause"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_key_is_good_in_its_time_alone_and_only_its_holder_learns_of_it() {
    let upstream = Upstream::echo();
    let setup = setup(&upstream);
    let good = add(&setup, &["good", "--not-before", "2020-01-01", "--expires", "2100-01-01"]);
    let early = add(&setup, &["early", "--not-before", "2100-01-01"]);
    let brief = add(&setup, &["brief", "--ttl", "2s"]);
    let until = now() + 2;
    let gate = setup.start().await;
    for scheme in SCHEMES {
        assert_eq!(status(signed(&gate, scheme, "good", &good, "/x")).await, 200, "{scheme}");
        assert_eq!(status(signed(&gate, scheme, "early", &early, "/x")).await, refused(scheme), "{scheme}");
        within("the key's end", async {
            while status(signed(&gate, scheme, "brief", &brief, "/x")).await == 200 {
                breathe().await;
            }
        })
        .await;
        assert!(now() >= until, "it ended before its time");
        let line = gate.access_line("the refusal", |line| cause(line).contains("has expired") && line["scheme"] == scheme).await;
        assert!(!line.to_string().contains(&brief));
    }
    gate.access_line("the refusal", |line| cause(line).contains("not valid yet")).await;
    // With a wrong signature, nobody learns that the key has ended.
    assert_eq!(status(signed(&gate, "fost", "brief", "another secret", "/wrong")).await, 401);
    let line = gate.access_line("the refusal", |line| line["path"] == "/wrong").await;
    assert!(cause(&line).contains("does not match"), "{line}");
}

#[tokio::test]
async fn a_key_signs_with_its_algorithms_alone_and_a_public_key_is_never_a_secret() {
    let upstream = Upstream::echo();
    let setup = setup(&upstream).file("partner.pem", ED25519);
    let one = add(&setup, &["one", "--algorithm", "hmac-sha1"]);
    let other = add(&setup, &["other", "--algorithm", "hmac-sha256", "--algorithm", "hmac-sha512"]);
    let pem = setup.path("partner.pem").display().to_string();
    add(&setup, &["public", "--public-key-file", &pem]);
    let gate = setup.start().await;
    for (scheme, first, second) in [("fost", 200, 401), ("s3", 200, 401), ("query", 403, 200)] {
        assert_eq!(status(signed(&gate, scheme, "one", &one, "/x")).await, first, "{scheme}");
        assert_eq!(status(signed(&gate, scheme, "other", &other, "/x")).await, second, "{scheme}");
        for secret in [ED25519, ED25519.trim_end(), "", "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="] {
            assert_eq!(status(signed(&gate, scheme, "public", secret, "/x")).await, refused(scheme), "{scheme}");
        }
    }
}

const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";

#[tokio::test]
async fn a_disabled_key_is_refused_until_it_is_enabled_while_the_gate_runs() {
    let upstream = Upstream::echo();
    let setup = setup(&upstream);
    let secret = add(&setup, &["k"]);
    let gate = setup.start().await;
    for (command, expected) in [("disable", 401), ("enable", 200), ("disable", 401), ("enable", 200), ("revoke", 401)] {
        gate.setup.cli_ok(&["key", command, "k"], "");
        assert_eq!(status(signed(&gate, "fost", "k", &secret, "/x")).await, expected, "{command}");
    }
    assert!(!gate.setup.cli(&["key", "enable", "k"], "").status.success(), "revoked is for ever");
}

#[tokio::test]
async fn a_change_of_a_key_is_seen_at_once_by_a_gate_that_would_remember_it_for_an_hour() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let setup = setup(&upstream).section("store", &format!("url = {:?}", database.url));
        let gate = setup.section("cache", "max_age = \"1h\"\nnegative_max_age = \"1h\"").start().await;
        assert_eq!(status(signed(&gate, "fost", "k", "anything", "/x")).await, 401, "there is none yet, and that is remembered");
        let secret = add(&gate.setup, &["k"]);
        for (command, expected) in [("", 200), ("disable", 401), ("enable", 200), ("revoke", 401)] {
            if !command.is_empty() {
                gate.setup.cli_ok(&["key", command, "k"], "");
            }
            within(command, async {
                while status(signed(&gate, "fost", "k", &secret, "/x")).await != expected {
                    breathe().await;
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn when_a_key_was_last_used_is_written_after_a_while_and_only_for_good_signatures() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let setup = setup(&upstream).section("store", &format!("url = {:?}", database.url));
        let (used, unused) = (add(&setup, &["used"]), add(&setup, &["unused"]));
        let gate = setup.start().await;
        assert_eq!(status(signed(&gate, "fost", "unused", "another secret", "/x")).await, 401);
        assert_eq!(status(signed(&gate, "fost", "used", &used, "/x")).await, 200);
        within("the time to be written", async {
            while listed(&gate.setup, "used")["last_used"].is_null() {
                breathe().await;
            }
        })
        .await;
        let at = listed(&gate.setup, "used")["last_used"].as_str().unwrap().to_owned();
        let at = time::OffsetDateTime::parse(&at, &time::format_description::well_known::Rfc3339).unwrap().unix_timestamp();
        assert!((now() - 120..=now()).contains(&at), "{kind:?}: {at}");
        assert!(listed(&gate.setup, "unused")["last_used"].is_null());
        assert_eq!(status(signed(&gate, "fost", "unused", &unused, "/x")).await, 200);
    }
}

#[tokio::test]
async fn keys_of_kong_sign_requests_here_after_their_import() {
    let upstream = Upstream::echo();
    let yaml = format!(
        "_format_version: \"3.0\"\nconsumers:\n- username: alex\n  acls:\n  - group: staff\n  hmacauth_credentials:\n  - username: alex-key\n    secret: {SECRET}\n"
    );
    let setup = setup(&upstream).file("kong.yaml", &yaml);
    let file = setup.path("kong.yaml").display().to_string();
    let said = setup.cli_ok(&["key", "import", "--from", "kong", &file, "--dry-run"], "");
    assert!(said.contains("1 taken, 0 left; nothing was changed") && listed(&setup, "alex-key").is_null(), "{said}");
    let said = setup.cli_ok(&["key", "import", "--from", "kong", "-"], &yaml);
    assert!(said.contains("1 taken, 0 left") && !said.contains(SECRET), "{said}");
    let gate = setup.start().await;
    for scheme in SCHEMES {
        assert_eq!(status(signed(&gate, scheme, "alex-key", SECRET, "/group/staff/x")).await, 200, "{scheme}");
        assert_eq!(upstream.only().user(), Some("alex"));
    }
}

/// The tables as Django 1.8 makes them for dj-api-auth 0.7.
fn django(kind: Kind) -> String {
    let (id, truth, quote) = match kind {
        Kind::Sqlite => ("integer NOT NULL PRIMARY KEY AUTOINCREMENT", "bool", '"'),
        Kind::Postgres => ("serial NOT NULL PRIMARY KEY", "boolean", '"'),
        Kind::Mysql => ("integer AUTO_INCREMENT NOT NULL PRIMARY KEY", "bool", '`'),
    };
    let (yes, no) = if kind == Kind::Postgres { ("true", "false") } else { ("1", "0") };
    let text = format!(
        "CREATE TABLE 'auth_user' ('id' {id}, 'username' varchar(30) NOT NULL UNIQUE, 'is_active' {truth} NOT NULL);
         CREATE TABLE 'djapiauth_apientrypoint' ('id' {id}, 'name' varchar(100) NOT NULL UNIQUE, 'pattern' varchar(300) NOT NULL);
         CREATE TABLE 'djapiauth_apikeys' ('id' {id}, 'apikey' varchar(50) NOT NULL UNIQUE, 'seckey' varchar(50) NOT NULL, 'note' varchar(80) NULL,
             'apitree' text NOT NULL, 'user_id' integer NULL REFERENCES 'auth_user' ('id'));
         CREATE TABLE 'djapiauth_apikeys_apis' ('id' {id}, 'apikeys_id' integer NOT NULL, 'apientrypoint_id' integer NOT NULL)"
    );
    let tables = text.replace('\'', &quote.to_string());
    format!(
        "{tables};
         INSERT INTO auth_user (id, username, is_active) VALUES (1, 'alice', {yes}), (2, 'eve', {no});
         INSERT INTO djapiauth_apientrypoint (id, name, pattern) VALUES (1, '^hello/$', ''), (2, '^api/ ^v1/ ^users/$', ''), (3, '^item/(?P<id>[0-9]+)/$', '');
         INSERT INTO djapiauth_apikeys (id, apikey, seckey, apitree, user_id) VALUES (1, '483a570a', '{secret}', '', 1), (2, 'nobody', '{secret}', '', NULL),
             (3, 'inactive', '{secret}', '', 2), (4, 'nothing', '{secret}', '', 1), (5, 'unsaid', '{secret}', '', 1);
         INSERT INTO djapiauth_apikeys_apis (apikeys_id, apientrypoint_id) VALUES (1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (5, 3)",
        secret = query_hmac::SECRET,
    )
}

#[tokio::test]
async fn keys_of_dj_api_auth_may_call_what_they_might_there_and_no_more() {
    for kind in Kind::ALL {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        database.run(&django(kind)).await;
        let setup = setup(&upstream);
        let said = setup.cli_ok(&["key", "import", "--from", "dj-api-auth", &database.url], "");
        assert!(said.contains("2 taken, 3 left") && !said.contains(query_hmac::SECRET), "{kind:?}: {said}");
        for (name, why) in [("483a570a", "[0-9]+"), ("inactive", "eve is not active"), ("nothing", "no entry point"), ("unsaid", "cannot be said")] {
            assert!(said.lines().any(|line| line.starts_with(name) && line.contains(why)), "{kind:?} {name}: {said}");
        }
        let gate = setup.start().await;
        for (key, path, expected) in [
            (query_hmac::KEY, "/hello/", 200),
            (query_hmac::KEY, "/api/v1/users/", 200),
            (query_hmac::KEY, "/item/7/", 403),
            (query_hmac::KEY, "/hello", 403),
            (query_hmac::KEY, "/hello/x", 403),
            ("nobody", "/hello/", 200),
            ("nobody", "/api/v1/users/", 403),
            ("nothing", "/hello/", 403),
            ("inactive", "/hello/", 403),
        ] {
            assert_eq!(status(signed(&gate, "query", key, query_hmac::SECRET, path)).await, expected, "{kind:?} {key} {path}");
        }
        let users: Vec<_> = upstream.take().iter().map(|seen| seen.user().unwrap().to_owned()).collect();
        assert_eq!(users, ["alice", "alice", "apikey:nobody"]);
        assert_eq!(database.number("SELECT count(*) FROM djapiauth_apikeys").await, 5);
    }
}

#[tokio::test]
async fn a_django_database_that_cannot_be_read_is_named_without_its_password() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let setup = setup(&upstream).file("wrong.key", "hunter2");
        let wrong = setup.path("wrong.key").display().to_string();
        let bare = database.url_with(|url| url.set_password(None).unwrap());
        for arguments in [&[database.url.as_str()][..], &[bare.as_str(), "--password-file", &wrong]] {
            let refused = setup.cli(&[&["key", "import", "--from", "dj-api-auth"], arguments].concat(), "");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && said.contains("tables of dj-api-auth cannot be read"), "{kind:?}: {said}");
            assert!(!said.contains("hunter2") && !said.contains(&database.password()), "{said}");
        }
        // Nothing was made there.
        database.run("CREATE TABLE api_keys (id INTEGER)").await;
    }
}
