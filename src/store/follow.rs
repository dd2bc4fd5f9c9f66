//! Follows what other processes change in the store, so that what is known here is forgotten at once and not when it has aged.
//!
//! ```text
//! doorward key revoke -> the key's row, then the number of changes -> seen here within a second -> another epoch
//! ```
//!
//! What was learned in one epoch is not found in the next: the epoch goes into the keys of the cache, so that a look-up under way
//! while something is changed leaves its answer where nobody looks any more. Before anything is learned, the number of changes is: so
//! that every later one is noticed, and the first look at it is no reason to forget.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::Unavailable;
use super::cache::CacheKey;
use super::sql::Db;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// No number of changes.
const UNSEEN: i64 = i64::MIN;

/// The epoch of what is known of keys. Nobody looks while nobody asks.
#[derive(Debug)]
pub(super) struct Epoch {
    number: AtomicU64,
    /// The number of changes that all that is known is not older than; [`UNSEEN`] while nothing is known.
    seen: AtomicI64,
    asked: AtomicBool,
}

impl Epoch {
    /// Begins to follow `db`. `max_age`: how long after the last question something of it may be remembered.
    pub(super) fn follow(db: Db, max_age: Duration, aux: &Handle) -> Arc<Self> {
        let this = Arc::new(Self { number: AtomicU64::new(0), seen: AtomicI64::new(UNSEEN), asked: AtomicBool::new(false) });
        aux.spawn(look(Arc::downgrade(&this), db, max_age));
        this
    }

    /// Where something about `name` is remembered in this epoch.
    pub(super) fn key(&self, name: &str) -> CacheKey {
        use sha2::{Digest, Sha256};
        // Read before it is written: the line stays with all processors.
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        let number = self.number.load(Ordering::Acquire);
        Sha256::new_with_prefix(number.to_be_bytes()).chain_update(name).finalize().into()
    }

    /// To be waited for before something is learned from `db`, so that what changes from now on is noticed.
    pub(super) async fn begin(&self, db: &Db) -> Result<(), Unavailable> {
        if self.seen.load(Ordering::Acquire) == UNSEEN {
            let number = db.key_changes().await?;
            // Whoever else began meanwhile may have seen less: then more is forgotten than need be.
            let _ = self.seen.compare_exchange(UNSEEN, number, Ordering::AcqRel, Ordering::Acquire);
        }
        Ok(())
    }

    fn forget(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
    }
}

async fn look(epoch: Weak<Epoch>, db: Db, max_age: Duration) {
    let mut idle = Duration::ZERO;
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(epoch) = epoch.upgrade() else { return };
        idle = if epoch.asked.swap(false, Ordering::Relaxed) { Duration::ZERO } else { idle.saturating_add(EVERY) };
        let seen = epoch.seen.load(Ordering::Acquire);
        if seen == UNSEEN {
            continue;
        }
        if idle > max_age {
            epoch.seen.store(UNSEEN, Ordering::Release);
            epoch.forget();
            continue;
        }
        // While the store does not answer, what is known ages as it would.
        if let Ok(number) = db.key_changes().await
            && number != seen
        {
            epoch.seen.store(number, Ordering::Release);
            epoch.forget();
        }
    }
}
