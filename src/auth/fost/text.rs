//! What should have been signed, by its parts.

use super::request::Signed;
use crate::auth::signing::{Parts, target_parts};

/// A signed request's, but for PAYLOAD.
pub(super) fn request(signed: &Signed) -> Parts {
    let mut parts = beginning(&signed.beginning);
    if let Some(decoded) = &signed.decoded {
        parts.or(decoded);
    }
    parts
}

/// `METHOD SP PATH LF TIMESTAMP LF VALUE LF …`, of which the first value names all headers.
fn beginning(text: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let mut names: Vec<String> = Vec::new();
    for (at, line) in text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n').enumerate() {
        if at == 0 {
            let space = line.iter().position(|b| *b == b' ').and_then(|at| line.split_at_checked(at));
            let (method, path) = space.map_or((line, &b""[..]), |(method, path)| (method, path.get(1..).unwrap_or_default()));
            parts.part("method", method, " ");
            parts.part("path", path, "\n");
            continue;
        }
        if at == 2 {
            names = String::from_utf8_lossy(line).split(' ').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect();
        }
        match at.checked_sub(2).and_then(|at| names.get(at)) {
            Some(name) => parts.part(format!("header {name}"), line, "\n"),
            None => parts.part("timestamp", line, "\n"),
        }
    }
    parts
}

/// `HOST PATH [ "?" QUERY ] LF EXPIRY`.
pub(super) fn url(text: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let line = text.iter().rposition(|b| *b == b'\n').and_then(|at| text.split_at_checked(at));
    let (link, expiry) = line.map_or((text, &b""[..]), |(link, expiry)| (link, expiry.get(1..).unwrap_or_default()));
    let path = link.iter().position(|b| *b == b'/').and_then(|at| link.split_at_checked(at));
    let (host, target) = path.unwrap_or((link, b""));
    parts.part("host", host, "");
    target_parts(&mut parts, target, "\n");
    parts.part("expiry", expiry, "");
    parts
}
