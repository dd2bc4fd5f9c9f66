//! How a source of facts has fared: when it last answered, and what went wrong last. Nothing is decided by it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::types::unix_now;

/// Never answered yet.
const NEVER: i64 = i64::MIN;

/// One source: a database, Redis, an issuer's keys.
#[derive(Debug)]
pub struct Health {
    name: String,
    answered: AtomicI64,
    failures: AtomicU64,
    last_error: Mutex<Option<(i64, Arc<str>)>>,
}

/// What operators are told of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// Such as `store`, `redis` or `jwks corp`.
    pub name: String,
    /// Whether the latest that was heard of it is an answer; `None` when nothing was heard of it yet.
    pub ok: Option<bool>,
    /// Seconds since it last answered.
    pub age_seconds: Option<u64>,
    /// How often it failed since the start.
    pub failures_total: u64,
    /// What went wrong last. Never a secret.
    pub last_error: Option<String>,
    /// Seconds since that.
    pub last_error_age_seconds: Option<u64>,
}

impl SourceStatus {
    /// Two accounts of one place, such as of two tables of a database: as bad as the worse of them.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let told = if other.ok == Some(false) && self.ok != Some(false) { &other } else { &self };
        let (last_error, last_error_age_seconds) = match &told.last_error {
            Some(error) => (Some(error.clone()), told.last_error_age_seconds),
            None => (self.last_error.clone().or(other.last_error), self.last_error_age_seconds.or(other.last_error_age_seconds)),
        };
        Self {
            ok: match (self.ok, other.ok) {
                (Some(one), Some(two)) => Some(one && two),
                (one, two) => one.or(two),
            },
            age_seconds: self.age_seconds.max(other.age_seconds),
            failures_total: self.failures_total.saturating_add(other.failures_total),
            last_error,
            last_error_age_seconds,
            name: self.name,
        }
    }
}

impl Health {
    /// Of a source of which nothing was heard yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), answered: AtomicI64::new(NEVER), failures: AtomicU64::new(0), last_error: Mutex::default() }
    }

    /// It answered just now.
    pub fn answered(&self) {
        self.answered.store(unix_now(), Ordering::Relaxed);
    }

    /// It failed just now. `cause` is shown to operators: no secret may be in it.
    pub fn failed(&self, cause: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some((unix_now(), cause.into()));
    }

    /// What is known of it at `now` (Unix seconds).
    #[must_use]
    pub fn status(&self, now: i64) -> SourceStatus {
        let since = |then: i64| u64::try_from(now.saturating_sub(then)).unwrap_or(0);
        let answered = Some(self.answered.load(Ordering::Relaxed)).filter(|at| *at != NEVER);
        let error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ok = match (answered, &error) {
            (None, None) => None,
            (Some(_), None) => Some(true),
            (None, Some(_)) => Some(false),
            // In the same second nobody can tell which was later; a source that is down goes on failing.
            (Some(answered), Some((failed, _))) => Some(answered >= *failed),
        };
        SourceStatus {
            name: self.name.clone(),
            ok,
            age_seconds: answered.map(since),
            failures_total: self.failures.load(Ordering::Relaxed),
            last_error_age_seconds: error.as_ref().map(|(at, _)| since(*at)),
            last_error: error.map(|(_, cause)| cause.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_last_says_whether_a_source_is_well() {
        let health = Health::new("redis");
        let now = unix_now();
        assert_eq!((health.status(now).ok, health.status(now).age_seconds), (None, None));
        health.failed("refused");
        let status = health.status(unix_now() + 5);
        assert_eq!((status.ok, status.last_error.as_deref(), status.failures_total), (Some(false), Some("refused"), 1));
        assert!(status.age_seconds.is_none() && status.last_error_age_seconds.is_some_and(|age| age >= 5));
        health.answered();
        let status = health.status(unix_now() + 3);
        assert_eq!((status.ok, status.name.as_str()), (Some(true), "redis"));
        assert!(status.age_seconds.is_some_and(|age| age >= 3));
        assert_eq!(status.last_error.as_deref(), Some("refused"), "what went wrong last is still told");
    }

    #[test]
    fn two_accounts_of_one_place_are_as_bad_as_the_worse() {
        let status = |ok, age_seconds, failures_total, error: Option<&str>| SourceStatus {
            name: "token table db".to_owned(),
            ok,
            age_seconds,
            failures_total,
            last_error: error.map(str::to_owned),
            last_error_age_seconds: error.map(|_| 3),
        };
        let (well, ill, unheard) = (status(Some(true), Some(1), 0, None), status(Some(false), Some(9), 2, Some("down")), status(None, None, 0, None));
        for both in [well.clone().joined(ill.clone()), ill.clone().joined(well.clone())] {
            assert_eq!(both, status(Some(false), Some(9), 2, Some("down")));
        }
        assert_eq!(unheard.clone().joined(well.clone()), well);
        assert_eq!(unheard.clone().joined(unheard.clone()), unheard);
        let again = status(Some(true), Some(0), 5, Some("was down"));
        assert_eq!(again.joined(ill), status(Some(false), Some(9), 7, Some("down")));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_source_negatively_old() {
        let health = Health::new("store");
        health.answered();
        assert_eq!(health.status(i64::MIN).age_seconds, Some(0));
    }
}
