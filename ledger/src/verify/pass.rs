//! One pass over the ledger: what was read so far, and what it must agree with.

use super::{
    Fault,
    erasures::Erasures,
    item::{Checked, Examined, Item, Stamp, Statement},
    own::Own,
    peers::{Keys, Peers},
    receipts::Receipts,
    setbacks::Setbacks,
    stamps::Stamps,
};
use crate::{
    anchor::Anchor,
    frame::{CHECKPOINT_FRAMES_MAX, SegmentHeader, Tear},
    note::{self, Checkpoint, SignedNote},
    report::Verdict,
    tree::{Frontier, Hash},
};
use std::{collections::VecDeque, sync::Arc};

/// A checkpoint that somebody kept and wants to find again.
struct Given<'a> {
    note: &'a [u8],
    /// Unverified until the end, when the ledger's key is known.
    checkpoint: Option<Checkpoint>,
    /// The ledger's own root at that size, once it is reached.
    found: Option<Hash>,
}

/// Numbers for the report.
#[derive(Default)]
struct Tally {
    segments: u64,
    frames: u64,
    checkpoints: u64,
    newest_checkpoint: u64,
    newest_cosigned: u64,
    after_certificate: u64,
    encrypted: u64,
    payloads: u64,
}

/// What was read so far.
pub(super) struct Pass<'a> {
    anchor: &'a Anchor,
    own: Option<Arc<Own>>,
    frontier: Frontier,
    /// Size and root after each of the last frames.
    roots: VecDeque<(u64, Hash)>,
    peers: Peers,
    given: Option<Given<'a>>,
    receipts: Receipts,
    erasures: Erasures,
    stamps: Stamps,
    newest_us: u64,
    setbacks: Setbacks,
    is_ended: bool,
    torn: Option<Tear>,
    /// The segment that is being read.
    name: String,
    tally: Tally,
}

impl<'a> Pass<'a> {
    pub(super) fn new(anchor: &'a Anchor, given: Option<&'a [u8]>, keys: Arc<Keys>) -> Self {
        let given = given.map(|note| {
            let checkpoint = SignedNote::parse(note)
                .and_then(|note| Checkpoint::parse(note.text))
                .ok();
            Given {
                note,
                checkpoint,
                found: None,
            }
        });
        let mut pass = Self {
            anchor,
            own: None,
            frontier: Frontier::new(),
            roots: VecDeque::new(),
            peers: Peers::new(keys),
            given,
            receipts: Receipts::default(),
            erasures: Erasures::default(),
            stamps: Stamps::new(anchor.time_stamp_trust()),
            newest_us: 0,
            setbacks: Setbacks::default(),
            is_ended: false,
            torn: None,
            name: String::new(),
            tally: Tally::default(),
        };
        pass.look_for_given();
        pass
    }

    pub(super) fn origin(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.origin.as_str())
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.frontier.root()
    }

    pub(super) fn segment_named(&mut self, name: String) {
        self.name = name;
    }

    pub(super) fn torn(&mut self, tear: Tear) {
        self.torn = Some(tear);
    }

    /// Takes a segment's header.
    pub(super) fn segment(&mut self, number: u64, header: SegmentHeader) -> Result<(), Fault> {
        if header.number != number {
            let text = format!("{}: its header says that it is segment {}", self.name, header.number);
            return Err(Fault::new("frames", text));
        }
        if header.first_index != self.frontier.size() || header.root != self.frontier.root() {
            let text = format!("{}: it does not begin where the segment before it ends", self.name);
            return Err(Fault::new("tree", text));
        }
        self.tally.segments += 1;
        Ok(())
    }

    /// Takes the next frame.
    pub(super) fn frame(&mut self, frame: Examined) -> Result<(), Fault> {
        let taken = frame.items.into_iter().try_for_each(|item| self.item(item));
        taken.and_then(|()| frame.fault.map_or(Ok(()), Err)).map_err(|fault| {
            let place = format!("{} byte {}, entry {}", self.name, frame.offset, self.frontier.size());
            Fault {
                text: format!("{place}: {}", fault.text),
                ..fault
            }
        })?;
        self.tally.frames += 1;
        let size = self.frontier.size();
        if self.roots.back().is_none_or(|(known, _)| *known != size) {
            if self.roots.len() == CHECKPOINT_FRAMES_MAX {
                self.roots.pop_front();
            }
            self.roots.push_back((size, self.frontier.root()));
        }
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<(), Fault> {
        match item {
            Item::Begins(begun) => {
                let (own, statement) = *begun;
                self.own = Some(own);
                self.statement(statement)
            }
            Item::Statement(statement) => self.statement(statement),
            Item::Cited(shown) => {
                self.peers.shown(&shown)?;
                self.peers.statements += 1;
                let index = self.frontier.size().saturating_sub(1);
                shown.erased.iter().try_for_each(|tag| self.erasures.part(index, *tag))
            }
            Item::Receipt(shown, receipted) => {
                self.peers.shown(&shown)?;
                self.receipts.take(&receipted)
            }
            Item::Payload { is_erased: false } => {
                self.tally.payloads += 1;
                Ok(())
            }
            Item::Payload { is_erased: true } => self.erasures.payload(self.frontier.size().saturating_sub(1)),
            Item::Checkpoint(checked) => self.checkpoint(checked),
            Item::Note(note) => self.peers.note(&note, self.anchor, self.newest_us),
            Item::Proof(data) => self.peers.proof(&data),
            Item::Certificates(data) => self.peers.certificates(&data, self.anchor, self.newest_us),
            Item::Stamp(stamp) => {
                if let Stamp::Checkpoint { checked, .. } = &stamp {
                    self.in_tree(checked)?;
                }
                self.stamps.take(stamp)
            }
        }
    }

    fn statement(&mut self, statement: Statement) -> Result<(), Fault> {
        if self.is_ended {
            let text = "it follows ENDED, the last statement of a ledger";
            return Err(Fault::new("statements", text));
        }
        let index = self.frontier.size();
        self.tally.encrypted += statement.encrypted;
        self.tally.after_certificate += u64::from(statement.is_late);
        for tag in &statement.erased {
            self.erasures.part(index, *tag)?;
        }
        if let (Some(act), Some(own)) = (&statement.act, &self.own) {
            self.erasures.act(index, act, statement.created_us, &own.origin)?;
        }
        if statement.can_be_receipted {
            self.receipts.own(index, &statement.leaf);
        }
        self.setbacks.take(statement.created_us);
        self.newest_us = self.newest_us.max(statement.created_us);
        self.is_ended = statement.is_end;
        self.frontier.push(statement.leaf_hash);
        self.look_for_given();
        Ok(())
    }

    fn checkpoint(&mut self, checked: Checked) -> Result<(), Fault> {
        self.in_tree(&checked)?;
        self.tally.checkpoints += 1;
        self.tally.newest_checkpoint = self.tally.newest_checkpoint.max(checked.size);
        if checked.cosigned? {
            self.tally.newest_cosigned = self.tally.newest_cosigned.max(checked.size);
        }
        Ok(())
    }

    fn in_tree(&self, checked: &Checked) -> Result<(), Fault> {
        let wrong = |text: String| Fault::new("checkpoints", text);
        let at = self.roots.binary_search_by_key(&checked.size, |(size, _)| *size);
        match at.ok().and_then(|at| self.roots.get(at)) {
            Some((_, root)) if *root == checked.root => Ok(()),
            Some(_) => Err(wrong(format!("at size {} it signs another root", checked.size))),
            None => Err(wrong(format!(
                "its size {} is not where a frame before it ends",
                checked.size
            ))),
        }
    }

    fn look_for_given(&mut self) {
        let size = self.frontier.size();
        if let Some(given) = &mut self.given
            && given
                .checkpoint
                .as_ref()
                .is_some_and(|checkpoint| checkpoint.size == size)
        {
            given.found = Some(self.frontier.root());
        }
    }

    /// Checks what can only be checked when all is read.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.erasures.end()?;
        let own = self
            .own
            .as_ref()
            .ok_or_else(|| Fault::new("started", "the ledger does not begin with STARTED"))?;
        let Some(given) = &self.given else { return Ok(()) };
        let wrong = |text: String| Fault::new("checkpoint-given", text);
        let checkpoint = note::open(given.note, &own.key).map_err(|error| wrong(error.to_string()))?;
        self.anchor
            .cosigned(given.note, &own.origin, own.class())
            .map_err(|error| wrong(error.to_string()))?;
        match given.found {
            Some(root) if root == checkpoint.root => Ok(()),
            Some(_) => Err(wrong(format!(
                "at size {} the ledger has another root: it was forked",
                checkpoint.size
            ))),
            None => Err(wrong(format!(
                "it shows {} statements, the ledger has {}: its end was removed",
                checkpoint.size,
                self.frontier.size()
            ))),
        }
    }

    /// What a check found, where nothing contradicted it; `None` for a check that was not asked for.
    pub(super) fn finding(&self, check: &str) -> Option<(Verdict, String)> {
        let tally = &self.tally;
        let size = self.frontier.size();
        let text = match check {
            "directory" => "segments without gaps, none too long, nothing else beside them".to_owned(),
            "frames" => format!("{} frames in {} segments, checksums hold", tally.frames, tally.segments),
            "started" => return Some(self.started()),
            "statements" => format!(
                "{size} statements well formed, {} parts encrypted, {} payloads stored, {} erased; time went back by more than \
                 1 s {} times",
                tally.encrypted,
                tally.payloads,
                self.erasures.count(),
                self.setbacks.count()
            ),
            "erasures" => format!(
                "{} erasures, {} holds begun and {} ended, each as its officers approved; nothing is erased besides",
                self.erasures.acts, self.erasures.held, self.erasures.released
            ),
            "tree" => format!("{size} leaves, every segment begins with the root of the ones before it"),
            "peers" => format!(
                "{} statements, {} receipts, {} checkpoints and {} final proofs of other ledgers hold",
                self.peers.statements, self.receipts.count, self.peers.notes_read, self.peers.proofs
            ),
            "checkpoints" => format!(
                "{} stored, newest at size {}",
                tally.checkpoints, tally.newest_checkpoint
            ),
            "cosignatures" => format!(
                "newest checkpoint that the quorum cosigned: size {}",
                tally.newest_cosigned
            ),
            "stamps" => self.stamps.text(),
            "checkpoint-given" => {
                let checkpoint = self.given.as_ref()?.checkpoint.as_ref()?;
                format!(
                    "the ledger begins with the {} statements of the given checkpoint",
                    checkpoint.size
                )
            }
            _ => self.tail(),
        };
        Some((Verdict::Valid, text))
    }

    fn started(&self) -> (Verdict, String) {
        match &self.own {
            None => (Verdict::Indeterminate, "not reached".to_owned()),
            Some(own) if self.tally.after_certificate > 0 => {
                let count = self.tally.after_certificate;
                (
                    Verdict::Indeterminate,
                    format!(
                        "{count} statements were made after the certificate of {} ended",
                        own.origin
                    ),
                )
            }
            Some(own) if own.until_us == u64::MAX => (
                Verdict::Valid,
                format!("ledger of {}, with the key of the anchor", own.origin),
            ),
            Some(own) => (
                Verdict::Valid,
                format!("ledger of {}, certified up to the anchor's root", own.origin),
            ),
        }
    }

    fn tail(&self) -> String {
        let size = self.frontier.size();
        let cosigned = match self.tally.newest_cosigned {
            at if at == size => "every statement stands under a cosigned checkpoint".to_owned(),
            at => format!(
                "the last {} statements stand under no cosigned checkpoint yet",
                size - at
            ),
        };
        match self.torn {
            None => cosigned,
            Some(tear) => format!(
                "{cosigned}; an unfinished write of {} bytes at byte {} of {} counts for nothing",
                tear.bytes, tear.offset, self.name
            ),
        }
    }
}
