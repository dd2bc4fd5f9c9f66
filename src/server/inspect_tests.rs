//! What passes a stream that is looked at.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What can be read of these bytes, how it ends, and the verdicts on three requests.
async fn read(sent: &str) -> (String, io::Result<()>, [Result<(), HeadFault>; 3]) {
    let (near, mut far) = duplex(1 << 16);
    let verdict = Arc::new(Verdict::default());
    let mut stream = Inspected::new(near, Http1::new(8192, Arc::clone(&verdict)));
    far.write_all(sent.as_bytes()).await.unwrap();
    drop(far);
    let mut got = Vec::new();
    let ended = stream.read_to_end(&mut got).await.map(drop);
    (String::from_utf8(got).unwrap(), ended, [verdict.next(), verdict.next(), verdict.next()])
}

#[tokio::test]
async fn clear_requests_pass_as_they_are() {
    let sent = format!("GET / HTTP/1.1\r\n\r\n{CHUNKED}3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    let (got, ended, verdicts) = read(&sent).await;
    assert_eq!(got, sent);
    assert!(ended.is_ok());
    assert_eq!(verdicts, [Ok(()); 3]);
}

#[tokio::test]
async fn an_ambiguous_head_passes_and_its_request_is_named_with_all_that_follow() {
    let sent = "GET / HTTP/1.1\r\n\r\nGET /#a HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let (got, ended, verdicts) = read(sent).await;
    assert_eq!(got, sent);
    assert!(ended.is_ok());
    assert_eq!(verdicts, [Ok(()), Err(HeadFault::Fragment), Err(HeadFault::Fragment)]);
}

#[tokio::test]
async fn a_broken_body_passes_up_to_the_break_and_then_fails() {
    for (good, bad) in [("3\r\nabc\r\n", "-1\r\n"), ("3", " \r\nabc\r\n0\r\n\r\n"), ("", "\n3\r\n")] {
        let (got, ended, _) = read(&format!("{CHUNKED}{good}{bad}GET / HTTP/1.1\r\n\r\n")).await;
        assert_eq!(got, format!("{CHUNKED}{good}"));
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn a_break_at_the_first_byte_of_a_read_is_no_end_of_the_stream() {
    let (near, mut far) = duplex(1 << 16);
    let mut stream = Inspected::new(near, Http1::new(8192, Arc::default()));
    let mut got = [0; 100];
    far.write_all(CHUNKED.as_bytes()).await.unwrap();
    assert_eq!(stream.read(&mut got).await.unwrap(), CHUNKED.len());
    far.write_all(b"x").await.unwrap();
    for _ in 0..2 {
        assert!(stream.read(&mut got).await.is_err(), "and it stays broken");
    }
}

#[tokio::test]
async fn a_tunnel_is_not_looked_at() {
    let (near, mut far) = duplex(1 << 16);
    let verdict = Arc::new(Verdict::default());
    let mut stream = Inspected::new(near, Http1::new(8192, Arc::clone(&verdict)));
    far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 18);
    assert_eq!(verdict.next(), Ok(()));
    verdict.becomes_tunnel();
    let sent = format!("{CHUNKED}-1\r\n");
    far.write_all(sent.as_bytes()).await.unwrap();
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, sent.as_bytes());
    assert!(verdict.fault.get().is_none());
}

/// Whose socket holds something when it is told so.
struct Told {
    stream: DuplexStream,
    readable: bool,
    asked: usize,
}

impl Readable for Told {
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.readable { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl AsyncRead for Told {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.asked += 1;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[test]
fn after_a_read_that_found_nothing_the_stream_is_asked_again_when_its_socket_holds_something() {
    let (near, mut far) = duplex(64);
    let told = Told { stream: near, readable: false, asked: 0 };
    let mut stream = Inspected::new(told, Http1::new(8192, Arc::default()));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut bytes = [0; 64];
    let mut read = |stream: &mut Inspected<Told, Http1>| Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut bytes));
    assert!(read(&mut stream).is_pending());
    assert!(read(&mut stream).is_pending() && stream.stream.asked == 1, "nothing was there, and nothing came");
    stream.stream.readable = true;
    assert!(read(&mut stream).is_pending() && stream.stream.asked == 2, "not a whole record");
    assert!(Pin::new(&mut far).poll_write(&mut Context::from_waker(std::task::Waker::noop()), b"G").is_ready());
    assert!(read(&mut stream).is_ready());
    stream.stream.readable = false;
    assert!(read(&mut stream).is_pending() && stream.stream.asked == 4, "a stream that gave something may hold more back");
    assert!(read(&mut stream).is_pending() && stream.stream.asked == 4);
}

/// Takes one write and notes how it came; further ones have to wait.
struct Sink {
    pieces: Vec<usize>,
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, _: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if !self.pieces.is_empty() {
            return Poll::Pending;
        }
        self.pieces = pieces.iter().map(|piece| piece.len()).collect();
        Poll::Ready(Ok(self.pieces.iter().sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Notes whether writes wait.
#[derive(Default)]
struct Waits(bool);

impl Inspect for Waits {
    fn read(&mut self, _: &[u8]) -> Result<(), (usize, &'static str)> {
        Ok(())
    }

    fn write_waits(&mut self, waits: bool) {
        self.0 = waits;
    }
}

#[tokio::test]
async fn pieces_are_written_together_and_a_held_up_write_is_told() {
    let mut stream = Inspected::new(Sink { pieces: Vec::new() }, Waits::default());
    assert!(stream.is_write_vectored());
    let pieces = [io::IoSlice::new(b"ab"), io::IoSlice::new(b"cde")];
    assert_eq!(stream.write_vectored(&pieces).await.unwrap(), 5);
    assert_eq!(stream.stream.pieces, [2, 3]);
    assert!(!stream.inspect.0);
    assert!(futures_util::poll!(std::pin::pin!(stream.write(b"f"))).is_pending());
    assert!(stream.inspect.0);
    stream.flush().await.unwrap();
    assert!(!stream.inspect.0);
}
