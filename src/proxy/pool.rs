//! Kept-alive connections to one upstream. Each worker has its own shelf, so that nothing is contended on the hot path.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dial::Address;
use super::http1::Connection;
use super::patience::Timer;

/// How often a pool is to be swept.
pub const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// An idle connection is closed by the third sweep, after 30 to 45 s, so that no request has to ask for the time. Applications
/// close theirs after 2 to 75 s; whoever closes first, a request that was not sent is sent again on a new one.
const SWEEPS: u64 = 3;

/// Connections to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    address: Address,
    connect_timeout: Duration,
    max_connections: usize,
    in_use: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    shelves: Vec<Mutex<Vec<Idle>>>,
    /// How many sweeps there were.
    sweeps: AtomicU64,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    timer: Timer,
    /// The last sweep before it was put back.
    since: u64,
}

/// A connection in use, and the right to use one more.
#[derive(Debug)]
pub(super) struct Lease {
    /// On the heap: it goes from hand to hand with each request.
    pub(super) connection: Box<Connection>,
    /// Limits the time for an answer.
    pub(super) timer: Timer,
    /// Whether it served another request before.
    pub(super) reused: bool,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Refused, unreachable, or its certificate does not hold.
    #[error("cannot connect to {0}: {1}")]
    Failed(String, #[source] std::io::Error),
    /// Nothing within `connect_timeout`.
    #[error("cannot connect to {0}: no answer within {1:?}")]
    TimedOut(String, Duration),
    /// All of `max_connections` are in use.
    #[error("all connections to {0} are in use")]
    Busy(String),
}

impl Pool {
    pub(super) fn new(address: Address, connect_timeout: Duration, max_connections: usize, workers: usize) -> Self {
        Self {
            address,
            connect_timeout,
            max_connections,
            in_use: Arc::new(Semaphore::new(max_connections)),
            open: Arc::default(),
            shelves: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            sweeps: AtomicU64::new(0),
        }
    }

    /// An idle connection of this worker, or a new one.
    pub(super) async fn lease(&self, worker: usize) -> Result<Lease, ConnectError> {
        let permit = self.permit().await?;
        match self.take(worker) {
            Some(idle) => Ok(Lease { connection: idle.connection, timer: idle.timer, reused: true, permit }),
            // The rare case is on the heap: it would make every request's future as large.
            None => Box::pin(self.open(permit)).await,
        }
    }

    /// A new connection in place of one that turned out to be stale.
    pub(super) async fn renew(&self, stale: Lease) -> Result<Lease, ConnectError> {
        let Lease { connection, permit, .. } = stale;
        drop(connection);
        Box::pin(self.open(permit)).await
    }

    /// Puts a connection back whose response was read to its end.
    pub(super) fn give_back(&self, worker: usize, lease: Lease) {
        if let Some(shelf) = self.shelves.get(worker) {
            lock(shelf).push(Idle { connection: lease.connection, timer: lease.timer, since: self.sweeps.load(Ordering::Relaxed) });
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, ConnectError> {
        if let Ok(permit) = Arc::clone(&self.in_use).try_acquire_owned() {
            return Ok(permit);
        }
        let busy = || ConnectError::Busy(self.address.display.clone());
        let waited = Box::pin(tokio::time::timeout(self.connect_timeout, Arc::clone(&self.in_use).acquire_owned())).await;
        waited.map_err(|_| busy())?.map_err(|_| busy())
    }

    /// The latest idle connection that can take a request now. Those before it that cannot are dropped, and so closed.
    fn take(&self, worker: usize) -> Option<Idle> {
        let mut shelf = lock(self.shelves.get(worker)?);
        while let Some(mut idle) = shelf.pop() {
            if idle.connection.is_quiet() {
                return Some(idle);
            }
        }
        None
    }

    async fn open(&self, permit: OwnedSemaphorePermit) -> Result<Lease, ConnectError> {
        if self.open.load(Ordering::Relaxed) >= self.max_connections {
            self.close_an_idle_one();
        }
        let display = || self.address.display.clone();
        let connected = tokio::time::timeout(self.connect_timeout, self.address.dial(Counted::new(&self.open))).await;
        let connected = connected.map_err(|_| ConnectError::TimedOut(display(), self.connect_timeout))?;
        let stream = connected.map_err(|error| ConnectError::Failed(display(), error))?;
        Ok(Lease { connection: Box::new(Connection::new(stream)), timer: Timer::default(), reused: false, permit })
    }

    /// Other workers' idle connections count too: one of them makes room.
    fn close_an_idle_one(&self) {
        for shelf in &self.shelves {
            let mut shelf = lock(shelf);
            if !shelf.is_empty() {
                shelf.remove(0);
                return;
            }
        }
    }

    /// Closes what has been idle for too long, and what the application closed, on all shelves.
    pub(super) fn sweep(&self) {
        let now = self.sweeps.fetch_add(1, Ordering::Relaxed) + 1;
        for shelf in &self.shelves {
            lock(shelf).retain_mut(|idle| now.saturating_sub(idle.since) < SWEEPS && idle.connection.is_quiet());
        }
    }
}

/// One of the open connections, as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves a list of connections as good as it was.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
