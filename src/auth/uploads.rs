//! Signatures whose bodies are being read at this moment.
//!
//! A signature is remembered as used once its body has been verified, and until its time window is over. A body may take
//! longer than that to arrive. Without this set, two copies of one request, begun within the window and dripped past its end,
//! would find the memory already emptied, and both be let in.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::types::{Digest, DigestSet};

/// The set. As long as the requests that are being read.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<DigestSet>);

/// One request that is being read; leaves the set when dropped.
#[derive(Debug)]
struct Upload<'a> {
    all: &'a Uploads,
    signature: Digest,
}

impl Uploads {
    /// Reads a body to its end; `None` if a request with this signature is being read already: its body, or a part of it, is gone then. A body
    /// that is there as a whole is read without a note of it: nothing is waited for, and of copies that were read the memory lets
    /// in the first.
    pub(super) async fn during<T>(&self, signature: [u8; 32], mut reading: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        if self.holds(signature) {
            return None;
        }
        let begun = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
        if let Poll::Ready(read) = begun {
            return Some(read);
        }
        let _upload = self.enter(signature)?;
        Some(reading.await)
    }

    fn holds(&self, signature: [u8; 32]) -> bool {
        let all = self.lock();
        !all.is_empty() && all.contains(&Digest(signature))
    }

    /// `None` if a request with this signature is being read already.
    fn enter(&self, signature: [u8; 32]) -> Option<Upload<'_>> {
        let signature = Digest(signature);
        let new = self.lock().insert(signature);
        // Made only when new: dropping it would free the place of the one inside.
        new.then(|| Upload { all: self, signature })
    }

    /// A panic elsewhere cannot leave the set half changed.
    fn lock(&self) -> MutexGuard<'_, DigestSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.signature);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use super::*;

    async fn polled<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Poll<T> {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    #[test]
    fn a_signature_is_read_by_one_request_at_a_time() {
        let uploads = Uploads::default();
        let first = uploads.enter([1; 32]);
        assert!(first.is_some());
        assert!(uploads.enter([1; 32]).is_none());
        assert!(uploads.enter([2; 32]).is_some(), "another signature is not held up");
        drop(first);
        assert!(uploads.enter([1; 32]).is_some());
    }

    #[tokio::test]
    async fn while_a_body_is_awaited_no_copy_of_it_is_read_and_afterwards_one_may_be() {
        let uploads = Uploads::default();
        let (end, body) = tokio::sync::oneshot::channel();
        let body = pin!(body);
        let mut first = Box::pin(uploads.during([1; 32], body));
        assert!(polled(&mut first).await.is_pending());
        assert_eq!(uploads.during([1; 32], pin!(async { 1 })).await, None, "though it is there as a whole");
        assert_eq!(uploads.during([1; 32], pin!(pending::<i32>())).await, None);
        assert_eq!(uploads.during([2; 32], pin!(async { 2 })).await, Some(2), "another one");
        end.send(3).unwrap();
        assert_eq!(first.await, Some(Ok(3)));
        assert_eq!(uploads.during([1; 32], pin!(async { 4 })).await, Some(4));
    }

    #[tokio::test]
    async fn a_body_that_is_given_up_frees_its_place() {
        let uploads = Uploads::default();
        let body = pin!(pending::<()>());
        let mut first = Box::pin(uploads.during([1; 32], body));
        assert!(polled(&mut first).await.is_pending());
        drop(first);
        assert_eq!(uploads.during([1; 32], pin!(async {})).await, Some(()));
    }

    #[tokio::test]
    async fn of_two_copies_that_began_to_be_read_together_one_goes_on() {
        let uploads = Uploads::default();
        let body = pin!(pending::<()>());
        let mut first = Box::pin(uploads.during([1; 32], body));
        let body = pin!(async {
            assert!(polled(&mut first).await.is_pending());
            pending::<()>().await;
        });
        assert_eq!(uploads.during([1; 32], body).await, None);
    }

    #[test]
    fn a_request_that_was_refused_entry_does_not_free_the_place_of_the_one_inside() {
        let uploads = Uploads::default();
        let _first = uploads.enter([1; 32]);
        drop(uploads.enter([1; 32]));
        assert!(uploads.enter([1; 32]).is_none());
    }
}
