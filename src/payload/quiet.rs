//! Wakes that lead nowhere, and how they are kept quiet.
//!
//! Whenever a piece of a body is taken, hyper wakes the connection that it came from, so that more may be read: also after the last
//! piece of a body whose length was told, when the sender is gone already and nothing more will come. Over HTTP/1.1 the connection is
//! mostly the task that took the piece, and would be run once more for nothing with each request that has a body.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

/// What becomes of the wakes of this thread.
#[derive(Default)]
enum Wakes {
    /// They are passed on.
    #[default]
    Heard,
    /// The last one is kept back; it may yet be passed on.
    Held(Option<Arc<Connection>>),
}

thread_local! {
    static WAKES: Cell<Wakes> = const { Cell::new(Wakes::Heard) };
}

/// The task of a connection.
struct Connection(Waker);

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        let Ok(wakes) = WAKES.try_with(Cell::take) else { return self.0.wake_by_ref() };
        let Wakes::Held(earlier) = wakes else { return self.0.wake_by_ref() };
        WAKES.set(Wakes::Held(Some(self)));
        if let Some(earlier) = earlier {
            earlier.0.wake_by_ref();
        }
    }
}

/// While there is one, wakes of [`rousable`] futures by this thread are held, and nobody else's. Dropped, it passes them on: also
/// after a panic. One at a time.
struct Hold(());

impl Hold {
    fn new() -> Self {
        if let Wakes::Held(Some(held)) = WAKES.replace(Wakes::Held(None)) {
            held.0.wake_by_ref();
        }
        Self(())
    }

    /// Nobody needs to be woken.
    fn forget(self) {
        WAKES.set(Wakes::Heard);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Wakes::Held(Some(held)) = WAKES.take() {
            held.0.wake_by_ref();
        }
    }
}

/// Takes a piece of a body. After the last one nobody is woken who runs as [`rousable`].
pub(super) fn poll_frame(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let hold = Hold::new();
    let polled = Pin::new(&mut *body).poll_frame(cx);
    if body.is_end_stream() {
        hold.forget();
    }
    polled
}

/// Runs a connection of HTTP/1.1, so that those of its wakes that lead nowhere can be told from the others. Not one of HTTP/2: that
/// one is woken for the last piece of a body too, to tell its client that there is room again.
pub async fn rousable<T>(mut connection: Pin<&mut impl Future<Output = T>>) -> T {
    let mut wakers: Option<(Waker, Waker)> = None;
    poll_fn(|cx| {
        let (_, own) = match wakers.take() {
            Some(known) if known.0.will_wake(cx.waker()) => wakers.insert(known),
            _ => wakers.insert((cx.waker().clone(), Waker::from(Arc::new(Connection(cx.waker().clone()))))),
        };
        connection.as_mut().poll(&mut Context::from_waker(own))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::payload::tests::NO_LIMIT;
    use crate::payload::{Payload, Room};

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs a connection once that does `work` with its waker. How often its task was woken.
    fn woken_by(work: impl FnOnce(&Waker)) -> usize {
        let (count, mut work) = (Arc::new(Count::default()), Some(work));
        let connection = pin!(poll_fn(|cx| {
            work.take().unwrap()(cx.waker());
            Poll::<()>::Pending
        }));
        let connection = pin!(rousable(connection));
        assert!(connection.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count)))).is_pending());
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_wake_is_held_back_only_while_there_is_a_hold_and_dropped_only_when_that_is_told_to_forget() {
        assert_eq!(woken_by(Waker::wake_by_ref), 1);
        let held = |forgets: bool| {
            woken_by(|waker| {
                let hold = Hold::new();
                waker.wake_by_ref();
                waker.wake_by_ref();
                if forgets { hold.forget() } else { drop(hold) }
            })
        };
        assert_eq!(held(true), 1, "the earlier of two is passed on");
        assert_eq!(held(false), 2);
        let forgotten = |waker: &Waker| {
            let hold = Hold::new();
            waker.wake_by_ref();
            hold.forget();
        };
        assert_eq!(woken_by(forgotten), 0);
        let and_once_more = |waker: &Waker| {
            forgotten(waker);
            waker.wake_by_ref();
        };
        assert_eq!(woken_by(and_once_more), 1, "what comes afterwards is heard");
    }

    #[test]
    fn a_panic_loses_no_wake() {
        let panics = |waker: &Waker| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _hold = Hold::new();
                waker.wake_by_ref();
                panic!("as a library might");
            }));
            assert!(caught.is_err());
            waker.wake_by_ref();
        };
        assert_eq!(woken_by(panics), 2);
    }

    #[test]
    fn wakes_by_other_threads_and_of_others_are_heard_at_once() {
        let from_elsewhere = |waker: &Waker| {
            let hold = Hold::new();
            let waker = waker.clone();
            std::thread::spawn(move || waker.wake()).join().unwrap();
            hold.forget();
        };
        assert_eq!(woken_by(from_elsewhere), 1);
        let (other, count) = (Arc::new(Count::default()), |other: &Arc<Count>| other.0.load(Ordering::Relaxed));
        let hold = Hold::new();
        Waker::from(Arc::clone(&other)).wake();
        hold.forget();
        assert_eq!(count(&other), 1);
    }

    #[test]
    fn a_connection_that_moves_to_another_task_wakes_that_one() {
        let kept = Cell::new(None);
        let connection = pin!(poll_fn(|cx| {
            kept.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        }));
        let mut connection = pin!(rousable(connection));
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        for task in [&first, &second] {
            assert!(connection.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(task)))).is_pending());
        }
        kept.take().unwrap().wake();
        assert_eq!([&first, &second].map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    }

    /// hyper's own behaviour is what all this is about: it is run here only when it was woken.
    #[tokio::test]
    async fn no_request_waits_for_a_wake_that_was_kept_quiet_and_one_that_comes_whole_is_not_run_once_more() {
        let cases: [&[&str]; 5] = [
            &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef"],
            &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab", "cdef"],
            &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n", "abcd", "ef"],
            &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "4\r\ncdef\r\n", "0\r\n\r\n"],
            &["POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n", "abcdef"],
        ];
        for pieces in cases {
            let (near, mut far) = duplex(1 << 16);
            let room = Room::new(1 << 20);
            let service = service_fn(|request: http::Request<Incoming>| async {
                let mut payload = Payload::new(request.into_body(), NO_LIMIT).unwrap();
                let held = payload.hold(100, &room, |_| {}).await.unwrap();
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(format!("{held} bytes")))))
            });
            let served = pin!(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), service));
            let mut served = pin!(rousable(served));
            let (count, mut seen) = (Arc::new(Count::default()), 0);
            let waker = Waker::from(Arc::clone(&count));
            // Twice, on one connection.
            for round in 0..2 {
                let before = count.0.load(Ordering::Relaxed);
                for (at, piece) in pieces.iter().enumerate() {
                    far.write_all(piece.as_bytes()).await.unwrap();
                    let mut due = (round, at) == (0, 0);
                    while std::mem::take(&mut due) || count.0.load(Ordering::Relaxed) != seen {
                        seen = count.0.load(Ordering::Relaxed);
                        assert!(served.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    }
                }
                let mut answer = vec![0; 1000];
                let read = far.read(&mut answer).now_or_never().expect("an answer").unwrap();
                let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
                assert!(answer.ends_with("6 bytes"), "{pieces:?}: {answer}");
                let wakes = count.0.load(Ordering::Relaxed) - before;
                // The second request wakes a connection that waits for it; the first finds it running.
                assert!(pieces.len() > 1 || wakes == round, "{wakes}");
            }
        }
    }
}
