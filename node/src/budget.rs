//! The closet that bounds how many proofs, tiles and cosignatures each peer gets in a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jisr_proto::ident::NodeId;
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

const MINUTE_US: u64 = 60_000_000;

/// What peers asked for in this minute.
#[derive(Debug)]
pub(crate) struct Budget {
    per_minute: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    minute: u64,
    /// Only listed nodes get here, so their number bounds it.
    counts: HashMap<NodeId, u32>,
}

impl Budget {
    /// So many a minute for each peer.
    pub(crate) fn new(per_minute: u32) -> Budget {
        Budget {
            per_minute,
            window: Mutex::default(),
        }
    }

    /// Counts one request of a listed node.
    pub(crate) fn spend(&self, peer: &NodeId, now_us: u64) -> Result<(), Fault> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_us / MINUTE_US;
        if window.minute != minute {
            window.minute = minute;
            window.counts.clear();
        }
        let count = window.counts.entry(peer.clone()).or_default();
        *count = count.saturating_add(1);
        if *count <= self.per_minute {
            return Ok(());
        }
        let detail = format!("{peer} asked more than {} times in this minute", self.per_minute);
        Err(Fault::new(Reason::ProofBudget, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_s_budget_is_not_another_s_and_comes_back() {
        let budget = Budget::new(2);
        let (mol, psd) = (
            "JO/GOV/mol/node/node1".parse().unwrap(),
            "JO/GOV/psd/node/node1".parse().unwrap(),
        );
        assert!(budget.spend(&mol, 0).is_ok() && budget.spend(&mol, 1).is_ok());
        assert_eq!(budget.spend(&mol, 2).unwrap_err().reason, Reason::ProofBudget);
        assert!(budget.spend(&psd, 2).is_ok());
        assert!(budget.spend(&mol, MINUTE_US).is_ok());
    }
}
