//! Credentials that nobody gave out leave nothing behind: memory stays as it was, however many there are.

use serde_json::json;

use crate::support::base64url;
use crate::support::client::{BOTH, Call};
use crate::support::gateway::Gateway;
use crate::support::idp::{AUDIENCE, ISSUER, Key, claims, jwks};
use crate::support::introspection::Introspection;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

/// So many fill every bound; the counts of the configuration are small for that.
const FILL: usize = 6_000;
/// So many more must leave no trace: each that did, with what belongs to it, would be hundreds of bytes.
const MORE: usize = 24_000;
/// What an allocator may take meanwhile, in KiB.
const SLACK: u64 = 3 * 1024;

async fn flood(calls: &[Box<dyn Fn(usize) -> Call + '_>], numbers: std::ops::Range<usize>) {
    let clients = calls.iter().flat_map(|call| BOTH.map(|proto| (call, proto))).enumerate().map(|(at, (call, proto))| {
        let numbers = numbers.clone().skip(at).step_by(calls.len() * BOTH.len());
        async move {
            let mut sender = call(0).proto(proto).connect().await;
            for number in numbers {
                let answer = call(number).proto(proto).send_on(&mut sender).await.unwrap();
                assert_eq!(answer.status, 401, "{}", answer.text());
            }
        }
    });
    futures_util::future::join_all(clients).await;
}

#[tokio::test]
async fn distinct_bad_tokens_of_every_kind_leave_memory_flat() {
    let (upstream, server, key) = (Upstream::echo(), Introspection::start(), Key::generate("k", "EdDSA"));
    let setup = Setup::new(&upstream.url())
        .section("cache", "capacity = 1000\nmax_age = \"1h\"\nnegative_max_age = \"1h\"")
        .section("log", "access = false")
        .file("jwks.json", &jwks(&[&key]))
        .file("client", "introspection-secret-7c1f")
        .rest(&format!("[auth.corp.jwt]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\naudience = [\"{AUDIENCE}\"]"))
        .rest(&format!(
            "[auth.asked.token]\nsource = \"introspection\"\nintrospection_url = \"{}\"\nclient_id = \"gate\"\nclient_secret_file = \"client\"",
            server.url()
        ))
        .rest("[auth.own.token]\nsource = \"store\"\n[auth.keys.fost]");
    let routed = ["corp", "asked", "own", "keys"].into_iter().fold(setup, |setup, name| setup.route(&format!("/{name}/**"), &[name]));
    let gate: Gateway = routed.start().await;
    let bearer = |target: &str, token: String| gate.get(target).bearer(&token);
    let calls: [Box<dyn Fn(usize) -> Call>; 5] = [
        Box::new(|number| bearer("/own/x", format!("made-up-{number}"))),
        Box::new(|number| bearer("/asked/x", format!("made-up-{number}"))),
        // By a key that nobody has, and with the tag of another token.
        Box::new(|number| bearer("/corp/x", key.raw(&json!({"alg": "EdDSA", "kid": format!("k{number}")}).to_string(), &claims("eve").to_string()))),
        Box::new(|number| {
            let parts = [key.header().to_string(), claims(&format!("eve{number}")).to_string()].map(base64url);
            bearer("/corp/x", format!("{}.{}.{}", parts[0], parts[1], base64url([7; 64])))
        }),
        Box::new(|number| {
            let headers = crate::support::fost::Fost::new().key(&format!("key{number}"), "guess").sign("GET", "/keys/x", b"");
            gate.get("/keys/x").headers(&headers)
        }),
    ];
    flood(&calls, 0..FILL).await;
    let before = gate.memory();
    flood(&calls, FILL..FILL + MORE).await;
    let after = gate.memory();
    assert!(after <= before + SLACK, "{before} KiB before, {after} KiB after {MORE} bad tokens");
    assert_eq!(upstream.count(), 0);
}
