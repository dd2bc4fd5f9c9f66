//! A token opens the door when it is of our issuer, for us, in time, signed by a published key, and of one meaning.

use serde_json::{Value, json};

use crate::support::client::BOTH;
use crate::support::idp::{AUDIENCE, ISSUER, Key, claims, claims_but, jwks};
use crate::support::upstream::Upstream;
use crate::support::world::{World, claims_and};
use crate::support::{base64url, now};

async fn status(world: &World, token: &str) -> u16 {
    world.get("/jwt/x").bearer(token).send().await.status.as_u16()
}

#[tokio::test]
async fn tokens_of_each_algorithm_are_verified() {
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let key = Key::generate("k", algorithm);
        let world = World::with(|setup| {
            setup
                .file("other.json", &jwks(&[&key]))
                .rest(&format!(
                    "[auth.other.jwt]\nissuer = \"{ISSUER}\"\njwks_file = \"other.json\"\naudience = [\"{AUDIENCE}\"]\nalgorithms = [\"{algorithm}\"]"
                ))
                .route("/other/**", &["other"])
        })
        .await;
        let token = key.token(&claims("dora"));
        for proto in BOTH {
            let answer = world.get("/other/x").proto(proto).bearer(&token).send().await;
            assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
            let seen = world.upstream.only();
            assert_eq!(seen.user(), Some("dora"));
            assert!(!seen.has("authorization"));
        }
        // One changed bit anywhere in the signature, a cut, or another key.
        let (input, tag) = token.rsplit_once('.').unwrap();
        let mut bytes = crate::support::from_base64url(tag);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert_eq!(world.get("/other/x").bearer(&format!("{input}.{}", base64url(&bytes))).send().await.status, 401);
            bytes[at] ^= 1;
        }
        for tag in ["", "AAAA", &base64url(&bytes[1..]), &base64url([bytes.as_slice(), &[0]].concat()), &base64url(vec![0; bytes.len()])] {
            assert_eq!(world.get("/other/x").bearer(&format!("{input}.{tag}")).send().await.status, 401, "{algorithm} {tag:?}");
        }
        let stranger = Key::generate("k", algorithm).token(&claims("dora"));
        assert_eq!(world.get("/other/x").bearer(&stranger).send().await.status, 401);
        assert_eq!(world.upstream.count(), 2);
    }
}

#[tokio::test]
async fn a_shared_secret_verifies_hs256_and_no_public_key_ever_does() {
    let secret = "0123456789abcdef0123456789abcdef0123";
    let rsa = Key::generate("rsa", "RS256");
    let world = World::with(|setup| {
        setup
            .file("secrets/hs.key", secret)
            .file("rsa.json", &jwks(&[&rsa]))
            .rest(&format!(
                "[auth.hs.jwt]\nissuer = \"{ISSUER}\"\nsecret_file = \"secrets/hs.key\"\naudience = [\"{AUDIENCE}\"]\nalgorithms = [\"HS256\"]"
            ))
            .rest(&format!("[auth.rsa.jwt]\nissuer = \"{ISSUER}\"\njwks_file = \"rsa.json\"\naudience = [\"{AUDIENCE}\"]"))
            .route("/hs/**", &["hs"])
            .route("/rsa/**", &["rsa"])
    })
    .await;
    let good = Key::secret("any", secret).token(&claims("hugo"));
    assert_eq!(world.get("/hs/x").bearer(&good).send().await.status, 200);
    assert_eq!(world.upstream.only().user(), Some("hugo"));
    assert_eq!(world.get("/hs/x").bearer(&Key::secret("any", "wrong-0123456789abcdef0123456789").token(&claims("hugo"))).send().await.status, 401);
    assert_eq!(world.get("/hs/x").bearer(&rsa.token(&claims("hugo"))).send().await.status, 401);

    let public = rsa.public_bytes();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", crate::support::base64(&public));
    let n = rsa.jwk()["n"].as_str().unwrap().to_owned();
    for secret in [String::from_utf8_lossy(&public).into_owned(), pem, n, String::new()] {
        let mut forged = Key::secret("rsa", &secret);
        forged.kid = "rsa".into();
        assert_eq!(world.get("/rsa/x").bearer(&forged.token(&claims("hugo"))).send().await.status, 401);
    }
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_header_that_asks_for_anything_special_is_refused() {
    let world = World::start().await;
    let body = claims("carol").to_string();
    let trap = Upstream::echo();
    let stranger = Key::generate("test-1", "ES256");
    let with = |name: &str, value: Value| {
        let mut header = world.key.header();
        header[name] = value;
        world.key.raw(&header.to_string(), &body)
    };
    let unsigned = |algorithm: &str| format!("{}.{}.", base64url(json!({"alg": algorithm, "kid": "test-1"}).to_string()), base64url(&body));
    let mut own = stranger.header();
    own["jwk"] = stranger.jwk();
    let mut pointed = stranger.header();
    pointed["jku"] = trap.url().into();
    pointed["x5u"] = trap.url().into();
    let tokens = [
        ("crit", with("crit", json!(["exp"]))),
        ("crit unknown", with("crit", json!(["urn:x"]))),
        ("crit empty", with("crit", json!([]))),
        ("b64", with("b64", json!(false))),
        ("typ", with("typ", json!("dpop+jwt"))),
        ("typ number", with("typ", json!(1))),
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("alg nOnE", unsigned("nOnE")),
        ("alg empty", unsigned("")),
        ("alg ES256, unsigned", unsigned("ES256")),
        ("alg other", with("alg", json!("ES384"))),
        ("alg array", with("alg", json!(["ES256"]))),
        ("alg null", with("alg", json!(null))),
        ("kid unknown", with("kid", json!("nobody"))),
        ("kid path", with("kid", json!("../../../dev/null"))),
        ("kid long", with("kid", json!("k".repeat(300)))),
        ("kid number", with("kid", json!(1))),
        ("own key in the header", stranger.raw(&own.to_string(), &body)),
        ("own key elsewhere", stranger.raw(&pointed.to_string(), &body)),
        ("two algs", world.key.raw(r#"{"alg":"none","alg":"ES256","kid":"test-1"}"#, &body)),
        ("not an object", world.key.raw("[]", &body)),
        ("not JSON", world.key.raw("{", &body)),
        ("zip", with("zip", json!("DEF"))),
    ];
    for (what, token) in tokens {
        // b64 and zip without crit mean nothing in a JWS; whoever refuses them is on the safe side.
        let status = status(&world, &token).await;
        let harmless = matches!(what, "zip" | "b64");
        assert!(status == 401 || (harmless && status == 200), "{what}: {status}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert_eq!(status(&world, &with("typ", json!(typ))).await, 200, "{typ}");
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn claims_of_the_wrong_kind_or_time_are_refused() {
    let world = World::start().await;
    let t = now();
    let bad: Vec<(&str, Value)> = vec![
        ("iss", json!(null)),
        ("iss", json!("https://id.example.com")),
        ("iss", json!("https://evil.example/")),
        ("iss", json!([ISSUER])),
        ("iss", json!(["https://evil.example/", ISSUER])),
        ("iss", json!(1)),
        ("iss", json!("")),
        ("aud", json!(null)),
        ("aud", json!("order")),
        ("aud", json!("ORDERS")),
        ("aud", json!([])),
        ("aud", json!(["other"])),
        ("aud", json!({"orders": 1})),
        ("aud", json!(1)),
        ("exp", json!(null)),
        ("exp", json!(t - 60)),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", json!([t + 60])),
        ("exp", json!(true)),
        ("exp", json!({})),
        ("nbf", json!(t + 60)),
        ("nbf", json!((t - 60).to_string())),
        ("nbf", json!([])),
        ("iat", json!("yesterday")),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("sub", json!(["carol"])),
        ("sub", json!({"carol": true})),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("a\r\nX-Forwarded-User: root")),
        ("sub", json!(" carol")),
        ("sub", json!("a\u{200b}b")),
        ("sub", json!("x".repeat(256))),
    ];
    for (name, value) in bad {
        let status = status(&world, &world.key.token(&claims_but("carol", name, value.clone()))).await;
        assert!(matches!(status, 401 | 403), "{name} = {value}: {status}");
    }
    for text in ["NaN", "1e300", "99999999999999999999999999", "null"] {
        let body = claims("carol").to_string().replace(&format!("\"exp\":{}", claims("carol")["exp"]), &format!("\"exp\":{text}"));
        assert_eq!(status(&world, &world.key.raw(&world.key.header().to_string(), &body)).await, 401, "{text}");
    }
    assert_eq!(world.upstream.count(), 0);
    for (name, value) in
        [("aud", json!(["x", AUDIENCE])), ("exp", json!(t - 4)), ("nbf", json!(t + 4)), ("exp", json!(t + 600)), ("sub", json!("Zoë"))]
    {
        assert_eq!(status(&world, &world.key.token(&claims_but("carol", name, value.clone()))).await, 200, "{name} = {value}");
    }
}

#[tokio::test]
async fn a_claim_said_twice_is_refused_however_it_is_spelled() {
    let world = World::start().await;
    let whole = claims("carol").to_string();
    let inner = whole.trim_end_matches('}');
    for more in [r#","sub":"root""#, r#","\u0073ub":"root""#, r#","aud":"orders""#, r#","tenant":"a","tenant":"b""#, r#","o":{"a":1,"a":2}"#] {
        let token = world.key.raw(&world.key.header().to_string(), &format!("{inner}{more}}}"));
        assert_eq!(status(&world, &token).await, 401, "{more}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_work() {
    let world = World::start().await;
    let good = world.key.token(&claims("carol"));
    let (input, tag) = good.rsplit_once('.').unwrap();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for token in [
        "a.b.c".to_owned(),
        "..".to_owned(),
        ".".repeat(20_000),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!("{good}="),
        format!("{input}.{tag}=="),
        format!("{input}.+{}", &tag[1..]),
        format!(".{good}"),
        good.replace('.', ""),
        good.replace('.', ".."),
        world.key.raw(&world.key.header().to_string(), &deep),
        world.key.raw(&world.key.header().to_string(), "null"),
        world.key.raw(&world.key.header().to_string(), "\"carol\""),
        world.key.raw(&world.key.header().to_string(), ""),
        world.key.token(&claims_and("carol", json!({"pad": "x".repeat(20_000)}))),
    ] {
        let status = status(&world, &token).await;
        assert!(matches!(status, 401 | 431), "{}…: {status}", &token[..token.len().min(40)]);
    }
    for header in ["Bearer", "Bearer ", "bearer  ", "Bearer a b", "Bearer\ta", "Basic", "JWT x.y.z", ""] {
        assert_eq!(world.get("/jwt/x").header("Authorization", header).send().await.status, 401, "{header:?}");
    }
    for header in [format!("bearer {good}"), format!("BEARER {good}")] {
        assert_eq!(world.get("/jwt/x").header("Authorization", &header).send().await.status, 200, "{header:.20}");
    }
}

#[tokio::test]
async fn tokens_come_from_where_the_configuration_says() {
    let key = Key::generate("k", "ES256");
    let common = format!("issuer = \"{ISSUER}\"\njwks_file = \"k.json\"\naudience = [\"{AUDIENCE}\"]");
    let world = World::with(|setup| {
        setup
            .file("k.json", &jwks(&[&key]))
            .rest(&format!("[auth.flask.jwt]\n{common}\nprefix = [\"JWT\", \"Bearer\"]\nuser_claim = \"realm.name\""))
            .rest(&format!("[auth.named.jwt]\n{common}\nheader = \"X-Token\"\nprefix = []"))
            .rest(&format!("[auth.jar.jwt]\n{common}\ncookie = \"session\"\nprefix = []"))
            .rest(&format!("[auth.bare.jwt]\n{common}\nprefix = [\"\"]"))
            .route("/flask/**", &["flask"])
            .route("/named/**", &["named"])
            .route("/jar/**", &["jar"])
            .route("/bare/**", &["bare"])
    })
    .await;
    let token = key.token(&claims_and("s", json!({"realm": {"name": "nested"}})));
    for (path, name, value, user) in [
        ("/flask/x", "Authorization", format!("JWT {token}"), "nested"),
        ("/flask/x", "Authorization", format!("jwt {token}"), "nested"),
        ("/flask/x", "Authorization", format!("Bearer {token}"), "nested"),
        ("/named/x", "X-Token", token.clone(), "s"),
        ("/jar/x", "Cookie", format!("a=b; session={token}; c=d"), "s"),
        ("/bare/x", "Authorization", token.clone(), "s"),
    ] {
        let answer = world.get(path).header(name, &value).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let seen = world.upstream.only();
        assert_eq!(seen.user(), Some(user), "{path}");
        assert!(!seen.lines.join("\n").contains(&token), "{path}: {:?}", seen.lines);
        if name == "Cookie" {
            assert_eq!(seen.one("cookie"), "a=b; c=d");
        }
    }
    for (path, name, value) in [
        ("/flask/x", "X-Token", token.clone()),
        ("/named/x", "Authorization", format!("Bearer {token}")),
        ("/jar/x", "Cookie", format!("Session={token}")),
        ("/jar/x", "Cookie", format!("session={token}; session=other")),
    ] {
        let status = world.get(path).header(name, &value).send().await.status.as_u16();
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    // A header that some scheme reads is a credential on every route.
    world.get("/public/x").header("X-Token", &token).header("Cookie", format!("session={token}; k=v")).bearer(&token).send().await;
    let seen = world.upstream.only();
    assert!(!seen.lines.join("\n").contains(&token), "{:?}", seen.lines);
    assert_eq!(seen.one("cookie"), "k=v");
}

#[tokio::test]
async fn a_verified_token_ends_with_its_own_time_also_when_it_was_seen_before() {
    let world = World::start().await;
    let token = world.key.token(&claims_but("carol", "exp", json!(now() - 8)));
    assert_eq!(status(&world, &token).await, 200, "ten seconds of leeway");
    crate::support::within("the token's end", async {
        while status(&world, &token).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
}
