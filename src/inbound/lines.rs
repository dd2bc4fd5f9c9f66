//! Header lines that are ready to be sent.

use std::fmt;

use http::{HeaderName, HeaderValue};

use crate::types::is_graphic;

/// Lines of `NAME: VALUE`, each with its end: written once, and as often sent as they hold.
#[derive(Clone, Default)]
pub struct Lines(Vec<u8>);

/// Among the values may be a signed identity: none is shown.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} bytes)", self.0.len())
    }
}

impl Lines {
    /// None yet, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// One more.
    pub fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        write_line(&mut self.0, name, value);
    }

    /// One more, unless its value, `parts` together, holds anything else than letters, digits and punctuation of ASCII.
    pub fn push_text(&mut self, name: &HeaderName, parts: &[&str]) {
        if parts.iter().all(|part| is_graphic(part)) {
            for part in [name.as_str(), ": "].iter().chain(parts).chain(&["\r\n"]) {
                self.0.extend_from_slice(part.as_bytes());
            }
        }
    }

    /// All of `more`.
    pub fn append(&mut self, more: &Self) {
        self.0.extend_from_slice(&more.0);
    }

    /// What is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes one line. Neither name nor value can hold a line end.
pub fn write_line(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::header::{HOST, VIA};

    use super::*;

    #[test]
    fn what_is_no_value_of_a_header_is_left_out() {
        let mut lines = Lines::default();
        for text in ["a\r\nX:1", "a\n", "\r", "a\0", "caf\u{e9}", "a\tb", "a b", "\u{7f}"] {
            lines.push_text(&HOST, &["a", text, "b"]);
        }
        assert!(lines.as_bytes().is_empty());
        lines.push_text(&HOST, &["a", "-", "", "b"]);
        lines.push(&VIA, &HeaderValue::from_static("1"));
        let mut all = Lines::with_capacity(100);
        all.append(&lines);
        assert_eq!(all.as_bytes(), b"host: a-b\r\nvia: 1\r\n");
    }
}
