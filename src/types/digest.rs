//! The hash of something secret, as a key of a table.

use std::hash::{Hash, Hasher};

/// Bytes of SHA-256, all 32 where nothing else is said. All of them are compared; a table hashes the first eight, which are as good
/// as random: to make many begin alike costs far more than to send as many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest<const N: usize = 32>(pub [u8; N]);

impl<const N: usize> Hash for Digest<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.first_chunk().map_or(0, |first| u64::from_ne_bytes(*first)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let mut set = HashSet::new();
        for last in 0..100 {
            let mut bytes = [7; 32];
            bytes[31] = last;
            assert!(set.insert(Digest(bytes)));
            assert!(!set.insert(Digest(bytes)));
        }
        assert_eq!(set.len(), 100);
    }
}
