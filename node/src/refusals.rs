//! The closet that counts what was refused without a statement, and sums it up once a minute and peer, so that nobody
//! grows the ledger for free.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jisr_proto::reason::Reason;
use jisr_proto::statement::{RefusalCount, RefusalsSummed};

/// Peers that are counted apart within one minute; the rest is counted under the empty name.
const PEERS_MAX: usize = 1024;

/// Refusals since the last sum.
#[derive(Debug)]
pub(crate) struct Refusals {
    counts: Mutex<BTreeMap<String, BTreeMap<&'static str, u64>>>,
    since_us: AtomicU64,
}

impl Refusals {
    /// Counts from `now_us` on.
    pub(crate) fn new(now_us: u64) -> Refusals {
        Refusals {
            counts: Mutex::default(),
            since_us: AtomicU64::new(now_us),
        }
    }

    /// Counts one refusal towards `peer`; empty where it could not be known.
    pub(crate) fn count(&self, peer: &str, reason: Reason) {
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

    /// Failures counted for a peer since the last sum.
    pub(crate) fn of(&self, peer: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(peer).map_or(0, |counts| counts.values().sum())
    }
}
