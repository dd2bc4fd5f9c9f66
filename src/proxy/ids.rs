//! Names for requests: in the log, and told to the application.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes ids that no other request of this process, and hardly one of another, bears. They are not secret.
#[derive(Debug)]
pub struct RequestIds {
    /// 16 hexadecimal digits.
    process: String,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        let mut seed = [0; 8];
        // Without randomness ids of two processes may be alike; nothing is decided by them.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        Self { process: format!("{:016x}", u64::from_ne_bytes(seed)), next: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// Written digit by digit: `format!` costs ten times as much.
    pub(super) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(8);
        let mut id = String::with_capacity(self.process.len() + 16);
        id.push_str(&self.process);
        for at in (0..digits).rev() {
            let digit = (number >> (4 * at) & 0xf) as u8;
            id.push(char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_process_and_a_number_of_eight_digits_or_more() {
        for number in [0, 1, 0xf, 0x10, 0x1234_5678, 0xffff_ffff, 0x1_0000_0000, 0x1234_5678_9abc, u64::MAX] {
            let ids = RequestIds { process: "75b939db7adabd29".to_owned(), next: AtomicU64::new(number) };
            assert_eq!(ids.next(), format!("75b939db7adabd29{number:08x}"));
        }
        let ids = RequestIds::default();
        assert_ne!(ids.next(), ids.next());
    }
}
