//! Receipts: closing statements of those who asked, each citing what this ledger answered.

use super::{Fault, item::Receipted};
use crate::{frame::RECEIPTS_BACK_MAX, tree::Hash};
use std::collections::VecDeque;

/// The last statements of this ledger that a receipt can be for, and how many receipts came.
#[derive(Default)]
pub(super) struct Receipts {
    /// Index and leaf input, by index.
    closings: VecDeque<(u64, Hash)>,
    pub(super) count: u64,
}

impl Receipts {
    /// Takes a statement of this ledger for which a receipt can come.
    pub(super) fn own(&mut self, index: u64, leaf: &Hash) {
        if self.closings.len() == RECEIPTS_BACK_MAX {
            self.closings.pop_front();
        }
        self.closings.push_back((index, *leaf));
    }

    /// Takes a receipt for one of them.
    pub(super) fn take(&mut self, receipted: &Receipted) -> Result<(), Fault> {
        let at = self
            .closings
            .binary_search_by_key(&receipted.index, |(index, _)| *index);
        let known = at.ok().and_then(|at| self.closings.get(at));
        if known.is_none_or(|(_, leaf)| receipted.leaf != *leaf) {
            let text = "a RECEIPT is for no statement that this ledger lately closed an exchange with";
            return Err(Fault::new("peers", text));
        }
        self.count += 1;
        Ok(())
    }
}
