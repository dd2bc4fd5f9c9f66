//! What a client still sends of a body that nobody reads any more.
//!
//! Over HTTP/2 a request that is answered before its body came is reset, once the answer is sent (RFC 9113 section 8.1). Some
//! clients, curl 7.88 among them, then show an error instead of the answer. A short body is let come, beside the answer.

use std::time::Duration;

use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;

/// The longest body that is let come.
const MOST: u64 = 64 * 1024;
/// And for how long it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads what is left of `body` and throws it away, if it says that this is little.
pub(super) fn discard(body: Incoming) {
    if body.is_end_stream() || body.size_hint().upper().is_none_or(|left| left > MOST) {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let mut body = body;
            let all = async { while let Some(Ok(_)) = body.frame().await {} };
            // Whoever takes longer is reset after all.
            let _ = tokio::time::timeout(PATIENCE, all).await;
        });
    }
}
