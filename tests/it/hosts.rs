//! A request is for one host: the one that the TLS handshake named, and one of ours.

use crate::support::client::{BOTH, Proto};
use crate::support::setup::HOST;
use crate::support::world::World;

async fn world() -> World {
    World::with(|setup| {
        let leaf = setup.ca.leaf(&[HOST, "other.example.com", "evil.example"]);
        setup
            .file("certs/server.crt", &leaf.certificate)
            .file("certs/server.key", &leaf.key)
            .with("listen", "hosts = [\"app.example.com\", \"other.example.com\"]")
    })
    .await
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_misdirected() {
    let world = world().await;
    for proto in BOTH {
        for host in ["evil.example", "app.example.com.evil.example", "xapp.example.com", "127.0.0.1", "[::1]"] {
            let answer = world.get("/public/x").proto(proto).host(host).send().await;
            assert_eq!(answer.status, 421, "{proto:?} {host}");
        }
        let answer = world.get("/public/x").proto(proto).sni("evil.example").host("evil.example").send().await;
        assert_eq!(answer.status, 421, "{proto:?}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_host_other_than_the_handshake_named_is_misdirected() {
    let world = world().await;
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).sni("other.example.com").send().await;
        assert_eq!(answer.status, 421, "{proto:?}");
        let answer = world.get("/public/x").proto(proto).host("other.example.com").send().await;
        assert_eq!(answer.status, 421, "{proto:?}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_connection_cannot_turn_to_another_host_later() {
    let world = world().await;
    for proto in BOTH {
        let call = world.get("/public/x").proto(proto);
        let mut sender = call.connect().await;
        assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
        if let Ok(answer) = call.clone().host("other.example.com").send_on(&mut sender).await {
            assert_eq!(answer.status, 421);
        }
        assert_eq!(world.upstream.take().len(), 1);
    }
}

#[tokio::test]
async fn case_and_port_do_not_make_another_host_and_a_final_dot_is_refused() {
    let world = world().await;
    for proto in BOTH {
        for host in ["APP.Example.COM", "app.example.com:443", "app.example.com:8443"] {
            let answer = world.get("/public/x").proto(proto).host(host).send().await;
            assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        }
        // One host to DNS, two to a rule: refused rather than guessed.
        assert_eq!(world.get("/public/x").proto(proto).host("app.example.com.").send().await.status, 400);
    }
}

#[tokio::test]
async fn over_http2_authority_and_host_must_agree() {
    let world = world().await;
    for (host, accepted) in [("evil.example", false), ("other.example.com", false), (HOST, true)] {
        let answer = world.get("/public/x").proto(Proto::H2).header("host", host).send().await;
        assert_eq!(answer.status == 200, accepted, "{host}: {}", answer.status);
        assert!(accepted || matches!(answer.status.as_u16(), 400 | 421), "{host}: {}", answer.status);
    }
    assert!(world.upstream.take().iter().all(|seen| seen.one("host") == HOST));
}

#[tokio::test]
async fn the_application_sees_the_host_that_was_asked_for() {
    let world = World::start().await;
    for proto in BOTH {
        world.get("/public/x").proto(proto).host("app.example.com:8443").send().await;
        let seen = world.upstream.only();
        assert_eq!(seen.one("host"), "app.example.com:8443");
    }
    let world = World::with(|setup| setup.with("upstream", "preserve_host = false")).await;
    world.get("/public/x").send().await;
    let seen = world.upstream.only();
    assert_eq!(seen.one("host"), world.upstream.address.to_string());
    assert_eq!(seen.one("x-forwarded-host"), HOST);
}
