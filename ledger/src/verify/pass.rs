//! One pass over the ledger: what was read so far, and what it must agree with.

use super::{Fault, own::Own, peers::Peers, setbacks::Setbacks};
use crate::{
    anchor::{Anchor, QuorumClass},
    frame::{CHECKPOINT_FRAMES_MAX, Form, Record, Records, SegmentHeader, StoredParts, Tear, month_of},
    note::{self, Checkpoint, SignedNote},
    report::Verdict,
    statement::{Act, Parsed, Part},
    tree::{Frontier, Hash, leaf_hash},
};
use bytes::Bytes;
use jisr_proto::statement::{Citation, Kind};
use std::collections::VecDeque;

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
    erased: u64,
}

/// What was read so far.
pub(super) struct Pass<'a> {
    anchor: &'a Anchor,
    own: Option<Own>,
    frontier: Frontier,
    /// Size and root after each of the last frames.
    roots: VecDeque<(u64, Hash)>,
    peers: Peers,
    given: Option<Given<'a>>,
    /// What the newest statement cites, until its PEER_STATEMENT came.
    cited: Option<Citation>,
    newest_us: u64,
    setbacks: Setbacks,
    is_ended: bool,
    torn: Option<Tear>,
    /// The segment that is being read.
    name: String,
    tally: Tally,
}

impl<'a> Pass<'a> {
    pub(super) fn new(anchor: &'a Anchor, given: Option<&'a [u8]>) -> Self {
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
            peers: Peers::default(),
            given,
            cited: None,
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

    pub(super) fn segment_named(&mut self, name: &str) {
        name.clone_into(&mut self.name);
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

    /// Takes a frame whose checksums hold.
    pub(super) fn frame(&mut self, offset: u64, body: &Bytes) -> Result<(), Fault> {
        self.cited = None;
        for record in Records::new(body) {
            let taken = record.map_err(|error| Fault::new("frames", error.to_string()));
            taken.and_then(|record| self.record(record, body)).map_err(|fault| {
                let place = format!("{} byte {offset}, entry {}", self.name, self.frontier.size());
                Fault {
                    text: format!("{place}: {}", fault.text),
                    ..fault
                }
            })?;
        }
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

    fn record(&mut self, record: Record<'_>, body: &Bytes) -> Result<(), Fault> {
        if self.own.is_none() && !matches!(record, Record::Statement(_)) {
            return Err(Fault::new("started", "the ledger does not begin with STARTED"));
        }
        match record {
            Record::Statement(data) => self.statement(&body.slice_ref(data)),
            Record::Checkpoint(data) => self.checkpoint(data),
            Record::PeerNote(data) => self.peers.note(data, self.anchor, self.newest_us),
            Record::PeerStatement(data) => {
                let cited = self.cited.take();
                self.peers.statement(&body.slice_ref(data), cited.as_ref())
            }
            Record::PeerProof(data) => self.peers.proof(data),
            Record::PeerCertificates(data) => self.peers.certificates(data, self.anchor, self.newest_us),
        }
    }

    fn statement(&mut self, data: &Bytes) -> Result<(), Fault> {
        let wrong = |text: String| Fault::new("statements", text);
        let stored = StoredParts::new(data).map_err(|error| wrong(error.to_string()))?;
        let mut parts: Vec<Part> = Vec::with_capacity(stored.left());
        let mut sealed_month = None;
        for part in stored {
            let part = part.map_err(|error| wrong(error.to_string()))?;
            match part.form {
                Form::Clear { .. } => {}
                Form::Encrypted { month, .. } => {
                    self.tally.encrypted += 1;
                    if sealed_month.replace(month).is_some_and(|known| known != month) {
                        return Err(wrong("its parts are encrypted for different months".into()));
                    }
                }
                Form::Erased { .. } => self.tally.erased += 1,
            }
            parts.push(part.part(data));
        }
        let parsed = Parsed::from_parts(parts).map_err(|error| wrong(error.to_string()))?;
        let (kind, core) = (parsed.kind(), parsed.core());
        if sealed_month.is_some_and(|month| month != month_of(core.created_us)) {
            return Err(wrong(
                "its parts are encrypted for another month than it was made in".into(),
            ));
        }
        if self.is_ended {
            return Err(wrong("it follows ENDED, the last statement of a ledger".into()));
        }
        if core.instance != self.anchor.instance.as_str() {
            return Err(wrong(format!("it is of the instance {:?}", core.instance)));
        }
        self.belongs(&parsed)?;
        self.setbacks.take(core.created_us);
        self.newest_us = self.newest_us.max(core.created_us);
        self.is_ended = kind == Kind::Ended;
        self.frontier.push(leaf_hash(&parsed.leaf()));
        self.cited = parsed.citation().cloned();
        self.look_for_given();
        Ok(())
    }

    /// Checks that the statement is one of this ledger; the first says whose that is.
    fn belongs(&mut self, parsed: &Parsed) -> Result<(), Fault> {
        match (&self.own, parsed.act()) {
            (None, Some(Act::Started(started))) => {
                self.own = Some(Own::new(started, parsed.core(), self.anchor)?);
                Ok(())
            }
            (None, _) => Err(Fault::new("started", "the ledger does not begin with STARTED")),
            (Some(_), Some(Act::Started(_))) => Err(Fault::new("started", "STARTED stands there a second time")),
            (Some(own), _) if !own.holds(parsed.kind(), parsed.core()) => {
                let text = format!(
                    "a statement {:?} of others stands in the ledger of {}",
                    parsed.kind(),
                    own.origin
                );
                Err(Fault::new("statements", text))
            }
            (Some(own), _) => {
                if parsed.core().created_us > own.until_us {
                    self.tally.after_certificate += 1;
                }
                Ok(())
            }
        }
    }

    fn checkpoint(&mut self, note: &[u8]) -> Result<(), Fault> {
        let wrong = |text: String| Fault::new("checkpoints", text);
        let own = self
            .own
            .as_ref()
            .ok_or_else(|| wrong("it comes before STARTED".into()))?;
        let checkpoint = note::open(note, &own.key).map_err(|error| wrong(error.to_string()))?;
        let at = self.roots.binary_search_by_key(&checkpoint.size, |(size, _)| *size);
        let known = at.ok().and_then(|at| self.roots.get(at));
        match known {
            Some((_, root)) if *root == checkpoint.root => {}
            Some(_) => return Err(wrong(format!("at size {} it signs another root", checkpoint.size))),
            None => {
                return Err(wrong(format!(
                    "its size {} is not where a frame before it ends",
                    checkpoint.size
                )));
            }
        }
        self.tally.checkpoints += 1;
        self.tally.newest_checkpoint = self.tally.newest_checkpoint.max(checkpoint.size);
        let cosigned = self.anchor.cosigned(note, &own.origin, own_class(own));
        let cosigned = cosigned.map_err(|error| Fault::new("cosignatures", error.to_string()))?;
        if cosigned.is_quorum() {
            self.tally.newest_cosigned = self.tally.newest_cosigned.max(checkpoint.size);
        }
        Ok(())
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
        let own = self
            .own
            .as_ref()
            .ok_or_else(|| Fault::new("started", "the ledger does not begin with STARTED"))?;
        let Some(given) = &self.given else { return Ok(()) };
        let wrong = |text: String| Fault::new("checkpoint-given", text);
        let checkpoint = note::open(given.note, &own.key).map_err(|error| wrong(error.to_string()))?;
        self.anchor
            .cosigned(given.note, &own.origin, own_class(own))
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
                "{size} statements well formed, {} parts encrypted, {} erased; time went back by more than 1 s {} times",
                tally.encrypted,
                tally.erased,
                self.setbacks.count()
            ),
            "tree" => format!("{size} leaves, every segment begins with the root of the ones before it"),
            "peers" => format!(
                "{} statements, {} checkpoints and {} final proofs of other ledgers hold",
                self.peers.statements, self.peers.notes_read, self.peers.proofs
            ),
            "checkpoints" => format!(
                "{} stored, newest at size {}",
                tally.checkpoints, tally.newest_checkpoint
            ),
            "cosignatures" => format!(
                "newest checkpoint that the quorum cosigned: size {}",
                tally.newest_cosigned
            ),
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

fn own_class(own: &Own) -> QuorumClass {
    if own.origin.node().is_none() {
        QuorumClass::Registry
    } else {
        QuorumClass::Standard
    }
}
