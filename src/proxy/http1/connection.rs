//! One connection to an application, and what has arrived on it.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, BytesMut};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, ReadHalf};
use tokio::sync::oneshot;

use super::Fault;
use super::decoder::{Decoder, Step};
use super::head::{self, Head};
use super::outgoing::Outgoing;
use crate::proxy::dial::Stream;

/// Read at once, in bytes: at first and at least, and at most while an answer fills it.
const READ: (usize, usize) = (8 * 1024, 256 * 1024);
/// An idle connection keeps no more memory than this for what it reads, and as much for what it writes.
const KEPT: usize = 16 * 1024;

/// A connection to an application.
#[derive(Debug)]
pub(in crate::proxy) struct Connection {
    io: Io,
    /// What has arrived and was not taken yet.
    inbox: BytesMut,
    /// Memory for the next request's head.
    room: Vec<u8>,
    /// How much is read at once.
    appetite: usize,
}

#[derive(Debug)]
enum Io {
    Whole(Stream),
    /// The answer came before the request was sent, which goes on elsewhere, and tells if it fails.
    Reading(ReadHalf<Stream>, Option<oneshot::Receiver<Fault>>),
}

impl Connection {
    /// On a stream that was just opened.
    pub(in crate::proxy) fn new(stream: Stream) -> Self {
        Self { io: Io::Whole(stream), inbox: BytesMut::new(), room: Vec::new(), appetite: READ.0 }
    }

    /// Memory for the head of the next request.
    pub(in crate::proxy) fn room(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.room)
    }

    /// Whether the next request may be sent: the application neither closed the connection nor said anything unasked. Makes no
    /// system call where nothing has happened.
    pub(in crate::proxy) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut unasked = ReadBuf::new(&mut byte);
        self.inbox.is_empty() && Pin::new(&mut self.io).poll_read(&mut Context::from_waker(Waker::noop()), &mut unasked).is_pending()
    }

    /// After an exchange: whether another may follow. Gives back memory that only a large answer needed.
    pub(super) fn rest(&mut self) -> bool {
        if self.inbox.capacity() > KEPT {
            self.inbox = BytesMut::new();
        }
        self.appetite = READ.0;
        self.inbox.is_empty() && matches!(self.io, Io::Whole(_))
    }

    /// What is not sent yet is sent while the answer is read. Such a connection serves no other request.
    pub(in crate::proxy) fn send_meanwhile(self, mut outgoing: Outgoing) -> Self {
        let Io::Whole(stream) = self.io else { return self };
        let delivery = stream.delivery.clone();
        let (reading, mut writing) = tokio::io::split(stream);
        let (tell, failed) = oneshot::channel();
        tokio::spawn(async move {
            let sent = poll_fn(|cx| {
                let sent = outgoing.poll_send(cx, &mut writing);
                delivery.set_partial(!outgoing.is_sent());
                sent
            });
            // An application that reads no further may answer all the same.
            if let Err(fault @ Fault::Body) = sent.await {
                let _ = tell.send(fault);
            }
        });
        Self { io: Io::Reading(reading, Some(failed)), ..self }
    }

    /// Takes the memory of a request back that was sent.
    pub(in crate::proxy) fn sent(&mut self, outgoing: Outgoing) {
        let mut room = outgoing.into_room();
        if room.capacity() <= KEPT {
            room.clear();
            self.room = room;
        }
    }

    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, outgoing: &mut Outgoing) -> Poll<Result<(), Fault>> {
        match &mut self.io {
            _ if outgoing.is_sent() => Poll::Ready(Ok(())),
            Io::Whole(stream) => {
                let sent = outgoing.poll_send(cx, stream);
                stream.delivery.set_partial(!outgoing.is_sent());
                sent
            }
            Io::Reading(..) => Poll::Ready(Err(Fault::Closed)),
        }
    }

    /// The head of the final answer. Those before it (`103 Early Hints`) are for nobody.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<Head, Fault>> {
        loop {
            if !self.inbox.is_empty() {
                match head::read(&mut self.inbox, method)? {
                    Some(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => continue,
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => {}
                }
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(Fault::Closed));
            }
        }
    }

    /// The next part of a body; waits for no more than it takes to have one.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>, decoder: &mut Decoder) -> Poll<Result<Step, Fault>> {
        loop {
            match decoder.step(&mut self.inbox)? {
                Step::Wanting => {}
                step @ (Step::Data(_) | Step::Trailers(_) | Step::Ended) => return Poll::Ready(Ok(step)),
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let is_end = matches!(decoder, Decoder::UntilClosed);
                return Poll::Ready(if is_end { Ok(Step::Ended) } else { Err(Fault::Closed) });
            }
        }
    }

    /// What the decoder finds without waiting.
    pub(super) fn step(&mut self, decoder: &mut Decoder) -> Result<Step, Fault> {
        decoder.step(&mut self.inbox)
    }

    /// How many bytes have arrived and were not taken.
    pub(super) fn arrived(&self) -> usize {
        self.inbox.len()
    }

    /// Reads once. 0 is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbox.reserve(self.appetite);
        let spare = self.inbox.capacity() - self.inbox.len();
        let read = ready!(pin!(self.io.read_buf(&mut self.inbox)).poll(cx))?;
        if read == spare {
            self.appetite = self.appetite.saturating_mul(2).min(READ.1);
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Reading(reading, failing) => {
                if let Some(failed) = failing
                    && let Poll::Ready(failed) = Pin::new(failed).poll(cx)
                {
                    *failing = None;
                    if let Ok(fault) = failed {
                        return Poll::Ready(Err(io::Error::other(fault)));
                    }
                }
                Pin::new(reading).poll_read(cx, buffer)
            }
        }
    }
}

/// After a 101 the connection is a stream of bytes.
impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        if connection.inbox.is_empty() {
            return Pin::new(&mut connection.io).poll_read(cx, buffer);
        }
        let take = connection.inbox.len().min(buffer.remaining());
        buffer.put_slice(connection.inbox.get(..take).unwrap_or_default());
        connection.inbox.advance(take);
        Poll::Ready(Ok(()))
    }
}

/// See [`AsyncRead`] of it.
impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.whole())?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.whole())?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.whole())?.poll_shutdown(cx)
    }
}

impl Connection {
    fn whole(self: Pin<&mut Self>) -> Poll<io::Result<Pin<&mut Stream>>> {
        Poll::Ready(match &mut self.get_mut().io {
            Io::Whole(stream) => Ok(Pin::new(stream)),
            Io::Reading(..) => Err(io::ErrorKind::BrokenPipe.into()),
        })
    }
}
