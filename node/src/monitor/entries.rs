//! Entries of the registry's ledger, asked of the registry; each under its seal.

use std::time::Duration;

use jisr_ledger::statement::{Act, Parsed};
use jisr_proto::registry::EntriesRequest;
use jisr_proto::statement::Sealed;

use crate::closets::Closets;
use crate::directory::View;

/// Entries asked for at once.
const AT_ONCE: usize = 64;
/// Entries that are read so as to find why a row is gone: those of more than a month of refreshed snapshots.
const BETWEEN_MAX: u64 = 65_536;
/// How long the registry may take.
const WAIT: Duration = Duration::from_secs(5);

/// An entry whose seal held.
pub(super) struct Entry {
    /// As it was shown.
    pub(super) sealed: Sealed,
    /// What it says.
    pub(super) statement: Parsed,
}

/// Entries at these places by index, without those that are not for this member; `None` where the registry does not answer, or not with
/// entries of its ledger.
pub(super) async fn read(closets: &Closets, indexes: &[u64]) -> Option<Vec<(u64, Entry)>> {
    let request = EntriesRequest {
        indexes: indexes.to_vec(),
    };
    let answered = tokio::time::timeout(WAIT, closets.registry.client().entries(request)).await;
    let answer = answered
        .ok()?
        .inspect_err(|status| tracing::debug!(%status, "entries of the registry's ledger cannot be read"))
        .ok()?
        .into_inner();
    let key = &closets.directory.anchor().registry_key;
    let mut entries = Vec::with_capacity(indexes.len());
    for sealed in answer.entries {
        let entry = closets
            .seals
            .verify(&sealed, key)
            .inspect_err(|error| tracing::error!(%error, "the registry shows an entry that its ledger does not hold"))
            .ok()?;
        let (index, statement) = (sealed.seal.as_ref()?.index, entry.statement.clone());
        entries.push((index, Entry { sealed, statement }));
    }
    // What it neither shows nor says to withhold is not answered.
    let is_told = |index: &u64| answer.withheld.contains(index) || entries.iter().any(|(at, _)| at == index);
    if !indexes.iter().all(is_told) || entries.iter().any(|(at, _)| !indexes.contains(at)) {
        return None;
    }
    entries.sort_by_key(|(index, _)| *index);
    Some(entries)
}

/// What the registry did between two snapshots.
pub(super) async fn between(closets: &Closets, before: &View, view: &View) -> Option<Vec<Act>> {
    let index = |view: &View| Some(view.signed.entry.as_ref()?.seal.as_ref()?.index);
    let (from, to) = (index(before)?, index(view)?);
    let indexes: Vec<u64> = (from.max(to.saturating_sub(BETWEEN_MAX))..to).collect();
    let mut acts = Vec::new();
    for some in indexes.chunks(AT_ONCE) {
        acts.extend(
            read(closets, some)
                .await?
                .iter()
                .filter_map(|(_, entry)| entry.statement.act().cloned()),
        );
    }
    Some(acts)
}
