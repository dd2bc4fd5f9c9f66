//! What a revocation ends, what it leaves alone, and for how long.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::types::HumanDuration;

fn list() -> Revocations {
    Revocations::new(&CacheSettings::default())
}

fn signed(user: &str, token: &str, claims: Value) -> Subject {
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap();
    Subject { user: user.to_owned(), origin: Origin::of_signed_token(token, &claims), claims, ..Subject::default() }
}

fn stored(user: &str, token: &str) -> Subject {
    Subject { user: user.to_owned(), origin: Origin::Store { token: digest(token) }, ..Subject::default() }
}

#[tokio::test]
async fn a_token_ends_and_no_other() {
    let list = list();
    let one = signed("alice", "one", json!({"iss": "a", "jti": "1", "iat": unix_now() + 60}));
    let two = signed("alice", "two", json!({"iss": "a", "jti": "2", "iat": unix_now() + 60}));
    let theirs = signed("bob", "three", json!({"iss": "b", "jti": "2", "iat": unix_now() + 60}));
    assert!([&one, &two, &theirs].into_iter().all(|subject| list.permits(subject).unwrap()));
    list.revoke(&[Revocation::Token("one")]).await.unwrap();
    assert_eq!([&one, &two, &theirs].map(|subject| list.permits(subject).unwrap()), [false, true, true]);
    list.revoke(&[Revocation::TokenId { issuer: "a", jti: "2" }]).await.unwrap();
    assert_eq!([&one, &two, &theirs].map(|subject| list.permits(subject).unwrap()), [false, false, true]);
    assert!(!list.is_outdated("alice", 0), "what is known of the user still holds");
}

#[tokio::test]
async fn a_token_of_the_store_ends_by_itself_or_by_its_id() {
    let list = list();
    let (one, two) = (stored("alice", "dw_one"), stored("alice", "dw_two"));
    let id_of_two: String = digest("dw_two").iter().take(6).map(|byte| format!("{byte:02X}")).collect();
    list.revoke(&[Revocation::Token("dw_one")]).await.unwrap();
    assert_eq!([&one, &two].map(|subject| list.permits(subject).unwrap()), [false, true]);
    list.revoke(&[Revocation::StoredToken(&id_of_two)]).await.unwrap();
    assert_eq!([&one, &two].map(|subject| list.permits(subject).unwrap()), [false, false]);
    let same_id = signed("alice", "dw_two", json!({"iat": unix_now() + 60}));
    assert!(list.permits(&same_id).unwrap(), "an id is one of the store's");
}

#[tokio::test]
async fn a_users_tokens_end_that_were_issued_before_and_later_ones_are_good() {
    let list = list();
    let now = unix_now();
    list.revoke(&[Revocation::User("alice")]).await.unwrap();
    for (claims, user, good) in [
        (json!({"iat": now - 3600}), "alice", false),
        (json!({"iat": now}), "alice", false),
        (json!({"iat": now + 2}), "alice", true),
        (json!({"iat": (now - 1) as f64 + 0.5}), "alice", false),
        (json!({}), "alice", false),
        (json!({"iat": "soon"}), "alice", false),
        (json!({"iat": now - 3600}), "alice2", true),
        (json!({"iat": now - 3600}), "Alice", true),
    ] {
        assert_eq!(list.permits(&signed(user, "t", claims.clone())).unwrap(), good, "{user} {claims}");
    }
    // Whoever can be asked again is asked again, and decides.
    assert!(list.permits(&stored("alice", "dw_x")).unwrap());
    let introspected = Subject { user: "alice".to_owned(), origin: Origin::of_known_token("t", &Map::new()), ..Subject::default() };
    assert!(list.permits(&introspected).unwrap());
    assert!(list.is_outdated("alice", 0) && !list.is_outdated("bob", 0));
    assert!(!list.is_outdated("alice", list.generation()));
}

#[tokio::test]
async fn a_key_ends_and_its_users_tokens_do_not() {
    let list = list();
    let key = |name: &str| Subject { user: "shop".to_owned(), origin: Origin::Key { name: name.into() }, ..Subject::default() };
    list.revoke(&[Revocation::Key("aspnet")]).await.unwrap();
    assert_eq!(["aspnet", "Aspnet", "shop"].map(|name| list.permits(&key(name)).unwrap()), [false, true, true]);
    assert!(list.permits(&signed("aspnet", "t", json!({}))).unwrap());
    assert!(list.permits(&Subject { user: "aspnet".to_owned(), ..Subject::default() }).unwrap());
}

#[tokio::test]
async fn to_have_facts_asked_for_anew_ends_no_token() {
    let list = list();
    let (before, alice) = (list.generation(), signed("alice", "t", json!({})));
    list.revoke(&[Revocation::FactsAbout("alice")]).await.unwrap();
    assert!(list.permits(&alice).unwrap() && list.is_outdated("alice", before));
    assert!(list.is_older("alice", unix_millis()) && list.is_older("alice", unix_millis() + CLOCKS - 1000));
    assert!(!list.is_older("alice", unix_millis() + CLOCKS + 1000) && !list.is_older("bob", 0));
}

#[test]
fn what_has_passed_is_forgotten_and_what_is_known_changes_nothing() {
    let list = list();
    let revoked = |user: &str, at, keep| Revoked { name: Revocation::User(user).name(), at, keep };
    list.list(&[revoked("alice", 1, 100), revoked("bob", 1, 200)], 50).unwrap();
    let generation = list.generation();
    list.list(&[revoked("alice", 1, 100), revoked("bob", 0, 200)], 50).unwrap();
    assert_eq!((list.generation(), list.len()), (generation, 2), "the same list, read again");
    list.list(&[revoked("alice", 2, 300)], 50).unwrap();
    assert!(list.is_outdated("alice", generation) && !list.is_outdated("bob", generation));
    list.list(&[revoked("carol", 1, 40)], 50).unwrap();
    assert_eq!(list.len(), 2, "it has passed already");
    assert_eq!(list.all(201), [revoked("alice", 2, 300)]);
}

#[test]
fn debug_shows_no_token() {
    let shown = format!("{:?} {:?}", Revocation::Token("s3cret-token"), Revocation::User("alice"));
    assert!(!shown.contains("s3cret") && !shown.contains("alice") && shown.contains("Token"), "{shown}");
}

#[tokio::test]
async fn a_revocation_is_kept_as_long_as_configured() {
    let cache = CacheSettings { keep_revocations: HumanDuration::from_secs(100), ..CacheSettings::default() };
    let list = Revocations::new(&cache);
    list.revoke(&[Revocation::User("alice")]).await.unwrap();
    let now = unix_now();
    assert_eq!((list.all(now + 98).len(), list.all(now + 102).len()), (1, 0));
}

proptest! {
    /// Loads and revocations in any order: what was loaded before a revocation about its user is never believed after it.
    #[test]
    fn a_fact_is_believed_only_if_nothing_about_its_user_came_after_its_load_began(
        steps in prop::collection::vec((0_usize..4, 0_usize..3), 1..60)
    ) {
        let (list, users) = (list(), ["a", "b", "c"]);
        // When the load of each user's latest fact began, and when the user was revoked last, by the number of the step.
        let (mut begun, mut revoked) = (HashMap::<&str, (usize, u64)>::new(), HashMap::<&str, usize>::new());
        for (step, (what, user)) in steps.into_iter().enumerate() {
            let user = users[user];
            match what {
                0 => { begun.insert(user, (step, list.generation())); }
                1 | 2 => {
                    let revocation = if what == 1 { Revocation::User(user) } else { Revocation::FactsAbout(user) };
                    let at = i64::try_from(step).unwrap();
                    list.list(&[Revoked { name: revocation.name(), at, keep: i64::MAX }], 0).unwrap();
                    revoked.insert(user, step);
                }
                _ => {}
            }
            for (user, (at, generation)) in &begun {
                let overtaken = revoked.get(user).is_some_and(|revoked| revoked > at);
                prop_assert_eq!(list.is_outdated(user, *generation), overtaken, "{}", user);
            }
        }
    }
}
