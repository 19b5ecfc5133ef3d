//! Receipts: closing statements of those who asked, each citing what this ledger answered.

use super::{Fault, item::Receipted};
use crate::{frame::RECEIPTS_BACK_MAX, tree::Hash};
use jisr_proto::statement::Kind;
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

/// Kinds that close an exchange at the consumer and may cite the provider's closing.
pub(super) fn can_receipt(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Delivered
            | Kind::LateAnswer
            | Kind::Refused
            | Kind::Failed
            | Kind::Cancelled
            | Kind::NeverReceived
            | Kind::OutcomeUnknown
            | Kind::AnswerGone
    )
}

/// Kinds that close an exchange at the provider, where they cite the question.
pub(super) fn closes_at_provider(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Answered
            | Kind::Refused
            | Kind::Failed
            | Kind::Cancelled
            | Kind::NeverReceived
            | Kind::OutcomeUnknown
            | Kind::AnswerGone
    )
}
