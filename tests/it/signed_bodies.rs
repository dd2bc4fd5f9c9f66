//! Bodies that are verified on their way: the application never gets the last byte of a wrong one, and no answer of the
//! application's reaches the client before the body was found right.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use bytes::Bytes;
use http_body::Frame;

use crate::support::DEADLINE;
use crate::support::aws::{self, Aws, SECRET};
use crate::support::client::{BOTH, Proto, Raw, empty, fed, read};
use crate::support::gateway::Gateway;
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::{Act, Upstream, answer};
use crate::support::world::World;

fn with_aws(setup: Setup) -> Setup {
    setup.file("secrets/aws.key", SECRET).rest(&aws::schemes()).route("/s3/**", &["s3"])
}

fn long() -> Vec<u8> {
    (0..400_000_u32).map(|n| (n % 251) as u8).collect()
}

/// How a request ended for an application that reads what comes.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    Closed,
    Reset,
}

/// When the application answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// After the whole body.
    Late,
    /// After the head, and then it reads the body.
    Early,
    /// After the head, and then it hangs up.
    Leaving,
}

/// An application of a few lines: one request for each connection, and nothing but the socket's own word on how it ended.
fn application(when: When) -> (SocketAddr, mpsc::Receiver<(End, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (tell, told)) = (listener.local_addr().unwrap(), mpsc::channel());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let _ = tell.send(serve(stream, when));
            });
        }
    });
    (address, told)
}

fn serve(mut stream: TcpStream, when: When) -> (End, usize) {
    let (mut all, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    let mut more = |all: &mut Vec<u8>, stream: &mut TcpStream| match stream.read(&mut buffer) {
        Ok(0) => Some(End::Closed),
        Ok(count) => {
            all.extend_from_slice(&buffer[..count]);
            None
        }
        Err(_) => Some(End::Reset),
    };
    let head = loop {
        if let Some(at) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8(all.drain(..at + 4).collect()).unwrap().to_ascii_lowercase();
        }
        if let Some(end) = more(&mut all, &mut stream) {
            return (end, 0);
        }
    };
    let length = head.split("content-length: ").nth(1).map_or(usize::MAX, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let close: &[&str] = if when == When::Leaving { &["Connection: close"] } else { &[] };
    let secret = answer("200 OK", close, "for those who are let in");
    // A socket tells of a reset once: whoever writes first hears of it.
    let reset = when != When::Late && stream.write_all(&secret).is_err();
    if when == When::Leaving {
        // As servers do that have said all: what still comes is read and thrown away, so that the answer is not lost.
        let _ = stream.shutdown(Shutdown::Write);
        while more(&mut all, &mut stream).is_none() {}
        return (End::Closed, 0);
    }
    let chunked = length == usize::MAX;
    loop {
        if (!chunked && all.len() >= length) || (chunked && all.ends_with(b"\r\n0\r\n\r\n")) {
            if when == When::Late {
                stream.write_all(&secret).unwrap();
            }
            return (End::Whole, all.len());
        }
        if let Some(end) = more(&mut all, &mut stream) {
            return (if reset { End::Reset } else { end }, all.len());
        }
    }
}

async fn gate(application: SocketAddr) -> Gateway {
    with_aws(Setup::new(&format!("http://{application}"))).start().await
}

#[tokio::test]
async fn a_wrong_body_ends_in_a_reset_and_no_answer_passes_before_a_right_one() {
    let (long, wrong) = (long(), [&long()[1..], &[0]].concat());
    for when in [When::Late, When::Early, When::Leaving] {
        let (address, told) = application(when);
        let gate = gate(address).await;
        for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
            for (sent, expected) in [(&long, 200), (&wrong, 401)] {
                let headers = Aws::s3().header("x-amz-meta-nonce", &format!("{nonce}{expected}")).sign("PUT", "/s3/k", &long);
                let answer = gate.call("PUT", "/s3/k").headers(&headers).body(sent.clone()).proto(proto).send().await;
                assert_eq!(answer.status, expected, "{when:?} {proto:?} {}", answer.text());
                assert_eq!(answer.text().contains("for those who are let in"), expected == 200);
                let (end, bytes) = told.recv_timeout(DEADLINE).unwrap();
                match (when, expected) {
                    (When::Leaving, _) => {}
                    (_, 200) => assert_eq!((end, bytes), (End::Whole, long.len())),
                    _ => assert!(end == End::Reset && bytes < long.len(), "{when:?} {end:?} {bytes}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_never_gets_its_last_chunk_if_it_is_wrong() {
    let (address, told) = application(When::Late);
    let (gate, long) = (gate(address).await, long());
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        for (last, expected) in [(long[long.len() - 1], 200), (long[long.len() - 1] ^ 1, 401)] {
            let headers = Aws::s3().header("x-amz-meta-nonce", &format!("{nonce}{expected}")).sign("PUT", "/s3/k", &long);
            let call = gate.call("PUT", "/s3/k").headers(&headers).proto(proto);
            let (feed, body) = fed();
            let (mut sender, request) = (call.connect().await, call.request(body));
            let answer = tokio::spawn(async move { read(sender.send(request).await.unwrap()).await.unwrap() });
            for piece in long[..long.len() - 1].chunks(50_000).chain([&[last][..]]) {
                feed.send(Ok(Frame::data(Bytes::copy_from_slice(piece)))).await.unwrap();
            }
            drop(feed);
            assert_eq!(answer.await.unwrap().status, expected, "{proto:?}");
            let (end, _) = told.recv_timeout(DEADLINE).unwrap();
            assert_eq!(end, if expected == 200 { End::Whole } else { End::Reset });
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_taken_for_a_whole_one() {
    let (address, told) = application(When::Late);
    let (gate, long) = (gate(address).await, long());
    for proto in BOTH {
        let headers = Aws::s3().header("x-amz-meta-nonce", &format!("{proto:?}")).sign("PUT", "/s3/k", &long);
        let call = gate.call("PUT", "/s3/k").headers(&headers).header("content-length", long.len().to_string()).proto(proto);
        let (feed, body) = fed();
        let (mut sender, request) = (call.connect().await, call.request(body));
        let sending = tokio::spawn(async move { sender.send(request).await.is_ok() });
        for piece in long[..300_000].chunks(100_000) {
            feed.send(Ok(Frame::data(Bytes::copy_from_slice(piece)))).await.unwrap();
        }
        feed.send(Err("the client has gone".into())).await.unwrap();
        assert!(!sending.await.unwrap());
        let (end, bytes) = told.recv_timeout(DEADLINE).unwrap();
        // Without a head there was no request to be taken for a whole one.
        assert!((end == End::Reset && bytes <= 300_000) || bytes == 0, "{proto:?} {end:?} {bytes}");
    }
}

#[tokio::test]
async fn a_refused_body_is_in_the_log_and_the_metrics_and_costs_one_connection() {
    let world = World::with(with_aws).await;
    let (long, wrong) = (long(), [&long()[1..], &[0]].concat());
    let put = |nonce: &str, body: &[u8]| {
        let headers = Aws::s3().header("x-amz-meta-nonce", nonce).sign("PUT", "/s3/k", &long);
        world.call("PUT", "/s3/k").headers(&headers).body(body.to_vec())
    };
    let mut sender = put("0", &long).connect().await;
    assert_eq!(put("1", &long).send_on(&mut sender).await.unwrap().status, 200);
    let refused = put("2", &wrong).send().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "invalid_credentials"));
    assert_eq!(refused.header("www-authenticate"), "AWS4-HMAC-SHA256 realm=\"doorward\"");
    let line = world.access_line("the refused request", |line| line["status"] == 401).await;
    assert_eq!((line["code"].as_str(), line["scheme"].as_str(), line["user"].as_str()), (Some("invalid_credentials"), Some("s3"), None));
    assert!(line["cause"].as_str().unwrap().contains("the body is not the one whose digest was signed"), "{line}");
    let metrics = world.admin("/metrics").send().await.text();
    let counted =
        |reason: &str| metrics.lines().any(|line| line.starts_with("doorward_auth_total") && line.contains("\"s3\"") && line.contains(reason));
    assert!(counted("credentials_wrong"), "{metrics}");
    // The connection that carried it is gone; others are as good as ever.
    for nonce in ["3", "4", "5"] {
        assert_eq!(put(nonce, &long).send_on(&mut sender).await.unwrap().status, 200);
    }
    assert_eq!(world.upstream.take().iter().filter(|seen| seen.body == long).count(), 4);
    assert_eq!(world.upstream.connections(), 2, "one was lost");
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_is_asked_once() {
    let world = World::with(with_aws).await;
    let body = long();
    for (last, expected) in [(body[body.len() - 1], 200), (body[body.len() - 1] ^ 1, 401)] {
        let headers = Aws::s3().header("x-amz-meta-nonce", &expected.to_string()).sign("PUT", "/s3/k", &body);
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut raw: Raw = world.raw().await;
        raw.write(format!("PUT /s3/k HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n{lines}\r\n", body.len())).await;
        assert_eq!(raw.answer().await.unwrap().status, 100);
        raw.write(&body[..body.len() - 1]).await;
        raw.write([last]).await;
        assert_eq!(raw.answer().await.unwrap().status, expected);
    }
    // Whoever is refused by the head is not asked for the body.
    let mut raw: Raw = world.raw().await;
    raw.write(format!("PUT /s3/k HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().status, 401);
}

#[tokio::test]
async fn an_application_that_waits_for_its_answer_to_be_read_times_out() {
    let (address, _told) = stubborn();
    let setup = with_aws(Setup::new(&format!("http://{address}"))).with("upstream", "response_timeout = \"300ms\"");
    let gate = setup.start().await;
    let body = vec![b'x'; 32 << 20];
    let headers = Aws::s3().sign("PUT", "/s3/k", &body);
    let answer = gate.call("PUT", "/s3/k").headers(&headers).body(body).proto(Proto::H2).send().await;
    assert_eq!(answer.status, 504, "{}", answer.text());
}

/// Answers at once and at length, and reads nothing until all of that is read.
fn stubborn() -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (tell, told)) = (listener.local_addr().unwrap(), mpsc::channel());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        let _ = stream.write_all(&answer("200 OK", &[], vec![b'y'; 64 << 20]));
        let _ = tell.send(());
    });
    (address, told)
}

#[tokio::test]
async fn a_request_without_a_body_is_as_it_was() {
    let upstream = Upstream::scripted(|_| Act::Echo);
    let gate = with_aws(Setup::new(&upstream.url())).start().await;
    for proto in BOTH {
        let call = gate.get("/s3/k").headers(&Aws::s3().sign("GET", "/s3/k", b"")).proto(proto);
        let response = call.connect().await.send(call.request(empty())).await.unwrap();
        assert_eq!(read(response).await.unwrap().status, 200);
        let seen = upstream.only();
        assert!(!seen.has("content-length") && !seen.has("transfer-encoding"));
    }
}
