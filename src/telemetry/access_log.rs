//! The access log's queue and the thread that writes it.
//!
//! ```text
//! workers --try_send--> [ 8192 entries ] --one thread--> standard output
//!              full: counted, dropped        batches: at most a hundred writes a second
//! ```

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;

use super::AccessEntry;
use super::line::{self, Timed};

/// Entries that may wait.
const QUEUE: usize = 8192;
/// Entries of one write.
const BATCH: u64 = 1024;
/// How long lines may gather before they are written. While the thread sleeps, queueing a line wakes nobody.
const GATHER: Duration = Duration::from_millis(10);

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the queue holds its entries in place, which saves each request an allocation")]
enum Message {
    Entry(Timed),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct AccessLog {
    queue: SyncSender<Message>,
    dropped: Counter,
}

impl AccessLog {
    /// Starts the writer. It ends when the last clone is gone.
    pub(super) fn start(text: bool, output: Box<dyn Write + Send>, dropped: Counter) -> std::io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        let writer = Writer { text, output, lost: dropped.clone(), lines: Vec::new() };
        std::thread::Builder::new().name("doorward-log".to_owned()).spawn(move || writer.run(&entries))?;
        Ok(Self { queue, dropped })
    }

    /// Queues one line, or counts that it was lost.
    pub(super) fn queue(&self, entry: Box<AccessEntry>, total: Duration) {
        let now = SystemTime::now();
        let at = now.checked_sub(total).unwrap_or(now);
        match self.queue.try_send(Message::Entry(Timed { at, total, entry })) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.inc();
            }
        }
    }

    /// Waits, at most `limit`, until all that was queued is written.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        // A full queue means a writer that is stuck: it gets the limit to make room.
        let deadline = std::time::Instant::now() + limit;
        let mut message = Message::Flush(done);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if std::time::Instant::now() < deadline => message = back,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(GATHER);
        }
        match written.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

struct Writer {
    text: bool,
    output: Box<dyn Write + Send>,
    lost: Counter,
    lines: Vec<u8>,
}

impl Writer {
    fn run(mut self, entries: &Receiver<Message>) {
        while let Ok(first) = entries.recv() {
            let mut pending = 0;
            let mut flushes = Vec::new();
            self.take(first, &mut pending, &mut flushes);
            if flushes.is_empty() {
                std::thread::sleep(GATHER);
            }
            while let Ok(next) = entries.try_recv() {
                self.take(next, &mut pending, &mut flushes);
                if pending >= BATCH {
                    self.write(&mut pending);
                }
            }
            self.write(&mut pending);
            for flush in flushes {
                let _ = flush.send(());
            }
        }
    }

    fn take(&mut self, message: Message, pending: &mut u64, flushes: &mut Vec<SyncSender<()>>) {
        match message {
            Message::Entry(entry) => {
                line::write(&entry, self.text, &mut self.lines);
                *pending += 1;
            }
            Message::Flush(done) => flushes.push(done),
        }
    }

    fn write(&mut self, pending: &mut u64) {
        if !self.lines.is_empty() && self.output.write_all(&self.lines).and_then(|()| self.output.flush()).is_err() {
            self.lost.inc_by(*pending);
        }
        *pending = 0;
        self.lines.clear();
    }
}
