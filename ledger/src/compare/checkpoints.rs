//! Checkpoints that one ledger holds of the other: each must be a stage of the other's tree.

use std::collections::BTreeMap;

use crate::archive::Item;
use crate::tree::{Frontier, Hash, leaf_hash};

/// What one ledger holds of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Different checkpoints.
    pub checkpoints: u64,
    /// Size of the newest.
    pub newest: u64,
    /// Final proofs: entries shown under a checkpoint that the quorum cosigned.
    pub proofs: u64,
}

/// A checkpoint of the other ledger, as one ledger holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// SHA-256 of the note.
    pub(super) note: Hash,
    /// Index of the statement that follows it.
    pub(super) entry: u64,
    /// Newest time in the holder's ledger when it was stored, microseconds.
    pub(super) at_us: u64,
}

/// By size and root, where the holder has it first.
pub(super) type Notes = BTreeMap<(u64, Hash), Noted>;

/// How the checkpoints that one side holds fit the other's tree.
#[derive(Debug, Default)]
pub(super) struct Roots {
    notes: Notes,
    frontier: Frontier,
    /// How many were compared.
    pub(super) taken: u64,
    /// Largest size at which a checkpoint fits.
    pub(super) fits: u64,
    /// Those that do not: size, root held, root found.
    pub(super) forked: Vec<(u64, Hash, Hash, Noted)>,
}

impl Roots {
    pub(super) fn new(notes: Notes) -> Self {
        let mut roots = Self {
            notes,
            ..Self::default()
        };
        roots.compare();
        roots
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Takes one record of the ledger whose tree it is.
    pub(super) fn take(&mut self, item: &Item) {
        let Item::Statement { entry, .. } = item else { return };
        if !self.notes.is_empty() {
            self.frontier.push(leaf_hash(&entry.statement.leaf()));
            self.compare();
        }
    }

    fn compare(&mut self) {
        let size = self.frontier.size();
        while let Some(first) = self.notes.first_entry() {
            let (at, root) = *first.key();
            if at > size {
                return;
            }
            let noted = first.remove();
            let found = self.frontier.root();
            self.taken += 1;
            if found == root {
                self.fits = self.fits.max(at);
            } else {
                self.forked.push((at, root, found, noted));
            }
        }
    }

    /// Checkpoints of sizes that the ledger does not reach.
    pub(super) fn beyond(&self) -> impl Iterator<Item = (u64, Hash, Noted)> + '_ {
        self.notes.iter().map(|((size, root), noted)| (*size, *root, *noted))
    }
}
