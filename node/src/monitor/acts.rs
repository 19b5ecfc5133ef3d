//! Nothing takes effect here that administrators had to sign and did not: the registry's ledger is read before a snapshot that follows
//! from it is taken up.

use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::note;
use jisr_proto::snapshot::SnapshotUpdate;
use jisr_proto::statement::{Finding, FindingKind};

use super::followed::Following;
use crate::closets::Closets;
use crate::directory::View;
use crate::doors::Stopped;
use crate::snapshots::SnapshotError;

/// Entries that may have to be read before a snapshot is taken up. A node that is further behind, as after it has enrolled, takes it up
/// and judges as it catches up.
const BEHIND_MAX: u64 = 1024;
/// Between two attempts to read on.
const AGAIN: Duration = Duration::from_secs(2);

/// Index of the entry after the one that publishes a snapshot.
fn until(view: &View) -> u64 {
    let seal = view.signed.entry.as_ref().and_then(|entry| entry.seal.as_ref());
    seal.map_or(0, |seal| seal.index + 1)
}

/// Judges a snapshot that was offered by the entries that it follows from.
///
/// # Errors
/// [`SnapshotError::Unread`], [`SnapshotError::Unfounded`].
pub(crate) async fn judge(closets: &Closets, view: &View, update: &SnapshotUpdate) -> Result<(), SnapshotError> {
    let until = until(view);
    let mut following = closets.followed.look().await;
    if until.saturating_sub(following.next) > BEHIND_MAX {
        return Ok(());
    }
    while !closets
        .followed
        .read_on(&mut following, closets, until)
        .await
        .map_err(SnapshotError::Unread)?
    {}
    following.judge(until);
    tell(closets, &mut following);
    let rows = update.changes.iter().map(|change| &change.row);
    let judged = following.founded.all_stand(rows);
    judged.map_err(|text| {
        found(closets, view, &text);
        SnapshotError::Unfounded(text)
    })
}

/// Reads the registry's ledger as far as it is known, and judges what the newest snapshot follows from, until `stopped`.
pub(crate) async fn read(closets: Arc<Closets>, mut stopped: Stopped) {
    loop {
        tokio::select! {
            read = catch_up(&closets) => if let Err(text) = read {
                tracing::debug!(text, "the registry's ledger is not read on");
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// How many entries the registry's ledger is known to have.
fn known(closets: &Closets) -> u64 {
    let anchor = closets.directory.anchor();
    let checked = closets.watching.checked_note(&anchor.registry_origin);
    note::open(&checked, &anchor.registry_key).map_or(0, |checked| checked.size)
}

async fn catch_up(closets: &Closets) -> Result<(), String> {
    // Each time anew: while some entries are read a snapshot may be judged.
    loop {
        let Some(view) = closets.directory.newest() else {
            return Ok(());
        };
        let mut following = closets.followed.look().await;
        let is_done = closets
            .followed
            .read_on(&mut following, closets, known(closets).max(until(&view)))
            .await?;
        if following.next >= until(&view) && following.judged < until(&view) {
            following.judge(until(&view));
            tell(closets, &mut following);
            let rows = view.rows.iter().filter_map(|(_, known)| known.row.as_ref());
            if let Err(text) = following.founded.all_stand(rows) {
                found(closets, &view, &text);
            }
        }
        if is_done {
            return Ok(());
        }
    }
}

/// Tells what nobody signed.
fn tell(closets: &Closets, following: &mut Following) {
    for text in following.invented.drain(..) {
        let finding = Finding {
            kind: FindingKind::ActInvented.into(),
            origin: closets.directory.anchor().registry_origin.to_string(),
            text: format!("{text}; it has no effect here. Tell the registry's operator and the other members"),
            ..Finding::default()
        };
        closets.findings.found_once(text, finding);
    }
}

/// Tells of a snapshot that rests on it.
fn found(closets: &Closets, view: &View, text: &str) {
    let finding = Finding {
        kind: FindingKind::RowUnfounded.into(),
        origin: closets.directory.anchor().registry_origin.to_string(),
        notes: vec![view.signed.note.clone()],
        text: format!(
            "snapshot {}: {text}. Tell the registry's operator and the other members",
            view.version
        ),
        ..Finding::default()
    };
    closets.findings.found_once(text.to_owned(), finding);
}
