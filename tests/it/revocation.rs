//! A revocation wins: over an answer that is on its way, over what is remembered, over a reload.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::client::{BOTH, Call};
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::idp::{self, AUDIENCE, ISSUER, Key, jwks};
use crate::support::introspection::Introspection;
use crate::support::now;
use crate::support::setup::Setup;
use crate::support::upstream::{Act, Upstream, answer};
use crate::support::world::claims_and;

const ADMIN_KEY: &str = "admin-key-0123456789abcdef0123456789abcdef";

fn setup(upstream: &Upstream) -> Setup {
    Setup::new(&upstream.url())
        .section("cache", "max_age = \"1h\"")
        .section("admin", "key_file = \"admin\"")
        .file("admin", ADMIN_KEY)
        .file("client", "introspection-secret-7c1f")
}

fn asking(url: &str) -> String {
    format!("[auth.asked.token]\nsource = \"introspection\"\nintrospection_url = \"{url}\"\nclient_id = \"gate\"\nclient_secret_file = \"client\"")
}

async fn revoke(gate: &Gateway, body: &Value) {
    let call = Call::plain(gate.admin.unwrap(), "POST", "/admin/revoke").header("Authorization", format!("Bearer {ADMIN_KEY}"));
    assert_eq!(call.body(body.to_string()).send().await.status, 200, "{body}");
}

#[tokio::test]
async fn a_revocation_wins_over_an_answer_that_is_on_its_way() {
    // Each is revoked while the server's good answer about it is held back.
    for (proto, body) in BOTH.into_iter().flat_map(|proto| [(proto, json!({"token": "tok"})), (proto, json!({"user": "alice"}))]) {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let issued = now() - 60;
        let server = Upstream::scripted(move |_| {
            let held = Arc::clone(&held);
            Act::Talk(Box::new(move |wire| {
                let _ = held.lock().unwrap().recv();
                let good = json!({"active": true, "username": "alice", "iat": issued, "exp": issued + 600}).to_string();
                let _ = wire.write_all(&answer("200 OK", &["Content-Type: application/json", "Connection: close"], good));
            }))
        });
        let upstream = Upstream::echo();
        let gate = setup(&upstream).rest(&asking(&format!("{}/ask", server.url()))).route("/**", &["asked"]).start().await;
        let call = || gate.get("/x").proto(proto).bearer("tok");
        let overtaken = tokio::spawn(call().send());
        server.until("the question", |record| record.total == 1).await;
        revoke(&gate, &body).await;
        // From now on nothing is held back, not even a second question about the same.
        drop(release);
        // Of a user, what was learned before is not believed, whatever it says; whoever tries again is told.
        let status = overtaken.await.unwrap().status.as_u16();
        assert!(status == 401 || (status == 503 && body["user"].is_string()), "{body}: {status}");
        assert_eq!(call().send().await.status, 401, "{body}: nor is the answer kept");
        assert_eq!(upstream.count(), 0);
    }
}

#[tokio::test]
async fn no_reload_forgets_a_revocation() {
    let (upstream, server, key) = (Upstream::echo(), Introspection::start(), Key::generate("k", "ES256"));
    server.gives("tok", "alice");
    server.gives("other", "bob");
    let setup = setup(&upstream)
        .file("jwks.json", &jwks(&[&key]))
        .file("configured", fost::SECRET)
        .rest(&asking(&server.url()))
        .rest(&format!("[auth.corp.jwt]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\naudience = [\"{AUDIENCE}\"]"))
        .rest(&format!("[auth.keys.fost]\n[auth.keys.fost.keys.{}]\nsecret_file = \"configured\"", fost::KEY))
        .rest("[auth.own.token]\nsource = \"store\"")
        .route("/fost/**", &["keys"])
        .route("/own/**", &["own"])
        .route("/**", &["corp", "asked"]);
    let issued: Value = serde_json::from_str(&setup.cli_ok(&["token", "issue", "--user", "tom", "--json"], "")).unwrap();
    let own = issued["token"].as_str().unwrap().to_owned();
    let gate = setup.start().await;
    let jwt = key.token(&claims_and("carol", json!({"jti": "1"})));
    let later = key.token(&idp::claims("dora"));
    let calls = || {
        [
            gate.get("/x").bearer("tok"),
            gate.get("/x").bearer(&jwt),
            gate.get("/own/x").bearer(&own),
            gate.get("/fost/x").headers(&Fost::new().sign("GET", "/fost/x", b"")),
        ]
    };
    for call in calls() {
        assert_eq!(call.send().await.status, 200);
    }
    for body in [json!({"token": "tok"}), json!({"jti": "1", "issuer": ISSUER}), json!({"token": own}), json!({"key": fost::KEY})] {
        revoke(&gate, &body).await;
    }
    for times in 0..3 {
        for (at, call) in calls().into_iter().enumerate() {
            for proto in BOTH {
                assert_eq!(call.clone().proto(proto).send().await.status, 401, "number {at} after {times} reloads");
            }
        }
        // Nobody else is touched.
        for token in ["other", &later] {
            assert_eq!(gate.get("/x").bearer(token).send().await.status, 200);
        }
        // A reload that builds every scheme anew.
        let text = gate.setup.config_text().replace("max_age = \"1h\"", &format!("max_age = \"{}h\"", times + 2));
        gate.setup.write("config.toml", &text);
        gate.signal("HUP");
        gate.said_times("the new configuration is in force", times + 1).await;
    }
}
