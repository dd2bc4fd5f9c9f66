//! Signatures that may be used once. Bounded; when full it refuses rather than forgets.
//!
//! Entries lie in buckets by the second until which they are remembered, so that forgetting what has passed costs one
//! step each and no search.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use super::Unavailable;

const SOURCE: &str = "replay memory";

/// The memory of used signatures.
#[derive(Debug)]
pub struct Replay {
    capacity: usize,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    signatures: HashSet<[u8; 32]>,
    buckets: BTreeMap<i64, Vec<[u8; 32]>>,
    /// The latest second whose bucket was forgotten. A clock that is set back must not let its signatures in again.
    forgotten: Option<i64>,
}

impl Replay {
    /// With room for `capacity` signatures at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, used: Mutex::new(Used { signatures: HashSet::new(), buckets: BTreeMap::new(), forgotten: None }) }
    }

    /// Whether `signature` (a hash over scheme, key and MAC) is used for the first time. It is remembered until
    /// `until` (Unix seconds, inclusive). A signature whose `until` has passed is never a first use: what it was may
    /// be forgotten. `Err` when the memory is full of signatures that are still to be remembered.
    ///
    /// Asynchronous because replicas may share the memory. Dropping the future never lets a signature in: what was
    /// noted stays noted.
    #[allow(clippy::unused_async, reason = "the shared memory is asked here")]
    pub async fn first_use(&self, signature: [u8; 32], until: i64, now: i64) -> Result<bool, Unavailable> {
        self.first_use_here(signature, until, now)
    }

    /// The same by this process's memory alone.
    fn first_use_here(&self, signature: [u8; 32], until: i64, now: i64) -> Result<bool, Unavailable> {
        // After a panic under the lock nobody knows what was noted: refuse.
        let mut used = self.used.lock().map_err(|_| Unavailable::new(SOURCE, "it broke"))?;
        used.forget(now);
        if until < now || used.forgotten.is_some_and(|forgotten| until <= forgotten) || used.signatures.contains(&signature) {
            return Ok(false);
        }
        if used.signatures.len() >= self.capacity {
            return Err(Unavailable::new(SOURCE, format_args!("full of {} signatures that could come again", self.capacity)));
        }
        used.signatures.insert(signature);
        used.buckets.entry(until).or_default().push(signature);
        Ok(true)
    }

    /// How many signatures are remembered: for a metric.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used.lock().map_or(0, |used| used.signatures.len())
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Used {
    fn forget(&mut self, now: i64) {
        while let Some(bucket) = self.buckets.first_entry().filter(|bucket| *bucket.key() < now) {
            self.forgotten = self.forgotten.max(Some(*bucket.key()));
            for signature in bucket.remove() {
                self.signatures.remove(&signature);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_is_used_once_until_its_window_has_passed() {
        let replay = Replay::new(10);
        assert!(replay.first_use_here([1; 32], 100, 90).unwrap());
        for now in [90, 95, 100] {
            assert!(!replay.first_use_here([1; 32], 100, now).unwrap(), "{now}");
        }
        assert!(replay.first_use_here([2; 32], 100, 100).unwrap());
        assert!(!replay.first_use_here([3; 32], 100, 101).unwrap(), "its window has passed");
        assert!(replay.first_use_here([1; 32], 200, 101).unwrap(), "the same bytes in a later window");
        assert_eq!(replay.len(), 1);
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing_that_could_come_again() {
        let replay = Replay::new(2);
        assert!(replay.first_use_here([1; 32], 100, 90).unwrap());
        assert!(replay.first_use_here([2; 32], 110, 90).unwrap());
        assert!(replay.first_use_here([3; 32], 120, 90).is_err());
        assert!(!replay.first_use_here([1; 32], 100, 90).unwrap(), "known ones are still told apart");
        assert!(replay.first_use_here([3; 32], 120, 101).unwrap(), "one has passed: there is room");
        assert!(replay.first_use_here([4; 32], 120, 101).is_err());
        assert!(Replay::new(0).first_use_here([1; 32], 1, 0).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nothing_in_again() {
        let replay = Replay::new(10);
        assert!(replay.first_use_here([1; 32], 100, 90).unwrap());
        assert!(replay.first_use_here([2; 32], 100_000, 99_990).unwrap());
        assert!(!replay.first_use_here([1; 32], 100, 90).unwrap(), "forgotten, and still not let in");
        assert!(replay.first_use_here([3; 32], 101, 90).unwrap());
    }

    #[test]
    fn of_many_threads_with_the_same_signature_one_is_first() {
        let replay = Arc::new(Replay::new(1000));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let replay = Arc::clone(&replay);
                std::thread::spawn(move || (0..100u8).filter(|n| replay.first_use_here([*n; 32], 100, 90).unwrap()).count())
            })
            .collect();
        let firsts: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(firsts, 100);
    }

    fn any_time() -> impl Strategy<Value = i64> {
        prop_oneof![4 => 0i64..30, 1 => any::<i64>(), 1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)]]
    }

    proptest! {
        #[test]
        fn with_a_steady_clock_it_does_as_a_simple_model_does(steps in prop::collection::vec((0u8..12, 0i64..20, 0i64..4), 1..120)) {
            let replay = Replay::new(5);
            let mut model: HashMap<u8, i64> = HashMap::new();
            let mut now = 0;
            for (signature, window, passed) in steps {
                now += passed;
                let until = now + window - 2;
                model.retain(|_, until| *until >= now);
                let expected = if until < now || model.contains_key(&signature) { Some(false) } else if model.len() >= 5 { None } else { Some(true) };
                if expected == Some(true) {
                    model.insert(signature, until);
                }
                prop_assert_eq!(replay.first_use_here([signature; 32], until, now).ok(), expected);
                prop_assert_eq!(replay.len(), model.len());
            }
        }

        #[test]
        fn with_any_clock_no_signature_is_first_twice_in_the_same_window(steps in prop::collection::vec((0u8..4, any_time(), any_time()), 1..80)) {
            let replay = Replay::new(100);
            let mut accepted = HashSet::new();
            for (signature, until, now) in steps {
                if replay.first_use_here([signature; 32], until, now).unwrap() {
                    prop_assert!(until >= now);
                    prop_assert!(accepted.insert((signature, until)));
                }
            }
        }
    }
}
