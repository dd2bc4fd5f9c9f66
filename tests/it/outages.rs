//! A source is killed and started again under load: what is known goes on, everything else is 503, and nothing else is ever
//! said. Nothing is restarted.

use serde_json::{Value, json};

use crate::support::client::Call;
use crate::support::databases::{Database, Kind};
use crate::support::django;
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::idp::{AUDIENCE, Key, Mood, Provider, claims_but};
use crate::support::introspection::{Introspection, Manner};
use crate::support::load::{Stream, through_an_outage};
use crate::support::redis::Redis;
use crate::support::relay::{Relay, Way};
use crate::support::servers::Server;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, now, within};

/// What is learned is believed for the whole test, or not at all.
const REMEMBERS: &str = "max_age = \"1h\"\nnegative_max_age = \"0s\"";
const FORGETS: &str = "max_age = \"0s\"\nnegative_max_age = \"0s\"";

const HELD: &[u16] = &[200];
const REFUSED: &[u16] = &[401];
const UNKNOWN: &[u16] = &[503];

fn bearer(gate: &Gateway, token: &str) -> Call {
    gate.get("/x").bearer(token)
}

/// The three streams of opaque tokens: one that is known, those that nobody gave out, one that is asked for each time.
fn tokens<'a>(remembers: &'a Gateway, forgets: &'a Gateway, token: &'a str) -> Vec<Stream<'a>> {
    vec![
        Stream::new("a token that is known", HELD, HELD, move |_| bearer(remembers, token)),
        Stream::new("a token that nobody gave out", REFUSED, UNKNOWN, move |number| bearer(remembers, &format!("made-up-{number}"))),
        Stream::new("a token that is not remembered", HELD, UNKNOWN, move |_| bearer(forgets, token)),
        Stream::new("a request that asks for nobody", HELD, HELD, move |_| remembers.get("/public/x")),
    ]
}

/// Two gateways with one scheme: the first remembers, the second does not. The first has seen `token`.
async fn gateways(upstream: &Upstream, token: &str, setup: impl Fn(Setup) -> Setup) -> [Gateway; 2] {
    let start = async |cache: &str| {
        let setup = setup(Setup::new(&upstream.url()).section("cache", cache));
        setup.public("/public/**").route("/**", &["tested"]).start().await
    };
    let both = [start(REMEMBERS).await, start(FORGETS).await];
    within("the token being known", async {
        while bearer(&both[0], token).send().await.status != 200 {
            breathe().await;
        }
    })
    .await;
    both
}

#[tokio::test]
async fn an_introspection_server_is_killed_and_started_under_load() {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    server.gives("tok", "alice");
    let scheme = format!(
        "[auth.tested.token]\nsource = \"introspection\"\nintrospection_url = \"{}\"\nclient_id = \"gate\"\nclient_secret_file = \"client\"",
        server.url()
    );
    let [one, two] = gateways(&upstream, "tok", |setup| setup.file("client", "introspection-secret-7c1f").rest(&scheme)).await;
    through_an_outage(&tokens(&one, &two, "tok"), async || server.manner(Manner::Down), async || server.manner(Manner::Well)).await;
}

#[tokio::test]
async fn a_table_of_tokens_goes_down_and_comes_back_under_load() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::users(&database).await;
        django::toolkit(&database, true).await;
        django::toolkit_token(&database, true, "tok", "2099-01-01 00:00:00", "1").await;
        let relay = Relay::to(database.address(), Way::Open);
        let url = database.url_through(&relay);
        let scheme = format!("[auth.tested.token]\nsource = \"sql\"\n[auth.tested.token.sql]\nurl = {url:?}\npreset = \"django-oauth-toolkit\"");
        let [one, two] = gateways(&upstream, "tok", |setup| setup.rest(&scheme)).await;
        through_an_outage(&tokens(&one, &two, "tok"), async || relay.cut().await, async || relay.set(Way::Open)).await;
    }
}

#[tokio::test]
async fn the_store_goes_down_and_comes_back_under_load() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = Database::fresh(kind).await;
        let relay = Relay::to(database.address(), Way::Open);
        let url = database.url_through(&relay);
        assert_store(&database.url, &url, async || relay.cut().await, async || relay.set(Way::Open)).await;
    }
}

#[tokio::test]
async fn a_database_server_is_killed_and_started_under_load() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let server = tokio::sync::Mutex::new(Server::start(kind).await);
        let url = server.lock().await.database.url.clone();
        assert_store(&url, &url, async || server.lock().await.kill(), async || server.lock().await.restart().await).await;
    }
}

/// Doorward's own store, which the test reaches by the URL `direct`, and the gateways by `url`.
async fn assert_store(direct: &str, url: &str, fall: impl AsyncFnOnce(), rise: impl AsyncFnOnce()) {
    let upstream = Upstream::echo();
    let setup = |url: &str, cache: &str| {
        Setup::new(&upstream.url())
            .section("store", &format!("url = {url:?}"))
            .section("cache", cache)
            .rest("[auth.tested.token]\nsource = \"store\"\n[auth.keys.fost]\n[auth.configured.fost]")
            .rest(&format!("[auth.configured.fost.keys.{}]\nsecret_file = \"configured\"", fost::KEY))
            .file("configured", fost::SECRET)
            .public("/public/**")
            .route("/fost/**", &["keys"])
            .route("/configured/**", &["configured"])
            .route("/**", &["tested"])
    };
    let direct = setup(direct, REMEMBERS);
    let of = |text: String, name: &str| serde_json::from_str::<Value>(&text).unwrap()[name].as_str().unwrap().to_owned();
    let token = of(direct.cli_ok(&["token", "issue", "--user", "tom", "--json"], ""), "token");
    let secret = of(direct.cli_ok(&["key", "add", "stored", "--json"], ""), "secret");
    let (one, two) = (setup(url, REMEMBERS).start().await, setup(url, FORGETS).start().await);
    let signed =
        |gate: &Gateway, target: &str, key: &str, secret: &str| gate.get(target).headers(&Fost::new().key(key, secret).sign("GET", target, b""));
    let key = |gate: &Gateway, name: &str| signed(gate, "/fost/x", name, &secret);
    assert_eq!((bearer(&one, &token).send().await.status, key(&one, "stored").send().await.status), (http::StatusCode::OK, http::StatusCode::OK));
    let mut streams = tokens(&one, &two, &token);
    streams.extend([
        Stream::new("a key that is known", HELD, HELD, |_| key(&one, "stored")),
        Stream::new("a key that is not remembered", HELD, UNKNOWN, |_| key(&two, "stored")),
        Stream::new("a key that nobody has", REFUSED, UNKNOWN, |number| key(&one, &format!("nobody-{number}"))),
        Stream::new("a known key's forged signature", REFUSED, REFUSED, |_| signed(&one, "/fost/x", "stored", "guess")),
        Stream::new("a key of the configuration", HELD, HELD, |_| signed(&two, "/configured/x", fost::KEY, fost::SECRET)),
    ]);
    through_an_outage(&streams, fall, rise).await;
}

#[tokio::test]
async fn an_issuer_is_killed_and_started_under_load_and_its_known_keys_go_on() {
    let (upstream, key) = (Upstream::echo(), Key::generate("one", "ES256"));
    let provider = Provider::start(&[&key]);
    let late = Provider::start(&[&key]);
    late.mood(Mood::Down);
    let scheme = |name: &str, provider: &Provider| format!("[auth.{name}.jwt]\nissuer = \"{}\"\naudience = [\"{AUDIENCE}\"]", provider.issuer());
    let setup = Setup::new(&upstream.url()).section("cache", FORGETS).rest(&scheme("tested", &provider)).rest(&scheme("late", &late));
    let gate = setup.route("/late/**", &["late"]).route("/**", &["tested"]).start().await;
    let token = |key: &Key, provider: &Provider, number: usize| key.token(&claims_but(&format!("user-{number}"), "iss", provider.issuer().into()));
    assert_eq!(bearer(&gate, &token(&key, &provider, 0)).send().await.status, 200);
    let stranger = Key::generate("stranger", "EdDSA");
    let streams = [
        Stream::new("tokens by a known key", HELD, HELD, |number| bearer(&gate, &token(&key, &provider, number))),
        // Whether there is such a key was asked a moment ago, or cannot be asked.
        Stream::new("tokens by a key that nobody has", REFUSED, &[401, 503], |number| bearer(&gate, &token(&stranger, &provider, number))),
        Stream::new("tokens of an issuer that was never there", UNKNOWN, UNKNOWN, |number| gate.get("/late/x").bearer(&token(&key, &late, number))),
    ];
    through_an_outage(&streams, async || provider.mood(Mood::Down), async || provider.mood(Mood::Well)).await;
    late.mood(Mood::Well);
    within("the issuer that was never there", async {
        while gate.get("/late/x").bearer(&token(&key, &late, 0)).send().await.status != 200 {
            breathe().await;
        }
    })
    .await;
}

#[tokio::test]
async fn redis_is_killed_and_started_under_load() {
    let redis = tokio::sync::Mutex::new(Redis::start().await);
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let setup = Setup::new(&upstream.url())
        .section("cache", &format!("{REMEMBERS}\nshared = \"{}\"", redis.lock().await.url()))
        .file("configured", fost::SECRET)
        .file("jwks.json", &crate::support::idp::jwks(&[&key]))
        .rest(&format!("[auth.keys.fost]\n[auth.keys.fost.keys.{}]\nsecret_file = \"configured\"", fost::KEY))
        .rest(&format!("[auth.corp.jwt]\nissuer = \"{}\"\njwks_file = \"jwks.json\"\naudience = [\"{AUDIENCE}\"]", crate::support::idp::ISSUER))
        .rest("[auth.tested.token]\nsource = \"store\"")
        .public("/public/**")
        .route("/jwt/**", &["corp"])
        .route("/fost/**", &["keys"])
        .route("/**", &["tested"]);
    let issued: Value = serde_json::from_str(&setup.cli_ok(&["token", "issue", "--user", "tom", "--json"], "")).unwrap();
    let (token, gate) = (issued["token"].as_str().unwrap(), setup.start().await);
    // Each is another request: its body says so.
    let once = |number: usize| {
        let mark = format!("{number}-{}", base64_of_a_random_number());
        let headers = Fost::new().signing("X-Mark", &mark).sign("POST", "/fost/x", b"body");
        gate.call("POST", "/fost/x").headers(&headers).body("body")
    };
    let repeated = once(0);
    within("the shared store", async {
        while once(1).send().await.status != 200 {
            breathe().await;
        }
    })
    .await;
    assert_eq!(repeated.clone().send().await.status, 200);
    let streams =
        [
            Stream::new("a signature that is good once", HELD, UNKNOWN, once),
            Stream::new("a signature that was used", REFUSED, &[401, 503], |_| repeated.clone()),
            Stream::new("a signed GET", HELD, HELD, |_| gate.get("/fost/x").headers(&Fost::new().sign("GET", "/fost/x", b""))),
            Stream::new("a token of the store", HELD, HELD, |_| bearer(&gate, token)),
            // Served until the list of revocations is too old; that takes longer than this outage.
            Stream::new("a JWT", HELD, HELD, |number| {
                gate.get("/jwt/x").bearer(&key.token(
                    &json!({"iss": crate::support::idp::ISSUER, "aud": AUDIENCE, "sub": format!("u{number}"), "iat": now(), "exp": now() + 300}),
                ))
            }),
            Stream::new("nobody", HELD, HELD, |_| gate.get("/public/x")),
        ];
    through_an_outage(&streams, async || redis.lock().await.kill(), async || redis.lock().await.restart().await).await;
}

fn base64_of_a_random_number() -> String {
    let mut bytes = [0; 9];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    crate::support::base64url(bytes)
}
