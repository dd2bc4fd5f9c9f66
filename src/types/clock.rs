//! What time it is: by this machine's clock, or as somebody set it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Goes with the machine's clock.
const RUNS: i64 = i64::MIN;

/// The time of those who judge requests.
#[derive(Debug)]
pub struct Clock(AtomicI64);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicI64::new(RUNS))
    }
}

impl Clock {
    /// Stands at `seconds` (Unix time) from now on: for judging what was recorded, never for a process that serves.
    pub fn stop_at(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    /// Unix seconds; 0 before 1970.
    pub fn now(&self) -> i64 {
        match self.0.load(Ordering::Relaxed) {
            RUNS => super::unix_now(),
            seconds => seconds,
        }
    }

    /// Microseconds since 1970.
    pub fn micros(&self) -> i64 {
        match self.0.load(Ordering::Relaxed) {
            RUNS => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            seconds => seconds.saturating_mul(1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_until_it_is_stopped() {
        let clock = Clock::default();
        assert!(clock.now() > 1_700_000_000 && clock.micros() > 1_700_000_000_000_000);
        for seconds in [0, 5, i64::MAX] {
            clock.stop_at(seconds);
            assert_eq!((clock.now(), clock.micros()), (seconds, seconds.saturating_mul(1_000_000)));
        }
    }
}
