//! A request as somebody recorded it: raw HTTP/1.1, from a file or from standard input.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// The longest recording that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// A recording, and what had to be mended in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recording {
    pub bytes: Vec<u8>,
    pub notes: Vec<String>,
}

impl Recording {
    /// Reads a file, or standard input for `-`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        ensure!(!bytes.is_empty(), "{} is empty", path.display());
        Ok(Self::of(bytes))
    }

    /// Editors and terminals turn the CRLF of a head into LF, and add a line break at the end: both are mended.
    fn of(bytes: Vec<u8>) -> Self {
        let mut notes = Vec::new();
        let mut bytes = bytes;
        let bare = bytes.windows(2).position(|window| window == b"\n\n");
        let crlf = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if crlf.is_none() {
            let head = bare.map_or(bytes.len(), |at| at.saturating_add(2));
            let (lines, body) = bytes.split_at_checked(head).unwrap_or((&bytes, b""));
            let mut mended = Vec::with_capacity(bytes.len().saturating_add(256));
            for line in lines.split_inclusive(|b| *b == b'\n') {
                let bare = line.strip_suffix(b"\n").unwrap_or(line);
                mended.extend_from_slice(bare.strip_suffix(b"\r").unwrap_or(bare));
                mended.extend_from_slice(b"\r\n");
            }
            if bare.is_none() {
                mended.extend_from_slice(b"\r\n");
            }
            mended.extend_from_slice(body);
            bytes = mended;
            notes.push("the lines of the recorded head ended in LF; they are read as if they ended in CRLF".to_owned());
        }
        Self { bytes, notes }
    }
}

/// A file, or standard input for `-`; never more than 64 MiB.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= LONGEST, "{} is longer than 64 MiB", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_do_to_a_head_is_mended_and_a_body_is_left_alone() {
        for (sent, read, notes) in [
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0),
            ("GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1),
            ("GET / HTTP/1.1\nHost: h\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1),
            ("GET / HTTP/1.1\nHost: h", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1),
            ("PUT / HTTP/1.1\nHost: h\nContent-Length: 4\n\na\nb\n", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na\nb\n", 1),
            ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na\n\nb", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na\n\nb", 0),
        ] {
            let recording = Recording::of(sent.as_bytes().to_vec());
            assert_eq!((String::from_utf8(recording.bytes).unwrap().as_str(), recording.notes.len()), (read, notes), "{sent:?}");
        }
    }
}
