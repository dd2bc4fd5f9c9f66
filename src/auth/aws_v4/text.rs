//! What should have been signed, by its parts. Of a request it is the canonical request: its hash is the last line of the string that the
//! client's MAC is made of, and the other lines of that are checked one by one before.

use super::request::Signed;
use crate::auth::signing::{Parts, SignedText, UNLIKE, header_line};

/// Of a request. `found` is the hash of the body, where that was read.
pub(super) fn parts(signed: &Signed, found: &[u8; 32]) -> Parts {
    let text = [signed.canonical.as_slice(), signed.content.text(found).as_bytes()].concat();
    let last = text.iter().filter(|b| **b == b'\n').count();
    Parts::default().lines(&text, |at, line| match at {
        0 => "method".into(),
        1 => "path".into(),
        2 => "query".into(),
        _ if at == last => "payload hash".into(),
        _ if at + 1 == last => "signed headers".into(),
        _ if at + 2 == last => "empty line".into(),
        _ => header_line(line).map_or_else(|| "header".into(), |name| format!("header {name}").into()),
    })
}

/// Of a chunk of a body, or of the trailer.
pub(super) fn chunk(text: &str, shown: bool) -> SignedText {
    const NAMES: [&str; 6] = ["algorithm", "time", "scope", "signature before", "hash", "payload hash"];
    let parts = Parts::default().lines(text.as_bytes(), |at, _| NAMES.get(at).copied().unwrap_or("line").into());
    parts.end(UNLIKE, shown)
}
