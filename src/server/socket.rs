//! A client's socket below TLS, with a guard against clients that read too slowly.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::inbound::Peer;

/// What a client has to take in each period that it keeps us waiting.
pub(super) const LEAST_PROGRESS: u64 = 16 * 1024;

/// After the last byte is sent, how long what a client still sends is read and dropped. Closing with unread bytes would
/// reset the connection, and the client might lose the response that told it to stop.
const LINGER: Duration = Duration::from_secs(2);
/// And how many bytes.
const LINGER_BYTES: usize = 8 << 20;

/// A connection as it was accepted; it belongs to no runtime yet.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: StdSocket,
    pub(super) peer: Peer,
    /// `None` for `unix:`.
    pub(super) local_port: Option<u16>,
}

/// A non-blocking socket that belongs to no runtime yet.
#[derive(Debug)]
pub(super) enum StdSocket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl From<std::net::TcpStream> for StdSocket {
    fn from(stream: std::net::TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<std::os::unix::net::UnixStream> for StdSocket {
    fn from(stream: std::os::unix::net::UnixStream) -> Self {
        Self::Unix(stream)
    }
}

/// What the worker that watches a connection sees of its socket.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    written: AtomicU64,
    blocked: AtomicBool,
}

impl Traffic {
    /// Bytes that the kernel took so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether the client's slow reading holds a write up.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket on which a write fails once the client took less than 16 KiB in a whole period of being waited for.
#[derive(Debug)]
pub(super) struct Paced {
    socket: Socket,
    traffic: Arc<Traffic>,
    /// The period; `None` for no limit.
    period: Option<Duration>,
    /// Since when the present write has been waiting.
    blocked_since: Option<Instant>,
    /// Waited in this period by earlier writes.
    waited: Duration,
    /// Taken by the client in this period.
    taken: u64,
    timer: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    No,
    /// The sending side is closed; it is not known yet whether the client still sends.
    Sent,
    /// What comes is dropped until then.
    Discarding {
        until: Pin<Box<Sleep>>,
        left: usize,
    },
}

impl Paced {
    /// Gives the socket to the current runtime. A `period` of zero means no limit.
    pub(super) fn new(socket: StdSocket, period: Duration, traffic: Arc<Traffic>) -> io::Result<Self> {
        let socket = match socket {
            StdSocket::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            StdSocket::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        };
        Ok(Self {
            socket,
            traffic,
            period: (!period.is_zero()).then_some(period),
            blocked_since: None,
            waited: Duration::ZERO,
            taken: 0,
            timer: None,
            closing: Closing::No,
        })
    }

    /// Ready when a read would find something: bytes, the end, or an error.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // What is wrong with the socket is told by the read.
        match &self.socket {
            Socket::Tcp(stream) => stream.poll_read_ready(cx).map(|_| ()),
            Socket::Unix(stream) => stream.poll_read_ready(cx).map(|_| ()),
        }
    }

    /// Judges the outcome of a write.
    fn pace(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(period) = self.period else { return self.count(outcome) };
        match outcome {
            Poll::Ready(_) => {
                if let Some(since) = self.blocked_since.take() {
                    self.waited += since.elapsed();
                    self.traffic.blocked.store(false, Ordering::Relaxed);
                }
                self.count(outcome)
            }
            Poll::Pending => self.wait(cx, period),
        }
    }

    fn count(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = outcome {
            let taken = u64::try_from(taken).unwrap_or(u64::MAX);
            self.taken = self.taken.saturating_add(taken);
            // Nobody else adds to it: cheaper than to add in one step.
            self.traffic.written.store(self.traffic.written().wrapping_add(taken), Ordering::Relaxed);
        }
        outcome
    }

    /// Only time spent waiting counts: a stream that has nothing to say for an hour is not slow.
    fn wait(&mut self, cx: &mut Context<'_>, period: Duration) -> Poll<io::Result<usize>> {
        if self.blocked_since.is_none() {
            let now = Instant::now();
            if self.waited.is_zero() {
                self.taken = 0;
            }
            self.blocked_since = Some(now);
            self.traffic.blocked.store(true, Ordering::Relaxed);
            self.arm(now + period.saturating_sub(self.waited));
        }
        loop {
            let Some(timer) = &mut self.timer else { return Poll::Pending };
            ready!(timer.as_mut().poll(cx));
            if self.taken < LEAST_PROGRESS {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly")));
            }
            let now = Instant::now();
            (self.taken, self.waited, self.blocked_since) = (0, Duration::ZERO, Some(now));
            self.arm(now + period);
        }
    }

    fn arm(&mut self, at: Instant) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
    }

    /// Reads and drops what the client still sends, if it does.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match (self.socket.poll_read(cx, &mut buffer), &mut self.closing) {
                (Poll::Pending, Closing::No | Closing::Sent) | (Poll::Ready(Err(_)), _) => return Poll::Ready(Ok(())),
                (Poll::Pending, Closing::Discarding { until, .. }) => return until.as_mut().poll(cx).map(Ok),
                (Poll::Ready(Ok(())), closing) => match (buffer.filled().len(), closing) {
                    (0, _) => return Poll::Ready(Ok(())),
                    (_, closing @ (Closing::No | Closing::Sent)) => {
                        *closing = Closing::Discarding { until: Box::pin(sleep_until(Instant::now() + LINGER)), left: LINGER_BYTES };
                    }
                    (read, Closing::Discarding { left, .. }) => {
                        *left = left.saturating_sub(read);
                        if *left == 0 {
                            return Poll::Ready(Ok(()));
                        }
                    }
                },
            }
        }
    }
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.pace(cx, outcome)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // One piece, as most answers are, costs the kernel less in its own way.
        if let [piece] = pieces {
            return self.poll_write(cx, piece);
        }
        let outcome = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        };
        self.pace(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel sends without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::No) {
            ready!(match &mut self.socket {
                Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
                Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            })?;
            self.closing = Closing::Sent;
        }
        self.discard(cx)
    }
}
