//! Connections: how many one client may have, and what becomes of those that the protocol's own rules end.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{Proto, Raw, handshake, try_handshake};
use crate::support::setup::HOST;
use crate::support::world::World;
use crate::support::{breathe, within};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

async fn limited(limits: &str) -> World {
    World::with(|setup| setup.with("limits", limits)).await
}

/// A TLS connection from one of this machine's addresses, if the gateway takes it.
async fn from(world: &World, address: IpAddr) -> Option<impl Sized + use<>> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let stream = within("a connection", socket.connect(world.https)).await.unwrap();
    try_handshake(stream, HOST, world.setup.ca.client_config(&[b"http/1.1"])).await.ok()
}

async fn metric(world: &World, name: &str) -> u64 {
    let metrics = world.admin("/metrics").send().await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).trim().parse::<f64>().unwrap() as u64
}

const REFUSED: &str = "doorward_connections_refused_total{reason=\"address\"}";

#[tokio::test]
async fn one_address_gets_its_share_of_connections_and_others_are_served() {
    let world = limited("max_connections_per_address = 3").await;
    // Counted from the moment it is accepted: one of these never says a word.
    let silent = Raw::tcp(world.https).await;
    let held = (from(&world, HERE).await, from(&world, HERE).await);
    assert!(held.0.is_some() && held.1.is_some());
    assert!(from(&world, HERE).await.is_none());
    assert!(Raw::tcp(world.http.unwrap()).await.read_to_end().await.is_empty(), "the plain listener counts too");
    assert_eq!(metric(&world, REFUSED).await, 2);
    let mut other = Vec::new();
    for _ in 0..3 {
        other.push(from(&world, ELSEWHERE).await.expect("another address has its own share"));
    }
    drop(silent);
    within("the place being free again", async {
        while from(&world, HERE).await.is_none() {
            breathe().await;
        }
    })
    .await;
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn without_a_word_about_it_one_address_gets_half_and_zero_lifts_the_limit() {
    for (limits, most) in [("max_connections = 7", 4), ("max_connections = 7\nmax_connections_per_address = 0", 7)] {
        let world = limited(limits).await;
        let mut held = Vec::new();
        for at in 0..most {
            held.push(from(&world, HERE).await.unwrap_or_else(|| panic!("{limits}: connection {at} was refused")));
        }
        if most < 7 {
            assert!(from(&world, HERE).await.is_none(), "{limits}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_brings_the_connections_of_many() {
    let world = World::with(|setup| {
        setup.with("limits", "max_connections_per_address = 1").with("listen", "trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]")
    })
    .await;
    let held = (from(&world, HERE).await, from(&world, HERE).await, from(&world, ELSEWHERE).await);
    assert!(held.0.is_some() && held.1.is_some() && held.2.is_some());
    assert!(from(&world, ELSEWHERE).await.is_none());
    assert_eq!(metric(&world, REFUSED).await, 1);
}

/// A client of the library's own, which sends heads of any size.
async fn h2_client(world: &World) -> h2::client::SendRequest<Bytes> {
    let stream = within("a connection", TcpStream::connect(world.https)).await.unwrap();
    let tls = handshake(stream, HOST, world.setup.ca.client_config(&[b"h2"])).await;
    let (sender, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    within("the connection being ready", sender.ready()).await.unwrap()
}

/// A request with these many header lines of these many bytes.
fn heavy(path: &str, lines: usize, bytes: usize) -> Request<()> {
    let mut headers = HeaderMap::new();
    for _ in 0..lines {
        headers.append("x-heavy", HeaderValue::try_from("y".repeat(bytes)).unwrap());
    }
    let mut request = Request::get(format!("https://{HOST}{path}")).body(()).unwrap();
    *request.headers_mut() = headers;
    request
}

/// The answer's status and body.
async fn ask(sender: &mut h2::client::SendRequest<Bytes>, request: Request<()>) -> Result<(StatusCode, Vec<u8>), h2::Error> {
    let (response, _) = sender.send_request(request, true)?;
    let (head, mut body) = within("the head of the response", response).await?.into_parts();
    let mut all = Vec::new();
    while let Some(piece) = within("the body", body.data()).await {
        all.extend_from_slice(&piece?);
    }
    Ok((head.status, all))
}

#[tokio::test]
async fn a_refused_request_is_not_reset_while_its_short_body_is_still_to_come() {
    let world = World::start().await;
    let mut sender = h2_client(&world).await;
    for (length, is_reset) in [("10", false), ("1000000", true)] {
        let request = Request::post(format!("https://{HOST}/basic/x")).header("content-length", length).body(()).unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        assert_eq!(within("the refusal", response).await.unwrap().status(), StatusCode::UNAUTHORIZED, "{length}");
        // Whatever was sent after the refusal has come by the time this is answered.
        assert_eq!(ask(&mut sender, heavy("/public/x", 0, 0)).await.unwrap().0, StatusCode::OK);
        let reset = std::future::poll_fn(|cx| std::task::Poll::Ready(body.poll_reset(cx).is_ready())).await;
        assert_eq!(reset, is_reset, "{length}");
        if !is_reset {
            body.send_data(Bytes::from_static(b"0123456789"), true).unwrap();
        }
    }
    assert_eq!(world.upstream.count(), 2, "the public ones alone");
}

const TOO_LARGE: &str = "doorward_rejections_total{code=\"headers_too_large\"}";

#[tokio::test]
async fn an_http2_head_beyond_the_limit_is_answered_and_logged_like_any_request() {
    let world = limited("max_header_bytes = \"8KiB\"\nmax_headers = 20").await;
    let mut sender = h2_client(&world).await;
    for (path, lines, bytes) in [("/public/long", 1, 9000), ("/public/longer", 3, 9000), ("/public/many", 30, 1)] {
        let (status, body) = ask(&mut sender, heavy(path, lines, bytes)).await.unwrap();
        assert_eq!(status, 431, "{path}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], "headers_too_large");
        let logged = world.access_line(path, |entry| entry["path"] == path).await;
        assert_eq!((logged["status"].as_u64(), logged["code"].as_str()), (Some(431), Some("headers_too_large")), "{logged}");
        assert_eq!(logged["request_id"], body["request_id"]);
    }
    assert_eq!(ask(&mut sender, heavy("/public/x", 1, 7000)).await.unwrap().0, 200, "the connection serves on");
    assert_eq!(metric(&world, TOO_LARGE).await, 3);
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn an_http2_head_that_the_library_does_not_read_is_431_logged_and_counted_too() {
    let world = limited("max_header_bytes = \"8KiB\"").await;
    let mut sender = h2_client(&world).await;
    let (status, _) = ask(&mut sender, heavy("/public/x", 6, 9000)).await.unwrap();
    assert_eq!(status, 431);
    let logged = world.access_line("the refusal", |entry| entry["code"] == "headers_too_large").await;
    assert_eq!((logged["status"].as_u64(), logged["protocol"].as_str()), (Some(431), Some("HTTP/2.0")), "{logged}");
    assert_eq!(metric(&world, TOO_LARGE).await, 1);
    assert_eq!(ask(&mut sender, heavy("/public/x", 1, 1)).await.unwrap().0, 200);
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn an_http2_head_beyond_all_measure_ends_its_connection_and_is_counted() {
    let world = limited("max_header_bytes = \"8KiB\"").await;
    let mut sender = h2_client(&world).await;
    let ended = ask(&mut sender, heavy("/public/x", 20, 9000)).await;
    assert!(ended.is_err(), "{ended:?}");
    let logged = world.access_line("the end", |entry| entry["code"] == "headers_too_large").await;
    assert_eq!((logged["status"].as_u64(), logged["protocol"].as_str()), (Some(0), Some("HTTP/2.0")), "{logged}");
    assert_eq!(metric(&world, "doorward_connection_errors_total{kind=\"head_too_large\"}").await, 1);
    assert_eq!(metric(&world, TOO_LARGE).await, 1, "it is told once");
    assert_eq!(world.get("/public/x").proto(Proto::H2).send().await.status, 200);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A HEADERS frame that ends its stream.
fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    [&length[1..], &[1, 5], &stream.to_be_bytes(), block].concat()
}

#[tokio::test]
async fn a_malformed_http2_request_is_logged_and_counted() {
    let world = World::start().await;
    let mut raw = world.raw_as(HOST, b"h2").await;
    // GET https / app.example.com, and then a line that HTTP/2 does not have: connection: x; no path at all; te: gzip.
    let authority = [&[0x41, 15][..], b"app.example.com"].concat();
    let blocks = [
        [&[0x82, 0x87, 0x84][..], &authority, &[0x00, 10], b"connection", &[1], b"x"].concat(),
        [&[0x82, 0x87][..], &authority].concat(),
        [&[0x82, 0x87, 0x84][..], &authority, &[0x00, 2], b"te", &[4], b"gzip"].concat(),
    ];
    raw.write(PREFACE).await;
    for (at, block) in blocks.iter().enumerate() {
        raw.write(headers(u32::try_from(at).unwrap() * 2 + 1, block)).await;
        // RST_STREAM.
        raw.until(&[0, 0, 4, 3, 0, 0, 0, 0, u8::try_from(at).unwrap() * 2 + 1]).await.unwrap();
    }
    let logged = world.access_line("the refusal", |entry| entry["code"] == "http2_refused").await;
    assert_eq!((logged["status"].as_u64(), logged["protocol"].as_str(), logged["path"].as_str()), (Some(0), Some("HTTP/2.0"), Some("")), "{logged}");
    assert_eq!(metric(&world, "doorward_rejections_total{code=\"http2_refused\"}").await, 3);
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn good_requests_are_never_counted_as_refused() {
    let world = World::start().await;
    let mut sender = h2_client(&world).await;
    let asked = (0..100).map(|at| sender.send_request(heavy(&format!("/public/{at}"), at % 7, 20 * at), true).unwrap().0);
    for response in futures_util::future::join_all(asked).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    drop(sender);
    let metrics = world.admin("/metrics").send().await.text();
    assert!(!metrics.contains("http2_refused") && !metrics.contains("headers_too_large"), "{metrics}");
}

#[tokio::test]
async fn connections_that_break_are_counted_by_kind() {
    let world = limited("header_timeout = \"1s\"\nhandshake_timeout = \"1s\"").await;
    let counted = async |kind: &str| metric(&world, &format!("doorward_connection_errors_total{{kind=\"{kind}\"}}")).await;
    let mut silent = Raw::tcp(world.https).await;
    let mut plain = Raw::tcp(world.https).await;
    plain.write("GET / HTTP/1.1\r\n\r\n").await;
    plain.read_to_end().await;
    for (alpn, bytes) in [
        (b"http/1.1".as_slice(), b"GET / HTTP/1.1\r\nX : y\r\n\r\n".to_vec()),
        (b"http/1.1", [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 40_000]].concat()),
        // A PING of three bytes; then heads without end.
        (b"h2", [PREFACE, &[0, 0, 3, 6, 0, 0, 0, 0, 0, 1, 2, 3]].concat()),
        (b"h2", [PREFACE, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82], &[0, 0, 0, 9, 0, 0, 0, 0, 1].repeat(20_000)].concat()),
        (b"http/1.1", b"".to_vec()),
    ] {
        let mut raw = world.raw_as(HOST, alpn).await;
        raw.write(bytes).await;
        raw.read_to_end().await;
    }
    silent.read_to_end().await;
    for kind in ["tls_handshake", "malformed", "head_too_large", "http2_protocol", "http2_flood", "idle", "tls_handshake_timeout"] {
        within(kind, async {
            while counted(kind).await == 0 {
                breathe().await;
            }
        })
        .await;
        assert_eq!(counted(kind).await, 1, "{kind}");
    }
}
