//! Who guesses passwords has to wait longer each time, by user and by address; everybody else comes in as before.

use crate::support::client::{Answer, BOTH};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, within};

/// Of `PASSWORD`.
const HASH: &str = "{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE=";
const PASSWORD: &str = "pässwörd 1";
const UNSEEN: &str = "the password was not looked at";

async fn gate(upstream: &Upstream) -> Gateway {
    let users: String = ["alice", "bob", "carol"].map(|name| format!("{name}:{HASH}\n")).concat();
    let setup = Setup::new(&upstream.url()).section("cache", "max_age = \"1h\"\nnegative_max_age = \"0s\"").file("users", &users);
    std::fs::set_permissions(setup.path("users"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    setup.rest("[auth.staff.basic]\nusers = \"htpasswd:users\"").route("/**", &["staff"]).start().await
}

async fn login(gate: &Gateway, user: &str, password: &str) -> Answer {
    gate.get("/x").basic(user, password).send().await
}

/// How many logins were refused without a look at the password.
fn unseen(gate: &Gateway) -> usize {
    gate.access().iter().filter(|line| line["cause"].as_str().is_some_and(|cause| cause.contains(UNSEEN))).count()
}

/// Waits until `user` is let in again.
async fn comes_in(gate: &Gateway, user: &str) {
    within(user, async {
        while login(gate, user, PASSWORD).await.status != 200 {
            breathe().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_whose_password_is_guessed_waits_and_nobody_else_does() {
    let upstream = Upstream::echo();
    let gate = gate(&upstream).await;
    let first = login(&gate, "alice", "guess").await;
    let mut last = first.status;
    // Names that nobody has are held up alike.
    for user in ["alice", "nobody"] {
        let before = unseen(&gate);
        for number in 0.. {
            assert!(number < 50, "every guess is looked at");
            let refused = login(&gate, user, &format!("guess {number}")).await;
            assert_eq!((refused.status, refused.code()), (first.status, first.code()), "one who must wait learns no more than one who guesses");
            assert_eq!(refused.header("www-authenticate"), first.header("www-authenticate"));
            last = refused.status;
            if unseen(&gate) > before {
                break;
            }
        }
    }
    assert_eq!(last, 401);
    assert_eq!(upstream.count(), 0);
    for proto in BOTH {
        assert_eq!(gate.get("/x").proto(proto).basic("bob", PASSWORD).send().await.status, 200);
    }
    // The right password is of no use before the wait is over, and it is over some time.
    comes_in(&gate, "alice").await;
}

#[tokio::test]
async fn an_address_from_which_many_are_guessed_waits_and_who_is_known_there_does_not() {
    let upstream = Upstream::echo();
    let gate = gate(&upstream).await;
    assert_eq!(login(&gate, "bob", PASSWORD).await.status, 200);
    // Each of another name: no user is held up.
    for number in 0.. {
        assert!(number < 200, "an address may guess for ever");
        assert_eq!(login(&gate, &format!("user{number}"), "guess").await.status, 401);
        if unseen(&gate) > 0 {
            assert!(number >= 20, "an office may have mistyped that often: {number}");
            break;
        }
    }
    assert_eq!(login(&gate, "bob", PASSWORD).await.status, 200, "whose password was right before comes in");
    // Whose was not yet looked at waits with the others, and no longer.
    comes_in(&gate, "carol").await;
}
