//! Connections that nothing is asked of give their buffers back, and nobody can tell.

use super::super::control::{Control, Order};
use super::super::socket::{Accepted, StdSocket};
use super::*;
use crate::inbound::Peer;

async fn resting(gate: &Gate, count: usize) {
    let line = format!("\ndoorward_resting_connections {count}.0\n");
    within(async { while !gate.admin("/metrics").await.contains(&line) {} }).await;
}

#[tokio::test]
async fn a_connection_that_asks_nothing_rests_until_its_next_request_again_and_again() {
    let gate = Gate::start(long());
    let mut client = gate.http1().await;
    let (_, first) = client.get("/").await;
    for _ in 0..2 {
        resting(&gate, 1).await;
        assert_eq!(client.get("/").await.1, first);
        resting(&gate, 0).await;
    }
    // Two at once, in one record.
    resting(&gate, 1).await;
    client.0.write_all(b"GET /1 HTTP/1.1\r\nhost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!([client.answer().await.1, client.answer().await.1], [first.clone(), first]);
    // What was ambiguous before a rest is ambiguous after it.
    resting(&gate, 1).await;
    client.0.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    assert!(client.answer().await.0.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_client_that_is_in_the_middle_of_something_keeps_its_connection_as_it_is() {
    let gate = Gate::start(long());
    let (mut idle, mut half, mut held) = (gate.http1().await, gate.http1().await, gate.http1().await);
    let mut fresh = gate.http1().await;
    for client in [&mut idle, &mut half, &mut held] {
        client.get("/").await;
    }
    half.0.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
    held.send("/held").await;
    gate.arrived(4).await;
    resting(&gate, 1).await;
    gate.play.release.add_permits(1);
    half.0.write_all(b"alhost\r\n\r\n").await.unwrap();
    assert!(half.answer().await.0.starts_with("HTTP/1.1 200"));
    assert_eq!(held.answer().await.1, "released");
    assert!(fresh.get("/").await.0.starts_with("HTTP/1.1 200"));
    assert!(idle.get("/").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_that_rests_ends_when_its_client_goes_when_it_was_idle_for_too_long_and_in_a_drain() {
    let mut gate = Gate::start(Limits { header_timeout: HumanDuration::from_secs(3), ..long() });
    let (mut one, mut two) = (gate.http1().await, gate.http1().await);
    one.get("/").await;
    two.get("/").await;
    resting(&gate, 2).await;
    drop(one);
    resting(&gate, 1).await;
    assert!(two.end().await.is_empty());
    resting(&gate, 0).await;
    assert!(gate.admin("/metrics").await.contains("\ndoorward_open_connections 0.0\n"));
    let (mut one, mut two) = (gate.http1().await, gate.http1().await);
    one.get("/").await;
    two.get("/").await;
    resting(&gate, 2).await;
    gate.stop();
    gate.draining().await;
    assert!(one.end().await.is_empty());
    assert!(two.end().await.is_empty());
    assert_eq!(gate.stopped().await.cut_off, 0);
}

/// A connection whose orders the test gives.
async fn ordered(gate: &Gate) -> (Http1, Arc<Control>, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, peer) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let accepted = Accepted { socket: StdSocket::Tcp(accepted), peer: Peer::Ip(peer), local_port: None };
    let (control, rests) = (Arc::new(Control::default()), Arc::new(AtomicUsize::new(0)));
    let shared = conn::Shared {
        answer: Arc::clone(&gate.play),
        limits: long(),
        telemetry: gate.telemetry.clone(),
        failures: Arc::default(),
        resting: Arc::clone(&rests),
        draining: std::sync::atomic::AtomicBool::new(false),
    };
    tokio::spawn(conn::serve(accepted, Open::new(()), 0, Arc::clone(&control), Arc::new(shared)));
    let name = ServerName::try_from("localhost").unwrap();
    (Http1(gate.connector[0].connect(name, socket).await.unwrap()), control, rests)
}

/// Lets everybody else run until nothing is left to do, as far as one can know.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_order_to_rest_loses_no_byte_wherever_it_comes() {
    let gate = Gate::start(long());
    let asked = b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345\
        POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /held HTTP/1.1\r\nhost: a\r\n\r\nGET /5 HTTP/1.1\r\nhost: a\r\n\r\n";
    let first = asked.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let mut rested = Vec::new();
    for cut in (0..asked.len()).step_by(5).chain([first - 1, first, first + 1]) {
        let (mut client, control, rests) = ordered(&gate).await;
        let (before, after) = asked.split_at(cut);
        client.0.write_all(before).await.unwrap();
        client.0.flush().await.unwrap();
        settle().await;
        control.give(Order::Rest);
        settle().await;
        if rests.load(Ordering::Relaxed) > 0 {
            rested.push(cut);
        }
        client.0.write_all(after).await.unwrap();
        gate.play.release.add_permits(1);
        for number in 1..=5 {
            let (head, body) = client.answer().await;
            assert!(head.starts_with("HTTP/1.1 200"), "cut at {cut}, answer {number}: {head}");
            assert_eq!(body == "released", number == 4, "cut at {cut}, answer {number}: {body}");
        }
    }
    // Not after a body either: somebody might still read it.
    assert_eq!(rested, [first]);
}
