//! Told to stop, Doorward takes nothing new, finishes what it has, and goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::client::{BOTH, Call, Proto, Raw, Sender};
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::{Act, Upstream, answer};
use crate::support::within;

/// An upstream that answers when the test says so.
fn gated() -> (Upstream, std::sync::mpsc::Sender<()>) {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let upstream = Upstream::scripted(move |_| {
        let wait = wait.clone();
        Act::Talk(Box::new(move |wire| {
            let _ = wait.lock().unwrap().recv();
            let _ = wire.write_all(&answer("200 OK", &["Connection: close"], "finished"));
        }))
    });
    (upstream, go)
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_nothing_new_is_taken() {
    for (signal, proto) in [("TERM", Proto::H1), ("INT", Proto::H2)] {
        let (upstream, go) = gated();
        let mut gate = Setup::new(&upstream.url()).public("/**").start().await;
        within("being ready", async {
            while gate.admin("/readyz").send().await.status != 200 {
                crate::support::breathe().await
            }
        })
        .await;
        let flying = tokio::spawn(gate.get("/x").proto(proto).send());
        upstream.until("the request", |record| record.total == 1).await;
        gate.signal(signal);
        within("not being ready", async {
            while gate.admin("/readyz").send().await.status != 503 {
                crate::support::breathe().await
            }
        })
        .await;
        assert_eq!(gate.admin("/livez").send().await.status, 200);
        within("the door being shut", async {
            while tokio::net::TcpStream::connect(gate.https).await.is_ok() {
                crate::support::breathe().await
            }
        })
        .await;
        go.send(()).unwrap();
        let answer = flying.await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "finished"));
        assert_eq!(gate.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let upstream = Upstream::echo();
    let mut gate = Setup::new(&upstream.url()).with("limits", "drain_timeout = \"1h\"\nheader_timeout = \"1h\"").public("/**").start().await;
    let mut held: Vec<Sender> = Vec::new();
    for proto in BOTH {
        let call = gate.get("/x").proto(proto);
        let mut sender = call.connect().await;
        call.send_on(&mut sender).await.unwrap();
        held.push(sender);
    }
    gate.signal("TERM");
    assert_eq!(gate.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_takes_too_long_is_broken_off() {
    let upstream = Upstream::scripted(|_| Act::Hang);
    let mut gate = Setup::new(&upstream.url()).with("limits", "drain_timeout = \"1s\"").public("/**").start().await;
    let flying = tokio::spawn(gate.get("/x").try_send());
    upstream.until("the request", |record| record.total == 1).await;
    gate.signal("TERM");
    gate.ended().await;
    assert!(flying.await.unwrap().is_err());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let upstream = Upstream::scripted(|_| Act::Hang);
    let mut gate = Setup::new(&upstream.url()).with("limits", "drain_timeout = \"1h\"").public("/**").start().await;
    let flying = tokio::spawn(gate.get("/x").try_send());
    upstream.until("the request", |record| record.total == 1).await;
    gate.signal("TERM");
    within("not being ready", async {
        while gate.admin("/readyz").send().await.status != 503 {
            crate::support::breathe().await
        }
    })
    .await;
    gate.signal("TERM");
    gate.ended().await;
    assert!(flying.await.unwrap().is_err());
}

/// Sends requests until told to stop or turned away; the targets that were answered well.
async fn caller(name: usize, call: impl Fn(&str) -> Call, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut answered = Vec::new();
    let mut kept: Option<Sender> = None;
    for at in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let target = format!("/{name}/{at}");
        let call = call(&target).proto(BOTH[name % 2]);
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None if tokio::net::TcpStream::connect(call.address()).await.is_err() => break,
            None => match call.try_connect().await {
                Some(sender) => sender,
                None => continue,
            },
        };
        if call.send_on(&mut sender).await.is_ok_and(|answer| answer.status == 200) {
            answered.push(target);
            // Every third request opens a connection of its own.
            if at % 3 != 0 {
                kept = Some(sender);
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_under_load_loses_no_request_that_was_taken() {
    let upstream = Upstream::echo();
    let mut gate = Setup::new(&upstream.url()).public("/**").start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|name| {
            let (address, tls) = (gate.https, gate.setup.ca.client_config(&[]));
            tokio::spawn(caller(name, move |target| Call::new(address, tls.clone(), "GET", target), stop.clone()))
        })
        .collect();
    upstream.until("load", |record| record.total > 300).await;
    gate.signal("TERM");
    assert_eq!(gate.ended().await.code(), Some(0));
    stop.store(true, Ordering::Relaxed);
    let mut answered: Vec<String> = Vec::new();
    for caller in callers {
        answered.extend(within("a caller's end", caller).await.unwrap());
    }
    let mut taken: Vec<String> = upstream.take().into_iter().map(|seen| seen.target).collect();
    answered.sort();
    taken.sort();
    let lost: Vec<_> = taken.iter().filter(|target| answered.binary_search(target).is_err()).collect();
    assert!(lost.is_empty(), "taken and not answered: {lost:?}");
    assert_eq!(taken.len(), answered.len());
}

#[tokio::test]
async fn a_tunnel_is_ended_when_its_time_is_over() {
    let upstream = Upstream::scripted(|_| {
        Act::Talk(Box::new(|wire| {
            let _ = wire.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
            let _ = std::io::Read::read(wire, &mut [0; 1]);
        }))
    });
    let mut gate = Setup::new(&upstream.url()).with("limits", "drain_timeout = \"1s\"").public("/**").start().await;
    let mut raw: Raw = gate.raw().await;
    raw.write(format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
    .await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    gate.signal("TERM");
    gate.ended().await;
    raw.read_to_end().await;
}
