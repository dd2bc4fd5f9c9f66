//! Exchanges with applications of a few lines, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::inbound::Lines;
use crate::payload::ResponseBody;
use crate::payload::tests::{NO_LIMIT, body};
use crate::proxy::dial::Address;
use crate::proxy::pool::{ConnectError, Lease, Pool};

/// Longer than any test lasts.
const LONG: Duration = Duration::from_secs(60);

/// An application, and the one connection that may be open to it.
struct App {
    listener: TcpListener,
    pool: Arc<Pool>,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        Self { pool: Arc::new(Pool::new(address, LONG, 1, 1)), listener }
    }

    /// A new connection, with the application's end of it.
    async fn connect(&self) -> (Lease, TcpStream) {
        let lease = self.pool.lease(0).await.unwrap();
        assert!(!lease.reused);
        (lease, self.listener.accept().await.unwrap().0)
    }

    /// Whether the next request would be sent on a connection that was used before.
    async fn keeps(&self) -> bool {
        self.pool.lease(0).await.unwrap().reused
    }

    fn read(&self, lease: Lease, head: Head) -> ResponseBody {
        let clean = |trailers: &mut HeaderMap| drop(trailers.remove("x-user"));
        read_answer(lease, head.decoder, head.keeps, (&self.pool, 0), (LONG, clean))
    }

    /// The head of the answer that consists of these bytes, to a GET.
    async fn ask(&self, bytes: &[u8]) -> (Lease, TcpStream, Result<Head, Fault>) {
        let (mut lease, mut wire) = self.connect().await;
        let (mut outgoing, _client) = post("Content-Length: 0", b"").await;
        wire.write_all(bytes).await.unwrap();
        wire.shutdown().await.unwrap();
        let head = exchange(&mut lease.connection, &mut outgoing, &Method::GET).await;
        (lease, wire, head)
    }
}

/// A request whose client has sent these bytes of its body.
async fn post(framing: &str, sent: &[u8]) -> (Outgoing, DuplexStream) {
    let (payload, client) = body(framing, sent, NO_LIMIT).await;
    let line = (&Method::POST, &"/x".parse().unwrap());
    (Outgoing::new(Vec::new(), line, (&HeaderValue::from_static("app"), &Lines::default()), payload), client)
}

/// Reads until `end` has come.
async fn until(wire: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.ends_with(end) {
        assert!(wire.read_buf(&mut all).await.unwrap() > 0, "closed after {}", String::from_utf8_lossy(&all));
    }
    all
}

/// What comes of a body, and whether it came to its end.
async fn collect(mut body: ResponseBody) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => all.extend_from_slice(&data),
            Ok(Err(_trailers)) => {}
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

/// Reads as hyper's server does: it does not ask for more once it has the trailers.
#[tokio::test]
async fn a_body_with_trailers_is_complete_when_it_has_told_them() {
    let app = App::start().await;
    let (mut lease, mut wire) = app.connect().await;
    let (mut outgoing, _client) = post("Content-Length: 0", b"").await;
    wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-User: a\r\n\r\n").await.unwrap();
    let head = exchange(&mut lease.connection, &mut outgoing, &Method::GET).await.unwrap();
    let mut body = app.read(lease, head);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hi");
    assert!(!body.is_end_stream());
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!((trailers.len(), trailers.get("x-sum").unwrap().as_bytes()), (1, &b"1"[..]));
    assert!(body.is_end_stream() && app.keeps().await, "the connection may serve the next request");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_complete() {
    let app = App::start().await;
    for whole in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi!\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi!",
    ] {
        for end in 0..=whole.len() {
            let (lease, wire, head) = app.ask(&whole[..end]).await;
            let ended = match head {
                Ok(head) => collect(app.read(lease, head)).await,
                Err(fault) => {
                    assert!(matches!(fault, Fault::Closed), "{fault}");
                    drop(lease);
                    (Vec::new(), false)
                }
            };
            assert_eq!(ended.1, end == whole.len(), "{end}");
            assert!(b"hi!".starts_with(&ended.0) && (!ended.1 || ended.0.len() == 3));
            drop(wire);
            assert!(!app.keeps().await);
            app.listener.accept().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_one_whole_exchange_and_nothing_else() {
    let app = App::start().await;
    for (answer, keeps) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", false),
        ("HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", false),
    ] {
        let (mut lease, mut wire) = app.connect().await;
        let (mut outgoing, _client) = post("Content-Length: 0", b"").await;
        wire.write_all(answer.as_bytes()).await.unwrap();
        let head = exchange(&mut lease.connection, &mut outgoing, &Method::GET).await.unwrap();
        assert!(collect(app.read(lease, head)).await.1);
        // Both ends of a connection that is kept are open: what was leased here is closed with it.
        assert_eq!(app.keeps().await, keeps, "{answer:?}");
        if !keeps {
            app.listener.accept().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_an_early_answer_and_its_place_is_taken_as_long() {
    let app = App::start().await;
    let (mut lease, mut wire) = app.connect().await;
    let (mut outgoing, mut client) = post("Content-Length: 10", b"hello").await;
    wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let head = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap();
    assert!(!outgoing.is_sent());
    let permit = lease.permit.split(1);
    lease.connection = lease.connection.send_meanwhile(outgoing, permit, LONG);
    assert_eq!(collect(app.read(lease, head)).await, (Vec::new(), true));
    until(&mut wire, b"\r\n\r\nhello").await;
    let next = app.pool.lease(0);
    let mut next = std::pin::pin!(next);
    let early = tokio::time::timeout(Duration::from_millis(50), next.as_mut()).await;
    assert!(early.is_err(), "all connections are in use");
    client.write_all(b"world").await.unwrap();
    let mut rest = Vec::new();
    wire.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"world", "and then it is closed");
    assert!(!next.await.unwrap().reused);
}

#[tokio::test]
async fn an_application_that_takes_nothing_more_gets_nothing_more() {
    let app = App::start().await;
    let (mut lease, mut wire) = app.connect().await;
    let length = 64 << 20;
    let (mut outgoing, mut client) = post(&format!("Content-Length: {length}"), b"").await;
    wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let head = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap();
    let permit = lease.permit.split(1);
    lease.connection = lease.connection.send_meanwhile(outgoing, permit, Duration::from_millis(100));
    drop(app.read(lease, head));
    tokio::spawn(async move { while client.write_all(&[b'x'; 4096]).await.is_ok() {} });
    // Its place is free again when it is given up.
    assert!(!app.pool.lease(0).await.unwrap().reused);
    let mut all = Vec::new();
    let end = wire.read_to_end(&mut all).await;
    assert!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset) && all.len() < length, "{}", all.len());
}

#[tokio::test]
async fn an_answer_to_a_body_that_is_not_wanted_is_read_and_the_connection_reset() {
    let app = App::start().await;
    let (mut lease, mut wire) = app.connect().await;
    let (mut outgoing, mut client) = post("Transfer-Encoding: chunked", b"").await;
    let answering = tokio::spawn(async move {
        until(&mut wire, b"\r\n\r\n").await;
        wire.write_all(b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    });
    let uploading = tokio::spawn(async move {
        while client.write_all(b"1000\r\n").await.is_ok() && client.write_all(&[b'x'; 4096]).await.is_ok() && client.write_all(b"\r\n").await.is_ok()
        {
        }
    });
    let head = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap();
    answering.await.unwrap();
    assert_eq!(head.status, 413);
    if !outgoing.is_sent() {
        lease.connection = lease.connection.send_meanwhile(outgoing, None, LONG);
    }
    assert_eq!(collect(app.read(lease, head)).await, (b"no".to_vec(), true));
    assert!(!app.keeps().await);
    uploading.abort();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_fault_of_its_own_and_resets_the_connection() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let app = App::start().await;
        let (mut lease, mut wire) = app.connect().await;
        let (mut outgoing, client) = post(framing, b"").await;
        drop(client);
        let fault = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap_err();
        assert!(matches!(fault, Fault::Body), "{fault}");
        drop(lease);
        // Nothing of it, or not its end.
        let mut all = Vec::new();
        let end = wire.read_to_end(&mut all).await;
        assert!(all.is_empty() || end.is_err(), "{end:?} {}", String::from_utf8_lossy(&all));
    }
}

#[tokio::test]
async fn what_was_not_sent_at_all_can_be_sent_again_and_nothing_else() {
    let app = App::start().await;
    let (mut lease, wire) = app.connect().await;
    let (mut outgoing, _client) = post("Content-Length: 5", b"hello").await;
    assert!(outgoing.is_untouched());
    let socket = socket2::SockRef::from(&wire);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(wire);
    // A write finds out, as the end was not looked for.
    let fault = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap_err();
    assert!(matches!(fault, Fault::Io(_)) && outgoing.is_untouched(), "{fault}");
    drop(lease);
    let (mut lease, mut wire) = app.connect().await;
    let answering = tokio::spawn(async move {
        until(&mut wire, b"hello").await;
        wire.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
    });
    let fault = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap_err();
    assert!(matches!(fault, Fault::Closed) && !outgoing.is_untouched(), "{fault}");
    answering.await.unwrap();
}

/// TLS sends many records at once, and a write that fails tells nothing of those before.
#[tokio::test]
async fn what_may_have_left_over_tls_is_never_sent_again() {
    let leaf = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, leaf.cert.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("https://{}", listener.local_addr().unwrap()), Some(&ca_file)).unwrap();
    let pool = Pool::new(address, LONG, 1, 1);
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(leaf.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.with_single_cert(vec![leaf.cert.der().clone()], key).unwrap()));
    let (lease, wire) = tokio::join!(pool.lease(0), async { acceptor.accept(listener.accept().await.unwrap().0).await.unwrap() });
    socket2::SockRef::from(wire.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(wire);
    let (mut lease, (mut outgoing, _client)) = (lease.unwrap(), post("Content-Length: 5", b"hello").await);
    let fault = exchange(&mut lease.connection, &mut outgoing, &Method::POST).await.unwrap_err();
    assert!(matches!(fault, Fault::Io(_)) && !outgoing.is_untouched(), "{fault}");
}

#[test]
fn a_request_says_once_where_it_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (method, framing, says) in [
            (Method::GET, "Content-Length: 0", None),
            (Method::POST, "Content-Length: 0", Some("content-length: 0")),
            (Method::GET, "Content-Length: 5", Some("content-length: 5")),
            (Method::POST, "Transfer-Encoding: chunked", Some("transfer-encoding: chunked")),
        ] {
            let (payload, _client) = body(framing, b"", NO_LIMIT).await;
            let mut lines = Lines::default();
            lines.push_text(&HeaderName::from_static("x-a"), &["1"]);
            let line = (&method, &"/a?b=c".parse().unwrap());
            let host = HeaderValue::from_static("app");
            let head = Outgoing::new(b"".to_vec(), line, (&host, &lines), payload).into_room();
            let says = says.map(|says| format!("{says}\r\n")).unwrap_or_default();
            assert_eq!(String::from_utf8(head).unwrap(), format!("{method} /a?b=c HTTP/1.1\r\nhost: app\r\nx-a: 1\r\n{says}\r\n"));
        }
    });
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_in_use() {
    let app = App::start().await;
    let listener = &app.listener;
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
    let pool = Pool::new(address, Duration::from_millis(50), 1, 1);
    let lease = pool.lease(0).await.unwrap();
    assert!(matches!(pool.lease(0).await, Err(ConnectError::Busy(_))));
    drop(lease);
    assert!(pool.lease(0).await.is_ok());
}

#[tokio::test]
async fn an_idle_connection_is_closed_by_the_third_sweep() {
    let app = App::start().await;
    let address = Address::parse(&format!("http://{}", app.listener.local_addr().unwrap()), None).unwrap();
    let pool = Pool::new(address, Duration::from_secs(5), 9, 1);
    for (sweeps, kept) in [(2, true), (2, true), (3, false), (0, true)] {
        let lease = pool.lease(0).await.unwrap();
        pool.give_back(0, lease);
        (0..sweeps).for_each(|_| pool.sweep());
        let lease = pool.lease(0).await.unwrap();
        assert_eq!(lease.reused, kept, "{sweeps}");
        pool.give_back(0, lease);
    }
}

proptest::proptest! {
    #[test]
    fn an_answer_is_read_alike_however_it_is_cut(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..14), cut in 1_usize..9) {
        let raw = ["HTTP/1.1 200 OK\r\n", &parts.concat()].concat().into_bytes();
        for method in [Method::GET, Method::HEAD] {
            let whole = probe::read(&method, std::iter::once(raw.as_slice()));
            proptest::prop_assert_eq!(&probe::read(&method, raw.chunks(cut)), &whole);
            proptest::prop_assert!(whole.body.len() + whole.left <= raw.len());
            proptest::prop_assert!(whole.end != probe::End::Broken || !whole.keeps);
        }
    }
}

/// Pieces of answers.
const PARTS: &[&str] = &[
    "Transfer-Encoding: chunked\r\n\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "Connection: close\r\n",
    "\r\n",
    "\n",
    "5\r\nhello\r\n",
    "5;a\r\nhel",
    "lo",
    "0\r\n\r\n",
    "0\r\n",
    "X: 1\r\n",
];
