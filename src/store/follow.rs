//! Follows what other processes change in the store, so that what is known here is forgotten at once and not when it has aged.
//!
//! ```text
//! doorward key revoke -> the key's row, then the number of changes -> seen here within a second -> another epoch
//! ```
//!
//! What was learned in one epoch is not found in the next: the epoch goes into the keys of the cache, so that a look-up under way
//! while something is changed leaves its answer where nobody looks any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::cache::CacheKey;
use super::sql::Db;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The epoch of what is known of keys. Nobody looks while nobody asks.
#[derive(Debug)]
pub(super) struct Epoch {
    number: AtomicU64,
    asked: AtomicBool,
}

impl Epoch {
    /// Begins to follow `db`. `max_age`: how long after the last question something of it may be remembered.
    pub(super) fn follow(db: Db, max_age: Duration, aux: &Handle) -> Arc<Self> {
        let this = Arc::new(Self { number: AtomicU64::new(0), asked: AtomicBool::new(false) });
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
}

async fn look(epoch: Weak<Epoch>, db: Db, max_age: Duration) {
    // The first number that is seen says nothing of what was learned before it. So it is asked for at once: if the store goes down soon
    // after the start, what is known by then stays known.
    let mut seen = None;
    let mut idle = Duration::ZERO;
    loop {
        {
            let Some(epoch) = epoch.upgrade() else { return };
            if idle > max_age {
                seen = None;
            // While the store does not answer, what is known ages as it would.
            } else if let Ok(number) = db.key_changes().await
                && seen.replace(number) != Some(number)
            {
                epoch.number.fetch_add(1, Ordering::AcqRel);
            }
        }
        tokio::time::sleep(EVERY).await;
        let Some(epoch) = epoch.upgrade() else { return };
        idle = if epoch.asked.swap(false, Ordering::Relaxed) { Duration::ZERO } else { idle.saturating_add(EVERY) };
    }
}
