//! Entries of the registry's ledger, kept beside the own ledger: evidence can then be made when there is no registry any more.
//!
//! `DATA/registry-entries/INDEX` holds a canonical `jisr.statement.v1.Sealed`.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jisr_ledger::evidence::Piece;
use jisr_ledger::files::create_directory;
use jisr_proto::registry::EntriesRequest;
use jisr_proto::snapshot::SignedSnapshot;
use jisr_proto::statement::{Agreement, Sealed};
use prost::Message as _;

use super::gathering::piece;
use crate::archive::Excerpt;
use crate::closets::Closets;
use crate::setup::Layout;

/// How long the registry may take to show entries.
const REGISTRY_WAIT: Duration = Duration::from_secs(5);
/// Entries asked for at once.
const ENTRIES_AT_ONCE: usize = 64;

/// The entries with these indexes: as the registry shows them now, all under one checkpoint; else as they are kept here.
pub(super) async fn entries(closets: &Arc<Closets>, indexes: &BTreeSet<u64>, lacks: &mut Vec<String>) -> Vec<Piece> {
    let wanted: Vec<u64> = indexes.iter().copied().collect();
    let (mut found, mut silent, mut withheld) = (Vec::new(), None, BTreeSet::new());
    for some in wanted.chunks(ENTRIES_AT_ONCE) {
        let shown = match &silent {
            None => fetch(closets, some).await,
            Some(_) => Ok(Fetched::default()),
        };
        match shown {
            Ok(shown) => {
                found.extend(shown.entries);
                withheld.extend(shown.withheld);
            }
            Err(error) => silent = Some(error),
        }
    }
    let have: HashSet<u64> = found.iter().map(|entry| entry.index).collect();
    let mut missing = Vec::new();
    for index in indexes.difference(&have.into_iter().collect()) {
        match kept(closets, *index) {
            Some(entry) => found.push(entry),
            None if withheld.contains(index) => {}
            None => missing.push(index.to_string()),
        }
    }
    withheld.retain(|index| found.iter().all(|entry| entry.index != *index));
    if !withheld.is_empty() {
        let withheld: Vec<String> = withheld.iter().map(u64::to_string).collect();
        lacks.push(format!(
            "entries {} of the registry's ledger: they concern agreements of others, whose parties alone are shown them",
            withheld.join(", ")
        ));
    }
    if !missing.is_empty() {
        let why = silent.unwrap_or_else(|| "it did not show them".to_owned());
        lacks.push(format!(
            "entries {} of the registry's ledger: {why}, and they are not kept here",
            missing.join(", ")
        ));
    }
    found
}

/// What the registry showed.
#[derive(Default)]
struct Fetched {
    entries: Vec<Piece>,
    /// Indexes of entries that are not for this member.
    withheld: Vec<u64>,
}

/// Fetches entries from the registry, verifies and keeps them.
async fn fetch(closets: &Arc<Closets>, indexes: &[u64]) -> Result<Fetched, String> {
    let request = EntriesRequest {
        indexes: indexes.to_vec(),
    };
    let fetched = tokio::time::timeout(REGISTRY_WAIT, closets.registry.client().entries(request)).await;
    let response = fetched
        .map_err(|_| "the registry did not show its entries in time".to_owned())?
        .map_err(|status| format!("the registry did not show its entries: {}", status.message()))?
        .into_inner();
    let wanted: HashSet<u64> = indexes.iter().copied().collect();
    let mut found = Vec::with_capacity(indexes.len());
    for sealed in &response.entries {
        let entry = verified(closets, sealed)?;
        if wanted.contains(&entry.index) {
            keep(closets, entry.index, sealed);
            found.push(entry);
        }
    }
    Ok(Fetched {
        entries: found,
        withheld: response.withheld,
    })
}

fn verified(closets: &Closets, sealed: &Sealed) -> Result<Piece, String> {
    let anchor = closets.directory.anchor();
    let verified = closets
        .seals
        .verify(sealed, &anchor.registry_key)
        .map_err(|error| error.to_string())?;
    Ok(piece(&verified, &anchor.registry_origin))
}

/// SNAPSHOT_PUBLISHED, as it came with the snapshot.
pub(super) fn of_snapshot(closets: &Closets, signed: &SignedSnapshot) -> Result<Piece, String> {
    verified(
        closets,
        signed.entry.as_ref().ok_or("a snapshot came without its entry")?,
    )
}

fn path(closets: &Closets, index: u64) -> PathBuf {
    Layout::new(&closets.config.data)
        .registry_entries()
        .join(index.to_string())
}

fn kept(closets: &Closets, index: u64) -> Option<Piece> {
    let bytes = std::fs::read(path(closets, index)).ok()?;
    let entry = verified(closets, &Sealed::decode(bytes.as_slice()).ok()?).ok()?;
    (entry.index == index).then_some(entry)
}

fn keep(closets: &Closets, index: u64, sealed: &Sealed) {
    let path = path(closets, index);
    if path.exists() {
        return;
    }
    let dir = Layout::new(&closets.config.data).registry_entries();
    let kept = create_directory(&dir).and_then(|()| closets.disk.replace(&path, &sealed.encode_to_vec()));
    if let Err(error) = kept {
        tracing::error!(%error, index, "an entry of the registry's ledger could not be kept for later evidence");
    }
}

/// Fetches and keeps what exchanges of this member rest on, for each snapshot that is kept; to be called from time to time.
/// `done` remembers for which versions that was done.
pub(crate) async fn keep_entries(closets: &Arc<Closets>, done: &Mutex<HashSet<u64>>) {
    let known = done.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let reading = Arc::clone(closets);
    let needed = tokio::task::spawn_blocking(move || {
        let versions = reading.archive.versions();
        let new = versions.into_iter().filter(|version| !known.contains(version));
        new.map(|version| (version, lacking(&reading, version)))
            .collect::<Vec<_>>()
    });
    let Ok(needed) = needed.await else { return };
    let wanted: BTreeSet<u64> = needed.iter().flat_map(|(_, indexes)| indexes).copied().collect();
    let wanted: Vec<u64> = wanted.into_iter().collect();
    for some in wanted.chunks(ENTRIES_AT_ONCE) {
        if let Err(error) = fetch(closets, some).await {
            tracing::debug!(
                error,
                "entries of the registry's ledger are kept when it can be reached again"
            );
            return;
        }
    }
    let versions = needed.into_iter().map(|(version, _)| version);
    done.lock().unwrap_or_else(PoisonError::into_inner).extend(versions);
}

/// Entries that exchanges of this member under that snapshot rest on and that are not kept yet.
fn lacking(closets: &Closets, version: u64) -> BTreeSet<u64> {
    let Some(Excerpt { listed: snapshot, .. }) = closets.archive.find(version) else {
        return BTreeSet::new();
    };
    let own = format!("{}/", closets.node.member());
    let (mut members, mut indexes) = (HashSet::new(), BTreeSet::new());
    for row in &snapshot.agreements {
        let Ok(agreement) = Agreement::decode(row.document.clone()) else {
            continue;
        };
        if !agreement.consumer.starts_with(&own) && !agreement.provider.starts_with(&own) {
            continue;
        }
        indexes.insert(row.entry);
        let of = |service: &&jisr_proto::snapshot::Service| {
            service.provider == agreement.provider
                && agreement.methods.iter().any(|method| method.service == service.name)
        };
        indexes.extend(snapshot.services.iter().filter(of).map(|service| service.entry));
        let member = |subsystem: &str| subsystem.rsplit_once('/').map(|(member, _)| format!("{member}/node/"));
        members.extend(member(&agreement.consumer));
        members.extend(member(&agreement.provider));
    }
    let is_party = |node: &&jisr_proto::snapshot::Node| members.iter().any(|member| node.id.starts_with(member));
    indexes.extend(snapshot.nodes.iter().filter(is_party).map(|node| node.entry));
    indexes.retain(|index| !path(closets, *index).exists());
    indexes
}
