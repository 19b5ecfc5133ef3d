//! The Merkle tree of RFC 6962, section 2, with SHA-256.
//!
//! A [`Frontier`] grows a tree and knows its root; proofs are built over stored nodes ([`Nodes`]) and checked by total
//! functions that do work in proportion to the logarithm of the size, whatever they are given.

mod proof;

pub use proof::{consistency, inclusion, root, root_from_path, verify_consistency, verify_inclusion};

use std::collections::HashMap;

use ring::digest::{SHA256, digest};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Longest proof that any tree of less than 2^64 leaves can need: more hashes are refused unread.
pub const PROOF_HASHES_MAX: usize = 65;

/// Hash of the tree without leaves: `SHA-256("")`.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// Hash of a leaf: `SHA-256(0x00 ‖ input)`.
#[must_use]
pub fn leaf_hash(input: &[u8]) -> Hash {
    // Every leaf of a ledger is 32 bytes long: those are hashed in one call from the stack.
    if let Ok(input) = <&Hash>::try_from(input) {
        let mut block = [0u8; 33];
        if let Some((_, rest)) = block.split_first_mut() {
            rest.copy_from_slice(input);
        }
        return sha256(&block);
    }
    let mut context = ring::digest::Context::new(&SHA256);
    context.update(&[0]);
    context.update(input);
    to_hash(context.finish())
}

/// Hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [1u8; 65];
    let (_, children) = block.split_at_mut(1);
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&block)
}

/// The root over leaf hashes that all lie in memory.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// Stored nodes of a tree.
pub trait Nodes {
    /// Hash of the complete subtree of `2^level` leaves that starts at leaf `index * 2^level`; `None` where it is not
    /// complete or not stored.
    fn node(&self, level: u8, index: u64) -> Option<Hash>;
}

/// The right edge of a growing tree: the roots of its complete subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::with_capacity(64),
        }
    }

    /// The tree of `size` leaves over stored nodes; `None` where a node lacks.
    #[must_use]
    pub fn load(nodes: &impl Nodes, size: u64) -> Option<Self> {
        let mut peaks = Vec::with_capacity(64);
        let mut start = 0u64;
        for level in (0..64u8).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(nodes.node(level, start >> level)?);
            start += 1u64 << level;
        }
        Some(Self { size, peaks })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _, _| {});
    }

    /// Adds a leaf by its leaf hash and reports every subtree that it completes, the leaf itself (level 0) included.
    pub fn push_with(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, &Hash)) {
        let index = self.size;
        let mut hash = leaf;
        completed(0, index, &hash);
        // One subtree is completed for every trailing one bit of the index.
        for level in 1..=u8::try_from(index.trailing_ones()).unwrap_or(63) {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            completed(level, index >> level, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root of the tree as it stands.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.peaks).unwrap_or_else(empty_root)
    }
}

/// Root over the complete subtrees of a range, largest first.
fn fold(peaks: &[Hash]) -> Option<Hash> {
    peaks
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(&left, &right))
}

/// A tree whose nodes are all kept in memory.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) frontier: Frontier,
    nodes: HashMap<(u8, u64), Hash>,
}

impl Kept {
    /// The tree over these leaf inputs.
    pub(crate) fn of(inputs: &[Hash]) -> Self {
        let mut kept = Self::default();
        inputs.iter().for_each(|input| kept.push(leaf_hash(input)));
        kept
    }

    /// Adds a leaf hash.
    pub(crate) fn push(&mut self, leaf: Hash) {
        let nodes = &mut self.nodes;
        self.frontier.push_with(leaf, |level, index, hash| {
            nodes.insert((level, index), *hash);
        });
    }
}

impl Nodes for Kept {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.nodes.get(&(level, index)).copied()
    }
}

fn sha256(bytes: &[u8]) -> Hash {
    to_hash(digest(&SHA256, bytes))
}

fn to_hash(digest: ring::digest::Digest) -> Hash {
    digest.as_ref().try_into().expect("SHA-256 yields 32 bytes")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) use super::Kept;

    /// RFC 6962 section 2.1, written as it stands there.
    fn by_the_book(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&by_the_book(&leaves[..split]), &by_the_book(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_book_and_with_stored_nodes() {
        let mut kept = Kept::default();
        let mut leaves = Vec::new();
        for i in 0..130u64 {
            assert_eq!(kept.frontier.root(), by_the_book(&leaves));
            assert_eq!(Frontier::load(&kept, i), Some(kept.frontier.clone()));
            let leaf = leaf_hash(&i.to_be_bytes());
            leaves.push(leaf);
            kept.push(leaf);
        }
        assert_eq!(root_of(&leaves), kept.frontier.root());
    }

    #[test]
    fn known_roots() {
        assert_eq!(empty_root()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        // The first test leaf of RFC 6962 implementations: one empty leaf.
        assert_eq!(leaf_hash(&[])[..4], [0x6e, 0x34, 0x0b, 0x9c]);
    }

    #[test]
    fn both_ways_to_hash_a_leaf_agree() {
        let input = [7u8; 32];
        let mut block = vec![0u8];
        block.extend_from_slice(&input);
        assert_eq!(leaf_hash(&input), sha256(&block));
    }
}
