//! The closet that compares ledgers: what others hold of the own one, and how theirs go on.
//!
//! At each `Hello`, and again while a connection lasts, both sides show how their ledgers went on since the newest checkpoint that
//! the other has checked. What others hold of the own ledger either confirms it or shows that the own disk was rolled back; what a
//! peer shows of its own ledger either continues what was checked before or is a finding, and the peer is refused from then on.

mod rounds;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::Hash;
use jisr_ledger::clock::Clock;
use jisr_ledger::files::Disk;
use jisr_ledger::ledger::Ledger;
use jisr_ledger::note::{self, Checkpoint, VerifierKey};
use jisr_ledger::witness::{WitnessError, WitnessState};
use jisr_proto::ident::Origin;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Finding, FindingKind};
use jisr_proto::status::Fault;
use tokio::time::Instant;

use crate::directory::NodeRow;
use crate::findings::Findings;
use crate::quarantine::Quarantine;
use crate::standing::{Fits, Standing};
use crate::trust::Trust;

pub(crate) use rounds::{greet_known, known_peers, watch};

/// What comparing needs. Shared with threads that may wait for the disk.
pub(crate) struct Watching {
    /// The own ledger.
    pub ledger: Ledger,
    /// Key of the own ledger.
    pub own_key: VerifierKey,
    /// What this node has checked of other ledgers; durable.
    pub witness: Arc<WitnessState>,
    /// Whether this node takes part.
    pub standing: Arc<Standing>,
    /// What is found.
    pub findings: Arc<Findings>,
    /// Who is refused for it.
    pub trust: Arc<Trust>,
    /// The data directory, for the mark of a quarantine.
    pub data: PathBuf,
    /// Where durable writes go.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The registry's own ledger does not hold together: said once.
    pub registry_doubted: AtomicBool,
    /// When each ledger was checked last.
    pub checked: Mutex<HashMap<Origin, Checked>>,
    /// Peers that showed no checkpoint at the last `Hello` although one is known; only listed ones get here.
    pub silent: Mutex<HashSet<Origin>>,
}

/// When a ledger was compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    /// By the node's clock, microseconds.
    pub at_us: u64,
    /// The same for intervals.
    at: Instant,
}

/// What came of a look at the own ledger.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    Fits,
    /// The text says in what it does not fit.
    Contradicts(String),
    /// It could not be computed.
    Unknown,
}

impl Watching {
    /// The newest checkpoint of that ledger that was checked here; empty if none.
    pub(crate) fn checked_note(&self, origin: &Origin) -> Bytes {
        self.witness.newest(origin).map(|(_, note)| note).unwrap_or_default()
    }

    /// When, and at which size, a ledger was checked last.
    pub(crate) fn checked(&self, origin: &Origin) -> Option<(u64, u64)> {
        let size = self.witness.newest(origin).map(|(checkpoint, _)| checkpoint.size)?;
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        Some((size, checked.get(origin).map_or(0, |checked| checked.at_us)))
    }

    /// Whether a peer keeps back what it must show: it shows no checkpoint, and one of its ledger, or a seal under one, is known. At
    /// the first contact nothing is.
    pub(crate) fn keeps_back(&self, peer: &NodeRow, shown: &Bytes, seen_size: u64) -> bool {
        shown.is_empty() && (seen_size > 0 || self.witness.newest(&peer.origin).is_some())
    }

    /// Notes whether a peer kept its checkpoint back at the last `Hello`.
    pub(crate) fn note_kept_back(&self, origin: &Origin, keeps_back: bool) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if keeps_back {
            silent.insert(origin.clone());
        } else {
            silent.remove(origin);
        }
    }

    /// Whether it did.
    pub(crate) fn kept_back(&self, origin: &Origin) -> bool {
        self.silent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(origin)
    }

    /// Own checkpoint as others are shown it: none while nothing may be sealed.
    pub(crate) fn shown(&self) -> Bytes {
        if self.standing.is_running() {
            self.ledger.checkpoint().note.clone()
        } else {
            Bytes::new()
        }
    }

    /// Compares what somebody holds of the own ledger with it. It confirms a recovering node; where it contradicts, the node is
    /// quarantined. `trusted`: that nothing is held counts as a confirmation too, since whoever says so would know.
    pub(crate) fn held_of_us(&self, by: &str, held: &Bytes, trusted: bool) -> Result<(), Fault> {
        if held.is_empty() {
            // Whoever cosigned this ledger and holds nothing of it has forgotten it.
            if trusted && self.ledger.cosigned().is_none() {
                self.standing.confirmed(Fits {
                    by: by.to_owned(),
                    size: 0,
                    note: Bytes::new(),
                });
            }
            return Ok(());
        }
        let checkpoint = note::open(held, &self.own_key).map_err(|error| {
            let detail =
                format!("{by} shows what it takes for a checkpoint of this node's ledger, which it is not: {error}");
            Fault::new(Reason::PeerMisbehaved, detail)
        })?;
        match self.compare(&checkpoint) {
            Own::Fits => self.standing.confirmed(Fits {
                by: by.to_owned(),
                size: checkpoint.size,
                note: held.clone(),
            }),
            Own::Contradicts(text) => self.quarantine(by, &checkpoint, held, text),
            Own::Unknown => tracing::warn!(
                by,
                size = checkpoint.size,
                "what is held of the own ledger could not be compared"
            ),
        }
        Ok(())
    }

    fn compare(&self, theirs: &Checkpoint) -> Own {
        let size = self.ledger.size();
        if theirs.size > size {
            return Own::Contradicts(format!(
                "it holds a checkpoint of {} entries that this node signed, on its disk are {size}: the disk was rolled back",
                theirs.size
            ));
        }
        match self.ledger.root(theirs.size) {
            Some(root) if root == theirs.root => Own::Fits,
            Some(_) => Own::Contradicts(format!(
                "it holds a checkpoint of {} entries that this node signed, and the first {} on its disk are others",
                theirs.size, theirs.size
            )),
            None => Own::Unknown,
        }
    }

    /// Ends taking part, durably.
    pub(crate) fn quarantine(&self, by: &str, theirs: &Checkpoint, held: &Bytes, text: String) {
        self.ledger.refuse();
        let text = format!("{by} shows that this ledger is not the newest: {text}");
        if !self.standing.quarantine(text.clone()) {
            return;
        }
        let own = self.ledger.signed().map(|(_, note)| note).unwrap_or_default();
        let mark = Quarantine {
            shown_by: by.to_owned(),
            found_us: self.clock.now_us(),
            text: text.clone(),
            own_size: self.ledger.size(),
            own_checkpoint: String::from_utf8_lossy(&own).into_owned(),
            shown_size: theirs.size,
            shown_checkpoint: String::from_utf8_lossy(held).into_owned(),
        };
        tracing::error!("QUARANTINED: {text}");
        if let Err(error) = mark.write(&self.data, &*self.disk) {
            tracing::error!(%error, "the mark of the quarantine could not be written; do not restart this node");
        }
    }

    /// A peer showed its newest checkpoint and how it continues the one that was `asked` from. What does not continue it is a
    /// finding, and the peer is refused from then on.
    pub(crate) fn shown_by(&self, peer: &NodeRow, asked: &Bytes, shown: &Bytes, proof: &[Hash]) -> Result<(), Fault> {
        if shown.is_empty() {
            return Ok(());
        }
        let refused = |error: &dyn std::fmt::Display| {
            Fault::new(Reason::PeerMisbehaved, format!("{}: its checkpoint: {error}", peer.id))
        };
        match self.witness.observe(shown, proof, &peer.seal_key) {
            Ok(_) => {
                self.note_checked(&peer.origin);
                Ok(())
            }
            Err(WitnessError::Conflict { size, note: held, .. }) => {
                let text = format!("it signed two trees of {size} entries");
                Err(self.forked(peer, FindingKind::LedgerForked, [held, shown.clone()], text))
            }
            // The proof is of the checkpoint that was asked from; if another was checked meanwhile it says nothing.
            Err(WitnessError::Inconsistent { note: held, .. } | WitnessError::RolledBack { note: held, .. })
                if held != *asked =>
            {
                Ok(())
            }
            Err(WitnessError::Inconsistent {
                old, new, note: held, ..
            }) => {
                let text =
                    format!("its tree of {new} entries does not continue the one of {old} that it showed before");
                Err(self.forked(peer, FindingKind::LedgerForked, [held, shown.clone()], text))
            }
            Err(WitnessError::RolledBack {
                shown: now,
                size,
                note: held,
                ..
            }) => {
                let text = format!("it shows {now} entries as its newest, and showed {size} before");
                Err(self.forked(peer, FindingKind::LedgerRolledBack, [held, shown.clone()], text))
            }
            Err(error @ (WitnessError::Note(_) | WitnessError::OldSize { .. })) => Err(refused(&error)),
            Err(error) => {
                tracing::error!(peer = %peer.id, %error, "what was checked of a peer's ledger could not be kept");
                Ok(())
            }
        }
    }

    /// A caller's own checkpoint came without a proof: it is the first that is known of its ledger, or it must be equal where it is
    /// of equal size. How it goes on is asked at its own door.
    pub(crate) fn shown_by_caller(&self, peer: &NodeRow, shown: &Bytes) -> Result<(), Fault> {
        if shown.is_empty() {
            return Ok(());
        }
        match self.witness.newest(&peer.origin) {
            Some((known, _)) if note::open(shown, &peer.seal_key).is_ok_and(|shown| shown.size != known.size) => Ok(()),
            _ => self.shown_by(peer, &Bytes::new(), shown, &[]),
        }
    }

    /// A peer's ledger cannot be true. It is refused until the snapshot lists another origin or key for it.
    pub(crate) fn forked(&self, peer: &NodeRow, kind: FindingKind, notes: [Bytes; 2], text: String) -> Fault {
        if self.trust.refuse(peer, Reason::PeerLedgerForked, text.clone()) {
            self.findings.found(Finding {
                kind: kind.into(),
                origin: peer.origin.to_string(),
                notes: notes.into_iter().filter(|note| !note.is_empty()).collect(),
                text: format!("{}: {text}", peer.id),
                ..Finding::default()
            });
        }
        Fault::new(Reason::PeerLedgerForked, format!("{}: {text}", peer.id))
    }

    /// Proof that the own newest checkpoint continues the one that somebody holds; empty where that is none of this ledger's, or
    /// the same.
    pub(crate) fn proof_from(&self, held: &Bytes, shown: &Bytes) -> Vec<Bytes> {
        let opened = note::open(held, &self.own_key).and_then(|from| Ok((from, note::open(shown, &self.own_key)?)));
        let Ok((from, to)) = opened else {
            return Vec::new();
        };
        if from.size == 0 || from.size >= to.size {
            return Vec::new();
        }
        let proof = self.ledger.consistency(from.size, to.size).unwrap_or_default();
        proof.iter().map(|hash| Bytes::copy_from_slice(hash)).collect()
    }

    fn note_checked(&self, origin: &Origin) {
        let checked = Checked {
            at_us: self.clock.now_us(),
            at: Instant::now(),
        };
        let mut all = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(origin.clone(), checked);
    }

    /// How long ago a ledger was checked; `None`: not since the start.
    fn since_checked(&self, origin: &Origin) -> Option<std::time::Duration> {
        let all = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(origin).map(|checked| checked.at.elapsed())
    }
}
