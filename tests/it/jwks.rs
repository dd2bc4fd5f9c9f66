//! Keys of an issuer: fetched when needed, changed when the issuer changes them, never waited for by everyone at once.

use crate::support::client::{Answer, Proto};
use crate::support::gateway::Gateway;
use crate::support::idp::{AUDIENCE, Key, Mood, Provider, claims_but};
use crate::support::setup::Setup;
use crate::support::upstream::{Upstream, answer};
use crate::support::within;

struct Place {
    gate: Gateway,
    upstream: Upstream,
    provider: Provider,
    key: Key,
}

/// A gateway that learns keys by discovery, or from the key set's own address.
async fn place(discovery: bool, mood: Mood) -> Place {
    let (upstream, key) = (Upstream::echo(), Key::generate("one", "ES256"));
    let provider = Provider::start(&[&key]);
    provider.mood(mood);
    let source = if discovery { String::new() } else { format!("jwks_url = \"{}\"\n", provider.jwks_url()) };
    let scheme = format!("[auth.corp.jwt]\nissuer = \"{}\"\n{source}audience = [\"{AUDIENCE}\"]", provider.issuer());
    let gate = Setup::new(&upstream.url()).rest(&scheme).route("/jwt/**", &["corp"]).public("/public/**").start().await;
    Place { gate, upstream, provider, key }
}

impl Place {
    fn token(&self, key: &Key, user: &str) -> String {
        key.token(&claims_but(user, "iss", self.provider.issuer().into()))
    }

    async fn call(&self, key: &Key, user: &str) -> Answer {
        self.gate.get("/jwt/x").bearer(&self.token(key, user)).send().await
    }
}

#[tokio::test]
async fn keys_are_found_by_discovery_and_by_address() {
    for discovery in [true, false] {
        let place = place(discovery, Mood::Well).await;
        assert_eq!(place.call(&place.key, "carol").await.status, 200, "discovery {discovery}");
        let fetched = place.provider.hits();
        for user in ["a", "b", "c"] {
            assert_eq!(place.call(&place.key, user).await.status, 200);
        }
        assert_eq!(place.provider.hits(), fetched, "known keys are not fetched again");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_at_the_start_delays_nothing_and_lets_nobody_in() {
    for mood in [Mood::Down, Mood::Says(answer("500 No", &[], "")), Mood::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!".to_vec())] {
        let place = place(false, mood.clone()).await;
        assert_eq!(place.gate.get("/public/x").send().await.status, 200);
        let answer = place.call(&place.key, "carol").await;
        assert_eq!(answer.status, 503, "{mood:?}");
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(place.upstream.take().len(), 1);
        assert_eq!(place.gate.admin("/livez").send().await.status, 200);
        place.provider.mood(Mood::Well);
        within("the provider being asked again", async {
            while place.call(&place.key, "carol").await.status != 200 {
                crate::support::breathe().await
            }
        })
        .await;
        assert_eq!(place.upstream.take().last().unwrap().user(), Some("carol"));
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_holds_up_only_its_own_callers() {
    let place = place(false, Mood::Silent).await;
    let waiting = place.call(&place.key, "carol");
    let others = async {
        for _ in 0..20 {
            assert_eq!(place.gate.get("/public/x").send().await.status, 200);
        }
    };
    let (answer, ()) = tokio::join!(waiting, others);
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn a_new_key_is_picked_up_and_an_old_one_serves_while_the_provider_is_down() {
    let place = place(true, Mood::Well).await;
    assert_eq!(place.call(&place.key, "carol").await.status, 200);
    let second = Key::generate("two", "ES256");
    place.provider.rotate(&[&place.key, &second]);
    within("the new key being known", async {
        while place.call(&second, "dora").await.status != 200 {
            crate::support::breathe().await
        }
    })
    .await;
    place.provider.mood(Mood::Down);
    for user in ["e", "f"] {
        assert_eq!(place.call(&place.key, user).await.status, 200);
        assert_eq!(place.call(&second, user).await.status, 200);
    }
}

#[tokio::test]
async fn unknown_key_ids_cause_at_most_one_fetch_in_a_while() {
    let place = place(false, Mood::Well).await;
    assert_eq!(place.call(&place.key, "carol").await.status, 200);
    let before = place.provider.hits();
    let stranger = Key::generate("x", "ES256");
    let calls = (0..60).map(|at| {
        let mut key = Key::generate("x", "EdDSA");
        key.kid = format!("unknown-{at}");
        let (token, gate) = (place.token(&key, "mallory"), &place.gate);
        async move { place_status(gate, &token).await }
    });
    let all = futures_util::future::join_all(calls).await;
    assert!(all.iter().all(|status| *status == 401 || *status == 503), "{all:?}");
    assert!(place.provider.hits() <= before + 1, "{} fetches", place.provider.hits() - before);
    assert_eq!(place_status(&place.gate, &place.token(&stranger, "m")).await, 401);
    assert_eq!(place.call(&place.key, "dora").await.status, 200);
}

#[tokio::test]
async fn of_an_issuer_that_rotates_every_second_no_valid_token_is_refused() {
    let place = place(true, Mood::Well).await;
    let keys: Vec<Key> = (0..8).map(|at| Key::generate(&format!("key-{at}"), "ES256")).collect();
    let published = std::sync::atomic::AtomicUsize::new(0);
    // How many requests with a token by the newest key were let in.
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    place.provider.rotate(&[&keys[0]]);
    // The issuer: at each tick another key is published beside the last one, and signs from that moment on.
    let rotate = async {
        let mut second = tokio::time::interval(std::time::Duration::from_secs(1));
        for at in 1..keys.len() {
            second.tick().await;
            place.provider.rotate(&[&keys[at - 1], &keys[at]]);
            published.store(at, order);
            sent.store(0, order);
            // However slow the machine: each key is used before the next is published.
            while sent.load(order) < 10 {
                crate::support::breathe().await;
            }
        }
    };
    // Its users: each with a new token by the newest key, over both protocols.
    let load = |worker: usize| {
        let (place, keys, published, sent) = (&place, &keys, &published, &sent);
        async move {
            let mut sender = place.gate.get("/jwt/x").proto(if worker.is_multiple_of(2) { Proto::H1 } else { Proto::H2 }).connect().await;
            for number in 0.. {
                let newest = published.load(order);
                let token = place.token(&keys[newest], &format!("user-{worker}-{number}"));
                let proto = if worker.is_multiple_of(2) { Proto::H1 } else { Proto::H2 };
                let answer = place.gate.get("/jwt/x").proto(proto).bearer(&token).send_on(&mut sender).await.unwrap();
                // A request may have been on its way while the key after the next was published.
                let in_time = published.load(order) <= newest + 1;
                assert!(answer.status == 200 || !in_time, "by key {newest}: {}", answer.text());
                if published.load(order) == newest {
                    sent.fetch_add(1, order);
                }
            }
        }
    };
    let all = futures_util::future::join_all((0..6).map(load));
    tokio::select! {
        () = within("eight keys", rotate) => {}
        _ = all => panic!("the load ended"),
    }
    assert_eq!(published.load(order), keys.len() - 1);
    assert!(place.provider.hits() >= keys.len(), "{} fetches", place.provider.hits());
}

#[tokio::test]
async fn ten_thousand_unknown_key_ids_cost_the_issuer_one_fetch_and_its_users_nothing() {
    let place = place(false, Mood::Well).await;
    assert_eq!(place.call(&place.key, "carol").await.status, 200);
    // The one fetch that follows on new keys is used up by the first of them.
    let stranger = Key::generate("x", "EdDSA");
    let forged = |at: usize| {
        let header = serde_json::json!({"alg": "EdDSA", "kid": format!("unknown-{at}")}).to_string();
        stranger.raw(&header, &claims_but("mallory", "iss", place.provider.issuer().into()).to_string())
    };
    assert_eq!(place_status(&place.gate, &forged(0)).await, 401);
    let before = place.provider.hits();
    let flood = |worker: usize| {
        let (place, forged) = (&place, &forged);
        async move {
            let proto = if worker.is_multiple_of(2) { Proto::H1 } else { Proto::H2 };
            let mut sender = place.gate.get("/jwt/x").proto(proto).connect().await;
            for at in 0..1000 {
                let call = place.gate.get("/jwt/x").proto(proto).bearer(&forged(worker * 1000 + at + 1));
                let answer = call.send_on(&mut sender).await.unwrap();
                assert_eq!(answer.status, 401, "{}", answer.text());
                if at % 100 == 0 {
                    assert_eq!(place.call(&place.key, &format!("user-{worker}-{at}")).await.status, 200);
                }
            }
        }
    };
    let began = std::time::Instant::now();
    futures_util::future::join_all((0..10).map(flood)).await;
    let cooldowns = usize::try_from(began.elapsed().as_secs() / 30).unwrap() + 1;
    let fetches = place.provider.hits() - before;
    assert!(fetches <= cooldowns, "{fetches} fetches in {cooldowns} cool-downs");
}

async fn place_status(gate: &Gateway, token: &str) -> u16 {
    gate.get("/jwt/x").bearer(token).send().await.status.as_u16()
}

#[tokio::test]
async fn many_callers_at_once_share_one_fetch() {
    let place = place(false, Mood::Well).await;
    let tokens: Vec<String> = (0..40).map(|at| place.token(&place.key, &format!("user{at}"))).collect();
    let all = futures_util::future::join_all(tokens.iter().map(|token| place_status(&place.gate, token))).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
    assert!(place.provider.hits() <= 2, "{} fetches", place.provider.hits());
}

#[tokio::test]
async fn a_key_set_of_odd_keys_yields_the_usable_ones() {
    let place = place(false, Mood::Down).await;
    let good = place.key.jwk();
    let mut encrypting = Key::generate("enc", "ES256").jwk();
    encrypting["use"] = "enc".into();
    let odd = serde_json::json!({"keys": [
        {"kty": "RSA", "kid": "broken", "n": "!!", "e": "AQAB"}, {"kty": "oct", "kid": "secret", "k": "AAAA"}, {"kty": "XYZ"}, {}, encrypting, good,
    ]});
    place.provider.mood(Mood::Says(answer("200 OK", &["Content-Type: application/json"], odd.to_string())));
    within("the key set being read", async {
        while place.call(&place.key, "carol").await.status != 200 {
            crate::support::breathe().await
        }
    })
    .await;
    let mut empty_secret = Key::secret("secret", "\0\0\0");
    empty_secret.kid = "secret".into();
    assert_eq!(place.call(&empty_secret, "root").await.status, 401);
}

#[tokio::test]
async fn a_key_set_is_taken_from_its_own_address_and_not_too_much_of_it() {
    let elsewhere = Upstream::echo();
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}/jwks\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    let huge = answer("200 OK", &[], format!("{{\"keys\":[],\"pad\":\"{}\"}}", "x".repeat(80 * 1024)));
    for bytes in [redirect.into_bytes(), huge, answer("200 OK", &[], "{\"keys\":[]}"), answer("200 OK", &[], "[]")] {
        let place = place(false, Mood::Says(bytes)).await;
        let status = place.call(&place.key, "carol").await.status.as_u16();
        assert!(matches!(status, 401 | 503), "{status}");
        assert_eq!(place.upstream.count(), 0);
    }
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_not_believed() {
    let (upstream, key) = (Upstream::echo(), Key::generate("one", "ES256"));
    let provider = Provider::start(&[&key]);
    let liar = Upstream::echo();
    let jwks_url = provider.jwks_url();
    liar.script(move |_| {
        let body = serde_json::json!({"issuer": "https://other.example/", "jwks_uri": jwks_url}).to_string();
        crate::support::upstream::Act::Reply(answer("200 OK", &[], body))
    });
    let scheme = format!("[auth.corp.jwt]\nissuer = \"{}\"\naudience = [\"{AUDIENCE}\"]", liar.url());
    let gate = Setup::new(&upstream.url()).rest(&scheme).route("/jwt/**", &["corp"]).start().await;
    let token = key.token(&claims_but("carol", "iss", liar.url().into()));
    let status = place_status(&gate, &token).await;
    assert!(matches!(status, 401 | 503), "{status}");
    assert_eq!((upstream.count(), provider.hits()), (0, 0));
}
