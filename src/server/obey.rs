//! How a connection does what its worker orders.
//!
//! ```text
//! served by hyper --Rest--> only TLS and the socket --bytes--> served by hyper
//! ```
//!
//! hyper keeps some 18 KiB for each HTTP/1.1 connection, whether anything is asked or not. A connection that rests has given
//! them back: it waits for the socket alone. It rests between two requests only, with nothing read that was not answered.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

use tokio_rustls::server::TlsStream;

use super::control::{Control, Order};
use super::socket::Paced;

/// How the time of a connection with hyper ended.
pub(super) enum Obeyed {
    /// By itself.
    Ended(hyper::Result<()>),
    /// It was killed.
    Killed,
    /// It may rest.
    Resting,
}

/// Runs a connection and does what its worker orders; calls `look` whenever it has done what it could. `may_rest`: whether
/// nothing would be lost if hyper forgot what it knows.
pub(super) async fn obey<C>(
    mut served: Pin<&mut C>,
    control: &Control,
    finish: impl Fn(Pin<&mut C>),
    look: impl Fn(),
    may_rest: impl Fn() -> bool,
) -> Obeyed
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut finishing = false;
    poll_fn(|cx| {
        match control.take_order(cx.waker()) {
            Some(Order::Kill) => return Poll::Ready(Obeyed::Killed),
            Some(Order::Finish) => {
                finishing = true;
                finish(served.as_mut());
            }
            Some(Order::Rest) if !finishing && may_rest() => return Poll::Ready(Obeyed::Resting),
            Some(Order::Rest) | None => {}
        }
        let ended = served.as_mut().poll(cx).map(Obeyed::Ended);
        // What comes after a goodbye is passed over, not refused; and an error is told as such.
        if !finishing && !matches!(ended, Poll::Ready(Obeyed::Ended(Err(_)))) {
            look();
        }
        ended
    })
    .await
}

/// How a rest ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rested {
    /// The client sent something, or closed.
    Asked,
    /// The worker wants the connection closed.
    Finished,
    /// It was killed.
    Killed,
}

/// Waits for the client or for the worker, whichever comes first. Reads nothing. Counted in `resting` meanwhile.
pub(super) async fn rest(stream: &TlsStream<Paced>, control: &Control, resting: &AtomicUsize) -> Rested {
    let (socket, tls) = stream.get_ref();
    // Bytes that TLS holds already would not make the socket readable.
    if !tls.wants_read() {
        return Rested::Asked;
    }
    let _counted = Counted::new(resting);
    poll_fn(|cx| {
        match control.take_order(cx.waker()) {
            Some(Order::Kill) => return Poll::Ready(Rested::Killed),
            Some(Order::Finish) => return Poll::Ready(Rested::Finished),
            Some(Order::Rest) | None => {}
        }
        ready!(socket.poll_readable(cx));
        Poll::Ready(Rested::Asked)
    })
    .await
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
