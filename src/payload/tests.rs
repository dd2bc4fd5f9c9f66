//! Bodies that are verified on their way, read from a real connection.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::oneshot;

use super::*;

pub(crate) const NO_LIMIT: PayloadLimits = PayloadLimits { max_bytes: u64::MAX, timeout: Duration::ZERO };

/// A body whose client sends these bytes, head first; more may follow on the stream.
pub(crate) async fn body(head: &str, sent: &[u8], limits: PayloadLimits) -> (Payload, DuplexStream) {
    let (near, mut far) = duplex(1 << 20);
    let (give, given) = oneshot::channel();
    let give = std::sync::Mutex::new(Some(give));
    tokio::spawn(async move {
        let service = service_fn(move |request: http::Request<Incoming>| {
            let give = give.lock().unwrap().take().unwrap();
            assert!(give.send(request.into_body()).is_ok());
            // The connection stays as it is: whoever reads the body may do so.
            std::future::pending::<Result<http::Response<Full<Bytes>>, Infallible>>()
        });
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), service).await;
    });
    far.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").as_bytes()).await.unwrap();
    far.write_all(sent).await.unwrap();
    (Payload::new(given.await.unwrap(), limits).unwrap(), far)
}

async fn sized(length: usize, sent: &[u8]) -> (Payload, DuplexStream) {
    body(&format!("Content-Length: {length}"), sent, NO_LIMIT).await
}

fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let chunks = pieces.iter().map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    [chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
}

fn sha256(body: &[u8]) -> Digests {
    Digests::default().and(Algorithm::Sha256, &Sha256::digest(body))
}

fn room() -> Arc<Room> {
    Room::new(1 << 20)
}

/// What is forwarded, and why no more.
async fn forwarded(payload: &mut Payload) -> (Vec<u8>, Option<PayloadError>) {
    let mut all = Vec::new();
    while let Some(frame) = payload.frame().await {
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return (all, Some(error)),
        }
    }
    assert!(payload.is_end_stream());
    (all, None)
}

fn long() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_short_body_is_judged_before_anything_is_sent() {
    for wanted in [&b"body"[..], b""] {
        let raw = if wanted.is_empty() { chunked(&[]) } else { chunked(&[b"bo", b"d", b"y"]) };
        for sized_up in [true, false] {
            let fresh = async || {
                if sized_up { sized(wanted.len(), wanted).await } else { body("Transfer-Encoding: chunked", &raw, NO_LIMIT).await }
            };
            let (mut good, _client) = fresh().await;
            good.verify(sha256(wanted), &room()).await.unwrap();
            assert!(good.verdict().is_none(), "nothing is left to be found out");
            assert_eq!(good.size_hint().exact(), Some(wanted.len() as u64), "its length is known, also where the client did not say it");
            let (sent, error) = forwarded(&mut good).await;
            assert!(error.is_none() && sent == wanted);
            let (mut bad, _client) = fresh().await;
            assert!(matches!(bad.verify(sha256(b"Body"), &room()).await, Err(PayloadError::Mismatch(_))));
            let (mut undecided, _client) = fresh().await;
            assert!(undecided.verify(Digests::default(), &room()).await.is_err(), "no digest at all");
        }
    }
}

#[tokio::test]
async fn the_last_piece_of_a_long_body_follows_when_all_of_it_was_right() {
    let long = long();
    for raw in [None, Some(chunked(&long.chunks(70_000).collect::<Vec<_>>()))] {
        for changed in [None, Some(0), Some(150_000), Some(long.len() - 1)] {
            let (mut payload, _client) = match &raw {
                None => sized(long.len(), &long).await,
                Some(raw) => body("Transfer-Encoding: chunked", raw, NO_LIMIT).await,
            };
            let mut signed = long.clone();
            if let Some(at) = changed {
                signed[at] ^= 1;
            }
            payload.verify(sha256(&signed), &room()).await.unwrap();
            let verdict = payload.verdict().unwrap();
            assert_eq!(payload.size_hint().exact(), raw.is_none().then_some(long.len() as u64));
            let (sent, error) = forwarded(&mut payload).await;
            assert!(long.starts_with(&sent));
            assert_eq!(
                (sent.len() == long.len(), error.is_none(), verdict.passed().await),
                (changed.is_none(), changed.is_none(), changed.is_none())
            );
            assert_eq!(matches!(payload.progress().failure(0), Some(PayloadError::Mismatch(_))), changed.is_some());
            assert!(changed.is_none() || payload.frame().await.unwrap().is_err(), "what has failed does not go on");
        }
    }
}

#[tokio::test]
async fn before_the_client_has_sent_its_last_byte_the_upstream_has_not_got_the_last_but_one() {
    let long = long();
    let (mut payload, mut client) = sized(long.len(), &long[..long.len() - 1]).await;
    payload.verify(sha256(&long), &room()).await.unwrap();
    let mut sent = 0;
    loop {
        match std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut payload).poll_frame(cx))).await {
            Poll::Ready(frame) => sent += frame.unwrap().unwrap().into_data().unwrap().len(),
            Poll::Pending if payload.progress().received() == long.len() as u64 - 1 => break,
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
    assert!(sent > 0 && sent < long.len() - 1, "{sent}");
    client.write_all(&long[long.len() - 1..]).await.unwrap();
    let (rest, error) = forwarded(&mut payload).await;
    assert!(error.is_none() && sent + rest.len() == long.len());
}

#[tokio::test]
async fn what_an_upstream_does_not_read_is_judged_all_the_same() {
    let long = long();
    for (signed, passed) in [(&long[..], true), (b"other", false)] {
        for read in [0, 1] {
            let (mut payload, mut client) = sized(long.len(), &long[..200_000]).await;
            payload.verify(sha256(signed), &room()).await.unwrap();
            let verdict = payload.verdict().unwrap();
            for _ in 0..read {
                payload.frame().await.unwrap().unwrap();
            }
            drop(payload);
            client.write_all(&long[200_000..]).await.unwrap();
            assert_eq!(verdict.passed().await, passed);
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_the_one_that_was_signed() {
    let long = long();
    let (mut payload, client) = sized(long.len(), &long[..200_000]).await;
    payload.verify(sha256(&long[..200_000]), &room()).await.unwrap();
    let verdict = payload.verdict().unwrap();
    drop(client);
    let (sent, error) = forwarded(&mut payload).await;
    assert!(sent.len() < 200_000 && matches!(error, Some(PayloadError::Broken(_))));
    assert!(!verdict.passed().await);
}

#[tokio::test]
async fn limits_hold_as_ever() {
    let long = long();
    let limits = PayloadLimits { max_bytes: 100_000, timeout: Duration::ZERO };
    let (mut payload, _client) = body("Transfer-Encoding: chunked", &chunked(&[&long]), limits).await;
    let read_ahead = payload.verify(sha256(&long), &room()).await.err();
    let error = if read_ahead.is_some() { read_ahead } else { forwarded(&mut payload).await.1 };
    assert!(matches!(error, Some(PayloadError::TooLarge(100_000))), "{error:?}");
    let limits = PayloadLimits { max_bytes: u64::MAX, timeout: Duration::from_millis(20) };
    let (mut payload, _client) = body("Content-Length: 9", b"x", limits).await;
    assert!(matches!(payload.verify(sha256(&long), &room()).await, Err(PayloadError::TimedOut)));
}

#[tokio::test]
async fn a_body_is_verified_or_held_and_once() {
    let (mut payload, _client) = sized(4, b"body").await;
    payload.verify(sha256(b"body"), &room()).await.unwrap();
    assert!(payload.verify(sha256(b"body"), &room()).await.is_err());
    assert!(payload.hold(100, &room(), |_| {}).await.is_err());
    let (mut payload, _client) = sized(4, b"body").await;
    payload.hold(100, &room(), |_| {}).await.unwrap();
    payload.verify(sha256(b"body"), &room()).await.unwrap();
    assert_eq!(forwarded(&mut payload).await.0, b"body", "a body that was held can be verified afterwards");
}

/// Gives the upper case of what it gets on once it has 100 KB, and says beforehand how much that will be.
#[derive(Debug)]
struct Decoder {
    kept: Vec<u8>,
    length: u64,
}

impl BodyCheck for Decoder {
    fn take(&mut self, piece: Bytes, ready: &mut Ready) -> Result<(), Mismatch> {
        self.kept.extend_from_slice(&piece.to_ascii_uppercase());
        if self.kept.len() >= 100_000 {
            ready.push(std::mem::take(&mut self.kept).into());
        }
        Ok(())
    }

    fn end(&mut self, ready: &mut Ready) -> Result<(), Mismatch> {
        ready.push(std::mem::take(&mut self.kept).into());
        Ok(())
    }

    fn held(&self) -> u64 {
        self.kept.len() as u64
    }

    fn length(&self, sent: Option<u64>) -> Option<u64> {
        assert_eq!(sent, Some(300_000));
        Some(self.length)
    }
}

#[tokio::test]
async fn a_check_may_change_the_body_and_what_it_keeps_back_is_bounded() {
    let decoder = || Decoder { kept: Vec::new(), length: 300_000 };
    let body = vec![b'x'; 300_000];
    let (mut payload, _client) = sized(300_000, &body).await;
    payload.verify(decoder(), &room()).await.unwrap();
    assert_eq!(payload.size_hint().exact(), Some(300_000));
    let (sent, error) = forwarded(&mut payload).await;
    assert!(error.is_none() && sent == vec![b'X'; 300_000]);
    let (mut payload, _client) = sized(300_000, &body).await;
    let read_ahead = payload.verify(decoder(), &Room::with(20_000, 0)).await.err();
    let error = if read_ahead.is_some() { read_ahead } else { forwarded(&mut payload).await.1 };
    assert!(matches!(error, Some(PayloadError::Spool(_))), "{error:?}");
}
