//! Bodies. A body that a signature covers is read once: held under a limit, or verified on its way. The bytes verified are
//! the bytes forwarded.
//! What it never does: buffer a body that nobody asked to verify, or pass a request's trailers on.

mod check;
mod checking;
mod held;
mod leftover;
mod progress;
mod quiet;
mod response;
mod room;
mod small;
mod spool;
#[cfg(test)]
pub(crate) mod tests;
mod verdict;
mod window;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::types::AddressBlock;

pub use check::{Algorithm, BodyCheck, Digests, Mismatch, Ready};
use checking::Checking;
pub use progress::Progress;
pub use quiet::rousable;
pub use response::{AnswerBody, BoxError, CleanTrailers, ResponseBody};
pub use room::Room;
pub use small::read_small;
use spool::Spool;
use verdict::State;
pub use verdict::Verdict;
use window::Window;

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Longer than allowed: 413.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// The client stopped sending: 408.
    #[error("the client stopped sending the body")]
    TimedOut,
    /// The connection broke, or the framing is wrong: 400.
    #[error("the body could not be read: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The temporary file failed, or too much is held already: 503.
    #[error("the body could not be spooled: {0}")]
    Spool(#[source] std::io::Error),
    /// Not the body that was signed: 401.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// How much of a body is taken, and how slowly it may come.
#[derive(Debug, Clone, Copy)]
pub struct PayloadLimits {
    /// Most bytes; `u64::MAX` for no limit.
    pub max_bytes: u64,
    /// While a body is awaited, at least 1 KiB must arrive in each such period; zero for no limit.
    pub timeout: Duration,
}

/// A request body on its way to the upstream.
#[derive(Debug)]
pub struct Payload {
    source: Source,
    limits: PayloadLimits,
    progress: Arc<Progress>,
    window: Window,
    client: Option<AddressBlock>,
    /// Where the body is verified on its way.
    checking: Option<Box<Checking>>,
    verdict: Option<Arc<Verdict>>,
    /// Whether it shares a connection with other streams: what nobody reads of it is let come then.
    http2: bool,
}

#[derive(Debug)]
enum Source {
    Empty,
    Client(Incoming),
    Held(Spool),
}

impl Payload {
    /// Takes a client's body over. Fails at once when it says that it is longer than allowed.
    pub fn new(body: Incoming, limits: PayloadLimits) -> Result<Self, PayloadError> {
        if body.size_hint().lower() > limits.max_bytes {
            return Err(PayloadError::TooLarge(limits.max_bytes));
        }
        let source = if body.is_end_stream() { Source::Empty } else { Source::Client(body) };
        let progress = Arc::new(Progress { ended: AtomicBool::new(matches!(source, Source::Empty)), ..Progress::default() });
        Ok(Self { source, limits, progress, window: Window::default(), client: None, checking: None, verdict: None, http2: false })
    }

    /// Whose share of a room it takes, should any of it be held. Those without an address share one. Over HTTP/2, whose
    /// clients are reset otherwise, a short body is let come also when nobody reads it. `asks_first`: the client waits to be told to
    /// go on, which it is when the body is first asked for.
    pub fn sent_by(&mut self, client: Option<AddressBlock>, version: Version, asks_first: bool) {
        self.client = client;
        self.progress.unasked.store(asks_first, Ordering::Relaxed);
        self.http2 = version == Version::HTTP_2;
    }

    /// Whether the request has no body at all, as opposed to one that is still to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        if let Some(checking) = &self.checking {
            return checking.is_over();
        }
        match &self.source {
            Source::Empty => true,
            Source::Client(_) => false,
            Source::Held(spool) => spool.len() == 0,
        }
    }

    /// A view of how far the body has got, for whoever waits meanwhile.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The limit that [`Progress::failure`] reports.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    /// Reads the whole body, at most `limit` bytes, and shows each piece to `each` in order; afterwards the same bytes
    /// are forwarded. Up to 1 MiB stays in memory, more goes to an unlinked temporary file, all of it within `room`. May be
    /// called again. Returns the body's length.
    pub async fn hold(&mut self, limit: u64, room: &Arc<Room>, mut each: impl FnMut(&[u8])) -> Result<u64, PayloadError> {
        let limit = limit.min(self.limits.max_bytes);
        if self.checking.is_some() {
            return Err(Mismatch::of("the body is verified on its way already").into());
        }
        if let Source::Client(body) = &self.source {
            if body.size_hint().lower() > limit {
                return Err(PayloadError::TooLarge(limit));
            }
            let mut spool = Spool::new(room, self.client);
            while !self.source_ended()
                && let Some(piece) = std::future::poll_fn(|cx| self.poll_client(cx)).await
            {
                let piece = piece?;
                if spool.len() + piece.len() as u64 > limit {
                    return Err(PayloadError::TooLarge(limit));
                }
                each(&piece);
                // Kept as it is it keeps its buffer alive: one for each connection at most. Those of HTTP/2 are shared by many streams.
                let only = !self.http2 && spool.len() == 0 && self.source_ended();
                spool.push(piece, only).await.map_err(PayloadError::Spool)?;
            }
            spool.rewind().await.map_err(PayloadError::Spool)?;
            let len = spool.len();
            self.source = if len == 0 { Source::Empty } else { Source::Held(spool) };
            return Ok(len);
        }
        match &mut self.source {
            Source::Held(spool) if spool.len() > limit => Err(PayloadError::TooLarge(limit)),
            Source::Held(spool) => {
                spool.replay(each).await.map_err(PayloadError::Spool)?;
                Ok(spool.len())
            }
            Source::Empty | Source::Client(_) => Ok(0),
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Client(_) => self.poll_client(cx),
            Source::Held(spool) => spool.poll_next(cx).map_err(PayloadError::Spool),
        }
    }

    fn source_ended(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Client(body) => body.is_end_stream(),
            Source::Held(spool) => spool.is_drained(),
        }
    }

    fn source_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Client(body) => body.size_hint(),
            Source::Held(spool) => SizeHint::with_exact(spool.remaining()),
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let Source::Client(body) = &mut self.source else { return Poll::Ready(None) };
        self.progress.unasked.store(false, Ordering::Relaxed);
        loop {
            let outcome = match quiet::poll_frame(body, cx) {
                Poll::Pending => match self.window.poll_expired(cx, self.limits.timeout) {
                    Poll::Pending => {
                        self.progress.awaited.store(true, Ordering::Relaxed);
                        return Poll::Pending;
                    }
                    Poll::Ready(()) => Err(PayloadError::TimedOut),
                },
                Poll::Ready(None) => {
                    self.progress.awaited.store(false, Ordering::Relaxed);
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => Err(PayloadError::Broken(Box::new(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    // Trailers of a request are dropped: no rule has seen them, and an application may fold them into headers.
                    Err(_trailers) => continue,
                    Ok(data) => {
                        let before = self.progress.received.fetch_add(data.len() as u64, Ordering::Relaxed);
                        self.window.arrived(data.len() as u64);
                        if before + data.len() as u64 > self.limits.max_bytes { Err(PayloadError::TooLarge(self.limits.max_bytes)) } else { Ok(data) }
                    }
                },
            };
            self.progress.awaited.store(false, Ordering::Relaxed);
            if let Err(error) = &outcome {
                self.progress.note(error);
            }
            return Poll::Ready(Some(outcome));
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let piece = if self.checking.is_some() { ready!(self.poll_checked(cx)) } else { ready!(self.poll_source(cx)) };
        // A piece that is over a limit may have been the last: what was sent on is cut off all the same.
        let failed = matches!(piece, Some(Err(_)));
        if !failed && (piece.is_none() || self.is_end_stream()) {
            self.progress.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.checking {
            Some(checking) => checking.is_over(),
            None => self.source_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.checking {
            Some(checking) => checking.size_hint(),
            None => self.source_hint(),
        }
    }
}

impl Drop for Payload {
    /// Whoever waits for the verdict gets what is left of the body.
    fn drop(&mut self) {
        // Nobody waits for the client any more; whoever reads the rest says so again.
        self.progress.awaited.store(false, Ordering::Relaxed);
        let Some(verdict) = self.verdict.take() else {
            if let (true, Source::Client(body)) = (self.http2, std::mem::replace(&mut self.source, Source::Empty)) {
                leftover::discard(body);
            }
            return;
        };
        let (source, window) = (std::mem::replace(&mut self.source, Source::Empty), std::mem::take(&mut self.window));
        let (progress, checking) = (Arc::clone(&self.progress), self.checking.take());
        verdict.settle(State::Left(Box::new(Self {
            source,
            limits: self.limits,
            progress,
            window,
            client: self.client,
            checking,
            verdict: None,
            http2: false,
        })));
    }
}
