//! A token that is bound to a key or a certificate opens the door to nobody but its owner.

use serde_json::{Value, json};

use crate::support::client::{Answer, BOTH, Call, Proto};
use crate::support::dpop::Prover;
use crate::support::gateway::Gateway;
use crate::support::idp::{AUDIENCE, ISSUER, Key, claims, jwks};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::world::claims_and;
use crate::support::{base64url, now};

struct Place {
    gate: Gateway,
    upstream: Upstream,
    issuer: Key,
    prover: Prover,
}

impl Place {
    async fn start(dpop: &str) -> Self {
        Self::with(dpop, |setup| setup).await
    }

    async fn with(dpop: &str, change: impl FnOnce(Setup) -> Setup) -> Self {
        let (upstream, issuer) = (Upstream::echo(), Key::generate("k", "ES256"));
        let scheme = format!("[auth.corp.jwt]\nissuer = \"{ISSUER}\"\njwks_file = \"k.json\"\naudience = [\"{AUDIENCE}\"]\n{dpop}");
        let setup = Setup::new(&upstream.url()).file("k.json", &jwks(&[&issuer])).rest(&scheme).route("/api/**", &["corp"]).public("/public/**");
        Self { gate: change(setup).start().await, upstream, issuer, prover: Prover::new("ES256") }
    }

    /// A token that is bound to the prover's key.
    fn token(&self) -> String {
        self.bound(self.prover.confirmation())
    }

    fn bound(&self, confirmation: Value) -> String {
        self.issuer.token(&claims_and("dora", json!({ "cnf": confirmation })))
    }

    fn call(&self, word: &str, token: &str, proofs: &[String]) -> Call {
        let call = self.gate.get("/api/x").header("Authorization", format!("{word} {token}"));
        proofs.iter().fold(call, |call, proof| call.header("DPoP", proof))
    }

    async fn send(&self, word: &str, token: &str, proofs: &[String]) -> Answer {
        self.call(word, token, proofs).send().await
    }
}

/// What the one challenge says.
#[track_caller]
fn challenged(answer: &Answer, error: &str) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    let challenge = answer.header("www-authenticate");
    assert!(challenge.starts_with("DPoP ") && challenge.contains(&format!("error=\"{error}\"")), "{challenge}");
}

#[tokio::test]
async fn a_bound_token_is_taken_with_a_proof_by_its_key_and_neither_reaches_the_application() {
    for algorithm in ["ES256", "EdDSA", "PS256", "RS256"] {
        let mut place = Place::start("dpop = \"optional\"").await;
        place.prover = Prover::new(algorithm);
        let token = place.token();
        for proto in BOTH {
            for word in ["DPoP", "dpop"] {
                let answer = place.call(word, &token, &[place.prover.proof("GET", "/api/x", &token)]).proto(proto).send().await;
                assert_eq!(answer.status, 200, "{algorithm} {proto:?}: {}", answer.text());
                let seen = place.upstream.only();
                assert_eq!(seen.user(), Some("dora"));
                assert!(!seen.has("authorization") && !seen.has("dpop"), "{:?}", seen.lines);
            }
        }
    }
}

#[tokio::test]
async fn a_bound_token_is_nothing_without_its_proof_whatever_the_settings() {
    for dpop in ["", "dpop = \"off\"", "dpop = \"optional\"", "dpop = \"required\""] {
        let place = Place::start(dpop).await;
        let token = place.token();
        let proof = place.prover.proof("GET", "/api/x", &token);
        for proto in BOTH {
            for proofs in [vec![], vec![proof.clone()]] {
                let answer = place.call("Bearer", &token, &proofs).proto(proto).send().await;
                assert_eq!(answer.status, 401, "{dpop}");
            }
        }
        // Seen before or not, it makes no difference.
        let known = place.send("DPoP", &token, std::slice::from_ref(&proof)).await.status;
        assert_eq!(known == 200, dpop.contains("opt") || dpop.contains("req"), "{dpop}");
        assert_eq!(place.send("Bearer", &token, &[]).await.status, 401, "{dpop}");
        let plain = place.issuer.token(&claims("dora"));
        assert_eq!(place.send("Bearer", &plain, &[]).await.status == 200, !dpop.contains("required"), "{dpop}");
        assert_eq!(place.send("DPoP", &plain, &[place.prover.proof("GET", "/api/x", &plain)]).await.status, 401, "a token that is bound to nothing");
    }
}

#[tokio::test]
async fn a_proof_for_anything_else_is_refused() {
    let place = Place::start("dpop = \"optional\"").await;
    let (token, stranger) = (place.token(), Prover::new("ES256"));
    let but = |name: &str, value: Value| place.prover.proof_but("GET", "/api/x", &token, name, value);
    let header = |name: &str, value: Value| {
        let mut header = place.prover.header();
        header[name] = value;
        place.prover.key.raw(&header.to_string(), &Prover::claims("GET", "/api/x", &token).to_string())
    };
    let mut private = place.prover.key.jwk();
    private["d"] = "AA".into();
    let good = || place.prover.proof("GET", "/api/x", &token);
    let spoilt = good();
    for proto in BOTH {
        for (what, proofs) in [
            ("no proof", vec![]),
            ("an empty proof", vec![String::new()]),
            ("two proofs", vec![good(), good()]),
            ("two in one line", vec![format!("{}, {}", good(), good())]),
            ("not a token", vec!["x".to_owned()]),
            ("a bad signature", vec![format!("{}AAAA", &spoilt[..spoilt.len() - 4])]),
            ("another's key", vec![stranger.proof("GET", "/api/x", &token)]),
            ("another's key in the header", vec![header("jwk", stranger.key.jwk())]),
            ("a private key", vec![header("jwk", private.clone())]),
            ("no key", vec![header("jwk", json!(null))]),
            ("another type", vec![header("typ", json!("JWT"))]),
            ("no type", vec![header("typ", json!(null))]),
            ("no algorithm", vec![header("alg", json!("none"))]),
            ("a secret's algorithm", vec![header("alg", json!("HS256"))]),
            ("crit", vec![header("crit", json!(["exp"]))]),
            ("another method", vec![but("htm", json!("POST"))]),
            ("another path", vec![but("htu", json!("https://app.example.com/api/y"))]),
            ("another host", vec![but("htu", json!("https://evil.example/api/x"))]),
            ("in the clear", vec![but("htu", json!("http://app.example.com/api/x"))]),
            ("another token", vec![but("ath", json!(base64url([0; 32])))]),
            ("no token", vec![but("ath", json!(null))]),
            ("too old", vec![but("iat", json!(now() - 75))]),
            ("from the future", vec![but("iat", json!(now() + 60))]),
            ("no time", vec![but("iat", json!(null))]),
            ("no name", vec![but("jti", json!(null))]),
        ] {
            let answer = place.call("DPoP", &token, &proofs).proto(proto).send().await;
            assert_eq!(answer.status, 401, "{what} {proto:?}: {}", answer.text());
            challenged(&answer, "invalid_dpop_proof");
        }
    }
    assert_eq!(place.upstream.count(), 0);
    for proof in [
        but("htu", json!("https://app.example.com/api/x?q=1#f")),
        but("htu", json!("https://APP.example.com:443/api/x")),
        but("iat", json!(now() - 50)),
    ] {
        assert_eq!(place.send("DPoP", &token, &[proof]).await.status, 200);
    }
}

#[tokio::test]
async fn the_address_that_is_proved_is_the_requests_without_its_query() {
    let place = Place::start("dpop = \"optional\"").await;
    let token = place.token();
    let call = |method: &str, target: &str, proof: String| {
        place.gate.call(method, target).header("Authorization", format!("DPoP {token}")).header("DPoP", proof)
    };
    for (method, target, path) in [("GET", "/api/x?a=b&c", "/api/x"), ("POST", "/api/%C3%A9", "/api/%C3%A9"), ("DELETE", "/api/a+b", "/api/a+b")] {
        for proto in BOTH {
            let answer = call(method, target, place.prover.proof(method, path, &token)).proto(proto).send().await;
            assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text());
        }
        let other = if method == "GET" { "HEAD" } else { "GET" };
        assert_eq!(call(method, target, place.prover.proof(other, path, &token)).send().await.status, 401, "{method} {target}");
    }
}

#[tokio::test]
async fn a_proof_is_good_once_even_for_many_at_a_time() {
    let place = Place::start("dpop = \"required\"").await;
    let token = place.token();
    let proof = vec![place.prover.proof("GET", "/api/x", &token)];
    let all = (0..20).map(|at| place.call("DPoP", &token, &proof).proto(if at % 2 == 0 { Proto::H1 } else { Proto::H2 }).send());
    let statuses: Vec<u16> = futures_util::future::join_all(all).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401)), "{statuses:?}");
    // The same name is good for another key, and the same key for another name.
    let name = json!("one-name");
    assert_eq!(place.send("DPoP", &token, &[place.prover.proof_but("GET", "/api/x", &token, "jti", name.clone())]).await.status, 200);
    let other = Prover::new("EdDSA");
    let others = place.bound(other.confirmation());
    assert_eq!(place.send("DPoP", &others, &[other.proof_but("GET", "/api/x", &others, "jti", name.clone())]).await.status, 200);
    assert_eq!(place.send("DPoP", &token, &[place.prover.proof_but("GET", "/api/x", &token, "jti", name)]).await.status, 401);
}

#[tokio::test]
async fn a_nonce_is_demanded_given_and_accepted() {
    let place = Place::start("dpop = { mode = \"required\", nonce = true }").await;
    let token = place.token();
    for proto in BOTH {
        let answer = place.call("DPoP", &token, &[place.prover.proof("GET", "/api/x", &token)]).proto(proto).send().await;
        challenged(&answer, "use_dpop_nonce");
        let nonce = answer.header("dpop-nonce").to_owned();
        assert!(!nonce.is_empty());
        let with = |nonce: &str| vec![place.prover.proof_but("GET", "/api/x", &token, "nonce", json!(nonce))];
        for _ in 0..2 {
            assert_eq!(place.call("DPoP", &token, &with(&nonce)).proto(proto).send().await.status, 200, "a nonce may be used several times");
        }
        for bad in ["", "x", &nonce[1..], &nonce.to_uppercase()] {
            challenged(&place.call("DPoP", &token, &with(bad)).proto(proto).send().await, "use_dpop_nonce");
        }
    }
    assert_eq!(place.upstream.count(), 4);
}

#[tokio::test]
async fn instances_with_one_secret_accept_each_others_nonces() {
    let dpop = "dpop = { mode = \"required\", nonce = true, nonce_secret_file = \"nonce.key\" }";
    let secret = |setup: Setup, text: &str| setup.file("nonce.key", text);
    let one = Place::with(dpop, |setup| secret(setup, "0123456789abcdef0123456789abcdef")).await;
    let other = Place::with(dpop, |setup| secret(setup, "0123456789abcdef0123456789abcdef")).await;
    let stranger = Place::with(dpop, |setup| secret(setup, "fedcba9876543210fedcba9876543210")).await;
    let token = one.token();
    let nonce = one.send("DPoP", &token, &[one.prover.proof("GET", "/api/x", &token)]).await.header("dpop-nonce").to_owned();
    for (place, good) in [(&other, true), (&stranger, false)] {
        let token = place.token();
        let answer = place.send("DPoP", &token, &[place.prover.proof_but("GET", "/api/x", &token, "nonce", json!(nonce))]).await;
        assert_eq!(answer.status == 200, good);
    }
}

#[tokio::test]
async fn who_is_refused_is_told_what_to_send() {
    for (dpop, words) in [("dpop = \"optional\"", vec!["Bearer", "DPoP"]), ("dpop = \"required\"", vec!["DPoP"]), ("", vec!["Bearer"])] {
        let place = Place::start(dpop).await;
        let answer = place.gate.get("/api/x").send().await;
        assert_eq!(answer.status, 401);
        let challenge = answer.header("www-authenticate");
        for word in ["Bearer realm=", "DPoP realm="] {
            assert_eq!(challenge.contains(word), words.iter().any(|known| word.starts_with(known)), "{dpop}: {challenge}");
        }
        assert_eq!(challenge.contains("algs=\"ES256 ES384 EdDSA PS256 RS256\""), words.contains(&"DPoP"), "{challenge}");
    }
}

#[tokio::test]
async fn only_the_algorithms_and_origins_of_the_settings_are_good() {
    let place = Place::start("dpop = { mode = \"required\", algorithms = [\"EdDSA\"], origins = [\"https://public.example\"] }").await;
    let ed = Prover::new("EdDSA");
    let token = place.bound(ed.confirmation());
    let answer = place.send("DPoP", &token, &[ed.proof_but("GET", "/api/x", &token, "htu", json!("https://public.example/api/x"))]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(place.send("DPoP", &token, &[ed.proof("GET", "/api/x", &token)]).await.status, 401, "the request's own host is not listed");
    let token = place.token();
    let proof = place.prover.proof_but("GET", "/api/x", &token, "htu", json!("https://public.example/api/x"));
    assert_eq!(place.send("DPoP", &token, &[proof]).await.status, 401, "ES256 is not listed");
}

#[tokio::test]
async fn what_a_token_is_bound_to_and_cannot_be_checked_is_refused() {
    let place = Place::start("dpop = \"optional\"").await;
    let jkt = place.prover.thumbprint();
    for confirmation in [
        json!(null),
        json!({}),
        json!("x"),
        json!({"jwk": place.prover.key.jwk()}),
        json!({"kid": "x"}),
        json!({"jkt": 7}),
        json!({"jkt": jkt, "jku": "https://x.example"}),
        json!({"x5t#S256": base64url([0; 32])}),
        json!({"x5t#S256": base64url([0; 32]), "jkt": jkt}),
    ] {
        let token = place.bound(confirmation.clone());
        for word in ["Bearer", "DPoP"] {
            let answer = place.send(word, &token, &[place.prover.proof("GET", "/api/x", &token)]).await;
            assert_eq!(answer.status, 401, "{word} {confirmation}");
        }
    }
    assert_eq!(place.upstream.count(), 0);
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_taken_on_its_connections_alone() {
    let place = Place::with("", |setup| {
        let authority = setup.ca.pem();
        setup.file("certs/ca.crt", &authority).with("tls", "client_auth = \"optional\"\nclient_ca = \"certs/ca.crt\"")
    })
    .await;
    let (own, other) = (place.gate.setup.ca.client_leaf("own"), place.gate.setup.ca.client_leaf("other"));
    let token = place.bound(json!({"x5t#S256": base64url(<sha2::Sha256 as sha2::Digest>::digest(&own.der))}));
    let plain = place.issuer.token(&claims("dora"));
    let ca = &place.gate.setup.ca;
    for proto in BOTH {
        for (config, good) in [(ca.client_config_with(&own), true), (ca.client_config_with(&other), false), (ca.client_config(&[]), false)] {
            for _ in 0..2 {
                let call = |token: &str| Call::new(place.gate.https, config.clone(), "GET", "/api/x").proto(proto).bearer(token);
                assert_eq!(call(&token).send().await.status == 200, good, "{proto:?}");
                assert_eq!(call(&plain).send().await.status, 200, "a token that is bound to nothing");
            }
        }
    }
}

#[tokio::test]
async fn two_tokens_in_two_places_are_refused_also_when_one_is_proved() {
    let place = Place::start("dpop = \"optional\"\nheader = \"X-Token\"").await;
    let token = place.token();
    let call = |other: &str| place.call("DPoP", &token, &[place.prover.proof("GET", "/api/x", &token)]).header("X-Token", other);
    assert_eq!(call(&token).send().await.status, 200);
    assert_eq!(call(&place.issuer.token(&claims("root"))).send().await.status, 401);
}
