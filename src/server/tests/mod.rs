//! A real server on real sockets and TLS, with a proxy that is easy to steer.

mod drain;
mod idle;
mod requests;
mod resting;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::conn::Answer;
use super::*;
use crate::inbound;
use crate::inbound::Open;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by path. `/held` waits until it is released, `/endless` never ends, `/tunnel` keeps the connection open.
#[derive(Debug)]
struct Play {
    certificates: Arc<tls::Certificates>,
    /// One permit for each request that has arrived.
    arrived: Semaphore,
    release: Semaphore,
    tunnels: std::sync::Mutex<Vec<Open>>,
    endless: Arc<AtomicUsize>,
    /// One permit for each endless body that was dropped.
    dropped: Arc<Semaphore>,
}

enum PlayBody {
    Text(Option<Bytes>),
    Endless(Arc<Semaphore>),
}

impl Body for PlayBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match &mut *self {
            Self::Text(text) => text.take().map(|text| Ok(Frame::data(text))),
            Self::Endless(_) => Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 100_000])))),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Endless(_) => SizeHint::default(),
        }
    }
}

impl Drop for PlayBody {
    fn drop(&mut self) {
        if let Self::Endless(dropped) = self {
            dropped.add_permits(1);
        }
    }
}

impl Answer for Arc<Play> {
    type Body = PlayBody;

    fn tls(&self) -> tls::Terms {
        self.certificates.terms()
    }

    fn outlives(&self, certificate: &inbound::ClientCertificate) -> bool {
        self.certificates.judge(certificate)
    }

    fn sees_credentials(&self, headers: &http::HeaderMap) -> bool {
        inbound::sends_cookie(headers, "session")
    }

    async fn answer(&self, conn: &Conn, request: Request<Incoming>, head: Result<(), HeadFault>) -> Response<PlayBody> {
        if let Err(fault) = head {
            let mut response = Response::new(PlayBody::Text(None));
            *response.status_mut() = if fault == HeadFault::TooLarge || fault == HeadFault::TooMany {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            };
            return response;
        }
        self.arrived.add_permits(1);
        let mut status = StatusCode::OK;
        let body = match request.uri().path() {
            "/held" => {
                self.release.acquire().await.unwrap().forget();
                PlayBody::Text(Some(Bytes::from_static(b"released")))
            }
            "/endless" => {
                self.endless.fetch_add(1, Ordering::Relaxed);
                PlayBody::Endless(Arc::clone(&self.dropped))
            }
            "/read" => {
                let mut body = request.into_body();
                while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                    piece.unwrap();
                }
                PlayBody::Text(Some(Bytes::from_static(b"read")))
            }
            "/panic" => panic!("on purpose"),
            "/tunnel" => {
                self.tunnels.lock().unwrap().push(conn.open.clone());
                status = StatusCode::SWITCHING_PROTOCOLS;
                PlayBody::Text(None)
            }
            _ => {
                let text = format!("{:?} {} {:?} {:?}", request.version(), conn.sni.as_deref().unwrap_or("-"), conn.peer.ip(), conn.local_port);
                PlayBody::Text(Some(text.into()))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
        }
        response
    }
}

struct Gate {
    https: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
    play: Arc<Play>,
    telemetry: Telemetry,
    shutdown: Option<oneshot::Sender<()>>,
    outcome: JoinHandle<std::io::Result<DrainOutcome>>,
    connector: [TlsConnector; 2],
    _dir: tempfile::TempDir,
}

/// Short enough for tests, long enough for a busy machine.
fn short() -> Limits {
    Limits {
        header_timeout: HumanDuration(Duration::from_millis(400)),
        handshake_timeout: HumanDuration(Duration::from_millis(400)),
        body_timeout: HumanDuration(Duration::from_millis(400)),
        ..Limits::default()
    }
}

/// Long enough that no limit is the reason for anything.
fn long() -> Limits {
    let long = HumanDuration::from_secs(60);
    Limits { header_timeout: long, handshake_timeout: long, body_timeout: long, drain_timeout: long, ..Limits::default() }
}

impl Gate {
    fn start(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = devcerts::make(dir.path(), &[], false).unwrap();
        let settings = tls::Settings {
            certificate: made.certificate,
            private_key: made.private_key,
            min_version: None,
            client_auth: None,
            client_ca: None,
            client_crl: Vec::new(),
            sni: Vec::new(),
        };
        let play = Arc::new(Play {
            certificates: tls::Certificates::load(&settings, &mut Report::default()).unwrap(),
            arrived: Semaphore::new(0),
            release: Semaphore::new(0),
            tunnels: std::sync::Mutex::default(),
            endless: Arc::default(),
            dropped: Arc::new(Semaphore::new(0)),
        });
        let place = vec!["127.0.0.1:0".to_owned()];
        let listen = ListenSettings {
            https: place.clone(),
            http: place.clone(),
            admin: place.first().cloned(),
            public_url: None,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            hsts: String::new(),
        };
        let listeners = Listeners::bind(&listen, &mut Report::default()).unwrap();
        let (https, http, admin) = (listeners.https_addresses()[0], listeners.http_addresses()[0], listeners.admin_address().unwrap());
        let (shutdown, stop) = oneshot::channel();
        let telemetry = Telemetry::without_output();
        let stop = async move {
            let _ = stop.await;
        };
        let outcome = tokio::spawn(serve::serve(listeners, Arc::clone(&play), telemetry.clone(), limits, stop));
        let connector = [b"http/1.1".as_slice(), b"h2"].map(|protocol| connector(&made.ca, protocol));
        Self { https, http, admin, play, telemetry, shutdown: Some(shutdown), outcome, connector, _dir: dir }
    }

    async fn tls(&self, http2: bool) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        self.connector[usize::from(http2)].connect(name, socket).await.unwrap()
    }

    async fn http1(&self) -> Http1 {
        Http1(self.tls(false).await)
    }

    async fn http2(&self) -> Http2 {
        // Streams of their own windows never wait for each other.
        let mut builder = h2::client::Builder::new();
        let (send, connection) = builder.initial_connection_window_size(1 << 24).handshake(self.tls(true).await).await.unwrap();
        Http2 { send: send.ready().await.unwrap(), connection: tokio::spawn(connection.map(drop)) }
    }

    async fn arrived(&self, requests: u32) {
        within(self.play.arrived.acquire_many(requests)).await.unwrap().forget();
    }

    fn stop(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    async fn stopped(self) -> DrainOutcome {
        within(self.outcome).await.unwrap().unwrap()
    }

    async fn admin(&self, path: &str) -> String {
        plain(self.admin, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
    }

    /// Waits until the gate says that it drains.
    async fn draining(&self) {
        within(async { while !self.admin("/readyz").await.starts_with("HTTP/1.1 503") {} }).await;
    }
}

fn connector(ca: &std::path::Path, protocol: &[u8]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// All that comes back over plain TCP until the end.
async fn plain(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    answer
}

struct Http1(TlsStream<TcpStream>);

impl Http1 {
    async fn send(&mut self, path: &str) {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    }

    /// Head and body of one answer with a length.
    async fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.0.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        within(self.0.read_exact(&mut body)).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    async fn get(&mut self, path: &str) -> (String, String) {
        self.send(path).await;
        self.answer().await
    }

    /// Waits for the end of the connection, cleanly or not; returns what came before.
    async fn end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

struct Http2 {
    send: h2::client::SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Http2 {
    fn start(&mut self, path: &str) -> h2::client::ResponseFuture {
        let request = Request::get(format!("https://localhost{path}")).body(()).unwrap();
        self.send.send_request(request, true).unwrap().0
    }

    async fn get(&mut self, path: &str) -> (StatusCode, String) {
        read(self.start(path)).await
    }
}

async fn read(response: h2::client::ResponseFuture) -> (StatusCode, String) {
    let (head, mut body) = within(response).await.unwrap().into_parts();
    let mut text = Vec::new();
    while let Some(piece) = within(body.data()).await {
        text.extend_from_slice(&piece.unwrap());
    }
    (head.status, String::from_utf8(text).unwrap())
}
