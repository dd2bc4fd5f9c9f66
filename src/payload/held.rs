//! A body that is held also where it is verified on its way: for whoever signs it anew.

use std::sync::Arc;

use super::spool::Spool;
use super::{Payload, PayloadError, Room, Source};

impl Payload {
    /// Like [`Payload::hold`], also for a body that [`Payload::verify`] looks at: it is read to its end, and was right. Returns its length.
    pub async fn hold_verified(&mut self, limit: u64, room: &Arc<Room>) -> Result<u64, PayloadError> {
        let Some(checking) = &self.checking else { return self.hold(limit, room, |_| {}).await };
        let limit = limit.min(self.limits.max_bytes);
        if checking.size_hint().lower() > limit {
            return Err(PayloadError::TooLarge(limit));
        }
        let mut spool = Spool::new(room, self.client);
        while let Some(piece) = std::future::poll_fn(|cx| self.poll_checked(cx)).await {
            let piece = piece?;
            if spool.len().saturating_add(piece.len() as u64) > limit {
                return Err(PayloadError::TooLarge(limit));
            }
            spool.push(piece, false).await.map_err(PayloadError::Spool)?;
        }
        spool.rewind().await.map_err(PayloadError::Spool)?;
        let len = spool.len();
        self.checking = None;
        self.source = if len == 0 { Source::Empty } else { Source::Held(spool) };
        Ok(len)
    }
}
