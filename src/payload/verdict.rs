//! What became of a body that is verified on its way: for whoever holds the answer back until it is known.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http_body_util::BodyExt as _;
use tokio::sync::Notify;

use super::Payload;

/// Whether a body turned out to be the one that was signed.
#[derive(Debug, Default)]
pub struct Verdict {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) enum State {
    /// On its way.
    #[default]
    Pending,
    /// It is the one.
    Passed,
    /// It is not, or broke off: see [`super::Progress::failure`].
    Failed,
    /// The upstream did not want to read it to its end. What is left of it.
    Left(Box<Payload>),
}

impl Verdict {
    /// Waits until it is known. What the upstream left of the body is read here, and thrown away. The client's pace is
    /// limited as ever, the upstream's by the caller.
    pub async fn passed(&self) -> bool {
        loop {
            // Read out of the lock, which is not held while waiting.
            let state = std::mem::take(&mut *self.lock());
            match state {
                State::Pending => self.changed.notified().await,
                State::Passed => return true,
                State::Failed => return false,
                State::Left(mut rest) => {
                    while let Some(piece) = rest.frame().await {
                        if piece.is_err() {
                            return false;
                        }
                    }
                    return true;
                }
            }
        }
    }

    pub(super) fn settle(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_one();
    }

    /// A panic elsewhere cannot leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
