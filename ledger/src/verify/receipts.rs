//! Receipts: closing statements of those who asked, each citing what this ledger answered.

use super::Fault;
use crate::{frame::RECEIPTS_BACK_MAX, tree::Hash};
use jisr_proto::statement::{Citation, Core, Kind};
use std::collections::VecDeque;

/// The last statements of this ledger that a receipt can be for, and how many receipts came.
#[derive(Default)]
pub(super) struct Receipts {
    /// Index and leaf input, by index.
    closings: VecDeque<(u64, Hash)>,
    pub(super) count: u64,
}

impl Receipts {
    /// Takes a statement of this ledger. One that closes an exchange here, and cites the question, can be receipted.
    pub(super) fn own(&mut self, index: u64, leaf: &Hash) {
        if self.closings.len() == RECEIPTS_BACK_MAX {
            self.closings.pop_front();
        }
        self.closings.push_back((index, *leaf));
    }

    /// Takes the receipt with this core, from the ledger `from`, which must be for one of them.
    pub(super) fn take(&mut self, core: &Core, kind: Kind, citation: Option<&Citation>) -> Result<(), Fault> {
        let wrong = |text: &str| Fault::new("peers", format!("a RECEIPT {text}"));
        if !can_receipt(kind) {
            return Err(wrong("is no statement that closes an exchange for whoever asked"));
        }
        let citation = citation.ok_or_else(|| wrong("cites nothing"))?;
        if citation.origin != core.provider_origin {
            return Err(wrong("cites another ledger than the one that answered"));
        }
        let at = self.closings.binary_search_by_key(&citation.index, |(index, _)| *index);
        let known = at.ok().and_then(|at| self.closings.get(at));
        if known.is_none_or(|(_, leaf)| citation.leaf.as_ref() != leaf) {
            return Err(wrong(
                "is for no statement that this ledger lately closed an exchange with",
            ));
        }
        self.count += 1;
        Ok(())
    }
}

/// Kinds that close an exchange at the consumer and may cite the provider's closing.
fn can_receipt(kind: Kind) -> bool {
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
