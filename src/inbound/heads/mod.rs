//! The bytes of an HTTP/1 connection, followed before they are parsed: what hyper would mend or overlook is found here.
//!
//! ```text
//!  [CRLF] method SP target SP HTTP/1.1 CRLF  field CRLF ... CRLF   body                next head
//!  \_______________________________ head _____________________/   by Content-Length,
//!                                                                  or strict chunks
//! ```
//!
//! hyper drops a `Content-Length` that stands beside `Transfer-Encoding`, folds equal lengths into one, takes `#...` off a
//! target, and takes a bare LF for the end of a line, before anybody else sees the head. Such a head is named here by its
//! number, and the request with that number is refused.
//!
//! Both always agree on where a message ends. What hyper itself refuses (a folded line, a blank before a colon, a control
//! character) ends the connection, whatever is thought of it here. Of the rest only this is left standing: lines that all end
//! in CRLF, so that the first empty one ends the head for both; one way to say the body's length, in a form that has one
//! value for both; and chunks that are a strict subset of those that hyper takes. At the first message that is anything else
//! this stops, and so does the connection: nothing after it is served. `tests.rs` compares the two on streams of any kind.
//!
//! What it never does: change a byte, keep a head (only a line that is not whole yet, within the limit for heads), or judge
//! anything but framing.

mod chunks;

use memchr::{memchr, memchr_iter};

use super::Unclean;
use chunks::{Chunks, Step};

/// Why a head is refused for its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// A line ends in LF alone.
    BareLf,
    /// More than one empty line before a request (RFC 9112 section 2.2 asks for one to be passed over).
    EmptyLines,
    /// The request line does not end in a version that is spoken here.
    Version,
    /// The target holds `#`: a client keeps a fragment to itself.
    Fragment,
    /// `Content-Length` is not `0` or digits that do not begin with it.
    Length,
    /// More than one `Content-Length`, equal or not.
    TwoLengths,
    /// `Transfer-Encoding` is not `chunked`, or not in HTTP/1.1.
    Coding,
    /// More than one `Transfer-Encoding`.
    TwoCodings,
    /// `Content-Length` beside `Transfer-Encoding`.
    Both,
    /// Longer than allowed: 431.
    TooLarge,
    /// More lines than allowed: 431.
    TooMany,
}

impl From<HeadFault> for Unclean {
    fn from(fault: HeadFault) -> Self {
        match fault {
            HeadFault::BareLf => Self::Header("a line ends in LF alone"),
            HeadFault::EmptyLines => Self::Framing("empty lines before the request"),
            HeadFault::Version => Self::Framing("the request line does not end in HTTP/1.0 or HTTP/1.1"),
            HeadFault::Fragment => Self::Target("it holds a number sign"),
            HeadFault::Length => Self::Framing("Content-Length is not a plain number"),
            HeadFault::TwoLengths => Self::Framing("more than one Content-Length"),
            HeadFault::Coding => Self::Framing("Transfer-Encoding other than chunked in HTTP/1.1"),
            HeadFault::TwoCodings => Self::Framing("more than one Transfer-Encoding"),
            HeadFault::Both => Self::Framing("both Transfer-Encoding and Content-Length"),
            HeadFault::TooLarge => Self::HeadTooLarge,
            HeadFault::TooMany => Self::TooManyHeaders,
        }
    }
}

/// What was found in some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing to object to.
    Clear,
    /// The head with this number, counted from 0, is to be refused. Nothing is followed any more.
    Fault(u64, HeadFault),
    /// A body's chunks are wrong after the first `usize` bytes, which may still be used. Nothing is followed any more.
    Broken(usize, &'static str),
}

/// Follows one connection.
#[derive(Debug)]
pub struct Heads {
    part: Part,
    head: Head,
    /// The beginning of a line that is not whole yet.
    partial: Vec<u8>,
    longest: usize,
    clear: u64,
    /// Whether the last head that ended has no body.
    bare: bool,
}

#[derive(Debug)]
enum Part {
    Head,
    Body(u64),
    Chunks(Chunks),
    /// A message was refused: there is nothing behind it.
    Over,
}

/// What the lines of one head have said so far.
#[derive(Debug, Default)]
struct Head {
    blank: bool,
    begun: bool,
    http11: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Heads {
    /// `longest`: the limit for a whole head, and so for a line of it.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { part: Part::Head, head: Head::default(), partial: Vec::new(), longest, clear: 0, bare: false }
    }

    /// How many whole heads were found to be clear.
    #[must_use]
    pub fn clear(&self) -> u64 {
        self.clear
    }

    /// Whether the last byte was the end of a head that no body follows.
    #[must_use]
    pub fn ends_with_a_bare_head(&self) -> bool {
        self.bare && matches!(self.part, Part::Head) && self.partial.is_empty() && !self.head.begun && !self.head.blank
    }

    /// Follows the bytes that are read next.
    pub fn read(&mut self, bytes: &[u8]) -> Found {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.part {
                Part::Over => return Found::Clear,
                Part::Head => match self.read_head(rest) {
                    Ok(rest) => rest,
                    Err(fault) => {
                        self.part = Part::Over;
                        return Found::Fault(self.clear, fault);
                    }
                },
                Part::Body(left) => {
                    let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left = left.saturating_sub(taken as u64);
                    if *left == 0 {
                        self.part = Part::Head;
                    }
                    rest.get(taken..).unwrap_or_default()
                }
                Part::Chunks(chunks) => match chunks.read(rest) {
                    Step::More => return Found::Clear,
                    Step::End(at) => {
                        self.part = Part::Head;
                        rest.get(at..).unwrap_or_default()
                    }
                    Step::Broken(at, why) => {
                        self.part = Part::Over;
                        return Found::Broken(bytes.len().saturating_sub(rest.len()).saturating_add(at), why);
                    }
                },
            };
        }
        Found::Clear
    }

    /// Follows a head, to its end or to that of the bytes; what is left of them.
    fn read_head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], HeadFault> {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = bytes.get(start..end).unwrap_or_default();
            start = end.saturating_add(1);
            let ended = if self.partial.is_empty() {
                self.head.line(line)?
            } else {
                self.keep(line)?;
                let ended = self.head.line(&self.partial)?;
                self.partial.clear();
                ended
            };
            if ended {
                self.clear = self.clear.saturating_add(1);
                self.part = std::mem::take(&mut self.head).body();
                self.bare = matches!(self.part, Part::Head);
                return Ok(bytes.get(start..).unwrap_or_default());
            }
        }
        self.keep(bytes.get(start..).unwrap_or_default())?;
        Ok(&[])
    }

    /// Keeps a part of a line until the rest is there.
    fn keep(&mut self, part: &[u8]) -> Result<(), HeadFault> {
        if self.partial.len().saturating_add(part.len()) > self.longest {
            return Err(HeadFault::TooLarge);
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }
}

impl Head {
    /// Takes a line without its LF; whether it ends the head.
    fn line(&mut self, line: &[u8]) -> Result<bool, HeadFault> {
        let line = line.strip_suffix(b"\r").ok_or(HeadFault::BareLf)?;
        if self.begun {
            return if line.is_empty() { Ok(true) } else { self.field(line).map(|()| false) };
        }
        if line.is_empty() {
            return if std::mem::replace(&mut self.blank, true) { Err(HeadFault::EmptyLines) } else { Ok(false) };
        }
        self.begun = true;
        self.http11 = line.ends_with(b" HTTP/1.1");
        if !self.http11 && !line.ends_with(b" HTTP/1.0") {
            return Err(HeadFault::Version);
        }
        if memchr(b'#', line).is_some() { Err(HeadFault::Fragment) } else { Ok(false) }
    }

    /// Of all fields two say where the body ends. A name with a blank before its colon is refused by hyper.
    fn field(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        match line.first() {
            Some(b'C' | b'c') => value(line, b"content-length:").map_or(Ok(()), |length| self.content_length(length)),
            Some(b'T' | b't') => value(line, b"transfer-encoding:").map_or(Ok(()), |coding| self.transfer_encoding(coding)),
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        if self.length.is_some() {
            return Err(HeadFault::TwoLengths);
        }
        if self.chunked {
            return Err(HeadFault::Both);
        }
        self.length = Some(plain_number(value).ok_or(HeadFault::Length)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        if self.chunked {
            return Err(HeadFault::TwoCodings);
        }
        if self.length.is_some() {
            return Err(HeadFault::Both);
        }
        if !self.http11 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadFault::Coding);
        }
        self.chunked = true;
        Ok(())
    }

    fn body(self) -> Part {
        match self.length {
            _ if self.chunked => Part::Chunks(Chunks::START),
            Some(1..) => Part::Body(self.length.unwrap_or_default()),
            Some(0) | None => Part::Head,
        }
    }
}

/// The value of a field if it has this name, without the blanks around it.
fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (have, mut value) = line.split_at_checked(name.len())?;
    if !have.eq_ignore_ascii_case(name) {
        return None;
    }
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Some(value)
}

/// `0`, or up to 18 digits that do not begin with it.
pub(super) fn plain_number(digits: &[u8]) -> Option<u64> {
    let canonical = match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    canonical.then(|| digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))))
}

#[cfg(test)]
mod tests;
