//! Requests that the HTTP/2 library refuses by itself: found by counting those that begin and those that are handed out.
//!
//! ```text
//!  +---------------+------+-------+-----------+
//!  | length (24)   | type | flags | stream id |  payload     RFC 9113 section 4.1
//!  +---------------+------+-------+-----------+
//! ```
//!
//! h2 answers a field list beyond its limit with 431, and resets streams that are malformed or too many, without a word to
//! its caller. Only the heads of frames are looked at; nothing is decompressed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::inspect::Inspect;

/// RFC 9113 section 3.4.
const PREFACE_BYTES: u64 = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Begun {
    begun: AtomicU64,
    long: AtomicU64,
    handed_out: AtomicU64,
    told: AtomicU64,
    write_waits: AtomicBool,
    long_head: AtomicBool,
}

/// Requests that were never handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    /// All of them.
    pub(super) all: u64,
    /// Those of which the compressed head alone is beyond the limit.
    pub(super) long: u64,
}

impl Begun {
    /// Whether what came of the last head is beyond the limit, compressed as it was.
    pub(super) fn long_head(&self) -> bool {
        self.long_head.load(Ordering::Relaxed)
    }

    /// A request was handed out.
    pub(super) fn handed_out(&self) {
        self.handed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were refused since the last call. To be asked when the library has done all it could: what it has read
    /// is either handed out or refused then, unless a write holds it up.
    pub(super) fn refused(&self) -> Option<Missing> {
        let begun = self.begun.load(Ordering::Relaxed);
        let all = begun.saturating_sub(self.handed_out.load(Ordering::Relaxed).saturating_add(self.told.load(Ordering::Relaxed)));
        if all == 0 || self.write_waits.load(Ordering::Relaxed) {
            return None;
        }
        self.told.fetch_add(all, Ordering::Relaxed);
        Some(Missing { all, long: self.long.swap(0, Ordering::Relaxed).min(all) })
    }
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    begun: Arc<Begun>,
    /// Bytes up to the next head of a frame.
    skip: u64,
    head: [u8; 9],
    have: usize,
    /// Set while the payload of the last frame of a request's head is passed over.
    completes: bool,
    /// Compressed bytes of this head so far.
    block: u64,
    longest: u64,
    last_stream: u32,
}

impl Frames {
    /// `longest`: the limit for a head.
    pub(super) fn new(longest: u64, begun: Arc<Begun>) -> Self {
        Self { begun, skip: PREFACE_BYTES, head: [0; 9], have: 0, completes: false, block: 0, longest, last_stream: 0 }
    }

    /// Looks at the head of a frame.
    fn frame(&mut self) {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.head;
        let length = u64::from(u32::from_be_bytes([0, l0, l1, l2]));
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        self.skip = length;
        match kind {
            // A stream has one head, and trailers after it; both are HEADERS.
            HEADERS if stream > self.last_stream => {
                self.last_stream = stream;
                self.part_of_head(length, flags);
            }
            CONTINUATION if stream == self.last_stream && self.block > 0 => {
                self.part_of_head(self.block.saturating_add(length), flags);
            }
            _ => {}
        }
    }

    fn part_of_head(&mut self, block: u64, flags: u8) {
        self.block = block;
        self.completes = flags & END_HEADERS != 0;
        self.begun.long_head.store(block > self.longest, Ordering::Relaxed);
    }

    /// The payload of a frame was passed over.
    fn passed(&mut self) {
        if std::mem::take(&mut self.completes) {
            self.begun.begun.fetch_add(1, Ordering::Relaxed);
            if std::mem::take(&mut self.block) > self.longest {
                self.begun.long.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Inspect for Frames {
    fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, &'static str)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.skip > 0 {
                let taken = usize::try_from(self.skip).map_or(rest.len(), |skip| skip.min(rest.len()));
                self.skip = self.skip.saturating_sub(taken as u64);
                rest = rest.get(taken..).unwrap_or_default();
            } else {
                let missing = self.head.get_mut(self.have..).unwrap_or_default();
                let taken = missing.len().min(rest.len());
                for (to, from) in missing.iter_mut().zip(rest) {
                    *to = *from;
                }
                rest = rest.get(taken..).unwrap_or_default();
                self.have = self.have.saturating_add(taken);
                if self.have < self.head.len() {
                    break;
                }
                self.have = 0;
                self.frame();
            }
            if self.skip == 0 {
                self.passed();
            }
        }
        Ok(())
    }

    fn write_waits(&mut self, waits: bool) {
        self.begun.write_waits.store(waits, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap();
        [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), &vec![0xff; length as usize]].concat()
    }

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        [vec![b'P'; 24], frames.concat()].concat()
    }

    fn counted(bytes: &[u8], piece: usize) -> Option<Missing> {
        let begun = Arc::new(Begun::default());
        let mut frames = Frames::new(100, Arc::clone(&begun));
        bytes.chunks(piece).for_each(|piece| frames.read(piece).unwrap());
        begun.refused()
    }

    #[test]
    fn each_head_counts_once_when_it_is_whole() {
        let all = stream(&[
            frame(4, 0, 0, 12),
            frame(HEADERS, END_HEADERS | 1, 1, 30),
            frame(HEADERS, 0, 3, 30),
            frame(CONTINUATION, 0, 3, 40),
            frame(CONTINUATION, END_HEADERS, 3, 40),
            frame(0, 0, 3, 5000),
            frame(HEADERS, END_HEADERS | 1, 3, 9),
            frame(HEADERS, END_HEADERS, 5, 101),
            frame(HEADERS, END_HEADERS, 7, 0),
            frame(3, 0, 7, 4),
        ]);
        for piece in [1, 2, 7, 9, 10, 64, all.len()] {
            assert_eq!(counted(&all, piece), Some(Missing { all: 4, long: 2 }), "{piece}");
        }
        let unfinished = stream(&[frame(HEADERS, END_HEADERS, 1, 30)]);
        assert_eq!(counted(&unfinished[..unfinished.len() - 1], 1000), None);
        assert_eq!(counted(&stream(&[frame(HEADERS, 0, 1, 30), frame(CONTINUATION, 0, 1, 30)]), 1000), None);
    }

    #[test]
    fn what_was_handed_out_or_told_before_is_not_missing() {
        let begun = Arc::new(Begun::default());
        let mut frames = Frames::new(100, Arc::clone(&begun));
        frames.read(&stream(&[frame(HEADERS, END_HEADERS, 1, 3), frame(HEADERS, END_HEADERS, 3, 3)])).unwrap();
        begun.handed_out();
        frames.write_waits(true);
        assert_eq!(begun.refused(), None, "the library may not have looked at it yet");
        frames.write_waits(false);
        assert_eq!(begun.refused(), Some(Missing { all: 1, long: 0 }));
        assert_eq!(begun.refused(), None);
        begun.handed_out();
        assert_eq!(begun.refused(), None);
        frames.read(&frame(HEADERS, END_HEADERS, 5, 200)).unwrap();
        frames.read(&frame(HEADERS, END_HEADERS, 7, 3)).unwrap();
        assert!(!begun.long_head());
        begun.handed_out();
        assert_eq!(begun.refused(), None, "a late one makes up for it");
        frames.read(&frame(HEADERS, 0, 9, 60)).unwrap();
        assert!(!begun.long_head());
        frames.read(&frame(CONTINUATION, 0, 9, 41)).unwrap();
        assert!(begun.long_head());
    }
}
