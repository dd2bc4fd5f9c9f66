//! Clients that do nothing, or as little as possible: each is gone soon after its limit, whatever it did before.

use super::*;

/// How long after connecting the server ended the connection.
async fn ended<S: tokio::io::AsyncRead + Unpin>(mut socket: S, since: Instant) -> Duration {
    let mut rest = Vec::new();
    let _ = within(socket.read_to_end(&mut rest)).await;
    since.elapsed()
}

/// Limits are 400 ms; a loaded machine gets some more.
fn soon(took: Duration) -> bool {
    (Duration::from_millis(300)..Duration::from_secs(5)).contains(&took)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn a_silent_client_is_cut_off_before_and_in_the_handshake() {
    let gate = Gate::start(short());
    let now = Instant::now();
    assert!(soon(ended(TcpStream::connect(gate.https).await.unwrap(), now).await));
    let mut half = TcpStream::connect(gate.https).await.unwrap();
    let now = Instant::now();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    assert!(soon(ended(half, now).await));
}

#[tokio::test]
async fn a_client_that_asks_nothing_after_the_handshake_is_cut_off() {
    let gate = Gate::start(short());
    for http2 in [false, true] {
        let mut starts = vec![&b""[..], b"GET / HTTP/1.1\r\nhost: a\r\n", b"G"];
        if http2 {
            // Nothing, half a preface, a whole one, then half a frame.
            starts = vec![b"", &PREFACE[..10], PREFACE];
        }
        for start in starts {
            let now = Instant::now();
            let mut client = gate.tls(http2).await;
            client.write_all(start).await.unwrap();
            let took = ended(client, now).await;
            assert!(soon(took), "{http2} {start:?}: {took:?}");
        }
    }
}

#[tokio::test]
async fn an_http2_client_is_cut_off_after_its_preface_with_half_a_frame_and_with_pings_alone() {
    let gate = Gate::start(short());
    for rest in [&b""[..], &[0, 0, 100, 1, 4, 0, 0, 0, 1, 130]] {
        let now = Instant::now();
        let mut client = gate.tls(true).await;
        client.write_all(&[PREFACE, SETTINGS, rest].concat()).await.unwrap();
        let took = ended(client, now).await;
        assert!(soon(took), "{rest:?}: {took:?}");
    }
    let now = Instant::now();
    let (mut read, mut write) = tokio::io::split(gate.tls(true).await);
    write.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let pings = tokio::spawn(async move { while write.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {} });
    let mut space = [0; 4096];
    within(async { while matches!(read.read(&mut space).await, Ok(1..)) {} }).await;
    assert!(soon(now.elapsed()));
    pings.abort();
}

#[tokio::test]
async fn a_client_that_drips_its_head_is_cut_off() {
    let gate = Gate::start(short());
    let now = Instant::now();
    let (mut read, mut write) = tokio::io::split(gate.tls(false).await);
    let drip = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = within(read.read_to_end(&mut rest)).await;
    assert!(soon(now.elapsed()));
    drip.abort();
}

#[tokio::test]
async fn connections_between_requests_are_closed_at_the_limit() {
    let gate = Gate::start(short());
    let mut http1 = gate.http1().await;
    http1.get("/").await;
    let now = Instant::now();
    assert!(http1.end().await.is_empty());
    assert!(soon(now.elapsed()));
    let mut http2 = gate.http2().await;
    http2.get("/").await;
    let now = Instant::now();
    // The client's own farewell may find nobody any more: that is no matter.
    within(http2.connection).await.unwrap();
    assert!(soon(now.elapsed()));
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_idle_limit_is_served() {
    let gate = Gate::start(short());
    let (mut http1, mut http2) = (gate.http1().await, gate.http2().await);
    http1.send("/held").await;
    let held = http2.start("/held");
    gate.arrived(2).await;
    // Others come and go meanwhile: proof that the limit has passed several times over.
    for _ in 0..3 {
        let now = Instant::now();
        ended(gate.tls(false).await, now).await;
    }
    gate.play.release.add_permits(2);
    assert_eq!(http1.answer().await.1, "released");
    assert_eq!(read(held).await.1, "released");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_over_http1() {
    let gate = Gate::start(short());
    let mut client = gate.http1().await;
    client.send("/endless").await;
    gate.arrived(1).await;
    within(gate.play.dropped.acquire()).await.unwrap().forget();
    drop(client);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_over_http2() {
    let gate = Gate::start(short());
    // The largest windows there are: what stops the response is the socket.
    let (mut send, connection) = h2::client::Builder::new()
        .initial_window_size(0x7fff_ffff)
        .initial_connection_window_size(0x7fff_ffff)
        .handshake::<_, Bytes>(gate.tls(true).await)
        .await
        .unwrap();
    let mut connection = Box::pin(connection);
    let response = send.send_request(Request::get("https://localhost/endless").body(()).unwrap(), true).unwrap().0;
    // Driven until the request is out, and then no more.
    within(async {
        tokio::select! {
            _ = &mut connection => panic!("the connection ended"),
            () = gate.arrived(1) => {}
        }
    })
    .await;
    within(gate.play.dropped.acquire()).await.unwrap().forget();
    drop(response);
}

#[tokio::test]
async fn a_stream_whose_client_grants_no_window_is_reset_and_its_connection_lives() {
    let gate = Gate::start(Limits { header_timeout: HumanDuration::from_secs(60), ..short() });
    let mut http2 = gate.http2().await;
    let response = within(http2.start("/endless")).await.unwrap();
    // The first 64 KiB fill the window; it is never opened again.
    within(gate.play.dropped.acquire()).await.unwrap().forget();
    assert_eq!(http2.get("/").await.0, StatusCode::OK);
    drop(response);
}

#[tokio::test]
async fn plain_listeners_cut_silent_clients_off_too() {
    let gate = Gate::start(short());
    for address in [gate.http, gate.admin] {
        let now = Instant::now();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        assert!(soon(ended(client, now).await));
    }
}
