//! What a scheme gives to have a body verified on its way, and the usual kind of it: digests.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Pieces up to this length are put together.
const SMALL_BYTES: usize = 16 * 1024;

/// The body is not the one that was signed, or not of the form that was announced. For the log alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", .note.as_deref().map_or_else(String::new, |note| format!("; {note}")))]
pub struct Mismatch {
    /// Holds nothing of the request.
    pub what: &'static str,
    /// What else whoever checks has to say.
    pub note: Option<Arc<str>>,
}

impl Mismatch {
    /// With a text that holds nothing of the request.
    #[must_use]
    pub const fn of(what: &'static str) -> Self {
        Self { what, note: None }
    }

    /// The same with something more.
    #[must_use]
    pub fn noting(self, note: String) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

/// Looks at a body on its way to the upstream. See [`super::Payload::verify`].
pub trait BodyCheck: std::fmt::Debug + Send + Sync {
    /// Takes the next bytes of the body as the client sent them, never none. What may go on is put into `ready`; all of it but
    /// the last piece is forwarded at once.
    fn take(&mut self, piece: Bytes, ready: &mut Ready) -> Result<(), Mismatch>;

    /// The client's body has ended, perhaps without having begun. Only when this is `Ok` is the last piece forwarded.
    fn end(&mut self, ready: &mut Ready) -> Result<(), Mismatch>;

    /// Bytes that the check keeps back at the moment: they are counted against the room for held bodies.
    fn held(&self) -> u64 {
        0
    }

    /// How many bytes will be forwarded in all, where that is known. `sent` is the length of the client's body.
    fn length(&self, sent: Option<u64>) -> Option<u64> {
        sent
    }
}

/// Pieces that may be forwarded, in order.
#[derive(Debug, Default)]
pub struct Ready {
    pieces: VecDeque<Bytes>,
    bytes: u64,
}

impl Ready {
    /// Adds a piece. Small ones are put together, so that few buffers are kept alive by many of them.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.bytes += piece.len() as u64;
        let small = |last: &mut Bytes| last.len() + piece.len() <= SMALL_BYTES;
        let Some(last) = self.pieces.pop_back_if(small) else { return self.pieces.push_back(piece) };
        let mut joined = last.try_into_mut().unwrap_or_else(|shared| {
            let mut joined = BytesMut::with_capacity(SMALL_BYTES);
            joined.extend_from_slice(&shared);
            joined
        });
        joined.extend_from_slice(&piece);
        self.pieces.push_back(joined.freeze());
    }

    /// Their length, all together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first piece, unless it is one of the last `keep`.
    pub fn next(&mut self, keep: usize) -> Option<Bytes> {
        let piece = if self.pieces.len() > keep { self.pieces.pop_front() } else { None }?;
        self.bytes = self.bytes.saturating_sub(piece.len() as u64);
        Some(piece)
    }
}

/// Algorithms of a digest. Whether one is good enough is for the scheme to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    fn start(self) -> Box<dyn Hash> {
        match self {
            Self::Md5 => Box::new(Md5::new()),
            Self::Sha1 => Box::new(Sha1::new()),
            Self::Sha256 => Box::new(Sha256::new()),
            Self::Sha384 => Box::new(Sha384::new()),
            Self::Sha512 => Box::new(Sha512::new()),
        }
    }
}

trait Hash: DynDigest + Send + Sync {}
impl<T: DynDigest + Send + Sync> Hash for T {}

/// A body whose digests are known beforehand: each of them must be right. With none of them every body is refused.
#[derive(Default)]
pub struct Digests(Vec<Expected>);

struct Expected {
    hash: Box<dyn Hash>,
    digest: Box<[u8]>,
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digests({})", self.0.len())
    }
}

impl Digests {
    /// The body must also have this digest. One of a wrong length never fits.
    #[must_use]
    pub fn and(mut self, algorithm: Algorithm, digest: &[u8]) -> Self {
        self.0.push(Expected { hash: algorithm.start(), digest: digest.into() });
        self
    }
}

impl BodyCheck for Digests {
    fn take(&mut self, piece: Bytes, ready: &mut Ready) -> Result<(), Mismatch> {
        for expected in &mut self.0 {
            expected.hash.update(&piece);
        }
        ready.push(piece);
        Ok(())
    }

    fn end(&mut self, _: &mut Ready) -> Result<(), Mismatch> {
        // What is compared is no secret: it was sent, and can be computed by whoever sent the body.
        let right = !self.0.is_empty() && self.0.iter_mut().all(|expected| expected.hash.finalize_reset() == expected.digest);
        if right { Ok(()) } else { Err(Mismatch::of("the body is not the one whose digest was signed")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn judge(mut digests: Digests, pieces: &[&'static str]) -> Result<(), Mismatch> {
        let mut ready = Ready::default();
        for piece in pieces {
            digests.take(Bytes::from_static(piece.as_bytes()), &mut ready)?;
        }
        digests.end(&mut ready)
    }

    /// RFC 1321 A.5, RFC 3174 and FIPS 180-4: the digests of `abc`.
    const ABC: [(Algorithm, &str); 5] = [
        (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Algorithm::Sha384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];

    #[test]
    fn a_body_has_all_its_digests_or_is_refused() {
        let all = || ABC.iter().fold(Digests::default(), |all, (algorithm, hex)| all.and(*algorithm, &unhex(hex)));
        assert!(judge(all(), &["abc"]).is_ok() && judge(all(), &["a", "bc"]).is_ok());
        for body in [&["abd"][..], &["ab"], &["abc", "c"], &[]] {
            assert!(judge(all(), body).is_err(), "{body:?}");
        }
        for (algorithm, hex) in ABC {
            let right = unhex(hex);
            assert!(judge(Digests::default().and(algorithm, &right), &["abc"]).is_ok());
            for bit in 0..right.len() * 8 {
                let mut wrong = right.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(judge(Digests::default().and(algorithm, &wrong), &["abc"]).is_err());
                assert!(judge(all().and(algorithm, &wrong), &["abc"]).is_err(), "one wrong digest among right ones");
            }
            for length in 0..right.len() {
                assert!(judge(Digests::default().and(algorithm, &right[..length]), &["abc"]).is_err());
            }
        }
        assert!(judge(Digests::default(), &["abc"]).is_err() && judge(Digests::default(), &[]).is_err(), "no digest says nothing");
    }

    #[test]
    fn small_pieces_are_put_together_and_none_is_lost() {
        let mut ready = Ready::default();
        let mut want = Vec::new();
        for n in 0..40_000_u32 {
            let piece = Bytes::copy_from_slice(&n.to_be_bytes()[..(n % 5).min(4) as usize]);
            want.extend_from_slice(&piece);
            ready.push(piece);
        }
        assert_eq!(ready.bytes(), want.len() as u64);
        assert!(ready.pieces.len() <= 1 + want.len() / (SMALL_BYTES - 4), "{}", ready.pieces.len());
        let mut have = Vec::new();
        while let Some(piece) = ready.next(1) {
            have.extend_from_slice(&piece);
        }
        assert_eq!(ready.bytes(), (want.len() - have.len()) as u64);
        assert!(ready.bytes() > 0 && ready.next(1).is_none(), "the last one is kept");
        have.extend_from_slice(&ready.next(0).unwrap());
        assert_eq!((have == want, ready.bytes()), (true, 0));
    }
}
