//! What a worker knows of a connection, and how it ends one that does nothing.
//!
//! Each connection counts its requests in atomics; no request starts a timer. The worker looks at all its connections a few
//! times per limit and tells those that overstay to finish, or ends them.
//!
//! ```text
//! handshake --ready--> idle <--> in flight
//!                       | limit passed
//!                       v
//!               never served: Kill        served: Finish (GOAWAY, close between requests), after a grace Kill
//! ```
//!
//! One that has served requests and does nothing for a while is told to rest: it gives its buffers back.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::socket::{LEAST_PROGRESS, Traffic};

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Give back what only a request needs, until the next one. For HTTP/1.1 alone.
    Rest,
    /// Serve what is in flight, take nothing new, close.
    Finish,
    /// End at once.
    Kill,
}

const NO_ORDER: u8 = 0;
const REST: u8 = 1;
const FINISH: u8 = 2;
const KILL: u8 = 3;

/// How long a connection does nothing before it rests: those of a page's next click do not.
const REST_AFTER: Duration = Duration::from_secs(1);

/// Shared by a connection and its worker.
#[derive(Debug, Default)]
pub(super) struct Control {
    order: AtomicU8,
    waker: AtomicWaker,
    ready: AtomicBool,
    http2: AtomicBool,
    in_flight: AtomicUsize,
    started: AtomicU64,
    traffic: Arc<Traffic>,
}

impl Control {
    /// What the socket reports to.
    pub(super) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// The handshake is over. Until then its own deadline holds.
    pub(super) fn set_ready(&self, http2: bool) {
        self.http2.store(http2, Ordering::Relaxed);
        self.ready.store(true, Ordering::Release);
    }

    /// Counts a request until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        // Nobody but the connection counts here: cheaper than to add in one step.
        self.started.store(self.started.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }

    /// The order that came since the last call. `waker` is woken by the next one.
    pub(super) fn take_order(&self, waker: &Waker) -> Option<Order> {
        self.waker.register(waker);
        if self.order.load(Ordering::Acquire) == NO_ORDER {
            return None;
        }
        match self.order.swap(NO_ORDER, Ordering::AcqRel) {
            REST => Some(Order::Rest),
            FINISH => Some(Order::Finish),
            KILL => Some(Order::Kill),
            _ => None,
        }
    }

    /// Whether no request is being served, and all that was to be sent is sent.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0 && !self.traffic.is_blocked()
    }

    pub(super) fn give(&self, order: Order) {
        let number = match order {
            Order::Rest => REST,
            Order::Finish => FINISH,
            Order::Kill => KILL,
        };
        self.order.fetch_max(number, Ordering::AcqRel);
        self.waker.wake();
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Control>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How long connections may do nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without a request.
    pub(super) idle: Duration,
    /// While draining: until the next request of a client that sends them one after another.
    pub(super) linger: Duration,
    /// While draining: until the first request of a connection that was just accepted.
    pub(super) first: Duration,
    /// From `Finish` to `Kill`.
    pub(super) grace: Duration,
}

impl Patience {
    /// Draws the others from the idle limit and the time that a drain may take.
    pub(super) fn new(idle: Duration, drain: Duration) -> Self {
        let idle = idle.max(Duration::from_millis(10));
        let most = idle.min(drain / 2);
        Self { idle, linger: most.min(Duration::from_secs(1)), first: most.min(Duration::from_secs(3)), grace: idle.min(Duration::from_secs(5)) }
    }

    /// How often connections are looked at: often enough that a limit is overrun by a tenth.
    pub(super) fn tick(&self) -> Duration {
        (self.idle.min(self.linger.max(Duration::from_millis(100))) / 10).clamp(Duration::from_millis(5), Duration::from_millis(500))
    }
}

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct Watchlist {
    patience: Patience,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    control: Weak<Control>,
    state: Observed,
}

#[derive(Debug, Default)]
struct Observed {
    started: u64,
    idle_since: Option<Instant>,
    /// Whether it was told to rest since its last request.
    resting: bool,
    /// When it was told to finish, and what it had written by then.
    finishing: Option<(Instant, u64)>,
}

impl Watchlist {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, entries: Vec::new() }
    }

    /// Watches a connection until it is gone.
    pub(super) fn add(&mut self, control: &Arc<Control>) {
        self.entries.push(Entry { control: Arc::downgrade(control), state: Observed::default() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Looks at all connections.
    pub(super) fn look(&mut self, draining: bool) {
        let (patience, now) = (self.patience, Instant::now());
        self.entries.retain_mut(|entry| {
            let Some(control) = entry.control.upgrade() else { return false };
            if let Some(order) = entry.state.judge(&control, patience, draining, now) {
                control.give(order);
            }
            true
        });
    }
}

impl Observed {
    fn judge(&mut self, control: &Control, patience: Patience, draining: bool, now: Instant) -> Option<Order> {
        if !control.ready.load(Ordering::Acquire) {
            return None;
        }
        let started = control.started.load(Ordering::Relaxed);
        let busy = control.in_flight.load(Ordering::Acquire) > 0;
        let written = control.traffic.written();
        if let Some((since, had_written)) = self.finishing {
            let moves = busy || written.saturating_sub(had_written) >= LEAST_PROGRESS;
            return match now.duration_since(since) >= patience.grace {
                true if moves => {
                    self.finishing = Some((now, written));
                    None
                }
                true => Some(Order::Kill),
                false => None,
            };
        }
        if draining && started > 0 && control.http2.load(Ordering::Relaxed) {
            // GOAWAY: requests that the client has sent already are still served (RFC 9113 section 6.8).
            self.finishing = Some((now, written));
            return Some(Order::Finish);
        }
        // A client that reads slowly has a limit of its own, in the socket.
        if busy || control.traffic.is_blocked() || started != self.started {
            self.idle_since = None;
            self.resting = false;
        }
        self.started = started;
        if busy || control.traffic.is_blocked() {
            return None;
        }
        let idle = now.duration_since(*self.idle_since.get_or_insert(now));
        let limit = match (draining, started > 0) {
            (false, _) => patience.idle,
            (true, true) => patience.linger,
            (true, false) => patience.first,
        };
        if idle < limit {
            let rests = !self.resting && idle >= REST_AFTER && started > 0 && !control.http2.load(Ordering::Relaxed);
            self.resting |= rests;
            return rests.then_some(Order::Rest);
        }
        self.finishing = Some((now, written));
        Some(if started > 0 { Order::Finish } else { Order::Kill })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { idle: Duration::from_secs(10), linger: Duration::from_secs(1), first: Duration::from_secs(3), grace: Duration::from_secs(5) };

    struct Watched {
        control: Arc<Control>,
        observed: Observed,
        start: Instant,
    }

    impl Watched {
        fn new(http2: bool) -> Self {
            let control = Arc::new(Control::default());
            control.set_ready(http2);
            Self { control, observed: Observed::default(), start: Instant::now() }
        }

        fn at(&mut self, seconds: u64, draining: bool) -> Option<Order> {
            self.observed.judge(&self.control, PATIENCE, draining, self.start + Duration::from_secs(seconds))
        }
    }

    #[test]
    fn a_connection_that_never_asks_is_ended_at_the_limit() {
        for http2 in [false, true] {
            let mut conn = Watched::new(http2);
            assert_eq!([conn.at(0, false), conn.at(9, false), conn.at(10, false)], [None, None, Some(Order::Kill)]);
        }
    }

    #[test]
    fn a_connection_that_asked_is_told_to_finish_and_ended_after_a_grace() {
        let mut conn = Watched::new(true);
        drop(conn.control.begin());
        assert_eq!([conn.at(0, false), conn.at(9, false), conn.at(10, false)], [None, None, Some(Order::Finish)]);
        assert_eq!([conn.at(14, false), conn.at(15, false)], [None, Some(Order::Kill)]);
    }

    #[test]
    fn each_request_starts_the_idle_time_anew_even_between_two_looks() {
        let mut conn = Watched::new(false);
        drop(conn.control.begin());
        assert_eq!(conn.at(0, false), None);
        drop(conn.control.begin());
        assert_eq!([conn.at(9, false), conn.at(18, false), conn.at(19, false)], [None, Some(Order::Rest), Some(Order::Finish)]);
    }

    #[test]
    fn an_http1_connection_is_told_to_rest_once_after_each_time_it_asked() {
        let mut conn = Watched::new(false);
        assert_eq!([conn.at(0, false), conn.at(2, false)], [None, None], "it never asked");
        for start in [2, 6] {
            drop(conn.control.begin());
            assert_eq!([0, 1, 2, 3].map(|second| conn.at(start + second, false)), [None, Some(Order::Rest), None, None]);
        }
        let mut conn = Watched::new(true);
        drop(conn.control.begin());
        assert_eq!([conn.at(0, false), conn.at(5, false)], [None, None], "HTTP/2");
    }

    #[test]
    fn a_request_in_flight_is_never_idle() {
        let mut conn = Watched::new(true);
        let request = conn.control.begin();
        assert_eq!([conn.at(0, false), conn.at(1000, false)], [None, None]);
        drop(request);
        assert_eq!([conn.at(1001, false), conn.at(1010, false), conn.at(1011, false)], [None, None, Some(Order::Finish)]);
    }

    #[test]
    fn the_handshake_has_its_own_deadline() {
        let mut conn = Watched::new(false);
        conn.control.ready.store(false, Ordering::Release);
        assert_eq!([conn.at(0, false), conn.at(100, true)], [None, None]);
    }

    #[test]
    fn a_drain_waits_for_the_next_request_before_it_closes_between_requests() {
        let mut conn = Watched::new(false);
        drop(conn.control.begin());
        assert_eq!(conn.at(0, false), None);
        drop(conn.control.begin());
        assert_eq!([conn.at(0, true), conn.at(1, true)], [None, Some(Order::Finish)]);
        let mut fresh = Watched::new(false);
        assert_eq!([fresh.at(0, true), fresh.at(2, true), fresh.at(3, true)], [None, None, Some(Order::Kill)]);
    }

    #[test]
    fn a_drain_says_goaway_at_once_and_lets_streams_end() {
        let mut conn = Watched::new(true);
        let request = conn.control.begin();
        assert_eq!([conn.at(0, true), conn.at(100, true), conn.at(104, true)], [Some(Order::Finish), None, None]);
        drop(request);
        assert_eq!(conn.at(105, true), Some(Order::Kill));
    }

    #[test]
    fn the_harder_of_two_orders_wins() {
        let control = Control::default();
        control.give(Order::Kill);
        control.give(Order::Finish);
        assert_eq!(control.take_order(Waker::noop()), Some(Order::Kill));
        assert_eq!(control.take_order(Waker::noop()), None);
    }

    #[test]
    fn connections_that_are_gone_are_forgotten() {
        let mut list = Watchlist::new(PATIENCE);
        let control = Arc::new(Control::default());
        list.add(&control);
        list.look(false);
        assert!(!list.is_empty());
        drop(control);
        list.look(false);
        assert!(list.is_empty());
    }
}
