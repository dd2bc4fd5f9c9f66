//! How long an upstream is waited for.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::upstream::UpstreamError;
use crate::payload::Progress;

/// A timer that goes from one request to the next: mostly it stands for an earlier one still, and is set anew when that
/// has come. To set it for each request would cost more than all the rest of the waiting. Until then it keeps the task that it
/// would wake, and wakes it for nothing: one for each connection that is kept.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready from `deadline` on.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            // What is waited for may have done as much as a task may do in one go. Time passes all the same.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Waits, for `limit` at a time. A long upload is not a slow answer: the time runs anew while the body moves, and while it is
/// the client's turn (a client that sends nothing has a limit of its own).
pub(super) async fn patiently<T>(timer: &mut Timer, limit: Duration, what: impl Future<Output = T>, progress: &Progress) -> Result<T, UpstreamError> {
    let mut what = pin!(what);
    let mut seen = (progress.received(), progress.ended());
    let mut deadline = None;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = what.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        loop {
            ready!(timer.poll(cx, *deadline.get_or_insert_with(|| Instant::now() + limit)));
            let now = (progress.received(), progress.ended());
            if now == seen && !progress.awaits_client() {
                return Poll::Ready(Err(UpstreamError::TimedOut(limit)));
            }
            (seen, deadline) = (now, None);
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_request_of_a_connection_has_all_of_the_time() {
        let (mut timer, limit, progress) = (Timer::default(), Duration::from_millis(500), Progress::default());
        let start = Instant::now();
        for _ in 0..3 {
            let answered = patiently(&mut timer, limit, tokio::time::sleep(Duration::from_millis(300)), &progress).await;
            assert!(answered.is_ok());
        }
        let silent = patiently(&mut timer, limit, std::future::pending::<()>(), &progress).await;
        assert!(matches!(silent, Err(UpstreamError::TimedOut(time)) if time == limit));
        assert_eq!(start.elapsed(), Duration::from_millis(3 * 300 + 500));
        assert!(patiently(&mut timer, limit, std::future::ready(()), &progress).await.is_ok(), "whatever became of the last one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_stands_for_an_earlier_request_wakes_for_the_next_one_in_its_own_time() {
        let (mut timer, start) = (Timer::default(), Instant::now());
        let seconds = Duration::from_secs;
        for (deadline, cut_off) in [(5, 1), (7, 6), (9, 100), (8, 100), (30, 100)] {
            let deadline = (start + seconds(deadline)).max(Instant::now());
            let waited = tokio::time::timeout_at(start + seconds(cut_off), std::future::poll_fn(|cx| timer.poll(cx, deadline))).await;
            assert_eq!(waited.is_ok(), deadline < start + seconds(cut_off));
            assert_eq!(Instant::now(), deadline.min(start + seconds(cut_off)));
        }
    }
}
