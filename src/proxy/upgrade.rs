//! WebSocket tunnels (RFC 6455). The request was authenticated like any other; bytes move only after the application has
//! answered with a 101 that fits the client's key.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::pool::Lease;
use super::upstream::UpstreamError;
use crate::inbound::{Conn, ConnectionOptions, Lines, WantedUpgrade};
use crate::payload::ResponseBody;
use crate::types::unix_now;

/// RFC 6455 section 1.3.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Asks the application for the upgrade that the client wants.
pub(super) fn ask(wanted: &WantedUpgrade, lines: &mut Lines) {
    lines.push(&header::CONNECTION, &HeaderValue::from_static("upgrade"));
    lines.push(&header::UPGRADE, &HeaderValue::from_static("websocket"));
    lines.push(&header::SEC_WEBSOCKET_KEY, &wanted.key);
}

/// Passes the 101 on and starts the tunnel. It ends when either side closes, when nothing moves for `idle_timeout`, and
/// when the credential that opened it expires (`expires`, Unix seconds).
pub(super) fn tunnel(
    conn: &Conn,
    lease: Lease,
    (mut headers, options): (HeaderMap, &ConnectionOptions),
    wanted: WantedUpgrade,
    idle_timeout: Duration,
    expires: Option<i64>,
) -> Result<Response<ResponseBody>, UpstreamError> {
    check(&headers, &wanted.key)?;
    let open = conn.open.clone();
    let lifetime = expires.map(|at| Duration::from_secs(u64::try_from(at.saturating_sub(unix_now())).unwrap_or(0)));
    tokio::spawn(async move {
        let Lease { connection, permit, .. } = lease;
        // Both count as open until the tunnel ends.
        let _held = (open, permit);
        match wanted.client.await {
            Ok(client) => carry(TokioIo::new(client), connection, idle_timeout, lifetime).await,
            Err(error) => tracing::debug!(%error, "a tunnel did not open"),
        }
    });
    options.strip(&mut headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let mut switching = Response::new(ResponseBody::full(bytes::Bytes::new()));
    *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switching.headers_mut() = headers;
    Ok(switching)
}

fn check(headers: &HeaderMap, key: &HeaderValue) -> Result<(), UpstreamError> {
    let upgrade = headers.get(header::UPGRADE).ok_or(UpstreamError::Invalid("its 101 names no protocol"))?;
    if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return Err(UpstreamError::Invalid("its 101 names another protocol than WebSocket"));
    }
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(ACCEPT_GUID).finalize();
    let accepted = headers.get(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == STANDARD.encode(digest).as_bytes());
    if accepted { Ok(()) } else { Err(UpstreamError::Invalid("its Sec-WebSocket-Accept does not fit the client's key")) }
}

async fn carry(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    idle_timeout: Duration,
    lifetime: Option<Duration>,
) {
    let activity = Arc::new(Activity { start: Instant::now(), moved_ms: AtomicU64::new(0) });
    let mut client = Watched { io: client, activity: Arc::clone(&activity) };
    let mut upstream = Watched { io: upstream, activity: Arc::clone(&activity) };
    let expiry = async {
        match lifetime {
            Some(lifetime) => tokio::time::sleep(lifetime).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke");
            }
        }
        () = activity.idle(idle_timeout) => tracing::debug!("a tunnel was idle for too long"),
        () = expiry => tracing::info!("a tunnel ended because its credential has expired"),
    }
}

#[derive(Debug)]
struct Activity {
    start: Instant,
    moved_ms: AtomicU64,
}

impl Activity {
    fn moved(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Resolves when nothing has moved for `timeout`.
    async fn idle(&self, timeout: Duration) {
        loop {
            let deadline = self.start + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)) + timeout;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

struct Watched<T> {
    io: T,
    activity: Arc<Activity>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.activity.moved();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn answer(accept: &str, upgrade: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
        headers.insert(header::UPGRADE, upgrade.parse().unwrap());
        headers
    }

    #[test]
    fn only_a_101_that_fits_the_key_opens_a_tunnel() {
        // The key and its answer stand in RFC 6455 section 1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(check(&answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "WebSocket"), &key).is_ok());
        assert!(check(&answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "h2c"), &key).is_err());
        assert!(check(&answer("AAAALMBiTxaQ9kYGzzhZRbK+xOo=", "websocket"), &key).is_err());
        assert!(check(&HeaderMap::new(), &key).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_when_nothing_moves_and_when_its_credential_expires() {
        for (idle, lifetime, lasts) in [(5, None, 5), (60, Some(7), 7)] {
            let (client, _far_client) = tokio::io::duplex(64);
            let (upstream, _far_upstream) = tokio::io::duplex(64);
            let start = Instant::now();
            carry(client, upstream, Duration::from_secs(idle), lifetime.map(Duration::from_secs)).await;
            assert_eq!(start.elapsed().as_secs(), lasts);
        }
    }

    #[tokio::test]
    async fn a_tunnel_carries_both_ways_until_one_side_closes() {
        let (client, mut far_client) = tokio::io::duplex(64);
        let (upstream, mut far_upstream) = tokio::io::duplex(64);
        let carried = tokio::spawn(carry(client, upstream, Duration::from_secs(60), None));
        far_client.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        far_upstream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
        far_upstream.write_all(b"pong").await.unwrap();
        far_client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"pong");
        drop((far_client, far_upstream));
        carried.await.unwrap();
    }
}
