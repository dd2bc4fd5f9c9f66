//! Key sets of issuers: fetched, refreshed, rotated.
//!
//! ```text
//!  age of the keys   0 ............ 5 min ...................... 1 h
//!                    serve           serve, refresh behind        wait for a refresh, or 503
//!  unknown `kid`     one refresh for all who ask, at most one in 30 s; but in 250 ms if the last brought a new key
//!  no keys yet       one refresh for all who ask, at most one a second
//! ```
//!
//! Reading is lock-free. A refresh runs on the aux runtime, one at a time for each set; whoever needs its outcome waits
//! for it there, and a caller that goes away does not end it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::runtime::Handle;

use crate::idp::Client;

mod key;
mod set;
mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use key::PublicKey;
pub use set::{
    COOLDOWN, COOLDOWN_AFTER_NEWS, FILE_REFRESH_AFTER, KeySet, Keyring, MAX_SAME_KID, MAX_STALE, MAX_WITHOUT_KID, REFRESH_AFTER, RETRY_AFTER,
};
pub use source::{Access, MAX_KEYS, Source, bearer_token};

/// How a key set is, for metrics and `/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetStatus {
    /// The set's source, without a query.
    pub name: String,
    /// Since the fetch that brought the keys; `None` before the first.
    pub age_seconds: Option<u64>,
    /// Keys that can be used.
    pub keys: usize,
    /// Keys of the set that were passed over.
    pub skipped: usize,
    /// Fetches that failed.
    pub failures_total: u64,
    /// Why the last fetch failed; `None` if it did not.
    pub last_error: Option<String>,
}

/// All key sets of the process, by source, so that a reload keeps what was fetched. A set that no scheme uses is dropped.
#[derive(Debug)]
pub struct KeySets {
    aux: Handle,
    sets: Mutex<HashMap<Source, Weak<KeySet>>>,
}

impl KeySets {
    /// None yet. `aux` runs the fetches.
    #[must_use]
    pub fn new(aux: Handle) -> Self {
        Self { aux, sets: Mutex::default() }
    }

    /// The set of `source`: the one that is there, or a new one. Nothing is fetched. A file, though, is read at once:
    /// the error says what is wrong with it, or with the file of authorities.
    pub fn source(&self, source: Source) -> Result<Arc<KeySet>, String> {
        let (client, body) = match &source {
            Source::Url { .. } | Source::Issuer { .. } => (Some(Client::build(source.ca_file(), self.aux.clone())?), None),
            Source::File(path) => (None, Some(source::read_file(path)?)),
        };
        let mut sets = self.sets();
        sets.retain(|_, set| set.strong_count() > 0);
        let set = match sets.get(&source).and_then(Weak::upgrade) {
            Some(set) => set,
            None => {
                let set = Arc::new(KeySet::new(source.clone(), self.aux.clone()));
                sets.insert(source, Arc::downgrade(&set));
                set
            }
        };
        drop(sets);
        // Also for a set that was there: the file of authorities, or of keys, may hold others now.
        if let Some(client) = client {
            set.ask_with(client);
        }
        if let Some(body) = body {
            set.install(body)?;
        }
        Ok(set)
    }

    /// Starts the first fetch of every set that has no keys, so that the first request need not wait for it.
    pub fn prefetch(&self) {
        let sets: Vec<_> = self.sets().values().filter_map(Weak::upgrade).collect();
        for set in sets {
            set.prefetch(Instant::now());
        }
    }

    /// How each set is, by name.
    #[must_use]
    pub fn status(&self) -> Vec<KeySetStatus> {
        let now = Instant::now();
        let mut all: Vec<_> = self.sets().values().filter_map(Weak::upgrade).map(|set| set.status(now)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn sets(&self) -> MutexGuard<'_, HashMap<Source, Weak<KeySet>>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
