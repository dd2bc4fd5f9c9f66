//! A body that is verified on its way.
//!
//! ```text
//! client ──pieces──> check ──ready──> [ all but the last piece ] ──> upstream
//!                      └─ end: Ok ──> [ the last piece         ] ──> upstream
//!                              Err ─> the upstream's connection is broken off, the client gets 401
//! ```
//!
//! A body of up to 64 KiB is verified before anything of the request is sent.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::SizeHint;

use super::room::Share;
use super::verdict::State;
use super::{BodyCheck, Mismatch, Payload, PayloadError, Ready, Room, Verdict};

/// How much is read before anything is sent on. The upstream never hears of a wrong body that is no longer.
const READ_AHEAD: u64 = 64 * 1024;

/// A check at work.
#[derive(Debug)]
pub(super) struct Checking {
    check: Box<dyn BodyCheck>,
    ready: Ready,
    share: Share,
    /// What is still to be forwarded, where that is known.
    left: Option<u64>,
    /// The end was reached, and all of it was right.
    passed: bool,
    failed: bool,
}

impl Checking {
    fn new(check: Box<dyn BodyCheck>, share: Share, sent: Option<u64>) -> Self {
        let left = check.length(sent);
        Self { check, ready: Ready::default(), share, left, passed: false, failed: false }
    }

    /// All was forwarded.
    pub(super) fn is_over(&self) -> bool {
        self.passed && self.ready.bytes() == 0
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.passed => SizeHint::with_exact(self.ready.bytes()),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::new(),
        }
    }

    /// The next piece that may be forwarded: the last one not before the end was reached.
    fn next(&mut self) -> Option<Bytes> {
        if self.failed {
            return None;
        }
        let piece = self.ready.next(usize::from(!self.passed))?;
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        Some(piece)
    }

    fn step(&mut self, piece: Option<Bytes>, last: bool) -> Result<(), PayloadError> {
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.check.take(piece, &mut self.ready)?;
        }
        if last {
            self.check.end(&mut self.ready)?;
            self.passed = true;
        }
        if self.share.memory(self.check.held()) { Ok(()) } else { Err(PayloadError::Spool(std::io::Error::other("too much is held already"))) }
    }

    /// Whether to go on reading before anything is sent. Where others hold all the room, what there is goes on its way.
    fn reads_ahead(&mut self) -> bool {
        let bytes = self.check.held().saturating_add(self.ready.bytes());
        !self.passed && bytes < READ_AHEAD && self.share.memory(bytes)
    }
}

impl Payload {
    /// Has the body verified on its way. At most 64 KiB are read here: if the body ends within them, all is known on return.
    /// A longer one streams, with the last piece kept back until the check has seen the end. When that fails, the upstream's
    /// connection is broken off, and no answer of the upstream reaches the client before the check has passed.
    ///
    /// What the check keeps back counts against `room`. To be called once, and not beside [`Payload::hold`].
    pub async fn verify(&mut self, check: impl BodyCheck + 'static, room: &Arc<Room>) -> Result<(), PayloadError> {
        if self.checking.is_some() {
            return Err(Mismatch::of("the body is verified on its way already").into());
        }
        self.checking = Some(Box::new(Checking::new(Box::new(check), Share::new(room, self.client), self.source_hint().exact())));
        while self.checking.as_mut().is_some_and(|checking| checking.reads_ahead()) {
            std::future::poll_fn(|cx| self.poll_step(cx)).await?;
        }
        if self.checking.as_ref().is_some_and(|checking| !checking.passed) {
            self.verdict = Some(Arc::default());
        }
        Ok(())
    }

    /// What becomes of the body, where that is not known yet.
    #[must_use]
    pub fn verdict(&self) -> Option<Arc<Verdict>> {
        self.verdict.clone()
    }

    /// Takes the next piece of the client's body through the check.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PayloadError>> {
        let piece = ready!(self.poll_source(cx)).transpose();
        let last = matches!(piece, Ok(None)) || self.source_ended();
        let Some(checking) = &mut self.checking else { return Poll::Ready(Ok(())) };
        let done =
            if checking.failed { Err(Mismatch::of("the body failed before").into()) } else { piece.and_then(|piece| checking.step(piece, last)) };
        let settled = match &done {
            Ok(()) => checking.passed.then_some(State::Passed),
            Err(error) => {
                checking.failed = true;
                self.progress.note(error);
                Some(State::Failed)
            }
        };
        if let Some(state) = settled
            && let Some(verdict) = self.verdict.take()
        {
            verdict.settle(state);
        }
        Poll::Ready(done)
    }

    pub(super) fn poll_checked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        loop {
            let Some(checking) = &mut self.checking else { return Poll::Ready(None) };
            if let Some(piece) = checking.next() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if checking.passed {
                return Poll::Ready(None);
            }
            if let Err(error) = ready!(self.poll_step(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}
