//! How lines are ended and headers are written.

use super::super::draft::Draft;
use super::target::replace_all;
use super::{Mistake, mistake};

pub(super) const MISTAKES: &[Mistake] = &[
    mistake("signed a trailing newline", "leaves it out", |d| end(d, |last| Some([last, b"\n"].concat()))),
    mistake("left the last newline out", "signs it too", |d| end(d, |last| last.strip_suffix(b"\n").map(<[u8]>::to_vec))),
    mistake("ended lines in CRLF instead of LF", "ends them in LF", |d| {
        let mut changed = false;
        for piece in &mut d.pieces {
            if let Some(end) = replace_all(&piece.end, b"\n", b"\r\n") {
                piece.end = end;
                changed = true;
            }
            changed |= piece.name == "fixed text" && replace_all(&piece.bytes, b"\n", b"\r\n").map(|bytes| piece.bytes = bytes).is_some();
        }
        changed
    }),
    mistake("wrote a backslash and an n where a line ends", "ends lines in LF, one byte", |d| {
        let mut changed = false;
        for piece in &mut d.pieces {
            if let Some(end) = replace_all(&piece.end, b"\n", b"\\n") {
                piece.end = end;
                changed = true;
            }
        }
        changed
    }),
    mistake("did not trim the value of a header: a blank stands behind the colon", "trims it", |d| {
        d.header_lines(|name, value| if value.starts_with(b" ") { [name, b":", value].concat() } else { [name, b": ", value].concat() })
    }),
    mistake("left the blank behind the colon of a header out", "writes it", |d| {
        d.header_lines(|name, value| [name, b":", value.strip_prefix(b" ").unwrap_or(value)].concat())
    }),
    mistake("did not trim the value of a header: a blank stands at its end", "trims it", |d| {
        d.header_lines(|name, value| [name, b":", value, b" "].concat())
    }),
    mistake("wrote the names of headers in lower case", "writes them as its list of headers does", |d| {
        d.header_lines(|name, value| [name.to_ascii_lowercase().as_slice(), b":", value].concat())
    }),
    mistake("wrote the names of headers in upper case or as titles", "writes them in lower case", |d| {
        d.header_lines(|name, value| [title(name).as_slice(), b":", value].concat())
    }),
    mistake("signed the values of headers in lower case", "signs them as they are sent", |d| {
        d.header_lines(|name, value| [name, b":", value.to_ascii_lowercase().as_slice()].concat())
    }),
];

/// Changes what stands at the very end.
fn end(d: &mut Draft<'_>, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let Some(last) = d.pieces.last_mut() else { return false };
    // A body may end in a newline of its own.
    if last.name == "body" || last.end.is_empty() {
        return change(&last.bytes).map(|bytes| last.bytes = bytes).is_some();
    }
    change(&last.end).map(|end| last.end = end).is_some()
}

fn title(name: &[u8]) -> Vec<u8> {
    let mut start = true;
    name.iter()
        .map(|byte| {
            let upper = std::mem::replace(&mut start, *byte == b'-');
            if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
        })
        .collect()
}
