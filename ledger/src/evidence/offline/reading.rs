//! The passes over a ledger directory that find statements, then notes and nodes of the tree.

use super::{OfflineError, stamps::Stamps};
use crate::{
    Hash,
    archive::{Archive, Item, Role, Shown},
    note::{Checkpoint, SignedNote},
    statement::{Act, Parsed},
    tree::{Frontier, leaf_hash},
};
use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_proto::ident::{ExchangeId, Origin};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// Own checkpoints that are remembered: the newest with cosignatures, and the newest of all.
const CHECKPOINTS_REMEMBERED: usize = 256;

/// An own statement.
pub(super) struct Own {
    pub(super) role: Role,
    pub(super) index: u64,
    pub(super) statement: Parsed,
}

/// A statement of the other side as it is kept here.
pub(super) struct Theirs {
    /// The side of the own statement with which it is kept.
    pub(super) role: Role,
    pub(super) origin: Origin,
    pub(super) index: u64,
    pub(super) statement: Parsed,
    /// SHA-256 of the note with which it came.
    pub(super) note: Hash,
    pub(super) path: Vec<Hash>,
    /// SHA-256 of the cosigned note, and the path under it.
    pub(super) proof: Option<(Hash, Vec<Hash>)>,
}

/// What the first pass finds.
pub(super) struct Read {
    pub(super) origin: Origin,
    pub(super) certificates: Vec<Bytes>,
    pub(super) own: BTreeMap<ExchangeId, Vec<Own>>,
    pub(super) theirs: BTreeMap<ExchangeId, Vec<Theirs>>,
    /// Own checkpoints with their sizes, oldest first.
    pub(super) checkpoints: VecDeque<(u64, Bytes)>,
    /// Time-stamps on own checkpoints.
    pub(super) stamps: Stamps,
}

impl Read {
    /// Reads the statements of these exchanges.
    pub(super) fn statements(archive: &Archive, chosen: &BTreeSet<ExchangeId>) -> Result<Self, OfflineError> {
        let mut read: Option<Self> = None;
        let mut last: Option<(ExchangeId, Role, Parsed)> = None;
        // Position of each of the other side's statements by its leaf, so that the proof paid for it finds it.
        let mut leaves: HashMap<Hash, (ExchangeId, usize)> = HashMap::new();
        for item in archive.items() {
            let item = item?.1;
            let Some(found) = &mut read else {
                read = Some(Self::begin(&item)?);
                continue;
            };
            match item {
                Item::Statement { index, entry } => {
                    let statement = entry.statement;
                    let id = ExchangeId::try_from(statement.core().exchange_id.as_ref()).ok();
                    let role = Role::of(&statement, &found.origin);
                    last = id
                        .filter(|id| chosen.contains(id))
                        .map(|id| (id, role, statement.clone()));
                    if let Some((id, ..)) = &last {
                        found.stamps.cover(index);
                        let own = found.own.entry(*id).or_default();
                        own.push(Own { role, index, statement });
                    }
                }
                Item::PeerStatement(shown) => {
                    let cited = last.as_ref().and_then(|(id, role, own)| {
                        let origin: Origin = own.citation()?.origin.parse().ok()?;
                        Some((*id, *role, origin))
                    });
                    if let Some((id, role, origin)) = cited {
                        found.add((id, role), origin, *shown, &mut leaves);
                    }
                }
                Item::Receipt(shown) => {
                    let core = shown.entry.statement.core();
                    let id = ExchangeId::try_from(core.exchange_id.as_ref()).ok();
                    let consumer = id.and_then(|id| Some((id, found.consumer(&id)?)));
                    if let Some((id, origin)) = consumer {
                        found.add((id, Role::Provider), origin, *shown, &mut leaves);
                    }
                }
                Item::PeerProof { leaf, note, path, .. } => {
                    if let Some((id, at)) = leaves.get(&leaf)
                        && let Some(theirs) = found.theirs.get_mut(id).and_then(|all| all.get_mut(*at))
                    {
                        theirs.proof = Some((note, path));
                    }
                }
                Item::Checkpoint(note) => found.checkpoint(note),
                Item::Stamp { note, token } => found.stamps.stamp(note, token),
                Item::StampRenewal { size, token } => found.stamps.renewal(size, token),
                Item::PeerNote(_) | Item::PeerCertificates { .. } | Item::Payload(_) => {}
            }
        }
        read.ok_or(OfflineError::NotStarted)
    }

    fn begin(first: &Item) -> Result<Self, OfflineError> {
        let Item::Statement { entry, .. } = first else {
            return Err(OfflineError::NotStarted);
        };
        let Some(Act::Started(started)) = entry.statement.act() else {
            return Err(OfflineError::NotStarted);
        };
        Ok(Self {
            origin: started.origin.parse().map_err(|_| OfflineError::NotStarted)?,
            certificates: started.certificates.clone(),
            own: BTreeMap::new(),
            theirs: BTreeMap::new(),
            checkpoints: VecDeque::new(),
            stamps: Stamps::default(),
        })
    }

    /// The consumer's ledger, as the question that is kept here came from it.
    fn consumer(&self, id: &ExchangeId) -> Option<Origin> {
        let mut questions = self.theirs.get(id)?.iter();
        Some(questions.find(|kept| kept.role == Role::Provider)?.origin.clone())
    }

    /// Keeps of each exchange the statements of one side: the one named, else the consumer's where there are both. Returns the ids of
    /// which there are both and none is named. What is not of the side named is dropped.
    pub(super) fn one_side(&mut self, role: Option<Role>) -> Vec<ExchangeId> {
        let mut twofold = Vec::new();
        for (id, own) in &mut self.own {
            let stands = |role| own.iter().any(|one: &Own| one.role == role);
            let keep = match role {
                Some(role) => role,
                None if !stands(Role::Provider) => continue,
                None if !stands(Role::Consumer) => continue,
                None => {
                    twofold.push(*id);
                    Role::Consumer
                }
            };
            own.retain(|one| one.role == keep);
            if let Some(theirs) = self.theirs.get_mut(id) {
                theirs.retain(|one| one.role == keep);
            }
        }
        self.own.retain(|_, own| !own.is_empty());
        let known = &self.own;
        self.theirs.retain(|id, _| known.contains_key(id));
        twofold
    }

    fn add(
        &mut self,
        (id, role): (ExchangeId, Role),
        origin: Origin,
        shown: Shown,
        leaves: &mut HashMap<Hash, (ExchangeId, usize)>,
    ) {
        let all = self.theirs.entry(id).or_default();
        let statement = shown.entry.statement;
        if all.iter().any(|known| known.statement.leaf() == statement.leaf()) {
            return;
        }
        leaves.insert(statement.leaf(), (id, all.len()));
        all.push(Theirs {
            role,
            origin,
            index: shown.index,
            statement,
            note: shown.note,
            path: shown.path,
            proof: None,
        });
    }

    /// Remembers an own checkpoint. One without cosignatures makes room for the next.
    fn checkpoint(&mut self, note: Bytes) {
        let lines = |note: &Bytes| SignedNote::parse(note).map_or(0, |note| note.signatures.len());
        let parsed = SignedNote::parse(&note).and_then(|note| Checkpoint::parse(note.text));
        let Ok(checkpoint) = parsed else { return };
        if self.checkpoints.back().is_some_and(|(_, newest)| lines(newest) < 2) {
            self.checkpoints.pop_back();
        }
        if self.checkpoints.len() == CHECKPOINTS_REMEMBERED {
            self.checkpoints.pop_front();
        }
        self.checkpoints.push_back((checkpoint.size, note));
    }
}

/// What the second pass keeps.
pub(super) struct Kept {
    pub(super) nodes: HashMap<(u8, u64), Hash>,
    pub(super) notes: HashMap<Hash, Bytes>,
}

/// Keeps those nodes of the tree of `size`, and the notes under which the other side's statements stand.
pub(super) fn nodes_and_notes(
    archive: &Archive,
    read: &Read,
    wanted: HashSet<(u8, u64)>,
    size: u64,
) -> Result<Kept, OfflineError> {
    let theirs = read.theirs.values().flatten();
    let notes: HashSet<Hash> = theirs
        .flat_map(|one| std::iter::once(one.note).chain(one.proof.as_ref().map(|(note, _)| *note)))
        .collect();
    let mut kept = Kept {
        nodes: HashMap::new(),
        notes: HashMap::new(),
    };
    let mut tree = Frontier::new();
    for item in archive.items() {
        match item?.1 {
            Item::Statement { entry, .. } if tree.size() < size => {
                tree.push_with(leaf_hash(&entry.statement.leaf()), |level, index, hash| {
                    if wanted.contains(&(level, index)) {
                        kept.nodes.insert((level, index), *hash);
                    }
                });
            }
            Item::PeerNote(note) => {
                let hash = sha256(&[&note]);
                if notes.contains(&hash) {
                    kept.notes.insert(hash, note);
                }
            }
            _ => {}
        }
    }
    Ok(kept)
}
