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
//! A fact about a user of whom something was revoked after its load began is none: it is loaded anew, and an answer to a
//! load that a revocation overtook is not used. What replicas share is asked before the source, and is a miss where it fails.
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

use super::revocations::Revocations;
use super::sealed::SealedFacts;
use super::{CacheCounts, CacheSettings, Metrics, Unavailable};
use crate::types::unix_millis;

mod layers;

pub use layers::Learned;
use layers::{Ended, Layer};

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
    ended: Ended<V>,
    layer: Option<Layer<V>>,
}

impl<V> Clone for Known<V> {
    fn clone(&self) -> Self {
        let (shared, aux, metrics) = (Arc::clone(&self.shared), self.aux.clone(), Arc::clone(&self.metrics));
        Self { name: self.name, shared, aux, metrics, counts: self.counts, ended: self.ended.clone(), layer: self.layer.clone() }
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
    loading: Mutex<HashMap<CacheKey, watch::Receiver<Option<Loaded<V>>>>>,
}

/// An answer, and the number of the latest revocation when its load began.
struct Loaded<V> {
    answer: Answer<V>,
    generation: u64,
}

struct Fact<V> {
    value: Arc<V>,
    until: Instant,
    generation: u64,
}

impl<V> Clone for Fact<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), until: self.until, generation: self.generation }
    }
}

/// Where and when a load began.
#[derive(Clone, Copy)]
struct Began {
    key: CacheKey,
    at: Instant,
    /// The same by the clock that replicas share, in Unix milliseconds.
    millis: i64,
    generation: u64,
}

impl<V: Send + Sync + 'static> Known<V> {
    /// Knows nothing yet. `name` is what an [`Unavailable`] of its own names as the source.
    #[must_use]
    pub fn new(name: &'static str, limits: Limits, aux: Handle, metrics: Arc<Metrics>, counts: fn(&Metrics) -> &CacheCounts) -> Self {
        // moka's ages only free memory: its clock starts when a load has ended, so no entry leaves before its time.
        let found = Cache::builder().max_capacity(limits.capacity).time_to_live(limits.max_age.saturating_add(limits.stale_if_error)).build();
        let absent = Cache::builder().max_capacity((limits.capacity / 10).max(1)).time_to_live(limits.negative_max_age).build();
        let shared = Arc::new(Shared { limits, found, absent, loading: Mutex::default() });
        Self { name, shared, aux, metrics, counts, ended: Ended::never(), layer: None }
    }

    /// What is known under `key`; asks by `load` when nothing is. `now` is when the caller asks. A load goes on when
    /// its caller goes away, and answers everyone who asked meanwhile.
    pub async fn get<F>(&self, key: CacheKey, now: Instant, load: impl FnOnce() -> F) -> Answer<V>
    where
        F: Future<Output = Result<Option<V>, Unavailable>> + Send + 'static,
    {
        let counts = (self.counts)(&self.metrics);
        if let Some(answer) = self.fresh(&key, now) {
            counts.hit();
            return Ok(answer);
        }
        counts.miss();
        let mut load = Some(load);
        loop {
            let mut waiting = match self.begin(key, now, &mut load)? {
                Begun::Known(answer) => return Ok(answer),
                Begun::Loading(waiting) => waiting,
            };
            let (answer, generation) = match waiting.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(loaded)) => (loaded.answer.clone(), loaded.generation),
                Ok(None) | Err(_) => return Err(Unavailable::new(self.name, "the look-up broke off")),
            };
            match &answer {
                Ok(Some(value)) if self.ended.is_outdated(value, generation) => {}
                Ok(_) | Err(_) => return answer,
            }
            if load.is_none() {
                return Err(Unavailable::new(self.name, "something was revoked while it was looked up"));
            }
        }
    }

    /// What is known under `key` without asking anybody; `Some(None)`: that there is no such thing.
    #[must_use]
    pub fn peek(&self, key: &CacheKey, now: Instant) -> Option<Option<Arc<V>>> {
        self.fresh(key, now).inspect(|_| (self.counts)(&self.metrics).hit())
    }

    fn fresh(&self, key: &CacheKey, now: Instant) -> Option<Option<Arc<V>>> {
        self.shared.fresh(key, now, &self.ended)
    }

    /// Waits with others, or begins a load: that takes `load` away.
    fn begin<L, F>(&self, key: CacheKey, now: Instant, load: &mut Option<L>) -> Result<Begun<V>, Unavailable>
    where
        L: FnOnce() -> F,
        F: Future<Output = Result<Option<V>, Unavailable>> + Send + 'static,
    {
        let mut loading = self.shared.loading();
        // A load that ended since the first look has left its answer before it left the list.
        if let Some(answer) = self.fresh(&key, now) {
            return Ok(Begun::Known(answer));
        }
        if let Some(waiting) = loading.get(&key) {
            return Ok(Begun::Loading(waiting.clone()));
        }
        if loading.len() >= self.shared.limits.loads {
            return Err(Unavailable::new(self.name, format_args!("{} look-ups are under way already", loading.len())));
        }
        let Some(load) = load.take() else { return Err(Unavailable::new(self.name, "something was revoked while it was looked up")) };
        let (tell, waiting) = watch::channel(None);
        loading.insert(key, waiting.clone());
        let began = Began { key, at: now, millis: unix_millis(), generation: self.ended.generation() };
        let (this, load) = (self.clone(), load());
        self.aux.spawn(async move {
            let under_way = UnderWay { shared: &this.shared, key };
            let answer = this.load(began, load).await;
            // Off the list before anyone is told: who asks after the answer may have to load anew.
            drop(under_way);
            let _ = tell.send(Some(Loaded { answer, generation: began.generation }));
        });
        Ok(Begun::Loading(waiting))
    }

    /// By what another replica has learned, else by the source.
    async fn load<F>(&self, began: Began, load: F) -> Answer<V>
    where
        F: Future<Output = Result<Option<V>, Unavailable>> + Send + 'static,
    {
        if let Some(layer) = &self.layer
            && let Some((value, left)) = layer.get(&began.key, began.millis, self.shared.limits.max_age, &self.ended).await
        {
            let until = deadline(Instant::now(), left.min(self.shared.limits.max_age));
            return Ok(Some(self.shared.keep(began, value, until)));
        }
        let answer = self.shared.remember(self.name, began, &self.ended, load.await);
        if let (Some(layer), Ok(Some(value))) = (&self.layer, &answer) {
            layer.put(&began.key, value, began.millis, self.shared.limits.max_age);
        }
        answer
    }
}

enum Begun<V> {
    Known(Option<Arc<V>>),
    Loading(watch::Receiver<Option<Loaded<V>>>),
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
    fn loading(&self) -> MutexGuard<'_, HashMap<CacheKey, watch::Receiver<Option<Loaded<V>>>>> {
        // The map is whole at every point where a holder could panic.
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Send + Sync + 'static> Shared<V> {
    fn fresh(&self, key: &CacheKey, now: Instant, ended: &Ended<V>) -> Option<Option<Arc<V>>> {
        if let Some(fact) = self.found.get(key).filter(|fact| now < fact.until && !ended.is_outdated(&fact.value, fact.generation)) {
            return Some(Some(fact.value));
        }
        self.absent.get(key).filter(|until| now < *until).map(|_| None)
    }

    fn keep(&self, began: Began, value: V, until: Instant) -> Arc<V> {
        let value = Arc::new(value);
        self.found.insert(began.key, Fact { value: Arc::clone(&value), until, generation: began.generation });
        self.absent.invalidate(&began.key);
        value
    }

    fn remember(&self, name: &'static str, began: Began, ended: &Ended<V>, loaded: Result<Option<V>, Unavailable>) -> Answer<V> {
        match loaded {
            Ok(Some(value)) => Ok(Some(self.keep(began, value, deadline(began.at, self.limits.max_age)))),
            Ok(None) => {
                self.found.invalidate(&began.key);
                self.absent.insert(began.key, deadline(began.at, self.limits.negative_max_age));
                Ok(None)
            }
            Err(error) => {
                let lasts = |fact: &Fact<V>| fact.until.checked_add(self.limits.stale_if_error).is_some_and(|until| began.at < until);
                let stale = self.found.get(&began.key).filter(|fact| lasts(fact) && !ended.is_outdated(&fact.value, fact.generation));
                if stale.is_some() {
                    tracing::warn!(source = name, cause = %error, "the source fails; what it said before stands in");
                }
                stale.map_or(Err(error), |fact| Ok(Some(fact.value)))
            }
        }
    }
}

/// An age beyond what the clock can count is no age at all: nothing is kept.
fn deadline(began: Instant, age: Duration) -> Instant {
    began.checked_add(age).unwrap_or(began)
}

#[cfg(test)]
mod tests;
