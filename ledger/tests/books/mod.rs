//! Two ledgers as lists of records, written to directories: enough to take a statement out of one, or to put one in, and
//! to build its tree anew with its own key.

use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_ledger::Hash;
use jisr_ledger::frame::{
    FrameHeader, Record, SegmentHeader, put_clear, put_erased, put_peer_proof, put_peer_statement, put_receipt,
    put_record,
};
use jisr_ledger::note::{Checkpoint, VerifierKey, assemble, signature_line};
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::tree::{Frontier, Nodes, inclusion, leaf_hash};
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Citation, Core, Kind, Started};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::collections::HashMap;
use std::path::Path;

pub(crate) const NOW_US: u64 = 1_790_000_000_000_000;
pub(crate) const MOL: &str = "jisr/JO/GOV/mol/node1/2026";
pub(crate) const PSD: &str = "jisr/JO/GOV/psd/node1/2026";

/// One record; what is not a statement is kept as its bytes.
#[derive(Clone)]
pub(crate) enum Rec {
    Own(Box<Closed>),
    Raw(Vec<u8>),
}

/// A ledger.
#[derive(Clone)]
pub(crate) struct Book {
    pub(crate) origin: &'static str,
    pub(crate) recs: Vec<Rec>,
    clock_us: u64,
}

#[derive(Default)]
struct Kept(HashMap<(u8, u64), Hash>);

impl Nodes for Kept {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.get(&(level, index)).copied()
    }
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed makes a key")
}

pub(crate) fn raw_key() -> [u8; 32] {
    pair().public_key().as_ref().try_into().expect("32 bytes")
}

pub(crate) fn id(n: u8) -> ExchangeId {
    ExchangeId::new_v7(NOW_US + u64::from(n) * 1_000_000, [n; 10])
}

/// A core of exchange `n`, which mol asks of psd.
pub(crate) fn core(kind: Kind, n: u8) -> Core {
    Core {
        format: 1,
        kind: kind as i32,
        instance: "JO".into(),
        exchange_id: Bytes::copy_from_slice(id(n).as_bytes()),
        created_us: NOW_US,
        consumer: "JO/GOV/mol/permits".into(),
        provider: "JO/GOV/psd/residency".into(),
        provider_origin: PSD.into(),
        service: "jo.residency.v1.ResidencePermits".into(),
        method: "CheckStatus".into(),
        agreement: Bytes::from_static(&[1; 32]),
        ..Core::default()
    }
}

/// The question of exchange `n`.
pub(crate) fn question(n: u8) -> Draft {
    let core = Core {
        expires_us: NOW_US + 600_000_000,
        snapshot_version: 4,
        snapshot: Bytes::from_static(&[2; 32]),
        schema: Bytes::from_static(&[3; 32]),
        key_set: Bytes::from_static(&[4; 32]),
        mask: "*".into(),
        ..core(Kind::Asked, n)
    };
    Draft::new(core)
        .purpose("work-permit-renewal")
        .case("ق-1")
        .payload(b"question")
}

impl Book {
    pub(crate) fn new(origin: &'static str) -> Self {
        let mut book = Self {
            origin,
            recs: Vec::new(),
            clock_us: NOW_US,
        };
        let core = Core {
            format: 1,
            kind: Kind::Started as i32,
            instance: "JO".into(),
            created_us: NOW_US,
            ..Core::default()
        };
        let started = Started {
            origin: origin.into(),
            ..Started::default()
        };
        book.put(Draft::new(core).act(&started).close());
        book
    }

    pub(crate) fn leaves(&self) -> Vec<Hash> {
        let own = self.recs.iter().filter_map(|rec| match rec {
            Rec::Own(closed) => Some(closed.leaf()),
            Rec::Raw(_) => None,
        });
        own.collect()
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves().len() as u64
    }

    /// Appends a statement; says its index.
    pub(crate) fn put(&mut self, closed: Closed) -> u64 {
        self.recs.push(Rec::Own(Box::new(closed)));
        self.size() - 1
    }

    fn tree(&self) -> (Frontier, Kept) {
        let (mut frontier, mut kept) = (Frontier::new(), Kept::default());
        for leaf in self.leaves() {
            frontier.push_with(leaf_hash(&leaf), |level, index, hash| {
                kept.0.insert((level, index), *hash);
            });
        }
        (frontier, kept)
    }

    /// The checkpoint of all that stands there.
    pub(crate) fn note(&self) -> Bytes {
        let text = Checkpoint {
            origin: self.origin.into(),
            size: self.size(),
            root: self.tree().0.root(),
        }
        .text();
        let key = VerifierKey::new_seal(self.origin, raw_key()).expect("a good key");
        let line = signature_line(&key, pair().sign(text.as_bytes()).as_ref());
        assemble(&text, [line.as_str()]).into()
    }

    fn leaf(&self, index: u64) -> Hash {
        let at = usize::try_from(index).expect("small");
        *self.leaves().get(at).expect("it stands there")
    }

    pub(crate) fn citation(&self, index: u64) -> Citation {
        let leaf = self.leaf(index);
        Citation {
            origin: self.origin.into(),
            index,
            leaf: Bytes::copy_from_slice(&leaf),
            tree_size: self.size(),
            root: Bytes::copy_from_slice(&self.tree().0.root()),
        }
    }

    pub(crate) fn hold_note(&mut self, other: &Book) -> Hash {
        let note = other.note();
        let mut record = Vec::new();
        put_record(&mut record, Record::PeerNote(&note));
        self.recs.push(Rec::Raw(record));
        sha256(&[&note])
    }

    /// Appends a statement that cites one of the other ledger, and that one with it.
    pub(crate) fn cite(&mut self, draft: Draft, other: &Book, index: u64) -> u64 {
        let note = self.hold_note(other);
        let own = self.put(draft.peer(&other.citation(index)).close());
        let mut record = Vec::new();
        let stored = stored(other.statement(index));
        put_peer_statement(&mut record, (index, other.size()), &note, &other.path(index), |body| {
            body.extend(stored)
        });
        self.recs.push(Rec::Raw(record));
        own
    }

    pub(crate) fn receipt(&mut self, other: &Book, index: u64) {
        let note = self.hold_note(other);
        let mut record = Vec::new();
        let stored = stored(other.statement(index));
        put_receipt(&mut record, (index, other.size()), &note, &other.path(index), |body| {
            body.extend(stored)
        });
        self.recs.push(Rec::Raw(record));
    }

    pub(crate) fn proof(&mut self, other: &Book, index: u64) {
        let note = self.hold_note(other);
        let leaf = other.leaf(index);
        let mut record = Vec::new();
        put_peer_proof(&mut record, index, &leaf, &note, &other.path(index));
        self.recs.push(Rec::Raw(record));
    }

    fn path(&self, index: u64) -> Vec<Hash> {
        inclusion(&self.tree().1, index, self.size()).expect("all nodes are kept")
    }

    fn statement(&self, index: u64) -> &Closed {
        let mut own = self.recs.iter().filter_map(|rec| match rec {
            Rec::Own(closed) => Some(closed.as_ref()),
            Rec::Raw(_) => None,
        });
        own.nth(usize::try_from(index).expect("small"))
            .expect("it stands there")
    }

    /// A later time for each statement.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock_us += 1_000_000;
        self.clock_us
    }

    /// The same ledger without the statements of one exchange: its tree is built anew.
    pub(crate) fn without(&self, n: u8) -> Self {
        let is_of_it = |closed: &Closed| closed.core().exchange_id.as_ref() == id(n).as_bytes();
        let mut book = self.clone();
        let mut skip = false;
        book.recs.retain(|rec| match rec {
            Rec::Own(closed) => {
                skip = is_of_it(closed);
                !skip
            }
            // What is cited goes with what cites it.
            Rec::Raw(record) => !(std::mem::take(&mut skip) && record.first() == Some(&4)),
        });
        book
    }

    /// One segment file, each record a frame of its own but for what is cited.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = SegmentHeader {
            number: 0,
            first_index: 0,
            root: jisr_ledger::tree::empty_root(),
        };
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for rec in &self.recs {
            match rec {
                Rec::Own(closed) => {
                    let mut body = Vec::new();
                    put_record(&mut body, Record::Statement(&stored(closed)));
                    bodies.push(body);
                }
                Rec::Raw(record) if record.first() == Some(&4) => {
                    bodies.last_mut().expect("a statement precedes").extend(record);
                }
                Rec::Raw(record) => bodies.push(record.clone()),
            }
        }
        let mut file = header.encode().to_vec();
        for body in bodies {
            file.extend(FrameHeader::of(&body).expect("neither empty nor long").encode());
            file.extend(body);
        }
        file.resize(file.len() + 600, 0);
        file
    }

    pub(crate) fn write(&self, dir: &Path) {
        write(dir, &self.bytes());
    }
}

pub(crate) fn write(dir: &Path, segment: &[u8]) {
    std::fs::create_dir_all(dir.join("segments")).expect("a directory can be made");
    std::fs::write(dir.join("segments/00000000000000000000.seg"), segment).expect("a file can be written");
}

/// Personal parts are erased: nothing here depends on them.
fn stored(closed: &Closed) -> Vec<u8> {
    let mut stored = vec![u8::try_from(closed.parts().len()).expect("small")];
    for part in closed.parts() {
        let opened = part.opened.as_ref().expect("own parts are open");
        match part.tag.data_class() {
            None => put_clear(&mut stored, part.tag, &opened.salt, &opened.content),
            Some(_) => put_erased(&mut stored, part.tag, &part.hash),
        }
    }
    stored
}

/// mol and psd.
#[derive(Clone)]
pub(crate) struct Two {
    pub(crate) mol: Book,
    pub(crate) psd: Book,
}

impl Two {
    pub(crate) fn new() -> Self {
        Self {
            mol: Book::new(MOL),
            psd: Book::new(PSD),
        }
    }

    /// A core made now.
    pub(crate) fn core(&mut self, kind: Kind, n: u8) -> Core {
        let now = self.mol.tick().max(self.psd.tick());
        (self.mol.clock_us, self.psd.clock_us) = (now, now);
        Core {
            created_us: now,
            ..core(kind, n)
        }
    }

    pub(crate) fn asked(&mut self, n: u8) -> u64 {
        self.core(Kind::Asked, n);
        self.mol.put(question(n).close())
    }

    /// The provider takes the question on.
    pub(crate) fn received(&mut self, n: u8, asked: u64) -> u64 {
        let draft = Draft::new(self.core(Kind::Received, n));
        self.psd.cite(draft, &self.mol, asked)
    }

    /// The provider closes with this kind.
    pub(crate) fn closed(&mut self, kind: Kind, n: u8, asked: u64) -> u64 {
        let mut draft = Draft::new(self.core(kind, n)).peer(&self.mol.citation(asked));
        if kind == Kind::Answered {
            draft = draft.payload(b"answer");
        }
        self.psd.put(draft.close())
    }

    /// The consumer closes with this kind, citing the provider's statement.
    pub(crate) fn cited(&mut self, kind: Kind, n: u8, index: u64) -> u64 {
        let draft = Draft::new(self.core(kind, n));
        self.mol.cite(draft, &self.psd, index)
    }

    /// The consumer closes with this kind alone.
    pub(crate) fn alone(&mut self, kind: Kind, n: u8) -> u64 {
        let draft = Draft::new(self.core(kind, n));
        self.mol.put(draft.close())
    }

    /// A whole exchange, with receipt and final proof.
    pub(crate) fn exchange(&mut self, n: u8) {
        let asked = self.asked(n);
        self.received(n, asked);
        let answered = self.closed(Kind::Answered, n, asked);
        let delivered = self.cited(Kind::Delivered, n, answered);
        self.psd.receipt(&self.mol, delivered);
        self.mol.proof(&self.psd, answered);
    }
}
