//! How slowly a body may come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Least that must arrive in each `body_timeout` while a body is awaited.
const WINDOW_BYTES: u64 = 1024;

/// Notices a client that drips: armed when a body is awaited, disarmed when enough has come.
#[derive(Debug, Default)]
pub(super) struct Window {
    arrived: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Window {
    pub(super) fn arrived(&mut self, bytes: u64) {
        self.arrived = self.arrived.saturating_add(bytes);
        // A timer that ran out while nobody asked for the body (the upstream was busy) says nothing about the client.
        if self.arrived >= WINDOW_BYTES || self.timer.as_ref().is_some_and(|timer| timer.is_elapsed() || timer.deadline() <= Instant::now()) {
            self.arrived = 0;
            self.timer = None;
        }
    }

    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>, timeout: Duration) -> Poll<()> {
        if timeout.is_zero() {
            return Poll::Pending;
        }
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout))).as_mut().poll(cx)
    }
}
