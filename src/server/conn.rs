//! One connection: handshake under a deadline, HTTP/1.1 or HTTP/2 by ALPN, one call of the proxy per request.
//!
//! hyper's own timers are not used: the worker's watchlist ends connections without a request in flight, whatever they send
//! or do not send meanwhile (half a preface, half a frame, half a head), and the socket ends those that read too slowly.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Limits;
use super::control::{Control, Order};
use super::flight::{Streams, Tracked};
use super::socket::{Accepted, Paced};
use crate::inbound::{ClientCertificate, Conn, Open};
use crate::telemetry::{AccessEntry, Telemetry};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Streams that one HTTP/2 client may have open.
const MAX_STREAMS: u32 = 128;
/// What one stream's client may send before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is kept of one stream's response while its client does not take it.
const SEND_BUFFER: usize = 64 * 1024;
/// The code of a head with too many or too long lines, in the log and the metrics.
const TOO_LARGE: &str = "headers_too_large";
/// Read and write buffers of an HTTP/1.1 connection.
const BUFFER: usize = 128 * 1024;

/// Whoever answers requests. There is one: the world. Tests have others.
pub(super) trait Answer: Send + Sync + 'static {
    /// The responses' bodies.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static;

    /// The certificates and protocols for the next handshake.
    fn tls(&self) -> Arc<ServerConfig>;

    /// Whether these headers, sent in the clear, hold a credential.
    fn sees_credentials(&self, headers: &HeaderMap) -> bool;

    /// Answers one request.
    fn answer(&self, conn: &Conn, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Shared<A> {
    pub(super) answer: A,
    pub(super) limits: Limits,
    pub(super) telemetry: Telemetry,
    /// Whether clients are told not to send another request.
    pub(super) draining: AtomicBool,
}

/// Serves a connection to its end. Never fails; a panic is counted.
pub(super) async fn serve<A: Answer>(accepted: Accepted, open: Open, worker: usize, control: Arc<Control>, shared: Arc<Shared<A>>) {
    let telemetry = shared.telemetry.clone();
    if AssertUnwindSafe(run(accepted, open, worker, control, shared)).catch_unwind().await.is_err() {
        telemetry.panicked();
    }
}

async fn run<A: Answer>(accepted: Accepted, open: Open, worker: usize, control: Arc<Control>, shared: Arc<Shared<A>>) {
    let Accepted { socket, peer, local_port } = accepted;
    let limits = &shared.limits;
    let socket = match Paced::new(socket, limits.body_timeout.0, control.traffic()) {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, "an accepted connection could not be served"),
    };
    let handshake = TlsAcceptor::from(shared.answer.tls()).accept(socket);
    let tls = match tokio::time::timeout(limits.handshake_timeout.0, handshake).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return tracing::debug!(?peer, %error, "the TLS handshake failed"),
        Err(_) => return tracing::debug!(?peer, "the TLS handshake took too long"),
    };
    let session = tls.get_ref().1;
    let sni = session.server_name().map(|name| name.to_ascii_lowercase().into());
    let http2 = session.alpn_protocol() == Some(b"h2");
    let mut conn = Conn::new(peer, local_port, sni, worker, open);
    conn.client_certificate = session.peer_certificates().and_then(<[_]>::first).map(|der| ClientCertificate::new(der));
    let conn = Arc::new(conn);
    control.set_ready(http2);
    let ended = if http2 { http2_conn(tls, &conn, &control, &shared).await } else { http1_conn(tls, &conn, &control, &shared).await };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            if let Some((status, code)) = refused_head(&error) {
                record(&shared.telemetry, &conn, "HTTP/1.1", (status, code), Some(error.to_string()));
            }
            tracing::debug!(peer = ?conn.peer, %error, "the connection broke");
        }
        None => tracing::debug!(peer = ?conn.peer, "the connection was idle or slow and was ended"),
    }
}

type Io = TokioIo<TlsStream<Paced>>;
type Ended = Option<hyper::Result<()>>;

async fn http1_conn<A: Answer>(tls: TlsStream<Paced>, conn: &Arc<Conn>, control: &Arc<Control>, shared: &Arc<Shared<A>>) -> Ended {
    let head = usize::try_from(shared.limits.max_header_bytes.0).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The watchlist limits the time for a head; a timer per request would cost more and do the same.
        .header_read_timeout(None::<Duration>)
        .max_header_size(head)
        .max_buf_size(BUFFER.max(head));
    if shared.limits.max_headers != 100 {
        // hyper's own limit, 100, comes without an allocation per request.
        builder.max_headers(shared.limits.max_headers);
    }
    let (conn, requests, shared) = (Arc::clone(conn), Arc::clone(control), Arc::clone(shared));
    let service = service_fn(move |request| {
        let in_flight = requests.begin();
        let (conn, shared) = (Arc::clone(&conn), Arc::clone(&shared));
        async move {
            let mut response = shared.answer.answer(&conn, request).await;
            if shared.draining.load(Ordering::Relaxed) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Tracked::new(Some(body), in_flight, None)))
        }
    });
    let served = builder.serve_connection(Io::new(tls), service).with_upgrades();
    obey(served, control, http1::UpgradeableConnection::graceful_shutdown).await
}

async fn http2_conn<A: Answer>(tls: TlsStream<Paced>, conn: &Arc<Conn>, control: &Arc<Control>, shared: &Arc<Shared<A>>) -> Ended {
    let streams = Streams::new(shared.telemetry.clone(), shared.limits.body_timeout.0);
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(shared.limits.max_header_bytes.0).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let (conn, requests, shared) = (Arc::clone(conn), Arc::clone(control), Arc::clone(shared));
    let service = service_fn(move |request: Request<Incoming>| {
        let in_flight = requests.begin();
        let progress = streams.begin();
        let (conn, shared) = (Arc::clone(&conn), Arc::clone(&shared));
        async move {
            let response = if request.headers().len() > shared.limits.max_headers {
                // RFC 6585 section 5; over HTTP/1.1 hyper does the same.
                record(&shared.telemetry, &conn, "HTTP/2.0", (431, TOO_LARGE), None);
                too_many_headers()
            } else {
                shared.answer.answer(&conn, request).await.map(Some)
            };
            Ok::<_, Infallible>(response.map(|body| Tracked::new(body, in_flight, Some(progress))))
        }
    });
    let served = builder.serve_connection(Io::new(tls), service);
    obey(served, control, http2::Connection::graceful_shutdown).await
}

/// What hyper itself answered before there was a request: it could not read the head, or would not.
fn refused_head(error: &hyper::Error) -> Option<(u16, &'static str)> {
    if error.is_parse_too_large() {
        return Some((431, TOO_LARGE));
    }
    error.is_parse().then_some((400, "malformed_request"))
}

/// Counts and logs a request whose head was refused here. Its method and path are not known, or not to be relied on.
fn record(telemetry: &Telemetry, conn: &Conn, protocol: &'static str, (status, code): (u16, &'static str), cause: Option<String>) {
    telemetry.record(AccessEntry {
        started: Instant::now(),
        request_id: String::new(),
        peer: conn.peer.address(),
        protocol,
        method: Method::from_bytes(b"-").unwrap_or_default(),
        host: String::new(),
        path: String::new(),
        route: None,
        scheme: None,
        user: None,
        code,
        cause,
        status,
        bytes_in: 0,
        bytes_out: 0,
        auth: Duration::ZERO,
        upstream: Duration::ZERO,
        broken: false,
    });
}

fn too_many_headers<B>() -> Response<Option<B>> {
    let mut response = Response::new(None);
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    *response.version_mut() = Version::HTTP_2;
    response
}

/// Runs a connection and does what its worker orders. `None` if it was killed.
async fn obey<C>(served: C, control: &Control, finish: impl Fn(Pin<&mut C>)) -> Ended
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut served = pin!(served);
    poll_fn(|cx| {
        match control.take_order(cx.waker()) {
            Some(Order::Kill) => return Poll::Ready(None),
            Some(Order::Finish) => finish(served.as_mut()),
            None => {}
        }
        served.as_mut().poll(cx).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// How a connection ended on which these bytes came, and the first line of what was answered.
    async fn ended(bytes: &[u8]) -> (Option<(u16, &'static str)>, String) {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(bytes).await.unwrap();
        let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None::<Duration>).max_header_size(8192);
        if !bytes.ends_with(b"\r\n\r\n") {
            far.shutdown().await.unwrap();
        }
        let served = builder.serve_connection(TokioIo::new(near), service).await;
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        (served.err().as_ref().and_then(refused_head), answer.lines().next().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn a_head_that_hyper_refused_is_known_by_its_status() {
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9000));
        for (bytes, known, line) in [
            ("GET / HTTP/1.1\r\nx y: 1\r\n\r\n", Some((400, "malformed_request")), "HTTP/1.1 400 Bad Request"),
            (&large, Some((431, TOO_LARGE)), "HTTP/1.1 431 Request Header Fields Too Large"),
            ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", None, "HTTP/1.1 200 OK"),
            ("GET / HT", None, ""),
        ] {
            let (status, answer) = ended(bytes.as_bytes()).await;
            assert_eq!((status, answer.as_str()), (known, line), "{:?}", bytes.get(..20));
        }
    }
}
