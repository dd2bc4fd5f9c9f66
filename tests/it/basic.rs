//! User name and password, RFC 7617.

use crate::support::client::BOTH;
use crate::support::world::{PASSWORD, World};
use crate::support::{base64, within};

#[tokio::test]
async fn the_right_password_opens_and_the_name_arrives() {
    let world = World::start().await;
    for proto in BOTH {
        for _ in 0..3 {
            assert_eq!(world.get("/basic/x").proto(proto).basic("bob", PASSWORD).send().await.status, 200);
            let seen = world.upstream.only();
            assert_eq!(seen.user(), Some("bob"));
            assert!(!seen.has("authorization"));
        }
    }
    for prefix in ["basic", "BASIC"] {
        let value = format!("{prefix} {}", base64(format!("bob:{PASSWORD}")));
        assert_eq!(world.get("/basic/x").header("Authorization", value).send().await.status, 200);
    }
}

#[tokio::test]
async fn anything_but_the_right_password_is_refused_in_one_way() {
    let world = World::start().await;
    // The right one is remembered by now; that must help nobody else.
    world.get("/basic/x").basic("bob", PASSWORD).send().await;
    let mut bodies = Vec::new();
    for (user, password) in [
        ("bob", "wrong"),
        ("nobody", PASSWORD),
        ("BOB", PASSWORD),
        ("tom", PASSWORD),
        ("", PASSWORD),
        ("bob", ""),
        ("bob", &PASSWORD[1..]),
        ("bob\0", PASSWORD),
    ] {
        let answer = world.get("/basic/x").basic(user, password).send().await;
        assert_eq!(answer.status, 401, "{user}:{password}");
        assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{:?}", answer.headers);
        bodies.push(answer.code());
    }
    // An unknown user and a wrong password look alike.
    assert_eq!(bodies[0], bodies[1]);
    for value in ["Basic", "Basic ", "Basic !!!", "Basic Ym9i", "Basic Ym9iOng=x", "Basic Ym9iOng= y", "Basic /////w==", "Digest username=\"bob\""] {
        assert_eq!(world.get("/basic/x").header("Authorization", value).send().await.status, 401, "{value}");
    }
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_password_may_hold_colons_and_letters_of_any_language() {
    let world = World::start().await;
    let password = "pässwörd:mit:Doppelpunkt 鍵 0123";
    world.setup.cli_ok(&["user", "add", "jörg", "--password-stdin"], &format!("{password}\n"));
    assert_eq!(world.get("/basic/x").basic("jörg", password).send().await.status, 200);
    assert_eq!(world.upstream.only().user(), Some("jörg"));
}

#[tokio::test]
async fn a_changed_password_ends_the_old_one_and_a_disabled_user_is_out() {
    let world = World::with(|setup| setup.section("cache", "max_age = \"1s\"\nnegative_max_age = \"1s\"")).await;
    let status = async |password: &str| world.get("/basic/x").basic("bob", password).send().await.status.as_u16();
    assert_eq!(status(PASSWORD).await, 200);
    world.setup.cli_ok(&["user", "passwd", "bob", "--password-stdin"], "an entirely new password 9\n");
    within("the old password's end", async {
        while status(PASSWORD).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
    within("the new password", async {
        while status("an entirely new password 9").await != 200 {
            crate::support::breathe().await
        }
    })
    .await;
    world.setup.cli_ok(&["user", "disable", "bob"], "");
    within("the user being out", async {
        while status("an entirely new password 9").await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn guessing_does_not_keep_others_waiting() {
    let world = World::start().await;
    // Who came in before is remembered; nobody else's guesses lock him out.
    assert_eq!(world.get("/basic/x").basic("bob", PASSWORD).send().await.status, 200);
    let guesses = futures_util::future::join_all((0..40).map(|at| world.get("/basic/x").basic("bob", &format!("guess{at}")).send()));
    let others = async {
        for _ in 0..20 {
            assert_eq!(world.get("/public/x").send().await.status, 200);
        }
    };
    let (answers, ()) = tokio::join!(guesses, others);
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 401 | 503 | 429)));
    assert_eq!(world.get("/basic/x").basic("bob", PASSWORD).send().await.status, 200);
}
