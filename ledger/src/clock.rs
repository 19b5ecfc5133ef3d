//! Where time comes from: a value that is handed in, so that tests and recovery decide what it says.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the time in microseconds since 1970-01-01T00:00:00Z.
pub trait Clock: Send + Sync + 'static {
    /// The present, microseconds since 1970-01-01T00:00:00Z.
    fn now_us(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    fn now_us(&self) -> u64 {
        // A clock before 1970 reads as 0: everything is then expired, which refuses rather than admits.
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that says `now_us`.
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        Self(AtomicU64::new(now_us))
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, now_us: u64) {
        self.0.store(now_us, Ordering::SeqCst);
    }

    /// Moves the clock forward by `by_us` microseconds.
    pub fn advance(&self, by_us: u64) {
        self.0.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(5);
        assert_eq!(clock.now_us(), 5);
        clock.advance(7);
        assert_eq!(clock.now_us(), 12);
        clock.set(1);
        assert_eq!(clock.now_us(), 1);
    }

    #[test]
    fn the_system_clock_is_past_2026() {
        assert!(SystemClock.now_us() > 1_767_225_600_000_000);
    }
}
