//! The threads that serve connections. Each has a current-thread runtime of its own, so that a connection, its proxy code
//! and its upstream connections never move between cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::Phase;
use super::accept::Pass;
use super::conn::{self, Answer, Shared};
use super::control::{Control, Patience, Watchlist};
use super::socket::Accepted;
use crate::inbound::Open;

type Handed = (Accepted, Open);

/// How many connections are open. Clones count the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenCount(Vec<Arc<AtomicUsize>>);

impl OpenCount {
    pub(super) fn get(&self) -> usize {
        self.0.iter().map(|worker| worker.load(Ordering::Relaxed)).sum()
    }
}

/// All workers, as those see them who accept connections.
#[derive(Debug)]
pub(super) struct Crew {
    desks: Vec<Desk>,
}

#[derive(Debug)]
struct Desk {
    queue: mpsc::UnboundedSender<Handed>,
    open: Arc<AtomicUsize>,
}

/// Lives as long as its connection.
#[derive(Debug)]
struct Guard {
    open: Arc<AtomicUsize>,
    _pass: Pass,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Crew {
    /// Starts `count` workers. They end when the phase is `Stopped`, or when its sender is gone.
    pub(super) fn hire<A: Answer>(
        count: usize,
        shared: &Arc<Shared<A>>,
        phase: &watch::Receiver<Phase>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut crew = Self { desks: Vec::new() };
        let mut threads = Vec::new();
        for index in 0..count.max(1) {
            // Built here, so that a failure is told to whoever starts the server.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (queue, arrivals) = mpsc::unbounded_channel();
            let (shared, phase) = (Arc::clone(shared), phase.clone());
            let work = move || {
                runtime.block_on(work(index, arrivals, shared, phase));
                runtime.shutdown_background();
            };
            threads.push(std::thread::Builder::new().name(format!("doorward-{index}")).spawn(work)?);
            crew.desks.push(Desk { queue, open: Arc::default() });
        }
        Ok((crew, threads))
    }

    /// The connections of all workers.
    pub(super) fn open(&self) -> OpenCount {
        OpenCount(self.desks.iter().map(|desk| Arc::clone(&desk.open)).collect())
    }

    /// Hands a connection to the worker that has the fewest. The pass is kept until the connection is gone.
    pub(super) fn hand(&self, accepted: Accepted, pass: Pass) {
        let Some(desk) = self.desks.iter().min_by_key(|desk| desk.open.load(Ordering::Relaxed)) else { return };
        desk.open.fetch_add(1, Ordering::Relaxed);
        let guard = Guard { open: Arc::clone(&desk.open), _pass: pass };
        // The queue is bounded by the permits. A worker only goes when the server stops: then the connection is dropped.
        let _ = desk.queue.send((accepted, Open::new(guard)));
    }
}

async fn work<A: Answer>(index: usize, mut arrivals: mpsc::UnboundedReceiver<Handed>, shared: Arc<Shared<A>>, mut phase: watch::Receiver<Phase>) {
    let patience = Patience::new(shared.limits.header_timeout.0, shared.limits.drain_timeout.0);
    let mut watchlist = Watchlist::new(patience);
    let mut tick = tokio::time::interval(patience.tick());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut accepting, mut draining) = (true, false);
    loop {
        tokio::select! {
            arrival = arrivals.recv(), if accepting => match arrival {
                Some((accepted, open)) => {
                    let control = Arc::new(Control::default());
                    watchlist.add(&control);
                    tokio::spawn(conn::serve(accepted, open, index, control, Arc::clone(&shared)));
                }
                None => accepting = false,
            },
            _ = tick.tick(), if !watchlist.is_empty() => watchlist.look(draining),
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_err() || now == Phase::Stopped {
                    return;
                }
                draining = now == Phase::Draining;
                watchlist.look(draining);
            }
        }
    }
}
