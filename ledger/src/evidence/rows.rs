//! Which rows of the snapshots a file rests on: the others are left out, so that it does not grow with the network.

use super::needs::AgreedIn;
use crate::{
    note::SignedNote,
    snapshot::{Listed, agreement_key, node_key, revoked_key, service_key, witness_key},
    statement::Act,
};
use bytes::Bytes;
use jisr_certs::digest::{domain, sha256};
use jisr_proto::{
    ident::Origin,
    snapshot::{Row, ShownRow, ShownRows},
    statement::Core,
};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Keys of rows on which something in a file rests.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Where one is not listed, that is to be seen.
    keys: BTreeSet<String>,
    /// Where one is not listed, nothing follows.
    witnesses: BTreeSet<String>,
}

impl Wanted {
    /// Adds what a statement in this ledger rests on.
    pub(super) fn statement(&mut self, origin: &str, core: &Core) {
        self.node(origin);
        self.node(&core.provider_origin);
        self.keys.insert(service_key(&core.service, &core.provider));
        self.keys.insert(agreement_key(&core.agreement));
    }

    /// Adds what an entry of the registry's ledger makes a verifier look for.
    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Node(act) => {
                if let Some(node) = &act.node {
                    self.node(&node.origin);
                    self.keys.insert(revoked_key(&sha256(&[&node.seal_certificate])));
                }
            }
            Act::Agreement(act) => AgreedIn::in_act(act)
                .iter()
                .for_each(|agreed| self.node(&agreed.origin)),
            _ => {}
        }
    }

    /// Adds the witnesses whose cosignatures stand on a checkpoint.
    pub(super) fn checkpoint(&mut self, note: &[u8]) {
        let Ok(note) = SignedNote::parse(note) else { return };
        for line in &note.signatures {
            self.witnesses.insert(witness_key(line.name));
            let node = line
                .name
                .strip_suffix("/witness")
                .and_then(|name| name.strip_prefix("jisr/"));
            if let Some((member, code)) = node.and_then(|node| node.rsplit_once('/')) {
                self.witnesses.insert(node_key(&format!("{member}/node/{code}")));
            }
        }
    }

    fn node(&mut self, origin: &str) {
        let origin = origin.parse::<Origin>().ok();
        self.keys
            .extend(origin.and_then(|origin| Some(node_key(origin.node()?.as_str()))));
    }

    /// What is wanted of these rows: those with a wanted key, authorities, and where a wanted key is not listed the keys on both
    /// sides.
    pub(super) fn of(&self, rows: ShownRows) -> ShownRows {
        let all = rows.rows;
        let mut chosen: BTreeMap<usize, bool> = BTreeMap::new();
        for (at, row) in all.iter().enumerate() {
            if row.key.starts_with("authority/") || self.witnesses.contains(&row.key) {
                chosen.insert(at, true);
            }
        }
        for key in &self.keys {
            match all.binary_search_by(|row| row.key.as_str().cmp(key)) {
                Ok(at) => drop(chosen.insert(at, true)),
                Err(at) => {
                    let beside = at
                        .checked_sub(1)
                        .into_iter()
                        .chain(Some(at).filter(|at| *at < all.len()));
                    for at in beside {
                        chosen.entry(at).or_insert(false);
                    }
                }
            }
        }
        let kept = all.into_iter().enumerate();
        let kept = kept.filter_map(|(at, row)| match chosen.get(&at)? {
            true => Some(row),
            false => Some(without_content(row)),
        });
        ShownRows {
            root: rows.root,
            rows: kept.collect(),
        }
    }
}

/// The row's place and key alone.
fn without_content(row: ShownRow) -> ShownRow {
    if row.row.is_empty() {
        return row;
    }
    ShownRow {
        content: Bytes::copy_from_slice(&domain("jisr.row", &[&row.row])),
        row: Bytes::new(),
        ..row
    }
}

/// The rows that are there with their content, by what they say. Nothing is checked: for whoever makes a file.
#[must_use]
pub fn listed_in(rows: &ShownRows) -> Listed {
    let rows = rows.rows.iter().filter(|row| !row.row.is_empty());
    rows.filter_map(|row| Row::decode(row.row.clone()).ok()).collect()
}
