//! The seeds, and many inputs made from them, as an ordinary test: no fuzzer is needed.

use std::path::Path;

use crate::{answer, aws, fost, h2, heads, http_signature, inbound, jwt, message_signature, names, pattern, query_hmac, s3_v2, webhook};

/// Inputs made of each seed; the variable `FUZZ_CHANGES` asks for another number.
const CHANGES: u64 = 300;

/// Seeds named `good-…` are accepted and all others refused; this says that a target looks at what it says it looks at.
/// Runs `target` on its seeds as they are and changed: bytes flipped, taken out, doubled, and pieces of other seeds put in.
fn replay(name: &str, target: impl Fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 3, "{} holds too few seeds", folder.display());
    let changes = std::env::var("FUZZ_CHANGES").map_or(CHANGES, |number| number.parse().expect("FUZZ_CHANGES is a number"));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (file, seed) in files.iter().zip(&seeds) {
        let good = file.file_name().unwrap().to_str().unwrap().starts_with("good-");
        assert_eq!(target(seed), good, "{}", file.display());
        for _ in 0..changes {
            target(&dice.changed(seed, &seeds));
        }
    }
}

/// Marsaglia's xorshift: the same inputs on each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn changed(&mut self, seed: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 if !bytes.is_empty() => bytes.insert(at, bytes[at]),
                3 => bytes.insert(at, b"/.%;\\: \t\r\n_-0aA\0\xff"[self.below(17)]),
                _ => {
                    let other = &others[self.below(others.len())];
                    let from = self.below(other.len());
                    let piece = &other[from..(from + self.below(12)).min(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
        }
        bytes
    }
}

#[test]
fn answer_holds_for_its_seeds() {
    replay("answer", answer::run);
}

#[test]
fn inbound_holds_for_its_seeds() {
    replay("inbound", inbound::run);
}

#[test]
fn h2_holds_for_its_seeds() {
    replay("h2", h2::run);
}

#[test]
fn names_holds_for_its_seeds() {
    replay("names", names::run);
}

#[test]
fn pattern_holds_for_its_seeds() {
    replay("pattern", pattern::run);
}

#[test]
fn fost_holds_for_its_seeds() {
    replay("fost", fost::run);
}

#[test]
fn aws_holds_for_its_seeds() {
    replay("aws", aws::run);
}

#[test]
fn jwt_holds_for_its_seeds() {
    replay("jwt", jwt::run);
}

#[test]
fn message_signature_holds_for_its_seeds() {
    replay("message_signature", message_signature::run);
}

#[test]
fn heads_holds_for_its_seeds() {
    replay("heads", heads::run);
}

#[test]
fn http_signature_holds_for_its_seeds() {
    replay("http_signature", http_signature::run);
}

#[test]
fn webhook_holds_for_its_seeds() {
    replay("webhook", webhook::run);
}

#[test]
fn query_hmac_holds_for_its_seeds() {
    replay("query_hmac", query_hmac::run);
}

#[test]
fn s3_v2_holds_for_its_seeds() {
    replay("s3_v2", s3_v2::run);
}
