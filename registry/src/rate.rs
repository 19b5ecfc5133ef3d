//! How many calls one party may make in a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const MINUTE_US: u64 = 60_000_000;
/// Parties that are counted apart; beyond it everybody new waits for the next minute.
const PARTIES_MAX: usize = 65_536;

/// Counts calls by party, in whole minutes of the clock.
#[derive(Debug)]
pub(crate) struct Rate<K> {
    per_minute: u32,
    window: Mutex<Window<K>>,
}

#[derive(Debug)]
struct Window<K> {
    minute: u64,
    counts: BTreeMap<K, u32>,
}

impl<K: Ord> Rate<K> {
    /// So many calls a minute for each party.
    pub(crate) fn new(per_minute: u32) -> Rate<K> {
        Rate {
            per_minute,
            window: Mutex::new(Window {
                minute: 0,
                counts: BTreeMap::new(),
            }),
        }
    }

    /// Calls a minute for each party.
    pub(crate) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Counts a call; false if it is one too many.
    pub(crate) fn admit(&self, party: K, now_us: u64) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.minute != now_us / MINUTE_US {
            window.minute = now_us / MINUTE_US;
            window.counts.clear();
        }
        if window.counts.len() >= PARTIES_MAX && !window.counts.contains_key(&party) {
            return false;
        }
        let count = window.counts.entry(party).or_insert(0);
        *count = count.saturating_add(1);
        *count <= self.per_minute
    }
}

/// Seconds until the next minute of the clock, when everybody may call again.
pub(crate) fn wait_s(now_us: u64) -> u64 {
    (MINUTE_US - now_us % MINUTE_US).div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_party_is_slowed_down_and_others_are_not() {
        let rate = Rate::new(2);
        assert!(rate.admit("a", 0) && rate.admit("a", 1) && !rate.admit("a", 2));
        assert!(rate.admit("b", 2));
        assert!(rate.admit("a", MINUTE_US));
        assert_eq!((wait_s(0), wait_s(1), wait_s(MINUTE_US - 1)), (60, 60, 1));
    }
}
