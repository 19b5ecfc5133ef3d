//! What the ledger keeps of other ledgers: their certificates, checkpoints, statements and final proofs.

use super::{
    Fault,
    item::{Note, Shown, Whose},
    own::certified,
};
use crate::{
    anchor::{Anchor, QuorumClass},
    frame::{PEER_NOTES_MAX, PeerCertificates, PeerProof},
    note::{self, VerifierKey},
    tree::{Hash, leaf_hash, root_from_path},
};
use jisr_proto::ident::Origin;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

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
    origin: Arc<str>,
    size: u64,
    root: Hash,
    /// Which PEER_NOTE record holds it; the newest, where several do.
    at: u64,
}

/// Keys of other ledgers, for notes that are verified ahead of their turn. What is verified early is compared, in its turn, with
/// the key that the ledger then has for that origin.
#[derive(Default)]
pub(super) struct Keys(RwLock<HashMap<String, (Origin, VerifierKey)>>);

impl Keys {
    fn add(&self, origin: &Origin, key: &VerifierKey) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(origin.to_string(), (origin.clone(), key.clone()));
    }

    /// The key known for `origin`, where with it the note and the cosignatures on it hold.
    pub(super) fn verified(&self, note: &[u8], origin: &str, anchor: &Anchor) -> Option<VerifierKey> {
        let known = {
            let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
            keys.get(origin).cloned()
        };
        let registry = || (anchor.registry_origin.clone(), anchor.registry_key.clone());
        let (ledger, key) = known.or_else(|| (origin == anchor.registry_origin.as_str()).then(registry))?;
        note::open(note, &key).ok()?;
        anchor.cosigned(note, &ledger, QuorumClass::Routine).ok()?;
        Some(key)
    }
}

/// What was read of other ledgers so far.
pub(super) struct Peers {
    keys: Arc<Keys>,
    peers: HashMap<String, Peer>,
    notes: HashMap<Hash, PeerNote>,
    /// The last PEER_NOTE records: after so many, a note is forgotten unless it was written again.
    order: VecDeque<(Hash, u64)>,
    pub(super) notes_read: u64,
    pub(super) statements: u64,
    pub(super) proofs: u64,
}

fn wrong(text: impl Into<String>) -> Fault {
    Fault::new("peers", text)
}

impl Peers {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self {
            keys,
            peers: HashMap::new(),
            notes: HashMap::new(),
            order: VecDeque::new(),
            notes_read: 0,
            statements: 0,
            proofs: 0,
        }
    }

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
        self.keys.add(&peer.origin, &peer.key);
        self.peers.insert(read.origin.to_owned(), peer);
        Ok(())
    }

    /// Takes a PEER_NOTE.
    pub(super) fn note(&mut self, note: &Note, anchor: &Anchor, at_us: u64) -> Result<(), Fault> {
        let bad = |error: note::NoteError| wrong(format!("a checkpoint of another ledger: {error}"));
        let (origin, checkpoint) = (&note.checkpoint.origin, &note.checkpoint);
        let (ledger, key, until_us) = match self.peers.get(origin) {
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
        if note.verified.as_ref() != Some(key) {
            note::open(&note.note, key).map_err(bad)?;
            anchor.cosigned(&note.note, ledger, QuorumClass::Routine).map_err(bad)?;
        }
        if self.order.len() == PEER_NOTES_MAX
            && let Some((oldest, at)) = self.order.pop_front()
            && self.notes.get(&oldest).is_some_and(|note| note.at == at)
        {
            self.notes.remove(&oldest);
        }
        let (hash, at) = (note.hash, self.notes_read);
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

    /// Takes the statement of another ledger in a PEER_STATEMENT or RECEIPT: the root to which its path leads is that of its note,
    /// which is of the ledger that it must be in.
    pub(super) fn shown(&self, shown: &Shown) -> Result<(), Fault> {
        let note = self
            .notes
            .get(&shown.note)
            .ok_or_else(|| wrong("the checkpoint of a statement of another ledger is not there"))?;
        if shown.tree_size != note.size || shown.root != Some(note.root) {
            return Err(wrong(format!(
                "entry {} of {} is not shown by its path",
                shown.index, note.origin
            )));
        }
        let (is_whose, what) = match &shown.whose {
            Whose::Origin(origin) => (note.origin.as_bytes() == origin, "the one that is cited"),
            Whose::Consumer(consumer) => (is_of(&note.origin, consumer), "of whoever asked"),
        };
        if is_whose {
            return Ok(());
        }
        Err(wrong(format!(
            "the statement stored from {} is not {what}",
            note.origin
        )))
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

/// Whether a ledger is of the member to which this subsystem belongs.
fn is_of(origin: &str, subsystem: &[u8]) -> bool {
    let member = origin.parse::<Origin>().ok().and_then(|origin| origin.member());
    member.is_some_and(|member| {
        subsystem
            .strip_prefix(member.as_str().as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/"))
    })
}
