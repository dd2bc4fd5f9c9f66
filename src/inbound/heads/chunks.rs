//! A chunked body in its one strict form (RFC 9112 section 7.1).
//!
//! ```text
//! 1a;name=value CRLF  26 bytes CRLF  0 CRLF  trailer: value CRLF  CRLF
//! size extension      data           last    trailers              end
//! ```

/// Where the next byte of a chunked body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// How far a body came in some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All of them are part of it, and it goes on.
    More,
    /// It ended before this one.
    End(usize),
    /// It is not one from this one on.
    Broken(usize, &'static str),
}

/// As many as a 64-bit number has.
const MOST_DIGITS: u8 = 16;

impl Chunks {
    /// Before the first byte.
    pub(super) const START: Self = Self::Size { digits: 0, size: 0 };

    /// Follows these bytes. Data is passed over, not looked at.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Self::Data { left } = self {
                let here = bytes.len().saturating_sub(at);
                let taken = usize::try_from(*left).map_or(here, |left| left.min(here));
                at = at.saturating_add(taken);
                *left = left.saturating_sub(taken as u64);
                if *left == 0 {
                    *self = Self::DataCr;
                }
                continue;
            }
            *self = match self.after(*byte) {
                Ok(next) => next,
                Err(why) => return Step::Broken(at, why),
            };
            at = at.saturating_add(1);
            if *self == Self::End {
                return Step::End(at);
            }
        }
        Step::More
    }

    /// The state after one byte that is not data.
    fn after(self, byte: u8) -> Result<Self, &'static str> {
        Ok(match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Self::Size { digits: digits.saturating_add(1), size: size << 4 | digit }
            }
            (Self::Size { digits: 1.., size }, b';') => Self::Extension { size },
            (Self::Size { digits: 1.., size }, b'\r') => Self::SizeLf { size },
            (Self::Size { .. }, _) => return Err("a chunk's size is not a plain hexadecimal number"),
            (Self::Extension { size }, b'\r') => Self::SizeLf { size },
            (Self::Extension { .. }, _) if is_control(byte) => return Err("a chunk's extension holds a control character"),
            (Self::Extension { .. } | Self::Trailer, _) if !is_control(byte) => self,
            (Self::SizeLf { size: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeLf { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::START,
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::TrailerStart, _) if !is_control(byte) && byte != b' ' && byte != b'\t' => Self::Trailer,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::EndLf, b'\n') => Self::End,
            (Self::Trailer | Self::TrailerStart, _) => return Err("a trailer holds a control character, or is folded"),
            (Self::DataCr | Self::DataLf, _) => return Err("a chunk is longer than its size"),
            (Self::SizeLf { .. } | Self::TrailerLf | Self::EndLf, _) => return Err("a line of the chunks does not end in CR and LF"),
            (Self::Extension { .. } | Self::Data { .. } | Self::End, _) => return Err("the chunks are out of order"),
        })
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, the outcome is the same.
    fn outcome(bytes: &[u8]) -> Step {
        let mut chunks = Chunks::START;
        let whole = chunks.read(bytes);
        for cut in 1..bytes.len() {
            let mut chunks = Chunks::START;
            let (first, second) = bytes.split_at(cut);
            let step = match chunks.read(first) {
                Step::More => match chunks.read(second) {
                    Step::More => Step::More,
                    Step::End(at) => Step::End(cut + at),
                    Step::Broken(at, why) => Step::Broken(cut + at, why),
                },
                ended @ (Step::End(_) | Step::Broken(..)) => ended,
            };
            assert_eq!(step, whole, "{:?} cut at {cut}", String::from_utf8_lossy(bytes));
        }
        whole
    }

    #[test]
    fn a_strict_body_ends_where_it_says() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "003\r\nabc\r\n000\r\n\r\n",
            "A\r\n0123456789\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
            "3;a\r\nabc\r\n0;b=\"c\td\"\r\n\r\n",
            "0\r\nX: y\r\nZ:\r\n\r\n",
            "1;\u{e9}\r\n;\r\n0\r\n\r\n",
        ] {
            assert_eq!(outcome(body.as_bytes()), Step::End(body.len()), "{body:?}");
            assert_eq!(outcome(format!("{body}GET /").as_bytes()), Step::End(body.len()), "{body:?}");
            assert_eq!(outcome(body.get(..body.len() - 1).unwrap().as_bytes()), Step::More, "{body:?}");
        }
        assert_eq!(outcome(b"ffffffffffffffff\r\nx"), Step::More);
    }

    #[test]
    fn anything_else_breaks_where_it_differs() {
        for (body, at) in [
            ("\r\n", 0),
            ("\n", 0),
            (" 3\r\n", 0),
            ("-3\r\n", 0),
            ("0x3\r\n", 1),
            ("+3\r\n", 0),
            (";a\r\n", 0),
            ("g\r\n", 0),
            ("3 \r\n", 1),
            ("3\t;a\r\n", 1),
            ("3 3\r\n", 1),
            ("3\n", 1),
            ("3\rx", 2),
            ("3\r\r\n", 2),
            ("10000000000000000\r\n", 16),
            ("00000000000000003\r\n", 16),
            ("3;a\nb\r\n", 3),
            ("3;a\0\r\n", 3),
            ("3;a\r\r\n", 4),
            ("3\r\nabcd\r\n", 6),
            ("3\r\nabc\n", 6),
            ("3\r\nabc0\r\n", 6),
            ("3\r\nabc\r0", 7),
            ("0\r\n\n", 3),
            ("0\r\n\rx", 4),
            ("0\r\nX: y\n\r\n", 7),
            ("0\r\nX: y\r\n z\r\n\r\n", 9),
            ("0\r\nX: y\rz\r\n", 8),
            ("0\r\nX: \0\r\n", 6),
        ] {
            assert!(matches!(outcome(body.as_bytes()), Step::Broken(broken, _) if broken == at), "{body:?}: {:?}", outcome(body.as_bytes()));
        }
    }
}
