//! A body in `aws-chunked` framing: each chunk is verified before it is passed on.
//!
//! ```text
//! 10000;chunk-signature=ad80…\r\n   65536 in hexadecimal; without ";chunk-signature=" where chunks are not signed
//! ……data……\r\n
//! 0;chunk-signature=b6c6…\r\n       the end; it is signed too
//! x-amz-checksum-crc32c:…\r\n       a trailer, where one was announced; read, verified where it is signed, and dropped
//! x-amz-trailer-signature:d81f…\r\n
//! \r\n
//!
//! signature = HMAC(signing key, "AWS4-HMAC-SHA256-PAYLOAD" LF time LF scope LF signature before LF SHA256("") LF SHA256(data))
//! ```
//!
//! The first chunk's "signature before" is that of the request, so that no chunk can be moved, left out or put in.

use bytes::{Buf as _, Bytes, BytesMut};
use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use super::content::Chunks;
use super::request::{hex, unhex};
use super::secret::Plain;
use crate::payload::{BodyCheck, Mismatch, Ready};

/// The longest signed chunk: it is kept back whole. Clients send 8 KiB to 1 MiB.
const LONGEST_CHUNK: u64 = 1 << 20;
/// The longest line before a chunk.
const LONGEST_HEAD: usize = 128;
/// The longest trailer, in all its lines.
const LONGEST_TRAILER: usize = 4096;
/// SHA-256 of nothing.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The chain of signatures.
pub(super) struct Chain {
    key: Plain,
    /// Time LF scope LF: what all strings to sign have in common.
    middle: String,
    before: [u8; 32],
    /// Whether the log shows what should have been signed.
    debugged: bool,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chain(***)")
    }
}

impl Chain {
    /// Begins with the signature of the request.
    pub(super) fn new(key: Plain, stamp: &str, scope: &str, seed: [u8; 32]) -> Self {
        Self { key, middle: format!("{stamp}\n{scope}\n"), before: seed, debugged: false }
    }

    /// The same, where it is said whether its wrong signatures are debugged.
    pub(super) fn debugged(self, debugged: bool) -> Self {
        Self { debugged, ..self }
    }

    /// What the signature of the next chunk with this hash is made of.
    pub(super) fn chunk(&self, hash: &[u8]) -> String {
        self.next("AWS4-HMAC-SHA256-PAYLOAD\n", &format!("\n{NOTHING}\n{}", hex(hash)))
    }

    /// What the signature of the trailer with this hash is made of.
    pub(super) fn trailer(&self, hash: &[u8]) -> String {
        self.next("AWS4-HMAC-SHA256-TRAILER\n", &format!("\n{}", hex(hash)))
    }

    fn next(&self, word: &str, end: &str) -> String {
        [word, &self.middle, &hex(&self.before), end].concat()
    }

    /// Goes on if `sent` is the signature of `text`.
    fn accept(&mut self, text: &str, sent: [u8; 32]) -> Result<(), Mismatch> {
        if self.key.clone().chain_update(text).verify_slice(&sent).is_err() {
            let note = super::text::chunk(text, self.debugged).told();
            return Err(Mismatch::of("the signature of a chunk does not match").noting(note));
        }
        self.before = sent;
        Ok(())
    }

    /// Goes on with the signature of `text`: for those who sign.
    #[cfg(test)]
    pub(super) fn sign(&mut self, text: &str) -> String {
        self.before = self.key.clone().chain_update(text).finalize().into_bytes().into();
        hex(&self.before)
    }
}

/// Where in the framing the next byte is.
#[derive(Debug)]
enum Place {
    /// In the line before a chunk.
    Head,
    /// In its data, of which so much is left.
    Data(u64),
    /// In the line break after it.
    After,
    /// In the lines that follow the last chunk.
    Trailer,
    /// Behind everything.
    End,
}

/// Takes the framing off, and lets nothing pass that is not signed where chunks are.
#[derive(Debug)]
pub(super) struct Decoder {
    chain: Option<Chain>,
    framing: Chunks,
    place: Place,
    /// The line, or line break, that is being read.
    line: Vec<u8>,
    /// The signature of the chunk that is being read.
    sent: [u8; 32],
    /// The chunk, where it is kept back, and its hash.
    data: BytesMut,
    hash: Sha256,
    /// Bytes of the decoded body that no chunk has announced yet.
    left: u64,
    /// The trailer as it is signed, and its length as it was sent.
    trailer: Sha256,
    trailer_bytes: usize,
    trailer_signed: bool,
}

impl Decoder {
    /// Without a chain the chunks are not signed.
    pub(super) fn new(framing: Chunks, chain: Option<Chain>) -> Self {
        Self {
            chain,
            framing,
            place: Place::Head,
            line: Vec::new(),
            sent: [0; 32],
            data: BytesMut::new(),
            hash: Sha256::new(),
            left: framing.length,
            trailer: Sha256::new(),
            trailer_bytes: 0,
            trailer_signed: false,
        }
    }

    /// Takes bytes up to and with a line break; `Some` once it is there, without it.
    fn line(&mut self, piece: &mut Bytes, longest: usize) -> Result<Option<Vec<u8>>, Mismatch> {
        while piece.has_remaining() {
            let byte = piece.get_u8();
            if byte == b'\n' {
                let mut line = std::mem::take(&mut self.line);
                return if line.pop() == Some(b'\r') { Ok(Some(line)) } else { Err(Mismatch::of("a line of the framing ends in a bare line feed")) };
            }
            if self.line.len() > longest {
                return Err(Mismatch::of("a line of the framing is too long"));
            }
            self.line.push(byte);
        }
        Ok(None)
    }

    /// Reads the line before a chunk.
    fn head(&mut self, line: &[u8]) -> Result<(), Mismatch> {
        const WRONG: Mismatch = Mismatch::of("a chunk does not begin with its size and signature");
        let line = std::str::from_utf8(line).map_err(|_| WRONG)?;
        let (size, extension) = line.split_once(';').map_or((line, None), |(size, extension)| (size, Some(extension)));
        let digits = (1..=16).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| digits).ok_or(WRONG)?;
        match (&self.chain, extension.map(|extension| extension.strip_prefix("chunk-signature=").and_then(unhex))) {
            (Some(_), Some(Some(sent))) => self.sent = sent,
            (None, None) => {}
            (Some(_) | None, _) => return Err(WRONG),
        }
        if self.chain.is_some() && size > LONGEST_CHUNK {
            return Err(Mismatch::of("a signed chunk is longer than 1 MiB"));
        }
        self.left = self.left.checked_sub(size).ok_or(Mismatch::of("the chunks are longer than x-amz-decoded-content-length says"))?;
        if size > 0 {
            self.place = Place::Data(size);
            return Ok(());
        }
        if self.left > 0 {
            return Err(Mismatch::of("the chunks are shorter than x-amz-decoded-content-length says"));
        }
        self.judge()?;
        self.place = Place::Trailer;
        Ok(())
    }

    /// Judges the chunk that was read.
    fn judge(&mut self) -> Result<(), Mismatch> {
        let hash = self.hash.finalize_reset();
        let Some(chain) = &mut self.chain else { return Ok(()) };
        let text = chain.chunk(&hash);
        chain.accept(&text, self.sent)
    }

    /// Reads data, and the whole chunk once it is there.
    fn data(&mut self, piece: &mut Bytes, left: u64, ready: &mut Ready) {
        let part = piece.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(piece.len()));
        let left = left.saturating_sub(part.len() as u64);
        self.place = if left == 0 { Place::After } else { Place::Data(left) };
        if self.chain.is_none() {
            ready.push(part);
            return;
        }
        self.hash.update(&part);
        self.data.extend_from_slice(&part);
    }

    /// Reads a line after the last chunk; the empty one is the end.
    fn trailer(&mut self, line: &[u8]) -> Result<(), Mismatch> {
        self.trailer_bytes = self.trailer_bytes.saturating_add(line.len() + 2);
        if line.is_empty() {
            if self.framing.trailer && self.chain.is_some() && !self.trailer_signed {
                return Err(Mismatch::of("the trailer has no signature"));
            }
            self.place = Place::End;
            return Ok(());
        }
        if !self.framing.trailer || self.trailer_signed || self.trailer_bytes > LONGEST_TRAILER {
            return Err(Mismatch::of("the trailer was not announced, or is too long"));
        }
        let text = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
        let (name, value) = text.ok_or(Mismatch::of("a line of the trailer is no header"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        if name != "x-amz-trailer-signature" {
            self.trailer.update(format!("{name}:{value}\n"));
            return Ok(());
        }
        let chain = self.chain.as_mut().ok_or(Mismatch::of("a signature after chunks that are not signed"))?;
        let text = chain.trailer(&self.trailer.finalize_reset());
        chain.accept(&text, unhex(value).ok_or(Mismatch::of("the signature of the trailer is not one"))?)?;
        self.trailer_signed = true;
        Ok(())
    }
}

impl BodyCheck for Decoder {
    fn take(&mut self, mut piece: Bytes, ready: &mut Ready) -> Result<(), Mismatch> {
        while piece.has_remaining() {
            match self.place {
                Place::Head => {
                    if let Some(line) = self.line(&mut piece, LONGEST_HEAD)? {
                        self.head(&line)?;
                    }
                }
                Place::Data(left) => self.data(&mut piece, left, ready),
                Place::After => {
                    if let Some(line) = self.line(&mut piece, 1)? {
                        if !line.is_empty() {
                            return Err(Mismatch::of("a chunk is longer than its size says"));
                        }
                        self.judge()?;
                        ready.push(self.data.split().freeze());
                        self.place = Place::Head;
                    }
                }
                Place::Trailer => {
                    if let Some(line) = self.line(&mut piece, LONGEST_TRAILER)? {
                        self.trailer(&line)?;
                    }
                }
                Place::End => return Err(Mismatch::of("something follows the last chunk")),
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Ready) -> Result<(), Mismatch> {
        if matches!(self.place, Place::End) { Ok(()) } else { Err(Mismatch::of("the body ends before its last chunk")) }
    }

    fn held(&self) -> u64 {
        self.data.len() as u64
    }

    fn length(&self, _: Option<u64>) -> Option<u64> {
        Some(self.framing.length)
    }
}
