//! Signatures that may be used once.
//!
//! ```text
//! first_use --seen here--> false
//!           --full-------> Err
//!           --new--------> noted here; shared store: SET PREFIX:replay:SIGNATURE ID NX EX SECONDS
//!                            OK  -> true
//!                            nil -> GET: our own ID (a reply was lost and the client asked again) -> true, else false
//!                            ?   -> taken back here; Err (deny), or true by this memory alone (local)
//! ```
//!
//! An unknown outcome is never a first use: whoever sends the request again is told which it was. The shared store
//! remembers some time longer than a signature is good, for the clocks of replicas may differ.

mod memory;

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory::Memory;
use sha2::{Digest as _, Sha256};

use super::settings::OnStoreError;
use super::shared::Shared;
use super::{Unavailable, random_text};
use crate::types::unix_now;

const SOURCE: &str = "replay memory";
/// By how many seconds the clocks of replicas may differ.
const CLOCKS: i64 = 60;
/// How long after a signature's time a request that began within it may come here, where the memory is shared: its body took so
/// long to arrive. The shared memory remembers for longer than that, so that a body that is dripped does not outlive it.
const SLOWEST: i64 = 300;
/// No signature is good for longer; a time beyond it is a mistake, and Redis would not take it.
const LONGEST: i64 = 10 * 365 * 86_400;

/// The memory of used signatures: this process's own, and the one that replicas share.
#[derive(Debug)]
pub struct Replay {
    here: Memory,
    shared: Option<(Shared, OnStoreError)>,
    alone: AtomicU64,
}

impl Replay {
    /// With room for `capacity` signatures at a time in this process.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { here: Memory::new(capacity), shared: None, alone: AtomicU64::new(0) }
    }

    /// Shares it with other replicas.
    #[must_use]
    pub fn shared_by(self, shared: Shared, on_store_error: OnStoreError) -> Self {
        Self { shared: Some((shared, on_store_error)), ..self }
    }

    /// Whether `signature` (that tells scheme, key and MAC from all others, already by its first eight bytes) is used for the first time, here and in all replicas that
    /// share the memory. It is remembered until `until` (Unix seconds, inclusive). A signature whose `until` has passed is
    /// never a first use: what it was may be forgotten. `Err` when the memory is full of signatures that are still to be
    /// remembered, or when the shared memory cannot say.
    ///
    /// Dropping the future never lets a signature in: what was noted stays noted.
    pub async fn first_use(&self, signature: [u8; 32], until: i64, now: i64) -> Result<bool, Unavailable> {
        if !self.here.first_use(signature, until, now)? {
            return Ok(false);
        }
        let Some((shared, on_store_error)) = &self.shared else { return Ok(true) };
        if unix_now().saturating_sub(until) > SLOWEST {
            return Ok(false);
        }
        match (first_of_all(shared, &signature, until.saturating_sub(now)).await, on_store_error) {
            (Ok(first), _) => Ok(first),
            (Err(_), OnStoreError::Local) => {
                self.alone.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            (Err(error), OnStoreError::Deny) => {
                self.here.take_back(&signature, until);
                Err(error)
            }
        }
    }

    /// How many signatures this process remembers: for a metric.
    #[must_use]
    pub fn len(&self) -> usize {
        self.here.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many signatures were let in by this process's memory alone: for a metric.
    #[must_use]
    pub fn alone(&self) -> u64 {
        self.alone.load(Ordering::Relaxed)
    }
}

/// Asks the shared memory. `left` is for how many seconds the signature is still good.
async fn first_of_all(shared: &Shared, signature: &[u8; 32], left: i64) -> Result<bool, Unavailable> {
    let seconds = left.saturating_add(1).saturating_add(CLOCKS).saturating_add(SLOWEST);
    if !(1..=LONGEST).contains(&seconds) {
        return Err(Unavailable::new(SOURCE, "a signature is good for longer than anything is remembered"));
    }
    // Hashed: it may hold a MAC, and who reads along there learns none.
    let key = shared.key(&format!("replay:{}", URL_SAFE_NO_PAD.encode(Sha256::digest(signature))));
    let id = random_text()?;
    shared
        .ask(move |mut line| async move {
            let set: Option<String> = redis::cmd("SET").arg(&key).arg(&id).arg("NX").arg("EX").arg(seconds).query_async(&mut line).await?;
            if set.is_some() {
                return Ok(true);
            }
            // The client of a Cluster asks again when a connection breaks: then it may be our own command that came first.
            let first: Option<String> = redis::cmd("GET").arg(&key).query_async(&mut line).await?;
            Ok(first.as_deref() == Some(id.as_str()))
        })
        .await
}
