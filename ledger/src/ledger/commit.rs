//! A commit: the statements that became durable together, under one root and one signature.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::statement::{Citation, Seal, Sealed};

use crate::Hash;
use crate::statement::Closed;
use crate::tree::{self, Frontier, Nodes};

/// The last complete subtree of each level: what a path needs of the tree before the commit.
pub(crate) type Edge = Vec<Option<(u64, Hash)>>;

/// A checkpoint of this ledger as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// Origin of the ledger.
    pub origin: Arc<str>,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// C2SP signed note with the seal key's signature.
    pub note: Bytes,
}

/// A commit as its waiters share it.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Size of the tree before it.
    before: u64,
    /// What seals it.
    checkpoint: Arc<SignedCheckpoint>,
    edge: Edge,
    /// Subtrees that the commit completed, by level, each with the index of its first.
    completed: Vec<(u64, Vec<Hash>)>,
}

impl Nodes for Commit {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        if let Some((first, nodes)) = self.completed.get(usize::from(level))
            && let Some(at) = index.checked_sub(*first)
        {
            return nodes.get(usize::try_from(at).ok()?).copied();
        }
        match self.edge.get(usize::from(level)) {
            Some(Some((at, hash))) if *at == index => Some(*hash),
            _ => None,
        }
    }
}

impl Commit {
    /// Size of the tree before it.
    pub(crate) fn before(&self) -> u64 {
        self.before
    }

    /// The checkpoint that seals it.
    pub(crate) fn checkpoint(&self) -> &Arc<SignedCheckpoint> {
        &self.checkpoint
    }

    /// Leaf hashes it added, in order.
    pub(crate) fn leaves(&self) -> &[Hash] {
        self.completed
            .first()
            .map(|(_, leaves)| leaves.as_slice())
            .unwrap_or_default()
    }
}

/// The tree as the writer grows it.
#[derive(Debug)]
pub(crate) struct Grower {
    frontier: Frontier,
    edge: Edge,
}

/// A grown tree whose checkpoint is not signed yet.
pub(crate) struct Grown {
    before: u64,
    frontier: Frontier,
    edge: Edge,
    root: Hash,
    completed: Vec<(u64, Vec<Hash>)>,
}

impl Grown {
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.root
    }
}

impl Grower {
    /// An empty tree.
    pub(crate) fn new() -> Self {
        Self {
            frontier: Frontier::new(),
            edge: vec![None; 64],
        }
    }

    /// The tree of `size` leaves over stored nodes; `None` where a node lacks.
    pub(crate) fn resume(nodes: &impl Nodes, size: u64) -> Option<Self> {
        let last = |level: u8| match size >> level {
            0 => Some(None),
            complete => nodes.node(level, complete - 1).map(|hash| Some((complete - 1, hash))),
        };
        Some(Self {
            frontier: Frontier::load(nodes, size)?,
            edge: (0..64).map(last).collect::<Option<_>>()?,
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Adds a leaf that is on disk already.
    pub(crate) fn recover(&mut self, leaf: Hash) {
        let edge = &mut self.edge;
        self.frontier
            .push_with(leaf, |level, index, hash| note_edge(edge, level, index, hash));
    }

    /// What the tree would be with these leaves. The tree itself stays until [`Grower::adopt`]: a write may yet fail.
    pub(crate) fn grow(&self, leaves: impl IntoIterator<Item = Hash>) -> Grown {
        let before = self.size();
        let mut frontier = self.frontier.clone();
        let mut edge = self.edge.clone();
        let mut completed: Vec<(u64, Vec<Hash>)> = Vec::new();
        for leaf in leaves {
            frontier.push_with(leaf, |level, index, hash| {
                note_edge(&mut edge, level, index, hash);
                let level = usize::from(level);
                while completed.len() <= level {
                    completed.push((before >> completed.len(), Vec::new()));
                }
                if let Some((_, nodes)) = completed.get_mut(level) {
                    nodes.push(*hash);
                }
            });
        }
        let root = frontier.root();
        Grown {
            before,
            frontier,
            edge,
            root,
            completed,
        }
    }

    /// Makes the grown tree the tree; `checkpoint` is its signed checkpoint.
    pub(crate) fn adopt(&mut self, grown: Grown, checkpoint: Arc<SignedCheckpoint>) -> Commit {
        let edge = std::mem::replace(&mut self.edge, grown.edge);
        self.frontier = grown.frontier;
        Commit {
            before: grown.before,
            checkpoint,
            edge,
            completed: grown.completed,
        }
    }
}

fn note_edge(edge: &mut Edge, level: u8, index: u64, hash: &Hash) {
    if let Some(last) = edge.get_mut(usize::from(level)) {
        *last = Some((index, *hash));
    }
}

/// A statement that stands: durable, at its index, under a signed checkpoint.
#[derive(Clone, Debug)]
pub struct Stands {
    /// Index of the leaf.
    pub index: u64,
    pub(crate) commit: Arc<Commit>,
}

impl Stands {
    /// The checkpoint of the commit that it became durable with.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.commit.checkpoint
    }

    /// Its inclusion path under the commit's checkpoint, computed here, in the waiter.
    #[must_use]
    pub fn path(&self) -> Vec<Hash> {
        tree::inclusion(&*self.commit, self.index, self.commit.checkpoint.size)
            .expect("a commit holds every node that a path from one of its own leaves needs")
    }

    /// The seal.
    #[must_use]
    pub fn seal(&self) -> Seal {
        // One buffer for the whole path; each hash is a slice of it.
        let path = Bytes::from(self.path().concat());
        let hashes = (0..path.len() / 32)
            .map(|at| path.slice(at * 32..at * 32 + 32))
            .collect();
        Seal {
            index: self.index,
            path: hashes,
            checkpoint: self.checkpoint().note.clone(),
        }
    }

    /// The statement with its seal, as the other side gets it. `statement` must be what was appended.
    #[must_use]
    pub fn sealed(&self, statement: &Closed) -> Sealed {
        Sealed {
            statement: Some(statement.statement()),
            seal: Some(self.seal()),
        }
    }

    /// A citation of the statement. `statement` must be what was appended.
    #[must_use]
    pub fn citation(&self, statement: &Closed) -> Citation {
        Citation {
            origin: self.checkpoint().origin.to_string(),
            index: self.index,
            leaf: Bytes::copy_from_slice(&statement.leaf()),
            tree_size: self.checkpoint().size,
            root: Bytes::copy_from_slice(&self.checkpoint().root),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{leaf_hash, verify_inclusion};

    fn checkpoint(grown: &Grown) -> Arc<SignedCheckpoint> {
        Arc::new(SignedCheckpoint {
            origin: "x".into(),
            size: grown.size(),
            root: grown.root(),
            note: Bytes::new(),
        })
    }

    #[test]
    fn every_waiter_of_every_commit_builds_its_own_path() {
        let mut grower = Grower::new();
        let mut next = 0u64;
        for batch in [1u64, 2, 1, 3, 7, 8, 1, 30, 64, 5, 200, 1, 1] {
            let leaves: Vec<Hash> = (next..next + batch).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let grown = grower.grow(leaves.iter().copied());
            let checkpoint = checkpoint(&grown);
            let commit = Arc::new(grower.adopt(grown, Arc::clone(&checkpoint)));
            assert_eq!(
                (commit.before(), checkpoint.size, commit.leaves()),
                (next, next + batch, leaves.as_slice())
            );
            for (index, leaf) in (next..).zip(&leaves) {
                let stands = Stands {
                    index,
                    commit: Arc::clone(&commit),
                };
                assert!(verify_inclusion(
                    index,
                    checkpoint.size,
                    leaf,
                    &stands.path(),
                    &checkpoint.root
                ));
            }
            next += batch;
        }
    }

    #[test]
    fn a_tree_that_was_not_adopted_leaves_no_trace() {
        let mut grower = Grower::new();
        grower.recover([1; 32]);
        let before = grower.root();
        drop(grower.grow([[2; 32], [3; 32]]));
        assert_eq!((grower.size(), grower.root()), (1, before));
    }
}
