//! What sources said, remembered for a while: facts and absences, never failures.
//!
//! ```text
//! get(key) -> found, fresh    -> Ok(Some)    no waiting
//!          -> absent, fresh   -> Ok(None)    no waiting
//!          -> loading         -> wait for that answer
//!          -> load on aux     -> Some: remembered for max_age, None: for negative_max_age, both from when the load BEGAN
//!                             -> Err: not remembered; a fact within stale_if_error of its end stands in
//! ```
//!
//! moka bounds the number of entries; ages are judged here, because moka would count them from the end of a load.
//! Absences have bounds of their own, so that a flood of made-up names pushes no fact out.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::{CacheCounts, CacheSettings, Metrics, Unavailable};

/// A hash of whatever is looked up: never a credential itself.
pub type CacheKey = [u8; 32];

/// What a source says: the fact, that there is none, or that it cannot say.
pub type Answer<V> = Result<Option<Arc<V>>, Unavailable>;

/// How a [`Known`] behaves.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many facts are kept, and a tenth of it how many absences.
    pub capacity: u64,
    /// How long a fact is believed, from when its load began.
    pub max_age: Duration,
    /// How long an absence is believed, from when its load began.
    pub negative_max_age: Duration,
    /// How much longer a fact stands in while its source fails.
    pub stale_if_error: Duration,
    /// How many loads run at a time; beyond, the answer is [`Unavailable`].
    pub loads: usize,
}

impl Limits {
    /// From `[cache]`.
    #[must_use]
    pub fn new(settings: &CacheSettings, loads: usize) -> Self {
        Self {
            capacity: settings.capacity,
            max_age: settings.max_age.0,
            negative_max_age: settings.negative_max_age.0,
            stale_if_error: settings.stale_if_error.0,
            loads,
        }
    }
}

/// Facts of one kind by [`CacheKey`]. Cheap to clone; clones share what they know. `Debug` shows nothing of it.
pub struct Known<V> {
    name: &'static str,
    shared: Arc<Shared<V>>,
    aux: Handle,
    metrics: Arc<Metrics>,
    counts: fn(&Metrics) -> &CacheCounts,
}

impl<V> Clone for Known<V> {
    fn clone(&self) -> Self {
        Self { name: self.name, shared: Arc::clone(&self.shared), aux: self.aux.clone(), metrics: Arc::clone(&self.metrics), counts: self.counts }
    }
}

impl<V> fmt::Debug for Known<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Shared<V> {
    limits: Limits,
    found: Cache<CacheKey, Fact<V>>,
    absent: Cache<CacheKey, Instant>,
    loading: Mutex<HashMap<CacheKey, watch::Receiver<Option<Answer<V>>>>>,
}

struct Fact<V> {
    value: Arc<V>,
    until: Instant,
}

impl<V> Clone for Fact<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), until: self.until }
    }
}

impl<V: Send + Sync + 'static> Known<V> {
    /// Knows nothing yet. `name` is what an [`Unavailable`] of its own names as the source.
    #[must_use]
    pub fn new(name: &'static str, limits: Limits, aux: Handle, metrics: Arc<Metrics>, counts: fn(&Metrics) -> &CacheCounts) -> Self {
        // moka's ages only free memory: its clock starts when a load has ended, so no entry leaves before its time.
        let found = Cache::builder().max_capacity(limits.capacity).time_to_live(limits.max_age.saturating_add(limits.stale_if_error)).build();
        let absent = Cache::builder().max_capacity((limits.capacity / 10).max(1)).time_to_live(limits.negative_max_age).build();
        let shared = Arc::new(Shared { limits, found, absent, loading: Mutex::default() });
        Self { name, shared, aux, metrics, counts }
    }

    /// What is known under `key`; asks by `load` when nothing is. `now` is when the caller asks. A load goes on when
    /// its caller goes away, and answers everyone who asked meanwhile.
    pub async fn get<F>(&self, key: CacheKey, now: Instant, load: impl FnOnce() -> F) -> Answer<V>
    where
        F: Future<Output = Result<Option<V>, Unavailable>> + Send + 'static,
    {
        let counts = (self.counts)(&self.metrics);
        if let Some(answer) = self.shared.fresh(&key, now) {
            counts.hit();
            return Ok(answer);
        }
        counts.miss();
        let mut waiting = match self.begin(key, now, load)? {
            Begun::Known(answer) => return Ok(answer),
            Begun::Loading(waiting) => waiting,
        };
        match waiting.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            Ok(None) | Err(_) => Err(Unavailable::new(self.name, "the look-up broke off")),
        }
    }

    fn begin<F>(&self, key: CacheKey, now: Instant, load: impl FnOnce() -> F) -> Result<Begun<V>, Unavailable>
    where
        F: Future<Output = Result<Option<V>, Unavailable>> + Send + 'static,
    {
        let mut loading = self.shared.loading();
        // A load that ended since the first look has left its answer before it left the list.
        if let Some(answer) = self.shared.fresh(&key, now) {
            return Ok(Begun::Known(answer));
        }
        if let Some(waiting) = loading.get(&key) {
            return Ok(Begun::Loading(waiting.clone()));
        }
        if loading.len() >= self.shared.limits.loads {
            return Err(Unavailable::new(self.name, format_args!("{} look-ups are under way already", loading.len())));
        }
        let (tell, waiting) = watch::channel(None);
        loading.insert(key, waiting.clone());
        let load = load();
        let (shared, name) = (Arc::clone(&self.shared), self.name);
        self.aux.spawn(async move {
            let under_way = UnderWay { shared: &shared, key };
            let answer = shared.remember(name, key, now, load.await);
            // Off the list before anyone is told: who asks after the answer may have to load anew.
            drop(under_way);
            let _ = tell.send(Some(answer));
        });
        Ok(Begun::Loading(waiting))
    }
}

enum Begun<V> {
    Known(Option<Arc<V>>),
    Loading(watch::Receiver<Option<Answer<V>>>),
}

/// Takes a load off the list, also when it panicked or its runtime is shutting down.
struct UnderWay<'s, V> {
    shared: &'s Shared<V>,
    key: CacheKey,
}

impl<V> Drop for UnderWay<'_, V> {
    fn drop(&mut self) {
        self.shared.loading().remove(&self.key);
    }
}

impl<V> Shared<V> {
    fn loading(&self) -> MutexGuard<'_, HashMap<CacheKey, watch::Receiver<Option<Answer<V>>>>> {
        // The map is whole at every point where a holder could panic.
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Send + Sync + 'static> Shared<V> {
    fn fresh(&self, key: &CacheKey, now: Instant) -> Option<Option<Arc<V>>> {
        if let Some(fact) = self.found.get(key).filter(|fact| now < fact.until) {
            return Some(Some(fact.value));
        }
        self.absent.get(key).filter(|until| now < *until).map(|_| None)
    }

    fn remember(&self, name: &'static str, key: CacheKey, began: Instant, loaded: Result<Option<V>, Unavailable>) -> Answer<V> {
        // An age beyond what the clock can count is no age at all: nothing is kept.
        let deadline = |age: Duration| began.checked_add(age).unwrap_or(began);
        match loaded {
            Ok(Some(value)) => {
                let value = Arc::new(value);
                self.found.insert(key, Fact { value: Arc::clone(&value), until: deadline(self.limits.max_age) });
                self.absent.invalidate(&key);
                Ok(Some(value))
            }
            Ok(None) => {
                self.found.invalidate(&key);
                self.absent.insert(key, deadline(self.limits.negative_max_age));
                Ok(None)
            }
            Err(error) => {
                let stale = self.found.get(&key).filter(|fact| fact.until.checked_add(self.limits.stale_if_error).is_some_and(|until| began < until));
                if stale.is_some() {
                    tracing::warn!(source = name, cause = %error, "the source fails; what it said before stands in");
                }
                stale.map_or(Err(error), |fact| Ok(Some(fact.value)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::{Notify, Semaphore};

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
}
