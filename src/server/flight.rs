//! Requests in flight: the response's body keeps its request counted, and an HTTP/2 stream whose client takes nothing of
//! it is reset.
//!
//! An HTTP/2 client can keep a response waiting without keeping the socket waiting, by granting no window (RFC 9113
//! section 5.2). So the body is handed over in pieces of at most 16 KiB, and the time until the next piece is asked for is
//! limited.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::control::InFlight;
use crate::telemetry::Telemetry;

/// The largest piece of a body that is handed to an HTTP/2 stream: one frame of the default size.
const PIECE: usize = 16 * 1024;

/// How far a stream's client has come. Even: the connection waits for the body. Odd: the body waits for the client.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU64);

impl Progress {
    fn handed(&self) {
        self.0.fetch_or(1, Ordering::Relaxed);
    }

    fn asked(&self) {
        let now = self.0.load(Ordering::Relaxed);
        if !now.is_multiple_of(2) {
            self.0.store(now.wrapping_add(1), Ordering::Relaxed);
        }
    }
}

/// A response's body; while it lives its request is in flight.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    /// `None` for a response that the server itself made, which has no body.
    inner: Option<B>,
    rest: Bytes,
    progress: Option<Arc<Progress>>,
    _request: InFlight,
}

impl<B> Tracked<B> {
    /// `progress` is given for HTTP/2 alone.
    pub(super) fn new(inner: Option<B>, request: InFlight, progress: Option<Arc<Progress>>) -> Self {
        Self { inner, rest: Bytes::new(), progress, _request: request }
    }

    /// Takes a piece off what is left of a frame.
    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if let Some(progress) = &self.progress {
            if data.len() > PIECE {
                self.rest = data.split_off(PIECE);
            }
            progress.handed();
        }
        Frame::data(data)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(progress) = &self.progress {
            progress.asked();
        }
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.piece(rest))));
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        match ready!(Pin::new(inner).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => self.piece(data),
                Err(other) => other,
            }))),
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.as_ref().is_none_or(|inner| inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let Some(inner) = &self.inner else { return SizeHint::with_exact(rest) };
        let inner = inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

/// Runs the streams of one HTTP/2 connection. A panic ends its stream alone and is counted.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    telemetry: Telemetry,
    /// How long a client may take for one piece; `None` for no limit.
    period: Option<Duration>,
    /// The request whose stream is about to be run: hyper calls the service and runs the stream right after.
    next: Arc<Mutex<Option<Arc<Progress>>>>,
}

impl Streams {
    /// A `period` of zero means no limit.
    pub(super) fn new(telemetry: Telemetry, period: Duration) -> Self {
        Self { telemetry, period: (!period.is_zero()).then_some(period), next: Arc::default() }
    }

    /// The progress of the stream that is run next.
    pub(super) fn begin(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&progress));
        progress
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let watched = self.next.lock().unwrap_or_else(PoisonError::into_inner).take().zip(self.period);
        let watch = watched.map(|(progress, period)| Watch { progress, period, seen: 0, timer: None });
        // A stream is some kilobytes: it goes to the heap at once, and is not moved from one future into another before.
        tokio::spawn(Stream { future: Box::pin(future), watch, telemetry: self.telemetry.clone() });
    }
}

/// One stream. Ending it early makes h2 reset the stream.
struct Stream<F> {
    future: Pin<Box<F>>,
    watch: Option<Watch>,
    telemetry: Telemetry,
}

impl<F: Future> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(cx))) {
            Ok(Poll::Ready(_)) => Poll::Ready(()),
            Ok(Poll::Pending) => this.watch.as_mut().map_or(Poll::Pending, |watch| watch.poll(cx)),
            Err(_) => {
                this.telemetry.panicked();
                Poll::Ready(())
            }
        }
    }
}

/// Whether a stream's client takes what it is sent.
struct Watch {
    progress: Arc<Progress>,
    period: Duration,
    seen: u64,
    /// Runs only while the client is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Ready when the client has taken too long for a piece. To be asked whenever the stream waits.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.progress.0.load(Ordering::Relaxed);
        if now.is_multiple_of(2) {
            self.timer = None;
            return Poll::Pending;
        }
        if self.timer.is_none() || now != self.seen {
            self.seen = now;
            self.timer = Some(Box::pin(sleep_until(Instant::now() + self.period)));
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
#[path = "flight_tests.rs"]
mod tests;
