//! What replicas of Doorward share, and how each of them decides without it.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::attempts::Attempts;
use super::replay::Replay;
use super::revocations::Revocations;
use super::sealed::SealedFacts;
use super::settings::{CacheSettings, OnStoreError, SharedSettings};
use super::shared::Shared;
use crate::types::Report;

/// How many signatures are remembered at a time: some 60 MB when full, and 30 000 requests a second over 30 s.
const REPLAY_CAPACITY: usize = 1 << 20;

/// All of it; of one process alone without `cache.shared`.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) shared: Option<Shared>,
    pub(super) replay: Replay,
    pub(super) revocations: Arc<Revocations>,
    pub(super) attempts: Attempts,
    pub(super) facts: Option<SealedFacts>,
}

impl Fleet {
    /// Begins to connect to what `[cache]` names, and waits a moment for it. Reports under `cache` and returns `None` when
    /// what stands there is wrong.
    pub(super) async fn open(cache: &CacheSettings, aux: &Handle, report: &mut Report) -> Option<Self> {
        match cache.read(report)? {
            Some(sharing) => Self::joined(sharing, cache, aux, report).await,
            None => Some(Self {
                shared: None,
                replay: Replay::new(REPLAY_CAPACITY),
                revocations: Arc::new(Revocations::new(cache)),
                attempts: Attempts::new(),
                facts: None,
            }),
        }
    }

    async fn joined(sharing: SharedSettings, cache: &CacheSettings, aux: &Handle, report: &mut Report) -> Option<Self> {
        let shared = Shared::new(sharing.target, &cache.shared_prefix, cache.shared_timeout.0, aux.clone());
        let facts = match sharing.secret.map(|secret| SealedFacts::new(shared.clone(), &secret)).transpose() {
            Ok(facts) => facts,
            Err(error) => {
                report.error("cache.shared_secret", &error.to_string(), "make another one with: openssl rand -base64 32");
                return None;
            }
        };
        Some(Self {
            replay: Replay::new(REPLAY_CAPACITY).shared_by(shared.clone(), cache.on_store_error),
            revocations: Revocations::shared_by(shared.clone(), cache).await,
            // Who guesses is slowed by each replica alone meanwhile: that is no reason to refuse the right password.
            attempts: Attempts::new().shared_by(shared.clone(), OnStoreError::Local),
            shared: Some(shared),
            facts,
        })
    }
}
