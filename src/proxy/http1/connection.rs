//! One connection to an application, and what has arrived on it.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, ReadHalf};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::unconstrained;
use tokio::time::Instant;

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
    /// How many bytes of it are known to hold no end of a head.
    scanned: usize,
    /// Memory for the next request's head.
    room: Vec<u8>,
    /// How much is read at once.
    appetite: usize,
    /// Whether the inbox was ever larger than what an idle connection keeps: what is left of it may be a part of that.
    grown: bool,
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
        Self { io: Io::Whole(stream), inbox: BytesMut::new(), room: Vec::new(), scanned: 0, appetite: READ.0, grown: false }
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
        // A task that has done much in one go is told that nothing is there. That is no answer to this question.
        let looking = unconstrained(poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut unasked)));
        self.inbox.is_empty() && pin!(looking).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// After an exchange: whether another may follow. Gives back memory that only a large answer needed.
    pub(super) fn rest(&mut self) -> bool {
        let is_empty = self.inbox.is_empty();
        if std::mem::take(&mut self.grown) {
            self.inbox = BytesMut::new();
        }
        self.appetite = READ.0;
        is_empty && matches!(self.io, Io::Whole(_))
    }

    /// What is not sent yet is sent while the answer is read. Such a connection serves no other request. `permit` is kept for
    /// as long as either goes on. An application that takes nothing for `idle_timeout` gets no more.
    pub(in crate::proxy) fn send_meanwhile(self, mut outgoing: Outgoing, permit: Option<OwnedSemaphorePermit>, idle_timeout: Duration) -> Box<Self> {
        let Io::Whole(mut stream) = self.io else { return Box::new(self) };
        stream.permit = permit;
        let delivery = stream.delivery.clone();
        let (reading, mut writing) = tokio::io::split(stream);
        let (tell, failed) = oneshot::channel();
        tokio::spawn(async move {
            let mut idle = pin!(tokio::time::sleep(idle_timeout));
            let sent = poll_fn(|cx| {
                let moved = outgoing.moved();
                let sent = outgoing.poll_send(cx, &mut writing);
                delivery.set_partial(!outgoing.is_sent());
                // The client has a limit of its own for what it still has to send.
                if sent.is_pending() && (outgoing.moved() != moved || outgoing.awaits_client()) {
                    idle.as_mut().reset(Instant::now() + idle_timeout);
                }
                if sent.is_pending() && idle.as_mut().poll(cx).is_ready() { Poll::Ready(Err(Fault::Closed)) } else { sent }
            });
            // An application that reads no further may answer all the same.
            if let Err(fault @ Fault::Body) = sent.await {
                let _ = tell.send(fault);
            }
        });
        Box::new(Self { io: Io::Reading(reading, Some(failed)), ..self })
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
                if stream.hides_what_left() && matches!(sent, Poll::Ready(Err(_))) {
                    outgoing.touch();
                }
                sent
            }
            Io::Reading(..) => Poll::Ready(Err(Fault::Closed)),
        }
    }

    /// The head of the final answer. Those before it (`103 Early Hints`) are for nobody.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<Head, Fault>> {
        loop {
            if !self.inbox.is_empty() {
                match head::read(&mut self.inbox, &mut self.scanned, method)? {
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
        self.grown |= self.inbox.capacity() > KEPT;
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
        self.whole()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole()?.poll_shutdown(cx)
    }
}

impl Connection {
    fn whole(self: Pin<&mut Self>) -> io::Result<Pin<&mut Stream>> {
        match &mut self.get_mut().io {
            Io::Whole(stream) => Ok(Pin::new(stream)),
            Io::Reading(..) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;
    use tokio::task::{consume_budget, coop::has_budget_remaining};

    use super::*;

    #[tokio::test]
    async fn what_was_said_unasked_is_noticed_however_much_the_task_has_done_before() {
        for said in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b""] {
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(said).await.unwrap();
            let far = (!said.is_empty()).then_some(far);
            near.readable().await.unwrap();
            let mut connection = Connection::new(Stream::over(near));
            poll_fn(|cx| {
                while has_budget_remaining() {
                    let _ = pin!(consume_budget()).poll(cx);
                }
                assert!(!connection.is_quiet(), "{said:?}");
                Poll::Ready(())
            })
            .await;
            drop(far);
        }
    }

    #[tokio::test]
    async fn an_idle_connection_keeps_no_part_of_what_a_large_answer_needed() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(Stream::over(near));
        let body = vec![b'x'; 3 << 20];
        let sending = tokio::spawn(async move {
            far.write_all(&body).await.unwrap();
            far
        });
        let mut decoder = Decoder::Length(3 << 20);
        while !decoder.is_ended() {
            poll_fn(|cx| connection.poll_step(cx, &mut decoder)).await.unwrap();
        }
        let _far = sending.await.unwrap();
        assert!(connection.appetite > READ.0);
        // As if little was left of the memory.
        let rest = connection.inbox.capacity().saturating_sub(100);
        if rest > 0 {
            connection.inbox.resize(rest, 0);
            connection.inbox.advance(rest);
        }
        assert!(connection.rest() && connection.is_quiet());
        assert_eq!((connection.inbox.capacity(), connection.appetite), (0, READ.0));
    }
}
