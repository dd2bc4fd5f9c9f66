//! Several issuers in one scheme: each with its own keys and rules, and a token is judged by those of its own alone.

use serde_json::{Value, json};

use crate::support::client::BOTH;
use crate::support::gateway::Gateway;
use crate::support::idp::{Key, Provider, jwks};
use crate::support::now;
use crate::support::setup::Setup;
use crate::support::upstream::{Act, Upstream, answer};
use crate::support::within;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123";

fn claims(issuer: &str, audience: &str, more: Value) -> Value {
    let mut claims = json!({"iss": issuer, "aud": audience, "sub": "carol", "iat": now(), "exp": now() + 300});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

async fn status(gate: &Gateway, token: &str) -> u16 {
    gate.get("/jwt/x").bearer(token).send().await.status.as_u16()
}

async fn gate(upstream: &Upstream, scheme: &str, files: &[(&str, &str)]) -> Gateway {
    let setup = files.iter().fold(Setup::new(&upstream.url()), |setup, (name, text)| setup.file(name, text));
    setup.rest(scheme).route("/jwt/**", &["corp"]).start().await
}

#[tokio::test]
async fn a_token_is_judged_by_the_rules_of_its_own_issuer_alone() {
    let upstream = Upstream::echo();
    let (a, b) = (Key::generate("same", "ES256"), Key::generate("same", "EdDSA"));
    let provider = Provider::start(&[&b]);
    let shared = Key::secret("same", SECRET);
    let found = provider.issuer();
    let scheme = format!(
        r#"
[auth.corp.jwt]
audience = ["orders"]
issuers = [
    {{ issuer = "https://a.example", jwks_file = "a.json" }},
    "{found}",
    {{ issuer = "legacy", secret_file = "hs.key", audience = ["billing"], user_claim = "name" }},
]
"#
    );
    let gate = gate(&upstream, &scheme, &[("a.json", &jwks(&[&a])), ("hs.key", SECRET)]).await;
    let legacy = |audience: &str| claims("legacy", audience, json!({"name": "lea"}));
    for proto in BOTH {
        for (token, user) in [
            (a.token(&claims("https://a.example", "orders", json!({}))), "carol"),
            (b.token(&claims(&found, "orders", json!({}))), "carol"),
            (shared.token(&legacy("billing")), "lea"),
        ] {
            for _ in 0..2 {
                let answer = gate.get("/jwt/x").proto(proto).bearer(&token).send().await;
                assert_eq!(answer.status, 200, "{user}: {}", answer.text());
                assert_eq!(upstream.only().user(), Some(user));
            }
        }
        for (what, token) in [
            ("signed by another issuer's key", a.token(&claims(&found, "orders", json!({})))),
            ("signed by another issuer's key", b.token(&claims("https://a.example", "orders", json!({})))),
            ("signed with another issuer's secret", shared.token(&claims("https://a.example", "orders", json!({})))),
            ("signed by a public key for a secret", a.token(&legacy("billing"))),
            ("for another issuer's audience", shared.token(&legacy("orders"))),
            ("for another issuer's audience", a.token(&claims("https://a.example", "billing", json!({})))),
            ("of an unknown issuer", a.token(&claims("https://c.example", "orders", json!({})))),
            ("of two issuers", a.token(&claims("https://a.example", "orders", json!({"iss": ["https://a.example", found]})))),
            ("of no issuer", a.token(&claims("https://a.example", "orders", json!({"iss": null})))),
            ("of an issuer that is spelled otherwise", a.token(&claims("https://a.example/", "orders", json!({})))),
        ] {
            assert_eq!(gate.get("/jwt/x").proto(proto).bearer(&token).send().await.status, 401, "{what}");
        }
    }
    assert_eq!(upstream.count(), 6 * BOTH.len());
}

#[tokio::test]
async fn an_issuer_that_is_down_holds_up_none_of_the_others() {
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let provider = Provider::start(&[&key]);
    provider.mood(crate::support::idp::Mood::Down);
    let scheme = format!(
        "[auth.corp.jwt]\naudience = [\"orders\"]\nissuers = [\"{}\", {{ issuer = \"https://a.example\", jwks_file = \"a.json\" }}]",
        provider.issuer()
    );
    let gate = gate(&upstream, &scheme, &[("a.json", &jwks(&[&key]))]).await;
    assert_eq!(status(&gate, &key.token(&claims("https://a.example", "orders", json!({})))).await, 200);
    assert_eq!(status(&gate, &key.token(&claims(&provider.issuer(), "orders", json!({})))).await, 503);
    assert_eq!(status(&gate, &key.token(&claims("https://c.example", "orders", json!({})))).await, 401);
}

/// Metadata at one of the two well-known places, and nothing at the other.
fn discovery(place: &'static str, path: &'static str, keys: String) -> Upstream {
    Upstream::scripted(move |seen| {
        let issuer = format!("http://{}{path}", seen.one("host"));
        let reply = |body: String| Act::Reply(answer("200 OK", &["Content-Type: application/json"], body));
        if seen.target == place {
            return reply(json!({"issuer": issuer, "jwks_uri": format!("http://{}/keys", seen.one("host"))}).to_string());
        }
        if seen.target == "/keys" { reply(keys.clone()) } else { Act::Reply(answer("404 Not Found", &[], "")) }
    })
}

#[tokio::test]
async fn metadata_is_found_in_both_of_its_places() {
    let key = Key::generate("k", "ES256");
    for (place, path) in [
        ("/.well-known/openid-configuration", ""),
        ("/.well-known/oauth-authorization-server", ""),
        ("/realms/x/.well-known/openid-configuration", "/realms/x"),
        ("/.well-known/oauth-authorization-server/realms/x", "/realms/x"),
    ] {
        let (upstream, provider) = (Upstream::echo(), discovery(place, path, jwks(&[&key])));
        let issuer = format!("{}{path}", provider.url());
        let gate = gate(&upstream, &format!("[auth.corp.jwt]\nissuer = \"{issuer}\"\naudience = [\"orders\"]"), &[]).await;
        assert_eq!(status(&gate, &key.token(&claims(&issuer, "orders", json!({})))).await, 200, "{place}");
        assert_eq!(status(&gate, &key.token(&claims(&provider.url(), "orders", json!({})))).await == 200, path.is_empty(), "{place}");
    }
}

fn one_issuer(more: &str) -> String {
    format!("[auth.corp.jwt]\nissuer = \"https://a.example\"\njwks_file = \"a.json\"\naudience = [\"orders\"]\n{more}")
}

#[tokio::test]
async fn a_token_that_is_no_access_token_is_refused_unless_any_will_do() {
    let key = Key::generate("k", "ES256");
    let of = |more: Value| claims("https://a.example", "orders", more);
    let typed = |typ: &str, claims: &Value| key.raw(&json!({"alg": "ES256", "kid": "k", "typ": typ}).to_string(), &claims.to_string());
    let profile = json!({"client_id": "web", "jti": "1"});
    let mut nameless = of(profile.clone());
    nameless.as_object_mut().unwrap().remove("jti");
    // What the token is, and whether access, rfc9068 and any take it.
    let table = [
        ("plain", typed("JWT", &of(json!({}))), [true, false, true]),
        ("an access token of RFC 9068", typed("at+jwt", &of(profile.clone())), [true, true, true]),
        ("the same in full", typed("application/AT+JWT", &of(profile.clone())), [true, true, true]),
        ("of another type", typed("JWT", &of(profile.clone())), [true, false, true]),
        ("without jti", typed("at+jwt", &nameless), [true, false, true]),
        ("an ID token", typed("JWT", &of(json!({"at_hash": "x", "nonce": "y"}))), [false, false, true]),
        ("an ID token with a code", typed("JWT", &of(json!({"c_hash": "x"}))), [false, false, true]),
        ("an ID token as Cognito says", typed("JWT", &of(json!({"token_use": "id"}))), [false, false, true]),
        ("an access token as Cognito says", typed("JWT", &of(json!({"token_use": "access"}))), [true, false, true]),
        ("an ID token as Keycloak says", typed("JWT", &of(json!({"typ": "ID"}))), [false, false, true]),
        ("a refresh token as Keycloak says", typed("JWT", &of(json!({"typ": "Refresh"}))), [false, false, true]),
        ("an access token as Keycloak says", typed("JWT", &of(json!({"typ": "Bearer"}))), [true, false, true]),
        ("a logout token", typed("JWT", &of(json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}))), [false, false, true]),
        ("a logout token by type", typed("logout+jwt", &of(json!({}))), [false, false, false]),
        ("an ID token in disguise", typed("at+jwt", &of(json!({"client_id": "web", "jti": "1", "at_hash": "x"}))), [false, false, true]),
    ];
    for (at, token_type) in ["access", "rfc9068", "any"].into_iter().enumerate() {
        let upstream = Upstream::echo();
        let gate = gate(&upstream, &one_issuer(&format!("token_type = \"{token_type}\"")), &[("a.json", &jwks(&[&key]))]).await;
        for (what, token, taken) in &table {
            assert_eq!(status(&gate, token).await == 200, taken[at], "{what}, {token_type}");
        }
    }
}

#[tokio::test]
async fn only_tokens_of_the_listed_clients_are_taken() {
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let gate = gate(&upstream, &one_issuer("authorized_parties = [\"web\", \"app\"]"), &[("a.json", &jwks(&[&key]))]).await;
    for (more, good) in [
        (json!({"azp": "web"}), true),
        (json!({"client_id": "app"}), true),
        (json!({"azp": "web", "client_id": "app"}), true),
        (json!({"azp": "web", "client_id": "other"}), false),
        (json!({"azp": "other", "client_id": "app"}), false),
        (json!({"azp": "other"}), false),
        (json!({"azp": "WEB"}), false),
        (json!({"azp": ["web"]}), false),
        (json!({"azp": null, "client_id": "web"}), false),
        (json!({}), false),
    ] {
        assert_eq!(status(&gate, &key.token(&claims("https://a.example", "orders", more.clone()))).await == 200, good, "{more}");
    }
}

#[tokio::test]
async fn a_token_whose_name_is_listed_is_refused_within_a_second_also_when_it_was_seen_before() {
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let gate = gate(&upstream, &one_issuer("revoked_file = \"revoked\""), &[("a.json", &jwks(&[&key])), ("revoked", "# nobody yet\nold\n")]).await;
    let named = |name: Value| key.token(&claims("https://a.example", "orders", json!({ "jti": name })));
    let (one, two) = (named(json!("one")), named(json!("two")));
    assert_eq!((status(&gate, &one).await, status(&gate, &two).await), (200, 200));
    for refused in [named(json!("old")), named(json!(null)), named(json!(7)), key.token(&claims("https://a.example", "orders", json!({})))] {
        assert_eq!(status(&gate, &refused).await, 401);
    }
    gate.setup.write("revoked", "old\none\n");
    within("the list being read", async {
        while status(&gate, &one).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
    assert_eq!(status(&gate, &two).await, 200);
    std::fs::remove_file(gate.setup.path("revoked")).unwrap();
    within("its loss being noticed", async {
        while !gate.output().contains("a list of revoked tokens could not be read") {
            assert_eq!((status(&gate, &one).await, status(&gate, &two).await), (401, 200), "a list that vanished goes on");
        }
    })
    .await;
    assert_eq!((status(&gate, &one).await, status(&gate, &two).await), (401, 200));
}

#[tokio::test]
async fn encrypted_tokens_are_refused_and_nobody_is_asked_for_them() {
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let provider = Provider::start(&[&key]);
    let gate = gate(&upstream, &format!("[auth.corp.jwt]\nissuer = \"{}\"\naudience = [\"orders\"]", provider.issuer()), &[]).await;
    assert_eq!(status(&gate, &key.token(&claims(&provider.issuer(), "orders", json!({})))).await, 200);
    let fetched = provider.hits();
    // RFC 7516 appendix A.1, and a PBES2 header with a count that would keep a reader busy for hours.
    let header =
        crate::support::base64url(json!({"alg": "PBES2-HS512+A256KW", "p2c": 2_000_000_000, "enc": "A256GCM", "iss": provider.issuer()}).to_string());
    for proto in BOTH {
        for token in [
            "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ".to_owned(),
            format!("{header}.AAAA.BBBB.CCCC.DDDD"),
        ] {
            let answer = gate.get("/jwt/x").proto(proto).bearer(&token).send().await;
            assert_eq!(answer.status, 401);
        }
    }
    assert_eq!((provider.hits(), upstream.count()), (fetched, 1));
}
