//! Reads along between a client's stream and the HTTP library: what the library mends or answers by itself, and nobody would
//! hear of, is seen here.
//!
//! ```text
//! TLS --bytes--> Inspected --the same bytes--> hyper --Request n--> service
//!                   | Heads                                           ^
//!                   +----- Verdict: the head n is ambiguous ----------+
//! ```
//!
//! Nothing is added, changed or held back. Where a body's chunks break, what stands before the break is handed on and the
//! next read fails.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::socket::Paced;
use crate::inbound::{Found, HeadFault, Heads};

/// Somebody who looks at what is read.
pub(super) trait Inspect: Unpin {
    /// Looks at the bytes that come next; the number of those that may be used, and why, if the stream breaks there.
    fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, &'static str)>;

    /// Whether the client's slow reading holds a write up.
    fn write_waits(&mut self, waits: bool);
}

/// A stream that may know whether its socket holds anything.
pub(super) trait Readable {
    /// Ready when a read of the socket would find something: bytes, the end, or an error. Ready too where nobody knows.
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Readable for Box<TlsStream<Paced>> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.get_ref().0.poll_readable(cx)
    }
}

impl Readable for Paced {}
impl Readable for DuplexStream {}

/// A stream that somebody looks at.
#[derive(Debug)]
pub(super) struct Inspected<T, I> {
    stream: T,
    inspect: I,
    broken: Option<&'static str>,
    /// Whether the last read found nothing: then the stream holds nothing back either, and there is nothing until its socket has something.
    /// hyper asks several times for each request.
    quiet: bool,
}

impl<T, I: Inspect> Inspected<T, I> {
    pub(super) fn new(stream: T, inspect: I) -> Self {
        Self { stream, inspect, broken: None, quiet: false }
    }

    /// The stream that is looked at.
    pub(super) fn get_ref(&self) -> &T {
        &self.stream
    }

    fn wrote<R>(&mut self, outcome: Poll<R>) -> Poll<R> {
        self.inspect.write_waits(outcome.is_pending());
        outcome
    }
}

impl<T: AsyncRead + Readable + Unpin, I: Inspect> AsyncRead for Inspected<T, I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(why) = this.broken {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        if this.quiet {
            ready!(this.stream.poll_readable(cx));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.quiet = outcome.is_pending();
        ready!(outcome)?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if let Err((usable, why)) = this.inspect.read(read) {
            this.broken = Some(why);
            if usable == 0 {
                // No byte at all would mean the end of the stream.
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            buffer.set_filled(before.saturating_add(usable));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin, I: Inspect> AsyncWrite for Inspected<T, I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What is known of the requests of an HTTP/1 connection: written by who reads the bytes, read by who answers the requests.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    asked: AtomicU64,
    /// After how many whole heads the last byte that was read was the end of one without a body; 0 where it was not.
    between: AtomicU64,
    fault: OnceLock<(u64, HeadFault)>,
    tunnel: AtomicBool,
}

impl Verdict {
    /// The verdict on the next request. To be asked once for each, in their order.
    pub(super) fn next(&self) -> Result<(), HeadFault> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.fault.get() {
            // Nothing that follows an ambiguous head was looked at.
            Some((from, fault)) if number >= *from => Err(*fault),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether every request that was read has been handed out, and nothing of the last one is still to come or unread.
    pub(super) fn is_between_requests(&self) -> bool {
        let (heads, asked) = (self.between.load(Ordering::Relaxed), self.asked.load(Ordering::Relaxed));
        heads > 0 && heads == asked && self.fault.get().is_none() && !self.tunnel.load(Ordering::Relaxed)
    }

    /// What comes from now on is no HTTP any more.
    pub(super) fn becomes_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }
}

/// Looks at the heads and bodies of an HTTP/1 connection.
#[derive(Debug)]
pub(super) struct Http1 {
    heads: Heads,
    verdict: Arc<Verdict>,
}

impl Http1 {
    /// `longest`: the limit for a head.
    pub(super) fn new(longest: usize, verdict: Arc<Verdict>) -> Self {
        Self { heads: Heads::new(longest), verdict }
    }
}

impl Inspect for Http1 {
    fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, &'static str)> {
        if self.verdict.tunnel.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = self.heads.read(bytes);
        self.verdict.between.store(if self.heads.ends_with_a_bare_head() { self.heads.clear() } else { 0 }, Ordering::Relaxed);
        match found {
            Found::Clear => {}
            Found::Fault(number, fault) => {
                // There is one at most: nothing is followed after it.
                let _ = self.verdict.fault.set((number, fault));
            }
            Found::Broken(usable, why) => return Err((usable, why)),
        }
        Ok(())
    }

    fn write_waits(&mut self, _: bool) {}
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
