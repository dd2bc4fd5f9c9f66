//! What is believed, for how long, and what is asked again.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore};

use super::super::revocations::Revocation;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn known(capacity: u64, stale: u64, loads: usize) -> Known<u32> {
    let limits =
        Limits { capacity, max_age: SECOND * 60, negative_max_age: SECOND * 5, stale_if_error: SECOND * u32::try_from(stale).unwrap(), loads };
    Known::new("store", limits, Handle::current(), Arc::default(), |metrics| &metrics.keys)
}

fn key(n: u32) -> CacheKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&n.to_be_bytes());
    key
}

/// A source that counts how often it is asked.
struct Source(Arc<AtomicUsize>);

impl Source {
    fn new() -> Self {
        Self(Arc::default())
    }
    fn says(&self, answer: Result<Option<u32>, &str>) -> impl FnOnce() -> std::future::Ready<Result<Option<u32>, Unavailable>> {
        let (asked, answer) = (Arc::clone(&self.0), answer.map_err(|cause| Unavailable::new("store", cause)));
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::ready(answer)
        }
    }
    fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn value(answer: Answer<u32>) -> Option<u32> {
    answer.unwrap().map(|value| *value)
}

#[tokio::test]
async fn a_fact_is_believed_from_when_its_load_began_until_max_age() {
    let (known, source, begin) = (known(10, 0, 8), Source::new(), Instant::now());
    assert_eq!(value(known.get(key(1), begin, source.says(Ok(Some(7)))).await), Some(7));
    assert_eq!(value(known.get(key(1), begin + SECOND * 59, source.says(Ok(Some(8)))).await), Some(7));
    assert_eq!(value(known.get(key(1), begin + SECOND * 60, source.says(Ok(Some(8)))).await), Some(8));
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn a_slow_load_does_not_lengthen_what_is_believed() {
    let (known, begin, gate) = (known(10, 0, 8), Instant::now(), Arc::new(Notify::new()));
    let wait = Arc::clone(&gate);
    let load = known.get(key(1), begin, || async move {
        wait.notified().await;
        Ok(Some(1))
    });
    let (first, ()) = tokio::join!(load, async { gate.notify_one() });
    assert_eq!(value(first), Some(1));
    let until = known.shared.found.get(&key(1)).unwrap().until;
    assert_eq!(until, begin + SECOND * 60);
}

#[tokio::test]
async fn an_absence_is_believed_for_its_own_shorter_time() {
    let (known, source, begin) = (known(10, 0, 8), Source::new(), Instant::now());
    assert_eq!(value(known.get(key(1), begin, source.says(Ok(None))).await), None);
    assert_eq!(value(known.get(key(1), begin + SECOND * 4, source.says(Ok(Some(1)))).await), None);
    assert_eq!(source.asked(), 1);
    assert_eq!(value(known.get(key(1), begin + SECOND * 5, source.says(Ok(Some(1)))).await), Some(1));
    // What was found now is not hidden by the absence before it.
    assert_eq!(value(known.get(key(1), begin + SECOND, source.says(Ok(None))).await), Some(1));
}

#[tokio::test]
async fn a_fact_that_is_gone_is_not_believed_any_longer() {
    let (known, source, begin) = (known(10, 3600, 8), Source::new(), Instant::now());
    known.get(key(1), begin, source.says(Ok(Some(1)))).await.unwrap();
    assert_eq!(value(known.get(key(1), begin + SECOND * 60, source.says(Ok(None))).await), None);
    // Nor may it stand in while the source fails.
    assert!(known.get(key(1), begin + SECOND * 66, source.says(Err("down"))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_cause_one_load() {
    let (known, now, asked, gate) = (known(10, 0, 8), Instant::now(), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let askers: Vec<_> = (0..500)
        .map(|_| {
            let (known, asked, gate) = (known.clone(), Arc::clone(&asked), Arc::clone(&gate));
            let load = move || async move {
                asked.fetch_add(1, Ordering::SeqCst);
                let _open = gate.acquire().await;
                Ok(Some(5))
            };
            tokio::spawn(async move { known.get(key(1), now, load).await })
        })
        .collect();
    while known.metrics.keys.misses.load(Ordering::SeqCst) < 500 {
        tokio::task::yield_now().await;
    }
    gate.close();
    for asker in askers {
        assert_eq!(value(asker.await.unwrap()), Some(5));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_load_goes_on_when_its_caller_goes_away() {
    let (known, now, gate, source) = (known(10, 0, 8), Instant::now(), Arc::new(Notify::new()), Source::new());
    let wait = Arc::clone(&gate);
    let first = known.get(key(1), now, || async move {
        wait.notified().await;
        Ok(Some(5))
    });
    assert!(first.now_or_never().is_none());
    let second = known.get(key(1), now, source.says(Ok(Some(6))));
    let (second, ()) = tokio::join!(second, async { gate.notify_one() });
    assert_eq!(value(second), Some(5));
    assert_eq!(source.asked(), 0);
}

#[tokio::test]
async fn a_flood_of_made_up_names_pushes_no_fact_out() {
    let (known, source, now) = (known(100, 0, 8), Source::new(), Instant::now());
    for n in 0..50 {
        known.get(key(n), now, source.says(Ok(Some(n)))).await.unwrap();
    }
    for n in 1000..6000 {
        assert_eq!(value(known.get(key(n), now, source.says(Ok(None))).await), None);
    }
    known.shared.absent.run_pending_tasks();
    assert!(known.shared.absent.entry_count() <= 10);
    let before = source.asked();
    for n in 0..50 {
        assert_eq!(value(known.get(key(n), now, source.says(Ok(None))).await), Some(n));
    }
    assert_eq!(source.asked(), before);
}

#[tokio::test]
async fn a_failure_is_an_error_and_is_not_remembered() {
    let (known, source, now) = (known(10, 0, 8), Source::new(), Instant::now());
    for _ in 0..3 {
        let error = known.get(key(1), now, source.says(Err("down"))).await.unwrap_err();
        assert_eq!(error.to_string(), "store: down");
    }
    assert_eq!(source.asked(), 3);
    assert_eq!(value(known.get(key(1), now, source.says(Ok(Some(1)))).await), Some(1));
}

#[tokio::test]
async fn a_fact_past_its_age_stands_in_for_a_failing_source_only_as_long_as_allowed() {
    for (stale, later, stands_in) in [(0, 60, false), (30, 60, true), (30, 89, true), (30, 90, false)] {
        let (known, source, begin) = (known(10, stale, 8), Source::new(), Instant::now());
        known.get(key(1), begin, source.says(Ok(Some(1)))).await.unwrap();
        let answer = known.get(key(1), begin + SECOND * later, source.says(Err("down"))).await;
        assert_eq!(answer.is_ok(), stands_in, "stale_if_error {stale}, after {later} s");
        assert_eq!(source.asked(), 2);
    }
}

#[tokio::test]
async fn loads_are_bounded_and_the_next_is_refused_not_queued() {
    let (known, now, source) = (known(10, 0, 2), Instant::now(), Source::new());
    for n in 0..2 {
        assert!(known.get(key(n), now, std::future::pending::<Result<Option<u32>, Unavailable>>).now_or_never().is_none());
    }
    assert!(known.get(key(9), now, source.says(Ok(Some(1)))).await.is_err());
    assert_eq!(source.asked(), 0);
}

#[tokio::test]
async fn a_load_that_panics_is_unavailable_and_frees_its_place() {
    let (known, now, source) = (known(10, 0, 1), Instant::now(), Source::new());
    let panicking = || async { if source_is_broken() { panic!("on purpose") } else { Ok(Some(1)) } };
    assert!(known.get(key(1), now, panicking).await.is_err());
    assert_eq!(value(known.get(key(1), now, source.says(Ok(Some(1)))).await), Some(1));
}

fn source_is_broken() -> bool {
    true
}

#[tokio::test]
async fn hits_and_misses_are_counted() {
    let (known, source, now) = (known(10, 0, 8), Source::new(), Instant::now());
    for _ in 0..3 {
        known.get(key(1), now, source.says(Ok(Some(1)))).await.unwrap();
    }
    assert_eq!(known.metrics.keys.hits.load(Ordering::SeqCst), 2);
    assert_eq!(known.metrics.keys.misses.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_ages_nothing_is_believed() {
    let limits = Limits { capacity: 0, max_age: Duration::ZERO, negative_max_age: Duration::ZERO, stale_if_error: Duration::ZERO, loads: 1 };
    let (known, source, now) = (Known::new("store", limits, Handle::current(), Arc::default(), |m| &m.keys), Source::new(), Instant::now());
    for n in 1..4 {
        known.get(key(1), now, source.says(Ok(Some(1)))).await.unwrap();
        known.get(key(2), now, source.says(Ok(None))).await.unwrap();
        assert_eq!(source.asked(), n * 2);
    }
}

/// A fact about a user, for revocations.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct About(String, u32);

impl Learned for About {
    fn user(&self) -> Option<&str> {
        Some(&self.0)
    }
    fn expires(&self) -> Option<i64> {
        None
    }
}

fn revocable() -> (Known<About>, Arc<Revocations>) {
    let limits = Limits { capacity: 10, max_age: SECOND * 60, negative_max_age: SECOND * 5, stale_if_error: SECOND * 3600, loads: 8 };
    let revocations = Arc::new(Revocations::new(&CacheSettings::default()));
    let known = Known::new("store", limits, Handle::current(), Arc::default(), |metrics| &metrics.keys).ended_by(&revocations);
    (known, revocations)
}

fn about(user: &str, number: u32) -> Result<Option<About>, Unavailable> {
    Ok(Some(About(user.to_owned(), number)))
}

#[tokio::test]
async fn a_fact_about_a_user_of_whom_something_was_revoked_is_asked_for_anew() {
    let ((known, revocations), now) = (revocable(), Instant::now());
    for (at, user) in [(1, "alice"), (2, "bob")] {
        known.get(key(at), now, || std::future::ready(about(user, 1))).await.unwrap();
    }
    revocations.revoke(&[Revocation::User("alice")]).await.unwrap();
    let alice = known.get(key(1), now, || std::future::ready(about("alice", 2))).await.unwrap().unwrap();
    let bob = known.get(key(2), now, || std::future::ready(about("bob", 2))).await.unwrap().unwrap();
    assert_eq!((alice.1, bob.1), (2, 1));
    let again = known.get(key(1), now, || std::future::ready(about("alice", 3))).await.unwrap().unwrap();
    assert_eq!(again.1, 2, "what was learned since is believed");
}

#[tokio::test]
async fn a_fact_that_a_revocation_has_ended_does_not_stand_in_for_a_failing_source() {
    let ((known, revocations), now) = (revocable(), Instant::now());
    known.get(key(1), now, || std::future::ready(about("alice", 1))).await.unwrap();
    revocations.revoke(&[Revocation::FactsAbout("alice")]).await.unwrap();
    let down = || std::future::ready(Err(Unavailable::new("store", "down")));
    assert!(known.get(key(1), now, down).await.is_err());
}

#[tokio::test]
async fn a_revocation_that_comes_while_a_load_is_under_way_wins() {
    let ((known, revocations), now, gate) = (revocable(), Instant::now(), Arc::new(Notify::new()));
    let wait = Arc::clone(&gate);
    let overtaken = known.get(key(1), now, || async move {
        wait.notified().await;
        about("alice", 1)
    });
    // Joins the load that is under way, and has a load of its own to begin when that is overtaken.
    let joined = known.get(key(1), now, || std::future::ready(about("alice", 2)));
    let revoke = async {
        revocations.revoke(&[Revocation::FactsAbout("alice")]).await.unwrap();
        gate.notify_one();
    };
    let (overtaken, joined, ()) = tokio::join!(overtaken, joined, revoke);
    assert_ne!(overtaken.as_ref().ok().and_then(|fact| fact.as_ref()).map(|fact| fact.1), Some(1), "the old answer is not used");
    assert_eq!(joined.unwrap().unwrap().1, 2);
    let later = known.get(key(1), now, || std::future::ready(about("alice", 3))).await.unwrap().unwrap();
    assert_eq!(later.1, 2, "the old answer was not kept either");
}

/// What a million made-up tokens leave behind: as much as the bounds say.
#[tokio::test]
async fn a_million_made_up_tokens_leave_memory_as_it_was() {
    let (known, now) = (known(1000, 0, 8), Instant::now());
    for n in 0..1_000_000 {
        // As a load that found nothing leaves it, without a task for each.
        known.shared.remember("store", Began { key: key(n), at: now, millis: 0, generation: 0 }, &Ended::never(), Ok(None)).unwrap();
    }
    known.shared.absent.run_pending_tasks();
    known.shared.found.run_pending_tasks();
    assert!(known.shared.absent.entry_count() <= 100, "{}", known.shared.absent.entry_count());
    assert_eq!(known.shared.found.entry_count(), 0);
    assert!(known.shared.loading().is_empty());
}

proptest::proptest! {
    /// Loads and revocations that overtake each other in any order: no answer is used that was read before a revocation
    /// that was there when the answer was used.
    #[test]
    fn no_answer_is_older_than_the_latest_revocation(steps in proptest::collection::vec(0_u8..4, 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ((known, revocations), now) = (revocable(), Instant::now());
            // What the source says: the number of the latest revocation.
            let source = Arc::new(AtomicUsize::new(0));
            let mut waiting: Vec<tokio::task::JoinHandle<()>> = Vec::new();
            for step in steps {
                if step == 0 {
                    // The source is changed first, as whoever revokes does it.
                    source.fetch_add(1, Ordering::SeqCst);
                    revocations.revoke(&[Revocation::FactsAbout("alice")]).await.unwrap();
                } else {
                    let (known, source) = (known.clone(), Arc::clone(&source));
                    let asked = source.load(Ordering::SeqCst);
                    waiting.push(tokio::spawn(async move {
                        let load = || async move {
                            let says = source.load(Ordering::SeqCst);
                            for _ in 0..step {
                                tokio::task::yield_now().await;
                            }
                            about("alice", u32::try_from(says).unwrap())
                        };
                        if let Ok(answer) = known.get(key(1), now, load).await {
                            assert!(usize::try_from(answer.unwrap().1).unwrap() >= asked, "revoked before it was asked for");
                        }
                    }));
                    tokio::task::yield_now().await;
                }
            }
            for asker in waiting {
                asker.await.unwrap();
            }
        });
    }
}
