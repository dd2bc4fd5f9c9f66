//! A source that goes on and on, or answers by and by, is given up: nothing of it is kept, and others are served meanwhile.

use std::time::Duration;

use crate::support::client::BOTH;
use crate::support::gateway::Gateway;
use crate::support::idp::{AUDIENCE, Key, claims_but};
use crate::support::setup::Setup;
use crate::support::upstream::{Act, Talk, Upstream};

/// A head without a length, then spaces without end, `pause` between two pieces of `size` bytes.
fn endless(size: usize, pause: Duration) -> Talk {
    Box::new(move |wire| {
        let piece = vec![b' '; size];
        let mut open = wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{").is_ok();
        while open {
            open = wire.write_all(&piece).and_then(|()| wire.flush()).is_ok();
            std::thread::sleep(pause);
        }
    })
}

/// A gateway with schemes that ask `source`.
async fn gate(upstream: &Upstream, source: &Upstream) -> Gateway {
    let url = source.url();
    let setup = Setup::new(&upstream.url())
        .file("client", "introspection-secret-7c1f")
        .rest(&format!("[auth.keys.jwt]\nissuer = \"{url}\"\njwks_url = \"{url}/jwks\"\naudience = [\"{AUDIENCE}\"]"))
        .rest(&format!("[auth.found.jwt]\nissuer = \"{url}\"\naudience = [\"{AUDIENCE}\"]"))
        .rest(&format!(
            "[auth.asked.token]\nsource = \"introspection\"\nintrospection_url = \"{url}/ask\"\nclient_id = \"gate\"\nclient_secret_file = \"client\""
        ))
        .public("/public/**");
    ["keys", "found", "asked"].into_iter().fold(setup, |setup, name| setup.route(&format!("/{name}/**"), &[name])).start().await
}

/// Asks by all schemes at once, and the public route beside them.
async fn assert_given_up(source: &Upstream) {
    let upstream = Upstream::echo();
    let gate = gate(&upstream, source).await;
    let token = Key::generate("k", "ES256").token(&claims_but("carol", "iss", source.url().into()));
    let calls = [("/keys/x", token.as_str()), ("/found/x", &token), ("/asked/x", "opaque")];
    let asked = calls.iter().flat_map(|(target, token)| BOTH.map(|proto| gate.get(target).bearer(token).proto(proto).send()));
    let others = async {
        for proto in BOTH.into_iter().cycle().take(20) {
            assert_eq!(gate.get("/public/x").proto(proto).send().await.status, 200);
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asked), others);
    for answer in answers {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(upstream.count(), 20, "the public ones");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_on() {
    assert_given_up(&Upstream::scripted(|_| Act::Talk(endless(64 * 1024, Duration::ZERO)))).await;
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_not_waited_for() {
    // Each byte comes soon enough for whoever only looks at the time since the last.
    assert_given_up(&Upstream::scripted(|_| Act::Talk(endless(1, Duration::from_millis(100))))).await;
}
