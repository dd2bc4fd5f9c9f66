//! What is found in the bytes of an application's answer, beside what hyper's client makes of them.

use bytes::Bytes;
use doorward::proxy::answers::{End, Reading, read};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Collected, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::serve;

/// What hyper's client makes of an answer of these bytes, up to the end of the connection.
async fn hyper(method: Method, raw: &[u8]) -> Option<(StatusCode, Bytes, HeaderMap)> {
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let raw = raw.to_vec();
    tokio::spawn(async move {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") && far.read_buf(&mut asked).await.is_ok_and(|length| length > 0) {}
        let _ = far.write_all(&raw).await;
        let _ = far.shutdown().await;
    });
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri("/").header("host", "a").body(Empty::<Bytes>::new()).unwrap();
    let (head, body) = sender.send_request(request).await.map(Response::into_parts).ok()?;
    let body: Collected<Bytes> = Incoming::collect(body).await.ok()?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Some((head.status, body.to_bytes(), trailers))
}

/// The first byte says how the others are cut, its last bit the method. Accepted: an answer that is whole.
pub fn run(data: &[u8]) -> bool {
    let Some((piece, raw)) = data.split_first() else { return false };
    let method = if piece & 1 == 1 { Method::HEAD } else { Method::GET };
    let whole = read(&method, std::iter::once(raw));
    assert_eq!(read(&method, raw.chunks(1)), whole, "byte by byte");
    assert_eq!(read(&method, raw.chunks(usize::from(*piece) + 1)), whole, "by {}", usize::from(*piece) + 1);
    // What came is taken once, and nothing is made of it that did not come.
    assert!(whole.body.len() + whole.left <= raw.len());
    let Reading { head: Some((status, headers)), body, trailers, end, keeps, .. } = whole else {
        assert!(whole.end != End::Whole && !whole.keeps);
        return false;
    };
    let has_body = method == Method::GET && !matches!(status.as_u16(), 101 | 204 | 304);
    assert!(has_body || (body.is_empty() && trailers.is_empty()));
    if let (true, Some(length)) = (has_body, headers.get(header::CONTENT_LENGTH)) {
        let length: u64 = length.to_str().unwrap().parse().unwrap();
        assert!(!headers.contains_key(header::TRANSFER_ENCODING) && trailers.is_empty());
        assert!(if end == End::Whole { body.len() as u64 == length } else { (body.len() as u64) < length });
    }
    if end != End::Whole {
        assert!(end == End::Missing || !keeps);
        return false;
    }
    let theirs = serve::block_on(hyper(method, raw));
    assert_eq!(theirs, Some((status, Bytes::from(body), trailers)), "hyper found something else");
    true
}
