//! Bodies stream both ways, answers arrive as they were given, and a broken one is seen to be broken.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;

use crate::support::client::{BOTH, Proto, empty, fed};
use crate::support::pki::Ca;
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::{Act, Talk, Upstream, Wire, answer};
use crate::support::within;
use crate::support::world::{PASSWORD, World};

/// A script that talks as long as the test says, once.
fn talk(once: impl FnOnce(&mut dyn Wire) + Send + 'static) -> impl Fn(&crate::support::upstream::Seen) -> Act + Send + Sync {
    let once: Mutex<Option<Talk>> = Mutex::new(Some(Box::new(once)));
    move |_| once.lock().unwrap().take().map_or(Act::Echo, Act::Talk)
}

fn paced(head: &'static [u8], pieces: &'static [&'static [u8]], pace: Receiver<()>) -> impl FnOnce(&mut dyn Wire) + Send {
    move |wire| {
        wire.write_all(head).unwrap();
        for piece in pieces {
            wire.write_all(piece).unwrap();
            wire.flush().unwrap();
            pace.recv().unwrap();
        }
    }
}

#[tokio::test]
async fn each_piece_of_an_answer_arrives_before_the_next_is_written() {
    let world = World::start().await;
    for proto in BOTH {
        let (go, pace) = channel();
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        world.upstream.script(talk(paced(head, &[b"9\r\ndata: 1\n\n\r\n", b"9\r\ndata: 2\n\n\r\n", b"0\r\n\r\n"], pace)));
        let call = world.get("/public/events").proto(proto);
        let mut sender = call.connect().await;
        let mut body = sender.send(call.request(empty())).await.unwrap().into_body();
        for expected in ["data: 1\n\n", "data: 2\n\n"] {
            let frame = within("an event", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), expected);
            go.send(()).unwrap();
        }
        go.send(()).unwrap();
        assert!(within("the end", body.frame()).await.is_none_or(|frame| frame.is_ok()));
    }
}

#[tokio::test]
async fn each_piece_of_a_request_arrives_before_the_next_is_sent() {
    let world = World::start().await;
    for proto in BOTH {
        let call = world.call("POST", "/basic/up").proto(proto).basic("bob", PASSWORD);
        let (source, body) = fed();
        let mut sender = call.connect().await;
        let base = {
            let mut base = 0;
            world
                .upstream
                .until("nothing", |record| {
                    base = record.body_bytes;
                    true
                })
                .await;
            base
        };
        let request = call.request(body);
        let sending = tokio::spawn(async move { (sender.send(request).await, sender) });
        for (at, piece) in ["first", "second"].into_iter().enumerate() {
            source.send(Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).await.unwrap();
            let expected = base + [5, 11][at];
            world.upstream.until("a piece of the request", |record| record.body_bytes == expected).await;
        }
        drop(source);
        assert_eq!(within("the answer", sending).await.unwrap().0.unwrap().status(), 200);
        assert_eq!(world.upstream.only().body, b"firstsecond");
    }
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    let world = World::start().await;
    for proto in BOTH {
        world.upstream.script(|_| Act::Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n".to_vec()));
        let head = world.call("HEAD", "/public/x").proto(proto).send().await;
        assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "1234", 0));
        for (status, bytes) in [(204, "HTTP/1.1 204 No Content\r\n\r\n"), (304, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")] {
            world.upstream.script(move |_| Act::Reply(bytes.as_bytes().to_vec()));
            for _ in 0..2 {
                let answer = world.get("/public/x").proto(proto).send().await;
                assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0));
            }
        }
    }
}

#[tokio::test]
async fn repeated_headers_of_an_answer_stay_apart_and_in_order() {
    let world = World::start().await;
    world
        .upstream
        .script(|_| Act::Reply(answer("201 Created", &["Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "Vary: A", "Vary: B", "Location: /x"], "ok")));
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).send().await;
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(cookies, ["a=1; Path=/", "b=2"]);
        assert_eq!((answer.status.as_u16(), answer.header("location"), answer.text().as_str()), (201, "/x", "ok"));
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_only_when_it_may() {
    let world = World::start().await;
    let (_, authorization) = &world.good("basic", "POST", "/basic/x")[0];
    let head =
        |path: &str, line: &str, expect: &str| format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{line}Content-Length: 5\r\nExpect: {expect}\r\n\r\n");

    let mut raw = world.raw().await;
    raw.write(head("/basic/x", &format!("Authorization: {authorization}\r\n"), "100-continue")).await;
    assert_eq!(raw.answer().await.unwrap().status, 100);
    raw.write("hello").await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    let seen = world.upstream.only();
    assert_eq!(seen.body, b"hello");

    let mut raw = world.raw().await;
    raw.write(head("/basic/x", "", "100-continue")).await;
    let refused = raw.answer().await.unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.head.to_lowercase().contains("\r\nconnection: close\r\n"), "it is told that the connection ends: {}", refused.head);
    assert!(raw.read_to_end().await.is_empty());
    let mut raw = world.raw().await;
    raw.write(head("/public/x", "", "200-maybe")).await;
    raw.write("hello").await;
    assert_eq!(raw.answer().await.unwrap().status, 417);
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn trailers_of_an_answer_reach_the_client() {
    let world = World::start().await;
    let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n".to_vec();
    world.upstream.script(move |_| Act::Reply(bytes.clone()));
    let answer = world.get("/public/x").proto(Proto::H2).send().await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "42");
    let mut raw = world.raw().await;
    raw.write(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nConnection: TE\r\n\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().body, b"ok");
}

#[tokio::test]
async fn a_client_that_asks_first_over_http2_is_served_when_it_sends_without_being_told() {
    let world = World::start().await;
    // The HTTP library cannot send an interim answer there; nobody may wait for one for ever (RFC 9110 section 10.1.1).
    let body = vec![b'x'; 3 << 20];
    let answer =
        world.call("POST", "/basic/x").proto(Proto::H2).basic("bob", PASSWORD).header("expect", "100-continue").body(body.clone()).send().await;
    assert_eq!(answer.status, 200);
    let seen = world.upstream.only();
    assert_eq!(seen.body_length, body.len() as u64);
    assert!(!seen.has("expect"));
    assert_eq!(world.call("POST", "/basic/x").proto(Proto::H2).header("expect", "100-continue").body("hello").send().await.status, 401);
    assert_eq!(world.call("POST", "/public/x").proto(Proto::H2).header("expect", "200-maybe").body("hello").send().await.status, 417);
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn trailers_named_like_what_the_application_is_told_do_not_reach_the_client() {
    let world = World::with(|setup| {
        setup.section("identity", "user_header = \"X-Remote-User\"\nalso_strip = [\"X-Also-Ours\"]\n[identity.headers]\n\"X-Mail\" = \"email\"")
    })
    .await;
    let names =
        ["X-Remote-User", "X_Remote_User", "x.remote.user", "X-Also-Ours", "X-Mail", "X-Forwarded-For", "Forwarded", "X-Real-IP", "Set-Cookie"];
    let lines: String = names.iter().map(|name| format!("{name}: bob\r\n")).collect();
    let bytes =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\n{lines}X-Sum: 42\r\nX-Sum-Of: 43\r\n\r\n");
    world.upstream.script(move |_| Act::Reply(bytes.clone().into_bytes()));
    for target in ["/public/x", "/basic/x"] {
        let answer = world.get(target).proto(Proto::H2).basic("bob", PASSWORD).send().await;
        let trailers = answer.trailers.unwrap();
        let mut left: Vec<&str> = trailers.keys().map(http::HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-sum", "x-sum-of"], "{target}");
        let mut raw = world.raw().await;
        let (_, authorization) = &world.good("basic", "GET", target)[0];
        raw.write(format!(
            "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"
        ))
        .await;
        let all = String::from_utf8_lossy(&raw.read_to_end().await).to_ascii_lowercase();
        assert!(all.ends_with("x-sum: 42\r\n\r\n") && !all.contains("bob"), "{all}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_whole() {
    let world = World::start().await;
    world.upstream.script(|_| Act::Close(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it".to_vec()));
    for proto in BOTH {
        assert_eq!(world.get("/public/x").proto(proto).send().await.text(), "all of it");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let world = World::start().await;
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfir",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nzz\r\n",
    ] {
        world.upstream.script(move |_| Act::Close(bytes.as_bytes().to_vec()));
        for proto in BOTH {
            let answer = world.get("/public/x").proto(proto).try_send().await;
            assert!(answer.as_ref().map_or(true, |answer| answer.status == 502), "{bytes:?} {proto:?}: {answer:?}");
        }
    }
    let line = world.access_line("a broken answer", |line| line["broken"] == true).await;
    assert_eq!(line["path"], "/public/x");
    world.upstream.script(|_| Act::Echo);
    assert_eq!(world.get("/public/x").send().await.status, 200);
}

#[tokio::test]
async fn an_application_that_is_down_is_502_and_a_slow_one_504() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = Setup::new(&format!("http://{gone}")).public("/**").start().await;
    let slow = Upstream::scripted(|_| Act::Hang);
    let late = Setup::new(&slow.url()).with("upstream", "response_timeout = \"500ms\"").public("/**").start().await;
    for proto in BOTH {
        let answer = down.get("/x").proto(proto).send().await;
        assert_eq!(answer.status, 502);
        assert!(!answer.text().contains(&gone.port().to_string()));
        assert_eq!(late.get("/x").proto(proto).send().await.status, 504);
    }
    slow.until("the gateway hanging up", |record| record.hung_up == 2).await;
}

#[tokio::test]
async fn an_application_that_hangs_up_at_once_is_502() {
    let world = World::start().await;
    for bytes in ["", "HTTP/1.1 200 OK\r\nContent-", "\r\n\r\n"] {
        world.upstream.script(move |_| Act::Close(bytes.as_bytes().to_vec()));
        for (method, proto) in [("GET", Proto::H1), ("POST", Proto::H2)] {
            assert_eq!(world.call(method, "/public/x").proto(proto).send().await.status, 502, "{bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_application_closed_costs_no_request() {
    let world = World::start().await;
    world.upstream.script(|_| Act::Close(answer("200 OK", &[], "bye")));
    for at in 0..20 {
        let answer = world.get(&format!("/public/{at}")).send().await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "bye"), "{at}");
    }
    assert_eq!(world.upstream.count(), 20, "no request was sent twice");
}

#[tokio::test]
async fn connections_to_the_application_are_kept() {
    let world = World::start().await;
    let call = world.get("/public/x");
    let mut sender = call.connect().await;
    for _ in 0..30 {
        assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
    }
    assert_eq!(world.upstream.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_ntlm_or_negotiate_may_bind_serves_no_other_request() {
    let world = World::with(|setup| setup.rest("[[route]]\npath = \"/passed/**\"\naccess = \"public\"\nforward_credentials = true")).await;
    // One client's connection: each worker keeps connections of its own.
    let mut sender = world.get("/public/next").connect().await;
    let mut opened = 1;
    for (target, authorization, kept) in [
        ("/passed/x", "Negotiate YII=", false),
        ("/passed/x", "ntlm TlRM", false),
        ("/passed/x", "Bearer negotiated", true),
        ("/public/x", "Negotiate YII=", true), // not passed on
    ] {
        world.get(target).header("authorization", authorization).send_on(&mut sender).await.unwrap();
        assert_eq!(world.upstream.connections(), opened);
        opened += usize::from(!kept);
        world.get("/public/next").send_on(&mut sender).await.unwrap();
        assert_eq!(world.upstream.connections(), opened, "{target} {authorization}");
    }
    for (line, kept) in [("WWW-Authenticate: NTLM", false), ("www-authenticate: Basic realm=x, Negotiate", false), ("WWW-Authenticate: Basic", true)]
    {
        world.upstream.script(move |_| Act::Reply(answer("401 Unauthorized", &[line], "who?")));
        assert_eq!(world.get("/public/x").send_on(&mut sender).await.unwrap().status, 401);
        assert_eq!(world.upstream.connections(), opened);
        world.upstream.script(|_| Act::Echo);
        opened += usize::from(!kept);
        world.get("/public/next").send_on(&mut sender).await.unwrap();
        assert_eq!(world.upstream.connections(), opened, "{line}");
    }
}

#[tokio::test]
async fn answers_never_reach_another_user() {
    let world = Arc::new(World::start().await);
    let carol = world.key.token(&crate::support::idp::claims("carol"));
    let one = async |at: usize| {
        let target = format!("/any/{at}");
        let call = world.get(&target).proto(BOTH[at % 2]);
        let (call, user) = if at.is_multiple_of(3) { (call.bearer(&carol), "carol") } else { (call.bearer(&world.token), "tom") };
        let json = call.send().await.json();
        assert_eq!(json["target"], target.as_str());
        assert!(json["lines"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().to_lowercase() == format!("x-forwarded-user: {user}")));
    };
    for start in (0..400).step_by(40) {
        futures_util::future::join_all((start..start + 40).map(one)).await;
    }
    assert_eq!(world.upstream.count(), 400);
}

#[tokio::test]
async fn early_answers_of_the_application_are_not_taken_for_the_final_one() {
    let world = World::start().await;
    world.upstream.script(|_| {
        Act::Reply([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_vec(), answer("200 OK", &[], "final")].concat())
    });
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "final"));
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_upstream() {
    let world = World::start().await;
    world.upstream.script(|_| Act::Hang);
    for (at, proto) in BOTH.into_iter().enumerate() {
        let call = world.get("/public/x").proto(proto);
        let task = tokio::spawn(call.try_send());
        world.upstream.until("the request", |record| record.total == at + 1).await;
        task.abort();
        let _ = task.await;
        if proto == Proto::H1 {
            // Aborting a task does not close a connection that another task drives; this one does.
            let mut raw = world.raw().await;
            raw.write(format!("GET /public/y HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
            world.upstream.until("the second request", |record| record.total >= 2).await;
            drop(raw);
            world.upstream.until("the gateway hanging up", |record| record.hung_up >= 1).await;
            return;
        }
    }
}

#[tokio::test]
async fn an_application_over_tls_is_verified() {
    let ca = Ca::new("Upstream CA");
    let (good, wrong, over) = (ca.leaf(&["127.0.0.1"]), ca.leaf(&["other.example"]), ca.expired_leaf(&["127.0.0.1"]));
    let stranger = Ca::new("Another CA").leaf(&["127.0.0.1"]);
    for (what, leaf, expected) in [("good", &good, 200), ("wrong name", &wrong, 502), ("expired", &over, 502), ("another authority", &stranger, 502)]
    {
        let upstream = Upstream::tls(leaf);
        let url = format!("https://{}", upstream.address);
        let gate = Setup::new(&url).file("upstream-ca.pem", &ca.pem()).with("upstream", "ca_file = \"upstream-ca.pem\"").public("/**").start().await;
        for proto in BOTH {
            assert_eq!(gate.get("/x").proto(proto).send().await.status, expected, "{what}");
        }
        assert_eq!(upstream.count(), if expected == 200 { 2 } else { 0 }, "{what}");
    }
    // Without ca_file, the system's authorities are asked, and they do not know this one.
    let upstream = Upstream::tls(&good);
    let gate = Setup::new(&format!("https://{}", upstream.address)).public("/**").start().await;
    assert_eq!(gate.get("/x").send().await.status, 502);
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn an_application_on_a_unix_socket_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let upstream = Upstream::unix(&path);
    let gate = Setup::new(&format!("unix:{}", path.display())).public("/**").start().await;
    for proto in BOTH {
        assert_eq!(gate.call("POST", "/x?y").proto(proto).body("hello").send().await.status, 200);
        let seen = upstream.only();
        assert_eq!((seen.target.as_str(), seen.body.as_slice(), seen.one("host")), ("/x?y", b"hello".as_slice(), HOST));
    }
}

#[tokio::test]
async fn many_ranges_pass_as_they_are() {
    let world = World::start().await;
    let ranges = (0..200).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
    world.get("/public/x").header("Range", format!("bytes={ranges}")).send().await;
    assert_eq!(world.upstream.only().one("range"), format!("bytes={ranges}"));
}

#[tokio::test]
async fn the_access_log_tells_what_happened() {
    let world = World::start().await;
    world.call("POST", "/basic/x?secret=1").basic("bob", PASSWORD).body("12345").send().await;
    let line = world.access_line("the request", |line| line["path"] == "/basic/x").await;
    assert_eq!((line["method"].as_str(), line["status"].as_u64(), line["user"].as_str()), (Some("POST"), Some(200), Some("bob")));
    assert_eq!((line["scheme"].as_str(), line["route"].as_str(), line["code"].as_str()), (Some("staff"), Some("/basic/**"), Some("ok")));
    assert_eq!((line["host"].as_str(), line["bytes_in"].as_u64()), (Some(HOST), Some(5)));
    assert_eq!(line["request_id"].as_str(), Some(world.upstream.only().one("x-request-id")));
    assert!(line["total_ms"].as_f64() >= line["upstream_ms"].as_f64() && line["bytes_out"].as_u64() > Some(0), "{line}");
    assert!(!world.output().contains("secret=1"));
}
