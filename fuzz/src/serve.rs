//! A real server at one end of a pipe: the only way to a request that the product can take.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use doorward::inbound::{Cleaning, Conn, HeadFault, Inbound, Open, Peer, ReservedNames, Unclean};
use doorward::payload::PayloadLimits;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::heads::Followed;

/// The longest body that is read.
const MAX_BODY: u64 = 64 << 10;

/// The runtime of the requests: one thread, so that a failing input fails alike each time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// What is known of the client.
pub(crate) fn conn() -> Conn {
    Conn::new(Peer::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, 4711))), Some(443), None, 0, Open::default())
}

/// Cleans a request as the product does. `head`: what was found in its bytes.
pub(crate) fn clean(request: Request<Incoming>, head: Result<(), HeadFault>) -> Result<Inbound, Unclean> {
    head?;
    static CLEANING: OnceLock<Cleaning> = OnceLock::new();
    let cleaning = CLEANING.get_or_init(|| Cleaning {
        reserved: Arc::new(ReservedNames::new([HeaderName::from_static("x-also-ours")], &[])),
        max_headers: 100,
        payload: PayloadLimits { max_bytes: MAX_BODY, timeout: Duration::ZERO },
        trusted_proxies: Vec::new(),
    });
    Inbound::clean(request, &conn(), cleaning)
}

/// Sends `raw` over HTTP/1 and shows each request that the server makes of it to `each`, with its number and what was found in
/// its bytes. After one that is refused for its bytes the connection ends.
pub(crate) fn http1(raw: &[u8], each: impl AsyncFn(usize, Request<Incoming>, Result<(), HeadFault>)) {
    let (client, server) = tokio::io::duplex(16 << 10);
    let (server, verdicts) = Followed::new(server);
    let number = std::cell::Cell::new(0);
    let service = service_fn(|request| {
        let (each, at, head) = (&each, number.replace(number.get() + 1), verdicts.borrow_mut().next());
        async move {
            each(at, request, head).await;
            let mut response = Response::new(Full::new(Bytes::new()));
            if head.is_err() {
                response.headers_mut().insert("connection", HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    block_on(async {
        let (mut answers, mut requests) = tokio::io::split(client);
        // Half-closed as it will be, the connection still serves what came before the end.
        let serving = hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        let sending = async {
            // The server may refuse to read on; then the rest is lost, as it should be.
            let _ = requests.write_all(raw).await;
            let _ = requests.shutdown().await;
        };
        let mut sink = Vec::new();
        let (_served, (), _read) = tokio::join!(serving, sending, answers.read_to_end(&mut sink));
    });
}

/// Sends `request` over HTTP/2 and returns what the server made of it, if it took it.
pub(crate) fn http2(request: Request<Full<Bytes>>) -> Option<Request<Incoming>> {
    let (send, taken) = std::sync::mpsc::channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let sent = send.send(request).map_err(|_| std::io::Error::other("nobody waits"));
        async move { sent.map(|()| Response::new(Full::new(Bytes::new()))) }
    });
    block_on(async {
        let (client_io, server) = tokio::io::duplex(64 << 10);
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(server), service);
        let asking = async {
            let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            let (mut sender, connection) = client.handshake(TokioIo::new(client_io)).await.unwrap();
            let connection = tokio::spawn(connection);
            let _ = sender.send_request(request).await;
            drop(sender);
            let _ = connection.await;
        };
        let (_served, ()) = tokio::join!(serving, asking);
    });
    taken.try_recv().ok()
}
