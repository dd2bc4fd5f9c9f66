//! The body of a response to a client: streams, counts, and writes the access-log line when it has ended.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::Progress;
use crate::telemetry::{AccessEntry, Telemetry};

/// Why a body broke off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response to a client.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    entry: Option<Box<Entry>>,
}

#[derive(Debug)]
enum Source {
    Full(Option<Bytes>),
    Upstream(Upstream),
}

#[derive(Debug)]
struct Upstream {
    body: Box<dyn AnswerBody>,
    idle_timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    moved: Option<Instant>,
    clean_trailers: fn(&mut HeaderMap),
    also_clean: Option<Arc<dyn CleanTrailers>>,
}

/// The body of an application's answer.
pub trait AnswerBody: Body<Data = Bytes, Error = BoxError> + std::fmt::Debug + Send + Sync + Unpin {}

impl<B: Body<Data = Bytes, Error = BoxError> + std::fmt::Debug + Send + Sync + Unpin> AnswerBody for B {}

/// Takes out of an answer's trailers what no client is told.
pub trait CleanTrailers: std::fmt::Debug + Send + Sync {
    /// Sees all trailers, once.
    fn clean(&self, trailers: &mut HeaderMap);
}

/// The line of the request that this body answers. Written when the body is dropped, whatever ended it.
#[derive(Debug)]
struct Entry {
    telemetry: Telemetry,
    entry: Option<Box<AccessEntry>>,
    progress: Option<Arc<Progress>>,
    complete: bool,
    _held: Option<Held>,
}

struct Held(#[allow(dead_code, reason = "kept alive, never read")] Box<dyn Any + Send + Sync>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl ResponseBody {
    /// A short body of our own.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes: Bytes = bytes.into();
        Self { source: Source::Full((!bytes.is_empty()).then_some(bytes)), entry: None }
    }

    /// The upstream's body, streamed. Nothing for `idle_timeout` breaks it off. `clean_trailers` sees trailers before the client.
    #[must_use]
    pub fn upstream(body: Box<dyn AnswerBody>, idle_timeout: Duration, clean_trailers: fn(&mut HeaderMap)) -> Self {
        let upstream = Upstream { body, idle_timeout, timer: None, moved: None, clean_trailers, also_clean: None };
        Self { source: Source::Upstream(upstream), entry: None }
    }

    /// Lets `clean` see the upstream's trailers too.
    pub fn clean_trailers(&mut self, clean: Arc<dyn CleanTrailers>) {
        if let Source::Upstream(upstream) = &mut self.source {
            upstream.also_clean = Some(clean);
        }
    }

    /// Hands over the access-log entry, to be written when this body has ended. `expects_body` is false for HEAD, 204 and 304.
    pub fn log(&mut self, telemetry: Telemetry, entry: Box<AccessEntry>, progress: Option<Arc<Progress>>, expects_body: bool) {
        let complete = !expects_body || self.is_end_stream();
        self.entry = Some(Box::new(Entry { telemetry, entry: Some(entry), progress, complete, _held: None }));
    }

    /// Keeps `guard` until this body is dropped: it counts requests in flight.
    pub fn hold(&mut self, guard: impl Any + Send + Sync) {
        if let Some(entry) = &mut self.entry {
            entry._held = Some(Held(Box::new(guard)));
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.source {
            Source::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Upstream(upstream) => upstream.poll(cx),
        }
    }
}

impl Upstream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.poll_idle(cx));
            return Poll::Ready(Some(Err("the upstream sent nothing for too long".into())));
        };
        self.moved = None;
        Poll::Ready(frame.map(|frame| {
            let mut frame = frame?;
            if let Some(trailers) = frame.trailers_mut() {
                (self.clean_trailers)(trailers);
                if let Some(clean) = &self.also_clean {
                    clean.clean(trailers);
                }
            }
            Ok(frame)
        }))
    }

    /// One timer for the whole body: it is moved on when it fires early, not on every frame.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.moved.get_or_insert_with(Instant::now);
        let deadline = since + self.idle_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.poll_source(cx));
        let ended = self.is_end_stream();
        if let Some(entry) = &mut self.entry {
            entry.saw(frame.as_ref(), ended);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(bytes) => bytes.is_none(),
            Source::Upstream(upstream) => upstream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Upstream(upstream) => upstream.body.size_hint(),
        }
    }
}

impl Entry {
    fn saw(&mut self, frame: Option<&Result<Frame<Bytes>, BoxError>>, ended: bool) {
        let Some(entry) = &mut self.entry else { return };
        match frame {
            Some(Ok(frame)) => {
                entry.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.complete |= ended || frame.is_trailers();
            }
            Some(Err(error)) => {
                entry.cause.get_or_insert_with(|| error.to_string());
                self.complete = false;
            }
            None => self.complete = true,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.broken = !self.complete;
            entry.bytes_in = self.progress.as_ref().map_or(0, |progress| progress.received());
            self.telemetry.record(entry);
        }
    }
}
