//! Notices that the file has changed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use super::{Fault, Htpasswd, Table, content};

/// How often the file is read.
const EVERY: Duration = Duration::from_secs(1);
/// How soon it is read again once it has changed: whoever writes it may not have finished.
const SETTLE: Duration = Duration::from_millis(100);

/// What the last looks found.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Other contents than those in service, seen once.
    unsettled: Option<[u8; 32]>,
    /// Contents that cannot be used, and of which that was said.
    refused: Option<[u8; 32]>,
}

/// What one look found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing new.
    Same,
    /// Something new, which may still be being written.
    Unsettled,
    /// New contents are in service.
    Taken,
    /// New contents cannot be used; the old ones stay in service.
    Bad,
}

impl Htpasswd {
    /// Looks after the file for as long as somebody uses it. Does so once, whoever asks how often.
    pub(super) fn follow(self: &Arc<Self>, aux: &Handle) {
        if !self.followed.swap(true, Ordering::AcqRel) {
            aux.spawn(follow(Arc::downgrade(self)));
        }
    }

    /// Takes contents into service.
    pub(super) fn put(&self, table: Arc<Table>) {
        *self.lock() = State::default();
        self.table.store(table);
        self.health.answered();
    }

    /// Looks at the file once. Reads and hashes it: not for a thread that serves.
    pub(super) fn look(&self) -> Found {
        let read = content(&self.path);
        let fingerprint: [u8; 32] = match &read {
            Ok(bytes) => Sha256::digest(bytes).into(),
            // A file that cannot be read for the same reason is as it was.
            Err(faults) => Sha256::digest(format!("unreadable: {faults:?}")).into(),
        };
        let mut state = self.lock();
        if fingerprint == self.table.load().fingerprint() {
            if state.refused.is_some() {
                tracing::info!(source = self.name, "the file is again what is in service");
            }
            *state = State::default();
            self.health.answered();
            return Found::Same;
        }
        if state.refused == Some(fingerprint) {
            return Found::Same;
        }
        if state.unsettled.replace(fingerprint) != Some(fingerprint) {
            return Found::Unsettled;
        }
        drop(state);
        match read.and_then(|bytes| Table::read(&bytes)) {
            Ok(table) => {
                tracing::info!(source = self.name, users = table.len(), "a new file of users is in service");
                self.put(Arc::new(table));
                Found::Taken
            }
            Err(faults) => {
                self.refuse(&faults);
                *self.lock() = State { unsettled: None, refused: Some(fingerprint) };
                Found::Bad
            }
        }
    }

    fn refuse(&self, faults: &[Fault]) {
        let Some(first) = faults.first() else { return };
        let cause = first.at(&self.path);
        self.health.failed(&cause);
        tracing::error!(
            source = self.name,
            cause,
            more = faults.len() - 1,
            remedy = first.remedy,
            "the new file of users cannot be used; the old one stays in service"
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What stands there is whole at every point where a holder could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(file: Weak<Htpasswd>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        loop {
            let Some(file) = file.upgrade() else { return };
            match tokio::task::spawn_blocking(move || file.look()).await {
                Ok(Found::Unsettled) => tokio::time::sleep(SETTLE).await,
                Ok(Found::Same | Found::Taken | Found::Bad) | Err(_) => break,
            }
        }
    }
}
