//! The closet that counts what was refused without a statement, and sums it up once a minute and peer, so that nobody
//! grows the ledger for free.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jisr_proto::reason::Reason;
use jisr_proto::statement::{RefusalCount, RefusalsSummed};

/// Peers that are counted apart within one minute; the rest is counted under the empty name.
const PEERS_MAX: usize = 1024;

/// Pairs of peer and reason that are counted apart since the start.
const TOTALS_MAX: usize = 1024;

/// Refusals since the last sum.
#[derive(Debug)]
pub(crate) struct Refusals {
    counts: Mutex<BTreeMap<String, BTreeMap<&'static str, u64>>>,
    /// Since the start, for the operator.
    totals: Mutex<BTreeMap<(String, &'static str), u64>>,
    since_us: AtomicU64,
}

impl Refusals {
    /// Counts from `now_us` on.
    pub(crate) fn new(now_us: u64) -> Refusals {
        Refusals {
            counts: Mutex::default(),
            totals: Mutex::default(),
            since_us: AtomicU64::new(now_us),
        }
    }

    /// Counts what failed with `peer` and needs no sum, since it stands in the ledger or nothing was asked.
    pub(crate) fn failed(&self, peer: &str, reason: Reason) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (peer.to_owned(), reason.as_str());
        // Reasons are a closed list: under the empty name there are only so many.
        if totals.len() >= TOTALS_MAX && !totals.contains_key(&key) {
            key.0.clear();
        }
        *totals.entry(key).or_default() += 1;
    }

    /// Counts one refusal towards `peer`; empty where it could not be known.
    pub(crate) fn count(&self, peer: &str, reason: Reason) {
        self.failed(peer, reason);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = if counts.len() < PEERS_MAX || counts.contains_key(peer) {
            peer
        } else {
            ""
        };
        *counts
            .entry(peer.to_owned())
            .or_default()
            .entry(reason.as_str())
            .or_default() += 1;
    }

    /// Takes the sums since they were taken last, one act a peer.
    pub(crate) fn sum_up(&self, until_us: u64) -> Vec<RefusalsSummed> {
        let from_us = self.since_us.swap(until_us, Ordering::Relaxed);
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        counts
            .into_iter()
            .map(|(peer, counts)| RefusalsSummed {
                peer,
                from_us,
                until_us,
                counts: counts
                    .into_iter()
                    .map(|(reason, count)| RefusalCount {
                        reason: reason.to_owned(),
                        count,
                    })
                    .collect(),
            })
            .collect()
    }

    /// What was counted since the start, by peer and reason.
    pub(crate) fn totals(&self) -> Vec<(String, &'static str, u64)> {
        let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals
            .iter()
            .map(|((peer, reason), count)| (peer.clone(), *reason, *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_cannot_make_the_numbers_grow() {
        let refusals = Refusals::new(0);
        for peer in 0..3 * TOTALS_MAX {
            refusals.count(&format!("peer{peer}"), Reason::Overloaded);
        }
        let totals = refusals.totals();
        assert_eq!(totals.len(), TOTALS_MAX + 1);
        assert_eq!(
            totals.iter().map(|(_, _, count)| count).sum::<u64>(),
            3 * TOTALS_MAX as u64
        );
        assert_eq!(
            totals.first().map(|(peer, _, count)| (peer.as_str(), *count)),
            Some(("", 2 * TOTALS_MAX as u64))
        );
        refusals.sum_up(1);
        assert_eq!(refusals.totals().len(), TOTALS_MAX + 1, "a sum does not take them away");
    }
}
