//! What should have been signed: put together when a signature does not match, and for the operator alone.
//!
//! ```text
//! what the scheme's own builder made ──lines──> [ method ] [ path ] [ date ] [ header x-a ] [ body: length and hash ]
//!
//! log:             the signature does not match; what should have been signed: sha256=9f86… bytes=71: method 3, path 10, …
//! while debugged:  the same, and: reads "GET /api/x\n2026-11-22 06:00:00\n…"
//! ```
//!
//! Nothing of this is made for a good signature. It is made for an unknown key as for a known one, so that the time to an answer tells
//! nobody which keys there are; while a key is debugged, its wrong signatures take some microseconds longer than others. Never a secret,
//! and never a signature, is a part.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::credential::redacted;
use crate::auth::Refusal;
use crate::payload::{Payload, Room};

/// What a signature that does not match is told as.
pub(in crate::auth) const UNLIKE: &str = "the signature does not match";
/// The same for one that was made in a way which is not the key's.
pub(in crate::auth) const OTHER_WAY: &str = "alg is not the key's, or not named where the key has several";
/// And one by a key that nobody knows.
pub(in crate::auth) const NO_KEY: &str = "no such key";

/// Parts that a log line lists.
const MOST_LISTED: usize = 40;
/// Characters of the text that a log line shows.
const MOST_SHOWN: usize = 8 << 10;

/// One part of what should have been signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, such as `method` or `header x-date`.
    pub name: Cow<'static, str>,
    /// Its bytes; nothing of a body.
    pub bytes: Vec<u8>,
    /// What stands between it and the next part.
    pub end: &'static str,
    /// Of a body: how long it is, and its SHA-256.
    pub body: Option<(u64, [u8; 32])>,
}

impl Part {
    fn length(&self) -> u64 {
        self.body.map_or_else(|| u64::try_from(self.bytes.len()).unwrap_or(u64::MAX), |(length, _)| length)
    }
}

/// What should have been signed, where a signature does not match. Its `Display` shows the text only while the key is debugged, its `Debug`
/// never.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedText {
    /// Whether the signature was wrong or the key unknown.
    pub why: &'static str,
    /// In their order.
    pub parts: Vec<Part>,
    /// SHA-256 of the whole.
    pub digest: [u8; 32],
    /// The same of other readings that would have been taken too.
    pub others: Vec<[u8; 32]>,
    length: u64,
    shown: bool,
}

impl SignedText {
    /// All of it, with `body` in the place of the body.
    #[must_use]
    pub fn bytes(&self, body: &[u8]) -> Vec<u8> {
        let of = |part: &Part| [if part.body.is_some() { body } else { part.bytes.as_slice() }, part.end.as_bytes()].concat();
        self.parts.iter().flat_map(of).collect()
    }

    /// What the log is told, but for why: one line.
    #[must_use]
    pub fn told(&self) -> String {
        let text = if self.shown { format!("; reads \"{}\"", self.readable()) } else { String::new() };
        format!("what should have been signed: {}{text}", self.list())
    }

    fn list(&self) -> String {
        let mut list = format!("sha256={} bytes={}", hex(&self.digest), self.length);
        for other in &self.others {
            list.push_str(&format!(" or sha256={}", hex(other)));
        }
        for (at, part) in self.parts.iter().take(MOST_LISTED).enumerate() {
            list.push_str(&format!("{} {} {}", if at == 0 { ":" } else { "," }, part.name, part.length()));
        }
        if self.parts.len() > MOST_LISTED {
            list.push_str(&format!(", and {} more", self.parts.len() - MOST_LISTED));
        }
        list
    }

    /// The text without bodies and credentials, in one line.
    fn readable(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part.body {
                Some((length, digest)) => text.push_str(&format!("<{length} bytes of body, sha256={}>", hex(&digest))),
                None => text.push_str(&visible(&redacted(&part.name, &part.bytes))),
            }
            text.push_str(&visible(part.end.as_bytes()));
        }
        match text.char_indices().nth(MOST_SHOWN) {
            Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
            None => text,
        }
    }
}

impl fmt::Display for SignedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.told())
    }
}

impl fmt::Debug for SignedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedText({})", self.list())
    }
}

/// Bytes in one line and in ASCII, but for letters of other scripts: `\n`, `\r`, `\t`, `\\`, `\x00`.
#[must_use]
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\\' => text.push_str("\\\\"),
                c if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() => text.push(c),
                c => text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\x{byte:02x}"))),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A [`SignedText`] while it is put together.
#[derive(Default)]
pub(in crate::auth) struct Parts {
    parts: Vec<Part>,
    hash: Sha256,
    others: Vec<Sha256>,
    length: u64,
}

impl Parts {
    /// Adds a part and what follows it.
    pub(in crate::auth) fn part(&mut self, name: impl Into<Cow<'static, str>>, bytes: &[u8], end: &'static str) {
        self.count(bytes);
        self.count(end.as_bytes());
        self.parts.push(Part { name: name.into(), bytes: bytes.to_vec(), end, body: None });
    }

    /// Adds the lines of `text`, as `name` calls each by its number and what it holds. A last line that is empty is none.
    pub(in crate::auth) fn lines(mut self, text: &[u8], mut name: impl FnMut(usize, &[u8]) -> Cow<'static, str>) -> Self {
        for (at, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            let (line, end) = line.strip_suffix(b"\n").map_or((line, ""), |line| (line, "\n"));
            self.part(name(at, line), line, end);
        }
        self
    }

    /// Notes that another text would have been taken in the place of what is here so far.
    pub(in crate::auth) fn or(&mut self, other: &[u8]) {
        self.others.push(Sha256::new_with_prefix(other));
    }

    /// Adds a body, which is held already and is read once more. `None` if that fails.
    pub(in crate::auth) async fn body(mut self, body: &mut Payload, limit: u64, room: &Arc<Room>) -> Option<Self> {
        let mut own = Sha256::new();
        let each = |piece: &[u8]| {
            own.update(piece);
            self.count(piece);
        };
        // On the heap: what only a refused request needs would make the future of each as large.
        let length = Box::pin(body.hold(limit, room, each)).await.ok()?;
        if length > 0 {
            self.parts.push(Part { name: "body".into(), bytes: Vec::new(), end: "", body: Some((length, own.finalize().into())) });
        }
        Some(self)
    }

    /// All of it. `shown` says whether its `Display` shows the text.
    pub(in crate::auth) fn end(self, why: &'static str, shown: bool) -> SignedText {
        SignedText {
            why,
            parts: self.parts,
            digest: self.hash.finalize().into(),
            others: self.others.into_iter().map(|hash| hash.finalize().into()).collect(),
            length: self.length,
            shown,
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.others.iter_mut().for_each(|hash| hash.update(bytes));
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
}

/// The name of a line of the form `name:value`.
pub(in crate::auth) fn header_line(line: &[u8]) -> Option<String> {
    let at = line.iter().position(|b| *b == b':').filter(|at| (1..=64).contains(at))?;
    let name = line.get(..at)?;
    let token = name.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.()@".contains(b));
    token.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// A path with a query, where there is one, as parts of that name.
pub(in crate::auth) fn target(parts: &mut Parts, target: &[u8], end: &'static str) {
    match target.iter().position(|b| *b == b'?').and_then(|at| target.split_at_checked(at)) {
        Some((path, query)) => {
            parts.part("path", path, "?");
            parts.part("query", query.get(1..).unwrap_or_default(), end);
        }
        None => parts.part("path", target, end),
    }
}

impl Refusal {
    /// Why, if it says that the signature is wrong or the key unknown: only then is it told what should have been signed.
    pub(in crate::auth) fn unlike(&self) -> Option<&'static str> {
        match self {
            Self::Wrong(why) if [UNLIKE, OTHER_WAY, NO_KEY].contains(why) => Some(why),
            Self::Wrong(_)
            | Self::Missing
            | Self::Unclaimed
            | Self::Malformed(_)
            | Self::Mismatch(_)
            | Self::WrongBody(_)
            | Self::Expired
            | Self::NotYetValid
            | Self::Skewed(_)
            | Self::WrongAudience
            | Self::WrongIssuer
            | Self::Replayed
            | Self::Forbidden(_) => None,
        }
    }

    /// The same, with what should have been signed, where that is what it is about.
    pub(in crate::auth) fn told(self, shown: bool, parts: impl FnOnce() -> Parts) -> Self {
        match self.unlike() {
            Some(why) => Self::Mismatch(Box::new(parts().end(why, shown))),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(shown: bool) -> SignedText {
        let mut parts = Parts::default().lines(b"GET\n/x\n\n", |at, _| ["method", "path", "query"][at].into());
        parts.part("header authorization", b"authorization:s3cret", "");
        parts.or(b"another");
        parts.end(UNLIKE, shown)
    }

    #[test]
    fn the_text_is_shown_to_whom_it_may_be_and_its_debug_form_shows_none() {
        let whole = b"GET\n/x\n\nauthorization:s3cret";
        let (hidden, shown) = (text(false), text(true));
        assert_eq!((hidden.bytes(b""), hidden.digest), (whole.to_vec(), <[u8; 32]>::from(Sha256::digest(whole))));
        let list = format!(
            "sha256={} bytes=28 or sha256={}: method 3, path 2, query 0, header authorization 20",
            hex(&Sha256::digest(whole)),
            hex(&Sha256::digest(b"another"))
        );
        assert_eq!(hidden.to_string(), format!("the signature does not match; what should have been signed: {list}"));
        assert_eq!(shown.to_string(), format!("{hidden}; reads \"GET\\n/x\\n\\nauthorization:<6 bytes>\""));
        assert_eq!(format!("{shown:?}"), format!("SignedText({list})"));
    }

    #[test]
    fn another_reading_goes_on_like_the_first() {
        let mut parts = Parts::default();
        parts.part("path", b"/%41", "\n");
        parts.or(b"/A\n");
        parts.part("query", b"q", "");
        let text = parts.end(UNLIKE, false);
        assert_eq!((text.digest, text.others), (Sha256::digest(b"/%41\nq").into(), vec![Sha256::digest(b"/A\nq").into()]));
    }

    #[test]
    fn a_line_of_the_log_is_bounded_whatever_a_client_signs() {
        let long = vec![b'a'; 100_000];
        let mut parts = Parts::default();
        for at in 0..1000 {
            parts.part(format!("header {at}"), &long, "\n");
        }
        let told = parts.end(NO_KEY, true).told();
        assert!(told.len() < 2 * MOST_SHOWN && told.contains("and 960 more") && told.contains('…'), "{}", told.len());
    }

    #[test]
    fn what_does_not_show_is_written_as_an_escape() {
        for (bytes, shown) in [
            (&b"a b\t\r\n\"\\"[..], "a b\\t\\r\\n\"\\\\"),
            (b"\x00\x1b[2J\x7f", "\\x00\\x1b[2J\\x7f"),
            ("caf\u{e9} \u{202e}".as_bytes(), "caf\u{e9} \\xe2\\x80\\xae"),
            (b"\xff\xc3", "\\xff\\xc3"),
        ] {
            assert_eq!(visible(bytes), shown);
        }
    }

    #[test]
    fn a_header_line_begins_with_a_name_and_a_colon() {
        for (line, name) in
            [("X-Date: now", Some("x-date")), ("(created): 1", Some("(created)")), (": x", None), ("GET /a:b", None), ("/a:b", None), ("x", None)]
        {
            assert_eq!(header_line(line.as_bytes()).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn only_what_a_signature_is_wrong_for_is_told_with_its_text() {
        let told = Refusal::Wrong(UNLIKE).told(false, Parts::default);
        assert!(matches!(&told, Refusal::Mismatch(text) if text.why == UNLIKE) && told.code() == Refusal::Wrong(UNLIKE).code());
        for why in [NO_KEY, OTHER_WAY] {
            assert!(matches!(Refusal::Wrong(why).told(false, Parts::default), Refusal::Mismatch(_)));
        }
        for other in [Refusal::Wrong("signed for another region or service"), Refusal::Expired, Refusal::Replayed] {
            assert_eq!(other.clone().told(true, || unreachable!()), other);
        }
    }
}
