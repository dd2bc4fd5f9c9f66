//! Signatures that may be used once. Bounded; when full it refuses rather than forgets.

use super::Unavailable;

/// The memory of used signatures.
#[derive(Debug)]
pub struct Replay {}

impl Replay {
    /// With room for `capacity` signatures at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let _ = capacity;
        todo!()
    }

    /// Whether `signature` (a hash over scheme, key and MAC) is used for the first time. It is remembered until
    /// `until` (Unix seconds, inclusive). `Err` when the memory is full of signatures that are still to be remembered.
    pub fn first_use(&self, signature: [u8; 32], until: i64, now: i64) -> Result<bool, Unavailable> {
        let _ = (signature, until, now);
        todo!()
    }
}
