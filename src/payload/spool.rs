//! A body held back until its signature is known: in memory up to 1 MiB, as long as there is room, else in an unlinked
//! temporary file.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, ReadBuf};

use super::room::{Room, Share};
use crate::types::AddressBlock;

/// What stays in memory.
const MEMORY_BYTES: u64 = 1024 * 1024;
/// From this length on it costs less to keep a piece than to copy it.
const KEPT_BYTES: usize = 512;
/// How much is handed on at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A held body: filled once, then replayed or drained.
#[derive(Debug)]
pub(super) struct Spool {
    /// A piece that is all of the body, as it was received.
    only: Bytes,
    /// Copied together: a piece as it was received may keep a buffer alive that is many times as long.
    memory: BytesMut,
    /// On the heap, since it is rare and large.
    file: Option<Box<File>>,
    len: u64,
    drained: u64,
    share: Share,
}

impl Spool {
    pub(super) fn new(room: &Arc<Room>, client: Option<AddressBlock>) -> Self {
        Self { only: Bytes::new(), memory: BytesMut::new(), file: None, len: 0, drained: 0, share: Share::new(room, client) }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.drained)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.remaining() == 0
    }

    /// Appends a piece. Fails when there is no room left for this client. `only`: it is all of the body, and is kept as it is if it is not
    /// short.
    pub(super) async fn push(&mut self, piece: Bytes, only: bool) -> io::Result<()> {
        self.len += piece.len() as u64;
        if self.file.is_none() && self.len <= MEMORY_BYTES && self.share.memory(self.len) {
            if only && piece.len() >= KEPT_BYTES {
                self.only = piece;
            } else {
                self.memory.extend_from_slice(&piece);
            }
            return Ok(());
        }
        if !self.share.disk(self.len) {
            return Err(io::Error::other("too much is held already, for this client or for all"));
        }
        if self.file.is_none() {
            // Unlinked from the start: whatever ends the process, nothing of the body stays on the disk.
            let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other)??;
            let mut file = Box::new(File::from_std(file));
            file.write_all(&std::mem::take(&mut self.memory)).await?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(&piece).await,
            None => Ok(()),
        }
    }

    /// Makes the spool ready to be drained from its beginning.
    pub(super) async fn rewind(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush().await?;
            file.seek(SeekFrom::Start(0)).await?;
        }
        Ok(())
    }

    /// Shows the whole body again without draining it.
    pub(super) async fn replay(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        each(&self.only);
        each(&self.memory);
        if let Some(file) = &mut self.file {
            let mut buffer = BytesMut::with_capacity(CHUNK_BYTES);
            while file.read_buf(&mut buffer).await? > 0 {
                each(&buffer);
                buffer.clear();
            }
        }
        self.rewind().await
    }

    /// Takes the next piece out.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.is_drained() {
            return Poll::Ready(None);
        }
        if !self.only.is_empty() {
            self.drained += self.only.len() as u64;
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.only))));
        }
        if !self.memory.is_empty() {
            // A short body leaves as it is: to share its memory with nobody would cost an allocation.
            let short = self.memory.len() <= CHUNK_BYTES;
            let piece = if short { std::mem::take(&mut self.memory) } else { self.memory.split_to(CHUNK_BYTES) }.freeze();
            self.drained += piece.len() as u64;
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some(file) = &mut self.file else { return Poll::Ready(None) };
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut read = ReadBuf::new(&mut buffer);
        if let Err(error) = ready!(Pin::new(&mut **file).poll_read(cx, &mut read)) {
            return Poll::Ready(Some(Err(error)));
        }
        let count = read.filled().len();
        if count == 0 {
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the spooled body is shorter than what was verified"))));
        }
        buffer.truncate(count);
        self.drained += count as u64;
        Poll::Ready(Some(Ok(Bytes::from(buffer))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn filled(pieces: &[Vec<u8>]) -> Spool {
        let mut spool = Spool::new(&Room::new(0), None);
        for piece in pieces {
            spool.push(Bytes::from(piece.clone()), pieces.len() == 1).await.unwrap();
        }
        spool.rewind().await.unwrap();
        spool
    }

    async fn drain(spool: &mut Spool) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = std::future::poll_fn(|cx| spool.poll_next(cx)).await {
            all.extend_from_slice(&piece.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn what_was_shown_is_what_is_drained_in_memory_and_from_a_file() {
        for sizes in [
            vec![],
            vec![1, 2, 3],
            vec![600],
            vec![600, 600, 5],
            vec![5, 600],
            vec![600_000, 600_000, 5, 600_000],
            vec![600, 1_100_000],
            vec![1_100_000],
        ] {
            let pieces: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
            let whole = pieces.concat();
            let mut spool = filled(&pieces).await;
            assert_eq!(spool.file.is_some(), whole.len() > MEMORY_BYTES as usize);
            for _ in 0..2 {
                let mut shown = Vec::new();
                spool.replay(|piece| shown.extend_from_slice(piece)).await.unwrap();
                assert_eq!(shown, whole);
            }
            assert_eq!(spool.remaining(), whole.len() as u64);
            assert_eq!(drain(&mut spool).await, whole);
            assert!(spool.is_drained());
        }
    }

    #[tokio::test]
    async fn without_room_in_memory_a_body_goes_to_a_file_and_without_any_it_is_refused() {
        let room = Room::with(200_000, 8 << 20);
        let client = |last: u8| Some(AddressBlock::from(std::net::IpAddr::from([192, 0, 2, last])));
        let mut first = Spool::new(&room, client(1));
        first.push(Bytes::from(vec![1; 110_000]), false).await.unwrap();
        assert!(first.file.is_none());
        let mut second = Spool::new(&room, client(1));
        for _ in 0..110 {
            second.push(Bytes::from(vec![2; 1000]), false).await.unwrap();
        }
        assert!(second.file.is_some());
        second.rewind().await.unwrap();
        assert_eq!(drain(&mut second).await, vec![2; 110_000]);
        let mut third = Spool::new(&room, client(1));
        assert!(third.push(Bytes::from(vec![3; 110_000]), false).await.is_err(), "one client has half of it");
        let mut small = Spool::new(&room, client(1));
        small.push(Bytes::from(vec![5; 16 * 1024]), false).await.unwrap();
        assert!(small.file.is_none(), "a small body is always taken");
        let mut other = Spool::new(&room, client(2));
        other.push(Bytes::from(vec![4; 60_000]), false).await.unwrap();
        assert!(other.file.is_none(), "another client has its own share");
        drop(second);
        third = Spool::new(&room, client(1));
        third.push(Bytes::from(vec![3; 110_000]), false).await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_came_in_one_piece_leaves_as_it_came_and_a_short_one_is_copied() {
        for (only, length, is_copied) in
            [(true, KEPT_BYTES - 1, true), (true, KEPT_BYTES, false), (true, CHUNK_BYTES * 3, false), (false, CHUNK_BYTES, true)]
        {
            let piece = Bytes::from(vec![7; length]);
            let mut spool = Spool::new(&Room::new(0), None);
            spool.push(piece.clone(), only).await.unwrap();
            let left = std::future::poll_fn(|cx| spool.poll_next(cx)).await.unwrap().unwrap();
            assert_eq!((left.len(), left.as_ptr() != piece.as_ptr()), (length, is_copied));
            assert!(spool.is_drained());
        }
    }

    #[tokio::test]
    async fn a_piece_does_not_keep_the_buffer_alive_that_it_was_cut_from() {
        let mut spool = Spool::new(&Room::new(0), None);
        for _ in 0..10 {
            let buffer = Bytes::from(vec![7; 100_000]);
            let piece = buffer.slice(..1);
            spool.push(piece.clone(), false).await.unwrap();
            drop(buffer);
            assert!(piece.is_unique());
        }
        assert!(spool.memory.capacity() < 1000);
    }
}
