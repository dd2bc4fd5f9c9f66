//! Accepts connections until a drain starts. Never ends for an error.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Phase;
use super::addresses::{Addresses, Place};
use super::listen::Listener;
use super::socket::Accepted;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The limits that a connection has to pass.
#[derive(Debug)]
pub(super) struct Door {
    /// Of all connections.
    pub(super) gate: Arc<Semaphore>,
    /// Of those from one address.
    pub(super) addresses: Arc<Addresses>,
}

/// A connection's places under the limits; kept until it is gone.
#[derive(Debug)]
pub(super) struct Pass {
    // In this order: whoever waits for the permit may be of the same address, and must find its place free.
    _place: Place,
    _permit: OwnedSemaphorePermit,
}

impl Door {
    /// Hands a connection over, or closes it at once: its address has as many as it may have.
    fn pass(&self, accepted: Accepted, permit: OwnedSemaphorePermit, hand: impl Fn(Accepted, Pass)) {
        if let Some(place) = self.addresses.enter(&accepted.peer) {
            hand(accepted, Pass { _place: place, _permit: permit });
        }
    }
}

/// Accepts while the phase is below `end`. A connection is accepted only once the gate has a permit: beyond the limit clients
/// wait in the kernel's queue. What the kernel has completed when the end comes is still handed over; then the listener is
/// closed.
pub(super) async fn accept(listener: Listener, door: Door, mut phase: watch::Receiver<Phase>, end: Phase, hand: impl Fn(Accepted, Pass)) {
    #[allow(deprecated, reason = "unsound only for a type that changes or closes its descriptor meanwhile; a listener keeps its own")]
    let registered = AsyncFd::new(listener);
    let listener = match registered {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener could not be served"),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            // An error means that the server is gone.
            _ = phase.wait_for(|now| *now >= end) => break,
            accepted = next(&listener, &door.gate) => accepted,
        };
        match accepted {
            Ok((accepted, permit)) => {
                pause = FIRST_PAUSE;
                door.pass(accepted, permit, &hand);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                // Most often too many open files: each connection that ends helps.
                tracing::warn!(%error, address = listener.get_ref().address, "cannot accept connections for now");
                tokio::select! {
                    _ = phase.wait_for(|now| *now >= end) => break,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
            }
        }
    }
    while let Ok(permit) = Arc::clone(&door.gate).try_acquire_owned() {
        match listener.get_ref().accept() {
            Ok(accepted) => door.pass(accepted, permit, &hand),
            Err(error) if concerns_one_connection(&error) => {}
            Err(_) => break,
        }
    }
}

async fn next(listener: &AsyncFd<Listener>, gate: &Arc<Semaphore>) -> io::Result<(Accepted, OwnedSemaphorePermit)> {
    loop {
        // First the connection, then the permit: a quiet listener holds none back from the others.
        let mut ready = listener.readable().await?;
        let permit = Arc::clone(gate).acquire_owned().await.map_err(io::Error::other)?;
        if let Ok(accepted) = ready.try_io(|listener| listener.get_ref().accept()) {
            return accepted.map(|accepted| (accepted, permit));
        }
    }
}

/// Errors of a connection that broke before it was accepted; the listener is well.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
    )
}
