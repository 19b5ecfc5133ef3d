//! Takes a frame apart and checks all that needs no other frame: forms, hashes, paths, signatures. Frames are examined
//! in any order and by any thread; the same frame gives the same whenever it is examined.

use super::{
    Fault,
    item::{Checked, Examined, Item, Note, Receipted, Shown, Stamp, Statement, Whose},
    own::Own,
    peers::Keys,
    stamps,
};
use crate::{
    anchor::Anchor,
    frame::{Form, PeerStatement, Record, Records, StoredParts, StoredPayload, StoredStamp, month_of},
    note::{self, Checkpoint, SignedNote},
    stamp,
    statement::{Act, CitationView, PARTS_MAX, PartView, Tag, View, can_receipt, closes_at_provider},
    tree::{Hash, leaf_hash, root_from_path},
};
use bytes::Bytes;
use jisr_certs::{digest::sha256, stamp::Trust};
use jisr_proto::statement::Kind;
use std::sync::{Arc, OnceLock};

/// What frames are examined with.
pub(super) struct Examiner<'a> {
    anchor: &'a Anchor,
    /// Set by the first frame, which is examined before any other.
    own: OnceLock<Arc<Own>>,
    keys: Arc<Keys>,
    trust: Trust,
}

/// What may still follow the newest statement in its frame.
#[derive(Default)]
struct Following<'a> {
    /// What it cites, until its PEER_STATEMENT came.
    cited: Option<CitationView<'a>>,
    /// Month that it was made in, while it or the PEER_STATEMENT has a PAYLOAD part and no PAYLOAD record came.
    payload: Option<u16>,
    /// The PAYLOAD record came: a PEER_STATEMENT that follows brings no other.
    has_payload: bool,
}

/// A stored statement, taken apart.
struct Read<'a> {
    view: View<'a>,
    /// Month under whose keys its parts are encrypted, and how many are.
    month: Option<u16>,
    encrypted: u64,
    erased: Vec<Tag>,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(anchor: &'a Anchor, keys: Arc<Keys>) -> Self {
        Self {
            anchor,
            own: OnceLock::new(),
            keys,
            trust: anchor.time_stamp_trust(),
        }
    }

    /// Takes a frame whose checksums hold.
    pub(super) fn frame(&self, offset: u64, body: &Bytes) -> Examined {
        let mut items = Vec::new();
        let mut following = Following::default();
        let mut fault = None;
        for record in Records::new(body) {
            let item = record
                .map_err(|error| Fault::new("frames", error.to_string()))
                .and_then(|record| self.record(record, body, &mut following));
            match item {
                Ok(item) => items.push(item),
                Err(found) => {
                    fault = Some(found);
                    break;
                }
            }
        }
        Examined { offset, items, fault }
    }

    fn record<'b>(&self, record: Record<'b>, body: &'b Bytes, following: &mut Following<'b>) -> Result<Item, Fault> {
        if self.own.get().is_none() && !matches!(record, Record::Statement(_)) {
            return Err(not_started());
        }
        match record {
            Record::Statement(data) => self.statement(data, body, following),
            Record::Checkpoint(data) => self.checkpoint(data).map(Item::Checkpoint),
            Record::PeerNote(data) => self.note(body.slice_ref(data)).map(Item::Note),
            Record::PeerStatement(data) => cited(data, body, following).map(Item::Cited),
            Record::PeerProof(data) => Ok(Item::Proof(body.slice_ref(data))),
            Record::PeerCertificates(data) => Ok(Item::Certificates(body.slice_ref(data))),
            Record::Receipt(data) => self.receipt(data, body),
            Record::Payload(data) => payload(data, following),
            Record::Stamp(data) => self.stamp(data, body).map(Item::Stamp),
        }
    }

    fn statement<'b>(&self, data: &'b [u8], body: &'b Bytes, following: &mut Following<'b>) -> Result<Item, Fault> {
        let wrong = |text: String| Fault::new("statements", text);
        let read = read(data, body).map_err(wrong)?;
        let (view, core) = (&read.view, &read.view.core);
        if read.month.is_some_and(|month| month != month_of(core.created_us)) {
            return Err(wrong(
                "its parts are encrypted for another month than it was made in".into(),
            ));
        }
        if core.instance != self.anchor.instance.as_str() {
            return Err(wrong(format!("it is of the instance {:?}", core.instance)));
        }
        *following = Following {
            cited: view.citation,
            payload: view.has(Tag::Payload).then(|| month_of(core.created_us)),
            has_payload: false,
        };
        let mut statement = Statement {
            created_us: core.created_us,
            leaf: view.leaf,
            leaf_hash: leaf_hash(&view.leaf),
            is_end: view.kind == Kind::Ended,
            encrypted: read.encrypted,
            ..Statement::default()
        };
        let Some(own) = self.own.get() else {
            let begun = self.begun(view)?;
            statement.erased = read.erased;
            return Ok(Item::Begins(Box::new((begun, statement))));
        };
        if matches!(view.act, Some(Act::Started(_))) {
            return Err(Fault::new("started", "STARTED stands there a second time"));
        }
        if !own.holds(view.kind, core) {
            let text = format!(
                "a statement {:?} of others stands in the ledger of {}",
                view.kind, own.origin
            );
            return Err(wrong(text));
        }
        statement.is_late = core.created_us > own.until_us;
        statement.can_be_receipted =
            closes_at_provider(view.kind) && core.provider_origin == own.origin.as_str() && view.citation.is_some();
        statement.erased = read.erased;
        statement.act = read
            .view
            .act
            .filter(|act| matches!(act, Act::Erased(_) | Act::Held(_) | Act::Released(_)))
            .map(Box::new);
        Ok(Item::Statement(statement))
    }

    /// Whose ledger it is, by its first statement.
    fn begun(&self, first: &View<'_>) -> Result<Arc<Own>, Fault> {
        let Some(Act::Started(started)) = &first.act else {
            return Err(not_started());
        };
        let own = Arc::new(Own::new(started, first.core.created_us, self.anchor)?);
        Ok(Arc::clone(self.own.get_or_init(|| own)))
    }

    fn checkpoint(&self, note: &[u8]) -> Result<Checked, Fault> {
        let own = self.own.get().ok_or_else(not_started)?;
        let checkpoint = note::open(note, &own.key).map_err(|error| Fault::new("checkpoints", error.to_string()))?;
        let cosigned = self.anchor.cosigned(note, &own.origin, own.class());
        Ok(Checked {
            size: checkpoint.size,
            root: checkpoint.root,
            cosigned: cosigned
                .map(|cosigned| cosigned.is_quorum())
                .map_err(|error| Fault::new("cosignatures", error.to_string())),
        })
    }

    /// A token on a checkpoint is judged here, one on others in its turn.
    fn stamp(&self, data: &[u8], body: &Bytes) -> Result<Stamp, Fault> {
        let stored = StoredStamp::parse(data).map_err(|error| Fault::new("frames", error.to_string()))?;
        match stored {
            StoredStamp::Renewal { size, token } => Ok(Stamp::Renewal {
                size,
                token: body.slice_ref(token),
            }),
            StoredStamp::Checkpoint { note, token } => Ok(Stamp::Checkpoint {
                checked: self.checkpoint(note)?,
                judged: stamps::judge(token, &sha256(&[stamps::text(note)?]), &self.trust)?,
                leaf: stamp::leaf(token),
            }),
        }
    }

    /// A note is verified here where its key is known already; else in its turn.
    fn note(&self, note: Bytes) -> Result<Note, Fault> {
        let parsed = SignedNote::parse(&note).and_then(|note| Checkpoint::parse(note.text));
        let checkpoint =
            parsed.map_err(|error| Fault::new("peers", format!("a checkpoint of another ledger: {error}")))?;
        Ok(Note {
            hash: sha256(&[&note]),
            verified: self.keys.verified(&note, &checkpoint.origin, self.anchor),
            checkpoint,
            note,
        })
    }

    fn receipt(&self, data: &[u8], body: &Bytes) -> Result<Item, Fault> {
        let wrong = |text: &str| Fault::new("peers", format!("a RECEIPT {text}"));
        let (read, place) = peer_statement(data, body)?;
        let core = &read.view.core;
        let own = self.own.get().map(|own| own.origin.as_str());
        if own != Some(core.provider_origin) {
            return Err(wrong("is of another exchange than one answered here"));
        }
        if !can_receipt(read.view.kind) {
            return Err(wrong("is no statement that closes an exchange for whoever asked"));
        }
        let citation = read.view.citation.ok_or_else(|| wrong("cites nothing"))?;
        if own != Some(citation.origin) {
            return Err(wrong("cites another ledger than the one that answered"));
        }
        let receipted = Receipted {
            index: citation.index,
            leaf: citation.leaf.try_into().unwrap_or_default(),
        };
        let whose = Whose::Consumer(body.slice_ref(core.consumer.as_bytes()));
        Ok(Item::Receipt(shown(&read, &place, whose), receipted))
    }
}

fn not_started() -> Fault {
    Fault::new("started", "the ledger does not begin with STARTED")
}

/// A PEER_STATEMENT must be what the statement before it cites.
fn cited<'b>(data: &'b [u8], body: &'b Bytes, following: &mut Following<'b>) -> Result<Shown, Fault> {
    let wrong = |text: String| Fault::new("peers", text);
    let cited = following.cited.take();
    let (read, place) = peer_statement(data, body)?;
    let cited = cited.ok_or_else(|| wrong("a PEER_STATEMENT follows a statement that cites nothing".into()))?;
    let whose = Whose::Origin(body.slice_ref(cited.origin.as_bytes()));
    let shown = shown(&read, &place, whose);
    let is_cited = cited.index == place.index
        && cited.leaf == read.view.leaf
        && cited.tree_size == place.tree_size
        && shown.root.is_none_or(|root| cited.root == root);
    if !is_cited {
        return Err(wrong(format!(
            "the statement stored from {} is not the one that is cited",
            cited.origin
        )));
    }
    if following.payload.is_none() && !following.has_payload && read.view.has(Tag::Payload) {
        following.payload = Some(month_of(read.view.core.created_us));
    }
    Ok(shown)
}

fn peer_statement<'b>(data: &'b [u8], body: &'b Bytes) -> Result<(Read<'b>, PeerStatement<'b>), Fault> {
    let wrong = |text: String| Fault::new("peers", text);
    let place = PeerStatement::parse(data).map_err(|error| wrong(error.to_string()))?;
    let read = read(place.statement, body).map_err(|text| wrong(format!("the statement of another ledger: {text}")))?;
    Ok((read, place))
}

fn shown(read: &Read<'_>, place: &PeerStatement<'_>, whose: Whose) -> Shown {
    let leaf = leaf_hash(&read.view.leaf);
    Shown {
        note: place.note,
        index: place.index,
        tree_size: place.tree_size,
        root: root_from_path(place.index, place.tree_size, &leaf, place.path),
        whose,
        erased: read.erased.clone(),
    }
}

fn payload(data: &[u8], following: &mut Following<'_>) -> Result<Item, Fault> {
    let wrong = |text: String| Fault::new("statements", text);
    let stored = StoredPayload::parse(data).map_err(|error| wrong(error.to_string()))?;
    let made = following.payload.take();
    following.has_payload = true;
    let made = made.ok_or_else(|| wrong("a stored payload follows a statement that commits to none".into()))?;
    match stored {
        StoredPayload::Encrypted { month, .. } if month != made => Err(wrong(
            "its payload is encrypted for another month than it was made in".into(),
        )),
        StoredPayload::Encrypted { .. } => Ok(Item::Payload { is_erased: false }),
        StoredPayload::Erased => Ok(Item::Payload { is_erased: true }),
    }
}

/// Takes a stored statement apart.
fn read<'b>(stored: &'b [u8], body: &'b Bytes) -> Result<Read<'b>, String> {
    let stored = StoredParts::new(stored).map_err(|error| error.to_string())?;
    let empty = PartView {
        tag: Tag::Core,
        hash: Hash::default(),
        content: None,
    };
    // One more than there can be: what follows the last part is then seen too.
    let mut parts = [empty; PARTS_MAX + 1];
    let mut count = 0;
    let (mut month, mut encrypted, mut erased) = (None, 0, Vec::new());
    for (slot, part) in parts.iter_mut().zip(stored) {
        let part = part.map_err(|error| error.to_string())?;
        let content = match part.form {
            Form::Clear { content, .. } => Some(content),
            Form::Encrypted { month: its, .. } => {
                encrypted += 1;
                if month.replace(its).is_some_and(|known| known != its) {
                    return Err("its parts are encrypted for different months".into());
                }
                None
            }
            Form::Erased { .. } => {
                erased.push(part.tag);
                None
            }
        };
        *slot = PartView {
            tag: part.tag,
            hash: part.hash(),
            content,
        };
        count += 1;
    }
    let view = View::of(parts.get(..count).unwrap_or_default(), body).map_err(|error| error.to_string())?;
    Ok(Read {
        view,
        month,
        encrypted,
        erased,
    })
}
