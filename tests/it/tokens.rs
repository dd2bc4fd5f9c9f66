//! Opaque tokens: shown once, stored as a hash, good until revoked or over.

use serde_json::Value;

use crate::support::client::BOTH;
use crate::support::within;
use crate::support::world::World;

fn issue(world: &World, arguments: &[&str]) -> Value {
    let all = [&["token", "issue", "--json"], arguments].concat();
    serde_json::from_str(&world.setup.cli_ok(&all, "")).unwrap()
}

async fn status(world: &World, token: &str) -> u16 {
    world.get("/token/x").bearer(token).send().await.status.as_u16()
}

#[tokio::test]
async fn a_token_stands_for_its_user() {
    let world = World::start().await;
    for proto in BOTH {
        assert_eq!(world.get("/token/x").proto(proto).bearer(&world.token).send().await.status, 200);
        let seen = world.upstream.only();
        assert_eq!(seen.user(), Some("tom"));
        assert!(!seen.has("authorization"));
    }
}

#[tokio::test]
async fn a_token_that_was_changed_or_never_given_out_is_refused() {
    let world = World::start().await;
    let good = world.token.clone();
    let mut tokens: Vec<String> =
        vec!["x".into(), "0".repeat(64), good.to_uppercase(), format!("{good}x"), good[1..].to_owned(), format!("{good}%00")];
    tokens.push(good[..good.len() - 1].to_owned());
    tokens.push("x".repeat(20_000));
    for token in tokens.iter().filter(|token| **token != good) {
        let status = status(&world, token).await;
        assert!(matches!(status, 401 | 431), "{token:.40}: {status}");
    }
    for value in [format!("Token {good}"), good.clone(), format!("Bearer {good} {good}"), format!("Bearer {good},")] {
        assert_eq!(world.get("/token/x").header("Authorization", &value).send().await.status, 401, "{value}");
    }
    assert_eq!(world.get(&format!("/token/x?access_token={good}")).send().await.status, 401);
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_token_ends_in_its_time_although_it_is_remembered() {
    let world = World::start().await;
    let issued = issue(&world, &["--user", "tom", "--ttl", "2s"]);
    assert!(!issued["expires_at"].is_null(), "{issued}");
    let token = issued["token"].as_str().unwrap();
    assert_eq!(status(&world, token).await, 200);
    within("the token's end", async {
        while status(&world, token).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn revoking_a_token_ends_it() {
    let world = World::with(|setup| setup.section("cache", "max_age = \"1s\"\nnegative_max_age = \"1s\"")).await;
    assert_eq!(status(&world, &world.token).await, 200);
    let listed = world.setup.cli_ok(&["token", "list"], "");
    assert!(listed.contains("tom") && !listed.contains(&world.token), "{listed}");
    let id = listed.lines().find(|line| line.contains("tom")).unwrap().split_whitespace().next().unwrap().to_owned();
    world.setup.cli_ok(&["token", "revoke", &id], "");
    within("the revocation being known", async {
        while status(&world, &world.token).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_of_a_disabled_user_are_refused() {
    let world = World::with(|setup| setup.section("cache", "max_age = \"1s\"\nnegative_max_age = \"1s\"")).await;
    assert_eq!(status(&world, &world.token).await, 200);
    world.setup.cli_ok(&["user", "disable", "tom"], "");
    within("the change being known", async {
        while status(&world, &world.token).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn the_store_holds_no_token_and_no_password() {
    let world = World::start().await;
    for entry in std::fs::read_dir(world.setup.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().unwrap().to_string_lossy().starts_with("doorward.db") {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [world.token.as_str(), crate::support::world::PASSWORD] {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
            }
        }
    }
}
