//! Signatures whose bodies are being read at this moment.
//!
//! A signature is remembered as used once its body has been verified, and until its time window is over. A body may take
//! longer than that to arrive. Without this set, two copies of one request, begun within the window and dripped past its end,
//! would find the memory already emptied, and both be let in.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::types::Digest;

/// The set. As long as the requests that are being read.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashSet<Digest>>);

/// One request that is being read; leaves the set when dropped.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    all: &'a Uploads,
    signature: Digest,
}

impl Uploads {
    /// `None` if a request with this signature is being read already.
    pub(super) fn enter(&self, signature: [u8; 32]) -> Option<Upload<'_>> {
        let signature = Digest(signature);
        let new = self.lock().insert(signature);
        // Made only when new: dropping it would free the place of the one inside.
        new.then(|| Upload { all: self, signature })
    }

    /// A panic elsewhere cannot leave the set half changed.
    fn lock(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_by_one_request_at_a_time() {
        let uploads = Uploads::default();
        let first = uploads.enter([1; 32]);
        assert!(first.is_some());
        assert!(uploads.enter([1; 32]).is_none());
        assert!(uploads.enter([2; 32]).is_some(), "another signature is not held up");
        drop(first);
        assert!(uploads.enter([1; 32]).is_some());
    }

    #[test]
    fn a_request_that_was_refused_entry_does_not_free_the_place_of_the_one_inside() {
        let uploads = Uploads::default();
        let _first = uploads.enter([1; 32]);
        drop(uploads.enter([1; 32]));
        assert!(uploads.enter([1; 32]).is_none());
    }
}
