//! The hash of something secret, as a key of a table.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// Bytes of SHA-256, all 32 where nothing else is said. All of them are compared; a table hashes the first eight, which are as good
/// as random: to make many begin alike costs far more than to send as many requests.
///
/// A set of them is a [`DigestSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest<const N: usize = 32>(pub [u8; N]);

impl<const N: usize> Hash for Digest<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.first_chunk().map_or(0, |first| u64::from_ne_bytes(*first)));
    }
}

/// A set of digests.
pub type DigestSet<const N: usize = 32> = HashSet<Digest<N>, Keyed>;

/// Hashes the beginning of a digest by one multiplication, under two secret numbers: nobody can find out which digests fall into one
/// place of a table. For nothing else: what is not as good as random needs more than that.
#[derive(Clone, Copy)]
pub struct Keyed(u64, u64);

impl Default for Keyed {
    fn default() -> Self {
        // Each call gives other numbers, the second an odd one.
        Self(RandomState::new().hash_one(0), RandomState::new().hash_one(1) | 1)
    }
}

/// The numbers are a secret.
impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed")
    }
}

impl BuildHasher for Keyed {
    type Hasher = Product;

    fn build_hasher(&self) -> Product {
        Product { key: *self, hash: 0 }
    }
}

/// See [`Keyed`].
#[derive(Debug)]
pub struct Product {
    key: Keyed,
    hash: u64,
}

impl Hasher for Product {
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(number ^ self.hash ^ self.key.0) * u128::from(self.key.1);
        self.hash = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn two_sets_hash_one_digest_differently_and_one_set_spreads_them() {
        let (one, other) = (Keyed::default(), Keyed::default());
        assert_ne!(one.hash_one(Digest([7; 32])), other.hash_one(Digest([7; 32])));
        assert_eq!(format!("{one:?}"), "Keyed");
        let hashes: Vec<u64> = (0..4096_u64).map(|number| one.hash_one(Digest::<32>(sha2::Sha256::digest(number.to_ne_bytes()).into()))).collect();
        for shift in [0, 52] {
            let places: HashSet<u64> = hashes.iter().map(|hash| (hash >> shift) & 0xfff).collect();
            assert!(places.len() > 2000, "{shift}: {}", places.len());
        }
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let mut set = DigestSet::default();
        for last in 0..100 {
            let mut bytes = [7; 32];
            bytes[31] = last;
            assert!(set.insert(Digest(bytes)));
            assert!(!set.insert(Digest(bytes)));
        }
        assert_eq!(set.len(), 100);
    }
}
