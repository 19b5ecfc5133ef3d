//! Makes evidence: takes the pieces in any order, leaves the parts out that are to be withheld, and puts all in the one order.

use crate::{
    statement::{Parsed, Part, Tag},
    tree::Hash,
};
use bytes::Bytes;
use jisr_proto::{
    evidence::{Evidence, EvidencePart, EvidenceStatement},
    ident::{ExchangeId, Instance, Origin},
    snapshot::Snapshot,
    statement::Kind,
};
use prost::Message;

/// A statement with the proof of where it stands.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Origin of its ledger.
    pub origin: Origin,
    /// Its index there.
    pub index: u64,
    /// The statement.
    pub statement: Parsed,
    /// Inclusion path under the checkpoint.
    pub path: Vec<Hash>,
    /// The checkpoint: a signed note with the ledger's seal and, for a file that is to be VALID, the quorum's cosignatures.
    pub checkpoint: Bytes,
}

/// Collects what an evidence file holds.
#[derive(Clone, Debug)]
pub struct Builder {
    instance: Instance,
    exchange: ExchangeId,
    created_us: u64,
    statements: Vec<(Piece, Vec<Tag>)>,
    registry: Vec<Piece>,
    certificates: Vec<Bytes>,
    snapshots: Vec<(u64, Bytes, Bytes)>,
    schema: Bytes,
}

impl Builder {
    /// Begins a file about one exchange. `created_us` is when the file is made, microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new(instance: &Instance, exchange: &ExchangeId, created_us: u64) -> Self {
        Self {
            instance: instance.clone(),
            exchange: *exchange,
            created_us,
            statements: Vec::new(),
            registry: Vec::new(),
            certificates: Vec::new(),
            snapshots: Vec::new(),
            schema: Bytes::new(),
        }
    }

    /// Adds a statement of the exchange; the parts named in `withheld` are given by their hash alone. CORE is always shown.
    #[must_use]
    pub fn statement(mut self, piece: Piece, withheld: &[Tag]) -> Self {
        self.statements.push((piece, withheld.to_vec()));
        self
    }

    /// Adds an entry of the registry's ledger.
    #[must_use]
    pub fn registry_entry(mut self, piece: Piece) -> Self {
        self.registry.push(piece);
        self
    }

    /// Adds a DER certificate: seal certificates first, then issuers, then the root. One that is there already is not repeated.
    #[must_use]
    pub fn certificate(mut self, der: Bytes) -> Self {
        if !self.certificates.contains(&der) {
            self.certificates.push(der);
        }
        self
    }

    /// Adds a cited snapshot and the note over it.
    #[must_use]
    pub fn snapshot(mut self, bytes: Bytes, note: Bytes) -> Self {
        // What does not parse keeps its place at the front, and the verifier refuses it.
        let version = Snapshot::decode(bytes.clone()).map_or(0, |snapshot| snapshot.version);
        self.snapshots.push((version, bytes, note));
        self
    }

    /// Includes the FileDescriptorSet of the service.
    #[must_use]
    pub fn schema(mut self, bytes: Bytes) -> Self {
        self.schema = bytes;
        self
    }

    /// The body of the file, to be encoded with [`super::encode`]. The same pieces make the same bytes in whatever order they came.
    #[must_use]
    pub fn build(mut self) -> Evidence {
        let asked = self
            .statements
            .iter()
            .find(|(piece, _)| piece.statement.kind() == Kind::Asked);
        let consumer = asked.or(self.statements.first()).map(|(piece, _)| piece.origin.clone());
        let place = |piece: &Piece| {
            (
                Some(&piece.origin) != consumer.as_ref(),
                piece.origin.to_string(),
                piece.index,
            )
        };
        self.statements.sort_by_key(|(piece, _)| place(piece));
        self.statements.dedup_by_key(|(piece, _)| place(piece));
        self.registry.sort_by_key(|piece| piece.index);
        self.registry.dedup_by_key(|piece| piece.index);
        self.snapshots.sort_by_key(|(version, _, _)| *version);
        self.snapshots.dedup_by_key(|(version, _, _)| *version);
        let mut checkpoints = Vec::new();
        let statements = self.statements.iter();
        let statements = statements
            .map(|(piece, withheld)| statement(piece, withheld, &mut checkpoints))
            .collect();
        let registry = self
            .registry
            .iter()
            .map(|piece| statement(piece, &[], &mut checkpoints))
            .collect();
        let (snapshots, snapshot_notes) = self.snapshots.into_iter().map(|(_, bytes, note)| (bytes, note)).unzip();
        Evidence {
            format: 1,
            instance: self.instance.to_string(),
            exchange_id: Bytes::copy_from_slice(self.exchange.as_bytes()),
            created_us: self.created_us,
            checkpoints,
            statements,
            registry,
            certificates: self.certificates,
            snapshots,
            snapshot_notes,
            schema: self.schema,
            stamps: Vec::new(),
        }
    }
}

fn statement(piece: &Piece, withheld: &[Tag], checkpoints: &mut Vec<Bytes>) -> EvidenceStatement {
    let known = checkpoints.iter().position(|note| *note == piece.checkpoint);
    let checkpoint = known.unwrap_or_else(|| {
        checkpoints.push(piece.checkpoint.clone());
        checkpoints.len() - 1
    });
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
        checkpoint: u32::try_from(checkpoint).unwrap_or(u32::MAX),
    }
}

fn shown(part: &Part, withheld: &[Tag]) -> EvidencePart {
    match &part.opened {
        Some(opened) if part.tag == Tag::Core || !withheld.contains(&part.tag) => EvidencePart {
            tag: u32::from(part.tag.number()),
            salt: Bytes::copy_from_slice(&opened.salt),
            content: opened.content.clone(),
            hash: Bytes::new(),
        },
        _ => EvidencePart {
            hash: Bytes::copy_from_slice(&part.hash),
            ..EvidencePart::default()
        },
    }
}
