//! When which witnesses are asked.

use std::sync::Arc;
use std::time::Duration;

use jisr_certs::digest;
use jisr_ledger::anchor::QuorumClass;
use jisr_ledger::ledger::{Record, SignedCheckpoint};
use jisr_ledger::note::{SignedNote, VerifierKey};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Note;
use super::asking::{self, Way, Witness};
use crate::closets::Closets;
use crate::directory::{NodeRow, View};
use crate::doors::Stopped;

/// Between two cosignatures of the registry under traffic.
const EVERY: Duration = Duration::from_secs(1);
/// Between two rounds in which further witnesses are asked too.
const WIDE_EVERY: Duration = Duration::from_secs(3);
/// Between two rounds over the same checkpoint, where somebody needs more cosignatures on it.
const MORE_EVERY: Duration = Duration::from_secs(10);
/// Further witnesses of a round.
const FURTHER_MAX: usize = 8;

/// Has the own checkpoints cosigned while there is something new, until `stopped`.
pub(crate) async fn cosign(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut last_wide: Option<Instant> = None;
    // What was shown to the registry alone, and to all, last.
    let (mut narrow_size, mut wide_size) = (0, 0);
    let mut in_haste = false;
    loop {
        if closets.standing.is_running() {
            let newest = closets.ledger.checkpoint();
            let pause = if in_haste { EVERY } else { WIDE_EVERY };
            let since = |pause| last_wide.is_none_or(|at: Instant| at.elapsed() >= pause);
            let more = closets.cosigning.lock().more && since(MORE_EVERY);
            if (newest.size > wide_size && since(pause)) || more {
                last_wide = Some(Instant::now());
                closets.cosigning.lock().more = false;
                if round(&closets, &newest, true).await {
                    (narrow_size, wide_size) = (newest.size, newest.size);
                }
            } else if newest.size > narrow_size && round(&closets, &newest, false).await {
                narrow_size = newest.size;
            }
        }
        in_haste = tokio::select! {
            () = tokio::time::sleep(EVERY) => false,
            () = closets.cosigning.now.notified() => true,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
    }
}

/// One round. Whether a quorum cosigned.
async fn round(closets: &Arc<Closets>, newest: &Arc<SignedCheckpoint>, wide: bool) -> bool {
    let Some(view) = closets.directory.newest() else {
        return false;
    };
    let mut asked = JoinSet::new();
    for witness in witnesses(closets, &view, wide) {
        let (closets, newest) = (Arc::clone(closets), Arc::clone(newest));
        asked.spawn(async move { asking::ask(&closets, &witness, &newest).await });
    }
    let mut lines = Vec::new();
    while let Some(line) = asked.join_next().await {
        lines.extend(line.ok().flatten());
    }
    if lines.is_empty() {
        tracing::warn!(
            size = newest.size,
            "no witness cosigned the own checkpoint; it is tried again"
        );
        return false;
    }
    lines.sort_unstable();
    let note = Note {
        size: newest.size,
        note: [&newest.note, lines.concat().as_bytes()].concat().into(),
    };
    let judged = closets
        .directory
        .policy()
        .cosigned(&note.note, &closets.origin, QuorumClass::Standard, None);
    match judged {
        Ok(cosigned) if cosigned.is_quorum() => keep(closets, note, wide),
        Ok(cosigned) => {
            tracing::warn!(size = newest.size, %cosigned, "too few witnesses cosigned the own checkpoint; it is tried again");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "what witnesses returned does not hold");
            false
        }
    }
}

/// Stores the note with the next commit, where it says more than the one that is stored.
fn keep(closets: &Closets, note: Note, wide: bool) -> bool {
    let lines = |note: &Note| SignedNote::parse(&note.note).map_or(0, |note| note.signatures.len());
    let known = closets.cosigning.lock().newest.clone();
    if known.is_some_and(|known| known.size == note.size && lines(&known) >= lines(&note)) {
        closets.cosigning.reached_quorum();
        return true;
    }
    if let Err(error) = closets.ledger.note_later(Record::Cosigned(note.note.clone())) {
        tracing::warn!(%error, "a cosigned checkpoint could not be stored");
        return false;
    }
    closets.counters.cosigned_us.set(closets.clock.now_us());
    closets.cosigning.reached_quorum();
    let mut inner = closets.cosigning.lock();
    if wide {
        inner.wide = Some(note.clone());
    }
    inner.newest = Some(note);
    true
}

/// The registry, and in a wide round those beside it.
fn witnesses(closets: &Closets, view: &View, wide: bool) -> Vec<Witness> {
    let mut witnesses: Vec<Witness> = registry(closets, view).into_iter().collect();
    if wide {
        witnesses.extend(further(closets, view));
    }
    witnesses
}

/// The registry's witness, as the anchor names it, or else the snapshot.
fn registry(closets: &Closets, view: &View) -> Option<Witness> {
    let anchor = closets.directory.anchor();
    let (name, operator) = (anchor.instance.witness_name(), anchor.instance.registry());
    let anchored = anchor.witnesses.iter().map(|witness| &witness.key);
    let listed = view.witnesses().iter().map(|(key, _)| key);
    let key = anchored.chain(listed).find(|key| key.name() == name)?.clone();
    Some(Witness {
        key,
        operator,
        way: Way::Registry,
    })
}

/// Nodes of other members: those that the snapshot names as witnesses first, then those this node exchanges with, then whom the
/// rendezvous hash gives, so that the load spreads and the choice lasts.
fn further(closets: &Closets, view: &View) -> Vec<Witness> {
    let own = closets.node.member();
    let mut rows: Vec<&Arc<NodeRow>> = view.nodes().filter(|row| row.id.member() != own).collect();
    rows.sort_by_cached_key(|row| {
        let name = row.id.witness_name();
        let is_named = view.witnesses().iter().any(|(key, _)| key.name() == name);
        let is_peer = closets.owed.seen(&row.origin) > 0;
        let score = digest::sha256(&[closets.origin.as_str().as_bytes(), row.origin.as_str().as_bytes()]);
        (!is_named, !is_peer, score)
    });
    rows.into_iter().take(FURTHER_MAX).filter_map(of_node).collect()
}

fn of_node(row: &Arc<NodeRow>) -> Option<Witness> {
    let raw = row.row.witness_key.as_ref().try_into().ok()?;
    Some(Witness {
        key: VerifierKey::new_witness(&row.id.witness_name(), raw).ok()?,
        operator: row.id.member().to_string(),
        way: Way::Node(Arc::clone(row)),
    })
}
