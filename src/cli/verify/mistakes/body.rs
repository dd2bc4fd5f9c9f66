//! The body, and its digest where that is signed in its place.

use sha2::{Digest as _, Sha256};

use super::super::draft::{Draft, Facts, Piece};
use super::{Mistake, mistake};

pub(super) const MISTAKES: &[Mistake] = &[
    mistake("signed an empty body", "signs the body that it sends", |d| body(d, |_| Some(Vec::new())) | hash(d, |_| Some(hex(b"")))),
    mistake("signed a body that ends in a newline more", "signs the body that it sends", |d| {
        body(d, |body| Some([body, b"\n"].concat())) | hash(d, |facts| Some(hex(&[facts.body.as_slice(), b"\n"].concat())))
    }),
    mistake("signed a body without the newline at its end", "signs the body that it sends", |d| {
        let bare = |body: &[u8]| body.strip_suffix(b"\n").map(<[u8]>::to_vec);
        body(d, bare) | hash(d, |facts| Some(hex(&bare(&facts.body)?)))
    }),
    mistake("signed the SHA-256 of the body in its place", "signs the body itself", |d| body(d, |body| Some(hex(body)))),
    mistake("signed UNSIGNED-PAYLOAD in the place of the body's hash", "says so in X-Amz-Content-Sha256 too", |d| {
        hash(d, |_| Some(b"UNSIGNED-PAYLOAD".to_vec()))
    }),
    mistake("signed the hash of the body that it sends, and another one in X-Amz-Content-Sha256", "sends that hash", |d| {
        hash(d, |facts| Some(hex(&facts.body)))
    }),
    mistake("signed the hash of the body in upper case", "writes it in lower case", |d| {
        d.each(|_, piece| (piece.name == "payload hash").then(|| piece.bytes.to_ascii_uppercase()))
    }),
    mistake("signed the query beside the body", "signs the body alone", |d| {
        d.each(|facts, piece| (piece.name == "body" && !facts.query.is_empty()).then(|| [facts.query.as_bytes(), &piece.bytes].concat()))
    }),
    mistake("signed the query in the place of the body", "signs the body, where there is one", |d| {
        d.each(|facts, piece| (piece.name == "body" && !facts.query.is_empty()).then(|| facts.query.clone().into_bytes()))
    }),
];

fn body(d: &mut Draft<'_>, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    d.each(|_, piece| if piece.name == "body" { change(&piece.bytes) } else { None })
}

fn hash(d: &mut Draft<'_>, change: impl Fn(&Facts) -> Option<Vec<u8>>) -> bool {
    let is_hash = |piece: &Piece| piece.name == "payload hash";
    d.each(|facts, piece| if is_hash(piece) { change(facts) } else { None })
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
}
