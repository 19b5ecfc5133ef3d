//! What both ledgers hold of the exchanges of one slice.

use std::collections::HashMap;

use jisr_certs::digest::sha256;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Citation, Core, Kind};

use super::checkpoints::{Noted, Notes};
use super::{Side, Whose};
use crate::archive::{Item, Place, Shown};
use crate::note::{Checkpoint, SignedNote};
use crate::statement::{Parsed, Tag};
use crate::tree::Hash;

/// What all statements of an exchange repeat.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Terms {
    pub(super) consumer: String,
    pub(super) provider: String,
    pub(super) provider_origin: String,
    pub(super) service: String,
    pub(super) method: String,
    pub(super) agreement: Vec<u8>,
}

impl Terms {
    fn of(core: &Core) -> Self {
        Self {
            consumer: core.consumer.clone(),
            provider: core.provider.clone(),
            provider_origin: core.provider_origin.clone(),
            service: core.service.clone(),
            method: core.method.clone(),
            agreement: core.agreement.to_vec(),
        }
    }
}

/// What a statement cites of the other ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cites {
    pub(super) index: u64,
    pub(super) leaf: Hash,
    pub(super) tree_size: u64,
    pub(super) root: Hash,
    /// SHA-256 of the checkpoint's note, where the statement itself is shown.
    pub(super) shown: Option<Hash>,
}

/// One statement of an exchange, as it stands in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stood {
    pub(super) kind: Kind,
    pub(super) index: u64,
    pub(super) leaf: Hash,
    pub(super) at_us: u64,
    /// Which of the sheet's terms.
    pub(super) terms: usize,
    pub(super) cites: Option<Cites>,
    /// It closes a call of which no question was made.
    pub(super) is_alone: bool,
    /// It refuses a question that came again.
    pub(super) is_repeat: bool,
}

/// A receipt: the consumer's closing statement in the provider's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) kind: Kind,
    /// Index of the statement that follows it in the ledger that holds it.
    pub(super) entry: u64,
    pub(super) index: u64,
    pub(super) leaf: Hash,
    pub(super) tree_size: u64,
    pub(super) note: Hash,
}

/// What both hold of one exchange.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) stood: [Vec<Stood>; 2],
    /// By who holds them.
    pub(super) receipts: [Vec<Receipt>; 2],
}

/// A final proof: where it stands, and under which note.
#[derive(Clone, Copy, Debug)]
pub(super) struct Final {
    pub(super) entry: u64,
    pub(super) index: u64,
    pub(super) note: Hash,
}

/// An exchange is known by its id and by who asked.
type Key = (ExchangeId, Side);

/// The slice.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    ledgers: &'a [Whose; 2],
    slice: u64,
    slices: u64,
    pub(super) pairs: HashMap<Key, Pair>,
    pub(super) terms: Vec<Terms>,
    known: HashMap<Terms, usize>,
    notes: [Notes; 2],
    /// Leaf inputs of the other ledger that each side cites or has a receipt of, with the final proof once it came.
    pub(super) finals: [HashMap<Hash, Option<Final>>; 2],
    /// The statement that a PEER_STATEMENT would follow.
    newest: Option<Key>,
    newest_us: [u64; 2],
}

impl<'a> Sheet<'a> {
    pub(super) fn new(ledgers: &'a [Whose; 2], slice: u64, slices: u64) -> Self {
        Self {
            ledgers,
            slice,
            slices,
            pairs: HashMap::new(),
            terms: Vec::new(),
            known: HashMap::new(),
            notes: [Notes::new(), Notes::new()],
            finals: [HashMap::new(), HashMap::new()],
            newest: None,
            newest_us: [0; 2],
        }
    }

    /// The checkpoints of this slice that one side holds of the other.
    pub(super) fn notes(&mut self, side: Side) -> Notes {
        std::mem::take(side.of_mut(&mut self.notes))
    }

    /// Takes one record of a ledger.
    pub(super) fn take(&mut self, side: Side, place: Place, item: Item) {
        match item {
            Item::Statement { index, entry } => self.statement(side, index, &entry.statement),
            Item::PeerStatement(shown) => self.shown(side, &shown),
            Item::Receipt(shown) => self.receipt(side, place, &shown),
            Item::PeerProof { index, leaf, note, .. } => {
                let entry = place.index;
                if let Some(proof) = side.of_mut(&mut self.finals).get_mut(&leaf) {
                    *proof = Some(Final { entry, index, note });
                }
            }
            Item::PeerNote(note) => self.note(side, place, &note),
            Item::Checkpoint(_)
            | Item::PeerCertificates { .. }
            | Item::Payload(_)
            | Item::Stamp { .. }
            | Item::StampRenewal { .. } => {}
        }
    }

    fn statement(&mut self, side: Side, index: u64, statement: &Parsed) {
        self.newest = None;
        let core = statement.core();
        let newest_us = side.of_mut(&mut self.newest_us);
        *newest_us = (*newest_us).max(core.created_us);
        let Ok(id) = ExchangeId::try_from(core.exchange_id.as_ref()) else {
            return;
        };
        if !self.is_mine(&id) {
            return;
        }
        let other = &side.other().of(self.ledgers).origin;
        let citation = statement.citation().filter(|citation| citation.origin == *other);
        let asks = core.provider_origin == *other;
        if citation.is_none() && !asks {
            return;
        }
        let asker = match core.provider_origin == side.of(self.ledgers).origin {
            true => side.other(),
            false => side,
        };
        let cites = citation.and_then(cites);
        if let Some(cites) = cites {
            side.of_mut(&mut self.finals).entry(cites.leaf).or_default();
        }
        let terms = self.terms_of(core);
        let stood = Stood {
            kind: statement.kind(),
            index,
            leaf: statement.leaf(),
            at_us: core.created_us,
            terms,
            cites,
            is_alone: cites.is_none() && statement.kind() != Kind::Asked && statement.part(Tag::Purpose).is_some(),
            is_repeat: core.rule == "REPLAYED",
        };
        let pair = self.pairs.entry((id, asker)).or_default();
        side.of_mut(&mut pair.stood).push(stood);
        self.newest = Some((id, asker));
    }

    /// What the newest statement cites stands with it.
    fn shown(&mut self, side: Side, shown: &Shown) {
        let Some(pair) = self.newest.take().and_then(|key| self.pairs.get_mut(&key)) else {
            return;
        };
        let newest = side.of_mut(&mut pair.stood).last_mut();
        if let Some(cites) = newest.and_then(|stood| stood.cites.as_mut()) {
            cites.shown = Some(shown.note);
        }
    }

    fn receipt(&mut self, side: Side, place: Place, shown: &Shown) {
        let statement = &shown.entry.statement;
        let Ok(id) = ExchangeId::try_from(statement.core().exchange_id.as_ref()) else {
            return;
        };
        let Some(pair) = self.pairs.get_mut(&(id, side.other())) else {
            return;
        };
        // What it cites was made for the other ledger; a third one's receipt may bear the same id.
        let cited = statement.citation().map(|citation| citation.leaf.as_ref());
        if !side
            .of(&pair.stood)
            .iter()
            .any(|stood| Some(stood.leaf.as_slice()) == cited)
        {
            return;
        }
        let leaf = statement.leaf();
        side.of_mut(&mut self.finals).entry(leaf).or_default();
        side.of_mut(&mut pair.receipts).push(Receipt {
            kind: statement.kind(),
            entry: place.index,
            index: shown.index,
            leaf,
            tree_size: shown.tree_size,
            note: shown.note,
        });
    }

    fn note(&mut self, side: Side, place: Place, note: &[u8]) {
        let read = SignedNote::parse(note).and_then(|signed| Checkpoint::parse(signed.text));
        let Ok(checkpoint) = read else { return };
        if checkpoint.origin != side.other().of(self.ledgers).origin || checkpoint.size % self.slices != self.slice {
            return;
        }
        let noted = Noted {
            note: sha256(&[note]),
            entry: place.index,
            at_us: *side.of(&self.newest_us),
        };
        let key = (checkpoint.size, checkpoint.root);
        side.of_mut(&mut self.notes).entry(key).or_insert(noted);
    }

    fn terms_of(&mut self, core: &Core) -> usize {
        let terms = Terms::of(core);
        if let Some(known) = self.known.get(&terms) {
            return *known;
        }
        let at = self.terms.len();
        self.terms.push(terms.clone());
        self.known.insert(terms, at);
        at
    }

    /// The random part of an id says which slice it belongs to; hashed, since a peer chooses it.
    fn is_mine(&self, id: &ExchangeId) -> bool {
        if self.slices == 1 {
            return true;
        }
        let hash = sha256(&[id.as_bytes()]);
        let [first, ..] = hash.as_chunks::<8>().0 else {
            return false;
        };
        u64::from_be_bytes(*first) % self.slices == self.slice
    }
}

fn cites(citation: &Citation) -> Option<Cites> {
    Some(Cites {
        index: citation.index,
        leaf: citation.leaf.as_ref().try_into().ok()?,
        tree_size: citation.tree_size,
        root: citation.root.as_ref().try_into().ok()?,
        shown: None,
    })
}
