use super::*;

#[tokio::test]
async fn both_versions_are_served_and_know_their_connection() {
    let gate = Gate::start(long());
    let port = gate.https.port();
    let mut http1 = gate.http1().await;
    for _ in 0..2 {
        assert_eq!(http1.get("/").await.1, format!("HTTP/1.1 localhost Some(127.0.0.1) Some({port})"));
    }
    let mut http2 = gate.http2().await;
    for _ in 0..2 {
        assert_eq!(http2.get("/").await, (StatusCode::OK, format!("HTTP/2.0 localhost Some(127.0.0.1) Some({port})")));
    }
    assert!(gate.admin("/metrics").await.contains("\ndoorward_open_connections 2.0\n"));
    assert!(gate.admin("/readyz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_panic_ends_its_connection_or_stream_alone_and_is_counted() {
    let gate = Gate::start(long());
    let (mut first, mut second) = (gate.http1().await, gate.http1().await);
    second.get("/").await;
    first.send("/panic").await;
    assert!(first.end().await.is_empty());
    assert!(second.get("/").await.0.starts_with("HTTP/1.1 200"));
    let mut http2 = gate.http2().await;
    assert!(within(http2.start("/panic")).await.is_err());
    assert_eq!(http2.get("/").await.0, StatusCode::OK);
    assert!(gate.telemetry.render().contains("doorward_panics_total 2"));
}

#[tokio::test]
async fn beyond_the_connection_limit_clients_wait_their_turn() {
    let gate = Gate::start(Limits { max_connections: 1, ..long() });
    let mut first = gate.http1().await;
    first.get("/").await;
    let second = gate.http1();
    let mut second = Box::pin(second);
    // As long as the first asks and gets answers, the second is not even greeted.
    for _ in 0..20 {
        assert!(futures_util::poll!(&mut second).is_pending());
        first.get("/").await;
    }
    drop(first);
    assert!(within(second).await.get("/").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn heads_beyond_the_limits_get_431_in_both_versions() {
    let gate = Gate::start(Limits { max_headers: 50, max_header_bytes: ByteSize(8 << 10), ..long() });
    let many: String = (0..60).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(9 << 10));
    for lines in [&many, &large] {
        let mut http1 = gate.http1().await;
        http1.0.write_all(format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n").as_bytes()).await.unwrap();
        let answer = String::from_utf8(http1.end().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    for lines in [many, large] {
        let mut http2 = gate.http2().await;
        let mut request = Request::get("https://localhost/");
        for line in lines.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let answer = read(http2.send.send_request(request.body(()).unwrap(), true).unwrap().0).await;
        assert_eq!(answer.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert_eq!(gate.play.arrived.available_permits(), 0, "none of them is a request");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let gate = Gate::start(long());
    let mut socket = TcpStream::connect(gate.http).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b'x'; 3_000_000]).await.unwrap();
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn plain_http_is_sent_to_tls_and_reaches_nobody() {
    let gate = Gate::start(long());
    let answer = plain(gate.http, "GET /a?b HTTP/1.1\r\nhost: app.example.com:80\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert!(answer.contains(&format!("\r\nlocation: https://app.example.com:{}/a?b\r\n", gate.https.port())), "{answer}");
    let answer = plain(gate.http, "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Basic eDp5\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(gate.play.arrived.available_permits(), 0);
}

#[tokio::test]
async fn connections_are_spread_over_the_workers() {
    let count = worker_count();
    let gate = Gate::start(long());
    let mut clients = Vec::new();
    for _ in 0..count * 2 {
        let mut client = gate.http1().await;
        client.get("/").await;
        clients.push(client);
    }
    assert!(gate.admin("/status").await.contains(&format!("\"open_connections\":{}", count * 2)));
}
