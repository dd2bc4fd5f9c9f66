//! A body held back until its signature is known: in memory up to 1 MiB, then in an unlinked temporary file.

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, ReadBuf};

/// What stays in memory.
const MEMORY_BYTES: u64 = 1024 * 1024;
/// How much of a file is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A held body: filled once, then replayed or drained.
#[derive(Debug, Default)]
pub(super) struct Spool {
    pieces: VecDeque<Bytes>,
    file: Option<File>,
    len: u64,
    drained: u64,
}

impl Spool {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.drained)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.remaining() == 0
    }

    /// Appends a piece.
    pub(super) async fn push(&mut self, piece: Bytes) -> io::Result<()> {
        self.len += piece.len() as u64;
        if self.file.is_none() && self.len <= MEMORY_BYTES {
            self.pieces.push_back(piece);
            return Ok(());
        }
        if self.file.is_none() {
            // Unlinked from the start: whatever ends the process, nothing of the body stays on the disk.
            let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other)??;
            let mut file = File::from_std(file);
            while let Some(earlier) = self.pieces.pop_front() {
                file.write_all(&earlier).await?;
            }
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
        for piece in &self.pieces {
            each(piece);
        }
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
        if let Some(piece) = self.pieces.pop_front() {
            self.drained += piece.len() as u64;
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some(file) = &mut self.file else { return Poll::Ready(None) };
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut read = ReadBuf::new(&mut buffer);
        if let Err(error) = ready!(Pin::new(file).poll_read(cx, &mut read)) {
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
        let mut spool = Spool::default();
        for piece in pieces {
            spool.push(Bytes::from(piece.clone())).await.unwrap();
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
        for sizes in [vec![], vec![1, 2, 3], vec![600_000, 600_000, 5, 600_000]] {
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
}
