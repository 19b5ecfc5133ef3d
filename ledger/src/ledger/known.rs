//! Which shared records were written lately, by hash: two generations, so memory is bounded and what is in use stays.

use std::collections::HashSet;

use crate::Hash;

/// Hashes of one generation. Two of them stay far below the reach of a reference (`frame::PEER_NOTES_MAX`).
const GENERATION: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Known {
    young: HashSet<Hash>,
    old: HashSet<Hash>,
}

impl Known {
    pub(crate) fn holds(&self, hash: &Hash) -> bool {
        self.young.contains(hash) || self.old.contains(hash)
    }

    /// A record with this hash was written.
    pub(crate) fn learn(&mut self, hash: Hash) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}
