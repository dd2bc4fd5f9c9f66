//! Key sets against a real server that counts what it is asked. Time is told to them, never waited for.

mod vectors;

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::testing::Signer;
use super::*;
use crate::idp::provider::{Answer, Provider};

const SECOND: Duration = Duration::from_secs(1);

fn published(keys: &[Value]) -> Answer {
    Answer::Body(json!({ "keys": keys }).to_string())
}

struct World {
    provider: Provider,
    sets: KeySets,
    start: Instant,
}

impl World {
    async fn with(answer: Answer) -> Self {
        Self { provider: Provider::start(answer).await, sets: KeySets::new(Handle::current()), start: Instant::now() }
    }

    fn set(&self) -> Arc<KeySet> {
        self.sets.source(Source::Url { url: self.provider.url("/keys").parse().unwrap(), access: Access::default() }).unwrap()
    }

    fn discovered(&self, issuer: &str) -> Arc<KeySet> {
        self.sets.source(Source::Issuer { issuer: issuer.to_owned(), url: issuer.parse().unwrap(), access: Access::default() }).unwrap()
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + SECOND * u32::try_from(seconds).unwrap()
    }
}

fn knows(keyring: &Keyring, kid: &str) -> bool {
    keyring.candidates(Some(kid), Algorithm::EdDSA).next().is_some()
}

/// Waits until no refresh runs.
async fn settled(set: &Arc<KeySet>) {
    let mut concluded = set.concluded.subscribe();
    while set.progress().running {
        concluded.changed().await.unwrap();
    }
}

#[tokio::test]
async fn many_at_once_cost_one_fetch() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let set = world.set();
    let all = futures_util::future::join_all((0..1000).map(|_| set.keyring(world.start))).await;
    assert!(all.into_iter().all(|keyring| knows(&keyring.unwrap(), "a")));
    assert_eq!(world.provider.hits(), 1);
}

#[tokio::test]
async fn ten_thousand_unknown_names_cost_one_fetch_in_each_cooldown_and_valid_users_nothing() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    // The first fetch brought a key, so one more is granted; it brings none, and then the cool-down holds.
    for name in 0..5000 {
        let keyring = set.renewed(world.at(1)).await.unwrap();
        assert!(!knows(&keyring, &name.to_string()) && knows(&keyring, "a"));
    }
    assert_eq!(world.provider.hits(), 2);
    for name in 0..5000 {
        let keyring = set.renewed(world.at(30)).await.unwrap();
        assert!(!knows(&keyring, &name.to_string()) && knows(&keyring, "a"));
    }
    assert_eq!(world.provider.hits(), 2, "the last fetch was less than a cool-down ago");
    for round in [31, 61] {
        let all = futures_util::future::join_all((0..5000).map(|_| set.renewed(world.at(round)))).await;
        assert!(all.into_iter().all(|keyring| keyring.is_ok()));
    }
    assert_eq!(world.provider.hits(), 4);
}

#[tokio::test]
async fn the_cooldown_holds_for_an_empty_set_and_after_a_failure() {
    let world = World::with(published(&[])).await;
    let set = world.set();
    for _ in 0..100 {
        assert!(!knows(&set.keyring(world.start).await.unwrap(), "a"));
        set.renewed(world.at(1)).await.unwrap();
    }
    assert_eq!(world.provider.hits(), 1);
    world.provider.answer(Answer::Status(500));
    for seconds in [31, 32, 60] {
        set.renewed(world.at(seconds)).await.unwrap_err();
    }
    assert_eq!(world.provider.hits(), 2, "a failed attempt counts as one");
    set.renewed(world.at(61)).await.unwrap_err();
    assert_eq!(world.provider.hits(), 3);
}

#[tokio::test]
async fn a_rotation_is_picked_up_by_an_unknown_name() {
    let world = World::with(published(&[Signer::ed25519().named("old")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    // Nothing is new yet: whoever asks now starts a cool-down.
    assert!(!knows(&set.renewed(world.at(1)).await.unwrap(), "new"));
    world.provider.answer(published(&[Signer::ed25519().named("new")]));
    assert!(!knows(&set.renewed(world.at(30)).await.unwrap(), "new"));
    let keyring = set.renewed(world.at(31)).await.unwrap();
    assert!(knows(&keyring, "new") && !knows(&keyring, "old"));
    assert!(knows(&set.keyring(world.at(32)).await.unwrap(), "new"));
}

#[tokio::test]
async fn an_issuer_that_rotates_all_the_time_is_followed_as_long_as_each_fetch_brings_a_key() {
    let world = World::with(published(&[Signer::ed25519().named("0")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    for second in 1..20 {
        world.provider.answer(published(&[Signer::ed25519().named(&second.to_string())]));
        assert!(knows(&set.renewed(world.at(second)).await.unwrap(), &second.to_string()), "{second}");
    }
    assert_eq!(world.provider.hits(), 20);
    // The same keys in another order, or under another wrapping, are no news.
    set.renewed(world.at(20)).await.unwrap();
    world.provider.answer(Answer::Body(json!({"keys": [], "more": 1}).to_string()));
    set.renewed(world.at(50)).await.unwrap();
    set.renewed(world.at(51)).await.unwrap();
    assert_eq!(world.provider.hits(), 22);
}

#[tokio::test]
async fn one_key_under_another_name_is_news_and_the_same_set_rewritten_is_not() {
    let (one, two) = (Signer::ed25519(), Signer::rsa());
    let world = World::with(published(&[one.named("a"), two.named("b")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    world.provider.answer(published(&[two.named("b"), one.named("a")]));
    set.renewed(world.at(1)).await.unwrap();
    world.provider.answer(published(&[two.named("c")]));
    assert!(!knows(&set.renewed(world.at(2)).await.unwrap(), "c"), "the set that was only sorted anew brought no news");
    let keyring = set.renewed(world.at(31)).await.unwrap();
    assert_eq!(keyring.candidates(Some("c"), Algorithm::RS256).count(), 1);
    set.renewed(world.at(32)).await.unwrap();
    assert_eq!(world.provider.hits(), 4);
}

#[tokio::test]
async fn old_keys_serve_while_they_are_refreshed_behind() {
    let world = World::with(published(&[Signer::ed25519().named("old")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    world.provider.answer(published(&[Signer::ed25519().named("new")]));
    assert!(knows(&set.keyring(world.at(299)).await.unwrap(), "old"));
    settled(&set).await;
    assert_eq!(world.provider.hits(), 1);
    assert!(knows(&set.keyring(world.at(300)).await.unwrap(), "old"), "nobody waits for a refresh while there are keys");
    settled(&set).await;
    assert!(knows(&set.keyring(world.at(301)).await.unwrap(), "new"));
    assert_eq!(world.provider.hits(), 2);
}

#[tokio::test]
async fn nobody_waits_for_a_provider_that_became_slow() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    world.provider.answer(Answer::Silence);
    for _ in 0..100 {
        assert!(knows(&set.keyring(world.at(400)).await.unwrap(), "a"));
    }
    assert!(set.progress().running);
}

#[tokio::test]
async fn keys_outlive_failures_up_to_a_bound() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    for bad in [Answer::Status(500), Answer::HangUp, Answer::Body("<html>".to_owned()), Answer::Endless, Answer::Redirect("/keys".to_owned())] {
        world.provider.answer(bad.clone());
        let now = set.progress().attempted.unwrap() + REFRESH_AFTER;
        let failures = set.progress().failures;
        assert!(knows(&set.keyring(now).await.unwrap(), "a"));
        settled(&set).await;
        assert_eq!(set.progress().failures, failures + 1, "{bad:?}");
        assert!(knows(&set.keyring(now).await.unwrap(), "a"), "{bad:?}");
    }
    assert!(knows(&set.keyring(world.at(3599)).await.unwrap(), "a"));
    settled(&set).await;
    let error = set.keyring(world.at(3601)).await.unwrap_err();
    assert!(error.to_string().contains("302"), "{error}");
    world.provider.answer(published(&[Signer::ed25519().named("b")]));
    assert!(knows(&set.keyring(world.at(3603)).await.unwrap(), "b"), "and they are back a second after the provider");
}

#[tokio::test]
async fn a_provider_that_is_down_at_the_start_is_found_within_a_second_of_its_return() {
    let world = World::with(Answer::HangUp).await;
    let set = world.set();
    assert!(set.keyring(world.start).await.is_err());
    assert!(set.keyring(world.start).await.is_err(), "not asked again at once");
    assert_eq!(set.progress().failures, 1);
    assert!(set.renewed(world.at(1)).await.is_err());
    assert_eq!(set.progress().failures, 2, "no cool-down of 30 s before there are keys");
    world.provider.answer(published(&[Signer::ed25519().named("a")]));
    assert!(knows(&set.keyring(world.at(2)).await.unwrap(), "a"));
    let status = world.sets.status();
    assert_eq!((status[0].keys, status[0].failures_total, status[0].last_error.as_deref()), (1, 2, None));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_end_the_fetch_of_the_others() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let set = world.set();
    {
        let waiting = set.keyring(world.start);
        futures_util::pin_mut!(waiting);
        assert!(futures_util::poll!(waiting).is_pending());
    }
    assert!(knows(&set.keyring(world.start).await.unwrap(), "a"));
    assert_eq!(world.provider.hits(), 1);
}

#[test]
fn nobody_waits_for_a_runtime_that_is_gone() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (gone, here) = (runtime(), runtime());
    let sets = KeySets::new(gone.handle().clone());
    let set = sets.source(Source::Url { url: "http://127.0.0.1:1/".parse().unwrap(), access: Access::default() }).unwrap();
    drop(gone);
    let error = here.block_on(set.keyring(Instant::now())).unwrap_err();
    assert!(error.to_string().contains("cut off"), "{error}");
}

#[tokio::test]
async fn discovery_finds_the_keys_by_either_standard() {
    let world = World::with(Answer::Status(404)).await;
    let issuer = world.provider.url("/realm/");
    let metadata = Answer::Body(json!({"issuer": issuer, "jwks_uri": world.provider.url("/keys"), "extra": 1}).to_string());
    world.provider.answer_at("/keys", published(&[Signer::ed25519().named("a")]));
    world.provider.answer_at("/.well-known/oauth-authorization-server/realm", metadata.clone());
    assert!(knows(&world.discovered(&issuer).keyring(world.start).await.unwrap(), "a"));
    assert_eq!(world.provider.hits(), 3);
    world.provider.answer_at("/realm/.well-known/openid-configuration", metadata);
    assert!(knows(&world.discovered(&issuer).keyring(world.start).await.unwrap(), "a"));
    assert_eq!(world.provider.hits(), 5);
}

#[tokio::test]
async fn metadata_that_cannot_be_trusted_gives_no_keys() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let (issuer, keys) = (world.provider.url("/realm"), world.provider.url("/keys"));
    for metadata in [
        json!({"issuer": format!("{issuer}/"), "jwks_uri": keys}),
        json!({"issuer": "https://evil.example", "jwks_uri": keys}),
        json!({"issuer": [issuer], "jwks_uri": keys}),
        json!({"jwks_uri": keys}),
        json!({"issuer": issuer}),
        json!({"issuer": issuer, "jwks_uri": "http://keys.example/"}),
        json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": issuer, "jwks_uri": "/keys"}),
        json!([]),
    ] {
        world.provider.answer_at("/realm/.well-known/openid-configuration", Answer::Body(metadata.to_string()));
        let hits = world.provider.hits();
        assert!(world.discovered(&issuer).keyring(world.start).await.is_err(), "{metadata}");
        assert_eq!(world.provider.hits(), hits + 1, "the key set is not even asked for: {metadata}");
    }
}

#[tokio::test]
async fn a_name_that_two_keys_bear_is_tried_with_each_up_to_a_bound() {
    let (one, two) = (Signer::ed25519(), Signer::ed25519());
    let mut keys = vec![one.named("a"), Signer::p256().named("a"), two.named("a")];
    keys.extend((0..10).map(|_| Signer::ed25519().named("a")));
    let world = World::with(published(&keys)).await;
    let keyring = world.set().keyring(world.start).await.unwrap();
    let signature = two.sign(Algorithm::EdDSA, "x");
    assert!(keyring.candidates(Some("a"), Algorithm::EdDSA).any(|key| key.verifies(Algorithm::EdDSA, b"x", &signature)));
    assert_eq!(keyring.candidates(Some("a"), Algorithm::EdDSA).count(), MAX_SAME_KID);
    assert_eq!(keyring.candidates(None, Algorithm::EdDSA).count(), MAX_WITHOUT_KID);
    assert_eq!(keyring.candidates(Some("a"), Algorithm::ES256).count(), 1);
    assert_eq!(keyring.candidates(Some("a"), Algorithm::RS256).count(), 0);
    assert_eq!(keyring.candidates(Some("A"), Algorithm::EdDSA).count(), 0);
}

#[tokio::test]
async fn equal_sources_share_a_set_and_unused_ones_are_dropped() {
    let world = World::with(published(&[Signer::ed25519().named("a"), json!({"kty": "oct"})])).await;
    let set = world.set();
    set.keyring(world.start).await.unwrap();
    world.set().keyring(world.start).await.unwrap();
    assert_eq!(world.provider.hits(), 1);
    let status = world.sets.status();
    assert_eq!(status.len(), 1);
    assert_eq!((status[0].keys, status[0].skipped), (1, 1));
    assert!(status[0].age_seconds.is_some());
    drop(set);
    assert!(world.sets.status().is_empty());
}

#[tokio::test]
async fn prefetching_asks_once_and_does_not_wait() {
    let world = World::with(published(&[Signer::ed25519().named("a")])).await;
    let set = world.set();
    world.sets.prefetch();
    settled(&set).await;
    world.sets.prefetch();
    settled(&set).await;
    assert_eq!(world.provider.hits(), 1);
}

#[tokio::test]
async fn a_file_is_read_again_and_a_broken_one_leaves_the_old_keys_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let sets = KeySets::new(Handle::current());
    let source = || sets.source(Source::File(path.clone()));
    assert!(source().is_err(), "a missing file is found when the configuration is loaded");
    write("{}");
    assert!(source().is_err());
    write(&json!({"keys": [Signer::ed25519().named("a")]}).to_string());
    let set = source().unwrap();
    let start = Instant::now();
    for (content, seconds, kid, failures) in [
        (json!({"keys": [Signer::ed25519().named("b")]}).to_string(), 10, "b", 0),
        ("{\"keys\":".to_owned(), 20, "b", 1),
        (" ".repeat(70_000), 86_400, "b", 2),
        (json!({"keys": [Signer::ed25519().named("c")]}).to_string(), 90_000, "c", 2),
    ] {
        write(&content);
        set.keyring(start + SECOND * seconds).await.unwrap();
        settled(&set).await;
        assert!(knows(&set.keyring(start + SECOND * seconds).await.unwrap(), kid), "{kid} at {seconds}");
        assert_eq!(sets.status()[0].failures_total, failures);
    }
    assert_eq!(set.progress().attempted, Some(start + SECOND * 90_000));
}
