//! What the exchanges of a file share, taken apart: bounded, in form, and still unproven.

use super::{
    Doubt, Refusal,
    cache::Cache,
    lacks,
    stamps::{self, Token},
};
use crate::{
    anchor::Anchor,
    note::{Checkpoint, SignedNote},
    seal,
    snapshot::{Header, Listed, ProvenRows, Standing, node_key},
    statement::{Parsed, Shown, StatementError},
    tree::{Hash, leaf_hash, root_from_path},
};
use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_proto::{
    evidence::{Evidence, EvidencePart, EvidenceSet, EvidenceSnapshot, EvidenceStatement, Stamp},
    ident::Origin,
    snapshot::{Node, ShownRows},
};
use prost::Message;
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Most statements of one exchange.
pub(super) const STATEMENTS_MAX: usize = 16;

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

/// A snapshot's header; its note is not checked yet. With the rows of it that are in the file.
pub(super) struct Cited {
    pub(super) header: Header,
    pub(super) note: Bytes,
    /// The rows, or why they do not stand in the header's tree; then nothing is taken from them.
    pub(super) rows: Result<Rc<CitedRows>, String>,
    /// Hash over the header and all rows as they were given.
    pub(super) id: Hash,
}

/// Rows that stand in the tree of a header.
#[derive(Default)]
pub(super) struct CitedRows {
    shown: ProvenRows,
    listed: Listed,
}

impl CitedRows {
    /// Checks rows against a header.
    pub(super) fn check(rows: &ShownRows, header: &Header) -> Result<Self, String> {
        let shown = ProvenRows::check(&rows.rows, header).map_err(|error| error.to_string())?;
        let listed = shown.iter().cloned().collect();
        Ok(Self { shown, listed })
    }
}

impl Cited {
    /// The rows that are shown, by what they say; none where they do not hold.
    pub(super) fn listed(&self) -> &Listed {
        static NONE: std::sync::LazyLock<Listed> = std::sync::LazyLock::new(Listed::default);
        self.rows.as_ref().map_or(&*NONE, |rows| &rows.listed)
    }

    /// How a key stands in the snapshot, by the rows that are shown.
    pub(super) fn find(&self, key: &str) -> Standing<'_> {
        self.rows
            .as_ref()
            .map_or(Standing::Unknown, |rows| rows.shown.find(key))
    }

    /// The row of the node whose ledger this is; none where the snapshot lists no such node, or another ledger for it.
    ///
    /// # Errors
    /// The rows in the file do not say.
    pub(super) fn node(&self, origin: &Origin) -> Result<Option<&Node>, Doubt> {
        let Some(id) = origin.node() else {
            return Ok(None);
        };
        match self.find(&node_key(id.as_str())) {
            Standing::Listed(row) => Ok(row.node.as_ref().filter(|row| row.origin == origin.as_str())),
            Standing::Absent => Ok(None),
            Standing::Withheld | Standing::Unknown => lacks(format!(
                "the row of {id} in version {} is not there",
                self.header.version
            )),
        }
    }
}

/// The lists of a file as they stand there, and how long each may be.
pub(super) struct Lists<'b> {
    instance: &'b str,
    checkpoints: (&'b [Bytes], usize),
    registry: (&'b [EvidenceStatement], usize),
    certificates: (&'b [Bytes], usize),
    snapshots: (&'b [EvidenceSnapshot], usize),
    rows: &'b [ShownRows],
    stamps: (&'b [Stamp], usize),
}

impl<'b> Lists<'b> {
    /// Those of a file about one exchange.
    pub(super) fn of_one(body: &'b Evidence) -> Self {
        Self {
            instance: &body.instance,
            checkpoints: (&body.checkpoints, STATEMENTS_MAX + 64),
            registry: (&body.registry, 64),
            certificates: (&body.certificates, 16),
            snapshots: (&body.snapshots, 16),
            rows: &body.rows,
            stamps: (&body.stamps, 256),
        }
    }

    /// Those of a set.
    pub(super) fn of_set(body: &'b EvidenceSet) -> Self {
        Self {
            instance: &body.instance,
            checkpoints: (&body.checkpoints, 1 << 20),
            registry: (&body.registry, 1 << 16),
            certificates: (&body.certificates, 64),
            snapshots: (&body.snapshots, 1 << 16),
            rows: &body.rows,
            stamps: (&body.stamps, 1 << 20),
        }
    }
}

/// The lists taken apart.
pub(super) struct Ground {
    pub(super) notes: Vec<Note>,
    pub(super) registry: Vec<Entry>,
    pub(super) certificates: Vec<Bytes>,
    pub(super) snapshots: Vec<Cited>,
    pub(super) stamps: Vec<Token>,
    roots: HashMap<String, HashMap<u64, Hash>>,
    /// Two checkpoints of one ledger, of one size, with two roots.
    pub(super) fork: Option<(String, u64)>,
}

impl Ground {
    /// Takes the lists apart.
    pub(super) fn read(lists: &Lists<'_>, anchor: &Anchor, cache: &Cache) -> Result<Self, Refusal> {
        let in_bounds = lists.checkpoints.0.len() <= lists.checkpoints.1
            && lists.registry.0.len() <= lists.registry.1
            && lists.certificates.0.len() <= lists.certificates.1
            && lists.snapshots.0.len() <= lists.snapshots.1
            && lists.rows.len() <= lists.snapshots.0.len()
            && lists.stamps.0.len() <= lists.stamps.1;
        if !in_bounds {
            return Err(("format", "it has more of something than it can need".to_owned()));
        }
        if lists.instance != anchor.instance.as_str() {
            let text = format!(
                "the file is of the instance {:?}, the anchor of {}",
                lists.instance, anchor.instance
            );
            return Err(("anchor", text));
        }
        let notes = lists.checkpoints.0.iter().map(note).collect::<Result<Vec<_>, _>>()?;
        let registry = lists.registry.0.iter();
        let registry = registry
            .map(|raw| entry(raw, "registry-entries", notes.len()))
            .collect::<Result<Vec<_>, _>>()?;
        let snapshots = snapshots(lists.snapshots.0, lists.rows, cache)?;
        if !registry.is_sorted_by(|one, next| one.index < next.index) {
            return Err(("registry-entries", "they do not stand by index, each once".into()));
        }
        if !snapshots.is_sorted_by(|one, next| one.header.version < next.header.version) {
            return Err(("snapshots", "they do not stand by version, each once".into()));
        }
        let stamps = stamps::read(lists.stamps.0, notes.len())?;
        let (roots, fork) = roots(&notes);
        Ok(Self {
            notes,
            registry,
            certificates: lists.certificates.0.to_vec(),
            snapshots,
            stamps,
            roots,
            fork,
        })
    }

    /// Checks that each checkpoint is used by an entry of the registry or by one of the positions given.
    pub(super) fn all_used(&self, used: impl Iterator<Item = usize>) -> Result<(), Refusal> {
        let mut unused = vec![true; self.notes.len()];
        let used: HashSet<usize> = used.collect();
        if self.stamps.iter().any(|token| !used.contains(&token.note)) {
            return Err(("format", "a time-stamp is on a checkpoint of no statement".to_owned()));
        }
        for at in used.into_iter().chain(self.registry.iter().map(|entry| entry.note)) {
            if let Some(unused) = unused.get_mut(at) {
                *unused = false;
            }
        }
        if unused.contains(&true) {
            return Err(("format", "a checkpoint belongs to nothing in the file".to_owned()));
        }
        Ok(())
    }

    /// The note under which an entry stands.
    pub(super) fn note_of(&self, entry: &Entry) -> &Note {
        self.notes
            .get(entry.note)
            .expect("an entry that points at no checkpoint was refused when it was read")
    }

    /// The root that a checkpoint in the file has for this ledger and size.
    pub(super) fn root(&self, origin: &str, size: u64) -> Option<&Hash> {
        self.roots.get(origin)?.get(&size)
    }

    /// The snapshot of this version.
    pub(super) fn snapshot(&self, version: u64) -> Option<&Cited> {
        self.snapshots.get(self.position(version)?)
    }

    /// Where the snapshot of this version stands among the snapshots.
    pub(super) fn position(&self, version: u64) -> Option<usize> {
        let at = self
            .snapshots
            .binary_search_by_key(&version, |cited| cited.header.version);
        at.ok()
    }
}

/// The roots by origin and size, and the first pair that differs.
#[expect(clippy::type_complexity, reason = "two halves of one pass, taken apart at once")]
fn roots(notes: &[Note]) -> (HashMap<String, HashMap<u64, Hash>>, Option<(String, u64)>) {
    let mut roots: HashMap<String, HashMap<u64, Hash>> = HashMap::new();
    let mut fork = None;
    for Note { checkpoint, .. } in notes {
        let of_ledger = roots.entry(checkpoint.origin.clone()).or_default();
        let known = of_ledger.entry(checkpoint.size).or_insert(checkpoint.root);
        if *known != checkpoint.root {
            fork.get_or_insert((checkpoint.origin.clone(), checkpoint.size));
        }
    }
    (roots, fork)
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

/// Takes a statement apart; `notes` is how many checkpoints there are.
pub(super) fn entry(raw: &EvidenceStatement, id: &'static str, notes: usize) -> Result<Entry, Refusal> {
    let bad = |why: String| (id, format!("entry {} of {:?}: {why}", raw.index, raw.origin));
    let origin: Origin = raw.origin.parse().map_err(|error| bad(format!("{error}")))?;
    let note = usize::try_from(raw.checkpoint).ok().filter(|at| *at < notes);
    let note = note.ok_or_else(|| bad("it points at no checkpoint".into()))?;
    let path = seal::path(&raw.path).map_err(|_| bad("its path is out of form".into()))?;
    if raw.parts.len() > crate::statement::PARTS_MAX {
        return Err(bad("it has more parts than tags".into()));
    }
    let shown: Result<Vec<Shown>, _> = raw.parts.iter().map(shown).collect();
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

/// A part of a statement: one that was erased can only be withheld.
pub(super) fn shown(part: &EvidencePart) -> Result<Shown, StatementError> {
    match Shown::from_fields(part.tag, &part.salt, &part.content, &part.hash)? {
        Shown::Withheld(hash) if part.erased => Ok(Shown::Erased(hash)),
        Shown::Open(_) if part.erased => Err(StatementError::Parts("a part is both shown and erased")),
        shown => Ok(shown),
    }
}

/// Takes the snapshots apart: each root's rows are there once, and belong to a header.
fn snapshots(headers: &[EvidenceSnapshot], rows: &[ShownRows], cache: &Cache) -> Result<Vec<Cited>, Refusal> {
    if !rows.is_sorted_by(|one, next| one.root < next.root) {
        return Err(("snapshots", "their rows do not stand by root, each once".into()));
    }
    let groups: Vec<(&ShownRows, Hash)> = rows
        .iter()
        .map(|rows| (rows, sha256(&[&rows.encode_to_vec()])))
        .collect();
    let mut used = vec![false; groups.len()];
    let mut found = Vec::with_capacity(headers.len());
    for raw in headers {
        let header = Header::parse(&raw.header).map_err(|error| ("snapshots", error.to_string()))?;
        let at = groups
            .binary_search_by(|(rows, _)| rows.root.as_ref().cmp(header.root.as_slice()))
            .ok();
        let group = at.and_then(|at| groups.get(at));
        if let Some(used) = at.and_then(|at| used.get_mut(at)) {
            *used = true;
        }
        let of_rows = group.map_or([0; 32], |(_, hash)| *hash);
        let rows = match group {
            Some((rows, _)) => cache.rows(sha256(&[&of_rows, &header.root, &header.rows.to_be_bytes()]), || {
                CitedRows::check(rows, &header)
            }),
            None => Ok(Rc::default()),
        };
        found.push(Cited {
            note: raw.note.clone(),
            id: sha256(&[&header.digest, &of_rows]),
            header,
            rows,
        });
    }
    if used.contains(&false) {
        return Err(("snapshots", "rows belong to no snapshot in the file".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Tag;

    #[test]
    fn a_part_that_was_erased_is_withheld_and_cannot_be_open() {
        let open = EvidencePart {
            tag: u32::from(Tag::Case.number()),
            salt: Bytes::from_static(&[1; 32]),
            content: Bytes::from_static(b"case"),
            ..EvidencePart::default()
        };
        let hash = EvidencePart {
            hash: Bytes::from_static(&[2; 32]),
            ..EvidencePart::default()
        };
        assert!(matches!(shown(&open), Ok(Shown::Open(_))));
        assert_eq!(shown(&hash), Ok(Shown::Withheld([2; 32])));
        let erased = |part: &EvidencePart| {
            shown(&EvidencePart {
                erased: true,
                ..part.clone()
            })
        };
        assert_eq!(erased(&hash), Ok(Shown::Erased([2; 32])));
        assert!(erased(&open).is_err());
        assert!(erased(&EvidencePart::default()).is_err());
    }
}
