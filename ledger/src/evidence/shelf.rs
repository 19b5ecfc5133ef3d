//! What files about one exchange and sets have in common while they are made: the lists, each thing once and in its place.

use super::{
    Piece,
    rows::{Wanted, listed_in},
};
use crate::{
    anchor::Anchor,
    note::SignedNote,
    policy::Policy,
    snapshot::Header,
    stamp::Renewal,
    statement::{Part, Tag},
};
use bytes::Bytes;
use jisr_proto::{
    evidence::{EvidencePart, EvidenceSnapshot, EvidenceStatement, Stamp, StampRenewal},
    ident::{Instance, Origin},
    snapshot::ShownRows,
};
use std::collections::{BTreeMap, HashMap};

/// The lists of a file.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) instance: Instance,
    pub(super) created_us: u64,
    registry: BTreeMap<u64, Piece>,
    pub(super) certificates: Vec<Bytes>,
    snapshots: BTreeMap<u64, EvidenceSnapshot>,
    /// By root.
    rows: BTreeMap<Bytes, ShownRows>,
    /// Tokens with their renewals, by the text of the checkpoint.
    stamps: BTreeMap<String, BTreeMap<Bytes, Vec<Renewal>>>,
}

impl Shelf {
    pub(super) fn new(instance: &Instance, created_us: u64) -> Self {
        Self {
            instance: instance.clone(),
            created_us,
            registry: BTreeMap::new(),
            certificates: Vec::new(),
            snapshots: BTreeMap::new(),
            rows: BTreeMap::new(),
            stamps: BTreeMap::new(),
        }
    }

    pub(super) fn registry_entry(&mut self, piece: Piece) {
        self.registry.entry(piece.index).or_insert(piece);
    }

    pub(super) fn certificate(&mut self, der: Bytes) {
        if !self.certificates.contains(&der) {
            self.certificates.push(der);
        }
    }

    pub(super) fn snapshot(&mut self, header: Bytes, note: Bytes, rows: ShownRows) {
        // What does not parse keeps its place at the front, and the verifier refuses it.
        let version = Header::parse(&header).map_or(0, |header| header.version);
        self.snapshots
            .entry(version)
            .or_insert(EvidenceSnapshot { header, note });
        self.rows.entry(rows.root.clone()).or_insert(rows);
    }

    /// What of the snapshots' rows a file with these statements rests on.
    pub(super) fn wanted<'p>(&'p self, statements: impl Iterator<Item = &'p Piece>, laid: &Laid) -> Wanted {
        let mut wanted = Wanted::default();
        statements.for_each(|piece| wanted.statement(piece.origin.as_str(), piece.statement.core()));
        self.registry
            .values()
            .filter_map(|piece| piece.statement.act())
            .for_each(|act| wanted.act(act));
        laid.checkpoints.iter().for_each(|note| wanted.checkpoint(note));
        wanted
    }

    /// The snapshots by version, and by root what is wanted of their rows.
    pub(super) fn snapshots(&mut self, wanted: &Wanted) -> (Vec<EvidenceSnapshot>, Vec<ShownRows>) {
        let rows = std::mem::take(&mut self.rows).into_values();
        let snapshots = std::mem::take(&mut self.snapshots).into_values();
        (snapshots.collect(), rows.map(|rows| wanted.of(rows)).collect())
    }

    pub(super) fn stamp(&mut self, note: &[u8], token: Bytes, renewals: Vec<Renewal>) {
        if let Ok(note) = SignedNote::parse(note) {
            let tokens = self.stamps.entry(note.text.to_owned()).or_default();
            tokens.insert(token, renewals);
        }
    }

    /// The tokens on these checkpoints, which statements use.
    pub(super) fn stamps(&self, checkpoints: &[Bytes]) -> Vec<Stamp> {
        let texts = checkpoints
            .iter()
            .map(|note| SignedNote::parse(note).map_or("", |note| note.text));
        let stamps = (0..).zip(texts).flat_map(|(checkpoint, text)| {
            let tokens = self.stamps.get(text).into_iter().flatten();
            tokens.map(move |(token, renewals)| Stamp {
                checkpoint,
                token: token.clone(),
                renewals: renewals.iter().map(renewal).collect(),
            })
        });
        stamps.collect()
    }

    /// Whose cosignatures count under `anchor` and the snapshots here.
    pub(super) fn policy(&self, anchor: &Anchor) -> Policy {
        let mut policy = Policy::new(anchor);
        self.rows.values().for_each(|rows| policy.learn(&listed_in(rows)));
        policy
    }

    /// The registry's entries, laid out after the statements.
    pub(super) fn registry_entries(&self, laid: &mut Laid) -> Vec<EvidenceStatement> {
        self.registry.values().map(|piece| laid.statement(piece, &[])).collect()
    }
}

fn renewal(renewal: &Renewal) -> StampRenewal {
    StampRenewal {
        index: renewal.index,
        size: renewal.size,
        path: renewal.path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
        token: renewal.token.clone(),
    }
}

/// Checkpoints in the order in which statements first use them.
#[derive(Default)]
pub(super) struct Laid {
    pub(super) checkpoints: Vec<Bytes>,
    positions: HashMap<Bytes, u32>,
}

impl Laid {
    /// The statement as it stands in the file.
    pub(super) fn statement(&mut self, piece: &Piece, withheld: &[Tag]) -> EvidenceStatement {
        let next = u32::try_from(self.checkpoints.len()).unwrap_or(u32::MAX);
        let checkpoint = *self.positions.entry(piece.checkpoint.clone()).or_insert(next);
        if checkpoint == next {
            self.checkpoints.push(piece.checkpoint.clone());
        }
        EvidenceStatement {
            origin: piece.origin.to_string(),
            index: piece.index,
            parts: piece
                .statement
                .parts()
                .iter()
                .map(|part| shown(part, withheld))
                .collect(),
            path: piece.path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
            checkpoint,
        }
    }
}

/// Where a statement of an exchange stands among the others.
pub(super) fn place(piece: &Piece, consumer: Option<&Origin>) -> (bool, String, u64) {
    (Some(&piece.origin) != consumer, piece.origin.to_string(), piece.index)
}

fn shown(part: &Part, kept_back: &[Tag]) -> EvidencePart {
    match &part.opened {
        Some(opened) if part.tag == Tag::Core || !kept_back.contains(&part.tag) => EvidencePart {
            tag: u32::from(part.tag.number()),
            salt: Bytes::copy_from_slice(&opened.salt),
            content: opened.content.clone(),
            hash: Bytes::new(),
            erased: false,
        },
        _ => EvidencePart {
            erased: part.erased,
            ..withheld(&part.hash)
        },
    }
}

/// A part of which only the hash is given.
pub(super) fn withheld(hash: &[u8]) -> EvidencePart {
    EvidencePart {
        hash: Bytes::copy_from_slice(hash),
        ..EvidencePart::default()
    }
}
