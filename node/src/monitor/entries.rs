//! Entries of the registry's ledger, asked of the registry; each under its seal.

use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::{Act, Parsed};
use jisr_proto::registry::EntriesRequest;

use crate::closets::Closets;
use crate::directory::View;

/// Entries asked for at once.
const AT_ONCE: usize = 64;
/// Entries that are read so as to find why a row is gone: those of more than a month of refreshed snapshots.
const BETWEEN_MAX: u64 = 65_536;

/// Entries at these places, without those that are not for this member; `None` where the registry does not answer, or not with entries
/// of its ledger.
pub(super) async fn read(closets: &Closets, indexes: &[u64]) -> Option<Vec<(u64, Parsed)>> {
    let request = EntriesRequest {
        indexes: indexes.to_vec(),
    };
    let answered = closets.registry.client().entries(request).await;
    let answer = answered
        .inspect_err(|status| tracing::debug!(%status, "entries of the registry's ledger cannot be read"))
        .ok()?
        .into_inner();
    let (verifier, key) = (SealVerifier::default(), &closets.directory.anchor().registry_key);
    let mut entries = Vec::with_capacity(indexes.len());
    for sealed in &answer.entries {
        let entry = verifier.verify(sealed, key);
        let entry = entry
            .inspect_err(|error| tracing::error!(%error, "the registry shows an entry that its ledger does not hold"))
            .ok()?;
        let index = sealed.seal.as_ref()?.index;
        entries.push((index, entry.statement.clone()));
    }
    // What it neither shows nor says to withhold is not answered.
    let is_told = |index: &u64| answer.withheld.contains(index) || entries.iter().any(|(at, _)| at == index);
    indexes.iter().all(is_told).then_some(entries)
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
                .filter_map(|(_, entry)| entry.act().cloned()),
        );
    }
    Some(acts)
}
