//! Sources that outlive a reload, and what is said of them when they fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Unavailable;
use super::health::{Health, SourceStatus};
use crate::types::unix_now;

/// Between two words about a source that fails now and then, in seconds: nobody fills the log with it.
const PAUSE: i64 = 10;

/// A hash of everything that a source is made of, secrets included.
pub type Mark = [u8; 32];

/// Sources by what they are made of: a reload that changes nothing about one keeps it and what it knows. One that no
/// scheme uses any longer is dropped.
pub struct Sources<T> {
    all: Mutex<HashMap<Mark, Weak<T>>>,
}

impl<T> Default for Sources<T> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

impl<T> fmt::Debug for Sources<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("sources", &self.lock().len()).finish()
    }
}

impl<T> Sources<T> {
    /// The source of this mark: the one that is there, or what `make` makes.
    pub fn get(&self, mark: Mark, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.lock();
        all.retain(|_, source| source.strong_count() > 0);
        if let Some(source) = all.get(&mark).and_then(Weak::upgrade) {
            return source;
        }
        let source = Arc::new(make());
        all.insert(mark, Arc::downgrade(&source));
        source
    }

    /// All sources in use.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<T>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Mark, Weak<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens to a source, and says it once when the source begins to fail, and once when it is back.
#[derive(Debug)]
pub struct Watch {
    health: Health,
    failing: AtomicBool,
    said: AtomicI64,
}

impl Watch {
    /// Of the source called `name`, of which nothing was heard yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { health: Health::new(name), failing: AtomicBool::new(false), said: AtomicI64::new(i64::MIN) }
    }

    /// Takes note of what came of a question, and hands it on.
    pub fn heard<T>(&self, outcome: Result<T, Unavailable>) -> Result<T, Unavailable> {
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        let now = unix_now();
        let due = now.saturating_sub(self.said.load(Ordering::Relaxed)) >= PAUSE;
        match &outcome {
            Ok(_) => {
                self.health.answered();
                if was_failing && due {
                    self.said.store(now, Ordering::Relaxed);
                    tracing::info!(source = self.health.status(now).name, "the source answers again");
                }
            }
            Err(error) => {
                self.health.failed(&error.cause);
                if due {
                    self.said.store(now, Ordering::Relaxed);
                    tracing::warn!(source = self.health.status(now).name, cause = %error.cause, "the source gives no answer; who needs one is refused");
                }
            }
        }
        outcome
    }

    /// How the source is.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.health.status(unix_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_while_it_is_used_and_made_anew_when_anything_about_it_changes() {
        let sources = Sources::default();
        let one = sources.get([1; 32], || 1);
        assert!(Arc::ptr_eq(&one, &sources.get([1; 32], || 2)));
        let other = sources.get([2; 32], || 3);
        assert_eq!((*other, sources.all().len()), (3, 2));
        drop(one);
        assert_eq!(*sources.get([1; 32], || 4), 4);
    }

    #[test]
    fn what_was_heard_is_handed_on_and_counted() {
        let watch = Watch::new("x");
        assert_eq!(watch.heard(Ok(1)).unwrap(), 1);
        assert!(watch.heard::<()>(Err(Unavailable::new("x", "down"))).is_err());
        let status = watch.status();
        assert_eq!((status.failures_total, status.last_error.as_deref()), (1, Some("down")));
    }
}
