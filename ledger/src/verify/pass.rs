//! One pass over the ledger: what was read so far, and what it must agree with.

use super::{
    Fault,
    erasures::Erasures,
    own::Own,
    peers::Peers,
    receipts::{Receipts, closes_at_provider},
    setbacks::Setbacks,
};
use crate::{
    anchor::{Anchor, QuorumClass},
    frame::{CHECKPOINT_FRAMES_MAX, Form, Record, Records, SegmentHeader, StoredParts, StoredPayload, Tear, month_of},
    note::{self, Checkpoint, SignedNote},
    report::Verdict,
    statement::{Act, Parsed, Part, Tag},
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
    payloads: u64,
}

/// What may still follow the newest statement in its frame.
#[derive(Default)]
struct Following {
    /// What it cites, until its PEER_STATEMENT came.
    cited: Option<Citation>,
    /// Month that it was made in, while it or the PEER_STATEMENT has a PAYLOAD part and no PAYLOAD record came.
    payload: Option<u16>,
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
    receipts: Receipts,
    erasures: Erasures,
    following: Following,
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
            receipts: Receipts::default(),
            erasures: Erasures::default(),
            following: Following::default(),
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
        self.following = Following::default();
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
            Record::PeerStatement(data) => self.cited(&body.slice_ref(data)),
            Record::PeerProof(data) => self.peers.proof(data),
            Record::PeerCertificates(data) => self.peers.certificates(data, self.anchor, self.newest_us),
            Record::Receipt(data) => self.receipt(&body.slice_ref(data)),
            Record::Payload(data) => self.payload(data),
        }
    }

    /// Takes what the newest statement cites.
    fn cited(&mut self, data: &Bytes) -> Result<(), Fault> {
        let citation = self.following.cited.take();
        let shown = self.peers.statement(data)?;
        shown.must_be(citation.as_ref())?;
        let index = self.frontier.size().saturating_sub(1);
        for tag in &shown.erased {
            self.erasures.part(index, *tag)?;
        }
        let core = shown.statement.core();
        if shown.statement.part(Tag::Payload).is_some() && self.following.payload.is_none() {
            self.following.payload = Some(month_of(core.created_us));
        }
        self.peers.statements += 1;
        Ok(())
    }

    fn receipt(&mut self, data: &Bytes) -> Result<(), Fault> {
        let shown = self.peers.statement(data)?;
        let (kind, core) = (shown.statement.kind(), shown.statement.core());
        let own = self.own.as_ref().map(|own| own.origin.as_str());
        if own != Some(core.provider_origin.as_str()) || !shown.is_of_consumer() {
            return Err(Fault::new(
                "peers",
                "a RECEIPT is of another exchange than one answered here",
            ));
        }
        self.receipts.take(core, kind, shown.statement.citation())
    }

    fn payload(&mut self, data: &[u8]) -> Result<(), Fault> {
        let wrong = |text: String| Fault::new("statements", text);
        let stored = StoredPayload::parse(data).map_err(|error| wrong(error.to_string()))?;
        let month = self.following.payload.take();
        let made = month.ok_or_else(|| wrong("a stored payload follows a statement that commits to none".into()))?;
        match stored {
            StoredPayload::Encrypted { month, .. } if month != made => Err(wrong(
                "its payload is encrypted for another month than it was made in".into(),
            )),
            StoredPayload::Encrypted { .. } => {
                self.tally.payloads += 1;
                Ok(())
            }
            StoredPayload::Erased => self.erasures.payload(self.frontier.size().saturating_sub(1)),
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
                Form::Erased { .. } => self.erasures.part(self.frontier.size(), part.tag)?,
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
        self.following = Following {
            cited: parsed.citation().cloned(),
            payload: parsed.part(Tag::Payload).map(|_| month_of(core.created_us)),
        };
        self.frontier.push(leaf_hash(&parsed.leaf()));
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
            (Some(own), act) => {
                let (core, index) = (parsed.core(), self.frontier.size());
                if core.created_us > own.until_us {
                    self.tally.after_certificate += 1;
                }
                if closes_at_provider(parsed.kind())
                    && core.provider_origin == own.origin.as_str()
                    && parsed.citation().is_some()
                {
                    self.receipts.own(index, &parsed.leaf());
                }
                act.map_or(Ok(()), |act| self.erasures.act(index, act, core, &own.origin))
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
        self.erasures.end()?;
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
