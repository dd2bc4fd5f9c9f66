//! Heads of messages: requests are written, answers are read.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, uri::PathAndQuery};
use hyper::ext::ReasonPhrase;

use super::Fault;
use super::decoder::Decoder;
use crate::inbound::{ConnectionOptions, Lines, write_line};

/// Most header lines of an answer, and of its trailers.
pub(super) const MAX_LINES: usize = 100;
/// Longest head of an answer, in bytes. Applications set large cookies; none needs more than this.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// The head of an answer.
#[derive(Debug)]
pub(in crate::proxy) struct Head {
    pub(in crate::proxy) status: StatusCode,
    pub(in crate::proxy) headers: HeaderMap,
    /// Where it is not the usual one of the status.
    pub(in crate::proxy) reason: Option<ReasonPhrase>,
    /// What `Connection` said, which is not among the headers.
    pub(in crate::proxy) options: ConnectionOptions,
    /// Whether it asks for credentials.
    pub(in crate::proxy) asks: bool,
    /// Whether another request may follow on the connection.
    pub(in crate::proxy) keeps: bool,
    /// Where its body ends.
    pub(in crate::proxy) decoder: Decoder,
}

/// What a head says of the body that follows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Nothing: there is none.
    Unsaid,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Writes the head of a request. None of its parts can hold a line end: their types see to that.
pub(super) fn write(out: &mut Vec<u8>, (method, target): (&Method, &PathAndQuery), (host, lines): (&HeaderValue, &Lines), body: Body) {
    for part in [method.as_str(), " ", target.as_str(), " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_line(out, &header::HOST, host);
    out.extend_from_slice(lines.as_bytes());
    match body {
        Body::Unsaid => {}
        Body::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Body::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Takes the head of an answer to `method` out of what has arrived; `None` while its end has not. `scanned` bytes of it were
/// looked at before: an application that sends byte by byte does not make us look at each again and again.
pub(super) fn read(inbox: &mut BytesMut, scanned: &mut usize, method: &Method) -> Result<Option<Head>, Fault> {
    let end = end(inbox, *scanned);
    // The last two may be the beginning of the end.
    *scanned = if end.is_some() { 0 } else { inbox.len().saturating_sub(2) };
    if end.unwrap_or(inbox.len()) > MAX_BYTES {
        return Err(Fault::Malformed("its head is too long"));
    }
    let Some(end) = end else { return Ok(None) };
    let bytes = inbox.split_to(end).freeze();
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let length = match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &bytes, &mut lines) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(Fault::Malformed("its head ends in two places")),
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::Malformed("it has more than 100 header lines")),
        Err(_) => return Err(Fault::Malformed("its head is not one of HTTP/1")),
    };
    if length != bytes.len() {
        return Err(Fault::Malformed("its head ends in two places"));
    }
    let status: StatusCode = parsed.code.and_then(|code| code.try_into().ok()).ok_or(Fault::Malformed("its status is not a number from 100 on"))?;
    let reason = parsed.reason.filter(|reason| !reason.is_empty() && status.canonical_reason() != Some(reason));
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    let is_1_1 = parsed.version == Some(1);
    let (mut headers, mut options) = (HeaderMap::with_capacity(parsed.headers.len()), ConnectionOptions::default());
    let (mut is_coded, mut asks) = (false, false);
    for line in parsed.headers {
        let (name, value) = field(&bytes, line)?;
        if name == header::CONNECTION {
            options.read(&value);
            continue;
        }
        is_coded |= name == header::TRANSFER_ENCODING;
        asks |= name == header::WWW_AUTHENTICATE;
        headers.append(name, value);
    }
    let coding = if is_coded { coding(&headers, is_1_1)? } else { None };
    let decoder = framing(&headers, coding, status, method)?;
    // Some applications answer HEAD with a body all the same. Should it come late, it would be the next request's answer.
    let keeps = *method != Method::HEAD && !options.close && (is_1_1 || options.keep_alive);
    Ok(Some(Head { status, headers, reason, options, asks, keeps, decoder }))
}

/// Where an empty line after `from` ends what has arrived: after a line feed, alone or with its carriage return (RFC 9112
/// section 2.2).
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| match bytes.get(from + at + 1..)? {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// The lines as a map.
pub(super) fn headers(bytes: &Bytes, lines: &[httparse::Header<'_>]) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let (name, value) = field(bytes, line)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The value is a part of `bytes`, not a copy.
fn field(bytes: &Bytes, line: &httparse::Header<'_>) -> Result<(HeaderName, HeaderValue), Fault> {
    let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Fault::Malformed("the name of a header is not valid"))?;
    let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).map_err(|_| Fault::Malformed("the value of a header is not valid"))?;
    Ok((name, value))
}

/// The one that may be: `chunked`, said once, alone, and in HTTP/1.1.
fn coding(headers: &HeaderMap, is_1_1: bool) -> Result<Option<Decoder>, Fault> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(None) };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Fault::Malformed("its Transfer-Encoding is not chunked alone"));
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Fault::Malformed("it has both Transfer-Encoding and Content-Length"));
    }
    if !is_1_1 {
        return Err(Fault::Malformed("it is of HTTP/1.0 and has a Transfer-Encoding"));
    }
    Ok(Some(Decoder::chunked()))
}

/// RFC 9112 section 6.3: where the body of an answer ends. One whose end could be read in two ways is not passed on.
fn framing(headers: &HeaderMap, coding: Option<Decoder>, status: StatusCode, method: &Method) -> Result<Decoder, Fault> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next().map(|length| plain_number(length.as_bytes()).ok_or(Fault::Malformed("its Content-Length is not a plain number")));
    let length = length.transpose()?;
    if lengths.next().is_some() {
        return Err(Fault::Malformed("it has more than one Content-Length"));
    }
    let has_no_body = *method == Method::HEAD || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(match length {
        _ if has_no_body => Decoder::Length(0),
        Some(length) => Decoder::Length(length),
        None => coding.unwrap_or(Decoder::UntilClosed),
    })
}

/// Clients get the value as the application wrote it: "5, 5", "05" and "+5" have more than one reading.
fn plain_number(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.iter().all(u8::is_ascii_digit) && (digits == b"0" || digits.first().is_some_and(|first| *first != b'0'));
    is_plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Option<Head>, Fault> {
        read(&mut BytesMut::from(bytes), &mut 0, &Method::GET)
    }

    #[test]
    fn an_answer_says_in_one_way_where_it_ends() {
        for (lines, decoder) in [
            ("", Decoder::UntilClosed),
            ("Content-Length: 0\r\n", Decoder::Length(0)),
            ("Content-Length: 50\r\n", Decoder::Length(50)),
            ("Transfer-Encoding: Chunked\r\n", Decoder::chunked()),
        ] {
            let head = read_all(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes()).unwrap().unwrap();
            assert_eq!(head.decoder, decoder, "{lines}");
        }
        for length in ["", "5, 5", "05", "00", "+5", "-5", "0x5", "5 5", "5,", "5.0", "18446744073709551616"] {
            assert!(read_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).is_err(), "{length:?}");
        }
        for lines in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"] {
            assert!(read_all(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes()).is_err(), "{lines:?}");
        }
        for coding in ["gzip", "gzip, chunked", "chunked, chunked", "identity", "", "chunked\r\nTransfer-Encoding: chunked"] {
            assert!(read_all(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n").as_bytes()).is_err(), "{coding:?}");
        }
        assert!(read_all(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn answers_that_never_have_a_body_have_none_whatever_they_say() {
        for status in [204, 304] {
            let head = read_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n").as_bytes()).unwrap().unwrap();
            assert_eq!(head.decoder, Decoder::Length(0), "{status}");
        }
        let mut inbox = BytesMut::from(&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"[..]);
        let head = read(&mut inbox, &mut 0, &Method::HEAD).unwrap().unwrap();
        assert_eq!((head.decoder, head.keeps), (Decoder::Length(0), false));
    }

    #[test]
    fn a_connection_is_kept_as_its_version_says_by_itself() {
        for (head, keeps) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\n\r\n", false),
        ] {
            assert_eq!(read_all(head.as_bytes()).unwrap().unwrap().keeps, keeps, "{head:?}");
        }
    }

    #[test]
    fn a_head_is_read_when_its_empty_line_is_there_and_what_follows_stays() {
        let whole = b"HTTP/1.1 404 Gone fishing\r\nX-A: 1\r\nx-a:2\r\n\r\nrest";
        let end = whole.len() - 4;
        for cut in 0..end {
            let mut inbox = BytesMut::from(&whole[..cut]);
            assert!(read(&mut inbox, &mut 0, &Method::GET).unwrap().is_none(), "{cut}");
            assert_eq!(inbox.len(), cut);
        }
        let mut inbox = BytesMut::from(&whole[..]);
        let head = read(&mut inbox, &mut 0, &Method::GET).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.reason.unwrap().as_bytes()), (404, &b"Gone fishing"[..]));
        assert!(head.headers.get_all("x-a").iter().eq(["1", "2"]));
        assert_eq!(inbox, "rest");
        assert!(read_all(b"HTTP/1.1 200 OK\nX: 1\n\n").unwrap().is_some(), "line feeds alone");
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_looked_at_once() {
        for whole in ["HTTP/1.1 200 OK\r\nX: 1\r\n\r\n", "HTTP/1.1 200 OK\nX: 1\n\n", "HTTP/1.1 200 OK\r\nX: 1\n\r\n"] {
            let (mut inbox, mut scanned, mut found) = (BytesMut::new(), 0, false);
            for (at, byte) in whole.bytes().enumerate() {
                inbox.extend_from_slice(&[byte]);
                found = read(&mut inbox, &mut scanned, &Method::GET).unwrap().is_some();
                assert_eq!((found, scanned), if at + 1 == whole.len() { (true, 0) } else { (false, (at + 1).saturating_sub(2)) });
            }
            assert!(found && inbox.is_empty());
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for head in [
            "garbage\r\n\r\n",
            "\r\n\r\n",
            "HTTP/9.9 200 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 99 Low\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX\r\n\r\n",
        ] {
            assert!(read_all(head.as_bytes()).is_err(), "{head:?}");
        }
        assert!(read_all(&vec![b'x'; MAX_BYTES + 1]).is_err());
        let long = |length: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(length - 24));
        assert!(read_all(long(MAX_BYTES).as_bytes()).unwrap().is_some());
        assert!(read_all(long(MAX_BYTES + 1).as_bytes()).is_err(), "also where all of it comes at once");
        let many = |lines: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(lines));
        assert!(read_all(many(MAX_LINES).as_bytes()).unwrap().is_some());
        assert!(read_all(many(MAX_LINES + 1).as_bytes()).is_err());
    }
}
