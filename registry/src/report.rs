//! Findings about nodes' ledgers: two checkpoints of one size that one key signed over different trees prove a fork by themselves.
//! Whoever shows them, the registry's ledger says so from then on.

use bytes::Bytes;
use jisr_ledger::note::{self, Checkpoint, NOTE_BYTES_MAX, VerifierKey};
use jisr_proto::ident::Origin;
use jisr_proto::reason::Reason;
use jisr_proto::registry::{ReportRequest, ReportResponse};
use jisr_proto::statement::{Finding, FindingKind};

use crate::office::{Caller, Office, hash};
use crate::refusal::Refusal;
use crate::state::{Act, Node};

/// Of a report's text so much stands in the log.
const TEXT_CHARS_MAX: usize = 1024;
/// Notes that one report may carry.
const NOTES_MAX: usize = 4;

impl Office {
    /// Compares the notes of a report with one another and with what the registry witnessed. What they prove is recorded; what they
    /// do not is logged.
    ///
    /// # Errors
    /// REQUEST_INVALID, ORIGIN_UNLISTED, CHECKPOINT_INVALID.
    pub(crate) async fn report(&self, caller: &Caller, request: ReportRequest) -> Result<ReportResponse, Refusal> {
        let (finding, origin) = read(request)?;
        let listed = self
            .desk
            .look(|state| state.nodes().values().find(|node| node.origin == origin).cloned());
        let unlisted = || Refusal::new(Reason::OriginUnlisted, format!("{origin} is not listed"));
        let key = seal_key(&listed.ok_or_else(unlisted)?)?;
        let mut shown = Vec::with_capacity(finding.notes.len() + 1);
        for note in finding.notes {
            let checkpoint =
                note::open(&note, &key).map_err(|e| Refusal::new(Reason::CheckpointInvalid, e.to_string()))?;
            shown.push((checkpoint.into_inner(), note));
        }
        shown.extend(self.base.witness.newest(&origin));
        let proven = match fork(&shown) {
            Some(notes) => {
                self.found(&origin, notes, caller.node.to_string()).await?;
                true
            }
            None => false,
        };
        let kind = FindingKind::try_from(finding.kind).unwrap_or_default();
        // Whoever reports writes the text: one line, and no longer than a FINDING's.
        let text: String = finding.text.chars().take(TEXT_CHARS_MAX).collect();
        tracing::warn!(
            by = %caller.node, %origin, kind = kind.as_str_name(), proven, text = ?text,
            "a node reports a ledger"
        );
        Ok(ReportResponse { proven })
    }

    /// Compares a checkpoint that a node shows of its own ledger with the one that was witnessed.
    ///
    /// # Errors
    /// CHECKPOINT_INVALID where it is not one of its ledger; CHECKPOINT_FORKED where it proves a fork.
    pub(crate) async fn look_at(&self, caller: &Caller, node: &Node, shown: &Bytes) -> Result<(), Refusal> {
        if shown.is_empty() {
            return Ok(());
        }
        let checkpoint = note::open(shown, &seal_key(node)?)
            .map_err(|e| Refusal::new(Reason::CheckpointInvalid, e.to_string()))?
            .into_inner();
        let known = self.base.witness.newest(&node.origin);
        let both: Vec<_> = known.into_iter().chain([(checkpoint, shown.clone())]).collect();
        let Some(notes) = fork(&both) else { return Ok(()) };
        self.found(&node.origin, notes, String::new()).await?;
        let rule = format!(
            "{} shows two histories of its ledger; the registry's ledger says so",
            caller.node
        );
        Err(Refusal::new(Reason::CheckpointForked, rule))
    }

    /// Records a fork, once for each ledger. `reported_by` is empty where the registry found it itself.
    pub(crate) async fn found(&self, origin: &Origin, notes: Vec<Bytes>, reported_by: String) -> Result<(), Refusal> {
        let kind = FindingKind::LedgerForked.into();
        if self.desk.look(|state| state.has_found(kind, origin)) {
            return Ok(());
        }
        tracing::error!(%origin, "two checkpoints of one size and different roots: this ledger shows two histories");
        let finding = Finding {
            kind,
            origin: origin.to_string(),
            notes,
            text: "two checkpoints of one size that its key signed have different roots".to_owned(),
            reported_by,
            ..Finding::default()
        };
        let done = self.desk.submit(move |_, _| Ok((Act::Finding(finding), ()))).await;
        match done {
            // Somebody else reported the same at the same moment.
            Err(_) if self.desk.look(|state| state.has_found(kind, origin)) => Ok(()),
            done => done.map(drop),
        }
    }
}

/// The finding of a report and the ledger that it is about, by form only.
///
/// # Errors
/// REQUEST_INVALID.
pub(crate) fn read(request: ReportRequest) -> Result<(Finding, Origin), Refusal> {
    let finding = request
        .finding
        .ok_or_else(|| Refusal::invalid("no finding came along"))?;
    let origin: Origin = finding.origin.parse()?;
    if finding.notes.len() > NOTES_MAX || finding.notes.iter().any(|note| note.len() > NOTE_BYTES_MAX) {
        return Err(Refusal::invalid(format!(
            "at most {NOTES_MAX} notes of 64 KiB are compared"
        )));
    }
    Ok((finding, origin))
}

/// The seal key that the registry lists for a node.
///
/// # Errors
/// CHECKPOINT_INVALID for a key that is none, which enrolment prevents.
pub(crate) fn seal_key(node: &Node) -> Result<VerifierKey, Refusal> {
    let raw = hash(&node.row.seal_key, "the listed seal key")?;
    VerifierKey::new_seal(node.origin.as_str(), raw).map_err(|e| Refusal::new(Reason::CheckpointInvalid, e.to_string()))
}

/// Two of the checkpoints that have one size and different roots.
fn fork(shown: &[(Checkpoint, Bytes)]) -> Option<Vec<Bytes>> {
    shown.iter().enumerate().find_map(|(at, (first, note))| {
        let rest = shown.get(at + 1..).unwrap_or_default();
        let other = rest
            .iter()
            .find(|(other, _)| other.size == first.size && other.root != first.root);
        other.map(|(_, other)| vec![note.clone(), other.clone()])
    })
}
