//! WebSockets: the gate first, then a tunnel of bytes, and only after the application agreed.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::support::client::handshake;
use crate::support::idp::claims_but;
use crate::support::setup::HOST;
use crate::support::upstream::{Act, Seen, Wire, answer};
use crate::support::world::{PASSWORD, World, basic};
use crate::support::{now, within};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn request(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

fn switching(accept: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
}

/// Agrees, and sends every byte back.
fn echo(wire: &mut dyn Wire) {
    wire.write_all(switching(ACCEPT).as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = wire.read(&mut buffer) {
        if length == 0 || wire.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

fn credential() -> String {
    let (name, value) = &basic("bob", PASSWORD)[0];
    format!("{name}: {value}\r\n")
}

async fn world() -> World {
    let world = World::with(|setup| setup.with("limits", "header_timeout = \"2s\"")).await;
    world.upstream.script(|_| Act::Talk(Box::new(echo)));
    world
}

#[tokio::test]
async fn messages_pass_both_ways_after_the_gate() {
    let world = World::start().await;
    world.upstream.script(|seen: &Seen| {
        let key = seen.one("sec-websocket-key").to_owned();
        Act::Talk(Box::new(move |wire| {
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            wire.write_all(switching(&accept).as_bytes()).unwrap();
            let mut socket = WebSocket::from_raw_socket(wire, Role::Server, None);
            while let Ok(message) = socket.read() {
                if message.is_close() || socket.send(message).is_err() {
                    return;
                }
            }
        }))
    });
    let stream = tokio::net::TcpStream::connect(world.https).await.unwrap();
    let tls = handshake(stream, HOST, world.setup.ca.client_config(&[b"http/1.1"])).await;
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!("wss://{HOST}/basic/socket")).unwrap();
    request.headers_mut().insert("authorization", basic("bob", PASSWORD)[0].1.parse().unwrap());
    let (mut socket, response) = within("the upgrade", tokio_tungstenite::client_async(request, tls)).await.unwrap();
    assert_eq!(response.status(), 101);
    for text in ["hello", &"long ".repeat(20_000)] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap().into_text().unwrap(), text);
    }
    let seen = world.upstream.only();
    assert_eq!(seen.user(), Some("bob"));
    assert!(!seen.has("authorization"));
    assert_eq!(seen.one("upgrade").to_ascii_lowercase(), "websocket");
    assert_eq!(seen.one("connection").to_ascii_lowercase(), "upgrade");
}

#[tokio::test]
async fn without_a_credential_there_is_no_tunnel() {
    let world = world().await;
    for lines in ["", "Authorization: Basic eDp5\r\n", "X-Forwarded-User: bob\r\n"] {
        let mut raw = world.raw().await;
        raw.write(request("/basic/socket", lines)).await;
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 400 | 401), "{}", answer.head);
        raw.write("GET /basic/more HTTP/1.1\r\nHost: app.example.com\r\n\r\n").await;
        assert!(raw.answer().await.is_none_or(|answer| answer.status == 401));
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn bytes_pass_both_ways_until_either_side_ends() {
    let world = world().await;
    let mut raw = world.raw().await;
    raw.write(request("/basic/socket", &credential())).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.status, 101, "{}", answer.head);
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert!(answer.header("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
    for text in ["one", "GET /basic/x HTTP/1.1\r\n\r\n"] {
        raw.write(text).await;
        assert_eq!(raw.until(text.as_bytes()).await.unwrap(), text.as_bytes());
    }
    assert_eq!(world.upstream.count(), 1);

    world.upstream.script(|_| {
        Act::Talk(Box::new(|wire| {
            wire.write_all(switching(ACCEPT).as_bytes()).unwrap();
            wire.write_all(b"bye").unwrap();
        }))
    });
    let mut raw = world.raw().await;
    raw.write(request("/basic/socket", &credential())).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    assert_eq!(raw.read_to_end().await, b"bye");
}

#[tokio::test]
async fn an_application_that_refuses_gets_no_bytes_of_the_tunnel() {
    let world = world().await;
    world.upstream.script(|seen| if seen.target == "/basic/socket" { Act::Reply(answer("403 Forbidden", &[], "no sockets")) } else { Act::Echo });
    let mut raw = world.raw().await;
    raw.write(format!("{}GET /basic/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n", request("/basic/socket", &credential()))).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (403, b"no sockets".as_slice()));
    assert!(raw.answer().await.is_none_or(|answer| answer.status == 401));
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn an_application_that_switches_to_something_else_is_not_believed() {
    let world = world().await;
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n".to_owned(),
    ] {
        let bytes = head.clone();
        world.upstream.script(move |_| Act::Close(bytes.clone().into_bytes()));
        let mut raw = world.raw().await;
        raw.write(request("/basic/socket", &credential())).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, 502, "{head}: {}", answer.head);
    }
    world.upstream.script(|_| Act::Close(switching(ACCEPT).into_bytes()));
    assert_eq!(world.get("/public/x").send().await.status, 502, "nobody asked to switch");
}

#[tokio::test]
async fn whatever_is_not_a_websocket_handshake_is_no_upgrade() {
    let world = world().await;
    world.upstream.script(|_| Act::Echo);
    let good = request("/basic/socket", &credential());
    for (what, bytes) in [
        ("POST", good.replacen("GET", "POST", 1)),
        ("HTTP/1.0", good.replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("no key", good.replace("Sec-WebSocket-Key", "X-Key")),
        ("no version", good.replace("Sec-WebSocket-Version", "X-Version")),
        ("another version", good.replace("Version: 13", "Version: 8")),
        ("two keys", good.replace("Sec-WebSocket-Key:", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key:")),
        ("h2c", good.replace("Upgrade: websocket", "Upgrade: h2c")),
        ("h2c too", good.replace("Upgrade: websocket", "Upgrade: websocket, h2c")),
        ("TLS", good.replace("Upgrade: websocket", "Upgrade: TLS/1.0")),
        ("not named", good.replace("Connection: Upgrade", "Connection: keep-alive")),
    ] {
        let mut raw = world.raw().await;
        raw.write(bytes).await;
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 200 | 400 | 405 | 426), "{what}: {}", answer.head);
        for seen in world.upstream.take() {
            assert!(!seen.has("upgrade") && !seen.lines.join("\n").to_lowercase().contains("h2c"), "{what}: {:#?}", seen.lines);
        }
    }
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_is_closed() {
    let world = World::with(|setup| setup.with("upstream", "idle_timeout = \"1s\"")).await;
    world.upstream.script(|_| Act::Talk(Box::new(echo)));
    let mut raw = world.raw().await;
    raw.write(request("/basic/socket", &credential())).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    assert!(raw.read_to_end().await.is_empty());
}

#[tokio::test]
async fn a_tunnel_ends_when_the_credential_that_opened_it_expires() {
    let world = world().await;
    let (tell, told) = std::sync::mpsc::channel();
    world.upstream.script(move |_| {
        let tell = tell.clone();
        Act::Talk(Box::new(move |wire| {
            echo(wire);
            tell.send(()).unwrap();
        }))
    });
    let expires = now() + 3;
    let token = world.key.token(&claims_but("carol", "exp", json!(expires)));
    let mut raw = world.raw().await;
    raw.write(request("/jwt/socket", &format!("Authorization: Bearer {token}\r\n"))).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    raw.write("still here").await;
    assert_eq!(raw.until(b"still here").await.unwrap(), b"still here");
    assert!(raw.read_to_end().await.is_empty());
    assert!(now() >= expires, "it ended early");
    world.said("a tunnel ended because its credential has expired").await;
    let ended = tokio::task::spawn_blocking(move || told.recv_timeout(crate::support::DEADLINE));
    assert!(ended.await.unwrap().is_ok(), "the application still waits");
}

#[tokio::test]
async fn bytes_of_a_tunnel_are_not_taken_for_http() {
    let world = world().await;
    let mut raw = world.raw().await;
    raw.write(request("/basic/socket", &credential())).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    // As a request its body would be broken; cut so that each piece is read by itself.
    let bytes = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\n\nGET /#x HTTP/1.1\n".repeat(50);
    for piece in bytes.as_bytes().chunks(97) {
        raw.write(piece).await;
    }
    assert_eq!(raw.until(bytes.as_bytes()).await.unwrap(), bytes.as_bytes());
}
