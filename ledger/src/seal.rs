//! Seals: what makes a statement somebody's word.
//!
//! A statement is sealed by standing in its sender's ledger: at an index, under an inclusion path that leads to the root of
//! a signed checkpoint. docs/formats.md, Seal and citation.

use crate::{
    note::{self, Checkpoint, NoteError, VerifierKey},
    statement::{Parsed, StatementError},
    tree::{Hash, PROOF_HASHES_MAX, leaf_hash, root_from_path},
    verified::Verified,
};
use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_proto::statement::{self as wire, Citation};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Notes that were verified and are remembered, for each of two generations.
const NOTES_REMEMBERED: usize = 4096;

/// Why a seal was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A part of the message lacks.
    #[error("the sender left out the statement or its seal; a statement counts only with its seal")]
    Missing,
    /// The checkpoint does not open.
    #[error("the seal's checkpoint does not hold: {0}")]
    Note(#[from] NoteError),
    /// The statement is out of form.
    #[error("{0}")]
    Statement(#[from] StatementError),
    /// The path does not lead from the leaf to the root.
    #[error("the statement does not stand in the tree that its seal names: altered, or never in that ledger")]
    NotInTree,
}

/// A statement, where it stands, and how that was shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// The statement.
    pub statement: Parsed,
    /// Origin of the ledger it stands in.
    pub origin: Arc<str>,
    /// Its index there.
    pub index: u64,
    /// Size of the tree under whose root it was shown.
    pub tree_size: u64,
    /// That root.
    pub root: Hash,
    /// SHA-256 of the checkpoint's note.
    pub note_hash: Hash,
    /// Inclusion path, from the leaf upwards.
    pub path: Vec<Hash>,
    wire: wire::Sealed,
}

impl Sealed {
    /// As it came.
    #[must_use]
    pub fn wire(&self) -> &wire::Sealed {
        &self.wire
    }

    /// The checkpoint's note, as it came.
    #[must_use]
    pub fn note(&self) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.wire.seal.as_ref().map_or(&NONE, |seal| &seal.checkpoint)
    }

    /// How an own statement cites it.
    #[must_use]
    pub fn citation(&self) -> Citation {
        Citation {
            origin: self.origin.to_string(),
            index: self.index,
            leaf: Bytes::copy_from_slice(&self.statement.leaf()),
            tree_size: self.tree_size,
            root: Bytes::copy_from_slice(&self.root),
        }
    }
}

/// A checkpoint whose signature was verified before.
#[derive(Clone)]
struct Known {
    origin: Arc<str>,
    size: u64,
    root: Hash,
}

/// Two generations: what is not used while one fills is forgotten with the next.
#[derive(Default)]
struct Generations {
    young: HashMap<(Hash, [u8; 32]), Known>,
    old: HashMap<(Hash, [u8; 32]), Known>,
}

/// Verifies seals and remembers verified checkpoints, since all statements of one commit come under the same one.
#[derive(Default)]
pub struct SealVerifier {
    notes: Mutex<Generations>,
}

impl std::fmt::Debug for SealVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealVerifier")
    }
}

impl SealVerifier {
    /// A verifier that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks a sealed statement against the seal key of the origin from which it must come.
    ///
    /// # Errors
    /// The statement or its seal lacks, is out of form, or does not hold under that key.
    pub fn verify(&self, sealed: &wire::Sealed, key: &VerifierKey) -> Result<Verified<Sealed>, SealError> {
        let (Some(statement), Some(seal)) = (&sealed.statement, &sealed.seal) else {
            return Err(SealError::Missing);
        };
        if seal.path.len() > PROOF_HASHES_MAX {
            return Err(SealError::NotInTree);
        }
        // The signature first: what nobody signed is not worth parsing.
        let (note_hash, known) = self.checkpoint(&seal.checkpoint, key)?;
        let path = path(&seal.path)?;
        let statement = Parsed::parse(statement)?;
        let leaf = leaf_hash(&statement.leaf());
        if root_from_path(seal.index, known.size, &leaf, &path) != Some(known.root) {
            return Err(SealError::NotInTree);
        }
        Ok(Verified::new(Sealed {
            statement,
            origin: known.origin,
            index: seal.index,
            tree_size: known.size,
            root: known.root,
            note_hash,
            path,
            wire: sealed.clone(),
        }))
    }

    fn checkpoint(&self, note: &Bytes, key: &VerifierKey) -> Result<(Hash, Known), NoteError> {
        if note.len() > note::NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is longer than 64 KiB"));
        }
        let hash = sha256(&[note]);
        // The name is part of what was verified: one raw key could be listed under two origins.
        let id = (hash, sha256(&[key.name().as_bytes(), b"\n", &key.raw()]));
        if let Some(known) = self.remembered(&id) {
            return Ok((hash, known));
        }
        let Checkpoint { origin, size, root } = note::open(note, key)?.into_inner();
        let known = Known {
            origin: origin.into(),
            size,
            root,
        };
        self.remember(id, known.clone());
        Ok((hash, known))
    }

    fn remembered(&self, id: &(Hash, [u8; 32])) -> Option<Known> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = notes.young.get(id) {
            return Some(known.clone());
        }
        let known = notes.old.remove(id)?;
        insert(&mut notes, *id, known.clone());
        Some(known)
    }

    fn remember(&self, id: (Hash, [u8; 32]), known: Known) {
        insert(
            &mut self.notes.lock().unwrap_or_else(PoisonError::into_inner),
            id,
            known,
        );
    }
}

fn insert(notes: &mut Generations, id: (Hash, [u8; 32]), known: Known) {
    if notes.young.len() >= NOTES_REMEMBERED {
        notes.old = std::mem::take(&mut notes.young);
    }
    notes.young.insert(id, known);
}

/// The hashes of a proof as they stand on the wire.
///
/// # Errors
/// There are too many, or one is not 32 bytes long.
pub fn path(hashes: &[Bytes]) -> Result<Vec<Hash>, SealError> {
    if hashes.len() > PROOF_HASHES_MAX {
        return Err(SealError::NotInTree);
    }
    hashes
        .iter()
        .map(|hash| hash.as_ref().try_into().map_err(|_| SealError::NotInTree))
        .collect()
}
