//! Connections to the application: one whole exchange after the other, or none.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::client::{BOTH, Proto, empty, fed, read};
use crate::support::gateway::Gateway;
use crate::support::pki::Ca;
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::{Act, Seen, Upstream, Wire, answer};
use crate::support::world::World;
use crate::support::{DEADLINE, within};

/// An application that does this with each of its connections, and tells what came of it.
fn application<T: Send + 'static>(serve: impl Fn(TcpStream) -> T + Clone + Send + 'static) -> (SocketAddr, UnboundedReceiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (tell, told)) = (listener.local_addr().unwrap(), unbounded_channel());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (tell, serve) = (tell.clone(), serve.clone());
            std::thread::spawn(move || drop(tell.send(serve(stream))));
        }
    });
    (address, told)
}

async fn before(application: SocketAddr) -> Gateway {
    Setup::new(&format!("http://{application}")).public("/**").start().await
}

/// Reads a head; what came with it, and the head in lower case.
fn head(stream: &mut (impl std::io::Read + ?Sized)) -> Option<(Vec<u8>, String)> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(all.drain(..at + 4).collect()).unwrap();
            return Some((all, head.to_ascii_lowercase()));
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => all.extend_from_slice(&buffer[..length]),
        }
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_an_answer_that_came_early() {
    let (address, mut told) = application(|mut stream| {
        let (mut body, _) = head(&mut stream).unwrap();
        stream.write_all(&answer("200 OK", &[], "early")).unwrap();
        // Up to the end of the connection: it serves no other request.
        let whole = stream.read_to_end(&mut body).is_ok();
        (body, whole)
    });
    let gate = before(address).await;
    for proto in BOTH {
        let call = gate.call("POST", "/x").proto(proto).header("content-length", "300000");
        let (source, body) = fed();
        let mut sender = call.connect().await;
        let answered = sender.send(call.request(body)).await.unwrap();
        let (parts, mut early) = answered.into_parts();
        assert_eq!(parts.status, 200);
        assert_eq!(within("the answer", early.frame()).await.unwrap().unwrap().into_data().unwrap(), "early");
        for at in 0..3_u8 {
            source.send(Ok(Frame::data(Bytes::from(vec![at; 100_000])))).await.unwrap();
        }
        drop(source);
        let (body, whole) = within("the end of the upload", told.recv()).await.unwrap();
        assert_eq!((body.len(), whole, body.last()), (300_000, true, Some(&2)), "{proto:?}");
    }
}

#[tokio::test]
async fn an_application_that_wants_no_more_of_an_upload_is_heard() {
    let (address, _told) = application(|mut stream| {
        head(&mut stream).unwrap();
        stream.read_exact(&mut [0; 100_000]).unwrap();
        stream.write_all(&answer("413 Content Too Large", &["Connection: close"], "no more")).unwrap();
    });
    let gate = before(address).await;
    for proto in BOTH {
        let call = gate.call("POST", "/x").proto(proto);
        let (source, body) = fed();
        let mut sender = call.connect().await;
        tokio::spawn(async move { while source.send(Ok(Frame::data(Bytes::from(vec![0; 10_000])))).await.is_ok() {} });
        let answered = sender.send(call.request(body)).await.unwrap();
        assert_eq!(answered.status(), 413, "{proto:?}");
        assert_eq!(within("the answer", answered.into_body().frame()).await.unwrap().unwrap().into_data().unwrap(), "no more");
    }
}

#[tokio::test]
async fn what_follows_an_answer_never_reaches_another_request() {
    let world = World::start().await;
    let more = answer("200 OK", &[], "for nobody");
    for first in [
        answer("200 OK", &[], "right"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nright\r\n0\r\n\r\n".to_vec(),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
    ] {
        let bytes = [first, more.clone()].concat();
        world.upstream.script(move |_| Act::Reply(bytes.clone()));
        for proto in BOTH {
            for _ in 0..5 {
                let answer = world.get("/public/x").proto(proto).send().await;
                assert!(["right", ""].contains(&answer.text().as_str()), "{}", answer.text());
            }
        }
    }
    // A body where none may be.
    world.upstream.script(move |_| Act::Reply(answer("200 OK", &[], "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfor nobody")));
    let call = world.call("HEAD", "/public/x");
    let mut sender = call.connect().await;
    for _ in 0..5 {
        assert_eq!(call.send_on(&mut sender).await.unwrap().header("content-length"), "49");
    }
    world.upstream.script(|_| Act::Echo);
    assert_eq!(world.get("/public/y").send().await.json()["target"], "/public/y");
}

#[tokio::test]
async fn a_connection_that_answered_head_serves_no_other_request() {
    let (address, mut told) = application(|mut stream| {
        head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").unwrap();
        // From here on a body that should not be might come at any time.
        stream.read(&mut [0; 1]).map_or(true, |length| length == 0)
    });
    let gate = before(address).await;
    for proto in BOTH {
        assert_eq!(gate.call("HEAD", "/x").proto(proto).send().await.status, 200, "{proto:?}");
        assert!(within("the end of the connection", told.recv()).await.unwrap(), "{proto:?}");
    }
}

#[tokio::test]
async fn what_an_application_says_unasked_never_reaches_a_request() {
    let (said, now) = mpsc::channel();
    let said = std::sync::Mutex::new(said);
    let upstream = Upstream::scripted(move |seen| {
        let (said, target) = (said.lock().unwrap().clone(), seen.target.clone());
        Act::Talk(Box::new(move |wire| {
            wire.write_all(&answer("200 OK", &[], &target)).unwrap();
            // After the answer has arrived, for whoever comes next.
            wire.write_all(&answer("408 Request Timeout", &["Connection: close"], "for nobody")).unwrap();
            said.send(()).unwrap();
            // Nothing is asked of a connection like this.
            assert!(wire.read(&mut [0; 1]).map_or(true, |length| length == 0));
        }))
    });
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    for at in 0..10 {
        for proto in BOTH {
            let target = format!("/{at}");
            let answered = gate.call(if at % 2 == 0 { "GET" } else { "POST" }, &target).proto(proto).send().await;
            assert_eq!((answered.status.as_u16(), answered.text()), (200, target));
            now.recv_timeout(DEADLINE).unwrap();
        }
    }
    assert_eq!(upstream.count(), 20);
}

#[tokio::test]
async fn a_reason_in_the_application_s_own_words_passes() {
    let world = World::start().await;
    for (line, passed) in [("299 Fairly Good", "299 Fairly Good"), ("404 Gone fishing", "404 Gone fishing"), ("404 Not Found", "404 Not Found")] {
        world.upstream.script(move |_| Act::Reply(answer(line, &[], "")));
        let mut raw = world.raw().await;
        raw.write(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        assert!(raw.answer().await.unwrap().head.starts_with(&format!("HTTP/1.1 {passed}\r\n")));
        assert_eq!(world.get("/public/x").proto(Proto::H2).send().await.status.as_u16(), line[..3].parse::<u16>().unwrap());
    }
}

#[tokio::test]
async fn answers_of_http_1_0_are_whole_and_keep_the_connection_only_if_they_say_so() {
    for (lines, connections) in [("Content-Length: 2\r\n", 6), ("Connection: Keep-Alive\r\nContent-Length: 2\r\n", 1)] {
        let upstream = Upstream::scripted(move |_| {
            let bytes = format!("HTTP/1.0 200 OK\r\n{lines}\r\nhi").into_bytes();
            if connections == 1 { Act::Reply(bytes) } else { Act::Close(bytes) }
        });
        let gate = Setup::new(&upstream.url()).public("/**").start().await;
        // One connection of a client stays on one worker, which has one shelf of kept connections.
        let call = gate.get("/x");
        let mut sender = call.connect().await;
        for _ in 0..6 {
            let answered = call.send_on(&mut sender).await.unwrap();
            assert_eq!((answered.status.as_u16(), answered.text().as_str()), (200, "hi"));
        }
        assert_eq!(upstream.connections(), connections);
    }
    // The end of the connection is the end of the answer, kept or not.
    let upstream = Upstream::scripted(|_| Act::Close(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nall of it".to_vec()));
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    for proto in BOTH {
        assert_eq!(gate.get("/x").proto(proto).send().await.text(), "all of it");
    }
}

#[tokio::test]
async fn a_chunked_answer_is_the_same_however_it_is_cut() {
    let whole: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n5;a=\"b\"\r\nhello\r\n7  \r\n, world\r\n0;z\r\nX-Sum: 1\r\n\r\n";
    let world = World::start().await;
    for cut in 1..whole.len() {
        world.upstream.script(move |_| Act::Talk(Box::new(move |wire| in_two(wire, whole, cut))));
        let answered = world.get("/public/x").proto(BOTH[cut % 2]).send().await;
        assert_eq!((answered.status.as_u16(), answered.text().as_str()), (200, "hello, world"), "{cut}");
        if cut % 2 == 1 {
            assert_eq!(answered.trailers.unwrap()["x-sum"], "1");
        }
    }
}

fn in_two(wire: &mut dyn Wire, whole: &[u8], cut: usize) {
    let (first, second) = whole.split_at(cut);
    wire.write_all(first).unwrap();
    wire.flush().unwrap();
    std::thread::yield_now();
    wire.write_all(second).unwrap();
}

#[tokio::test]
async fn broken_chunks_break_the_answer() {
    let world = World::start().await;
    for chunks in
        ["5\r\nhello!\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nX\r\n\r\n", "5\r\nhello\r\n00g\r\n\r\n"]
    {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n->\r\n{chunks}");
        world.upstream.script(move |_| Act::Reply(bytes.clone().into_bytes()));
        for proto in BOTH {
            let call = world.get("/public/x").proto(proto);
            let response = call.connect().await.send(call.request(empty())).await;
            // The first piece may have left before the fault was seen; the end never.
            let broken = match response {
                Ok(response) => read(response).await.is_err(),
                Err(_) => true,
            };
            assert!(broken, "{chunks:?} {proto:?}");
        }
    }
    world.upstream.script(|_| Act::Echo);
    assert_eq!(world.get("/public/x").send().await.status, 200);
}

#[tokio::test]
async fn the_first_frame_of_a_web_socket_may_come_with_the_101() {
    let world = World::start().await;
    world.upstream.script(|_: &Seen| {
        Act::Talk(Box::new(|wire| {
            let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst";
            wire.write_all(switching.as_bytes()).unwrap();
            let mut got = [0; 6];
            wire.read_exact(&mut got).unwrap();
            wire.write_all(&got).unwrap();
        }))
    });
    let mut raw = world.raw().await;
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    raw.write(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    assert_eq!(raw.until(b"first").await.unwrap(), b"first");
    raw.write("second").await;
    assert_eq!(raw.read_to_end().await, b"second");
}

/// Answers one request, closes the connection without having said so, and then tells that it is closed.
fn answer_and_close(mut stream: TcpStream, tls: Option<&Arc<rustls::ServerConfig>>) -> Option<String> {
    let asked = match tls {
        None => exchange(&mut stream),
        Some(config) => {
            let mut session = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
            let asked = exchange(&mut rustls::Stream::new(&mut session, &mut stream));
            session.send_close_notify();
            session.write_tls(&mut stream).unwrap();
            asked
        }
    };
    stream.shutdown(Shutdown::Write).unwrap();
    asked
}

/// Reads one request, with a body of the length that it says, and sends the body back.
fn exchange(wire: &mut impl Wire) -> Option<String> {
    let (mut body, head) = head(wire)?;
    let length = head.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let read = body.len();
    body.resize(length, 0);
    wire.read_exact(&mut body[read..]).unwrap();
    wire.write_all(&answer("200 OK", &[], &body)).unwrap();
    wire.flush().unwrap();
    Some(head.lines().next().unwrap().to_owned())
}

#[tokio::test]
async fn kept_connections_that_the_application_closes_are_closed_and_cost_nothing() {
    let ca = Ca::new("Upstream CA");
    let leaf = ca.leaf(&["127.0.0.1"]).server_config();
    for tls in [None, Some(leaf)] {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (tell, mut answered) = unbounded_channel();
        let (address, mut closed) = application({
            let tls = tls.clone();
            move |mut stream: TcpStream| {
                let asked = answer_and_close(stream.try_clone().unwrap(), tls.as_ref());
                tell.send(asked).unwrap();
                // Whoever keeps a connection that was closed lets this wait.
                stream.read_to_end(&mut Vec::new()).is_ok()
            }
        });
        let mut setup = Setup::new(&format!("{scheme}://{address}")).public("/**");
        if tls.is_some() {
            setup = setup.file("upstream-ca.pem", &ca.pem()).with("upstream", "ca_file = \"upstream-ca.pem\"");
        }
        let gate = setup.start().await;
        for proto in BOTH {
            // One connection of a client stays on one worker, which has one shelf of kept connections.
            let mut sender = gate.get("/x").proto(proto).connect().await;
            for (at, (method, body)) in [("GET", ""), ("POST", "a body"), ("POST", ""), ("GET", ""), ("PUT", "another")].into_iter().enumerate() {
                let target = format!("/{at}");
                let got = gate.call(method, &target).proto(proto).body(body).send_on(&mut sender).await.unwrap();
                assert_eq!((got.status.as_u16(), got.text().as_str()), (200, body), "{method} {proto:?} {scheme}");
                let asked = within("the application's word", answered.recv()).await.unwrap();
                assert_eq!(asked.unwrap(), format!("{method} {target} HTTP/1.1").to_ascii_lowercase(), "none is sent twice");
                if at > 0 {
                    within("the end of the connection before", closed.recv()).await.unwrap();
                }
            }
            // The last one is on the shelf until the next request, or until the shelves are swept.
            gate.get("/last").proto(proto).send_on(&mut sender).await.unwrap();
            answered.recv().await.unwrap();
            within("the end of the last connection", closed.recv()).await.unwrap();
            drop(sender);
            if proto == BOTH[0] && tls.is_none() {
                within("the sweep", closed.recv()).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn an_idle_connection_ends_with_a_goodbye() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let ca = Ca::new("Upstream CA");
    let upstream = Upstream::tls(&ca.leaf(&["127.0.0.1"]));
    upstream.script(move |_| {
        let tell = tell.lock().unwrap().clone();
        Act::Talk(Box::new(move |wire| {
            wire.write_all(&answer("200 OK", &[], "hi")).unwrap();
            wire.flush().unwrap();
            // Without close_notify, rustls says that the end was unexpected.
            tell.send(wire.read(&mut [0; 1]).map_err(|error| error.kind())).unwrap();
        }))
    });
    let setup = Setup::new(&format!("https://{}", upstream.address)).public("/**");
    let setup = setup.file("upstream-ca.pem", &ca.pem()).with("upstream", "ca_file = \"upstream-ca.pem\"");
    let mut gate = setup.start().await;
    assert_eq!(gate.get("/x").send().await.text(), "hi");
    gate.signal("TERM");
    gate.ended().await;
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), Ok(0));
}

#[tokio::test]
async fn an_application_that_only_ever_hints_is_given_up() {
    let (address, _told) = application(|mut stream| {
        head(&mut stream).unwrap();
        while stream.write_all(&b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000)).is_ok() {}
    });
    let setup = Setup::new(&format!("http://{address}")).with("upstream", "response_timeout = \"300ms\"").public("/**");
    let gate = setup.start().await;
    let before = gate.memory();
    for proto in BOTH {
        assert_eq!(gate.get("/x").proto(proto).send().await.status, 504);
    }
    assert!(gate.memory() < before + 64 * 1024, "{} KiB", gate.memory() - before);
}

#[tokio::test]
async fn an_upload_that_the_application_takes_no_more_of_ends() {
    let (address, mut told) = application(|mut stream| {
        head(&mut stream).unwrap();
        stream.write_all(&answer("200 OK", &[], "early")).unwrap();
        // Nothing is read until the connection is broken off.
        loop {
            if let Some(error) = stream.take_error().unwrap() {
                return error.kind();
            }
            std::thread::yield_now();
        }
    });
    let setup = Setup::new(&format!("http://{address}")).with("upstream", "idle_timeout = \"300ms\"").public("/**");
    let gate = setup.start().await;
    let call = gate.call("POST", "/x");
    let (source, body) = fed();
    let mut sender = call.connect().await;
    tokio::spawn(async move { while source.send(Ok(Frame::data(Bytes::from(vec![0; 100_000])))).await.is_ok() {} });
    let answered = sender.send(call.request(body)).await.unwrap();
    assert_eq!(answered.status(), 200);
    assert_eq!(within("the end of the upload", told.recv()).await, Some(std::io::ErrorKind::ConnectionReset));
}
