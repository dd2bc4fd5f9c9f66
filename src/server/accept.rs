//! Accepts connections until a drain starts. Never ends for an error.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Phase;
use super::listen::Listener;
use super::socket::Accepted;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts while the phase is below `end`. A connection is accepted only once `gate` has a permit: beyond the limit clients
/// wait in the kernel's queue. What the kernel has completed when the end comes is still handed over; then the listener is
/// closed.
pub(super) async fn accept(
    listener: Listener,
    gate: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
    end: Phase,
    hand: impl Fn(Accepted, OwnedSemaphorePermit),
) {
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
            accepted = next(&listener, &gate) => accepted,
        };
        match accepted {
            Ok((accepted, permit)) => {
                pause = FIRST_PAUSE;
                hand(accepted, permit);
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
    while let Ok(permit) = Arc::clone(&gate).try_acquire_owned() {
        match listener.get_ref().accept() {
            Ok(accepted) => hand(accepted, permit),
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
