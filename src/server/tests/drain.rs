//! What a drain lets happen and what it ends.

use super::*;

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut gate = Gate::start(long());
    let (mut http1, mut http2) = (gate.http1().await, gate.http2().await);
    http1.send("/held").await;
    let held = http2.start("/held");
    gate.arrived(2).await;
    gate.stop();
    gate.draining().await;
    within(async { while TcpStream::connect(gate.https).await.is_ok() {} }).await;
    assert!(TcpStream::connect(gate.http).await.is_err());
    assert!(gate.admin("/livez").await.starts_with("HTTP/1.1 200"));
    gate.play.release.add_permits(2);
    let (head, body) = http1.answer().await;
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(body, "released");
    assert_eq!(read(held).await, (StatusCode::OK, "released".to_owned()));
    assert!(http1.end().await.is_empty());
    drop((http1, http2.send));
    assert_eq!(gate.stopped().await, DrainOutcome { cut_off: 0 });
}

#[tokio::test]
async fn an_idle_connection_gets_its_next_request_answered_before_it_is_closed() {
    let mut gate = Gate::start(long());
    let mut clients = [gate.http1().await, gate.http1().await, gate.http1().await];
    for client in &mut clients {
        client.get("/").await;
    }
    // One connection has not asked anything yet.
    let mut fresh = gate.http1().await;
    gate.stop();
    gate.draining().await;
    for client in clients.iter_mut().chain([&mut fresh]) {
        let (head, _) = client.get("/").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("\r\nconnection: close\r\n"), "{head}");
        assert!(client.end().await.is_empty());
    }
    assert_eq!(gate.stopped().await.cut_off, 0);
}

#[tokio::test]
async fn a_connection_in_its_handshake_is_still_served_one_request() {
    let mut gate = Gate::start(long());
    let socket = TcpStream::connect(gate.https).await.unwrap();
    within(async { while !gate.admin("/status").await.contains("\"open_connections\":1") {} }).await;
    gate.stop();
    gate.draining().await;
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = Http1(within(gate.connector[0].connect(name, socket)).await.unwrap());
    assert!(client.get("/").await.0.contains("\r\nconnection: close\r\n"));
    client.end().await;
    assert_eq!(gate.stopped().await.cut_off, 0);
}

#[tokio::test]
async fn idle_connections_do_not_hold_a_drain_up() {
    let mut gate = Gate::start(long());
    let (mut http1, mut http2) = (gate.http1().await, gate.http2().await);
    let (silent, silent2) = (gate.tls(false).await, gate.tls(true).await);
    http1.get("/").await;
    http2.get("/").await;
    gate.stop();
    assert_eq!(gate.stopped().await.cut_off, 0);
    drop((http1, http2, silent, silent2));
}

#[tokio::test]
async fn what_is_not_finished_in_time_is_ended_and_counted() {
    let mut gate = Gate::start(Limits { drain_timeout: HumanDuration(Duration::from_millis(300)), ..long() });
    let mut http1 = gate.http1().await;
    http1.send("/held").await;
    gate.arrived(1).await;
    gate.stop();
    assert_eq!(gate.stopped().await.cut_off, 1);
    assert!(http1.end().await.is_empty(), "no answer, and never half of one");
}

#[tokio::test]
async fn a_drain_waits_for_tunnels() {
    let mut gate = Gate::start(long());
    let mut http1 = gate.http1().await;
    http1.0.write_all(b"GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await.unwrap();
    let (head, _) = http1.answer().await;
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    gate.stop();
    gate.draining().await;
    assert!(!gate.outcome.is_finished());
    assert!(gate.admin("/status").await.contains("\"open_connections\":1"));
    gate.play.tunnels.lock().unwrap().clear();
    assert_eq!(gate.stopped().await.cut_off, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_a_drain_starts_under_load() {
    let mut gate = Gate::start(long());
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = gate.http1().await;
        clients.push(tokio::spawn(async move {
            let mut answered = 0_u32;
            loop {
                let (head, _) = client.get("/").await;
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                answered += 1;
                if head.contains("\r\nconnection: close\r\n") {
                    return answered;
                }
            }
        }));
    }
    gate.arrived(500).await;
    gate.stop();
    for client in clients {
        assert!(within(client).await.unwrap() > 0);
    }
    assert_eq!(gate.stopped().await.cut_off, 0);
}

#[tokio::test]
async fn dropping_the_server_ends_everything_at_once() {
    let gate = Gate::start(long());
    let mut http1 = gate.http1().await;
    http1.send("/held").await;
    gate.arrived(1).await;
    gate.outcome.abort();
    assert!(http1.end().await.is_empty());
}
