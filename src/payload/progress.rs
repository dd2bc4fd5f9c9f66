//! How far a body has got, for those who wait meanwhile.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Mismatch, PayloadError};

/// What others may know of a body while it is on its way.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) received: AtomicU64,
    pub(super) ended: AtomicBool,
    pub(super) too_large: AtomicBool,
    pub(super) timed_out: AtomicBool,
    pub(super) broken: AtomicBool,
    pub(super) awaited: AtomicBool,
    pub(super) unasked: AtomicBool,
    pub(super) mismatch: OnceLock<Mismatch>,
}

impl Progress {
    /// Bytes received from the client so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether the whole body has been handed on.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether the next piece is the client's to send: then nobody behind us is late.
    #[must_use]
    pub fn awaits_client(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Whether the client still waits to be told to send it.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        self.unasked.load(Ordering::Relaxed)
    }

    /// Why the body failed, if it did: the upstream's error is then only a consequence.
    #[must_use]
    pub fn failure(&self, limit: u64) -> Option<PayloadError> {
        if let Some(mismatch) = self.mismatch.get() {
            return Some(PayloadError::Mismatch(mismatch.clone()));
        }
        if self.too_large.load(Ordering::Relaxed) {
            return Some(PayloadError::TooLarge(limit));
        }
        if self.timed_out.load(Ordering::Relaxed) {
            return Some(PayloadError::TimedOut);
        }
        self.broken.load(Ordering::Relaxed).then(|| PayloadError::Broken("the client's connection broke".into()))
    }

    pub(super) fn note(&self, error: &PayloadError) {
        match error {
            PayloadError::TooLarge(_) => &self.too_large,
            PayloadError::TimedOut => &self.timed_out,
            PayloadError::Broken(_) | PayloadError::Spool(_) => &self.broken,
            PayloadError::Mismatch(mismatch) => {
                self.mismatch.get_or_init(|| mismatch.clone());
                return;
            }
        }
        .store(true, Ordering::Relaxed);
    }
}
