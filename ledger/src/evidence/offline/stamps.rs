//! Time-stamps in a ledger directory, as far as they are on a checkpoint that covers what was chosen.

use crate::{
    Hash,
    note::{Checkpoint, SignedNote},
    stamp::{self, Later, Renewal},
};
use bytes::Bytes;

/// Time-stamps behind the last chosen statement that are remembered.
const REMEMBERED: usize = 64;

/// Tokens on a checkpoint, each with its renewals.
pub(super) type Tokens = Vec<(Bytes, Vec<Renewal>)>;

/// What was read so far.
#[derive(Default)]
pub(super) struct Stamps {
    /// Leaf inputs of all.
    leaves: Vec<Hash>,
    later: Vec<Later>,
    /// Number, size of the checkpoint, note and token of the first that cover the last chosen statement.
    covering: Vec<(u64, u64, Bytes, Bytes)>,
}

impl Stamps {
    /// A statement with this index is to be covered too.
    pub(super) fn cover(&mut self, index: u64) {
        self.covering.retain(|(_, size, _, _)| *size > index);
    }

    pub(super) fn stamp(&mut self, note: Bytes, token: Bytes) {
        let number = self.leaves.len() as u64;
        self.leaves.push(stamp::leaf(&token));
        let checkpoint = SignedNote::parse(&note).and_then(|note| Checkpoint::parse(note.text));
        if let Ok(checkpoint) = checkpoint
            && self.covering.len() < REMEMBERED
        {
            self.covering.push((number, checkpoint.size, note, token));
        }
    }

    pub(super) fn renewal(&mut self, size: u64, token: Bytes) {
        self.later.push((self.leaves.len() as u64, size, token.clone()));
        self.leaves.push(stamp::leaf(&token));
    }

    /// Sizes and notes of the stamped checkpoints beyond this index, oldest first.
    pub(super) fn covering(&self, index: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let covering = self.covering.iter().filter(move |(_, size, _, _)| *size > index);
        covering.map(|(_, size, note, _)| (*size, note))
    }

    /// The tokens on the checkpoint of this size.
    pub(super) fn on(&self, size: u64) -> Tokens {
        let on = self.covering.iter().filter(|(_, of, _, _)| *of == size);
        on.map(|(number, _, _, token)| (token.clone(), stamp::renewals(*number, &self.later, &self.leaves)))
            .collect()
    }
}
