//! Counts how often the clock that made the statements was set back.
//!
//! A statement's time is taken before it waits for its commit, so under load neighbours stand in another order than they
//! were made in. That says nothing; a step back that no queue explains does.

/// Steps back up to this long are those of statements made at the same time, microseconds.
const JITTER_US: u64 = 1_000_000;

/// The times so far.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    /// The newest time since the last setback.
    newest_us: u64,
    count: u64,
}

impl Setbacks {
    /// Takes the time of the next statement, microseconds.
    pub(super) fn take(&mut self, created_us: u64) {
        if created_us < self.newest_us.saturating_sub(JITTER_US) {
            self.count += 1;
            self.newest_us = created_us;
        } else {
            self.newest_us = self.newest_us.max(created_us);
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_795_000_000_000_000;

    fn count(times: impl IntoIterator<Item = u64>) -> u64 {
        let mut setbacks = Setbacks::default();
        for time_us in times {
            setbacks.take(time_us);
        }
        setbacks.count()
    }

    #[test]
    fn neighbours_in_another_order_are_no_setback() {
        let swapped = (0..10_000).map(|at| NOW_US + (at ^ 0xff) * 1_000);
        assert_eq!(count(swapped), 0);
        assert_eq!(count([NOW_US, NOW_US - 1_000_000]), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_counts_once_until_it_is_again() {
        assert_eq!(count([NOW_US, NOW_US - 1_000_001]), 1);
        let hour_back = (0..10_000).map(|at| NOW_US - 3_600_000_000 + at);
        assert_eq!(count([NOW_US].into_iter().chain(hour_back)), 1);
        assert_eq!(count([NOW_US, 0, NOW_US, u64::MAX, 0]), 2);
    }

    #[test]
    fn many_small_steps_back_are_a_setback_too() {
        let drifting = (0..10).map(|at| NOW_US - at * 900_000);
        assert_eq!(count(drifting), 4);
    }
}
