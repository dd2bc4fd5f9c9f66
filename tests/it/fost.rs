//! Requests and URLs signed with a shared key: exactly what was signed is let in, for exactly as long.

use crate::support::client::{BOTH, Call, Proto};
use crate::support::fost::{Fost, KEY, SECRET, mac, timestamp};
use crate::support::now;
use crate::support::setup::HOST;
use crate::support::world::World;

fn signed(world: &World, fost: &Fost, method: &str, target: &str, body: &'static str) -> Call {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let payload = if body.is_empty() { query } else { body };
    world.call(method, target).headers(&fost.sign(method, path, payload.as_bytes())).body(body)
}

async fn status(call: Call) -> u16 {
    call.send().await.status.as_u16()
}

/// A second key that may not act for others and may call two paths alone.
async fn world() -> World {
    World::with(|setup| {
        setup
            .file("secrets/plain.key", "plain-secret-0123456789abcdef")
            .file("secrets/next.key", "next-secret-0123456789abcdef")
            .rest("[auth.partners.fost.keys.plain]\nsecret_file = \"secrets/plain.key\"\npaths = [\"/fost/only/**\"]\nnext_secret_file = \"secrets/next.key\"")
            .rest("[auth.loose.fost]\nallow_unsigned_query = true\nrequire_expiry = false\n[auth.loose.fost.keys.aspnet]\nsecret_file = \"secrets/aspnet.key\"")
            .route("/loose/**", &["loose"])
    })
    .await
}

#[tokio::test]
async fn a_signed_request_is_let_in_as_the_user_of_its_key() {
    let world = world().await;
    for proto in BOTH {
        for (method, target, body) in [
            ("GET", "/fost/a", ""),
            ("GET", "/fost/a?page=2&q=a%20b", ""),
            ("HEAD", "/fost/a", ""),
            ("POST", "/fost/a", "{\"username\": \"some_name\"}"),
            ("PUT", "/fost/caf%C3%A9", "x"),
            ("DELETE", "/fost/a", ""),
        ] {
            let fost = Fost::new().signing("X-Nonce", if proto == Proto::H1 { "1" } else { "2" });
            assert_eq!(status(signed(&world, &fost, method, target, body).proto(proto)).await, 200, "{proto:?} {method} {target}");
            let seen = world.upstream.only();
            assert_eq!((seen.user(), seen.target.as_str(), seen.body.as_slice()), (Some("webshop"), target, body.as_bytes()));
            assert!(!seen.has("authorization"));
        }
    }
}

#[tokio::test]
async fn the_decoded_path_may_be_signed_too() {
    let world = world().await;
    let headers = Fost::new().sign("GET", "/fost/café x/y", b"");
    assert_eq!(status(world.get("/fost/caf%C3%A9%20x/y").headers(&headers)).await, 200);
    assert_eq!(world.upstream.only().target, "/fost/caf%C3%A9%20x/y");
}

#[tokio::test]
async fn acting_for_another_user_needs_a_signed_name_and_a_key_that_may() {
    let world = world().await;
    assert_eq!(status(signed(&world, &Fost::new().user("kirit"), "GET", "/fost/a", "")).await, 200);
    assert_eq!(world.upstream.only().user(), Some("kirit"));

    let plain = Fost::new().key("plain", "plain-secret-0123456789abcdef");
    assert_eq!(status(signed(&world, &plain, "GET", "/fost/only/a", "")).await, 200);
    assert_eq!(world.upstream.only().user(), Some("plain"));
    assert_eq!(status(signed(&world, &plain.clone().user("kirit"), "GET", "/fost/only/a", "")).await, 401);
    assert_eq!(status(signed(&world, &Fost::new(), "GET", "/fost/a", "").header("X-FOST-User", "kirit")).await, 401);
    for name in ["", " ", "a\tb", "a\u{85}b", " lead"] {
        let fost = Fost::new().user(name);
        let answer = signed(&world, &fost, "GET", "/fost/a", "").try_send().await.unwrap();
        assert!(matches!(answer.status.as_u16(), 400 | 401 | 403) || name == " lead", "{name:?}: {}", answer.status);
    }
    for seen in world.upstream.take() {
        assert_eq!(seen.user(), Some("lead"));
    }
}

#[tokio::test]
async fn a_key_opens_its_own_paths_alone_and_with_either_of_its_secrets() {
    let world = world().await;
    for secret in ["plain-secret-0123456789abcdef", "next-secret-0123456789abcdef"] {
        let plain = Fost::new().key("plain", secret);
        assert_eq!(status(signed(&world, &plain, "GET", "/fost/only/a", "")).await, 200);
        assert!(matches!(status(signed(&world, &plain, "GET", "/fost/elsewhere", "")).await, 401 | 403));
    }
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let world = world().await;
    let sign = |method: &str, path: &str, payload: &str| Fost::new().sign(method, path, payload.as_bytes());
    let without = |name: &str| -> Vec<(String, String)> { sign("GET", "/fost/a", "").into_iter().filter(|(have, _)| have != name).collect() };
    let replaced = |name: &str, value: &str| -> Vec<(String, String)> {
        sign("GET", "/fost/a", "").into_iter().map(|(have, old)| if have == name { (have, value.to_owned()) } else { (have, old) }).collect()
    };
    let tag = |document: &str| mac(SECRET, document.as_bytes());
    let stamp = timestamp(now());
    let good = sign("GET", "/fost/a", "")[0].1.clone();
    let calls: Vec<(&str, Call)> = vec![
        ("another method", world.call("HEAD", "/fost/a").headers(&sign("GET", "/fost/a", ""))),
        ("another path", world.get("/fost/b").headers(&sign("GET", "/fost/a", ""))),
        ("a query put on", world.get("/fost/a?admin=1").headers(&sign("GET", "/fost/a", ""))),
        ("the query left out", world.get("/fost/a").headers(&sign("GET", "/fost/a", "admin=1"))),
        ("another body", world.call("POST", "/fost/a").body("b").headers(&sign("POST", "/fost/a", "a"))),
        ("no body", world.call("POST", "/fost/a").headers(&sign("POST", "/fost/a", "a"))),
        ("a body and a query", world.call("POST", "/fost/a?q=1").body("b").headers(&sign("POST", "/fost/a", "b"))),
        ("another time", world.get("/fost/a").headers(&replaced("X-FOST-Timestamp", &timestamp(now() + 3)))),
        ("no time", world.get("/fost/a").headers(&without("X-FOST-Timestamp"))),
        ("no list of headers", world.get("/fost/a").headers(&without("X-FOST-Headers"))),
        ("an unlisted list", world.get("/fost/a").headers(&replaced("X-FOST-Headers", ""))),
        ("two times", world.get("/fost/a").headers(&sign("GET", "/fost/a", "")).header("X-FOST-Timestamp", &stamp)),
        ("two lists", world.get("/fost/a").headers(&sign("GET", "/fost/a", "")).header("X-FOST-Headers", "X-FOST-Headers")),
        ("two users", world.get("/fost/a").headers(&Fost::new().user("a").sign("GET", "/fost/a", b"")).header("X-FOST-User", "b")),
        ("an unknown key", world.get("/fost/a").headers(&Fost::new().key("nobody", SECRET).sign("GET", "/fost/a", b""))),
        ("another secret", world.get("/fost/a").headers(&Fost::new().key(KEY, "x").sign("GET", "/fost/a", b""))),
        ("no colon", world.get("/fost/a").headers(&replaced("Authorization", "FOST aspnet"))),
        ("two colons", world.get("/fost/a").headers(&replaced("Authorization", &format!("{good}:x")))),
        ("no key", world.get("/fost/a").headers(&replaced("Authorization", "FOST :abc="))),
        ("no signature", world.get("/fost/a").headers(&replaced("Authorization", "FOST aspnet:"))),
        ("a broken signature", world.get("/fost/a").headers(&replaced("Authorization", "FOST aspnet:!!!!"))),
        ("a short signature", world.get("/fost/a").headers(&replaced("Authorization", "FOST aspnet:5GvLip1w"))),
        ("a list that does not name itself", {
            let tag = tag(&format!("GET /fost/a\n{stamp}\nalice\n"));
            let call = world.get("/fost/a").header("Authorization", format!("FOST {KEY}:{tag}"));
            call.header("X-FOST-Timestamp", &stamp).header("X-FOST-Headers", "X-FOST-User").header("X-FOST-User", "alice")
        }),
        ("a listed header that is missing", {
            let tag = tag(&format!("GET /fost/a\n{stamp}\nX-FOST-Headers X-Gone\n\n"));
            let call = world.get("/fost/a").header("Authorization", format!("FOST {KEY}:{tag}"));
            call.header("X-FOST-Timestamp", &stamp).header("X-FOST-Headers", "X-FOST-Headers X-Gone")
        }),
        ("a header listed twice", {
            let tag = tag(&format!("GET /fost/a\n{stamp}\nX-FOST-Headers X-A X-A\n1\n1\n"));
            let call = world.get("/fost/a").header("Authorization", format!("FOST {KEY}:{tag}")).header("X-A", "1");
            call.header("X-FOST-Timestamp", &stamp).header("X-FOST-Headers", "X-FOST-Headers X-A X-A")
        }),
    ];
    for (what, call) in calls {
        for proto in BOTH {
            let status = status(call.clone().proto(proto)).await;
            assert!(matches!(status, 400 | 401), "{what} {proto:?}: {status}");
        }
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_time_outside_the_window_is_refused_on_both_sides() {
    let world = world().await;
    for (skew, expected) in [(-12, 200), (12, 200), (-25, 401), (25, 401), (-86_400, 401), (86_400 * 365, 401)] {
        assert_eq!(status(signed(&world, &Fost::new().skewed(skew), "GET", "/fost/a", "")).await, expected, "{skew}");
    }
    for text in [
        "",
        "now",
        "2026-13-01 00:00:00",
        "2026-02-30 00:00:00",
        "0000-00-00 00:00:00",
        "99999-01-01 00:00:0",
        "2026-01-01 24:00:00",
        "-026-01-01 00:00:00",
    ] {
        let tag = mac(SECRET, format!("GET /fost/a\n{text}\nX-FOST-Headers\n").as_bytes());
        let call = world.get("/fost/a").header("Authorization", format!("FOST {KEY}:{tag}")).header("X-FOST-Timestamp", text);
        assert_eq!(status(call.header("X-FOST-Headers", "X-FOST-Headers")).await, 401, "{text:?}");
    }
    for form in [timestamp(now()).replace(' ', "T"), format!("{}.123456", timestamp(now())), format!("{}Z", timestamp(now()).replace(' ', "T"))] {
        let tag = mac(SECRET, format!("GET /fost/a\n{form}\nX-FOST-Headers\n").as_bytes());
        let call = world.get("/fost/a").header("Authorization", format!("FOST {KEY}:{tag}")).header("X-FOST-Timestamp", &form);
        assert_eq!(status(call.header("X-FOST-Headers", "X-FOST-Headers")).await, 200, "{form:?}");
    }
}

#[tokio::test]
async fn a_signature_that_changes_things_is_good_once() {
    let world = world().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let call = signed(&world, &Fost::new(), method, "/fost/once", "");
        assert_eq!(status(call.clone()).await, 200, "{method}");
        for proto in BOTH {
            assert_eq!(status(call.clone().proto(proto)).await, 401, "{method}");
        }
    }
    let call = signed(&world, &Fost::new(), "GET", "/fost/often", "");
    for _ in 0..3 {
        assert_eq!(status(call.clone()).await, 200);
    }
    assert_eq!(world.upstream.count(), 7);
}

#[tokio::test]
async fn of_many_at_once_with_one_signature_one_is_let_in() {
    let world = world().await;
    let call = signed(&world, &Fost::new(), "POST", "/fost/race", "x");
    let all = futures_util::future::join_all((0..24).map(|_| status(call.clone()))).await;
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn an_unsigned_query_beside_a_body_needs_leave() {
    let world = world().await;
    assert_eq!(status(world.call("POST", "/loose/a?q=1").body("b").headers(&Fost::new().sign("POST", "/loose/a", b"b"))).await, 200);
    assert_eq!(world.upstream.only().target, "/loose/a?q=1");
}

#[tokio::test]
async fn a_signed_body_is_verified_to_its_last_byte_before_any_is_forwarded() {
    let world = World::with(|setup| {
        setup
            .rest("[auth.small.fost]\nmax_body = \"3MiB\"\n[auth.small.fost.keys.aspnet]\nsecret_file = \"secrets/aspnet.key\"")
            .route("/small/**", &["small"])
    })
    .await;
    let mut body = vec![b'x'; 2 << 20];
    let headers = Fost::new().sign("POST", "/small/a", &body);
    for proto in BOTH {
        *body.last_mut().unwrap() = b'y';
        assert_eq!(status(world.call("POST", "/small/a").proto(proto).headers(&headers).body(body.clone())).await, 401);
        assert_eq!(world.upstream.connections(), 0);
    }
    *body.last_mut().unwrap() = b'x';
    assert_eq!(status(world.call("POST", "/small/a").headers(&headers).body(body.clone())).await, 200);
    assert_eq!(world.upstream.only().body, body);
    body.resize((3 << 20) + 1, b'x');
    let headers = Fost::new().sign("POST", "/small/a", &body);
    // The gateway may hang up while the body is still on its way; it must not forward any of it.
    if let Ok(answer) = world.call("POST", "/small/a").headers(&headers).body(body).try_send().await {
        assert_eq!(answer.status, 413);
    }
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_signed_url_opens_its_page_until_it_expires() {
    let world = world().await;
    let soon = (now() + 60).to_string();
    for proto in BOTH {
        for (query, arrives) in [("", "/fost/a"), ("b=2&a=1&a=0", "/fost/a?b=2&a=1&a=0")] {
            for method in ["GET", "HEAD"] {
                let url = Fost::new().url(HOST, "/fost/a", query, &soon);
                assert_eq!(status(world.call(method, &url).proto(proto)).await, 200, "{url}");
                let seen = world.upstream.only();
                assert_eq!((seen.target.as_str(), seen.user()), (arrives, Some("webshop")));
            }
        }
    }
    let url = Fost::new().url("app.example.com:8443", "/fost/a", "", &soon);
    assert_eq!(status(world.get(&url).host("app.example.com:8443")).await, 200);
}

#[tokio::test]
async fn a_signed_url_that_was_changed_or_is_over_is_refused() {
    let world = world().await;
    let soon = (now() + 60).to_string();
    let url = |path: &str, query: &str| Fost::new().url(HOST, path, query, &soon);
    let good = url("/fost/a", "x=1");
    let over = Fost::new().url(HOST, "/fost/a", "", &(now() - 2).to_string());
    for (what, method, target) in [
        ("expired", "GET", over.clone()),
        ("its expiry changed", "GET", over.replace(&(now() - 2).to_string(), &soon)),
        ("no expiry", "GET", Fost::new().url(HOST, "/fost/a", "", "")),
        ("another method", "POST", good.clone()),
        ("another method", "DELETE", good.clone()),
        ("another path", "GET", good.replace("/fost/a", "/fost/b")),
        ("another query", "GET", good.replace("x=1", "x=2")),
        ("more query", "GET", format!("{good}&y=1")),
        ("a second key", "GET", format!("{good}&_k=other")),
        ("a second expiry", "GET", format!("{good}&_e=9999999999")),
        ("a second signature", "GET", format!("{good}&_s=x")),
        ("an uncovered parameter", "GET", format!("{good}&_signed=x")),
        ("a broken signature", "GET", good.replace("_s=", "_s=!")),
        ("no signature", "GET", good.split("&_s=").next().unwrap().to_owned()),
        ("an unknown key", "GET", Fost::new().key("nobody", SECRET).url(HOST, "/fost/a", "", &soon)),
        ("another secret", "GET", Fost::new().key(KEY, "x").url(HOST, "/fost/a", "", &soon)),
        ("another host", "GET", Fost::new().url("other.example.com", "/fost/a", "", &soon)),
        ("a huge expiry", "GET", Fost::new().url(HOST, "/fost/a", "", "99999999999999999999999")),
        ("a negative expiry", "GET", Fost::new().url(HOST, "/fost/a", "", "-1")),
        ("an expiry with a sign", "GET", Fost::new().url(HOST, "/fost/a", "", &format!("+{soon}"))),
    ] {
        for proto in BOTH {
            let status = status(world.call(method, &target).proto(proto)).await;
            assert!(matches!(status, 400 | 401), "{what} {proto:?}: {status} {target}");
        }
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(status(world.get(&Fost::new().url(HOST, "/loose/a", "", ""))).await, 200);
}

#[tokio::test]
async fn keys_of_the_store_sign_like_those_of_the_configuration() {
    let world = World::start().await;
    let made = world.setup.cli_ok(&["key", "add", "shop2", "--user", "mallory", "--impersonate", "--path", "/fost/**", "--json"], "");
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["name"], "shop2");
    let secret = made["secret"].as_str().unwrap();
    let fost = Fost::new().key("shop2", secret);
    assert_eq!(status(signed(&world, &fost, "GET", "/fost/a", "")).await, 200);
    assert_eq!(world.upstream.only().user(), Some("mallory"));
    assert_eq!(status(signed(&world, &fost.clone().user("kirit"), "GET", "/fost/a", "")).await, 200);
    assert_eq!(world.upstream.only().user(), Some("kirit"));
    assert!(matches!(status(signed(&world, &fost, "GET", "/any/a", "")).await, 401 | 403));
}
