//! Requests that an API key signs in their query: let in once, told in the words that the origin's clients know.

use crate::support::client::{Answer, BOTH, Call, Proto};
use crate::support::query_hmac::{KEY, SECRET, good, sign, timestamp};
use crate::support::world::World;

const WRONG: &str = r#"{"error":"signature error"}"#;
const NOT_ALLOWED: &str = r#"{"error":"entry point not allowed for the API key"}"#;
const DRIFT: &str = r#"{"error":"time drift > 300 sec"}"#;
const MISSING: &str = r#"{"error":"parameter missing"}"#;

async fn world() -> World {
    World::with(|setup| {
        setup
            .file("secrets/query.key", SECRET)
            .file("secrets/narrow.key", "narrow-secret-0123456789")
            .rest(&format!(
                "[auth.apikeys.query-hmac]\nmax_body = \"1MiB\"\n[auth.apikeys.query-hmac.keys.{KEY}]\nsecret_file = \"secrets/query.key\""
            ))
            .rest("[auth.apikeys.query-hmac.keys.narrow]\nsecret_file = \"secrets/narrow.key\"\nuser = \"webshop\"\npaths = [\"/q/only/**\"]")
            .route("/q/**", &["apikeys"])
            .route("/mixed/**", &["apikeys", "tokens"])
            .route("/kept/**", &["apikeys"])
    })
    .await
}

/// Refused, as the origin does it, and unseen by the application.
fn refused(world: &World, answer: &Answer, text: &str) {
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (403, text));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.headers.contains_key("www-authenticate"));
    assert!(world.upstream.take().is_empty());
}

async fn send(world: &World, method: &str, target: &str, body: &'static str, proto: Proto) -> Answer {
    world.call(method, target).body(body).proto(proto).send().await
}

#[tokio::test]
async fn a_signed_request_is_let_in_and_its_credential_stays_behind() {
    let world = world().await;
    for proto in BOTH {
        for (method, target, body, seen) in [
            ("GET", "/q/a", "", "/q/a"),
            ("GET", "/q/a?q=a+b&n=%C3%BC", "", "/q/a?q=a+b&n=%C3%BC"),
            ("HEAD", "/q/a", "", "/q/a"),
            ("POST", "/q/a?x=1", "{\"a\": 1}", "/q/a?x=1"),
            ("DELETE", "/q/caf%C3%A9", "", "/q/caf%C3%A9"),
        ] {
            let answer = send(&world, method, &good(target, body.as_bytes()), body, proto).await;
            assert_eq!(answer.status, 200, "{proto:?} {method} {target}: {}", answer.text());
            let request = world.upstream.only();
            assert_eq!((request.user(), request.target.as_str(), request.body.as_slice()), (Some("apikey:483a570a"), seen, body.as_bytes()));
        }
        let escaped = good("/q/a", b"").replace('+', "%2B").replace('/', "%2F").replace("%2Fq%2Fa", "/q/a");
        assert_eq!(send(&world, "GET", &escaped, "", proto).await.status, 200);
        assert_eq!(world.upstream.only().target, "/q/a");
    }
}

#[tokio::test]
async fn refusals_are_told_in_the_origins_words_and_order() {
    let world = world().await;
    let now = || timestamp(0);
    for proto in BOTH {
        for (method, target, text) in [
            ("GET", format!("/q/a?apikey={KEY}"), MISSING),
            ("GET", "/q/a?signature=x&timestamp=nan".to_owned(), MISSING),
            ("GET", format!("/q/a?apikey={KEY}&timestamp=1&signature="), MISSING),
            ("GET", sign("nobody", SECRET, "/q/a", &timestamp(-400), b""), DRIFT),
            ("GET", sign(KEY, SECRET, "/q/a", &timestamp(400), b""), DRIFT),
            ("GET", sign(KEY, SECRET, "/q/a", "nan", b""), DRIFT),
            ("GET", sign(KEY, SECRET, "/q/a", "inf", b""), DRIFT),
            ("GET", sign(KEY, SECRET, "/q/a", "1e999", b""), DRIFT),
            ("GET", sign("nobody", SECRET, "/q/a", &now(), b""), NOT_ALLOWED),
            ("GET", sign("narrow", "narrow-secret-0123456789", "/q/a", &now(), b""), NOT_ALLOWED),
            ("GET", sign(KEY, "another secret", "/q/a", &now(), b""), WRONG),
            ("GET", good("/q/a", b"") + "&admin=", WRONG),
            ("GET", good("/q/a", b"") + "&admin=1", WRONG),
            ("GET", good("/q/a", b"") + "&%73ignature=x", WRONG),
            ("GET", good("/q/a?x=1", b"").replace("x=1", "x=2"), WRONG),
            ("GET", good("/q/a?x=1%3By", b"").replace("%3B", ";"), WRONG),
            ("GET", good("/q/a", b"").replace("/q/a", "/q/b"), WRONG),
            ("POST", good("/q/a", b"body"), WRONG),
        ] {
            refused(&world, &send(&world, method, &target, "", proto).await, text);
        }
        let key = sign("narrow", "narrow-secret-0123456789", "/q/only/a", &now(), b"");
        assert_eq!(send(&world, "GET", &key, "", proto).await.status, 200);
        assert_eq!(world.upstream.only().user(), Some("webshop"));
        world.upstream.take();
    }
}

#[tokio::test]
async fn each_signature_is_good_once_under_any_method() {
    let world = world().await;
    for proto in BOTH {
        let target = good("/q/a", b"");
        assert_eq!(send(&world, "GET", &target, "", proto).await.status, 200);
        world.upstream.take();
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let answer = send(&world, method, &target, "", proto).await;
            assert_eq!(answer.status, 403, "{method}");
        }
        let spelt = target.replace("timestamp", "%74imestamp");
        assert_eq!(send(&world, "GET", &spelt, "", proto).await.status, 403);
        assert!(world.upstream.take().is_empty());
    }
}

#[tokio::test]
async fn of_many_at_once_with_one_signature_one_is_let_in() {
    let world = world().await;
    let target = good("/q/a", b"body");
    let calls = (0..10).map(|_| world.call("POST", &target).body("body").send());
    let statuses: Vec<u16> = futures_util::future::join_all(calls).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_body_is_verified_before_any_of_it_is_forwarded() {
    let world = world().await;
    for proto in BOTH {
        refused(&world, &send(&world, "POST", &good("/q/a", b"one body"), "another", proto).await, WRONG);
        refused(&world, &send(&world, "GET", &good("/q/a", b"body"), "body", proto).await, WRONG);
        let long = vec![b'x'; (1 << 20) + 1];
        let answer = world.call("POST", &good("/q/a", &long)).body(long).proto(proto).send().await;
        assert_eq!(answer.status, 413);
        assert!(world.upstream.take().is_empty());
    }
}

#[tokio::test]
async fn beside_another_credential_a_parameter_of_its_name_is_the_applications() {
    let world = world().await;
    let call = |target: &str| -> Call { world.get(target) };
    for proto in BOTH {
        let answer = call("/mixed/a?apikey=mine").bearer(&world.token).proto(proto).send().await;
        assert_eq!(answer.status, 200);
        let seen = world.upstream.only();
        assert_eq!((seen.user(), seen.target.as_str()), (Some("tom"), "/mixed/a?apikey=mine"));
        world.upstream.take();
        refused(&world, &call("/mixed/a?apikey=mine").proto(proto).send().await, MISSING);
        let forged = sign(KEY, "another secret", "/mixed/a", &timestamp(0), b"");
        refused(&world, &call(&forged).bearer(&world.token).proto(proto).send().await, WRONG);
        assert_eq!(call("/mixed/a").proto(proto).send().await.status, 401);
    }
}

#[tokio::test]
async fn keys_of_the_store_sign_like_those_of_the_configuration() {
    let world = world().await;
    let add = world.setup.cli_ok(&["key", "add", "stored", "--json"], "");
    let secret = serde_json::from_str::<serde_json::Value>(&add).unwrap()["secret"].as_str().unwrap().to_owned();
    world.setup.write("stored.key", &secret);
    let file = world.setup.path("stored.key");
    let sign = ["sign", "--scheme", "query-hmac", "--key", "stored", "--secret-file", file.to_str().unwrap(), "GET", "https://h/q/a?x=1"];
    let output = crate::support::setup::doorward(&sign, "", world.setup.dir.path(), &[]);
    let url = String::from_utf8(output.stdout).unwrap();
    let answer = world.get(url.trim().strip_prefix("https://h").unwrap()).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.upstream.only().user(), Some("apikey:stored"));
}
