//! How long an upstream is waited for.

use std::time::Duration;

use super::upstream::UpstreamError;
use crate::payload::Progress;

/// Waits, for `limit` at a time. A long upload is not a slow answer: the time runs anew while the body moves, and while it is
/// the client's turn (a client that sends nothing has a limit of its own).
pub(super) async fn patiently<T>(limit: Duration, what: impl Future<Output = T>, progress: &Progress) -> Result<T, UpstreamError> {
    let mut what = std::pin::pin!(what);
    let mut seen = (progress.received(), progress.ended());
    loop {
        if let Ok(done) = tokio::time::timeout(limit, what.as_mut()).await {
            return Ok(done);
        }
        let now = (progress.received(), progress.ended());
        if now == seen && !progress.awaits_client() {
            return Err(UpstreamError::TimedOut(limit));
        }
        seen = now;
    }
}
