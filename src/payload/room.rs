//! How much of all held bodies together there may be at a time: whoever has no valid key can make Doorward hold bodies too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What each body may take without asking: the usual signed request is never turned away because others hold the room.
const FREE_BYTES: u64 = 16 * 1024;
/// Disk is given out in steps, so that the number of open files is bounded too.
const DISK_STEP: u64 = 4 << 20;
/// Memory for all held bodies.
const MEMORY_BYTES: u64 = 64 << 20;
/// Least disk for all held bodies; 256 files.
const DISK_BYTES: u64 = 1 << 30;

/// The room that held bodies share: in memory, and on disk where there is none left or a body is long.
#[derive(Debug)]
pub struct Room {
    memory: AtomicU64,
    disk: AtomicU64,
}

impl Room {
    /// For bodies of at most `longest` bytes each: 64 MiB of memory, and disk for 16 of the longest, at least 1 GiB.
    #[must_use]
    pub fn new(longest: u64) -> Arc<Self> {
        Self::with(MEMORY_BYTES, longest.saturating_mul(16).max(DISK_BYTES))
    }

    pub(super) fn with(memory: u64, disk: u64) -> Arc<Self> {
        Arc::new(Self { memory: AtomicU64::new(memory), disk: AtomicU64::new(disk) })
    }
}

/// What one body has of the room. Given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    memory: u64,
    disk: u64,
}

impl Share {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), memory: 0, disk: 0 }
    }

    /// Whether `bytes` in all may be held in memory.
    pub(super) fn memory(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(FREE_BYTES).saturating_sub(self.memory);
        let taken = take(&self.room.memory, more);
        if taken {
            self.memory += more;
        }
        taken
    }

    /// Whether `bytes` in all may be held on disk. What was held in memory is given back: it stands on the disk now.
    pub(super) fn disk(&mut self, bytes: u64) -> bool {
        let steps = bytes.div_ceil(DISK_STEP).max(1).saturating_mul(DISK_STEP);
        let more = steps.saturating_sub(self.disk);
        let taken = take(&self.room.disk, more);
        if taken {
            self.disk += more;
            self.room.memory.fetch_add(std::mem::take(&mut self.memory), Ordering::AcqRel);
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.memory.fetch_add(self.memory, Ordering::AcqRel);
        self.room.disk.fetch_add(self.disk, Ordering::AcqRel);
    }
}

fn take(left: &AtomicU64, bytes: u64) -> bool {
    left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(room: &Room) -> (u64, u64) {
        (room.memory.load(Ordering::Acquire), room.disk.load(Ordering::Acquire))
    }

    #[test]
    fn what_is_taken_is_bounded_and_given_back() {
        let room = Room::with(10_000, 3 * DISK_STEP);
        let (mut one, mut two) = (Share::new(&room), Share::new(&room));
        assert!(one.memory(FREE_BYTES) && two.memory(FREE_BYTES), "small bodies are free");
        assert_eq!(left(&room), (10_000, 3 * DISK_STEP));
        assert!(one.memory(FREE_BYTES + 6000) && one.memory(FREE_BYTES + 7000));
        assert!(!two.memory(FREE_BYTES + 3001) && two.memory(FREE_BYTES + 3000));
        assert_eq!(left(&room), (0, 3 * DISK_STEP));
        assert!(one.disk(1) && one.disk(DISK_STEP));
        assert_eq!(left(&room), (7000, 2 * DISK_STEP), "what went to the disk left the memory");
        assert!(!two.disk(2 * DISK_STEP + 1) && two.disk(2 * DISK_STEP));
        assert_eq!(left(&room), (10_000, 0));
        assert!(!Share::new(&room).disk(1));
        drop((one, two));
        assert_eq!(left(&room), (10_000, 3 * DISK_STEP));
    }

    #[test]
    fn there_is_room_for_sixteen_of_the_longest_bodies_and_a_bounded_number_of_files() {
        assert_eq!(left(&Room::new(64 << 20)), (MEMORY_BYTES, 1 << 30));
        assert_eq!(left(&Room::new(0)).1 / DISK_STEP, 256);
        assert_eq!(left(&Room::new(1 << 30)).1, 16 << 30);
        assert_eq!(left(&Room::new(u64::MAX)).1, u64::MAX);
    }
}
