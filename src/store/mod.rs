//! What must outlive a reload: keys, tokens, users, learned facts, seen signatures, key sets of issuers.
//!
//! Nothing here sees a request. SQL stands in `sql.rs` alone.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::runtime::Handle;

use crate::types::{HumanDuration, Report};

pub mod facts;
pub mod jwks;
pub mod keys;
pub mod passwords;
pub mod replay;
pub mod sql;
pub mod tokens;
pub mod users;

/// `[store]`: what Doorward itself keeps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:FILE`; created and migrated at start.
    pub url: String,
}

/// `[cache]`: of facts learned from stores and identity providers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// How many facts of each kind are kept at most.
    pub capacity: u64,
    /// How long a fact is believed; never past its own expiry.
    pub max_age: HumanDuration,
    /// How long "there is no such thing" is believed.
    pub negative_max_age: HumanDuration,
    /// How long a fact may outlive `max_age` while its source is down.
    pub stale_if_error: HumanDuration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            max_age: HumanDuration::from_secs(60),
            negative_max_age: HumanDuration::from_secs(5),
            stale_if_error: HumanDuration::from_secs(0),
        }
    }
}

/// The answer cannot be had at the moment: 503, never "let it pass" and never "ask the next".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{source_name}: {cause}")]
pub struct Unavailable {
    /// What could not be asked, such as `store` or `jwks corp`.
    pub source_name: &'static str,
    /// For the operator; never shown to a client.
    pub cause: Arc<str>,
}

impl Unavailable {
    /// With the cause's text.
    pub fn new(source_name: &'static str, cause: impl std::fmt::Display) -> Self {
        Self { source_name, cause: cause.to_string().into() }
    }
}

/// All stores of the process. Reloads share them.
#[derive(Debug)]
pub struct Stores {
    /// API keys; `None` without a `[store]` section. The same for tokens and users.
    pub keys: Option<keys::Keys>,
    /// Opaque tokens that Doorward gave out.
    pub tokens: Option<tokens::Tokens>,
    /// Users with a password.
    pub users: Option<users::Users>,
    /// Verified passwords by keyed hash, and the bounded pool that verifies the others.
    pub passwords: passwords::Passwords,
    /// Verified JWTs by the hash of the token.
    pub facts: facts::Facts,
    /// Signatures that may be used once.
    pub replay: replay::Replay,
    /// Key sets of issuers.
    pub jwks: jwks::KeySets,
    /// Counters of the caches and sources.
    pub metrics: Arc<Metrics>,
    /// Runs what may block or wait for another machine.
    pub aux: Handle,
    /// Ages and sizes.
    pub cache: CacheSettings,
}

/// What the stores count. `telemetry.rs` publishes it; nothing here decides by it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// One pair (hits, misses) for each cache.
    pub jwt: CacheCounts,
    /// API keys.
    pub keys: CacheCounts,
    /// Opaque tokens.
    pub tokens: CacheCounts,
    /// Passwords.
    pub passwords: CacheCounts,
}

/// Hits and misses of one cache.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// Answered from what is known.
    pub hits: std::sync::atomic::AtomicU64,
    /// Had to ask the source.
    pub misses: std::sync::atomic::AtomicU64,
}

impl CacheCounts {
    /// Counts a hit.
    pub fn hit(&self) {
        self.hits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    /// Counts a miss.
    pub fn miss(&self) {
        self.misses.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Stores {
    /// Opens the store (created and migrated if need be) and makes the caches. `aux` runs all that waits.
    /// Reports under `store` and returns `None` when the database cannot be opened.
    pub async fn open(store: Option<&Settings>, cache: &CacheSettings, aux: Handle, report: &mut Report) -> Option<Arc<Self>> {
        let _ = (store, cache, aux, report, Duration::ZERO);
        todo!()
    }
}
