//! Sources that outlive a reload, and how they are doing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// A hash of everything that a source is made of, secrets included.
pub type Mark = [u8; 32];

/// Sources by what they are made of: a reload that changes nothing about one keeps it and what it knows. One that no
/// scheme uses any longer is dropped.
pub struct Shared<T> {
    all: Mutex<HashMap<Mark, Weak<T>>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sources", &self.lock().len()).finish()
    }
}

impl<T> Shared<T> {
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

/// How a source is, for metrics and `/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// What is asked, without anything secret.
    pub name: String,
    /// Since it last gave an answer; `None` before the first.
    pub age_seconds: Option<u64>,
    /// Questions that it did not answer.
    pub failures_total: u64,
    /// Why it did not answer the last one; `None` if it did.
    pub last_error: Option<String>,
}

/// What came of the questions to a source.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answered: Option<Instant>,
    failures: u64,
    failure: Option<String>,
}

impl Health {
    /// Notes what came of a question, and hands it on.
    pub fn note<T, E: fmt::Display>(&self, outcome: Result<T, E>) -> Result<T, E> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(_) => {
                state.answered = Some(Instant::now());
                state.failure = None;
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.failure = Some(error.to_string());
            }
        }
        drop(state);
        outcome
    }

    /// What is known of the source called `name`.
    #[must_use]
    pub fn status(&self, name: &str) -> SourceStatus {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        SourceStatus {
            name: name.to_owned(),
            age_seconds: state.answered.map(|answered| answered.elapsed().as_secs()),
            failures_total: state.failures,
            last_error: state.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_while_it_is_used_and_made_anew_when_anything_about_it_changes() {
        let shared = Shared::default();
        let one = shared.get([1; 32], || 1);
        assert!(Arc::ptr_eq(&one, &shared.get([1; 32], || 2)));
        let other = shared.get([2; 32], || 3);
        assert_eq!((*other, shared.all().len()), (3, 2));
        drop(one);
        assert_eq!(*shared.get([1; 32], || 4), 4);
    }

    #[test]
    fn the_last_outcome_and_all_failures_are_told() {
        let health = Health::default();
        assert_eq!(health.status("x"), SourceStatus { name: "x".to_owned(), age_seconds: None, failures_total: 0, last_error: None });
        for outcome in [Err("down"), Ok(()), Err("slow")] {
            assert_eq!(health.note(outcome), outcome);
        }
        let status = health.status("x");
        assert_eq!((status.failures_total, status.last_error.as_deref()), (2, Some("slow")));
        assert!(status.age_seconds.is_some());
    }
}
