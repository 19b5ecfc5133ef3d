//! What exchanges rest on: certificates, cited snapshots, entries of the registry's ledger.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::evidence::{AgreedIn, Needs, Piece};

use super::gathering::Gathered;
use super::keeping;
use crate::archive::Excerpt;
use crate::closets::Closets;

/// What one or many exchanges need.
#[derive(Default)]
pub(super) struct Grounds {
    needs: Needs,
    snapshots: BTreeMap<u64, Excerpt>,
    lacking: HashSet<u64>,
}

/// What was found of it.
pub(super) struct Found {
    pub(super) entries: Vec<Piece>,
    pub(super) certificates: Vec<Bytes>,
    pub(super) snapshots: Vec<Excerpt>,
}

impl Grounds {
    /// Adds what an exchange rests on.
    pub(super) fn need(&mut self, closets: &Closets, gathered: &Gathered, lacks: &mut Vec<String>) {
        for piece in &gathered.pieces {
            let core = piece.statement.core();
            let version = core.snapshot_version;
            if let Entry::Vacant(vacant) = self.snapshots.entry(version) {
                match kept(closets, version) {
                    Ok(found) => {
                        vacant.insert(found);
                    }
                    Err(why) => {
                        if version != 0 && self.lacking.insert(version) {
                            lacks.push(why);
                        }
                        continue;
                    }
                }
            }
            if let Some(kept) = self.snapshots.get(&version) {
                self.needs.add(&kept.listed, core);
            }
        }
    }

    /// Fetches the entries of the registry's ledger, or takes those that are kept.
    pub(super) async fn collect(mut self, closets: &Arc<Closets>, lacks: &mut Vec<String>) -> Found {
        let mut published = Vec::new();
        for kept in self.snapshots.values() {
            match keeping::of_snapshot(closets, &kept.signed) {
                Ok(entry) => {
                    self.needs.entries.insert(entry.index);
                    published.push(entry);
                }
                Err(error) => lacks.push(error),
            }
        }
        let mut entries = keeping::entries(closets, &self.needs.entries, lacks).await;
        // Those that came with the snapshots do where nobody shows newer ones.
        let have: HashSet<u64> = entries.iter().map(|entry| entry.index).collect();
        entries.extend(published.into_iter().filter(|entry| !have.contains(&entry.index)));
        entries.extend(self.list_agreeing(closets, &entries));
        Found {
            entries,
            certificates: self.needs.certificates(&closets.issuers),
            snapshots: self.snapshots.into_values().collect(),
        }
    }
}

impl Grounds {
    /// Adds snapshots that list the ledgers in which the parties agreed, where those were succeeded since: the key under which an
    /// officer's word stands is shown by them. Returns the entries that go with them.
    fn list_agreeing(&mut self, closets: &Closets, entries: &[Piece]) -> Vec<Piece> {
        let mut published = Vec::new();
        for agreed in entries.iter().flat_map(AgreedIn::of) {
            if self.snapshots.values().any(|kept| agreed.is_listed(&kept.listed)) {
                continue;
            }
            let versions = std::iter::once(agreed.snapshot_version).chain(closets.archive.versions());
            let found = versions
                .filter_map(|version| Some((version, closets.archive.find(version)?)))
                .find(|(_, kept)| agreed.is_listed(&kept.listed));
            let Some((version, kept)) = found else {
                continue;
            };
            if let Ok(entry) = keeping::of_snapshot(closets, &kept.signed) {
                published.push(entry);
                self.snapshots.insert(version, kept);
            }
        }
        published
    }
}

fn kept(closets: &Closets, version: u64) -> Result<Excerpt, String> {
    let kept = closets.archive.find(version);
    kept.ok_or_else(|| format!("snapshot {version} is not kept here, or its copy is damaged"))
}
