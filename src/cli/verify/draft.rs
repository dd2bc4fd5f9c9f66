//! A canonical string that can be changed as a client might have got it wrong.

use doorward::auth::SignedText;

/// What is known of the request beside what should have been signed.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// As sent.
    pub method: String,
    /// As sent: with its port, where it has one.
    pub host: String,
    /// As sent.
    pub path: String,
    /// As sent, without `?`.
    pub query: String,
    pub body: Vec<u8>,
    /// When it was signed, in Unix seconds.
    pub time: Option<i64>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub name: String,
    pub bytes: Vec<u8>,
    /// What stands between it and the next.
    pub end: Vec<u8>,
}

/// A canonical string by its parts.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub pieces: Vec<Piece>,
    pub facts: &'a Facts,
}

impl<'a> Draft<'a> {
    pub(super) fn of(text: &SignedText, facts: &'a Facts) -> Self {
        let pieces = text.parts.iter().map(|part| Piece {
            name: part.name.to_string(),
            bytes: if part.body.is_some() { facts.body.clone() } else { part.bytes.clone() },
            end: part.end.as_bytes().to_vec(),
        });
        Self { pieces: pieces.collect(), facts }
    }

    pub(super) fn text(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| [piece.bytes.as_slice(), &piece.end].concat()).collect()
    }

    /// The part in which a byte of the text is.
    pub(super) fn part_at(&self, at: usize) -> Option<&str> {
        let parts = self.parts_up_to(at);
        if at < self.length_of(parts) { self.pieces.get(parts.checked_sub(1)?).map(|piece| piece.name.as_str()) } else { None }
    }

    /// How many parts there are up to and with the one in which a byte of the text is; all for one behind its end.
    pub(super) fn parts_up_to(&self, at: usize) -> usize {
        (1..self.pieces.len()).find(|parts| at < self.length_of(*parts)).unwrap_or(self.pieces.len())
    }

    /// How long that many parts are together.
    pub(super) fn length_of(&self, parts: usize) -> usize {
        self.pieces.iter().take(parts).map(|piece| piece.bytes.len().saturating_add(piece.end.len())).sum()
    }

    /// Changes each part as `change` says; whether any is another one now.
    pub(super) fn each(&mut self, change: impl Fn(&Facts, &Piece) -> Option<Vec<u8>>) -> bool {
        let mut changed = false;
        for piece in &mut self.pieces {
            if let Some(bytes) = change(self.facts, piece).filter(|bytes| *bytes != piece.bytes) {
                piece.bytes = bytes;
                changed = true;
            }
        }
        changed
    }

    /// Changes the path wherever it stands.
    pub(super) fn path(&mut self, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
        self.each(|facts, piece| match piece.name.as_str() {
            "path" => change(&piece.bytes),
            "@path" | "@target-uri" | "(request-target)" | "@request-target" | "request line" | "request target" | "url" | "resource" => {
                replaced(&piece.bytes, facts.path.as_bytes(), change(facts.path.as_bytes())?)
            }
            _ => None,
        })
    }

    /// Changes the query wherever it stands.
    pub(super) fn query(&mut self, change: impl Fn(&Facts, &[u8]) -> Option<Vec<u8>>) -> bool {
        self.each(|facts, piece| match piece.name.as_str() {
            "query" => change(facts, &piece.bytes),
            "@query" | "@target-uri" | "(request-target)" | "@request-target" | "request line" | "request target" | "url"
                if !facts.query.is_empty() =>
            {
                replaced(&piece.bytes, facts.query.as_bytes(), change(facts, facts.query.as_bytes())?)
            }
            "resource" => {
                let (path, query) = split_at(&piece.bytes, b'?')?;
                Some([path, b"?", &change(facts, query)?].concat())
            }
            _ => None,
        })
    }

    /// Changes the host wherever it stands.
    pub(super) fn host(&mut self, change: impl Fn(&str) -> Option<String>) -> bool {
        self.each(|facts, piece| match piece.name.as_str() {
            "host" => Some(change(std::str::from_utf8(&piece.bytes).ok()?)?.into_bytes()),
            "@authority" | "@target-uri" | "url" | "header host" => {
                // What is signed may leave the scheme's own port out.
                let bare = facts.host.strip_suffix(":443").unwrap_or(&facts.host);
                let found = [facts.host.as_str(), bare].into_iter().find(|host| position(&piece.bytes, host.as_bytes()).is_some())?;
                replaced(&piece.bytes, found.as_bytes(), change(found)?.into_bytes())
            }
            _ => None,
        })
    }

    /// Changes the values of headers that stand on lines of their own, `name:value`.
    pub(super) fn header_lines(&mut self, change: impl Fn(&[u8], &[u8]) -> Vec<u8>) -> bool {
        self.each(|_, piece| {
            let name = piece.name.strip_prefix("header ")?;
            let (label, value) = split_at(&piece.bytes, b':')?;
            // A value alone is none, whatever colons it holds.
            label.eq_ignore_ascii_case(name.as_bytes()).then(|| change(label, value))
        })
    }
}

/// What stands before the first `border`, and behind it.
pub(super) fn split_at(bytes: &[u8], border: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == border)?;
    let (before, after) = bytes.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() { None } else { bytes.windows(wanted.len()).position(|window| window == wanted) }
}

/// `bytes` with `by` in the place of the first `wanted`.
pub(super) fn replaced(bytes: &[u8], wanted: &[u8], by: Vec<u8>) -> Option<Vec<u8>> {
    let (before, after) = bytes.split_at_checked(position(bytes, wanted)?)?;
    Some([before, by.as_slice(), after.get(wanted.len()..)?].concat())
}
