//! Makes evidence: takes the pieces in any order, leaves the parts out that are to be withheld, and puts all in the one order.

use super::shelf::{Laid, Shelf, place};
use crate::{
    anchor::Anchor,
    policy::Parties,
    stamp::Renewal,
    statement::{Parsed, Tag},
    tree::Hash,
};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{
    evidence::{Evidence, EvidenceExchange, EvidenceSet},
    ident::{ExchangeId, Instance, Origin},
    snapshot::ShownRows,
    statement::Kind,
};
use std::collections::BTreeMap;

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
    exchange: ExchangeId,
    statements: Vec<(Piece, Vec<Tag>)>,
    shelf: Shelf,
    schema: Bytes,
}

impl Builder {
    /// Begins a file about one exchange. `created_us` is when the file is made, microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new(instance: &Instance, exchange: &ExchangeId, created_us: u64) -> Self {
        Self {
            exchange: *exchange,
            statements: Vec::new(),
            shelf: Shelf::new(instance, created_us),
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
        self.shelf.registry_entry(piece);
        self
    }

    /// Adds a DER certificate: the root, and an issuer that no snapshot lists. One that is there already is not repeated.
    #[must_use]
    pub fn certificate(mut self, der: Bytes) -> Self {
        self.shelf.certificate(der);
        self
    }

    /// Adds a cited snapshot: its header, the note over it, and rows of it, of which those are kept on which the file rests.
    #[must_use]
    pub fn snapshot(mut self, header: Bytes, note: Bytes, rows: ShownRows) -> Self {
        self.shelf.snapshot(header, note, rows);
        self
    }

    /// Adds a time-stamp on a checkpoint, with its renewals. It stands in the file where a statement stands under that checkpoint.
    #[must_use]
    pub fn stamp(mut self, note: &[u8], token: Bytes, renewals: Vec<Renewal>) -> Self {
        self.shelf.stamp(note, token, renewals);
        self
    }

    /// Includes the FileDescriptorSet of the service.
    #[must_use]
    pub fn schema(mut self, bytes: Bytes) -> Self {
        self.schema = bytes;
        self
    }

    /// Keeps of the cosignatures on the statements' checkpoints what suffices under `anchor`, and some to spare
    /// ([`Policy::with_fewer`]): a file stays short in a network of many witnesses. To be called last.
    ///
    /// [`Policy::with_fewer`]: crate::policy::Policy::with_fewer
    #[must_use]
    pub fn with_fewer_cosignatures(mut self, anchor: &Anchor) -> Self {
        let policy = self.shelf.policy(anchor);
        for (piece, _) in &mut self.statements {
            let parties = Parties::of(piece.statement.core());
            piece.checkpoint = policy.with_fewer(&piece.checkpoint, &piece.origin, parties.as_ref());
        }
        self
    }

    /// The body of the file, to be encoded with [`super::encode`]. The same pieces make the same bytes in whatever order they came.
    #[must_use]
    pub fn build(mut self) -> Evidence {
        in_order(&mut self.statements);
        let mut laid = Laid::default();
        let statements = self.statements.iter();
        let statements = statements
            .map(|(piece, withheld)| laid.statement(piece, withheld))
            .collect();
        let stamps = self.shelf.stamps(&laid.checkpoints);
        let registry = self.shelf.registry_entries(&mut laid);
        let wanted = self.shelf.wanted(self.statements.iter().map(|(piece, _)| piece), &laid);
        let (snapshots, rows) = self.shelf.snapshots(&wanted);
        Evidence {
            format: 1,
            instance: self.shelf.instance.to_string(),
            exchange_id: Bytes::copy_from_slice(self.exchange.as_bytes()),
            created_us: self.shelf.created_us,
            checkpoints: laid.checkpoints,
            statements,
            registry,
            certificates: self.shelf.certificates,
            snapshots,
            rows,
            schema: self.schema,
            stamps,
        }
    }
}

/// Collects what a set holds.
#[derive(Clone, Debug)]
pub struct SetBuilder {
    title: String,
    exchanges: BTreeMap<[u8; 16], Vec<(Piece, Vec<Tag>)>>,
    shelf: Shelf,
    schemas: BTreeMap<Hash, Bytes>,
}

impl SetBuilder {
    /// Begins a set. `title` says in words what was asked for; `created_us` is when the file is made, microseconds since
    /// 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new(instance: &Instance, title: &str, created_us: u64) -> Self {
        Self {
            title: title.to_owned(),
            exchanges: BTreeMap::new(),
            shelf: Shelf::new(instance, created_us),
            schemas: BTreeMap::new(),
        }
    }

    /// Adds a statement of an exchange; the parts named in `withheld` are given by their hash alone. CORE is always shown.
    pub fn statement(&mut self, exchange: &ExchangeId, piece: Piece, withheld: &[Tag]) {
        let pieces = self.exchanges.entry(*exchange.as_bytes()).or_default();
        pieces.push((piece, withheld.to_vec()));
    }

    /// Adds an entry of the registry's ledger.
    pub fn registry_entry(&mut self, piece: Piece) {
        self.shelf.registry_entry(piece);
    }

    /// Adds a DER certificate: the root, and an issuer that no snapshot lists. One that is there already is not repeated.
    pub fn certificate(&mut self, der: Bytes) {
        self.shelf.certificate(der);
    }

    /// Adds a cited snapshot: its header, the note over it, and rows of it, of which those are kept on which the file rests.
    pub fn snapshot(&mut self, header: Bytes, note: Bytes, rows: ShownRows) {
        self.shelf.snapshot(header, note, rows);
    }

    /// Adds a time-stamp on a checkpoint, with its renewals. It stands in the file where a statement stands under that checkpoint.
    pub fn stamp(&mut self, note: &[u8], token: Bytes, renewals: Vec<Renewal>) {
        self.shelf.stamp(note, token, renewals);
    }

    /// Adds the FileDescriptorSet of a service that one of the questions is for.
    pub fn schema(&mut self, bytes: Bytes) {
        self.schemas.insert(domain("jisr.schema", &[&bytes]), bytes);
    }

    /// How many exchanges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether there is no exchange.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// The body of the file, to be encoded with [`super::encode_set`]. The same pieces make the same bytes in whatever order they
    /// came.
    #[must_use]
    pub fn build(mut self) -> EvidenceSet {
        let mut laid = Laid::default();
        let mut exchanges = Vec::with_capacity(self.exchanges.len());
        for (id, pieces) in &mut self.exchanges {
            in_order(pieces);
            let statements = pieces.iter().map(|(piece, withheld)| laid.statement(piece, withheld));
            exchanges.push(EvidenceExchange {
                exchange_id: Bytes::copy_from_slice(id),
                statements: statements.collect(),
            });
        }
        let stamps = self.shelf.stamps(&laid.checkpoints);
        let pieces = self.exchanges.values().flatten().map(|(piece, _)| piece);
        let registry = self.shelf.registry_entries(&mut laid);
        let wanted = self.shelf.wanted(pieces, &laid);
        let (snapshots, rows) = self.shelf.snapshots(&wanted);
        EvidenceSet {
            format: 1,
            instance: self.shelf.instance.to_string(),
            created_us: self.shelf.created_us,
            title: self.title,
            checkpoints: laid.checkpoints,
            exchanges,
            registry,
            certificates: self.shelf.certificates,
            snapshots,
            rows,
            schemas: self.schemas.into_values().collect(),
            stamps,
        }
    }
}

/// Puts the statements of an exchange in the one order, each once.
fn in_order(pieces: &mut Vec<(Piece, Vec<Tag>)>) {
    let asked = pieces.iter().find(|(piece, _)| piece.statement.kind() == Kind::Asked);
    let consumer = asked.or(pieces.first()).map(|(piece, _)| piece.origin.clone());
    pieces.sort_by_key(|(piece, _)| place(piece, consumer.as_ref()));
    pieces.dedup_by_key(|(piece, _)| place(piece, consumer.as_ref()));
}
