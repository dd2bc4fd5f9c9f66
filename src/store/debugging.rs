//! Whose wrong signatures are debugged, and until when: a key of the configuration for an hour from when this process first read that it
//! is to be, a key of the store until the moment that is written there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How long the configuration's word is good, in seconds.
const HOUR: i64 = 3600;

/// Outlives reloads: reading an unchanged configuration again does not begin another hour.
#[derive(Debug, Default)]
pub struct Debugging {
    /// Scheme and key: when it was first read. Never more than the configuration has keys, and had before.
    since: Mutex<BTreeMap<(String, String), i64>>,
    always: AtomicBool,
}

impl Debugging {
    /// Until when signatures of `key` under `scheme` are debugged, if the configuration that is read at `now` has it `on`.
    pub fn until(&self, scheme: &str, key: &str, on: bool, now: i64) -> Option<i64> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (scheme.to_owned(), key.to_owned());
        if !on {
            since.remove(&name);
            return None;
        }
        Some(since.entry(name).or_insert(now).saturating_add(HOUR))
    }

    /// Whether what is debugged until then is so at `now`. Unix seconds.
    pub fn is_on(&self, until: Option<i64>, now: i64) -> bool {
        until.is_some_and(|until| now < until) || self.always.load(Ordering::Relaxed)
    }

    /// Has every wrong signature debugged: for the operator's command line, never for a process that serves.
    pub fn always(&self) {
        self.always.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_an_hour_after_it_was_first_read_however_often_that_is_read_again() {
        let debugging = Debugging::default();
        for now in [1000, 1001, 4599, 4600, 9999] {
            let until = debugging.until("a", "k", true, now);
            assert_eq!((until, debugging.is_on(until, now)), (Some(4600), now < 4600), "{now}");
        }
        assert_eq!(debugging.until("b", "k", true, 2000), Some(5600), "another scheme's");
        assert_eq!(debugging.until("a", "other", false, 2000), None);
        assert_eq!(debugging.until("a", "k", false, 3000), None);
        assert_eq!(debugging.until("a", "k", true, 3001), Some(6601), "taken out and written again");
        assert_eq!(debugging.until("a", "end", true, i64::MAX), Some(i64::MAX));
        assert!(!debugging.is_on(None, 0));
        debugging.always();
        assert!(debugging.is_on(None, 0));
    }
}
