//! The machine alone, and beside hyper on streams of any kind.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

const LONGEST: usize = 8192;

/// What is found, whatever the cut: in one piece, byte by byte, and cut once at each place.
fn found(bytes: &[u8]) -> (Found, u64) {
    let read = |pieces: &[&[u8]]| {
        let mut heads = Heads::new(LONGEST);
        let mut before = 0;
        for piece in pieces {
            match heads.read(piece) {
                Found::Clear => before += piece.len(),
                Found::Broken(at, why) => return (Found::Broken(before + at, why), heads.clear()),
                fault @ Found::Fault(..) => return (fault, heads.clear()),
            }
        }
        (Found::Clear, heads.clear())
    };
    let whole = read(&[bytes]);
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    for cut in 0..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(read(&[first, second]), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn heads_that_are_clear_are_counted() {
    for (bytes, count) in [
        ("", 0),
        ("GET / HTTP/1.1\r\nHost: a\r\n", 0),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /GET / HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\ncontent-length:\t0 \t\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nCONTENT-LENGTH:123456789012345678\r\n\r\nx\n#", 1),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a\r\nx\n#\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nContent-Lengthy: a\r\nContent: b\r\nX: Content-Length: c\r\nTransfer-Encodings: d\r\nT: #\r\n\r\n", 1),
        // For hyper to refuse: what it calls a field.
        ("GET / HTTP/1.1\r\nContent-Length : 3\r\n Transfer-Encoding: x\r\n\r\n", 1),
    ] {
        assert_eq!(found(bytes.as_bytes()), (Found::Clear, count), "{bytes:?}");
    }
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_named_by_its_number() {
    for (line, fault) in [
        ("Content-Length: 03", HeadFault::Length),
        ("Content-Length: +3", HeadFault::Length),
        ("Content-Length: -1", HeadFault::Length),
        ("Content-Length:", HeadFault::Length),
        ("Content-Length: 3, 3", HeadFault::Length),
        ("Content-Length: 3 3", HeadFault::Length),
        ("Content-Length: 0x3", HeadFault::Length),
        ("Content-Length: 1234567890123456789", HeadFault::Length),
        ("Content-Length: 3\r\nContent-Length: 3", HeadFault::TwoLengths),
        ("Content-Length: 3\r\ncontent-length: 4", HeadFault::TwoLengths),
        ("Content-Length: 3\r\nX: y\r\nTransfer-Encoding: chunked", HeadFault::Both),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", HeadFault::Both),
        ("Transfer-Encoding: gzip, chunked", HeadFault::Coding),
        ("Transfer-Encoding: ,chunked", HeadFault::Coding),
        ("Transfer-Encoding: \"chunked\"", HeadFault::Coding),
        ("Transfer-Encoding: identity", HeadFault::Coding),
        ("Transfer-Encoding:", HeadFault::Coding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HeadFault::TwoCodings),
        ("X: a\nY: b", HeadFault::BareLf),
        ("X: a\n\r\n", HeadFault::BareLf),
    ] {
        let bytes = format!("GET /ok HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n{line}\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n");
        assert_eq!(found(bytes.as_bytes()), (Found::Fault(1, fault), 1), "{line:?}");
    }
    for (bytes, fault) in [
        ("\nGET / HTTP/1.1\r\n\r\n", HeadFault::BareLf),
        ("GET / HTTP/1.1\n\r\n", HeadFault::BareLf),
        ("GET / HTTP/1.1\r\n\n", HeadFault::BareLf),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", HeadFault::EmptyLines),
        ("GET /a#b HTTP/1.1\r\n\r\n", HeadFault::Fragment),
        ("GET /?a#b HTTP/1.0\r\n\r\n", HeadFault::Fragment),
        ("GET / HTTP/2.0\r\n\r\n", HeadFault::Version),
        ("GET / HTTP/1.1 \r\n\r\n", HeadFault::Version),
        ("GET /\r\n\r\n", HeadFault::Version),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HeadFault::Coding),
    ] {
        assert_eq!(found(bytes.as_bytes()), (Found::Fault(0, fault), 0), "{bytes:?}");
    }
}

#[test]
fn chunks_that_are_not_strict_break_where_they_are_not() {
    let head = "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, good) in [("3 \r\n", 1), ("3\r\nabcd\r\n", 6), ("3\n", 1), ("0\r\nX: y\n", 7)] {
        let outcome = found(format!("{head}{body}GET / HTTP/1.1\r\n\r\n").as_bytes());
        assert!(matches!(outcome, (Found::Broken(at, _), 2) if at == head.len() + good), "{body:?}: {outcome:?}");
    }
}

#[test]
fn a_line_that_never_ends_is_not_kept_beyond_the_limit() {
    let mut heads = Heads::new(100);
    assert_eq!(heads.read(b"GET / HTTP/1.1\r\n"), Found::Clear);
    assert_eq!(heads.read(&[b'x'; 60]), Found::Clear);
    assert_eq!(heads.read(&[b'x'; 41]), Found::Fault(0, HeadFault::TooLarge));
    assert!(heads.partial.len() <= 100);
    assert_eq!(heads.read(b"\n\n\n"), Found::Clear, "nothing is followed after a fault");
}

/// A message as the machine understands it.
#[derive(Debug)]
struct Message {
    target: String,
    /// Bytes of the body, decoded; `None` if it is not whole.
    body: Option<usize>,
}

/// Follows a whole stream byte by byte.
fn follow(bytes: &[u8]) -> (Vec<Message>, Found) {
    let (mut heads, mut messages, mut start, mut body_start) = (Heads::new(LONGEST), Vec::<Message>::new(), 0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let before = heads.clear();
        let found = heads.read(std::slice::from_ref(byte));
        if found != Found::Clear {
            return (messages, found);
        }
        if heads.clear() > before {
            body_start = at + 1;
            let head = String::from_utf8_lossy(&bytes[start..body_start]).into_owned();
            messages.push(Message { target: head.trim_start().split(' ').nth(1).unwrap_or_default().to_owned(), body: None });
        }
        let between = matches!(heads.part, Part::Head) && !heads.head.begun && !heads.head.blank && heads.partial.is_empty();
        if let Some(last) = messages.last_mut().filter(|last| between && last.body.is_none()) {
            // Without the empty lines before it: a line of the request that begins like a header is none.
            let head = String::from_utf8_lossy(&bytes[start..body_start]).trim_start().to_ascii_lowercase();
            let raw = &bytes[body_start..=at.max(body_start.saturating_sub(1))];
            last.body = Some(if head.contains("\ntransfer-encoding:") { decoded(raw) } else { raw.len() });
            start = at + 1;
        }
    }
    (messages, Found::Clear)
}

/// The length of a strict chunked body.
fn decoded(mut raw: &[u8]) -> usize {
    let mut all = 0;
    loop {
        let line = raw.iter().position(|b| *b == b'\n').unwrap() + 1;
        let digits = raw.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..digits]).unwrap(), 16).unwrap();
        if size == 0 {
            return all;
        }
        all += size;
        raw = &raw[line + size + 2..];
    }
}

/// A client that sends these pieces and then no more. The machine reads along, as in service.
struct Client {
    pieces: VecDeque<Vec<u8>>,
    heads: Arc<Mutex<Heads>>,
    broken: bool,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let Some(mut piece) = self.pieces.pop_front() else { return Poll::Ready(Ok(())) };
        if piece.len() > buffer.remaining() {
            let rest = piece.split_off(buffer.remaining());
            self.pieces.push_front(rest);
        }
        let found = self.heads.lock().unwrap().read(&piece);
        if let Found::Broken(usable, _) = found {
            self.broken = true;
            piece.truncate(usable);
            if usable == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The target of each request, and the length of its body if it could be read.
type Served = Vec<(String, Option<usize>)>;

/// The requests that hyper makes of the pieces, and whether it refused a head. A request that the machine refused closes the connection.
fn served(pieces: Vec<Vec<u8>>, refused: Option<u64>) -> (Served, bool) {
    let requests: Arc<Mutex<Served>> = Arc::default();
    let log = Arc::clone(&requests);
    let service = service_fn(move |request: Request<Incoming>| {
        let log = Arc::clone(&log);
        async move {
            let number = log.lock().unwrap().len();
            log.lock().unwrap().push((request.uri().to_string(), None));
            let mut response = Response::new(Empty::<Bytes>::new());
            if refused.is_some_and(|refused| number as u64 >= refused) {
                response.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
            } else if let Ok(body) = request.into_body().collect().await {
                log.lock().unwrap()[number].1 = Some(body.to_bytes().len());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let client = Client { pieces: pieces.into(), heads: Arc::new(Mutex::new(Heads::new(LONGEST))), broken: false };
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.header_read_timeout(None::<std::time::Duration>).half_close(true).max_header_size(LONGEST).max_buf_size(2 * LONGEST);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ended = runtime.block_on(async { builder.serve_connection(TokioIo::new(client), service).await });
    let requests = std::mem::take(&mut *requests.lock().unwrap());
    (requests, ended.is_err_and(|error| error.is_parse()))
}

/// Both agree on every message up to the first that either refuses.
fn agree(bytes: &[u8], cuts: &[usize]) -> Result<(), TestCaseError> {
    let (messages, found) = follow(bytes);
    let refused = if let Found::Fault(number, _) = found { Some(number) } else { None };
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    let pieces = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).filter(|piece| !piece.is_empty()).collect();
    let (requests, parse_error) = served(pieces, refused);
    let mut body_failed = false;
    for (at, (target, body)) in requests.iter().enumerate() {
        prop_assert!(!body_failed, "hyper went on after a body that it could not read");
        let Some(message) = messages.get(at) else {
            prop_assert_eq!(refused, Some(at as u64), "hyper served {} that was not seen", target);
            prop_assert_eq!(at + 1, requests.len());
            continue;
        };
        prop_assert_eq!(&message.target, target);
        match (message.body, body) {
            (Some(ours), Some(theirs)) => prop_assert_eq!(ours, *theirs),
            (None, Some(_)) => prop_assert!(false, "hyper found the end of {} and we did not", target),
            // hyper refuses what it cannot read of extensions and trailers, and an end within a body.
            (_, None) => body_failed = true,
        }
    }
    // After these hyper serves no more, whatever comes.
    let last = ["CONNECT ", "close", "HTTP/1.0"].iter().any(|last| bytes.windows(last.len()).any(|window| window == last.as_bytes()));
    if !parse_error && !body_failed && !last {
        let seen = messages.len() + usize::from(refused.is_some());
        prop_assert!(requests.len() == seen || requests.len() == messages.len(), "{} served, {} seen", requests.len(), seen);
    }
    Ok(())
}

/// One of these, mostly one of the first.
fn mostly(good: &'static [&'static str], odd: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => prop::sample::select(good), 1 => prop::sample::select(odd)]
}

fn message() -> impl Strategy<Value = String> {
    let lead = mostly(&["", "", "\r\n"], &["\r\n\r\n", "\n", "\r", " "]);
    let line = mostly(&["GET /N", "POST /N", "PUT /N?a=b"], &["GET /N#x", "GET  /N", "get /N", "POST http://a/N", "CONNECT /N", "GET *"]);
    let version =
        mostly(&[" HTTP/1.1\r\n", " HTTP/1.1\r\nHost: a\r\n"], &[" HTTP/1.0\r\n", " HTTP/1.1\n", "\r\n", " HTTP/2.0\r\n", " HTTP/1.1 \r\n"]);
    let fields = mostly(
        &["", "X: y\r\n", "Connection: keep-alive\r\nCookie: a=b\r\n", "Expect: 100-continue\r\n", "X: \u{e9}\r\n", "Upgrade: x\r\n"],
        &["X: y\n", "X : y\r\n", "X: a\r\n b\r\n", "X: a\rb\r\n", "X: \0\r\n", "Connection: close\r\n", ": x\r\n", "X\r\n"],
    );
    let framing = mostly(
        &[
            "",
            "Content-Length: 0\r\n",
            "Content-Length: 3\r\n",
            "content-length:19\t\r\n",
            "Transfer-Encoding: chunked\r\n",
            "TRANSFER-ENCODING:\tChunked \r\n",
        ],
        &[
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 19\r\n",
            "Content-Length: 03\r\n",
            "Content-Length: 3,3\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 3\r\n",
            " Content-Length: 3\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer_Encoding: chunked\r\n",
        ],
    );
    let end = mostly(&["\r\n"], &["\n", "", "\r\n\r\n", "\r"]);
    let body = mostly(
        &["", "abc", "GET /hidden HTTP/1.1\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "A;b=c\r\n0123456789\r\n1\r\n\n\r\n000\r\nX: y\r\n\r\n", "0\r\n\r\n"],
        &[
            "3 \r\nabc\r\n0\r\n\r\n",
            "3\nabc\n0\n\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "0\r\nX: y\nZ: w\r\n\r\n",
            "0\r\nbad trailer\r\n\r\n",
            "0\r\n\n",
            "3;\0\r\nabc\r\n0\r\n\r\n",
            "00000000000000003\r\nabc\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
        ],
    );
    (lead, line, version, fields, framing, end, body).prop_map(|(lead, line, version, fields, framing, end, body)| {
        let mut parts = [fields, framing];
        if fields.len() % 2 == 0 {
            parts.reverse();
        }
        [lead, line, version, &parts.concat(), end, body].concat()
    })
}

/// A message whose body fits its head: so that a stream goes on.
fn whole() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("GET /N HTTP/1.1\r\nHost: a\r\n\r\n"),
        Just("POST /N HTTP/1.1\r\nContent-Length: 22\r\n\r\nGET /h HTTP/1.1\r\n\r\nxyz"),
        Just("POST /N HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n\r\n\n\r\n13\r\nGET /h HTTP/1.1\r\n\r\n\r\n0\r\nX: y\r\n\r\n"),
    ]
    .prop_map(str::to_owned)
}

/// Changes a stream in some places: a byte put in, taken out or replaced, a stretch said twice.
fn mutated(mut bytes: Vec<u8>, changes: &[(u8, usize, u8)]) -> Vec<u8> {
    const ODD: &[u8] = b"\r\n\n\r \t:;#0123afAF,\0\x7f\x85xCT/";
    for (kind, at, odd) in changes {
        let at = at % (bytes.len() + 1);
        let odd = ODD[usize::from(*odd) % ODD.len()];
        match kind % 4 {
            0 => bytes.insert(at, odd),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] = odd,
            _ => {
                let end = (at + usize::from(*kind)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

fn numbered(messages: &[String]) -> Vec<u8> {
    messages
        .iter()
        .enumerate()
        .flat_map(|(at, message)| message.replace("/N", &format!("/{at}")).replace("/h", ["/A", "/B", "/C", "/D", "/E"][at]).into_bytes())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn hyper_finds_the_same_messages_in_streams_of_odd_parts(
        messages in prop::collection::vec(prop_oneof![message(), whole()], 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        agree(&numbered(&messages), &cuts)?;
    }

    #[test]
    fn hyper_finds_the_same_messages_in_streams_that_were_changed(
        messages in prop::collection::vec(whole(), 1..5),
        changes in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 0..4),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        agree(&mutated(numbered(&messages), &changes), &cuts)?;
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
        let mut heads = Heads::new(50);
        let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
        heads.read(first);
        heads.read(second);
        prop_assert!(heads.partial.len() <= 50);
    }
}

#[test]
fn streams_without_a_fault_are_served_to_their_end() {
    // Guards the comparison itself: it must compare something.
    let good = numbered(&vec!["POST /N HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n13\r\nGET /h HTTP/1.1\r\n\r\n\r\n0\r\n\r\n".to_owned(); 4]);
    let (messages, found) = follow(&good);
    assert_eq!((messages.len(), found), (4, Found::Clear));
    assert!(messages.iter().all(|message| message.body == Some(19)));
    let (requests, refused) = served(vec![good], None);
    assert_eq!(requests, (0..4).map(|at| (format!("/{at}"), Some(19))).collect::<Vec<_>>());
    assert!(!refused);
}
