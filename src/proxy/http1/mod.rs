//! HTTP/1.1 towards an application (RFC 9112): one exchange at a time on a connection, in the task of the request itself.
//!
//! ```text
//! Outgoing ── head, body ──▶ Connection ── inbox ──▶ Head ──▶ Decoder ──▶ Answer
//! ```
//!
//! What it never does: read an answer whose end could be seen in two places, take a broken answer for a whole one, or use a
//! connection again on which anything else than one whole exchange has passed.

mod answer;
mod connection;
mod decoder;
mod head;
mod outgoing;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use http::Method;

pub(super) use answer::read as read_answer;
pub(super) use connection::Connection;
pub(super) use head::Head;
pub(super) use outgoing::Outgoing;

/// Why an exchange came to no good end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The application closed it too early.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// What came is no answer, or could be read in two ways.
    #[error("{0}")]
    Malformed(&'static str),
    /// The body of the request did not come to its end: the client's fault, or ours.
    #[error("the request's body ended before its time")]
    Body,
}

/// Sends the request and reads the head of the answer, which may come before the request is sent. Nothing is lost when it is
/// polled no more, and it may be called again with another connection while [`Outgoing::is_untouched`].
pub(super) async fn exchange(connection: &mut Connection, outgoing: &mut Outgoing, method: &Method) -> Result<Head, Fault> {
    let mut refused = None;
    poll_fn(|cx| {
        if refused.is_none()
            && let Poll::Ready(Err(fault)) = connection.poll_send(cx, outgoing)
        {
            // Nobody answers a body that broke off; who does not want to read one may have said so before.
            if matches!(fault, Fault::Body) || outgoing.is_untouched() {
                return Poll::Ready(Err(fault));
            }
            outgoing.abandon();
            refused = Some(fault);
        }
        connection.poll_head(cx, method).map(|head| match (head, refused.take()) {
            (Ok(head), Some(_)) => Ok(Head { keeps: false, ..head }),
            (Err(_), Some(fault)) => Err(fault),
            (head, None) => head,
        })
    })
    .await
}
