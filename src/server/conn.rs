//! One connection: handshake under a deadline, HTTP/1.1 or HTTP/2 by ALPN, one call of the proxy per request.
//!
//! hyper's own timers are not used: the worker's watchlist ends connections without a request in flight, whatever they send
//! or do not send meanwhile (half a preface, half a frame, half a head), and the socket ends those that read too slowly.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Limits;
use super::control::{Control, Order};
use super::failures::{self, Failure, Failures};
use super::flight::{Streams, Tracked};
use super::frames::{Begun, Frames};
use super::inspect::{self, Inspected, Verdict};
use super::obey::{Obeyed, Rested, obey, rest};
use super::socket::{Accepted, Paced};
use super::tls::Terms;
use crate::inbound::{ClientCertificate, Conn, HeadFault, Open};
use crate::payload::rousable;
use crate::telemetry::Telemetry;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Streams that one HTTP/2 client may have open.
const MAX_STREAMS: u32 = 128;
/// What one stream's client may send before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is kept of one stream's response while its client does not take it.
const SEND_BUFFER: usize = 64 * 1024;
/// How often longer than the limit a head may be that the HTTP/2 library reads nevertheless: so that it is answered and logged
/// like any other request.
const HEAD_MARGIN: u64 = 4;
/// Read and write buffers of an HTTP/1.1 connection.
const BUFFER: usize = 128 * 1024;

/// Whoever answers requests. There is one: the world. Tests have others.
pub(super) trait Answer: Send + Sync + 'static {
    /// The responses' bodies.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static;

    /// The certificates and protocols for the next handshake.
    fn tls(&self) -> Terms;

    /// Judges the certificate of a connection anew. Whether the connection should not go on after this request.
    fn outlives(&self, certificate: &ClientCertificate) -> bool;

    /// Whether these headers, sent in the clear, hold a credential.
    fn sees_credentials(&self, headers: &HeaderMap) -> bool;

    /// Answers one request. `head`: what was found in its bytes before they were parsed.
    fn answer(&self, conn: &Conn, request: Request<Incoming>, head: Result<(), HeadFault>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Shared<A> {
    pub(super) answer: A,
    pub(super) limits: Limits,
    pub(super) telemetry: Telemetry,
    pub(super) failures: Arc<Failures>,
    /// How many connections hold no more than TLS needs.
    pub(super) resting: Arc<AtomicUsize>,
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
    // What only a handshake, or only HTTP/2, needs is on the heap: an idle connection does not hold it.
    let terms = shared.answer.tls();
    let handshake = Box::pin(TlsAcceptor::from(terms.config()).accept(socket).into_fallible());
    let tls = match tokio::time::timeout(limits.handshake_timeout.0, handshake).await {
        Ok(Ok(tls)) => Box::new(tls),
        Ok(Err((error, socket))) => {
            let failure = Failure::of_handshake(&error);
            shared.failures.count(failure);
            tracing::debug!(?peer, %error, "the TLS handshake failed");
            if failure == Failure::ClientCertificate {
                Box::pin(part(socket)).await;
            }
            return;
        }
        Err(_) => {
            shared.failures.count(Failure::HandshakeTimeout);
            return tracing::debug!(?peer, "the TLS handshake took too long");
        }
    };
    let session = tls.get_ref().1;
    let sni = session.server_name().map(|name| name.to_ascii_lowercase().into());
    let http2 = session.alpn_protocol() == Some(b"h2");
    let mut conn = Conn::new(peer, local_port, sni, worker, open);
    conn.client_certificate = terms.certificate(session).map(Arc::new);
    drop(terms);
    let conn = Arc::new(conn);
    control.set_ready(http2);
    let ended = if http2 {
        Box::pin(http2_conn(tls, &conn, &control, &shared)).await
    } else {
        rousable(pin!(http1_conn(tls, &conn, &control, &shared))).await
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => failures::broke(&shared.failures, &shared.telemetry, &conn, http2, &error),
        None => {
            shared.failures.count(Failure::Idle);
            tracing::debug!(peer = ?conn.peer, "the connection was idle or slow and was ended");
        }
    }
}

/// Lets a client read why it was refused: it may have sent its first request already, and to close the socket before that was
/// read would take the answer back.
async fn part(mut socket: Paced) {
    const LONGEST: Duration = Duration::from_secs(1);
    const MOST: usize = 64;
    let reads = async {
        socket.shutdown().await?;
        let mut buffer = [0; 1024];
        for _ in 0..MOST {
            if socket.read(&mut buffer).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LONGEST, reads).await;
}

type Tls = Box<TlsStream<Paced>>;
/// `None` if it was killed.
type Ended = Option<Result<(), (Failure, hyper::Error)>>;

async fn http1_conn<A: Answer>(tls: Tls, conn: &Arc<Conn>, control: &Arc<Control>, shared: &Arc<Shared<A>>) -> Ended {
    let head = usize::try_from(shared.limits.max_header_bytes.0).unwrap_or(usize::MAX);
    let builder = http1_builder(&shared.limits);
    let verdict = Arc::new(Verdict::default());
    let mut io = TokioIo::new(Inspected::new(tls, inspect::Http1::new(head, Arc::clone(&verdict))));
    let (requests, all) = (Arc::clone(control), Arc::new((Arc::clone(conn), Arc::clone(shared), Arc::clone(&verdict))));
    let mut service = service_fn(move |request| {
        let (in_flight, all) = (requests.begin(), Arc::clone(&all));
        let head = all.2.next();
        // hyper keeps the place of a request's future while there is none: let that be a pointer. The memory comes first, so that
        // the future is made in it: it is 5 KiB long, nearly all of it unused yet, and would be copied there as a whole.
        let place = Box::new_uninit();
        Box::into_pin(Box::write(place, async move {
            let (conn, shared, verdict) = &*all;
            let leaves = leaves(&shared.answer, conn);
            let mut response = shared.answer.answer(conn, request, head).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                verdict.becomes_tunnel();
            } else if leaves || shared.draining.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Tracked::new(Some(body), in_flight, None)))
        }))
    });
    loop {
        let mut served = builder.serve_connection(io, service).with_upgrades();
        let may_rest = || control.is_idle() && verdict.is_between_requests();
        match obey(Pin::new(&mut served), control, http1::UpgradeableConnection::graceful_shutdown, || {}, may_rest).await {
            Obeyed::Ended(ended) => return Some(ended.map_err(|error| (Failure::of(&error, false), error))),
            Obeyed::Killed => return None,
            Obeyed::Resting => {}
        }
        // hyper's buffers and its memory of the last head go; what TLS needs stays.
        let Some(parts) = served.into_parts().filter(|parts| parts.read_buf.is_empty()) else { return Some(Ok(())) };
        let mut stream = parts.io.into_inner();
        match rest(stream.get_ref(), control, &shared.resting).await {
            Rested::Asked => {}
            Rested::Finished => {
                // Whether the goodbye arrived changes nothing.
                let _ = stream.shutdown().await;
                return Some(Ok(()));
            }
            Rested::Killed => return None,
        }
        (io, service) = (TokioIo::new(stream), parts.service);
    }
}

/// How HTTP/1.1 is read.
pub(super) fn http1_builder(limits: &Limits) -> http1::Builder {
    let head = usize::try_from(limits.max_header_bytes.0).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The watchlist limits the time for a head; a timer per request would cost more and do the same.
        .header_read_timeout(None::<Duration>)
        .max_header_size(head)
        .max_buf_size(BUFFER.max(head));
    if limits.max_headers != 100 {
        // hyper's own limit, 100, comes without an allocation per request.
        builder.max_headers(limits.max_headers);
    }
    builder
}

async fn http2_conn<A: Answer>(tls: Tls, conn: &Arc<Conn>, control: &Arc<Control>, shared: &Arc<Shared<A>>) -> Ended {
    let longest = shared.limits.max_header_bytes.0;
    let streams = Streams::new(shared.telemetry.clone(), shared.limits.body_timeout.0);
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(longest.saturating_mul(HEAD_MARGIN)).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let begun = Arc::new(Begun::default());
    let io = TokioIo::new(Inspected::new(tls, Frames::new(longest, Arc::clone(&begun))));
    let (requests, handed_out, all) = (Arc::clone(control), Arc::clone(&begun), Arc::new((Arc::clone(conn), Arc::clone(shared))));
    let service = service_fn(move |request: Request<Incoming>| {
        let (in_flight, progress, all, orders) = (requests.begin(), streams.begin(), Arc::clone(&all), Arc::clone(&requests));
        handed_out.handed_out();
        async move {
            let (conn, shared) = &*all;
            let head = within_limits(&request, &shared.limits);
            if leaves(&shared.answer, conn) {
                orders.give(Order::Finish);
            }
            let response = shared.answer.answer(conn, request, head).await;
            Ok::<_, Infallible>(response.map(|body| Tracked::new(Some(body), in_flight, Some(progress))))
        }
    });
    let served = builder.serve_connection(io, service);
    let look = || {
        if let Some(missing) = begun.refused() {
            failures::refused(&shared.telemetry, conn, missing);
        }
    };
    match obey(pin!(served), control, http2::Connection::graceful_shutdown, look, || false).await {
        Obeyed::Ended(ended) => Some(ended.map_err(|error| (Failure::of(&error, begun.long_head()), error))),
        Obeyed::Killed | Obeyed::Resting => None,
    }
}

/// Whether the client's certificate has ended, or will soon: another connection will show the next one.
fn leaves<A: Answer>(answer: &A, conn: &Conn) -> bool {
    conn.client_certificate.as_deref().is_some_and(|certificate| answer.outlives(certificate))
}

/// RFC 6585 section 5. Over HTTP/1.1 hyper holds the same limits.
fn within_limits<B>(request: &Request<B>, limits: &Limits) -> Result<(), HeadFault> {
    if request.headers().len() > limits.max_headers {
        return Err(HeadFault::TooMany);
    }
    if list_size(request) > limits.max_header_bytes.0 { Err(HeadFault::TooLarge) } else { Ok(()) }
}

/// The size of a head as HTTP/2 counts it (RFC 9113 section 6.5.2).
fn list_size<B>(request: &Request<B>) -> u64 {
    const OVERHEAD: usize = 32;
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let pseudo = ":method:scheme:path:authority".len() + "https".len() + request.method().as_str().len() + path + authority + 4 * OVERHEAD;
    let fields = request.headers().iter().fold(0_usize, |size, (name, value)| size.saturating_add(name.as_str().len() + value.len() + OVERHEAD));
    u64::try_from(pseudo.saturating_add(fields)).unwrap_or(u64::MAX)
}
