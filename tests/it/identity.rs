//! What the application is told, and how it knows that Doorward said it.

use serde_json::{Value, json};

use crate::support::client::{BOTH, Proto};
use crate::support::idp::{AUDIENCE, ISSUER};
use crate::support::setup::{IDENTITY_SECRET, Setup};
use crate::support::verifier::{assertion, check, hmac_user};
use crate::support::world::{PASSWORD, SCHEMES, World, claims_and};
use crate::support::{base64url, from_base64url, now};

const KEYS: [(&str, &str); 1] = [("k1", IDENTITY_SECRET)];

fn assertions(setup: Setup) -> Setup {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    setup
        .file("secrets/identity.pem", &key)
        .with("identity", "signature = [\"hmac\", \"jwt\"]\naudience = \"app\"")
        .section("identity.headers", "\"X-Forwarded-Email\" = \"email\"\n\"X-Forwarded-Groups\" = \"groups\"\n\"X-Tenant\" = \"realm.tenant\"")
        .section("identity.keys.j1", "private_key_file = \"secrets/identity.pem\"")
}

async fn jwks(world: &World) -> Value {
    world.get("/.doorward/jwks.json").send().await.json()
}

#[tokio::test]
async fn the_signature_holds_for_exactly_this_request_and_user() {
    let world = World::start().await;
    for proto in BOTH {
        for scheme in SCHEMES {
            assert_eq!(world.good_call(scheme).proto(proto).send().await.status, 200, "{scheme}");
            let seen = world.upstream.only();
            assert_eq!(hmac_user(&seen, &KEYS).as_deref(), Ok(World::user_of(scheme)));
            let header = seen.one("X-Doorward-Signature");
            let (method, target, user) = (seen.method.as_str(), seen.target.as_str(), seen.user().unwrap());
            for (method, target, user, keys) in [
                ("POST", target, user, KEYS),
                (method, "/basic/other", user, KEYS),
                (method, target, "root", KEYS),
                (method, target, user, [("k1", "another secret")]),
                (method, target, user, [("k2", IDENTITY_SECRET)]),
            ] {
                assert!(check(header, method, target, user, &keys, now()).is_err());
            }
            assert!(check(header, method, target, user, &KEYS, now() + 120).is_err());
        }
    }
}

#[tokio::test]
async fn the_query_is_covered_as_the_application_sees_it() {
    let world = World::start().await;
    let soon = (now() + 60).to_string();
    let url = crate::support::fost::Fost::new().url("app.example.com", "/fost/a", "x=1&y=%20", &soon);
    assert_eq!(world.get(&url).send().await.status, 200);
    let seen = world.upstream.only();
    assert_eq!(seen.target, "/fost/a?x=1&y=%20");
    assert_eq!(hmac_user(&seen, &KEYS).as_deref(), Ok("webshop"));
}

#[tokio::test]
async fn nobody_is_nobody_on_a_public_route_whatever_the_client_presents() {
    let world = World::with(assertions).await;
    for scheme in SCHEMES {
        world.get("/public/x").headers(&world.good(scheme, "GET", "/public/x")).send().await;
        let seen = world.upstream.only();
        for name in ["X-Forwarded-User", "X-Doorward-Assertion", "X-Forwarded-Email", "X-Forwarded-Groups", "Authorization"] {
            assert!(seen.folding_to(name).is_empty(), "{scheme}: {name} {:#?}", seen.lines);
        }
        assert!(seen.all("X-Doorward-Signature").is_empty() || hmac_user(&seen, &KEYS).as_deref() == Ok(""), "{:#?}", seen.lines);
    }
}

#[tokio::test]
async fn an_assertion_is_verified_with_the_published_keys_alone() {
    let world = World::with(assertions).await;
    let published = jwks(&world).await;
    let keys = published["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0]["kid"].as_str(), keys[0]["kty"].as_str(), &keys[0]["d"]), (Some("j1"), Some("EC"), &Value::Null));
    for proto in BOTH {
        for scheme in SCHEMES {
            world.good_call(scheme).proto(proto).send().await;
            let seen = world.upstream.only();
            let token = seen.one("X-Doorward-Assertion");
            let claims = assertion(token, &published).unwrap();
            assert_eq!((claims["sub"].as_str(), claims["aud"].as_str()), (Some(World::user_of(scheme)), Some("app")));
            let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            assert!((1..=60).contains(&lifetime), "{claims}");
            assert!(claims["iss"].is_string() && claims["jti"].is_string(), "{claims}");
            let (head, rest) = token.split_once('.').unwrap();
            let forged = String::from_utf8(from_base64url(rest.split('.').next().unwrap())).unwrap().replace(World::user_of(scheme), "root");
            assert!(assertion(&format!("{head}.{}.{}", base64url(forged), token.rsplit('.').next().unwrap()), &published).is_err());
            assert_eq!(hmac_user(&seen, &KEYS).as_deref(), Ok(World::user_of(scheme)));
        }
    }
}

#[tokio::test]
async fn mapped_headers_are_set_from_the_identity_or_not_at_all() {
    let world = World::with(assertions).await;
    let claims = claims_and("carol", json!({"email": "carol@example.com", "groups": ["a", "b"], "realm": {"tenant": "acme"}}));
    for proto in BOTH {
        let spoofed =
            world.get("/jwt/x").proto(proto).bearer(&world.key.token(&claims)).header("X-Tenant", "evil").header("x_forwarded_email", "evil@x");
        let answer = spoofed.send().await;
        if answer.status == 200 {
            let seen = world.upstream.only();
            assert_eq!(seen.folding_to("X-Forwarded-Email"), ["carol@example.com"]);
            assert_eq!(seen.folding_to("X-Forwarded-Groups"), ["a,b"]);
            assert_eq!(seen.folding_to("X-Tenant"), ["acme"]);
        }
        world.get("/basic/x").proto(proto).basic("bob", PASSWORD).header("X-Tenant", "evil").header("X-Forwarded-Email", "evil@x").send().await;
        for seen in world.upstream.take() {
            assert!(seen.folding_to("X-Tenant").is_empty() && seen.folding_to("X-Forwarded-Email").is_empty(), "{:#?}", seen.lines);
            assert_eq!(seen.folding_to("X-Forwarded-Groups"), ["staff"]);
        }
    }
    for value in ["a@b\r\nX-Forwarded-User: root", "a\u{0}b"] {
        let answer = world.get("/jwt/x").bearer(&world.key.token(&claims_and("carol", json!({"email": value})))).send().await;
        assert!(matches!(answer.status.as_u16(), 200 | 401 | 403));
        for seen in world.upstream.take() {
            assert_eq!(seen.user(), Some("carol"));
        }
    }
}

#[tokio::test]
async fn the_published_keys_are_nobodys_to_shadow_or_change() {
    let world = World::with(|setup| assertions(setup).public("/.doorward/**")).await;
    for proto in BOTH {
        let answer = world.get("/.doorward/jwks.json").proto(proto).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").contains("json"));
        for method in ["POST", "PUT", "DELETE"] {
            let status = world.call(method, "/.doorward/jwks.json").proto(proto).send().await.status.as_u16();
            assert!(matches!(status, 403..=405), "{method}: {status}");
        }
    }
    for path in ["/.doorward", "/.doorward/", "/.doorward/other", "/.doorward/jwks.json/x"] {
        assert_eq!(world.get(path).send().await.status, 404, "{path}");
    }
    for path in ["/%2edoorward/jwks.json", "/.doorward%2fjwks.json", "/./.doorward/jwks.json", "/.doorward//jwks.json"] {
        assert_eq!(world.get(path).send().await.status, 400, "{path}");
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn while_keys_change_the_first_signs_and_all_are_published() {
    let world = World::with(|setup| {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assertions(setup)
            .file("secrets/second.key", "second-identity-secret-0123456789abcdef")
            .file("secrets/second.pem", &key)
            .section("identity.keys.a0", "secret_file = \"secrets/second.key\"")
            .section("identity.keys.a1", "private_key_file = \"secrets/second.pem\"")
    })
    .await;
    world.get("/basic/x").basic("bob", PASSWORD).send().await;
    let seen = world.upstream.only();
    let both = [("k1", IDENTITY_SECRET), ("a0", "second-identity-secret-0123456789abcdef")];
    assert_eq!(hmac_user(&seen, &both).as_deref(), Ok("bob"));
    assert!(seen.one("X-Doorward-Signature").contains(";k=a0;"), "the first in the file signs: {}", seen.one("X-Doorward-Signature"));
    let published = jwks(&world).await;
    let kids: Vec<_> = published["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert!(kids.len() == 2 && kids.contains(&"j1") && kids.contains(&"a1"), "{kids:?}");
    assert_eq!(assertion(seen.one("X-Doorward-Assertion"), &published).unwrap()["sub"], "bob");
}

#[tokio::test]
async fn other_names_for_the_headers_are_guarded_like_the_usual_ones() {
    let world = World::with(|setup| {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        setup
            .file("secrets/identity.pem", &key)
            .with(
                "identity",
                "user_header = \"X-Remote-User\"\nsignature = [\"jwt\"]\nassertion_header = \"X-Pomerium-Jwt-Assertion\"\naudience = \"app\"",
            )
            .without("identity.keys.k1")
            .section("identity.keys.j1", "private_key_file = \"secrets/identity.pem\"")
    })
    .await;
    let published = jwks(&world).await;
    for proto in BOTH {
        for spelling in ["X-Remote-User", "x_remote_user", "X.Remote-User", "x-pomerium_jwt.assertion", "X-Pomerium-Jwt-Assertion"] {
            world.get("/basic/x").proto(proto).basic("bob", PASSWORD).header(spelling, "root").send().await;
            for seen in world.upstream.take() {
                assert_eq!(seen.folding_to("X-Remote-User"), ["bob"], "{spelling}");
                let [token] = seen.folding_to("X-Pomerium-Jwt-Assertion")[..] else { panic!("{:#?}", seen.lines) };
                assert_eq!(assertion(token, &published).unwrap()["sub"], "bob");
            }
            world.get("/public/x").proto(proto).header(spelling, "root").send().await;
            for seen in world.upstream.take() {
                assert!(seen.folding_to("X-Remote-User").is_empty() && seen.folding_to("X-Pomerium-Jwt-Assertion").is_empty(), "{spelling}");
            }
        }
    }
    assert!(world.upstream.count() > 0);
}

#[tokio::test]
async fn names_outside_ascii_arrive_in_the_chosen_encoding() {
    for (encoding, expected) in [("utf-8", "Zoë"), ("percent", "Zo%C3%AB"), ("base64url", "Wm_Dqw"), ("rfc2047", "=?UTF-8?B?Wm/Dqw==?=")] {
        let world = World::with(|setup| setup.with("identity", &format!("encoding = \"{encoding}\""))).await;
        let token = world.key.token(&claims_and("Zoë", json!({"iss": ISSUER, "aud": AUDIENCE})));
        let answer = world.get("/jwt/x").proto(Proto::H2).bearer(&token).send().await;
        assert_eq!(answer.status, 200, "{encoding}: {}", answer.text());
        let seen = world.upstream.only();
        assert!(seen.user().unwrap().eq_ignore_ascii_case(expected), "{encoding}: {:?}", seen.user());
        assert!(hmac_user(&seen, &KEYS).is_ok(), "{encoding}: {:?}", hmac_user(&seen, &KEYS));
    }
}

#[tokio::test]
async fn each_request_has_an_id_of_its_own_that_the_client_cannot_choose_freely() {
    let world = World::start().await;
    let first = world.get("/public/x").send().await;
    let second = world.get("/public/x").send().await;
    let ids: Vec<String> = world.upstream.take().iter().map(|seen| seen.one("X-Request-Id").to_owned()).collect();
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() >= 16), "{ids:?}");
    for (answer, id) in [(first, &ids[0]), (second, &ids[1])] {
        let shown = answer.header("x-request-id").to_owned();
        assert!(shown.is_empty() || shown == *id);
    }
    let mut raw = world.raw().await;
    raw.write("GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX-Request-Id: a\"b c<script>\r\nX-Request-Id: two\r\n\r\n").await;
    raw.answer().await.unwrap();
    for seen in world.upstream.take() {
        assert!(!seen.one("X-Request-Id").contains(['"', '<', ' ']), "{:#?}", seen.lines);
    }
}

#[tokio::test]
async fn the_command_line_tells_a_good_signature_from_a_bad_one() {
    let world = World::start().await;
    world.get("/basic/x?y=1").basic("bob", PASSWORD).send().await;
    let seen = world.upstream.only();
    let request = format!("{} {} HTTP/1.1\r\n{}\r\n\r\n", seen.method, seen.target, seen.lines.join("\r\n"));
    let good = world.setup.cli(&["verify-identity"], &request);
    assert!(good.status.success(), "{good:?}");
    assert!(String::from_utf8_lossy(&good.stdout).contains("bob"));
    for forged in
        [request.replace("bob", "root"), request.replace("GET", "POST"), request.replace("y=1", "y=2"), request.replace(";t=", ";t=1"), String::new()]
    {
        assert!(!world.setup.cli(&["verify-identity"], &forged).status.success(), "{forged}");
    }
}
