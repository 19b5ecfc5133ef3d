//! What the ledger keeps of other ledgers: their certificates, checkpoints, statements and final proofs.

use super::{Fault, own::certified};
use crate::{
    anchor::{Anchor, QuorumClass},
    frame::{Form, PEER_NOTES_MAX, PeerCertificates, PeerProof, PeerStatement, StoredParts},
    note::{self, Checkpoint, SignedNote, VerifierKey},
    statement::{Parsed, Tag},
    tree::{Hash, leaf_hash, root_from_path},
};
use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_proto::{ident::Origin, statement::Citation};
use std::collections::{HashMap, VecDeque};

/// Most other ledgers whose keys one ledger may hold.
const PEERS_MAX: usize = 1 << 20;

/// Another ledger.
struct Peer {
    origin: Origin,
    key: VerifierKey,
    until_us: u64,
}

/// A checkpoint of another ledger whose signature was verified.
struct PeerNote {
    origin: std::sync::Arc<str>,
    size: u64,
    root: Hash,
    /// Which PEER_NOTE record holds it; the newest, where several do.
    at: u64,
}

/// What was read of other ledgers so far.
#[derive(Default)]
pub(super) struct Peers {
    peers: HashMap<String, Peer>,
    notes: HashMap<Hash, PeerNote>,
    /// The last PEER_NOTE records: after so many, a note is forgotten unless it was written again.
    order: VecDeque<(Hash, u64)>,
    pub(super) notes_read: u64,
    pub(super) statements: u64,
    pub(super) proofs: u64,
}

/// A statement of another ledger that stands under a checkpoint of it.
pub(super) struct Shown {
    pub(super) statement: Parsed,
    /// Which parts of it stand here erased.
    pub(super) erased: Vec<Tag>,
    index: u64,
    origin: std::sync::Arc<str>,
    tree: (u64, Hash),
}

impl Shown {
    /// Checks that it is what the own statement before it cites.
    pub(super) fn must_be(&self, cited: Option<&Citation>) -> Result<(), Fault> {
        let cited = cited.ok_or_else(|| wrong("a PEER_STATEMENT follows a statement that cites nothing"))?;
        let (size, root) = self.tree;
        let is_cited = *cited.origin == *self.origin
            && cited.index == self.index
            && cited.leaf.as_ref() == self.statement.leaf()
            && cited.tree_size == size
            && cited.root.as_ref() == root;
        if is_cited {
            return Ok(());
        }
        Err(wrong(format!(
            "the statement stored from {} is not the one that is cited",
            self.origin
        )))
    }

    /// Whether it stands in a ledger of the member whose subsystem asked.
    pub(super) fn is_of_consumer(&self) -> bool {
        let member = self.origin.parse::<Origin>().ok().and_then(|origin| origin.member());
        let consumer = &self.statement.core().consumer;
        member.is_some_and(|member| {
            consumer
                .strip_prefix(member.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

fn wrong(text: impl Into<String>) -> Fault {
    Fault::new("peers", text)
}

impl Peers {
    /// Takes a PEER_CERTIFICATES; `at_us` is the newest time in the ledger so far.
    pub(super) fn certificates(&mut self, data: &[u8], anchor: &Anchor, at_us: u64) -> Result<(), Fault> {
        let read = PeerCertificates::parse(data).map_err(|error| wrong(error.to_string()))?;
        let certificate = certified(&read.certificates, anchor, at_us)
            .map_err(|error| wrong(format!("certificates of {}: {error}", read.origin)))?;
        if certificate.origin.as_str() != read.origin {
            return Err(wrong(format!(
                "the certificates of {} name {}",
                read.origin, certificate.origin
            )));
        }
        let key = VerifierKey::new_seal(read.origin, *certificate.key.as_bytes());
        let key = key.map_err(|error| wrong(error.to_string()))?;
        let peer = Peer {
            origin: certificate.origin.clone(),
            key,
            until_us: certificate.not_after_us,
        };
        match self.peers.get(read.origin) {
            Some(known) if known.key != peer.key => {
                return Err(wrong(format!("two keys are given for the one origin {}", read.origin)));
            }
            None if self.peers.len() == PEERS_MAX => return Err(wrong("it keeps the keys of too many ledgers")),
            _ => {}
        }
        self.peers.insert(read.origin.to_owned(), peer);
        Ok(())
    }

    /// Takes a PEER_NOTE.
    pub(super) fn note(&mut self, note: &[u8], anchor: &Anchor, at_us: u64) -> Result<(), Fault> {
        let bad = |error: note::NoteError| wrong(format!("a checkpoint of another ledger: {error}"));
        let origin = SignedNote::parse(note)
            .and_then(|note| Checkpoint::parse(note.text))
            .map_err(bad)?
            .origin;
        let (ledger, key, until_us) = match self.peers.get(&origin) {
            Some(peer) => (&peer.origin, &peer.key, peer.until_us),
            None if origin == anchor.registry_origin.as_str() => {
                (&anchor.registry_origin, &anchor.registry_key, u64::MAX)
            }
            None => return Err(wrong(format!("a checkpoint of {origin} comes before its certificates"))),
        };
        if at_us > until_us {
            return Err(wrong(format!(
                "a checkpoint of {origin} came after its seal certificate had ended"
            )));
        }
        let checkpoint = note::open(note, key).map_err(bad)?;
        anchor.cosigned(note, ledger, QuorumClass::Routine).map_err(bad)?;
        if self.order.len() == PEER_NOTES_MAX
            && let Some((oldest, at)) = self.order.pop_front()
            && self.notes.get(&oldest).is_some_and(|note| note.at == at)
        {
            self.notes.remove(&oldest);
        }
        let (hash, at) = (sha256(&[note]), self.notes_read);
        let kept = PeerNote {
            origin: origin.as_str().into(),
            size: checkpoint.size,
            root: checkpoint.root,
            at,
        };
        self.notes.insert(hash, kept);
        self.order.push_back((hash, at));
        self.notes_read += 1;
        Ok(())
    }

    /// Takes the statement of another ledger in a PEER_STATEMENT or RECEIPT: under its path in the tree of its note.
    pub(super) fn statement(&self, data: &Bytes) -> Result<Shown, Fault> {
        let read = PeerStatement::parse(data).map_err(|error| wrong(error.to_string()))?;
        let stored = StoredParts::new(read.statement).map_err(|error| wrong(error.to_string()))?;
        let (mut parts, mut erased) = (Vec::with_capacity(stored.left()), Vec::new());
        for part in stored {
            let part = part.map_err(|error| wrong(error.to_string()))?;
            if matches!(part.form, Form::Erased { .. }) {
                erased.push(part.tag);
            }
            parts.push(part.part(data));
        }
        let statement =
            Parsed::from_parts(parts).map_err(|error| wrong(format!("the statement of another ledger: {error}")))?;
        let note = self
            .notes
            .get(&read.note)
            .ok_or_else(|| wrong("the checkpoint of a statement of another ledger is not there"))?;
        let leaf = leaf_hash(&statement.leaf());
        if read.tree_size != note.size || root_from_path(read.index, note.size, &leaf, read.path) != Some(note.root) {
            return Err(wrong(format!(
                "entry {} of {} is not shown by its path",
                read.index, note.origin
            )));
        }
        Ok(Shown {
            statement,
            erased,
            index: read.index,
            origin: std::sync::Arc::clone(&note.origin),
            tree: (note.size, note.root),
        })
    }

    /// Takes a PEER_PROOF.
    pub(super) fn proof(&mut self, data: &[u8]) -> Result<(), Fault> {
        let read = PeerProof::parse(data).map_err(|error| wrong(error.to_string()))?;
        let note = self
            .notes
            .get(&read.note)
            .ok_or_else(|| wrong("the checkpoint of a PEER_PROOF is not there"))?;
        if root_from_path(read.index, note.size, &leaf_hash(&read.leaf), read.path) != Some(note.root) {
            return Err(wrong(format!(
                "the final proof of entry {} of {} does not hold",
                read.index, note.origin
            )));
        }
        self.proofs += 1;
        Ok(())
    }
}
