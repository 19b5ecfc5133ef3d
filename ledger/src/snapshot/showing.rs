//! Picks rows to be shown with proofs.

use super::Rows;
use crate::{
    Hash,
    tree::{Nodes, inclusion},
};
use bytes::Bytes;
use jisr_proto::snapshot::{ShownRow, ShownRows};
use std::collections::BTreeMap;

/// Rows with proofs, while they are picked. Costs a pass over all rows.
#[derive(Debug)]
pub struct Showing<'r> {
    rows: &'r Rows,
    keys: Vec<&'r str>,
    levels: Levels,
    /// By place: with its content?
    chosen: BTreeMap<usize, bool>,
}

/// The complete subtrees, by level.
#[derive(Debug)]
struct Levels(Vec<Vec<Hash>>);

impl Nodes for Levels {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0
            .get(usize::from(level))?
            .get(usize::try_from(index).ok()?)
            .copied()
    }
}

impl<'r> Showing<'r> {
    /// Nothing is picked yet.
    #[must_use]
    pub fn new(rows: &'r Rows) -> Self {
        let mut levels: Vec<Vec<Hash>> = vec![rows.iter().map(|(_, known)| known.leaf).collect()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let pairs = below.as_chunks::<2>().0.iter();
            levels.push(pairs.map(|[left, right]| crate::tree::node_hash(left, right)).collect());
        }
        Self {
            rows,
            keys: rows.iter().map(|(key, _)| &**key).collect(),
            levels: Levels(levels),
            chosen: BTreeMap::new(),
        }
    }

    /// Shows the row with this key; where there is none, the keys between which it would stand.
    pub fn row(&mut self, key: &str) {
        match self.keys.binary_search(&key) {
            Ok(at) => {
                self.chosen.insert(at, true);
            }
            Err(at) => self.beside(at, at),
        }
    }

    /// Shows every row whose key begins so, and the keys on both sides, so that no other is there.
    pub fn all(&mut self, prefix: &str) {
        let from = self.keys.partition_point(|key| *key < prefix);
        let until = from
            + self
                .keys
                .iter()
                .skip(from)
                .take_while(|key| key.starts_with(prefix))
                .count();
        for at in from..until {
            self.chosen.insert(at, true);
        }
        self.beside(from, until);
    }

    /// The keys before `from` and at `until`.
    fn beside(&mut self, from: usize, until: usize) {
        let before = from.checked_sub(1);
        let after = Some(until).filter(|until| *until < self.keys.len());
        for at in before.into_iter().chain(after) {
            self.chosen.entry(at).or_insert(false);
        }
    }

    /// What was picked, with proofs.
    #[must_use]
    pub fn finish(self) -> ShownRows {
        let size = self.rows.len();
        let shown = |(at, with_content): (&usize, &bool)| {
            let key = *self.keys.get(*at)?;
            let known = self.rows.get(key)?;
            let row = known.row.as_ref().filter(|_| *with_content);
            let content = row.map_or_else(|| Bytes::copy_from_slice(&known.content), |_| Bytes::new());
            let path = inclusion(&self.levels, *at as u64, size)?;
            Some(ShownRow {
                key: key.to_owned(),
                row: row.cloned().unwrap_or_default(),
                content,
                index: *at as u64,
                path: path.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
            })
        };
        ShownRows {
            root: Bytes::copy_from_slice(&self.rows.root()),
            rows: self.chosen.iter().filter_map(shown).collect(),
        }
    }
}
