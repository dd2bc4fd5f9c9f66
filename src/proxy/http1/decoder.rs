//! The body of an answer, as RFC 9112 section 6 frames it.
//!
//! ```text
//! 5;ext CRLF  hello CRLF  0 CRLF  X-Trailer: 1 CRLF  CRLF
//! └─ Size ──┘ └ Data ┘└End┘└Size┘ └───── Trailers ──────┘
//! ```

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::Fault;
use super::head::{self, MAX_LINES};

/// Longest line that gives a chunk's size, its extensions included; they are ignored (section 7.1.1).
const MAX_SIZE_LINE: usize = 1024;
/// Longest trailers, in bytes.
const MAX_TRAILERS: usize = 16 * 1024;
/// The end of most bodies.
const PLAIN_END: &[u8] = b"\r\n0\r\n\r\n";

/// Where a body ends, and how far it was read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Decoder {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked(Chunked),
    /// With the connection.
    UntilClosed,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Chunked {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Ended,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing, before more has arrived.
    Wanting,
    Ended,
}

impl Decoder {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked::Size)
    }

    /// Whether the body's end was seen.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Ended))
    }

    /// How many bytes are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(Chunked::Ended) => Some(0),
            Self::Chunked(_) | Self::UntilClosed => None,
        }
    }

    /// Takes the next part of the body out of what has arrived.
    pub(super) fn step(&mut self, inbox: &mut BytesMut) -> Result<Step, Fault> {
        match self {
            Self::Length(0) => Ok(Step::Ended),
            Self::Length(left) | Self::Chunked(Chunked::Data(left)) if inbox.is_empty() && *left > 0 => Ok(Step::Wanting),
            Self::Length(left) => Ok(Step::Data(up_to(left, inbox))),
            Self::UntilClosed if inbox.is_empty() => Ok(Step::Wanting),
            Self::UntilClosed => Ok(Step::Data(inbox.split().freeze())),
            Self::Chunked(state) => state.step(inbox),
        }
    }
}

impl Chunked {
    fn step(&mut self, inbox: &mut BytesMut) -> Result<Step, Fault> {
        loop {
            let found = match self {
                Self::Size => size(inbox)?.map(|size| if size == 0 { Self::Trailers } else { Self::Data(size) }),
                Self::Data(left) => {
                    let data = up_to(left, inbox);
                    if *left == 0 {
                        *self = Self::DataEnd;
                        self.end_at_once(inbox);
                    }
                    return Ok(Step::Data(data));
                }
                Self::DataEnd => line_end(inbox)?.then_some(Self::Size),
                Self::Trailers => match trailers(inbox)? {
                    None => None,
                    Some(trailers) => {
                        *self = Self::Ended;
                        return Ok(if trailers.is_empty() { Step::Ended } else { Step::Trailers(trailers) });
                    }
                },
                Self::Ended => return Ok(Step::Ended),
            };
            let Some(next) = found else { return Ok(Step::Wanting) };
            *self = next;
            if matches!(self, Self::Data(_)) && inbox.is_empty() {
                return Ok(Step::Wanting);
            }
        }
    }

    /// Where the end is there with the last piece, whoever reads it knows that it was the last.
    fn end_at_once(&mut self, inbox: &mut BytesMut) {
        if inbox.starts_with(PLAIN_END) {
            let _ = inbox.split_to(PLAIN_END.len());
            *self = Self::Ended;
        }
    }
}

fn up_to(left: &mut u64, inbox: &mut BytesMut) -> Bytes {
    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(inbox.len());
    *left = left.saturating_sub(take as u64);
    inbox.split_to(take).freeze()
}

/// `1*HEXDIG [ extensions ] CRLF`.
fn size(inbox: &mut BytesMut) -> Result<Option<u64>, Fault> {
    let Some(at) = memchr::memchr(b'\n', inbox) else {
        return if inbox.len() > MAX_SIZE_LINE { Err(Fault::Malformed("the size of a chunk is too long")) } else { Ok(None) };
    };
    let line = inbox.split_to(at + 1);
    let line = line.strip_suffix(b"\r\n").ok_or(Fault::Malformed("the size of a chunk ends without a carriage return"))?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(digits).unwrap_or_default();
    let extension = rest.trim_ascii_start();
    let is_plain = rest.is_empty() || extension.starts_with(b";");
    if !is_plain || line.len() > MAX_SIZE_LINE || rest.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return Err(Fault::Malformed("the size of a chunk is not a number"));
    }
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.map(Some).ok_or(Fault::Malformed("the size of a chunk is not a number"))
}

fn line_end(inbox: &mut BytesMut) -> Result<bool, Fault> {
    if !b"\r\n".starts_with(inbox.get(..2.min(inbox.len())).unwrap_or_default()) {
        return Err(Fault::Malformed("a chunk is longer than its size"));
    }
    let is_there = inbox.len() >= 2;
    if is_there {
        let _ = inbox.split_to(2);
    }
    Ok(is_there)
}

/// The trailers with their empty line, once all of it is there.
fn trailers(inbox: &mut BytesMut) -> Result<Option<HeaderMap>, Fault> {
    if inbox.starts_with(b"\r\n") {
        let _ = inbox.split_to(2);
        return Ok(Some(HeaderMap::new()));
    }
    let Some(end) = head::end(inbox) else {
        return if inbox.len() > MAX_TRAILERS { Err(Fault::Malformed("its trailers are too long")) } else { Ok(None) };
    };
    let bytes = inbox.split_to(end).freeze();
    let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
    match httparse::parse_headers(&bytes, &mut lines) {
        Ok(httparse::Status::Complete((length, lines))) if length == bytes.len() => head::headers(&bytes, lines).map(Some),
        Ok(_) | Err(_) => Err(Fault::Malformed("its trailers are not valid")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the pieces one by one. What came out: the data, the trailers, whether the end was seen, and what was left.
    fn decode(mut decoder: Decoder, pieces: &[&[u8]]) -> Result<(Vec<u8>, HeaderMap, bool, Vec<u8>), Fault> {
        let (mut inbox, mut data, mut found) = (BytesMut::new(), Vec::new(), HeaderMap::new());
        for piece in pieces {
            inbox.extend_from_slice(piece);
            loop {
                match decoder.step(&mut inbox)? {
                    Step::Data(piece) => {
                        assert!(!piece.is_empty());
                        data.extend_from_slice(&piece);
                    }
                    Step::Trailers(trailers) => found = trailers,
                    Step::Wanting | Step::Ended => break,
                }
            }
        }
        Ok((data, found, decoder.is_ended(), inbox.to_vec()))
    }

    #[test]
    fn a_length_takes_so_many_bytes_and_no_more() {
        assert_eq!(decode(Decoder::Length(5), &[b"he", b"llo rest"]).unwrap(), (b"hello".to_vec(), HeaderMap::new(), true, b" rest".to_vec()));
        assert_eq!(decode(Decoder::Length(5), &[b"hell"]).unwrap(), (b"hell".to_vec(), HeaderMap::new(), false, vec![]));
        assert_eq!(decode(Decoder::Length(0), &[b"x"]).unwrap(), (vec![], HeaderMap::new(), true, b"x".to_vec()));
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let whole = b"5\r\nhello\r\nA;x=\"y\" ; z\r\n, world!!!\r\n000 \t;a\r\nX-Sum: 1\r\n\r\nrest";
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            let (data, trailers, ended, left) = decode(Decoder::chunked(), &[first, second]).unwrap();
            assert_eq!((data.as_slice(), ended, left.as_slice()), (&b"hello, world!!!"[..], true, &b"rest"[..]), "{cut}");
            assert_eq!(trailers.get("x-sum").unwrap(), "1");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(decode(Decoder::chunked(), &bytes).unwrap().0, b"hello, world!!!");
    }

    #[test]
    fn the_end_is_seen_with_the_last_piece_where_it_is_there() {
        let (mut decoder, mut inbox) = (Decoder::chunked(), BytesMut::from(&b"5\r\nhello\r\n0\r\n\r\n"[..]));
        assert_eq!(decoder.step(&mut inbox).unwrap(), Step::Data(Bytes::from("hello")));
        assert!(decoder.is_ended() && inbox.is_empty());
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(MAX_SIZE_LINE));
        let lines = format!("0\r\n{}\r\n", "X: 1\r\n".repeat(MAX_LINES + 1));
        let trailers = format!("0\r\nX: {}", "x".repeat(MAX_TRAILERS + 1));
        for body in [
            "\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloo\r\n0\r\n\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "g\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5;a\0\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nX: a\0b\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            &long,
            &lines,
            &trailers,
        ] {
            assert!(decode(Decoder::chunked(), &[body.as_bytes()]).is_err(), "{body:.40?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_cut_into_any_chunks_comes_out_as_it_was(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8), cut in 1_usize..64) {
            let mut wire = Vec::new();
            for piece in &pieces {
                wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\nnext");
            let cuts: Vec<&[u8]> = wire.chunks(cut).collect();
            let (data, _, ended, left) = decode(Decoder::chunked(), &cuts).unwrap();
            prop_assert_eq!(data, pieces.concat());
            prop_assert!(ended);
            prop_assert!(b"next".starts_with(&left[..left.len().min(4)]) && left.len() == 4);
        }

        #[test]
        fn bytes_of_any_kind_never_end_a_body_that_did_not_end(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((_, _, true, _)) = decode(Decoder::chunked(), &[&wire]) {
                prop_assert!(memchr::memmem::find(&wire, b"0\r\n").is_some());
            }
        }
    }
}
