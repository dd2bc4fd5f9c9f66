//! Headers of one hop end at that hop, and no client uses them to take others away.

use crate::support::client::BOTH;
use crate::support::upstream::{Act, answer};
use crate::support::world::World;

const PREFIX: &str = "GET /public/x HTTP/1.1\r\nHost: app.example.com\r\n";

#[tokio::test]
async fn headers_of_one_hop_are_not_forwarded() {
    let world = World::start().await;
    for line in [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: Basic",
        "TE: trailers, deflate",
        "Trailer: X-Sum",
        "Upgrade: h2c",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: upgrade\r\nUpgrade: TLS/1.0",
    ] {
        let mut raw = world.raw().await;
        raw.write(format!("{PREFIX}{line}\r\n\r\n")).await;
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 200 | 400), "{line}: {}", answer.head);
        for seen in world.upstream.take() {
            for name in ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "trailer", "upgrade", "http2-settings"] {
                assert!(!seen.has(name), "{name}: {:#?}", seen.lines);
            }
            assert!(seen.all("te").iter().all(|value| *value == "trailers"), "{:#?}", seen.lines);
            assert!(seen.all("connection").iter().all(|value| value.eq_ignore_ascii_case("keep-alive")), "{:#?}", seen.lines);
        }
    }
    assert!(world.upstream.count() > 0);
}

#[tokio::test]
async fn a_header_that_connection_names_ends_here() {
    let world = World::start().await;
    for line in ["Connection: X-Private", "connection: close,\t x-PRIVATE ", "Connection: a\r\nConnection: b, x-private"] {
        let mut raw = world.raw().await;
        raw.write(format!("{PREFIX}X-Private: 1\r\nX-Kept: 2\r\n{line}\r\n\r\n")).await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{line}");
        let seen = world.upstream.only();
        assert!(!seen.has("x-private") && seen.one("x-kept") == "2", "{line}: {:#?}", seen.lines);
    }
}

#[tokio::test]
async fn connection_takes_neither_host_nor_framing_nor_the_credential_away() {
    let world = World::with(|setup| setup.with("limits", "header_timeout = \"1s\"\nbody_timeout = \"1s\"")).await;
    let (_, authorization) = &world.good("basic", "POST", "/basic/x")[0];
    for named in ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "host, CONTENT-length, authorization, cookie", ":authority", ","] {
        let raw = world.raw().await;
        let statuses = raw
            .statuses(format!(
                "POST /basic/x HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: {authorization}\r\nConnection: {named}\r\n\
                 Content-Length: 34\r\n\r\nGET /public/smuggled HTTP/1.1\r\n\r\nxx"
            ))
            .await;
        assert_eq!(statuses.len(), 1, "{named}: {statuses:?}");
        assert!(matches!(statuses[0], 200 | 400 | 401), "{named}: {statuses:?}");
        for seen in world.upstream.take() {
            assert_eq!((seen.target.as_str(), seen.body_length, seen.user()), ("/basic/x", 34, Some("bob")), "{named}");
            assert_eq!(seen.one("host"), "app.example.com");
        }
    }
    world.upstream.assert_canonical();
}

#[tokio::test]
async fn headers_of_the_upstream_hop_do_not_reach_the_client() {
    let world = World::start().await;
    world.upstream.script(|_| {
        let headers = [
            "Connection: X-Internal, keep-alive",
            "Keep-Alive: timeout=99",
            "X-Internal: secret",
            "Proxy-Authenticate: Basic",
            "Upgrade: h2c",
            "X-Kept: 1",
        ];
        Act::Reply(answer("200 OK", &headers, "ok"))
    });
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-kept"), answer.text().as_str()), (200, "1", "ok"));
        for name in ["keep-alive", "x-internal", "upgrade", "proxy-authenticate"] {
            assert!(!answer.headers.contains_key(name), "{name}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn what_the_application_is_told_of_the_caller_is_not_told_on() {
    let world = World::with(|setup| setup.with("identity", "user_header = \"X-Remote-User\"\nalso_strip = [\"X-Secret-Name\"]")).await;
    world.upstream.script(|_| {
        let headers =
            ["X-Remote-User: alice", "X-Secret-Name: alice", "X-Forwarded-User: alice", "X-Doorward-Signature: v1;t=1;k=k;s=s", "X-Kept: 1"];
        Act::Reply(answer("200 OK", &headers, "ok"))
    });
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-kept")), (200, "1"));
        for name in ["x-remote-user", "x-secret-name", "x-forwarded-user", "x-doorward-signature"] {
            assert!(!answer.headers.contains_key(name), "{name}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn cookies_that_http2_split_arrive_as_one_line() {
    let world = World::start().await;
    let call = world.get("/public/x").proto(crate::support::client::Proto::H2);
    call.header("cookie", "a=1").header("cookie", "b=2; c=3").send().await;
    assert_eq!(world.upstream.only().one("cookie"), "a=1; b=2; c=3");
}
