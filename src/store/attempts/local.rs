//! What one process remembers of failed attempts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::super::Unavailable;
use super::{Key, Rules};

/// Failures by who failed.
#[derive(Debug)]
pub(super) struct Local {
    capacity: usize,
    tried: Mutex<Tried>,
}

#[derive(Debug, Default)]
struct Tried {
    entries: HashMap<Key, Entry>,
    /// Who failed least, and longest ago, comes first.
    by_failures: BTreeSet<(u32, Instant, Key)>,
    /// Whose failures are forgotten next comes first.
    by_end: BTreeSet<(Instant, Key)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    last: Instant,
    /// Until when to wait.
    until: Instant,
    /// When it is forgotten.
    end: Instant,
}

impl Local {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, tried: Mutex::default() }
    }

    pub(super) fn locked(&self, key: &Key, now: Instant) -> Result<Option<Duration>, Unavailable> {
        let tried = self.lock()?;
        let entry = tried.entries.get(key).filter(|entry| now < entry.end);
        Ok(entry.map(|entry| entry.until.saturating_duration_since(now)).filter(|left| !left.is_zero()))
    }

    pub(super) fn failed(&self, key: Key, rules: Rules, now: Instant) -> Result<Duration, Unavailable> {
        let mut tried = self.lock()?;
        tried.forget(now);
        let failures = tried.remove(&key).map_or(0, |entry| entry.failures).saturating_add(1);
        while tried.entries.len() >= self.capacity.max(1) {
            let Some((_, _, least)) = tried.by_failures.first().copied() else { break };
            tried.remove(&least);
        }
        let wait = rules.wait(failures);
        let after = |time: Duration| now.checked_add(time).unwrap_or(now);
        let entry = Entry { failures, last: now, until: after(wait), end: after(rules.forget.max(wait)) };
        tried.by_failures.insert((failures, now, key));
        tried.by_end.insert((entry.end, key));
        tried.entries.insert(key, entry);
        Ok(wait)
    }

    pub(super) fn clear(&self, key: &Key) -> Result<(), Unavailable> {
        self.lock()?.remove(key);
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Tried>, Unavailable> {
        // After a panic under the lock nobody knows who has failed.
        self.tried.lock().map_err(|_| Unavailable::new("failed attempts", "the memory of them broke"))
    }
}

impl Tried {
    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.by_failures.remove(&(entry.failures, entry.last, *key));
        self.by_end.remove(&(entry.end, *key));
        Some(entry)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, key)) = self.by_end.first().copied().filter(|(end, _)| *end <= now) {
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::OF_USERS;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_wait_ends_and_a_quiet_hour_forgets() {
        let (local, now) = (Local::new(10), Instant::now());
        for _ in 0..5 {
            local.failed([1; 32], OF_USERS, now).unwrap();
        }
        assert_eq!(local.locked(&[1; 32], now).unwrap(), Some(SECOND));
        assert_eq!(local.locked(&[1; 32], now + SECOND).unwrap(), None);
        assert_eq!(local.failed([1; 32], OF_USERS, now + SECOND).unwrap(), SECOND * 2);
        assert_eq!(local.failed([1; 32], OF_USERS, now + SECOND * 3601).unwrap(), Duration::ZERO, "counted from the beginning");
    }

    #[test]
    fn a_flood_of_made_up_names_unlocks_nobody() {
        let (local, now) = (Local::new(100), Instant::now());
        for _ in 0..9 {
            local.failed([255; 32], OF_USERS, now).unwrap();
        }
        for name in 0..10_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&name.to_be_bytes());
            local.failed(key, OF_USERS, now).unwrap();
        }
        assert!(local.locked(&[255; 32], now).unwrap().is_some());
        assert_eq!(local.tried.lock().unwrap().entries.len(), 100);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_is_bounded_and_its_orders_agree(steps in prop::collection::vec((0_u8..20, 0_u64..2000, any::<bool>()), 1..200)) {
            let (local, mut now) = (Local::new(8), Instant::now());
            for (who, passed, success) in steps {
                now += Duration::from_secs(passed);
                if success {
                    local.clear(&[who; 32]).unwrap();
                    prop_assert_eq!(local.locked(&[who; 32], now).unwrap(), None);
                } else {
                    let wait = local.failed([who; 32], OF_USERS, now).unwrap();
                    prop_assert_eq!(local.locked(&[who; 32], now).unwrap().unwrap_or_default(), wait);
                }
                let tried = local.tried.lock().unwrap();
                prop_assert!(tried.entries.len() <= 8);
                prop_assert_eq!(tried.entries.len(), tried.by_failures.len());
                prop_assert_eq!(tried.entries.len(), tried.by_end.len());
            }
        }
    }
}
