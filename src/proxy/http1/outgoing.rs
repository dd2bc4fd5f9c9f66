//! A request on its way: its head, then its body, framed in one way.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, uri::PathAndQuery};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::{Fault, head};
use crate::inbound::Lines;
use crate::payload::Payload;

/// A piece of a body up to this length is copied behind the head: one part costs the kernel less than three.
const COPIED: usize = 4096;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const LAST_CHUNK_AFTER_DATA: &[u8] = b"\r\n0\r\n\r\n";

/// A request, as far as it is not sent yet. What waits to be written lies in three parts, so that a long body is never copied:
/// the head or a chunk's size, a piece of the body, and what ends the chunk.
#[derive(Debug)]
pub(in crate::proxy) struct Outgoing {
    before: Vec<u8>,
    written: usize,
    piece: Bytes,
    after: &'static [u8],
    framing: Framing,
    /// What of the body was not asked for yet; `None` once its end was seen.
    body: Option<Payload>,
    untouched: bool,
    flushed: bool,
    /// Bytes that have left.
    moved: u64,
    /// Whether it was the client's turn when it was last looked at.
    awaits_client: bool,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are to come.
    Length(u64),
    Chunked,
}

impl Outgoing {
    /// `headers`: the host, and the lines of all others but the one that says where the body ends: that one is written here. `room` is
    /// memory to write in.
    pub(in crate::proxy) fn new(mut room: Vec<u8>, line: (&Method, &PathAndQuery), headers: (&HeaderValue, &Lines), body: Payload) -> Self {
        let may_be_silent = matches!(*line.0, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
        let length = body.size_hint().exact();
        let follows = match length {
            Some(0) if may_be_silent => head::Body::Unsaid,
            Some(length) => head::Body::Length(length),
            None => head::Body::Chunked,
        };
        head::write(&mut room, line, headers, follows);
        Self {
            before: room,
            written: 0,
            piece: Bytes::new(),
            after: b"",
            framing: length.map_or(Framing::Chunked, Framing::Length),
            body: (length != Some(0)).then_some(body),
            untouched: true,
            flushed: false,
            moved: 0,
            awaits_client: false,
        }
    }

    /// Whether nothing of it has left, so that it can be sent on another connection.
    pub(in crate::proxy) fn is_untouched(&self) -> bool {
        self.untouched
    }

    /// Some of it may have left, nobody knows how much.
    pub(super) fn touch(&mut self) {
        self.untouched = false;
    }

    /// How many bytes have left so far.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether all that the client has sent so far has left.
    pub(super) fn awaits_client(&self) -> bool {
        self.awaits_client
    }

    /// Whether all of it has left.
    pub(in crate::proxy) fn is_sent(&self) -> bool {
        self.flushed
    }

    /// Sends no more of it.
    pub(super) fn abandon(&mut self) {
        self.before.clear();
        (self.written, self.piece, self.after, self.body, self.flushed) = (0, Bytes::new(), b"", None, true);
    }

    /// The memory of [`Outgoing::new`], for the next request.
    pub(super) fn into_room(self) -> Vec<u8> {
        self.before
    }

    /// Sends as much as can be sent now; ready when all is.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<Result<(), Fault>> {
        self.awaits_client = false;
        loop {
            let has_room = !self.has_piece() && self.before.len() - self.written <= COPIED;
            let awaits_client = has_room && self.body.is_some() && self.poll_piece(cx)?.is_pending();
            ready!(self.poll_write(cx, to))?;
            if self.body.is_none() {
                ready!(Pin::new(to).poll_flush(cx))?;
                self.flushed = true;
                return Poll::Ready(Ok(()));
            }
            if awaits_client {
                self.awaits_client = Pin::new(to).poll_flush(cx)?.is_ready();
                return Poll::Pending;
            }
        }
    }

    /// Takes the next piece of the body and frames it.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
            let piece = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(frame) => frame.map_err(|_| Fault::Body)?.into_data().unwrap_or_default(),
                None => return Poll::Ready(self.end()),
            };
            let last = body.is_end_stream();
            if piece.is_empty() {
                if last {
                    return Poll::Ready(self.end());
                }
                continue;
            }
            return Poll::Ready(self.take(piece, last));
        }
    }

    fn take(&mut self, piece: Bytes, last: bool) -> Result<(), Fault> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or(Fault::Body)?;
                if *left == 0 {
                    self.body = None;
                } else if last {
                    return Err(Fault::Body);
                }
            }
            Framing::Chunked => {
                write!(self.before, "{:x}\r\n", piece.len())?;
                self.after = if last { LAST_CHUNK_AFTER_DATA } else { b"\r\n" };
                if last {
                    self.body = None;
                }
            }
        }
        if piece.len() <= COPIED {
            self.before.extend_from_slice(&piece);
            self.before.extend_from_slice(std::mem::take(&mut self.after));
        } else {
            self.piece = piece;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.framing {
            Framing::Length(_) => return Err(Fault::Body),
            Framing::Chunked => self.after = LAST_CHUNK,
        }
        self.body = None;
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        while self.has_bytes() {
            let before = self.before.get(self.written..).unwrap_or_default();
            let written = ready!(if self.has_piece() {
                let parts = [IoSlice::new(before), IoSlice::new(&self.piece), IoSlice::new(self.after)];
                Pin::new(&mut *to).poll_write_vectored(cx, &parts)
            } else {
                Pin::new(&mut *to).poll_write(cx, before)
            })?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.untouched = false;
            self.moved = self.moved.saturating_add(written as u64);
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let before = written.min(self.before.len().saturating_sub(self.written));
        self.written += before;
        if self.written == self.before.len() {
            self.before.clear();
            self.written = 0;
        }
        let piece = (written - before).min(self.piece.len());
        self.piece = self.piece.split_off(piece);
        self.after = self.after.get(written - before - piece..).unwrap_or_default();
    }

    fn has_piece(&self) -> bool {
        !(self.piece.is_empty() && self.after.is_empty())
    }

    fn has_bytes(&self) -> bool {
        self.has_piece() || self.written < self.before.len()
    }
}
