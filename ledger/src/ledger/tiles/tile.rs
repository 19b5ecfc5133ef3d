//! One tile in memory.

use crate::Hash;
use crate::tree::node_hash;

/// Hashes of a full tile.
pub(super) const WIDTH: usize = 256;
/// Levels of the tree in a tile.
pub(super) const HEIGHT: u8 = 8;

/// A tile with the nodes that its hashes complete: each is computed once, and read by every proof that needs it.
#[derive(Default)]
pub(super) struct Tile {
    /// The tile's own hashes, then the nodes of each level above them; last the tile's root, once it is full.
    rows: [Vec<Hash>; HEIGHT as usize + 1],
}

impl Tile {
    pub(super) fn of(hashes: &[Hash]) -> Self {
        let mut tile = Self::default();
        hashes.iter().for_each(|hash| tile.push(*hash));
        tile
    }

    /// Adds a hash and every node that it completes.
    pub(super) fn push(&mut self, hash: Hash) {
        let mut hash = hash;
        for row in &mut self.rows {
            row.push(hash);
            let (pairs, single) = row.as_chunks::<2>();
            match (pairs.last(), single) {
                (Some([left, right]), []) => hash = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// What lies on disk: the nodes follow from it.
    pub(super) fn hashes(&self) -> &[Hash] {
        let [hashes, ..] = &self.rows;
        hashes
    }

    /// The root, if the tile is full.
    pub(super) fn root(&self) -> Option<Hash> {
        let [.., root] = &self.rows;
        root.first().copied()
    }

    /// The node over `2^level` of its hashes, of which the first is `first`.
    pub(super) fn node(&self, level: u8, first: usize) -> Option<Hash> {
        self.rows.get(usize::from(level))?.get(first >> level).copied()
    }
}
