//! Load on a gateway while something behind it goes down and comes back, with every answer judged by the moment of its request.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::{BOTH, Call, Proto, Sender};
use super::{breathe, within};

/// One kind of request, and how it is answered: while all is well, and while the source is down.
pub struct Stream<'a> {
    pub what: &'static str,
    /// The request of this number.
    pub call: Box<dyn Fn(usize) -> Call + 'a>,
    pub well: &'static [u16],
    pub down: &'static [u16],
}

impl<'a> Stream<'a> {
    pub fn new(what: &'static str, well: &'static [u16], down: &'static [u16], call: impl Fn(usize) -> Call + 'a) -> Self {
        Self { what, call: Box::new(call), well, down }
    }
}

/// The times of an outage, one after the other. In the even ones a request that began and ended in it has one answer; in the
/// odd ones something is changing.
const WELL: usize = 0;
const FALLING: usize = 1;
const DOWN: usize = 2;
const RISING: usize = 3;
const WELL_AGAIN: usize = 4;

/// How many requests each client makes in each time, at the least.
const ENOUGH: usize = 10;

/// What one client has seen of the present time: how many requests were answered as they are when all is well, in a row, and in all.
struct Seen {
    time: AtomicUsize,
    well: AtomicUsize,
    all: AtomicUsize,
}

/// Sends all streams over both protocols, each on one connection, while `fall` takes the source away and `rise` gives it back.
/// Fails at the first answer that was not promised.
pub async fn through_an_outage(streams: &[Stream<'_>], fall: impl AsyncFnOnce(), rise: impl AsyncFnOnce()) {
    let time = AtomicUsize::new(WELL);
    let clients: Vec<(&Stream<'_>, Proto, Seen)> =
        streams.iter().flat_map(|stream| BOTH.map(|proto| (stream, proto, Seen { time: WELL.into(), well: 0.into(), all: 0.into() }))).collect();
    let load = futures_util::future::join_all(clients.iter().map(|(stream, proto, seen)| client(stream, *proto, seen, &time)));
    let operator = async {
        until(&clients, WELL, |seen| &seen.all).await;
        time.store(FALLING, Ordering::SeqCst);
        fall().await;
        time.store(DOWN, Ordering::SeqCst);
        until(&clients, DOWN, |seen| &seen.all).await;
        time.store(RISING, Ordering::SeqCst);
        rise().await;
        until(&clients, RISING, |seen| &seen.well).await;
        time.store(WELL_AGAIN, Ordering::SeqCst);
        until(&clients, WELL_AGAIN, |seen| &seen.all).await;
    };
    tokio::select! {
        () = operator => {}
        _ = load => unreachable!("the load has no end"),
    }
}

/// Waits until each client has counted enough in this time.
async fn until(clients: &[(&Stream<'_>, Proto, Seen)], time: usize, count: impl Fn(&Seen) -> &AtomicUsize) {
    let enough = |seen: &Seen| seen.time.load(Ordering::SeqCst) == time && count(seen).load(Ordering::SeqCst) >= ENOUGH;
    within(&format!("enough requests in time {time}"), async {
        while !clients.iter().all(|(_, _, seen)| enough(seen)) {
            breathe().await;
        }
    })
    .await;
}

async fn client(stream: &Stream<'_>, proto: Proto, seen: &Seen, time: &AtomicUsize) {
    let mut sender: Option<Sender> = None;
    for number in 0.. {
        let call = (stream.call)(number).proto(proto);
        let began = time.load(Ordering::SeqCst);
        let mut open = match sender.take() {
            Some(open) => open,
            None => call.connect().await,
        };
        let answer = within(stream.what, call.send_on(&mut open)).await.unwrap_or_else(|error| panic!("{}: {error}", stream.what));
        sender = Some(open);
        let (ended, status) = (time.load(Ordering::SeqCst), answer.status.as_u16());
        let (well, down) = (stream.well.contains(&status), stream.down.contains(&status));
        let promised = match (began, began == ended) {
            (WELL | WELL_AGAIN, true) => well,
            (DOWN, true) => down,
            _ => well || down,
        };
        assert!(promised, "{} over {proto:?}, begun in time {began}, ended in {ended}: {status} {}", stream.what, answer.text());
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503, "{}", stream.what);
        if seen.time.swap(began, Ordering::SeqCst) != began {
            seen.well.store(0, Ordering::SeqCst);
            seen.all.store(0, Ordering::SeqCst);
        }
        if well {
            seen.well.fetch_add(1, Ordering::SeqCst);
        } else {
            seen.well.store(0, Ordering::SeqCst);
        }
        seen.all.fetch_add(1, Ordering::SeqCst);
    }
}
