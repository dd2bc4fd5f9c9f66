//! From the first accepted connection to the last one that was drained.

use std::future::{Future, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::accept::{Door, Pass, accept};
use super::addresses::Addresses;
use super::admin::{self, Admin};
use super::conn::{Answer, Shared};
use super::failures::Failures;
use super::listen::Listener;
use super::plain::{self, Bounds};
use super::redirect::Redirect;
use super::socket::Accepted;
use super::worker::{Crew, OpenCount};
use super::{DrainOutcome, Limits, Listeners, Phase, worker_count};
use crate::telemetry::{Kind, Sample, Telemetry};

/// More connections than any machine has ports for; keeps the permits countable.
const MOST_CONNECTIONS: usize = 1 << 20;
/// Connections at a time that are only told to use TLS.
const MOST_REDIRECTS: usize = 1024;

pub(super) async fn serve<A: Answer>(
    listeners: Listeners,
    answer: A,
    telemetry: Telemetry,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<DrainOutcome> {
    let places = listeners.places();
    let Listeners { https, http, admin, redirect, desk, trusted } = listeners;
    let serving = Arc::new(AtomicBool::new(false));
    let (phase, watching) = watch::channel(Phase::Serving);
    let shared = Arc::new(Shared { answer, limits, telemetry, failures: Arc::default(), resting: Arc::default(), draining: AtomicBool::new(false) });
    let (crew, threads) = Crew::hire(worker_count(), &shared, &watching)?;
    let (limits, telemetry) = (&shared.limits, &shared.telemetry);
    let open = crew.open();
    let addresses = Addresses::new(limits.per_address(), trusted);
    count(open.clone(), Arc::clone(&shared.resting), Arc::clone(&shared.failures), Arc::clone(&addresses), telemetry);

    let mut beside = JoinSet::new();
    if let Some(listener) = admin {
        let admin = Admin { ready: Arc::clone(&serving), open: open.clone(), telemetry: telemetry.clone(), started: Instant::now(), desk };
        beside.spawn(serve_admin(listener, admin, Bounds::new(limits, true), watching.clone()));
    }
    let most = limits.max_connections.clamp(1, MOST_CONNECTIONS);
    let gate = Gate::new(most);
    let plain_gate = Gate::new(most.min(MOST_REDIRECTS));
    let mut accepting = JoinSet::new();
    let crew = Arc::new(crew);
    for listener in https {
        let crew = Arc::clone(&crew);
        let hand = move |accepted, pass| crew.hand(accepted, pass);
        accepting.spawn(accept(listener, gate.door(&addresses), watching.clone(), Phase::Draining, hand));
    }
    let redirect = Arc::new(redirect);
    for listener in http {
        let (redirect, shared, bounds) = (Arc::clone(&redirect), Arc::clone(&shared), Bounds::new(limits, false));
        let hand = move |accepted, pass| redirect_one(Arc::clone(&redirect), Arc::clone(&shared), bounds, accepted, pass);
        accepting.spawn(accept(listener, plain_gate.door(&addresses), watching.clone(), Phase::Draining, hand));
    }
    serving.store(true, Ordering::Release);
    // Said last: whoever reads it finds everything ready.
    for (listener, address) in places {
        tracing::info!(listener, address, "listening");
    }

    shutdown.await;
    serving.store(false, Ordering::Release);
    tracing::info!(open_connections = open.get(), "draining");
    shared.draining.store(true, Ordering::Relaxed);
    phase.send_replace(Phase::Draining);
    while accepting.join_next().await.is_some() {}
    // The queues end with the crew: workers know that nothing more comes.
    drop(crew);
    let all = async { tokio::join!(gate.empty(), plain_gate.empty()) };
    let cut_off = match tokio::time::timeout(limits.drain_timeout.0, all).await {
        Ok(_) => 0,
        Err(_) => gate.taken(),
    };
    if cut_off > 0 {
        tracing::warn!(cut_off, "drain_timeout has passed; the connections that were left are ended");
    }
    phase.send_replace(Phase::Stopped);
    join(threads, telemetry.clone()).await;
    tracing::info!(cut_off, "stopped");
    Ok(DrainOutcome { cut_off })
}

/// The connection limit, which also tells when the last connection is gone.
#[derive(Debug)]
struct Gate {
    permits: Arc<Semaphore>,
    all: usize,
}

impl Gate {
    fn new(all: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(all)), all }
    }

    fn door(&self, addresses: &Arc<Addresses>) -> Door {
        Door { gate: Arc::clone(&self.permits), addresses: Arc::clone(addresses) }
    }

    fn taken(&self) -> usize {
        self.all.saturating_sub(self.permits.available_permits())
    }

    /// Waits until every permit is back.
    async fn empty(&self) {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        let _ = self.permits.acquire_many(all).await;
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below the 53 bits that a float keeps")]
fn count(open: OpenCount, resting: Arc<AtomicUsize>, failures: Arc<Failures>, addresses: Arc<Addresses>, telemetry: &Telemetry) {
    telemetry.register_source(Box::new(move || {
        let mut samples = failures.samples();
        let (name, help) = ("doorward_open_connections", "Client connections that are open");
        samples.push(Sample { name, help, kind: Kind::Gauge, labels: Vec::new(), value: open.get() as f64 });
        let (name, help) = ("doorward_resting_connections", "Open connections that hold no buffers because nothing is asked of them");
        samples.push(Sample { name, help, kind: Kind::Gauge, labels: Vec::new(), value: resting.load(Ordering::Relaxed) as f64 });
        let (name, help) = ("doorward_connections_refused_total", "Client connections that were closed at once, by reason");
        let labels = vec![("reason", "address".to_owned())];
        samples.push(Sample { name, help, kind: Kind::Counter, labels, value: addresses.refused() as f64 });
        samples
    }));
}

async fn serve_admin(listener: Listener, admin: Admin, bounds: Bounds, phase: watch::Receiver<Phase>) {
    let admin = Arc::new(admin);
    let hand = move |accepted, pass: Pass| {
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            plain::serve(accepted, bounds, |request| admin.answer(request)).await;
            drop(pass);
        });
    };
    let door = Gate::new(admin::MAX_CONNECTIONS).door(&Addresses::new(usize::MAX, Vec::new()));
    accept(listener, door, phase, Phase::Stopped, hand).await;
}

fn redirect_one<A: Answer>(redirect: Arc<Redirect>, shared: Arc<Shared<A>>, bounds: Bounds, accepted: Accepted, pass: Pass) {
    tokio::spawn(async move {
        plain::serve(accepted, bounds, |request| ready(redirect.answer(&request, shared.answer.sees_credentials(request.headers())))).await;
        drop(pass);
    });
}

/// Waits for the workers and for the log. Workers only have to drop what is left; one that cannot is left behind.
async fn join(threads: Vec<JoinHandle<()>>, telemetry: Telemetry) {
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            if thread.join().is_err() {
                telemetry.panicked();
            }
        }
        telemetry.flush();
    });
    if tokio::time::timeout(Duration::from_secs(5), joined).await.is_err() {
        tracing::warn!("a worker did not stop in time");
    }
}
