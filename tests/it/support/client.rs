//! Clients: well-behaved ones over HTTP/1.1 and HTTP/2, and a raw one that may send any bytes.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::setup::HOST;
use super::within;

/// Why a body ended early.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// Any request body.
pub type Body = BoxBody<Bytes, BodyError>;

/// The protocol to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proto {
    H1,
    H2,
}

/// Both protocols, for loops.
pub const BOTH: [Proto; 2] = [Proto::H1, Proto::H2];

/// A request to be sent on a connection of its own.
#[derive(Clone)]
pub struct Call {
    address: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
    sni: String,
    authority: String,
    proto: Proto,
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// A connection on which requests can be sent.
pub enum Sender {
    H1(hyper::client::conn::http1::SendRequest<Body>),
    H2(hyper::client::conn::http2::SendRequest<Body>),
}

impl Call {
    pub fn new(address: SocketAddr, tls: Arc<rustls::ClientConfig>, method: &str, target: &str) -> Self {
        Self { tls: Some(tls), ..Self::plain(address, method, target) }
    }

    /// Without TLS.
    pub fn plain(address: SocketAddr, method: &str, target: &str) -> Self {
        Self {
            address,
            tls: None,
            sni: HOST.to_owned(),
            authority: HOST.to_owned(),
            proto: Proto::H1,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header; the same name twice is two lines.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn headers(mut self, headers: &[(String, String)]) -> Self {
        self.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub fn basic(self, user: &str, password: &str) -> Self {
        let value = format!("Basic {}", super::base64(format!("{user}:{password}")));
        self.header("Authorization", value)
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn sni(mut self, name: &str) -> Self {
        name.clone_into(&mut self.sni);
        self
    }

    /// The host that the request names; independent of the TLS server name.
    pub fn host(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    pub fn proto(mut self, proto: Proto) -> Self {
        self.proto = proto;
        self
    }

    /// Opens a connection for requests like this one.
    pub async fn connect(&self) -> Sender {
        let stream = within("a connection", TcpStream::connect(self.address)).await.unwrap();
        match &self.tls {
            None => self.speak(stream).await,
            Some(config) => {
                let mut config = (**config).clone();
                config.alpn_protocols = vec![if self.proto == Proto::H2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
                self.speak(handshake(stream, &self.sni, Arc::new(config)).await).await
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Like `connect`, where the gateway may turn the caller away.
    pub async fn try_connect(&self) -> Option<Sender> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        let mut config = (**self.tls.as_ref()?).clone();
        config.alpn_protocols = vec![if self.proto == Proto::H2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tls = try_handshake(stream, &self.sni, Arc::new(config)).await.ok()?;
        self.try_speak(tls).await.ok()
    }

    /// The status of the answer on a connection of its own; `None` if the gateway turned the caller away.
    pub async fn status(&self) -> Option<u16> {
        let mut sender = self.try_connect().await?;
        Some(self.send_on(&mut sender).await.ok()?.status.as_u16())
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
        self.try_speak(stream).await.unwrap()
    }

    async fn try_speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<Sender> {
        let io = TokioIo::new(stream);
        Ok(match self.proto {
            Proto::H1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
                tokio::spawn(connection.with_upgrades());
                Sender::H1(sender)
            }
            Proto::H2 => {
                let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = builder.max_header_list_size(1 << 20).handshake(io).await?;
                tokio::spawn(connection);
                Sender::H2(sender)
            }
        })
    }

    /// The request, with a body of its own choice.
    pub fn request(&self, body: Body) -> Request<Body> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut request = Request::builder().method(self.method.as_str());
        request = match self.proto {
            Proto::H1 => request.uri(self.target.as_str()).header("host", self.authority.as_str()),
            Proto::H2 => request.uri(format!("{scheme}://{}{}", self.authority, self.target)),
        };
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_slice());
        }
        request.body(body).unwrap_or_else(|error| panic!("{} {} {:?}: {error}", self.method, self.target, self.headers))
    }

    /// Sends the request on a new connection and reads the whole answer.
    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.target);
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Like `send`, where the exchange may break.
    pub async fn try_send(self) -> Result<Answer, BodyError> {
        let mut sender = self.connect().await;
        self.send_on(&mut sender).await
    }

    /// Sends the request on an open connection and reads the whole answer.
    pub async fn send_on(&self, sender: &mut Sender) -> Result<Answer, BodyError> {
        let body = Full::new(self.body.clone()).map_err(|never| match never {}).boxed();
        let response = sender.send(self.request(body)).await?;
        read(response).await
    }
}

impl Sender {
    pub async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, hyper::Error> {
        let sending = async {
            match self {
                Self::H1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Self::H2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        within("the head of the response", sending).await
    }
}

/// Reads a response to its end.
pub async fn read(response: Response<Incoming>) -> Result<Answer, BodyError> {
    let (head, body) = response.into_parts();
    let collected = within("the body of the response", body.collect()).await?;
    let trailers = collected.trailers().cloned();
    Ok(Answer { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
}

impl Answer {
    /// The only value of a header, or nothing.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let all: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(all.len() < 2, "{name}: {all:?}");
        all.first().map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The code of an error answer.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// No body at all.
pub fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed()
}

/// A body that a test feeds piece by piece.
pub struct Fed(mpsc::Receiver<Result<Frame<Bytes>, BodyError>>);

/// A body and its source. Dropping the source ends the body; sending an error breaks it.
pub fn fed() -> (mpsc::Sender<Result<Frame<Bytes>, BodyError>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Fed(receiver).boxed())
}

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context)
    }
}

/// TLS to `address` as `sni`.
pub async fn handshake(stream: TcpStream, sni: &str, config: Arc<rustls::ClientConfig>) -> tokio_rustls::client::TlsStream<TcpStream> {
    try_handshake(stream, sni, config).await.unwrap_or_else(|error| panic!("the TLS handshake as {sni}: {error}"))
}

pub async fn try_handshake(
    stream: TcpStream,
    sni: &str,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = rustls_pki_types::ServerName::try_from(sni.to_owned()).unwrap();
    within("the TLS handshake", tokio_rustls::TlsConnector::from(config).connect(name, stream)).await
}

/// Anything that carries bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection for bytes of any kind.
pub struct Raw {
    pub stream: Box<dyn Stream>,
    left: Vec<u8>,
}

/// A response read from raw bytes.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    pub async fn tls(address: SocketAddr, sni: &str, config: Arc<rustls::ClientConfig>) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self { stream: Box::new(handshake(stream, sni, config).await), left: Vec::new() }
    }

    /// TLS over a socket file.
    pub async fn unix(path: &std::path::Path, sni: &str, config: Arc<rustls::ClientConfig>) -> Self {
        let stream = within("a connection", tokio::net::UnixStream::connect(path)).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from(sni.to_owned()).unwrap();
        let tls = within("the TLS handshake", tokio_rustls::TlsConnector::from(config).connect(name, stream)).await.unwrap();
        Self { stream: Box::new(tls), left: Vec::new() }
    }

    pub async fn tcp(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self { stream: Box::new(stream), left: Vec::new() }
    }

    /// Sends bytes; that the other side has hung up meanwhile is no error here.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        within("room to write", async { self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok() }).await
    }

    /// Reads more; `false` at the end.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match within("bytes, or the end of the connection", self.stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.left.extend_from_slice(&buffer[..length]);
                true
            }
        }
    }

    /// Everything up to the end of the connection, which must come within the deadline.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.left)
    }

    /// Waits until these bytes have come; what came up to them.
    pub async fn until(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.left.windows(bytes.len()).position(|window| window == bytes) {
                return Some(self.left.drain(..at + bytes.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next response, or `None` when the connection ends before one is whole.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        let head = String::from_utf8_lossy(&self.until(b"\r\n\r\n").await?).into_owned();
        let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
        if status == 100 {
            return Some(RawAnswer { status, head, body: Vec::new() });
        }
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        if lower.contains("transfer-encoding: chunked") {
            loop {
                let size = String::from_utf8(self.until(b"\r\n").await?).ok()?;
                let size = usize::from_str_radix(size.trim(), 16).ok()?;
                body.extend(self.take(size).await?);
                self.until(b"\r\n").await?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some((_, rest)) = lower.split_once("content-length:") {
            let length = rest.lines().next()?.trim().parse().ok()?;
            body = self.take(length).await?;
        }
        Some(RawAnswer { status, head, body })
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.left.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.left.drain(..length).collect())
    }

    /// Sends bytes and reads responses until the gateway ends the connection, as it must for an idle one.
    pub async fn answers(mut self, bytes: impl AsRef<[u8]>) -> Vec<RawAnswer> {
        self.write(bytes).await;
        let mut all = Vec::new();
        while let Some(answer) = self.answer().await {
            all.push(answer);
        }
        all
    }

    /// Like `answers`, the statuses alone.
    pub async fn statuses(self, bytes: impl AsRef<[u8]>) -> Vec<u16> {
        self.answers(bytes).await.iter().map(|answer| answer.status).collect()
    }
}

impl RawAnswer {
    /// The value of a header of the head.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.split(':').next().is_some_and(|have| have.eq_ignore_ascii_case(name)))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}
