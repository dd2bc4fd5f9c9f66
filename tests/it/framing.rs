//! A message has one meaning, or none: what could be cut into requests in two ways is refused, and the application
//! never sees a request that was not let in.

use crate::support::client::{BOTH, Raw};
use crate::support::setup::HOST;
use crate::support::upstream::{Act, answer};
use crate::support::world::World;

async fn world() -> World {
    World::with(|setup| setup.with("limits", "header_timeout = \"1s\"\nbody_timeout = \"1s\"")).await
}

const SMUGGLED: &str = "GET /public/smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n";

/// Each is sent as it stands; the answer is an error or the end of the connection, and nothing is forwarded.
const REFUSED: &[&str] = &[
    // Content-Length
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: +3\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 03\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 0x3\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3, 3\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length:\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: -1\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3 3\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 00\r\n\r\n",
    "POST /public/x HTTP/1.0\r\nHost: app.example.com\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    // Content-Length beside Transfer-Encoding
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nContent-Length: 0\r\nHost: app.example.com\r\nTRANSFER-ENCODING: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Transfer-Encoding
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /public/x HTTP/1.0\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Hosts
    "GET /public/x HTTP/1.1\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nHost: evil.example\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com,evil.example\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: user@app.example.com\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com/x?y\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com:99999\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com:\r\nHost: x\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app example.com\r\n\r\n",
    "GET http://evil.example/public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET https://app.example.com/public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET https://user:pw@app.example.com/public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    // Targets and methods
    "GET * HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET app.example.com:443 HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "CONNECT app.example.com:443 HTTP/1.1\r\nHost: app.example.com:443\r\n\r\n",
    "CONNECT /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "TRACE /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "TRACK /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "get /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "G@T /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /public/x y HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET  /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET\t/public/x\tHTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x HTTP/1.2\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x HTTP/2.0\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x http/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x\x00 HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET /public/\x7f HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x#y HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x?y#z HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "GET /public/x#/../admin HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    // Lines
    "GET /public/x HTTP/1.1\nHost: app.example.com\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\nX: y\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\n\n",
    "GET /public/x HTTP/1.1\nHost: app.example.com\n\n",
    "\nGET /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    "\r\n\r\nGET /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    // Header syntax
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX: a\rb\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX: a\x00b\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX : y\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\n: y\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX: y\r\n folded\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX(: y\r\n\r\n",
    "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
];

/// The head is well, the body is not: the application may see the request begin, and then its connection break.
const BROKEN_BODIES: &[&str] = &[
    "-1\r\nabc\r\n0\r\n\r\n",
    "+3\r\nabc\r\n0\r\n\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    "3 3\r\nabc\r\n0\r\n\r\n",
    "3\nabc\r\n0\r\n\r\n",
    "3 \r\nabc\r\n0\r\n\r\n",
    "3 ;a=b\r\nabc\r\n0\r\n\r\n",
    "3;a\0\r\nabc\r\n0\r\n\r\n",
    "00000000000000003\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nX: y\nZ: w\r\n\r\n",
    "3\r\nabc\r\n0\r\n\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "3;a=\nb\r\nabc\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
    "3\r\nab",
];

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_not_forwarded() {
    let world = world().await;
    for request in REFUSED {
        let answers = world.raw().await.answers(request).await;
        assert!(answers.iter().all(|answer| (400..=505).contains(&answer.status)), "{request:?}: {answers:#?}");
        assert_eq!(world.upstream.count(), 0, "{request:?}: {:#?}", world.upstream.take());
    }
}

#[tokio::test]
async fn nothing_after_a_refused_request_is_taken_for_another_one() {
    let world = world().await;
    for request in REFUSED {
        let answers = world.raw().await.answers(format!("{request}{SMUGGLED}")).await;
        assert!(world.upstream.take().is_empty() && answers.len() <= 1, "{request:?}: {answers:#?}");
    }
}

/// These would be served had nobody looked at their bytes; they get an answer like any other refusal.
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    ("POST /public/x HTTP/1.1\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed_framing"),
    ("POST /public/x HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "malformed_framing"),
    ("POST /public/x HTTP/1.1\r\n", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "malformed_framing"),
    ("POST /public/x HTTP/1.1\r\n", "Content-Length: 03\r\n\r\nabc", "malformed_framing"),
    ("POST /public/x HTTP/1.1\r\n", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "malformed_framing"),
    ("POST /public/x HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed_framing"),
    ("\r\n\r\nGET /public/x HTTP/1.1\r\n", "\r\n", "malformed_framing"),
    ("GET /public/x#y HTTP/1.1\r\n", "\r\n", "malformed_target"),
    ("GET /public/x HTTP/1.1\n", "\r\n", "malformed_header"),
    ("GET /public/x HTTP/1.1\r\n", "X: y\n\n", "malformed_header"),
];

#[tokio::test]
async fn an_ambiguous_head_is_answered_logged_and_counted_like_any_refusal() {
    let world = world().await;
    for (at, (line, rest, code)) in AMBIGUOUS.iter().enumerate() {
        // Behind a good request on the same connection, and before another.
        let good = format!("GET /public/first-{at} HTTP/1.1\r\nHost: app.example.com\r\n\r\n");
        let answers = world.raw().await.answers(format!("{good}{line}Host: app.example.com\r\n{rest}{SMUGGLED}")).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 400], "{line:?} {rest:?}");
        assert_eq!(answers[1].header("connection"), Some("close"), "{line:?} {rest:?}");
        let body: serde_json::Value = serde_json::from_slice(&answers[1].body).unwrap();
        assert_eq!(body["error"], *code, "{line:?} {rest:?}");
        let id = body["request_id"].as_str().unwrap().to_owned();
        let logged = world.access_line("the refusal", |entry| entry["request_id"] == id).await;
        assert_eq!((logged["code"].as_str(), logged["status"].as_u64()), (Some(*code), Some(400)), "{logged}");
        let targets: Vec<String> = world.upstream.take().into_iter().map(|seen| seen.target).collect();
        assert_eq!(targets, [format!("/public/first-{at}")]);
    }
    let metrics = world.admin("/metrics").send().await.text();
    for code in ["malformed_framing", "malformed_target", "malformed_header"] {
        let wanted = AMBIGUOUS.iter().filter(|(_, _, expected)| *expected == code).count();
        assert!(metrics.contains(&format!("doorward_rejections_total{{code=\"{code}\"}} {wanted}\n")), "{metrics}");
    }
}

#[tokio::test]
async fn an_ambiguous_head_is_found_however_it_is_cut() {
    let world = world().await;
    let request = "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for size in [1, 7, 40] {
        let mut raw = world.raw().await;
        for piece in request.as_bytes().chunks(size) {
            // Each is a TLS record of its own, and so a read of its own.
            raw.write(piece).await;
        }
        assert_eq!(raw.answer().await.unwrap().status, 400, "{size}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_credential_does_not_help_an_ambiguous_request() {
    let world = world().await;
    for (_, good) in world.good("basic", "POST", "/basic/x") {
        for (line, rest, _) in AMBIGUOUS {
            let line = line.replace("/public/", "/basic/");
            let answers = world.raw().await.answers(format!("{line}Host: app.example.com\r\nAuthorization: {good}\r\n{rest}{SMUGGLED}")).await;
            assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [400], "{line:?} {rest:?}");
        }
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_listener_on_a_socket_file_is_as_strict() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("https.sock");
    let also = format!("https = [\"127.0.0.1:0\", \"unix:{}\"]\nhttp = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"", path.display());
    let world = World::with(|setup| setup.section("listen", &also).with("limits", "header_timeout = \"1s\"")).await;
    for (line, rest, _) in AMBIGUOUS {
        let raw = Raw::unix(&path, HOST, world.setup.ca.client_config(&[b"http/1.1"])).await;
        let answers = raw.answers(format!("{line}Host: app.example.com\r\n{rest}{SMUGGLED}")).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [400], "{line:?} {rest:?}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn the_listeners_without_tls_are_as_strict() {
    let world = world().await;
    for (line, rest, _) in AMBIGUOUS {
        for address in [world.http.unwrap(), world.admin.unwrap()] {
            let bytes = format!("{}Host: app.example.com\r\n{rest}GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", line.replace("/public/x", "/livez"));
            let answers = Raw::tcp(address).await.answers(bytes).await;
            assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [400], "{line:?} {rest:?}");
        }
    }
}

#[tokio::test]
async fn broken_chunks_break_the_connection_to_the_application_too() {
    let world = world().await;
    for body in BROKEN_BODIES {
        let head = "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
        let before = world.upstream.connections();
        let answers = world.raw().await.answers(format!("{head}{body}{SMUGGLED}")).await;
        assert!(answers.len() <= 1 && answers.iter().all(|answer| (400..=505).contains(&answer.status)), "{body:?}: {answers:#?}");
        // A half request may have begun there; the next one must not come on the same connection.
        world.get("/public/after").send().await;
        let seen = world.upstream.take();
        let after = seen.iter().find(|seen| seen.target == "/public/after").unwrap();
        assert!(seen.iter().all(|seen| seen.target != "/public/smuggled"), "{body:?}: {seen:#?}");
        assert!(!seen.iter().any(|other| other.target == "/public/x" && other.connection == after.connection), "{body:?} {before}: {seen:#?}");
    }
    world.upstream.assert_canonical();
}

#[tokio::test]
async fn what_the_gateway_forwards_is_framed_in_the_only_way() {
    let world = world().await;
    for (request, length) in [
        ("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\n\r\nabc", 3),
        ("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 3),
        ("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\n\r\n003;x=y\r\nabc\r\n0\r\n\r\n", 3),
        ("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 0\r\n\r\n", 0),
        ("GET /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 0),
        ("\r\nGET /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 0),
        ("OPTIONS /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 0),
    ] {
        let mut raw = world.raw().await;
        raw.write(request).await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{request:?}");
        let seen = world.upstream.only();
        assert_eq!((seen.target.as_str(), seen.body_length), ("/public/x", length), "{request:?}");
        assert!(seen.method != "GET" || !(seen.has("content-length") || seen.has("transfer-encoding")), "{request:?}: {:?}", seen.lines);
    }
    for proto in BOTH {
        world.call("POST", "/public/x").proto(proto).body("hello").send().await;
        assert_eq!(world.upstream.only().body, b"hello");
    }
    world.upstream.assert_canonical();
}

#[tokio::test]
async fn pipelined_requests_are_each_let_in_for_themselves() {
    let world = world().await;
    let (_, good) = &world.good("basic", "GET", "/basic/1")[0];
    let one = |target: &str, line: &str| format!("GET {target} HTTP/1.1\r\nHost: app.example.com\r\n{line}\r\n");
    let bytes =
        [one("/basic/1", &format!("Authorization: {good}\r\n")), one("/basic/2", ""), one("/basic/3", "Authorization: Basic eDp5\r\n")].concat();
    let statuses = world.raw().await.statuses(bytes).await;
    assert_eq!(statuses.first(), Some(&200));
    assert!(statuses[1..].iter().all(|status| *status == 401), "{statuses:?}");
    let targets: Vec<String> = world.upstream.take().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/basic/1"]);
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_never_taken_for_a_request() {
    let world = world().await;
    for line in ["Content-Length: 200", "Content-Length: 59", "Transfer-Encoding: chunked", "Content-Length: 200\r\nExpect: 100-continue"] {
        let head = format!("POST /basic/x HTTP/1.1\r\nHost: app.example.com\r\n{line}\r\n\r\n");
        let statuses = world.raw().await.statuses(format!("{head}{SMUGGLED}")).await;
        assert!(!statuses.contains(&200), "{line}: {statuses:?}");
        assert_eq!(world.upstream.count(), 0, "{line}");
    }
}

#[tokio::test]
async fn an_application_whose_answer_can_be_read_in_two_ways_is_not_believed() {
    let world = world().await;
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        "garbage\r\n\r\n",
        "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
    ] {
        let bytes = head.as_bytes().to_vec();
        world.upstream.script(move |_| Act::Reply(bytes.clone()));
        for proto in BOTH {
            let answer = world.get("/public/x").proto(proto).send().await;
            assert_eq!(answer.status.as_u16(), 502, "{head:?}");
        }
        world.upstream.script(|_| Act::Reply(answer("200 OK", &[], "fresh")));
        let after = world.get("/public/x").send().await;
        assert_eq!((after.status.as_u16(), after.text().as_str()), (200, "fresh"), "{head:?}");
    }
}
