//! Replicas that act as one: what is revoked through one of them ends in all, whatever happens to what they share.

use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::idp::{self, Key};
use crate::support::introspection::Introspection;
use crate::support::redis::Redis;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::world::{PASSWORD, claims_and};
use crate::support::{breathe, within};

const ADMIN_KEY: &str = "admin-key-0123456789abcdef0123456789abcdef";

/// Two replicas with one store, in which `bob` has a password and `tom` a token; facts are believed for an hour, so that
/// nothing but a push can end one within the time of a test.
struct Fleet {
    one: Gateway,
    two: Gateway,
    key: Key,
    token: String,
    upstream: Upstream,
}

/// A replica with four schemes, whose store is `store`.
fn replica(upstream: &Upstream, store: &str, cache: &str, key: &Key) -> Setup {
    Setup::new(&upstream.url())
        .section("store", &format!("url = \"{store}\""))
        .section("cache", &format!("max_age = \"1h\"\n{cache}"))
        .section("admin", "key_file = \"secrets/admin.key\"")
        .file("secrets/admin.key", ADMIN_KEY)
        .file("secrets/aspnet.key", fost::SECRET)
        .file("secrets/jwks.json", &idp::jwks(&[key]))
        .rest(&format!(
            "[auth.partners.fost]\n[auth.partners.fost.keys.{}]\nsecret_file = \"secrets/aspnet.key\"\n\
             [auth.corp.jwt]\nissuer = \"{}\"\njwks_file = \"secrets/jwks.json\"\naudience = [\"{}\"]\n\
             [auth.tokens.token]\nsource = \"store\"\n[auth.staff.basic]\nusers = \"store\"",
            fost::KEY,
            idp::ISSUER,
            idp::AUDIENCE
        ))
        .route("/**", &["partners", "corp", "tokens", "staff"])
}

impl Fleet {
    async fn start(redis: &Redis) -> Self {
        Self::with(&format!("shared = \"{}\"", redis.url())).await
    }

    async fn with(cache: &str) -> Self {
        let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
        let first = replica(&upstream, "sqlite:doorward.db", cache, &key);
        first.cli_ok(&["user", "add", "bob", "--password-stdin"], &format!("{PASSWORD}\n"));
        let issued: Value = serde_json::from_str(&first.cli_ok(&["token", "issue", "--user", "tom", "--json"], "")).unwrap();
        let store = format!("sqlite:{}", first.path("doorward.db").display());
        let two = replica(&upstream, &store, cache, &key).start().await;
        Self { one: first.start().await, two, key, token: issued["token"].as_str().unwrap().to_owned(), upstream }
    }

    /// One more replica.
    async fn another(&self, redis: &Redis) -> Gateway {
        let store = format!("sqlite:{}", self.one.setup.path("doorward.db").display());
        replica(&self.upstream, &store, &format!("shared = \"{}\"", redis.url()), &self.key).start().await
    }

    fn both(&self) -> [&Gateway; 2] {
        [&self.one, &self.two]
    }

    fn jwt(&self, user: &str, jti: &str) -> String {
        self.key.token(&claims_and(user, json!({ "jti": jti })))
    }
}

async fn status(call: Call) -> u16 {
    within("an answer", call.send()).await.status.as_u16()
}

async fn bearer(gate: &Gateway, token: &str) -> u16 {
    status(gate.get("/x").bearer(token)).await
}

async fn signed(gate: &Gateway) -> u16 {
    status(gate.get("/x").headers(&Fost::new().sign("GET", "/x", b""))).await
}

/// Waits until the answer is this.
async fn becomes<F: Future<Output = u16>>(wanted: u16, what: &str, ask: impl Fn() -> F) {
    within(what, async {
        while ask().await != wanted {
            breathe().await;
        }
    })
    .await;
}

async fn revoke(gate: &Gateway, body: &Value) -> Answer {
    let call = Call::plain(gate.admin.unwrap(), "POST", "/admin/revoke").header("Authorization", format!("Bearer {ADMIN_KEY}"));
    call.body(body.to_string()).send().await
}

#[tokio::test]
async fn a_token_that_is_revoked_by_the_command_line_ends_in_all_replicas() {
    let redis = Redis::start().await;
    let fleet = Fleet::start(&redis).await;
    for gate in fleet.both() {
        assert_eq!(bearer(gate, &fleet.token).await, 200);
    }
    let listed: Value = serde_json::from_str(&fleet.one.setup.cli_ok(&["token", "list", "--json"], "")).unwrap();
    let told = fleet.one.setup.cli_ok(&["token", "revoke", listed[0]["id"].as_str().unwrap()], "");
    assert!(!told.contains("not told"), "{told}");
    for gate in fleet.both() {
        becomes(401, "the end of the token", || bearer(gate, &fleet.token)).await;
    }
}

#[tokio::test]
async fn a_user_who_is_disabled_by_the_command_line_is_kept_out_everywhere_and_let_in_again() {
    let redis = Redis::start().await;
    let fleet = Fleet::start(&redis).await;
    let bob = |gate: &Gateway| status(gate.get("/x").basic("bob", PASSWORD));
    for gate in fleet.both() {
        assert_eq!(bob(gate).await, 200);
    }
    fleet.one.setup.cli_ok(&["user", "disable", "bob"], "");
    for gate in fleet.both() {
        becomes(401, "bob is out", || bob(gate)).await;
    }
    fleet.one.setup.cli_ok(&["user", "enable", "bob"], "");
    // That he was out is an absence, which is believed for five seconds and not a whole hour.
    for gate in fleet.both() {
        becomes(200, "bob is in", || bob(gate)).await;
    }
}

#[tokio::test]
async fn each_form_of_a_revocation_ends_what_it_names_in_all_replicas_and_nothing_else() {
    let redis = Redis::start().await;
    let fleet = Fleet::start(&redis).await;
    let (by_text, by_id, bystander) = (fleet.jwt("carol", "1"), fleet.jwt("carol", "2"), fleet.jwt("carol", "3"));
    for gate in fleet.both() {
        for token in [&by_text, &by_id, &bystander, &fleet.token] {
            assert_eq!(bearer(gate, token).await, 200);
        }
        assert_eq!(signed(gate).await, 200);
    }
    for (body, what) in [
        (json!({ "token": by_text }), "token"),
        (json!({ "jti": "2", "issuer": idp::ISSUER }), "token"),
        (json!({ "token": fleet.token }), "token"),
        (json!({ "key": fost::KEY }), "key"),
    ] {
        let answer = revoke(&fleet.one, &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["revoked"].as_str()), (200, Some(what)), "{body}");
        // At once where it was said.
        let refused = match what {
            "key" => signed(&fleet.one).await,
            _ if body["token"] == json!(fleet.token) => bearer(&fleet.one, &fleet.token).await,
            _ if body["jti"].is_string() => bearer(&fleet.one, &by_id).await,
            _ => bearer(&fleet.one, &by_text).await,
        };
        assert_eq!(refused, 401, "{body}");
    }
    for token in [&by_text, &by_id, &fleet.token] {
        becomes(401, "the end of the token", || bearer(&fleet.two, token)).await;
    }
    becomes(401, "the end of the key", || signed(&fleet.two)).await;
    for gate in fleet.both() {
        assert_eq!(bearer(gate, &bystander).await, 200);
        let output = gate.output();
        assert!(output.contains("revoked") || std::ptr::eq(gate, &raw const fleet.two));
        for secret in [by_text.as_str(), fleet.token.as_str(), ADMIN_KEY] {
            assert!(!output.contains(secret), "{output}");
        }
    }
    for word in ["carol", by_text.as_str(), fleet.token.as_str(), fost::KEY] {
        assert!(!redis.ask(&["ZRANGE", "doorward:{revocations}:list", "0", "-1"]).contains(word), "{word}");
    }
    // The store was told as well: it lasts.
    let listed: Value = serde_json::from_str(&fleet.one.setup.cli_ok(&["token", "list", "--json"], "")).unwrap();
    assert!(listed[0]["revoked"].is_string(), "{listed}");
}

#[tokio::test]
async fn all_tokens_of_a_user_end_that_were_given_out_before_and_later_ones_are_good() {
    let redis = Redis::start().await;
    let fleet = Fleet::start(&redis).await;
    let (tom, other) = (fleet.jwt("tom", "1"), fleet.jwt("carol", "1"));
    for gate in fleet.both() {
        for token in [&tom, &other, &fleet.token] {
            assert_eq!(bearer(gate, token).await, 200);
        }
    }
    assert_eq!(revoke(&fleet.two, &json!({ "user": "tom" })).await.status, 200);
    for gate in fleet.both() {
        for token in [&tom, &fleet.token] {
            becomes(401, "the end of tom's tokens", || bearer(gate, token)).await;
        }
        assert_eq!(bearer(gate, &other).await, 200);
    }
    let later = fleet.key.token(&claims_and("tom", json!({ "iat": crate::support::now() + 5 })));
    let issued: Value = serde_json::from_str(&fleet.one.setup.cli_ok(&["token", "issue", "--user", "tom", "--json"], "")).unwrap();
    for gate in fleet.both() {
        assert_eq!(bearer(gate, &later).await, 200);
        assert_eq!(bearer(gate, issued["token"].as_str().unwrap()).await, 200);
    }
}

#[tokio::test]
async fn a_lost_push_is_made_good_and_a_list_that_was_lost_is_given_back() {
    let mut redis = Redis::start().await;
    let fleet = Fleet::start(&redis).await;
    let (first, second) = (fleet.jwt("carol", "1"), fleet.jwt("carol", "2"));
    assert_eq!(bearer(&fleet.two, &first).await, 200);
    // Whoever listens is cut off, and nobody listens while the revocation is published.
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(revoke(&fleet.one, &json!({ "token": first })).await.status, 200);
    becomes(401, "the end of the token", || bearer(&fleet.two, &first)).await;

    // Written to the list, and never published at all.
    assert_eq!(bearer(&fleet.two, &second).await, 200);
    redis.kill();
    let answer = revoke(&fleet.one, &json!({ "token": second })).await;
    assert_eq!(answer.status, 503, "whoever revokes is told that not all were");
    assert_eq!(bearer(&fleet.one, &second).await, 401, "here it has ended");
    // A server without anything: neither what was revoked before, nor what could not be told.
    redis.restart().await;
    becomes(401, "the end of the token", || bearer(&fleet.two, &second)).await;
    redis.says(&["ZCARD", "doorward:{revocations}:list"], |count| count == "2").await;
    let third = fleet.another(&redis).await;
    for token in [&first, &second] {
        assert_eq!(bearer(&third, token).await, 401, "a replica that starts later knows as well");
    }
}

#[tokio::test]
async fn without_the_list_no_token_is_let_in_that_only_the_list_could_end() {
    let redis_url = {
        let redis = Redis::start().await;
        redis.url()
    };
    for (on_error, jwt) in [("deny", 503), ("local", 200)] {
        let fleet = Fleet::with(&format!("shared = \"{redis_url}\"\non_store_error = \"{on_error}\"")).await;
        assert_eq!(bearer(&fleet.one, &fleet.jwt("carol", "1")).await, jwt, "{on_error}");
        // What another source vouches for is let in.
        assert_eq!(bearer(&fleet.one, &fleet.token).await, 200, "{on_error}");
        assert_eq!(status(fleet.one.get("/x").basic("bob", PASSWORD)).await, 200, "{on_error}");
        assert_eq!(signed(&fleet.one).await, 200, "{on_error}");
        // A replica that revokes alone does what it can.
        assert_eq!(revoke(&fleet.one, &json!({ "token": fleet.token })).await.status, 503);
        assert_eq!(bearer(&fleet.one, &fleet.token).await, 401);
        let told = fleet.one.setup.cli_ok(&["user", "disable", "bob"], "");
        assert!(told.contains("disabled") && told.contains("not told"), "{told}");
    }
}

#[tokio::test]
async fn nobody_revokes_without_the_key() {
    let fleet = Fleet::with("").await;
    let admin = |method: &str| Call::plain(fleet.one.admin.unwrap(), method, "/admin/revoke").body(json!({ "user": "tom" }).to_string());
    for key in ["Bearer wrong", "Bearer ", "", &format!("Basic {ADMIN_KEY}"), &format!("Bearer {ADMIN_KEY}x")] {
        let answer = admin("POST").header("Authorization", key).send().await;
        assert_eq!(answer.status, 401, "{key}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    assert_eq!(admin("POST").send().await.status, 401);
    let twice = admin("POST").header("Authorization", format!("Bearer {ADMIN_KEY}")).header("Authorization", "Bearer x");
    assert_eq!(twice.send().await.status, 401);
    let with_key = |method: &str| admin(method).header("Authorization", format!("Bearer {ADMIN_KEY}"));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(with_key(method).send().await.status, 405, "{method}");
    }
    for body in ["", "{}", "{\"user\": \"a\", \"key\": \"b\"}", "user=tom"] {
        assert_eq!(with_key("POST").body(body).send().await.status, 400, "{body}");
    }
    assert_eq!(with_key("POST").body("x".repeat(100_000)).send().await.status, 413);
    assert_eq!(bearer(&fleet.one, &fleet.token).await, 200);
    // Alone as well, without anything shared.
    assert_eq!(with_key("POST").send().await.status, 200);
    assert_eq!(bearer(&fleet.one, &fleet.token).await, 401);
    // Through the gate there is no such path, and without a key there is none at all.
    assert_eq!(status(fleet.one.call("POST", "/admin/revoke").header("Authorization", format!("Bearer {ADMIN_KEY}"))).await, 401);
    let closed = replica(&fleet.upstream, "sqlite:doorward.db", "", &fleet.key).without("admin").start().await;
    assert_eq!(revoke(&closed, &json!({ "user": "tom" })).await.status, 404);
}

#[tokio::test]
async fn operators_are_told_how_each_source_has_fared() {
    let mut redis = Redis::start().await;
    let fleet = Fleet::start(&redis).await;
    let source = async |name: &str| -> Value {
        let answer = fleet.one.admin("/readyz?verbose").send().await;
        assert_eq!(answer.status, 200, "a source that is down makes nothing unready");
        let told = answer.json();
        assert_eq!(told["ready"], true);
        told["sources"].as_array().unwrap().iter().find(|source| source["name"] == name).unwrap_or_else(|| panic!("{told}")).clone()
    };
    assert_eq!(bearer(&fleet.one, &fleet.token).await, 200);
    let store = source("store").await;
    assert!(store["state"] == "ok" && store["age_seconds"].is_u64() && store["last_error"].is_null(), "{store}");
    let before = source("redis").await;
    assert!(before["state"] == "ok" && before["last_error"].is_null(), "{before}");
    redis.kill();
    within("the failure is told", async {
        while source("redis").await["state"] != "failing" {
            breathe().await;
        }
    })
    .await;
    let down = source("redis").await;
    assert!(down["last_error"].is_string() && down["failures_total"].as_u64().is_some_and(|count| count > 0), "{down}");
    let metrics = fleet.one.admin("/metrics").send().await.text();
    assert!(metrics.contains("doorward_source_up{source=\"redis\"} 0") && metrics.contains("doorward_source_up{source=\"store\"} 1"), "{metrics}");
    redis.restart().await;
    within("the recovery is told", async {
        while source("redis").await["state"] != "ok" {
            breathe().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_server_said_of_a_token_is_asked_for_once_and_a_revocation_ends_it_everywhere() {
    let mut redis = Redis::start().await;
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    let replica = async || {
        let cache = format!("max_age = \"1h\"\nshared = \"{}\"\nshared_secret_file = \"secrets/shared.key\"", redis.url());
        let scheme = format!(
            "[auth.remote.token]\nsource = \"introspection\"\nintrospection_url = \"{}\"\nclient_id = \"gate\"\nclient_secret_env = \"GATE_SECRET\"",
            server.url()
        );
        let setup = Setup::new(&upstream.url()).section("cache", &cache).section("admin", "key_file = \"secrets/admin.key\"").rest(&scheme);
        let setup = setup.file("secrets/shared.key", "0123456789abcdef0123456789abcdef").file("secrets/admin.key", ADMIN_KEY);
        setup.env("GATE_SECRET", "introspection-secret-7c1f").route("/**", &["remote"]).start().await
    };
    let (one, two) = (replica().await, replica().await);
    for token in ["tok-1", "tok-2", "tok-3"] {
        server.gives(token, "alice");
    }
    assert_eq!(bearer(&one, "tok-1").await, 200);
    redis.says(&["KEYS", "doorward:fact:*"], |keys| !keys.is_empty()).await;
    assert_eq!(bearer(&two, "tok-1").await, 200);
    assert_eq!(server.asked().len(), 1, "one replica asked for both");
    assert_eq!(upstream.take().iter().map(|seen| seen.user().unwrap().to_owned()).collect::<Vec<_>>(), ["alice", "alice"]);
    // The server goes on to say that it is good: the list ends it all the same.
    assert_eq!(revoke(&one, &json!({ "token": "tok-1" })).await.status, 200);
    for gate in [&one, &two] {
        becomes(401, "the end of the token", || bearer(gate, "tok-1")).await;
        assert_eq!(bearer(gate, "tok-2").await, 200);
    }
    server.asked();
    // Whatever is known of a user is asked for anew, everywhere: not even what another replica shared is believed.
    server.forgets("tok-2");
    assert_eq!(revoke(&two, &json!({ "user": "alice" })).await.status, 200);
    for gate in [&one, &two] {
        becomes(401, "the end of what is known", || bearer(gate, "tok-2")).await;
    }
    redis.kill();
    assert_eq!(bearer(&two, "tok-3").await, 200, "the server can be asked, and the list was read a moment ago");
}
