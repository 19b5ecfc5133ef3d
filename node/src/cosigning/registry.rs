//! The registry as another party whose ledger and this node's are compared.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::note::{self, Checkpoint, VerifierKey};
use jisr_ledger::seal;
use jisr_ledger::witness::WitnessError;
use jisr_proto::registry::{CosignRequest, HelloRequest, HelloResponse};
use jisr_proto::statement::{Finding, FindingKind};
use tokio::time::Instant;

use crate::closets::Closets;
use crate::doors::Stopped;
use crate::monitor;

/// Between two looks at whether it is time.
const LOOK: Duration = Duration::from_millis(500);
/// How long the registry may take.
const WAIT: Duration = Duration::from_secs(5);

/// Compares with the registry every few seconds under traffic or while a peer owes proofs, every half minute else.
pub(crate) async fn compare_with_registry(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut last: Option<(Instant, u64)> = None;
    loop {
        let size = closets.ledger.size();
        let wait = match last {
            None => Duration::ZERO,
            Some((_, seen)) if seen != size || closets.owed.is_anything() => closets.config.watch.busy,
            Some(_) => closets.config.watch.idle,
        };
        if closets.standing.is_running() && last.is_none_or(|(at, _)| at.elapsed() >= wait) {
            last = Some((Instant::now(), size));
            let told = tokio::time::timeout(WAIT, greet_registry(&closets)).await;
            if let Err(text) = told.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
                tracing::debug!(text, "ledgers could not be compared with the registry");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Shows the registry the own newest checkpoint and what is held of its ledger; judges what it shows.
///
/// # Errors
/// It could not be asked, or its answer does not hold, in words.
pub(crate) async fn greet_registry(closets: &Arc<Closets>) -> Result<(), String> {
    let asked = held_of_registry(closets).await;
    let checkpoint = closets.watching.shown();
    let request = HelloRequest {
        origin: closets.origin.to_string(),
        recovering: checkpoint.is_empty(),
        checkpoint,
        yours: asked.clone(),
    };
    let answered = closets.registry.client().hello(request).await;
    let answer = answered.map_err(|status| status.to_string())?.into_inner();
    if answer.lacks_from < answer.lacks_until {
        monitor::give_back(closets, answer.lacks_from..answer.lacks_until).await?;
    }
    let judging = Arc::clone(closets);
    let line = tokio::task::spawn_blocking(move || judge(&judging, &asked, &answer));
    let line = line.await.map_err(|error| error.to_string())??;
    if let Some(checkpoint) = line {
        let cosigned = closets.registry.client().cosign(CosignRequest { checkpoint }).await;
        cosigned.map_err(|status| status.to_string())?;
    }
    Ok(())
}

/// The newest checkpoint of the registry's ledger that was checked; before the first comparison the one under which the snapshot
/// stands.
async fn held_of_registry(closets: &Arc<Closets>) -> Bytes {
    let anchor = closets.directory.anchor();
    let checked = closets.watching.checked_note(&anchor.registry_origin);
    if !checked.is_empty() {
        return checked;
    }
    let seal = closets
        .directory
        .newest()
        .and_then(|view| view.signed.entry.clone()?.seal);
    let Some(first) = seal.map(|seal| seal.checkpoint) else {
        return Bytes::new();
    };
    let (watching, key, note) = (
        Arc::clone(&closets.watching),
        anchor.registry_key.clone(),
        first.clone(),
    );
    let observed = tokio::task::spawn_blocking(move || watching.witness.observe(&note, &[], &key));
    match observed.await {
        Ok(Ok(_)) => first,
        _ => closets.watching.checked_note(&anchor.registry_origin),
    }
}

/// Blocks on disk. Returns the registry's checkpoint with the own cosignature, where it is a newer one.
fn judge(closets: &Closets, asked: &Bytes, answer: &HelloResponse) -> Result<Option<Bytes>, String> {
    let watching = &closets.watching;
    let name = closets.directory.anchor().instance.registry();
    // The registry witnesses everyone: what it does not hold it was never shown. While it waits itself it may not know yet.
    watching
        .held_of_us(&name, &answer.yours, !answer.recovering)
        .map_err(|fault| fault.to_string())?;
    if closets.standing.is_running() && closets.cosigning.size() == closets.ledger.size() {
        closets.cosigning.reached_quorum();
    }
    if answer.checkpoint.is_empty() || answer.checkpoint == *asked {
        return Ok(None);
    }
    let key = &closets.directory.anchor().registry_key;
    let shown = note::open(&answer.checkpoint, key).map_err(|error| format!("its checkpoint: {error}"))?;
    let held = note::open(asked, key).map_or(0, |held| held.size);
    let proof = seal::path(&answer.proof).map_err(|error| error.to_string())?;
    let time_s = closets.clock.now_us() / 1_000_000;
    let known = |note: &Bytes| note == asked;
    match watching
        .witness
        .add_checkpoint(held, &proof, &answer.checkpoint, key, time_s)
    {
        Ok(line) => Ok(Some([&answer.checkpoint, line.as_bytes()].concat().into())),
        Err(WitnessError::Lost(text)) => {
            let observed = watching.witness.observe(&answer.checkpoint, &proof, key);
            observed.map(|_| None).map_err(|error| format!("{text}; {error}"))
        }
        Err(WitnessError::OldSize { old, new }) => {
            let text = format!("it shows {new} entries as its newest, and showed {old} before");
            Err(found(
                closets,
                FindingKind::LedgerRolledBack,
                [asked, &answer.checkpoint],
                text,
            ))
        }
        Err(WitnessError::Conflict { note, .. }) if is_other_tree(&note, &shown, key) => {
            let text = format!("it signed two trees of {} entries", shown.size);
            Err(found(
                closets,
                FindingKind::LedgerForked,
                [&note, &answer.checkpoint],
                text,
            ))
        }
        Err(WitnessError::Inconsistent { old, new, note, .. }) if known(&note) => {
            let text = format!("its tree of {new} entries does not continue the one of {old} that it showed before");
            Err(found(
                closets,
                FindingKind::LedgerForked,
                [&note, &answer.checkpoint],
                text,
            ))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a note is of the same size and another root. One of another size only says that something was checked meanwhile.
fn is_other_tree(note: &Bytes, shown: &Checkpoint, key: &VerifierKey) -> bool {
    note::open(note, key).is_ok_and(|known| known.size == shown.size && known.root != shown.root)
}

/// The registry's own ledger cannot be true. Exchanges go on from the snapshot that is held; the next ones will not be believed if
/// they do not continue it.
fn found(closets: &Closets, kind: FindingKind, notes: [&Bytes; 2], text: String) -> String {
    if !closets.watching.registry_doubted.swap(true, Ordering::AcqRel) {
        closets.findings.found(Finding {
            kind: kind.into(),
            origin: closets.directory.anchor().registry_origin.to_string(),
            notes: notes.into_iter().cloned().collect(),
            text: format!("the registry: {text}"),
            ..Finding::default()
        });
    }
    text
}
