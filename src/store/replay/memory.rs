//! What one process remembers of used signatures. Bounded; when full it refuses rather than forgets.
//!
//! Entries lie in buckets by the second until which they are remembered, so that forgetting what has passed costs one
//! step each and no search.
//!
//! Of a hash only the first eight bytes are kept, since a table of a quarter of the size is found sooner in the processor's caches.
//! Two signatures that share them are taken for one, and the second is refused: it happens once in ten million million, with a
//! million remembered. Nobody is let in for it, and whose signature somebody could have refused he would have to know beforehand.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::super::Unavailable;
use crate::types::{Digest, DigestSet};

const SOURCE: &str = "replay memory";

/// The beginning of a hash.
type Beginning = Digest<8>;

fn beginning(signature: &[u8; 32]) -> Beginning {
    Digest(signature.first_chunk().copied().unwrap_or_default())
}

/// The memory of one process.
#[derive(Debug)]
pub(super) struct Memory {
    capacity: usize,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    signatures: DigestSet<8>,
    buckets: BTreeMap<i64, Vec<Beginning>>,
    /// The latest second whose bucket was forgotten. A clock that is set back must not let its signatures in again.
    forgotten: Option<i64>,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, used: Mutex::new(Used { signatures: DigestSet::default(), buckets: BTreeMap::new(), forgotten: None }) }
    }

    /// Whether `signature` is used for the first time: see [`super::Replay::first_use`].
    pub(super) fn first_use(&self, signature: [u8; 32], until: i64, now: i64) -> Result<bool, Unavailable> {
        let signature = beginning(&signature);
        // After a panic under the lock nobody knows what was noted: refuse.
        let mut used = self.used.lock().map_err(|_| Unavailable::new(SOURCE, "it broke"))?;
        used.forget(now);
        if until < now || used.forgotten.is_some_and(|forgotten| until <= forgotten) {
            return Ok(false);
        }
        if used.signatures.len() >= self.capacity {
            if used.signatures.contains(&signature) {
                return Ok(false);
            }
            return Err(Unavailable::new(SOURCE, format_args!("full of {} signatures that could come again", self.capacity)));
        }
        if !used.signatures.insert(signature) {
            return Ok(false);
        }
        used.buckets.entry(until).or_default().push(signature);
        Ok(true)
    }

    /// Takes back a first use that came to nothing, so that the same request may come again.
    pub(super) fn take_back(&self, signature: &[u8; 32], until: i64) {
        let Ok(mut used) = self.used.lock() else { return };
        let signature = beginning(signature);
        let Some(bucket) = used.buckets.get_mut(&until) else { return };
        let Some(at) = bucket.iter().rposition(|other| *other == signature) else { return };
        bucket.swap_remove(at);
        if bucket.is_empty() {
            used.buckets.remove(&until);
        }
        used.signatures.remove(&signature);
    }

    pub(super) fn len(&self) -> usize {
        self.used.lock().map_or(0, |used| used.signatures.len())
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
    use std::collections::{HashMap, HashSet};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_is_used_once_until_its_window_has_passed() {
        let replay = Memory::new(10);
        assert!(replay.first_use([1; 32], 100, 90).unwrap());
        for now in [90, 95, 100] {
            assert!(!replay.first_use([1; 32], 100, now).unwrap(), "{now}");
        }
        assert!(replay.first_use([2; 32], 100, 100).unwrap());
        assert!(!replay.first_use([3; 32], 100, 101).unwrap(), "its window has passed");
        assert!(replay.first_use([1; 32], 200, 101).unwrap(), "the same bytes in a later window");
        assert_eq!(replay.len(), 1);
    }

    #[test]
    fn signatures_that_differ_early_are_told_apart_and_of_one_beginning_the_second_is_refused() {
        let replay = Memory::new(100);
        let ending = |at: usize| std::array::from_fn(|byte| u8::from(byte == at));
        for at in 0..8 {
            assert!(replay.first_use(ending(at), 100, 90).unwrap(), "{at}");
        }
        assert!(replay.first_use([0; 32], 100, 90).unwrap());
        for at in 8..32 {
            assert!(!replay.first_use(ending(at), 100, 90).unwrap(), "{at}");
        }
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing_that_could_come_again() {
        let replay = Memory::new(2);
        assert!(replay.first_use([1; 32], 100, 90).unwrap());
        assert!(replay.first_use([2; 32], 110, 90).unwrap());
        assert!(replay.first_use([3; 32], 120, 90).is_err());
        assert!(!replay.first_use([1; 32], 100, 90).unwrap(), "known ones are still told apart");
        assert!(replay.first_use([3; 32], 120, 101).unwrap(), "one has passed: there is room");
        assert!(replay.first_use([4; 32], 120, 101).is_err());
        assert!(Memory::new(0).first_use([1; 32], 1, 0).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nothing_in_again() {
        let replay = Memory::new(10);
        assert!(replay.first_use([1; 32], 100, 90).unwrap());
        assert!(replay.first_use([2; 32], 100_000, 99_990).unwrap());
        assert!(!replay.first_use([1; 32], 100, 90).unwrap(), "forgotten, and still not let in");
        assert!(replay.first_use([3; 32], 101, 90).unwrap());
    }

    #[test]
    fn of_many_threads_with_the_same_signature_one_is_first() {
        let replay = Arc::new(Memory::new(1000));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let replay = Arc::clone(&replay);
                std::thread::spawn(move || (0..100u8).filter(|n| replay.first_use([*n; 32], 100, 90).unwrap()).count())
            })
            .collect();
        let firsts: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(firsts, 100);
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace_and_everything_else_stays() {
        let replay = Memory::new(3);
        for n in 1..4 {
            assert!(replay.first_use([n; 32], 100, 90).unwrap());
        }
        replay.take_back(&[2; 32], 100);
        replay.take_back(&[1; 32], 101);
        replay.take_back(&[9; 32], 100);
        assert!(!replay.first_use([1; 32], 100, 90).unwrap() && !replay.first_use([3; 32], 100, 90).unwrap());
        assert!(replay.first_use([2; 32], 100, 90).unwrap(), "as if it had never come");
        for n in 1..4 {
            replay.take_back(&[n; 32], 100);
        }
        assert!(replay.len() == 0 && replay.used.lock().unwrap().buckets.is_empty());
    }

    fn any_time() -> impl Strategy<Value = i64> {
        prop_oneof![4 => 0i64..30, 1 => any::<i64>(), 1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)]]
    }

    proptest! {
        #[test]
        fn with_a_steady_clock_it_does_as_a_simple_model_does(steps in prop::collection::vec((0u8..12, 0i64..20, 0i64..4), 1..120)) {
            let replay = Memory::new(5);
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
                prop_assert_eq!(replay.first_use([signature; 32], until, now).ok(), expected);
                prop_assert_eq!(replay.len(), model.len());
            }
        }

        #[test]
        fn with_any_clock_no_signature_is_first_twice_in_the_same_window(steps in prop::collection::vec((0u8..4, any_time(), any_time()), 1..80)) {
            let replay = Memory::new(100);
            let mut accepted = HashSet::new();
            for (signature, until, now) in steps {
                if replay.first_use([signature; 32], until, now).unwrap() {
                    prop_assert!(until >= now);
                    prop_assert!(accepted.insert((signature, until)));
                }
            }
        }
    }
}
