//! Bodies. A body that a signature covers is read once, under a limit: the bytes verified are the bytes forwarded.

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Longer than allowed: 413.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// The client stopped sending: 408.
    #[error("the client stopped sending the body")]
    TimedOut,
    /// The connection broke, or the framing is wrong: 400.
    #[error("the body could not be read: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The temporary file failed: 503.
    #[error("the body could not be spooled: {0}")]
    Spool(#[source] std::io::Error),
}

/// A request body on its way to the upstream.
#[derive(Debug)]
pub struct Payload {}

impl Payload {
    /// Whether the request has no body at all (as opposed to one of unknown or zero length that is still to come).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// Reads the whole body, at most `limit` bytes, and shows each piece to `each` in order; afterwards the same bytes
    /// are forwarded. Up to 1 MiB stays in memory, more goes to an unlinked temporary file. May be called again.
    /// Returns the body's length.
    pub async fn hold(&mut self, limit: u64, mut each: impl FnMut(&[u8])) -> Result<u64, PayloadError> {
        let _ = limit;
        each(&[]);
        todo!()
    }
}

/// The body of a response to a client.
#[derive(Debug)]
pub struct ResponseBody {}

impl http_body::Body for ResponseBody {
    type Data = bytes::Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        todo!()
    }
}
