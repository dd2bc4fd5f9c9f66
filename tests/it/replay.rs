//! A signature is used once, in all replicas together, whatever happens to the store that they share.

use crate::support::client::Call;
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::pki::Ca;
use crate::support::redis::Redis;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, within};

/// Replicas of one service, before one application.
struct Fleet {
    one: Gateway,
    two: Gateway,
    upstream: Upstream,
}

/// A replica whose `[cache]` holds these lines.
async fn replica(upstream: &Upstream, cache: &str, files: &[(&str, &str)]) -> Gateway {
    let mut setup = Setup::new(&upstream.url())
        .section("cache", cache)
        .file("secrets/aspnet.key", fost::SECRET)
        .rest(&format!("[auth.partners.fost]\nmax_skew = \"60s\"\n[auth.partners.fost.keys.{}]\nsecret_file = \"secrets/aspnet.key\"", fost::KEY))
        .route("/**", &["partners"]);
    for (name, text) in files {
        setup = setup.file(name, text);
    }
    setup.start().await
}

impl Fleet {
    async fn with(cache: &str) -> Self {
        let upstream = Upstream::echo();
        let (one, two) = (replica(&upstream, cache, &[]).await, replica(&upstream, cache, &[]).await);
        Self { one, two, upstream }
    }

    async fn sharing(redis: &Redis, more: &str) -> Self {
        Self::with(&format!("shared = \"{}\"\n{more}", redis.url())).await
    }
}

/// A request that is let in once, told from others by `mark`.
fn once(gate: &Gateway, mark: &str) -> Call {
    let headers = Fost::new().signing("X-Mark", mark).sign("POST", "/orders", b"body");
    gate.call("POST", "/orders").headers(&headers).body("body")
}

async fn status(call: Call) -> u16 {
    within("an answer", call.send()).await.status.as_u16()
}

/// Sends fresh requests until one is let in.
async fn recovers(gate: &Gateway, mark: &str) {
    within("recovery", async {
        for number in 0.. {
            match status(once(gate, &format!("{mark}-{number}"))).await {
                200 => return,
                503 => breathe().await,
                other => panic!("{other}"),
            }
        }
    })
    .await;
}

/// The same request, to both replicas, again and again: it is let in once.
async fn refuses_each_others(fleet: &Fleet, mark: &str) {
    let (first, second) = (once(&fleet.one, mark), once(&fleet.two, mark));
    assert_eq!(status(first.clone()).await, 200, "{mark}");
    for (gate, call) in [("two", &second), ("one", &first), ("two", &second)] {
        let answer = call.clone().send().await;
        assert_eq!(answer.status, 401, "{mark}: a copy to {gate}");
    }
    assert_eq!(fleet.upstream.take().len(), 1, "{mark}");
}

#[tokio::test]
async fn a_replay_to_another_replica_is_refused() {
    let redis = Redis::start().await;
    let fleet = Fleet::sharing(&redis, "").await;
    // Compared by signature: the clock may turn between the two that `once` makes.
    let headers = Fost::new().sign("POST", "/orders", b"body");
    let call = |gate: &Gateway| gate.call("POST", "/orders").headers(&headers).body("body");
    let (one, two) = tokio::join!(status(call(&fleet.one)), status(call(&fleet.two)));
    let mut both = [one, two];
    both.sort_unstable();
    assert_eq!(both, [200, 401], "of two at once one is first");
    assert_eq!(fleet.upstream.take().len(), 1);
    for gate in [&fleet.one, &fleet.two] {
        assert_eq!(status(call(gate)).await, 401);
    }
    // What is remembered lasts as long as the signature is good, and some time longer for clocks that differ and
    // for bodies that take their time.
    let keys = redis.ask(&["KEYS", "doorward:replay:*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let left: i64 = redis.ask(&["TTL", &keys]).parse().unwrap();
    assert!((400..=425).contains(&left), "{left}");
    assert!(!redis.ask(&["GET", &keys]).contains("aspnet"));
}

#[tokio::test]
async fn while_the_shared_store_is_down_nothing_is_let_in_that_it_would_have_to_decide_and_it_recovers() {
    let mut redis = Redis::start().await;
    let fleet = Fleet::sharing(&redis, "").await;
    refuses_each_others(&fleet, "before").await;
    redis.kill();
    let refused = once(&fleet.one, "down");
    for _ in 0..3 {
        let answer = refused.clone().send().await;
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains_key("retry-after"));
    }
    // What needs no shared memory goes on.
    assert_eq!(status(fleet.one.get("/orders").headers(&Fost::new().sign("GET", "/orders", b""))).await, 200);
    fleet.upstream.take();
    redis.restart().await;
    // A request that was refused as undecided is not used up by that.
    within("recovery", async {
        while status(refused.clone()).await != 200 {
            breathe().await;
        }
    })
    .await;
    assert_eq!(status(refused).await, 401);
    fleet.upstream.take();
    recovers(&fleet.two, "two").await;
    fleet.upstream.take();
    refuses_each_others(&fleet, "after").await;
}

#[tokio::test]
async fn a_process_that_may_decide_alone_still_refuses_what_it_has_seen() {
    let mut redis = Redis::start().await;
    let fleet = Fleet::sharing(&redis, "on_store_error = \"local\"").await;
    refuses_each_others(&fleet, "before").await;
    redis.kill();
    let call = once(&fleet.one, "alone");
    assert_eq!(status(call.clone()).await, 200);
    assert_eq!(status(call).await, 401);
    let metrics = fleet.one.admin("/metrics").send().await.text();
    assert!(metrics.contains("doorward_replay_local_total 1"), "{metrics}");
    fleet.upstream.take();
    redis.restart().await;
    fleet.one.said_times("the shared store is connected", 2).await;
    fleet.two.said_times("the shared store is connected", 2).await;
    refuses_each_others(&fleet, "after").await;
    let checked = fleet.one.setup.cli(&["check"], "");
    assert!(String::from_utf8_lossy(&checked.stderr).contains("cache.on_store_error"), "{checked:?}");
}

#[tokio::test]
async fn a_shared_store_that_hangs_is_not_waited_for() {
    let redis = Redis::start().await;
    let fleet = Fleet::sharing(&redis, "shared_timeout = \"200ms\"").await;
    recovers(&fleet.one, "before").await;
    redis.signal("STOP");
    for mark in ["a", "b"] {
        assert_eq!(status(once(&fleet.one, mark)).await, 503);
    }
    redis.signal("CONT");
    recovers(&fleet.one, "after").await;
    fleet.upstream.take();
    recovers(&fleet.two, "two").await;
    fleet.upstream.take();
    refuses_each_others(&fleet, "again").await;
}

#[tokio::test]
async fn a_shared_store_that_is_full_lets_nothing_in() {
    let redis = Redis::with(&["--maxmemory-policy", "noeviction"]).await;
    let fleet = Fleet::sharing(&redis, "").await;
    recovers(&fleet.one, "before").await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let call = once(&fleet.one, "full");
    assert_eq!(status(call.clone()).await, 503);
    assert_eq!(status(once(&fleet.two, "full too")).await, 503);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(status(call.clone()).await, 200, "nothing had to be connected anew");
    assert_eq!(status(call).await, 401);
}

#[tokio::test]
async fn a_shared_store_that_forgets_is_warned_of() {
    let redis = Redis::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let upstream = Upstream::echo();
    let gate = replica(&upstream, &format!("shared = \"{}\"", redis.url()), &[]).await;
    gate.said("maxmemory-policy").await;
}

#[tokio::test]
async fn a_gate_starts_without_its_shared_store_and_finds_it_later() {
    let mut redis = Redis::start().await;
    redis.kill();
    let fleet = Fleet::sharing(&redis, "").await;
    assert_eq!(status(once(&fleet.one, "down")).await, 503);
    assert_eq!(fleet.one.admin("/readyz").send().await.status, 200, "what needs no shared store is served");
    redis.restart().await;
    recovers(&fleet.one, "one").await;
    recovers(&fleet.two, "two").await;
    fleet.upstream.take();
    refuses_each_others(&fleet, "after").await;
}

#[tokio::test]
async fn a_password_is_sent_and_never_written() {
    let redis = Redis::with(&["--requirepass", "hunter2-hunter2"]).await;
    let upstream = Upstream::echo();
    let cache = format!("shared = \"{}\"\nshared_password_file = \"secrets/redis\"", redis.url());
    let right = replica(&upstream, &cache, &[("secrets/redis", "hunter2-hunter2\n")]).await;
    recovers(&right, "right").await;
    let wrong = replica(&upstream, &cache, &[("secrets/redis", "other-hunter2")]).await;
    assert_eq!(status(once(&wrong, "wrong")).await, 503);
    let none = replica(&upstream, &format!("shared = \"{}\"", redis.url()), &[]).await;
    assert_eq!(status(once(&none, "none")).await, 503);
    for gate in [&right, &wrong, &none] {
        assert!(!gate.output().contains("hunter2"), "{}", gate.output());
    }
}

#[tokio::test]
async fn over_tls_only_a_server_with_the_right_certificate_is_believed() {
    let ca = Ca::new("Redis CA");
    let redis = Redis::tls(&ca).await;
    let upstream = Upstream::echo();
    let url = |host: &str| format!("shared = \"rediss://{host}:{}/0\"\nshared_ca_file = \"certs/redis-ca.crt\"\nshared_timeout = \"5s\"", redis.port);
    let gate = replica(&upstream, &url("localhost"), &[("certs/redis-ca.crt", &ca.pem())]).await;
    recovers(&gate, "right").await;
    for (host, authority) in [("localhost", Ca::new("Another CA").pem()), ("127.0.0.1", ca.pem())] {
        let gate = replica(&upstream, &url(host), &[("certs/redis-ca.crt", &authority)]).await;
        gate.said("the shared store cannot be reached").await;
        assert_eq!(status(once(&gate, host)).await, 503, "{host}");
    }
}
