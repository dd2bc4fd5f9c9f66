//! How much of all held bodies together there may be at a time, and how much of it for one client: whoever has no valid key
//! can make Doorward hold bodies too.
//!
//! A client may hold no more than what is left after it took it. So one alone gets half of the room; two that take all they
//! can get a third each; and however many there are, some is left for the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::AddressBlock;

/// What each body may take without asking: the usual signed request is never turned away because others hold the room.
const FREE_BYTES: u64 = 16 * 1024;
/// Disk is given out in steps, so that the number of open files is bounded too.
const DISK_STEP: u64 = 4 << 20;
/// Memory for all held bodies.
const MEMORY_BYTES: u64 = 64 << 20;
/// Least disk for all held bodies; 256 files.
const DISK_BYTES: u64 = 1 << 30;

/// Those without an address count as one.
type Client = Option<AddressBlock>;

/// The room that held bodies share: in memory, and on disk where there is none left or a body is long.
#[derive(Debug)]
pub struct Room(Mutex<Kept>);

/// Who has how much. As long as there are clients with something.
#[derive(Debug)]
struct Kept {
    left: Amount,
    clients: HashMap<Client, Amount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount {
    memory: u64,
    disk: u64,
}

impl Room {
    /// For bodies of at most `longest` bytes each: 64 MiB of memory, and disk for 16 of the longest, at least 1 GiB.
    #[must_use]
    pub fn new(longest: u64) -> Arc<Self> {
        Self::with(MEMORY_BYTES, longest.saturating_mul(16).max(DISK_BYTES))
    }

    pub(super) fn with(memory: u64, disk: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Kept { left: Amount { memory, disk }, clients: HashMap::new() })))
    }

    /// A panic elsewhere cannot leave the amounts half changed.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Takes `more` of one kind for a client, or nothing.
    fn take(&mut self, client: Client, more: u64, of: fn(&mut Amount) -> &mut u64) -> bool {
        if more == 0 {
            return true;
        }
        let mut had = self.clients.get(&client).copied().unwrap_or_default();
        let Some(left) = of(&mut self.left).checked_sub(more) else { return false };
        let has = of(&mut had).saturating_add(more);
        if has > left {
            return false;
        }
        *of(&mut self.left) = left;
        *of(self.clients.entry(client).or_default()) = has;
        true
    }

    fn give_back(&mut self, client: Client, amount: Amount) {
        self.left.memory = self.left.memory.saturating_add(amount.memory);
        self.left.disk = self.left.disk.saturating_add(amount.disk);
        if let Some(has) = self.clients.get_mut(&client) {
            has.memory = has.memory.saturating_sub(amount.memory);
            has.disk = has.disk.saturating_sub(amount.disk);
            if *has == Amount::default() {
                self.clients.remove(&client);
            }
        }
    }
}

/// What one body has of the room. Given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    client: Client,
    has: Amount,
}

impl Share {
    pub(super) fn new(room: &Arc<Room>, client: Client) -> Self {
        Self { room: Arc::clone(room), client, has: Amount::default() }
    }

    /// Whether `bytes` in all may be held in memory.
    pub(super) fn memory(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(FREE_BYTES).saturating_sub(self.has.memory);
        let taken = more == 0 || self.room.lock().take(self.client, more, |amount| &mut amount.memory);
        if taken {
            self.has.memory = self.has.memory.saturating_add(more);
        }
        taken
    }

    /// Whether `bytes` in all may be held on disk. What was held in memory is given back: it stands on the disk now.
    pub(super) fn disk(&mut self, bytes: u64) -> bool {
        let steps = bytes.div_ceil(DISK_STEP).max(1).saturating_mul(DISK_STEP);
        let more = steps.saturating_sub(self.has.disk);
        if more == 0 {
            return true;
        }
        let mut room = self.room.lock();
        let taken = room.take(self.client, more, |amount| &mut amount.disk);
        if taken {
            self.has.disk = self.has.disk.saturating_add(more);
            room.give_back(self.client, Amount { memory: std::mem::take(&mut self.has.memory), disk: 0 });
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.has != Amount::default() {
            self.room.lock().give_back(self.client, self.has);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn left(room: &Room) -> (u64, u64) {
        let kept = room.lock();
        (kept.left.memory, kept.left.disk)
    }

    fn client(last: u8) -> Client {
        Some(AddressBlock::from(IpAddr::from([192, 0, 2, last])))
    }

    #[test]
    fn what_is_taken_is_bounded_and_given_back() {
        let room = Room::with(20_000, 6 * DISK_STEP);
        let (mut one, mut two) = (Share::new(&room, client(1)), Share::new(&room, client(2)));
        assert!(one.memory(FREE_BYTES) && two.memory(FREE_BYTES), "small bodies are free");
        assert_eq!(left(&room), (20_000, 6 * DISK_STEP));
        assert!(one.memory(FREE_BYTES + 6000) && one.memory(FREE_BYTES + 10_000));
        assert!(!one.memory(FREE_BYTES + 10_001), "one alone gets half");
        assert!(!two.memory(FREE_BYTES + 5001) && two.memory(FREE_BYTES + 5000), "and the next one half of what is left");
        assert_eq!(left(&room), (5000, 6 * DISK_STEP));
        assert!(one.disk(1) && one.disk(DISK_STEP));
        assert_eq!(left(&room), (15_000, 5 * DISK_STEP), "what went to the disk left the memory");
        assert!(!two.disk(2 * DISK_STEP + 1) && two.disk(2 * DISK_STEP));
        assert_eq!(left(&room), (20_000, 3 * DISK_STEP));
        drop((one, two));
        assert_eq!(left(&room), (20_000, 6 * DISK_STEP));
        assert!(room.lock().clients.is_empty());
    }

    #[test]
    fn all_bodies_of_a_client_count_together() {
        let room = Room::with(20_000, 4 * DISK_STEP);
        let mut many: Vec<Share> = (0..4).map(|_| Share::new(&room, client(1))).collect();
        assert_eq!(many.iter_mut().map(|share| share.memory(FREE_BYTES + 4000)).filter(|taken| *taken).count(), 2);
        assert_eq!(many.iter_mut().map(|share| share.disk(1)).filter(|taken| *taken).count(), 2);
        let (mut local, mut other) = (Share::new(&room, None), Share::new(&room, None));
        assert!(local.memory(FREE_BYTES + 4000) && !other.memory(FREE_BYTES + 10_000), "those without an address are one client");
    }

    #[test]
    fn however_many_take_all_they_can_the_next_one_finds_some() {
        let room = Room::new(64 << 20);
        let mut held = Vec::new();
        for at in 0..7 {
            let most = (1..=256).rev().find(|steps| {
                let mut share = Share::new(&room, client(at));
                let taken = share.disk(steps * DISK_STEP);
                held.extend(taken.then_some(share));
                taken
            });
            assert!(most.is_some(), "client {at} found nothing");
        }
        assert!(left(&room).1 >= DISK_STEP * 2);
    }

    #[test]
    fn there_is_room_for_sixteen_of_the_longest_bodies_and_a_bounded_number_of_files() {
        assert_eq!(left(&Room::new(64 << 20)), (MEMORY_BYTES, 1 << 30));
        assert_eq!(left(&Room::new(0)).1 / DISK_STEP, 256);
        assert_eq!(left(&Room::new(1 << 30)).1, 16 << 30);
        assert_eq!(left(&Room::new(u64::MAX)).1, u64::MAX);
    }
}
