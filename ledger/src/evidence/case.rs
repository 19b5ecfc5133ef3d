//! The file taken apart: bounded, in form, and still unproven.

use super::Doubt;
use crate::{
    anchor::Anchor,
    note::{Checkpoint, SignedNote},
    seal,
    statement::{Parsed, Shown},
    tree::{Hash, leaf_hash, root_from_path},
};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{
    canonical,
    evidence::{Evidence, EvidenceStatement},
    ident::Origin,
    snapshot::Snapshot,
    statement::Kind,
};

const STATEMENTS_MAX: usize = 16;
const REGISTRY_MAX: usize = 64;
const CHECKPOINTS_MAX: usize = STATEMENTS_MAX + REGISTRY_MAX;
const CERTIFICATES_MAX: usize = 16;
const SNAPSHOTS_MAX: usize = 16;

/// A statement and where it is said to stand.
pub(super) struct Entry {
    pub(super) origin: Origin,
    pub(super) index: u64,
    pub(super) parsed: Parsed,
    pub(super) path: Vec<Hash>,
    /// Position among the checkpoints.
    pub(super) note: usize,
}

/// A checkpoint whose signatures are not checked yet.
pub(super) struct Note {
    pub(super) bytes: Bytes,
    pub(super) checkpoint: Checkpoint,
}

/// A snapshot with its digest; its note is not checked yet.
pub(super) struct Cited {
    pub(super) digest: Hash,
    pub(super) snapshot: Snapshot,
    pub(super) note: Bytes,
}

/// The file taken apart.
pub(super) struct Case {
    pub(super) body: Evidence,
    pub(super) notes: Vec<Note>,
    pub(super) statements: Vec<Entry>,
    pub(super) registry: Vec<Entry>,
    pub(super) snapshots: Vec<Cited>,
}

type Refusal = (&'static str, String);

impl Case {
    /// Takes the body apart.
    pub(super) fn read(body: Evidence, anchor: &Anchor) -> Result<Self, Refusal> {
        let format = |why: &str| ("format", why.to_owned());
        if body.format != 1 {
            return Err(format("the body's format is not 1"));
        }
        let in_bounds = body.checkpoints.len() <= CHECKPOINTS_MAX
            && (1..=STATEMENTS_MAX).contains(&body.statements.len())
            && body.registry.len() <= REGISTRY_MAX
            && body.certificates.len() <= CERTIFICATES_MAX
            && body.snapshots.len() <= SNAPSHOTS_MAX
            && body.snapshots.len() == body.snapshot_notes.len()
            && body.exchange_id.len() == 16;
        if !in_bounds {
            return Err(format(
                "it has no statement, or more of something than one exchange can need",
            ));
        }
        if body.instance != anchor.instance.as_str() {
            let text = format!(
                "the file is of the instance {:?}, the anchor of {}",
                body.instance, anchor.instance
            );
            return Err(("anchor", text));
        }
        let notes = body.checkpoints.iter().map(note).collect::<Result<Vec<_>, _>>()?;
        let entries = |list: &[EvidenceStatement], id| {
            list.iter()
                .map(|raw| entry(raw, id, notes.len()))
                .collect::<Result<Vec<_>, _>>()
        };
        let statements = entries(&body.statements, "statements")?;
        let registry = entries(&body.registry, "registry-entries")?;
        for at in 0..notes.len() {
            if !statements.iter().chain(&registry).any(|entry| entry.note == at) {
                return Err(format("a checkpoint belongs to nothing in the file"));
            }
        }
        let snapshots = body.snapshots.iter().zip(&body.snapshot_notes);
        let snapshots = snapshots
            .map(|(bytes, note)| cited(bytes, note))
            .collect::<Result<Vec<_>, _>>()?;
        let case = Self {
            body,
            notes,
            statements,
            registry,
            snapshots,
        };
        case.ordered()?;
        case.of_one_exchange()?;
        Ok(case)
    }

    /// Checks the one order in which things may stand.
    fn ordered(&self) -> Result<(), Refusal> {
        let first = self.statements.first().map(|entry| &entry.origin);
        let place = |entry: &Entry| (Some(&entry.origin) != first, entry.origin.to_string(), entry.index);
        if !self.statements.is_sorted_by(|one, next| place(one) < place(next)) {
            return Err(("statements", "they do not stand by ledger and index, each once".into()));
        }
        if !self.registry.is_sorted_by(|one, next| one.index < next.index) {
            return Err(("registry-entries", "they do not stand by index, each once".into()));
        }
        if !self
            .snapshots
            .is_sorted_by(|one, next| one.snapshot.version < next.snapshot.version)
        {
            return Err(("snapshots", "they do not stand by version, each once".into()));
        }
        Ok(())
    }

    fn of_one_exchange(&self) -> Result<(), Refusal> {
        for entry in &self.statements {
            let core = entry.parsed.core();
            if core.exchange_id != self.body.exchange_id || core.instance != self.body.instance {
                let text = format!(
                    "entry {} of {} is of another exchange or instance",
                    entry.index, entry.origin
                );
                return Err(("statements", text));
            }
        }
        Ok(())
    }

    /// The note under which an entry stands.
    pub(super) fn note_of(&self, entry: &Entry) -> Result<&Note, Doubt> {
        self.notes
            .get(entry.note)
            .ok_or_else(|| Doubt::Wrong("an entry points at no checkpoint".into()))
    }

    /// The statements of one kind, in any ledger.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.statements.iter().filter(move |entry| entry.parsed.kind() == kind)
    }

    /// The question, where there is one.
    pub(super) fn asked(&self) -> Option<&Entry> {
        self.of_kind(Kind::Asked).next()
    }

    /// Origin of the consumer's ledger: that of the question, else that of the only statement.
    pub(super) fn consumer(&self) -> Option<&Origin> {
        self.asked().or(self.statements.first()).map(|entry| &entry.origin)
    }

    /// The core that speaks for the exchange: that of the question, else of the first statement.
    pub(super) fn core(&self) -> Option<&jisr_proto::statement::Core> {
        self.asked()
            .or(self.statements.first())
            .map(|entry| entry.parsed.core())
    }

    /// The ledgers that the statements stand in, each once.
    pub(super) fn origins(&self) -> Vec<&Origin> {
        let mut origins: Vec<&Origin> = self.statements.iter().map(|entry| &entry.origin).collect();
        origins.dedup();
        origins
    }

    /// What is there, for people.
    pub(super) fn listed(&self) -> String {
        let one = |entry: &Entry| format!("{:?} at {} of {}", entry.parsed.kind(), entry.index, entry.origin);
        self.statements.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What is kept back, for people.
    pub(super) fn withheld(&self) -> String {
        let mut withheld = Vec::new();
        for entry in &self.statements {
            for part in entry.parsed.parts().iter().filter(|part| part.opened.is_none()) {
                withheld.push(format!("{} of {:?}", part.tag.name(), entry.parsed.kind()));
            }
        }
        if withheld.is_empty() {
            "nothing".to_owned()
        } else {
            withheld.join(", ")
        }
    }
}

impl Entry {
    /// Whether the entry stands in the tree of the checkpoint.
    pub(super) fn stands_in(&self, checkpoint: &Checkpoint) -> bool {
        let leaf = leaf_hash(&self.parsed.leaf());
        checkpoint.origin == self.origin.as_str()
            && root_from_path(self.index, checkpoint.size, &leaf, &self.path) == Some(checkpoint.root)
    }
}

fn note(bytes: &Bytes) -> Result<Note, Refusal> {
    let checkpoint = SignedNote::parse(bytes).and_then(|note| Checkpoint::parse(note.text));
    let checkpoint = checkpoint.map_err(|error| ("format", format!("a checkpoint: {error}")))?;
    Ok(Note {
        bytes: bytes.clone(),
        checkpoint,
    })
}

fn entry(raw: &EvidenceStatement, id: &'static str, notes: usize) -> Result<Entry, Refusal> {
    let bad = |why: String| (id, format!("entry {} of {:?}: {why}", raw.index, raw.origin));
    let origin: Origin = raw.origin.parse().map_err(|error| bad(format!("{error}")))?;
    let note = usize::try_from(raw.checkpoint).ok().filter(|at| *at < notes);
    let note = note.ok_or_else(|| bad("it points at no checkpoint".into()))?;
    let path = seal::path(&raw.path).map_err(|_| bad("its path is out of form".into()))?;
    if raw.parts.len() > crate::statement::PARTS_MAX {
        return Err(bad("it has more parts than tags".into()));
    }
    let shown: Result<Vec<Shown>, _> = raw
        .parts
        .iter()
        .map(|part| Shown::from_fields(part.tag, &part.salt, &part.content, &part.hash))
        .collect();
    let parsed = shown
        .and_then(Parsed::from_shown)
        .map_err(|error| bad(error.to_string()))?;
    Ok(Entry {
        origin,
        index: raw.index,
        parsed,
        path,
        note,
    })
}

fn cited(bytes: &Bytes, note: &Bytes) -> Result<Cited, Refusal> {
    let snapshot: Snapshot = canonical::decode(bytes).map_err(|error| ("snapshots", error.to_string()))?;
    Ok(Cited {
        digest: domain("jisr.snapshot", &[bytes]),
        snapshot,
        note: note.clone(),
    })
}
