//! Every limit holds, over both protocols, for those who wait as for those who drip; and meanwhile others are served.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use tokio::io::AsyncWriteExt as _;

use crate::support::client::{BOTH, Proto, Raw, empty, fed, handshake};
use crate::support::setup::HOST;
use crate::support::upstream::Act;
use crate::support::within;
use crate::support::world::World;

async fn world(limits: &str) -> World {
    World::with(|setup| setup.with("limits", limits)).await
}

const SHORT: &str = "header_timeout = \"1s\"\nhandshake_timeout = \"1s\"\nbody_timeout = \"1s\"";

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn a_client_that_never_finishes_its_handshake_is_cut_off() {
    let world = world(SHORT).await;
    // A record that promises 512 bytes of ClientHello.
    for bytes in [b"".as_slice(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut raw = Raw::tcp(world.https).await;
        raw.write(bytes).await;
        raw.read_to_end().await;
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let world = world(SHORT).await;
    for bytes in ["", "G", "GET /public/x HTTP/1.1\r\n", "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX: ", "\r\n\r\n"] {
        let mut raw = world.raw().await;
        raw.write(bytes).await;
        let got = String::from_utf8_lossy(&raw.read_to_end().await).into_owned();
        assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{bytes:?}: {got}");
    }
    let mut raw = world.raw().await;
    raw.write(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    raw.read_to_end().await;
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_client_that_drips_its_head_is_cut_off() {
    let world = world(SHORT).await;
    let mut raw = world.raw().await;
    raw.write(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ")).await;
    let mut clock = tokio::time::interval(Duration::from_millis(100));
    within("being cut off", async {
        loop {
            clock.tick().await;
            if !raw.write("x").await {
                return;
            }
        }
    })
    .await;
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn an_idle_or_half_spoken_http2_connection_is_cut_off() {
    let world = world(SHORT).await;
    for bytes in [
        b"".to_vec(),
        PREFACE[..10].to_vec(),
        PREFACE.to_vec(),
        [PREFACE, SETTINGS].concat(),
        // Half a frame's head; a HEADERS frame that promises 100 bytes; one without END_HEADERS.
        [PREFACE, SETTINGS, &[0, 0, 9]].concat(),
        [PREFACE, SETTINGS, &[0, 0, 100, 1, 4, 0, 0, 0, 1, 0x82]].concat(),
        [PREFACE, SETTINGS, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat(),
    ] {
        let mut raw = world.raw_as(HOST, b"h2").await;
        raw.write(&bytes).await;
        raw.read_to_end().await;
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_client_that_stops_sending_its_body_is_cut_off() {
    let world = world(SHORT).await;
    for (path, line) in [("/public/x", "Content-Length: 1000"), ("/public/x", "Transfer-Encoding: chunked")] {
        let mut raw = world.raw().await;
        raw.write(format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{line}\r\n\r\n1\r\nx")).await;
        let got = String::from_utf8_lossy(&raw.read_to_end().await).into_owned();
        assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{got}");
    }
    let call = world.call("POST", "/public/x").proto(Proto::H2);
    let (source, body) = fed();
    let mut sender = call.connect().await;
    let request = call.request(body);
    source.send(Ok(Frame::data(Bytes::from_static(b"x")))).await.unwrap();
    let ended = sender.send(request).await;
    assert!(ended.is_err() || ended.is_ok_and(|response| response.status() == 408));
    world.upstream.until("the upstream being told", |record| record.cut == 3).await;
}

#[tokio::test]
async fn a_client_that_drips_a_signed_body_is_cut_off_before_anything_is_forwarded() {
    let world = world(SHORT).await;
    let headers = crate::support::fost::Fost::new().sign("POST", "/fost/x", &[b'x'; 1000]);
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut raw = world.raw().await;
    raw.write(format!("POST /fost/x HTTP/1.1\r\nHost: {HOST}\r\n{lines}Content-Length: 1000\r\n\r\n")).await;
    let mut clock = tokio::time::interval(Duration::from_millis(100));
    within("being cut off", async {
        loop {
            clock.tick().await;
            if !raw.write("x").await {
                return;
            }
        }
    })
    .await;
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off() {
    let world = world(SHORT).await;
    let (told, ended) = std::sync::mpsc::channel();
    world.upstream.script(move |_| {
        let told = told.clone();
        Act::Talk(Box::new(move |wire| {
            let _ = wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
            while wire.write_all(&[b'x'; 64 * 1024]).is_ok() {}
            told.send(()).unwrap();
        }))
    });
    let stream = tokio::net::TcpStream::connect(world.https).await.unwrap();
    let mut slow = handshake(stream, HOST, world.setup.ca.client_config(&[b"http/1.1"])).await;
    slow.write_all(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let call = world.get("/public/x").proto(Proto::H2);
    let mut sender = call.connect().await;
    let held = sender.send(call.request(empty())).await.unwrap();
    let all_ended = tokio::task::spawn_blocking(move || (0..2).all(|_| ended.recv_timeout(crate::support::DEADLINE).is_ok()));
    assert!(all_ended.await.unwrap(), "the gateway still waits for clients that do not read");
    drop((slow, held));
}

#[tokio::test]
async fn heads_beyond_the_limits_are_431() {
    let world = world("max_header_bytes = \"8KiB\"\nmax_headers = 20").await;
    for proto in BOTH {
        let big = world.get("/public/x").proto(proto).header("X-Big", "x".repeat(9000));
        let many = (0..40).fold(world.get("/public/x").proto(proto), |call, at| call.header(&format!("x-{at}"), "1"));
        for (what, call) in [("big", big), ("many", many)] {
            // Over HTTP/1.1 the library answers, without a body.
            match call.try_send().await {
                Ok(answer) => {
                    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("content-type")), (431, proto == Proto::H2), "{what} {proto:?}")
                }
                Err(error) => panic!("{what} {proto:?}: {error}"),
            }
        }
        let long = world.get(&format!("/public/{}", "x".repeat(20_000))).proto(proto).try_send().await;
        assert!(long.is_err() || long.is_ok_and(|answer| matches!(answer.status.as_u16(), 400 | 414 | 431)), "{proto:?}");
        assert_eq!(world.get("/public/x").proto(proto).header("X-Big", "x".repeat(6000)).send().await.status, 200);
    }
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_413() {
    let world = world("max_body = \"10KiB\"").await;
    for proto in BOTH {
        match world.call("POST", "/public/x").proto(proto).body(vec![b'x'; 10 * 1024 + 1]).try_send().await {
            Ok(answer) => assert_eq!(answer.status, 413, "{proto:?}"),
            Err(error) => panic!("{proto:?}: {error}"),
        }
        assert_eq!(world.upstream.count(), 0, "a length beyond the limit is known before anything is forwarded");
    }
    for proto in BOTH {
        // Of unknown length: the application may see a part, and never a whole.
        let call = world.call("POST", "/public/x").proto(proto);
        let (source, body) = fed();
        let mut sender = call.connect().await;
        let request = call.request(body);
        let feeding = tokio::spawn(async move {
            while source.send(Ok(Frame::data(Bytes::from(vec![b'x'; 4096])))).await.is_ok() {
                crate::support::breathe().await
            }
        });
        if let Ok(response) = sender.send(request).await {
            assert_eq!(response.status(), 413, "{proto:?}");
        }
        drop(sender);
        feeding.abort();
        assert_eq!(world.call("POST", "/public/x").proto(proto).body(vec![b'x'; 10 * 1024]).send().await.status, 200);
    }
    assert!(world.upstream.take().iter().all(|seen| seen.body_length <= 10 * 1024));
}

#[tokio::test]
async fn beyond_the_number_of_connections_others_wait_and_are_served_later() {
    let world = world("max_connections = 8\nmax_connections_per_address = 0\nheader_timeout = \"1s\"").await;
    let mut held = Vec::new();
    for _ in 0..7 {
        held.push(world.raw().await);
    }
    let later = (0..20).map(|_| world.get("/public/x").try_send());
    // Whoever is turned away is turned away at the door; nobody gets another answer than a good one.
    let answers = futures_util::future::join_all(later).await;
    assert!(answers.iter().flatten().all(|answer| answer.status == 200));
    assert!(answers.iter().any(Result::is_ok));
    drop(held);
    assert_eq!(world.get("/public/x").send().await.status, 200);
}

#[tokio::test]
async fn while_many_dawdle_others_are_served() {
    let world = world("header_timeout = \"20s\"\nhandshake_timeout = \"20s\"\nbody_timeout = \"20s\"").await;
    let mut dawdlers = Vec::new();
    for at in 0..150 {
        let mut raw = if at % 3 == 0 { Raw::tcp(world.https).await } else { world.raw().await };
        raw.write(if at % 2 == 0 { "" } else { "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 9\r\n" }).await;
        dawdlers.push(raw);
    }
    for proto in BOTH {
        for _ in 0..10 {
            assert_eq!(world.get("/public/x").proto(proto).send().await.status, 200);
        }
    }
    drop(dawdlers);
}

#[tokio::test]
async fn floods_of_http2_frames_end_the_flooding_connection_alone() {
    let world = World::start().await;
    let resets: Vec<u8> = (0..4000u32)
        .flat_map(|at| {
            let id = (at * 2 + 1).to_be_bytes();
            // HEADERS of GET https / with an empty authority, then RST_STREAM.
            [&[0, 0, 3, 1, 5][..], &id, &[0x82, 0x87, 0x84], &[0, 0, 4, 3, 0], &id, &[0, 0, 0, 8]].concat()
        })
        .collect();
    let continuations: Vec<u8> = [&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82][..]]
        .into_iter()
        .map(<[u8]>::to_vec)
        .chain((0..20_000).map(|_| vec![0, 0, 0, 9, 0, 0, 0, 0, 1]))
        .flatten()
        .collect();
    for flood in [resets, continuations] {
        let mut raw = world.raw_as(HOST, b"h2").await;
        raw.write([PREFACE, SETTINGS].concat()).await;
        raw.write(&flood).await;
        raw.read_to_end().await;
        assert_eq!(world.get("/public/x").proto(Proto::H2).send().await.status, 200);
    }
}
