//! What we compute, against independent implementations of the same standards: RFC 6962, C2SP tlog-tiles, tlog-checkpoint,
//! signed-note.

#![expect(clippy::indexing_slicing, reason = "a test fails by a panic")]

mod notes;
mod tlog;
mod tree;

use std::collections::HashMap;

use jisr_ledger::Hash;
use jisr_ledger::tree::Nodes;

/// Every node of a tree.
#[derive(Default)]
struct Kept(HashMap<(u8, u64), Hash>);

impl Nodes for Kept {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.get(&(level, index)).copied()
    }
}
