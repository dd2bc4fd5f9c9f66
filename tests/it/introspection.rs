//! Opaque tokens that another server knows: asked as seldom as is safe, and believed in nothing but its clear word.

use serde_json::{Value, json};

use crate::support::client::{Answer, BOTH};
use crate::support::gateway::Gateway;
use crate::support::idp::Key;
use crate::support::introspection::{Introspection, Manner};
use crate::support::setup::Setup;
use crate::support::upstream::{Upstream, answer};
use crate::support::{breathe, from_base64url, now, within};

const SECRET: &str = "introspection-secret-7c1f";

struct Place {
    gate: Gateway,
    upstream: Upstream,
    server: Introspection,
}

/// The scheme `remote` with `more` in it, on `/t/**`.
fn scheme(server: &Introspection, more: &str) -> String {
    let url = format!("introspection_url = \"{}\"\nclient_id = \"gate\"\nclient_secret_file = \"secrets/client\"", server.url());
    format!("[auth.remote.token]\nsource = \"introspection\"\n{url}\n{more}")
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::new(&upstream.url()).file("secrets/client", SECRET)
}

async fn place(cache: &str, more: &str) -> Place {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    let setup = setup(&upstream).section("cache", cache).rest(&scheme(&server, more));
    let gate = setup.route("/t/**", &["remote"]).public("/public/**").start().await;
    Place { gate, upstream, server }
}

const REMEMBER_NOTHING: &str = "max_age = \"0s\"\nnegative_max_age = \"0s\"";

impl Place {
    async fn call(&self, token: &str) -> Answer {
        self.gate.get("/t/x").bearer(token).send().await
    }

    async fn status(&self, token: &str) -> u16 {
        self.call(token).await.status.as_u16()
    }

    async fn until(&self, what: &str, token: &str, status: u16) {
        within(what, async {
            while self.status(token).await != status {
                breathe().await
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_token_that_the_server_knows_stands_for_its_user() {
    let place = place("", "").await;
    place.server.gives("tok-1", "alice");
    for proto in BOTH {
        assert_eq!(place.gate.get("/t/x").proto(proto).bearer("tok-1").send().await.status, 200);
        let seen = place.upstream.only();
        assert_eq!(seen.user(), Some("alice"));
        assert!(!seen.has("authorization"));
        assert_eq!(place.gate.get("/t/x").proto(proto).bearer("tok-2").send().await.status, 401);
    }
    let asked = place.server.asked();
    assert_eq!(asked.len(), 2, "each token once: {asked:?}");
    assert_eq!(asked[0].form, [("token", "tok-1"), ("token_type_hint", "access_token")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    let basic = format!("Basic {}", crate::support::base64(format!("gate:{SECRET}")));
    assert_eq!((asked[0].authorization.as_deref(), asked[0].accept.as_str()), (Some(basic.as_str()), "application/json"));
    assert_eq!(place.upstream.count(), 2);
}

#[tokio::test]
async fn doorward_says_who_it_is_in_each_of_four_ways() {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    server.gives("tok-1", "alice");
    let key = rcgen::KeyPair::generate().unwrap();
    let url = format!("source = \"introspection\"\nintrospection_url = \"{}\"\ntoken_type_hint = \"\"", server.url());
    let mut setup = setup(&upstream).file("secrets/key.pem", &key.serialize_pem());
    for (name, more) in [
        ("basic", "client_id = \"ga te\"\nclient_secret_file = \"secrets/client\""),
        ("post", "client_auth = \"post\"\nclient_id = \"gate\"\nclient_secret_file = \"secrets/client\""),
        ("bearer", "client_auth = \"bearer\"\nclient_secret_file = \"secrets/client\""),
        ("jwt", "client_id = \"gate\"\nprivate_key_file = \"secrets/key.pem\"\nprivate_key_id = \"k7\""),
    ] {
        setup = setup.rest(&format!("[auth.{name}.token]\n{url}\n{more}")).route(&format!("/{name}/**"), &[name]);
    }
    let gate = setup.start().await;
    for name in ["basic", "post", "bearer", "jwt"] {
        assert_eq!(gate.get(&format!("/{name}/x")).bearer("tok-1").send().await.status, 200, "{name}");
        let mut asked = server.asked();
        assert_eq!(asked.len(), 1, "what one scheme was told is not another's: {asked:?}");
        let asked = asked.remove(0);
        let of = |name: &str| asked.form.get(name).map(String::as_str);
        assert_eq!((of("token"), of("token_type_hint")), (Some("tok-1"), None));
        match name {
            "basic" => {
                let expected = format!("Basic {}", crate::support::base64(format!("ga+te:{SECRET}")));
                assert_eq!((asked.authorization.as_deref(), asked.form.len()), (Some(expected.as_str()), 1));
            }
            "post" => assert_eq!((of("client_id"), of("client_secret"), &asked.authorization), (Some("gate"), Some(SECRET), &None)),
            "bearer" => assert_eq!((asked.authorization, asked.form.len()), (Some(format!("Bearer {SECRET}")), 1)),
            _ => {
                assert_eq!(
                    (of("client_assertion_type"), &asked.authorization),
                    (Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), &None)
                );
                let assertion: Vec<&str> = of("client_assertion").unwrap().split('.').collect();
                let part = |at: usize| serde_json::from_slice::<Value>(&from_base64url(assertion[at])).unwrap();
                assert_eq!((part(0)["kid"].as_str(), part(0)["alg"].as_str()), (Some("k7"), Some("ES256")));
                assert_eq!((part(1)["sub"].as_str(), part(1)["aud"].as_str()), (Some("gate"), Some(server.url().as_str())));
                use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
                let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key_raw());
                public.verify(format!("{}.{}", assertion[0], assertion[1]).as_bytes(), &from_base64url(assertion[2])).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn everything_that_is_no_clear_word_is_503_and_is_not_remembered() {
    let place = place("negative_max_age = \"1h\"\nmax_age = \"1h\"", "").await;
    let good = r#"{"active":true,"username":"eve"}"#;
    let json = ["Content-Type: application/json"];
    let huge = format!(r#"{{"active":true,"username":"eve","x":"{}"}}"#, "x".repeat(70_000));
    let elsewhere = Upstream::scripted(move |_| crate::support::upstream::Act::Reply(answer("200 OK", &json, good)));
    let redirect = format!("Location: {}/introspect", elsewhere.url());
    let manners = [
        ("down", Manner::Down),
        ("500", Manner::Says(answer("500 No", &json, good))),
        ("401", Manner::Says(answer("401 No", &json, good))),
        ("201", Manner::Says(answer("201 Created", &json, good))),
        ("a redirect", Manner::Says(answer("307 There", &[redirect.as_str(), json[0]], good))),
        ("no media type", Manner::Says(answer("200 OK", &[], good))),
        ("HTML", Manner::Says(answer("200 OK", &["Content-Type: text/html"], good))),
        ("two media types", Manner::Says(answer("200 OK", &[json[0], "Content-Type: text/html"], good))),
        ("too long", Manner::Says(answer("200 OK", &json, huge))),
        (
            "cut off",
            Manner::Says(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"active\":true,\"username\":\"eve\"}".to_vec(),
            ),
        ),
        ("no HTTP", Manner::Says(b"garbage\r\n\r\n".to_vec())),
    ];
    let bodies = [
        "",
        "null",
        "[]",
        "true",
        "<html>",
        r#"{"active":"true","username":"eve"}"#,
        r#"{"active":1,"username":"eve"}"#,
        r#"{"active":null,"username":"eve"}"#,
        r#"{"username":"eve"}"#,
        r#"{"active":true,"username":"bob","username":"eve"}"#,
        r#"{"active":false,"active":true,"username":"eve"}"#,
        r#"{"active":false,"\u0061ctive":true,"username":"eve"}"#,
        r#"{"active":true,"username":"eve","exp":"4000000000"}"#,
        r#"{"active":true,"username":"eve","exp":-1}"#,
        r#"{"active":true,"username":"eve","aud":{"a":1}}"#,
        r#"{"active":true,"username":"eve","scope":7}"#,
        r#"{"active":true,"username":"eve"} x"#,
    ];
    let bodies = bodies.map(|body| (body, Manner::Says(answer("200 OK", &json, body))));
    for (what, manner) in manners.into_iter().chain(bodies) {
        place.server.manner(manner);
        for proto in BOTH {
            let said = place.gate.get("/t/x").proto(proto).bearer("tok-1").send().await;
            assert_eq!(said.status, 503, "{what} {proto:?}: {}", said.text());
            assert!(!said.header("retry-after").is_empty() && !said.headers.contains_key("www-authenticate"), "{what}");
        }
        assert_eq!(place.gate.get("/public/x").send().await.status, 200);
    }
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
    assert!(place.upstream.take().iter().all(|seen| seen.target == "/public/x"));
    place.server.manner(Manner::Well);
    assert_eq!(place.status("tok-1").await, 401);
    place.server.gives("tok-2", "bob");
    assert_eq!(place.status("tok-2").await, 200);
}

#[tokio::test]
async fn a_server_that_never_answers_holds_up_its_own_callers_alone() {
    let place = place("", "").await;
    place.server.manner(Manner::Silent);
    let others = async {
        for _ in 0..20 {
            assert_eq!(place.gate.get("/public/x").send().await.status, 200);
        }
    };
    let (status, ()) = tokio::join!(place.status("tok-1"), others);
    assert_eq!(status, 503);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_judged_on_every_request_also_of_one_that_is_remembered() {
    let place = place("max_age = \"1h\"", "audience = [\"orders\"]\nissuer = \"us\"\nleeway = \"5s\"").await;
    let (base, far) = (json!({"active": true, "username": "alice", "iss": "us", "aud": ["x", "orders"]}), now() + 1000);
    let with = |name: &str, value: Value| {
        let mut members = base.clone();
        members[name] = value;
        members
    };
    for (at, (members, status)) in [
        (base.clone(), 200),
        (with("aud", json!("orders")), 200),
        (with("exp", json!(far)), 200),
        (with("nbf", json!(now() - 5)), 200),
        (with("exp", json!(now() - 1)), 401),
        (with("exp", json!(0)), 401),
        (with("nbf", json!(far)), 401),
        (with("iat", json!(far)), 401),
        (with("aud", json!("order")), 401),
        (with("aud", json!([])), 401),
        (with("iss", json!("them")), 401),
        (with("username", json!("a\nb")), 401),
        (with("username", json!(7)), 401),
        (with("cnf", json!({"jkt": "x"})), 401),
        (with("token_type", json!("DPoP")), 401),
        (with("token_type", json!("refresh_token")), 401),
        (json!({"active": true, "username": "alice", "aud": "orders"}), 401),
        (json!({"active": true, "username": "alice", "iss": "us"}), 401),
        (json!({"active": true, "iss": "us", "aud": "orders"}), 401),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("tok-{at}");
        place.server.knows(&token, members.clone());
        for proto in BOTH {
            let said = place.gate.get("/t/x").proto(proto).bearer(&token).send().await;
            assert_eq!(said.status, status, "{members}: {}", said.text());
        }
        let hits = place.server.asked().len();
        assert_eq!(hits, 1, "{members}");
    }
    // Its own expiry ends a fact, however long facts may live.
    place.server.knows("short", with("exp", json!(now() + 2)));
    assert_eq!(place.status("short").await, 200);
    place.until("the token's end", "short", 401).await;
    assert_eq!(place.server.asked().len(), 1);
}

#[tokio::test]
async fn a_reload_that_tightens_a_rule_bites_at_once() {
    let place = place("max_age = \"1h\"", "").await;
    place.server.knows("tok", json!({"active": true, "username": "alice", "aud": "billing"}));
    assert_eq!(place.status("tok").await, 200);
    let text = place.gate.setup.config_text().replace("source = \"introspection\"", "source = \"introspection\"\naudience = \"orders\"");
    place.gate.setup.write("config.toml", &text);
    place.gate.signal("HUP");
    place.until("the new rule", "tok", 401).await;
}

#[tokio::test]
async fn mapped_claims_and_scopes_reach_policy_and_application() {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    let more = "user_claim = [\"ext.name\", \"client_id\"]\ngroups_claim = \"realm.roles\"\nemail_claim = \"ext.mail\"";
    let setup = setup(&upstream)
        .with("identity.headers", "\"X-Forwarded-Groups\" = \"groups\"\n\"X-Forwarded-Email\" = \"email\"\n\"X-Tenant\" = \"ext.tenant\"")
        .rest(&scheme(&server, more))
        .route("/t/**", &["remote"])
        .rest("[route.require]\nscopes = [\"write\"]\ngroups = [\"staff\"]\nclaims = { \"ext.tenant\" = [\"acme\"] }");
    let gate = setup.start().await;
    let good = json!({"active": true, "sub": "u-1", "client_id": "app", "scope": "read write", "realm": {"roles": ["staff"]},
        "ext": {"name": "zoë", "mail": "z@x.example", "tenant": "acme"}});
    let with = |path: &str, value: Value| {
        let mut members = good.clone();
        *members.pointer_mut(path).unwrap() = value;
        members
    };
    server.knows("good", good.clone());
    server.knows("machine", with("/ext/name", json!(null)));
    assert_eq!(gate.get("/t/x").bearer("good").send().await.status, 200);
    let seen = upstream.only();
    assert_eq!(
        (seen.user(), seen.one("X-Forwarded-Groups"), seen.one("X-Forwarded-Email"), seen.one("X-Tenant")),
        (Some("zoë"), "staff", "z@x.example", "acme")
    );
    assert_eq!(gate.get("/t/x").bearer("machine").send().await.status, 200);
    assert_eq!(upstream.only().user(), Some("app"));
    for (at, (path, value)) in [("/scope", json!("read")), ("/scope", json!("")), ("/realm/roles", json!(["Staff"])), ("/ext/tenant", json!("other"))]
        .into_iter()
        .enumerate()
    {
        server.knows(&format!("bad-{at}"), with(path, value));
        assert_eq!(gate.get("/t/x").bearer(&format!("bad-{at}")).send().await.status, 403, "{path}");
    }
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn many_who_bear_one_token_cause_one_question() {
    let place = place("", "").await;
    place.server.gives("tok", "alice");
    let calls = futures_util::future::join_all((0..40).map(|_| place.status("tok"))).await;
    assert!(calls.iter().all(|status| *status == 200), "{calls:?}");
    assert_eq!(place.server.asked().len(), 1);
    let calls = futures_util::future::join_all((0..40).map(|_| place.status("unknown"))).await;
    assert!(calls.iter().all(|status| *status == 401), "{calls:?}");
    assert_eq!(place.server.asked().len(), 1);
}

#[tokio::test]
async fn a_revoked_token_ends_within_the_age_of_facts_and_a_new_one_begins() {
    let place = place("max_age = \"1s\"\nnegative_max_age = \"1s\"", "").await;
    place.server.gives("tok", "alice");
    assert_eq!((place.status("tok").await, place.status("later").await), (200, 401));
    place.server.forgets("tok");
    place.server.gives("later", "bob");
    place.until("the revocation being known", "tok", 401).await;
    place.until("the new token being known", "later", 200).await;
}

#[tokio::test]
async fn what_is_known_serves_while_the_server_is_down_as_long_as_allowed_and_no_longer() {
    let place = place("max_age = \"1s\"\nstale_if_error = \"2s\"", "").await;
    place.server.gives("tok", "alice");
    assert_eq!(place.status("tok").await, 200);
    place.server.manner(Manner::Down);
    let hits = place.server.hits();
    // Past its age the server is asked again, in vain; the fact stands in.
    within("the server being asked again", async {
        while place.server.hits() == hits {
            assert_eq!(place.status("tok").await, 200);
            breathe().await;
        }
    })
    .await;
    place.until("the end of what may stand in", "tok", 503).await;
    place.server.manner(Manner::Well);
    place.until("the server being back", "tok", 200).await;
}

#[tokio::test]
async fn without_a_server_the_gate_starts_and_finds_it_when_it_comes() {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    server.manner(Manner::Down);
    server.gives("tok", "alice");
    let scheme = format!("[auth.remote.token]\nsource = \"introspection\"\nissuer = \"{}\"\nissuer_check = false", server.issuer());
    let scheme = format!("{scheme}\nclient_id = \"gate\"\nclient_secret_file = \"secrets/client\"");
    let gate = setup(&upstream).rest(&scheme).route("/t/**", &["remote"]).start().await;
    let place = Place { gate, upstream, server };
    assert_eq!(place.status("tok").await, 503);
    place.server.manner(Manner::Well);
    place.until("the server being found", "tok", 200).await;
    assert_eq!(place.server.asked().iter().filter(|asked| asked.form["token"] == "tok").count(), 1);
}

#[tokio::test]
async fn while_one_address_is_down_another_of_the_same_server_answers() {
    let (upstream, one, two) = (Upstream::echo(), Introspection::start(), Introspection::start());
    let urls = format!("introspection_url = [\"{}\", \"{}\"]", one.url(), two.url());
    let scheme = scheme(&one, "").replace(&format!("introspection_url = \"{}\"", one.url()), &urls);
    let gate = setup(&upstream).section("cache", REMEMBER_NOTHING).rest(&scheme).route("/t/**", &["remote"]).start().await;
    one.gives("tok", "alice");
    two.gives("tok", "alice");
    let status = || async { gate.get("/t/x").bearer("tok").send().await.status.as_u16() };
    assert_eq!((status().await, two.hits()), (200, 0));
    one.manner(Manner::Down);
    assert_eq!(status().await, 200);
    let hits = one.hits();
    assert_eq!((status().await, one.hits()), (200, hits), "the one that answered is asked first now");
    two.manner(Manner::Down);
    assert_eq!(status().await, 503);
    one.manner(Manner::Well);
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn of_several_token_schemes_the_first_that_knows_a_token_decides() {
    let (upstream, one, two) = (Upstream::echo(), Introspection::start(), Introspection::start());
    let second = scheme(&two, "").replace("auth.remote", "auth.second");
    let setup = setup(&upstream)
        .section("cache", REMEMBER_NOTHING)
        .rest(&scheme(&one, "audience = \"orders\""))
        .rest(&second)
        .rest("[auth.own.token]\nsource = \"store\"\n[auth.staff.basic]\nusers = \"store\"")
        .route("/t/**", &["remote", "staff", "second", "own"]);
    let issued: Value = serde_json::from_str(&setup.cli_ok(&["token", "issue", "--user", "tom", "--json"], "")).unwrap();
    let gate = setup.start().await;
    let status = |token: &str| {
        let call = gate.get("/t/x").bearer(token);
        async move { call.send().await.status.as_u16() }
    };
    two.gives("two", "bob");
    one.knows("both", json!({"active": true, "username": "alice", "aud": "orders"}));
    two.gives("both", "mallory");
    one.knows("elsewhere", json!({"active": true, "username": "alice", "aud": "billing"}));
    two.gives("elsewhere", "mallory");
    for (token, user) in [("two", "bob"), ("both", "alice"), (issued["token"].as_str().unwrap(), "tom")] {
        assert_eq!(status(token).await, 200, "{token}");
        assert_eq!(upstream.only().user(), Some(user));
    }
    let said = gate.get("/t/x").bearer("nobody").send().await;
    let invalid = said.headers.get_all("www-authenticate").iter().any(|value| value.to_str().unwrap().contains("invalid_token"));
    assert_eq!((said.status.as_u16(), invalid), (401, true));
    // Known to the first, and refused by its rules: nobody else is asked.
    let asked = two.hits();
    assert_eq!((status("elsewhere").await, two.hits()), (401, asked));
    // Nobody can say whether the first knows it: nobody else is asked, either.
    one.manner(Manner::Down);
    assert_eq!((status("two").await, two.hits()), (503, asked));
    one.manner(Manner::Well);
    two.manner(Manner::Down);
    assert_eq!((status("both").await, status("nobody").await), (200, 503));
    assert_eq!(upstream.count(), 4);
}

#[tokio::test]
async fn a_token_of_a_jwts_form_goes_to_no_server_unless_it_is_to() {
    let place = place("", "").await;
    place.server.gives("aaaa.bbbb.cccc", "alice");
    assert_eq!((place.status("aaaa.bbbb.cccc").await, place.server.hits()), (401, 0));
    let other = self::place("", "jwt_form = true").await;
    other.server.gives("aaaa.bbbb.cccc", "alice");
    assert_eq!(other.status("aaaa.bbbb.cccc").await, 200);
}

#[tokio::test]
async fn signed_answers_are_verified_and_plain_ones_not_taken_in_their_place() {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    server.gives("tok", "alice");
    let signed = format!("response = \"jwt\"\nissuer = \"{}\"\nissuer_check = false", server.issuer());
    let scheme = scheme(&server, &signed).replace(&format!("introspection_url = \"{}\"\n", server.url()), "");
    let gate = setup(&upstream).section("cache", REMEMBER_NOTHING).rest(&scheme).route("/t/**", &["remote"]).start().await;
    let place = Place { gate, upstream, server };
    assert_eq!(place.status("tok").await, 503);
    assert_eq!(place.server.asked()[0].accept, "application/token-introspection+jwt");
    place.server.signs(Key::generate("k1", "ES256"), "another");
    assert_eq!(place.status("tok").await, 503);
    place.server.signs(Key::generate("k1", "ES256"), "gate");
    place.until("the server's keys", "tok", 200).await;
    assert_eq!(place.status("unknown").await, 401);
    assert_eq!(place.upstream.take().last().unwrap().user(), Some("alice"));
}

#[tokio::test]
async fn no_output_holds_a_token_or_a_secret() {
    let place = place(REMEMBER_NOTHING, "query_parameter = \"access_token\"").await;
    place.gate.setup.write("config.toml", &format!("{}\n[log]\nlevel = \"trace\"", place.gate.setup.config_text()));
    place.gate.signal("HUP");
    place.server.gives("token-value-good-5521", "alice");
    for manner in [Manner::Well, Manner::Down, Manner::Says(answer("200 OK", &["Content-Type: application/json"], "{\"active\":7}"))] {
        place.server.manner(manner);
        for token in ["token-value-good-5521", "token-value-bad-5521"] {
            place.call(token).await;
            place.gate.get(&format!("/t/x?access_token={token}")).send().await;
        }
    }
    let output = format!("{}{}", place.gate.output(), place.gate.admin("/metrics").send().await.text());
    let basic = crate::support::base64(format!("gate:{SECRET}"));
    for secret in ["token-value-good-5521", "token-value-bad-5521", SECRET, basic.as_str()] {
        assert!(!output.contains(secret), "{secret} is in: {}", output.lines().find(|line| line.contains(secret)).unwrap());
    }
    assert!(output.contains("/t/x"));
}
