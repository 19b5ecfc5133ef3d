//! A ledger in memory: enough to seal, cosign and prove.

use super::{ORIGINS, WITNESSES, origin, pair, seed_of, witness_seed};
use bytes::Bytes;
use jisr_ledger::{
    Hash,
    evidence::Piece,
    note::{Checkpoint, SignedNote, VerifierKey, assemble, cosigned_message, signature_line},
    statement::Closed,
    tree::{Frontier, Nodes, inclusion, leaf_hash, root},
};
use jisr_proto::statement::{Seal, Sealed};
use std::collections::HashMap;

/// A ledger in memory.
#[derive(Clone)]
pub(crate) struct Log {
    which: usize,
    pub(crate) statements: Vec<Closed>,
    frontier: Frontier,
    nodes: Kept,
}

#[derive(Clone, Default)]
struct Kept(HashMap<(u8, u64), Hash>);

impl Nodes for Kept {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.get(&(level, index)).copied()
    }
}

impl Log {
    /// The empty ledger of the registry (0), MoL (1) or PSD (2).
    pub(crate) fn new(which: usize) -> Self {
        Self {
            which,
            statements: Vec::new(),
            frontier: Frontier::new(),
            nodes: Kept::default(),
        }
    }

    /// Appends a statement; says its index.
    pub(crate) fn append(&mut self, closed: Closed) -> u64 {
        let nodes = &mut self.nodes.0;
        self.frontier
            .push_with(leaf_hash(&closed.leaf()), |level, index, hash| {
                nodes.insert((level, index), *hash);
            });
        self.statements.push(closed);
        self.frontier.size() - 1
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        root(&self.nodes, size).expect("all nodes are kept")
    }

    pub(crate) fn path(&self, index: u64, size: u64) -> Vec<Hash> {
        inclusion(&self.nodes, index, size).expect("all nodes are kept")
    }

    /// The seal key.
    pub(crate) fn key(&self) -> VerifierKey {
        super::seal_key(self.which)
    }

    /// The checkpoint of a size, cosigned by these witnesses.
    pub(crate) fn note(&self, size: u64, witnesses: &[usize]) -> Bytes {
        let text = Checkpoint {
            origin: ORIGINS[self.which].into(),
            size,
            root: self.root(size),
        }
        .text();
        let line = signature_line(&self.key(), pair(&seed_of(self.which)).sign(text.as_bytes()).as_ref());
        let mut lines = vec![line];
        lines.extend(witnesses.iter().map(|which| cosignature(&text, *which)));
        assemble(&text, lines.iter().map(String::as_str)).into()
    }

    /// A statement with its seal.
    pub(crate) fn sealed(&self, index: u64, size: u64) -> Sealed {
        let at = usize::try_from(index).expect("small");
        Sealed {
            statement: Some(self.statements[at].statement()),
            seal: Some(Seal {
                index,
                path: self
                    .path(index, size)
                    .iter()
                    .map(|hash| Bytes::copy_from_slice(hash))
                    .collect(),
                checkpoint: self.note(size, &[]),
            }),
        }
    }

    /// A statement as evidence shows it.
    pub(crate) fn piece(&self, index: u64, note: &Bytes) -> Piece {
        let text = SignedNote::parse(note).expect("a note").text;
        let size = Checkpoint::parse(text).expect("a checkpoint").size;
        Piece {
            origin: origin(self.which),
            index,
            statement: self.statements[usize::try_from(index).expect("small")]
                .parsed()
                .expect("well formed"),
            path: self.path(index, size),
            checkpoint: note.clone(),
        }
    }
}

/// A witness's line, dated an hour after the exchange.
pub(crate) fn cosignature(text: &str, which: usize) -> String {
    let time_s = super::ASKED_US / 1_000_000 + 3600;
    let pair = pair(&witness_seed(which));
    let mut signature = time_s.to_be_bytes().to_vec();
    signature.extend_from_slice(pair.sign(cosigned_message(text, time_s).as_bytes()).as_ref());
    let key = VerifierKey::new_witness(WITNESSES[which], super::public(&pair)).expect("a good key");
    signature_line(&key, &signature)
}
