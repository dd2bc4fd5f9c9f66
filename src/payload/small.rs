//! Answers of other servers, which are small.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::PayloadError;

/// Reads a small body whole, at most `limit` bytes: for answers of other servers, never for a client's request.
pub async fn read_small(mut body: Incoming, limit: usize) -> Result<Bytes, PayloadError> {
    let mut all = bytes::BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| PayloadError::Broken(Box::new(error)))?.into_data() {
            if all.len() + data.len() > limit {
                return Err(PayloadError::TooLarge(limit as u64));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(all.freeze())
}
