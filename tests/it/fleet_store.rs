//! What replicas share, with real servers: sealed facts, failed attempts, a Sentinel's failover, a Cluster.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use doorward::store::attempts::{Attempts, Who};
use doorward::store::cache::{Known, Limits};
use doorward::store::facts::{Origin, Subject};
use doorward::store::replay::Replay;
use doorward::store::revocations::{Revocation, Revocations};
use doorward::store::sealed::SealedFacts;
use doorward::store::shared::Shared;
use doorward::store::{CacheSettings, OnStoreError, Unavailable};
use doorward::types::{HumanDuration, Report, Secret};
use tokio::runtime::Handle;

use crate::support::redis::Redis;
use crate::support::{breathe, now, within};

const SECRET: &str = "shared-secret-0123456789abcdef0123456789abcdef";

fn settings(url: &str) -> CacheSettings {
    CacheSettings { shared: Some(Secret::new(url)), shared_timeout: HumanDuration::from_secs(5), ..CacheSettings::default() }
}

/// What one replica connects with.
fn shared(url: &str) -> Shared {
    let mut report = Report::default();
    Shared::open(&settings(url), Handle::current(), &mut report).unwrap_or_else(|| panic!("{report:?}"))
}

/// A source that counts how often it is asked, and one replica's memory of what it says.
struct Replica {
    known: Known<Subject>,
    revocations: Arc<Revocations>,
    asked: Arc<AtomicUsize>,
}

impl Replica {
    async fn new(url: &str, secret: &str, scope: &str) -> Self {
        let (shared, cache) = (shared(url), settings(url));
        let facts = SealedFacts::new(shared.clone(), &Secret::new(secret)).unwrap();
        let revocations = Revocations::shared_by(shared, &cache).await;
        let known = Known::new("source", Limits::new(&cache, 8), Handle::current(), Arc::default(), |metrics| &metrics.tokens);
        let known = known.ended_by(&revocations).shared_through(Some(&facts), scope);
        Self { known, revocations, asked: Arc::default() }
    }

    /// Looks the token number `n` up; the source says that it is alice's.
    async fn look_up(&self, n: u8, expires: Option<i64>) -> Option<Arc<Subject>> {
        let asked = Arc::clone(&self.asked);
        let load = move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            let origin = Origin::Elsewhere { token: [n; 32], issued: Some(7) };
            let claims = serde_json::json!({"tenant": "acme"}).as_object().cloned().unwrap();
            Ok(Some(Subject { user: "alice".to_owned(), groups: vec!["staff".to_owned()], claims, expires, origin, ..Subject::default() }))
        };
        self.known.get([n; 32], Instant::now(), load).await.unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_learned_the_others_need_not_ask_for() {
    let redis = Redis::start().await;
    let (one, two) = (Replica::new(&redis.url(), SECRET, "idp").await, Replica::new(&redis.url(), SECRET, "idp").await);
    let learned = one.look_up(1, None).await.unwrap();
    redis.says(&["KEYS", "doorward:fact:*"], |keys| !keys.is_empty()).await;
    assert_eq!(two.look_up(1, None).await, Some(learned));
    assert_eq!((one.asked(), two.asked()), (1, 0));
    // Nothing of it can be read there, and it does not stay longer than it is believed.
    let key = redis.ask(&["KEYS", "doorward:fact:*"]);
    let dump = redis.ask(&["GET", &key]);
    assert!(!dump.contains("alice") && !dump.contains("acme") && !dump.contains("staff"), "{dump}");
    assert!((1..=60).contains(&redis.ask(&["TTL", &key]).parse::<i64>().unwrap()));
    // Another source, another secret: another fact.
    for (secret, scope) in [(SECRET, "other"), ("another-secret-0123456789abcdef0123456789abcdef", "idp")] {
        let other = Replica::new(&redis.url(), secret, scope).await;
        other.look_up(1, None).await.unwrap();
        assert_eq!(other.asked(), 1, "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_shared_no_longer_than_its_token_lives() {
    let redis = Redis::start().await;
    let one = Replica::new(&redis.url(), SECRET, "idp").await;
    one.look_up(1, Some(now() + 20)).await;
    one.look_up(2, Some(now() - 1)).await;
    one.look_up(3, None).await;
    redis.says(&["DBSIZE"], |size| size == "2").await;
    let keys = redis.ask(&["KEYS", "doorward:fact:*"]);
    let shortest = keys.lines().map(|key| redis.ask(&["TTL", key]).parse::<i64>().unwrap()).min().unwrap();
    assert!((0..=20).contains(&shortest), "{shortest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_were_changed_exchanged_or_lost_are_asked_for_anew() {
    let mut redis = Redis::start().await;
    let one = Replica::new(&redis.url(), SECRET, "idp").await;
    for n in [1, 2] {
        one.look_up(n, None).await;
    }
    redis.says(&["DBSIZE"], |size| size == "2").await;
    let keys = redis.ask(&["KEYS", "doorward:fact:*"]);
    let (first, second) = keys.split_once('\n').unwrap();
    redis.ask(&["SETRANGE", first, "40", "x"]);
    redis.ask(&["RENAME", first, "aside"]);
    redis.ask(&["RENAME", second, first]);
    redis.ask(&["RENAME", "aside", second]);
    let two = Replica::new(&redis.url(), SECRET, "idp").await;
    for n in [1, 2] {
        assert_eq!(two.look_up(n, None).await.unwrap().user, "alice");
    }
    assert_eq!(two.asked(), 2);
    redis.kill();
    assert_eq!(two.look_up(3, None).await.unwrap().user, "alice", "that nothing is shared any longer is no error");
    assert_eq!(two.asked(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_learned_before_a_revocation_is_of_no_use_after_it() {
    let redis = Redis::start().await;
    let (one, two) = (Replica::new(&redis.url(), SECRET, "idp").await, Replica::new(&redis.url(), SECRET, "idp").await);
    one.look_up(1, None).await;
    redis.says(&["KEYS", "doorward:fact:*"], |keys| !keys.is_empty()).await;
    one.revocations.revoke(&[Revocation::FactsAbout("alice")]).await.unwrap();
    within("the push", async {
        while two.revocations.is_empty() {
            breathe().await;
        }
    })
    .await;
    two.look_up(1, None).await;
    one.look_up(1, None).await;
    assert_eq!((one.asked(), two.asked()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_count_in_all_replicas_and_a_success_clears_them_in_all() {
    let mut redis = Redis::start().await;
    let url = redis.url();
    let replica = |on_error| Attempts::new().shared_by(shared(&url), on_error);
    let (one, two) = (replica(OnStoreError::Deny), replica(OnStoreError::Deny));
    let alice = Who::User("alice");
    for _ in 0..4 {
        assert_eq!(one.failed(alice).await.unwrap(), None);
    }
    for waits in [1, 2] {
        assert_eq!(two.failed(alice).await.unwrap(), Some(Duration::from_secs(waits)));
    }
    assert_eq!(one.failed(alice).await.unwrap(), Some(Duration::from_secs(4)));
    assert!(one.locked(alice).await.unwrap().is_some() && two.locked(alice).await.unwrap().is_some());
    assert_eq!(one.locked(Who::User("bob")).await.unwrap(), None);
    assert!(!redis.ask(&["KEYS", "*"]).contains("alice"));
    for key in redis.ask(&["KEYS", "*"]).lines() {
        assert!(redis.ask(&["PTTL", key]).parse::<i64>().unwrap() > 0, "{key} would never be forgotten");
    }
    two.succeeded(alice).await.unwrap();
    assert_eq!((redis.ask(&["DBSIZE"]).as_str(), two.locked(alice).await.unwrap()), ("0", None));
    assert_eq!(one.locked(alice).await.unwrap(), None);
    redis.kill();
    assert!(one.locked(alice).await.is_err() && one.failed(alice).await.is_err() && one.succeeded(alice).await.is_err());
    let alone = replica(OnStoreError::Local);
    for _ in 0..6 {
        alone.failed(alice).await.unwrap();
    }
    assert!(alone.locked(alice).await.unwrap().is_some());
    alone.succeeded(alice).await.unwrap();
    assert_eq!(alone.locked(alice).await.unwrap(), None);
}

/// Uses everything that is shared, by two replicas.
async fn works(url: &str, mark: u8) -> Result<(), Unavailable> {
    let (one, two) = (shared(url), shared(url));
    let replay = |shared: &Shared| Replay::new(10).shared_by(shared.clone(), OnStoreError::Deny);
    let (first, second) = (replay(&one), replay(&two));
    let time = now();
    assert!(first.first_use([mark; 32], time + 60, time).await?);
    assert!(!second.first_use([mark; 32], time + 60, time).await?);
    let attempts = Attempts::new().shared_by(one.clone(), OnStoreError::Deny);
    let who = format!("user {mark}");
    for _ in 0..6 {
        attempts.failed(Who::User(&who)).await?;
    }
    assert!(Attempts::new().shared_by(two.clone(), OnStoreError::Deny).locked(Who::User(&who)).await?.is_some());
    let cache = settings(url);
    let (revoking, hearing) = (Revocations::shared_by(one, &cache).await, Revocations::shared_by(two, &cache).await);
    let before = hearing.len();
    revoking.revoke(&[Revocation::User(&who)]).await?;
    within("the push", async {
        while hearing.len() == before {
            breathe().await;
        }
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sentinels_name_the_server_and_after_a_failover_the_new_one() {
    let mut master = Redis::on_port(&[]).await;
    let port = master.port.to_string();
    let replica = Redis::on_port(&["--replicaof", &format!("127.0.0.1 {port}")]).await;
    replica.says(&["INFO", "replication"], |info| info.contains("master_link_status:up")).await;
    let sentinel = Redis::sentinel(&master).await;
    sentinel.says(&["SENTINEL", "REPLICAS", "mymaster"], |all| all.contains(&replica.port.to_string())).await;
    let url = format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{}/mymaster", sentinel.port);
    works(&url, 1).await.unwrap();

    let held = Replay::new(10).shared_by(shared(&url), OnStoreError::Deny);
    let time = now();
    assert!(held.first_use([2; 32], time + 60, time).await.unwrap());
    // What was written has reached the replica before the master is gone.
    replica.says(&["DBSIZE"], |size| size == master.ask(&["DBSIZE"])).await;
    master.kill();
    within("the failover", async {
        for number in 10.. {
            match held.first_use([number; 32], time + 60, time).await {
                Ok(first) => return assert!(first),
                Err(_) => breathe().await,
            }
        }
    })
    .await;
    assert!(replica.ask(&["ROLE"]).starts_with("master"));
    let other = Replay::new(10).shared_by(shared(&url), OnStoreError::Deny);
    assert!(!other.first_use([2; 32], time + 60, time).await.unwrap(), "what the old one remembered, the new one does");
    works(&url, 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three_serves_as_one() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Redis::on_port(&["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]).await);
    }
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let made = Command::new("redis-cli").args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    for node in &nodes {
        node.says(&["CLUSTER", "INFO"], |info| info.contains("cluster_state:ok")).await;
    }
    let url = format!("redis+cluster://{}", addresses[..2].join(","));
    for mark in 1..6 {
        works(&url, mark).await.unwrap();
    }
    let counts: Vec<usize> = nodes.iter().map(|node| node.ask(&["DBSIZE"]).parse().unwrap()).collect();
    assert!(counts.iter().filter(|count| **count > 0).count() > 1, "spread over the nodes: {counts:?}");
}
