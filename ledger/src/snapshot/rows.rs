//! All rows of a snapshot as one side holds them.

use super::{Header, RowsError, row};
use crate::{Hash, tree::Frontier};
use bytes::Bytes;
use jisr_proto::snapshot::{Row, RowChange};
use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

/// What is held of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// `D(jisr.row, row)`.
    pub content: Hash,
    /// Canonical bytes of the row; none where they are not shown to this side.
    pub row: Option<Bytes>,
    /// Its leaf hash in the tree.
    pub(super) leaf: Hash,
}

impl Known {
    fn of(key: &str, row: Bytes) -> Self {
        let content = row::content(&row);
        Self {
            content,
            row: Some(row),
            leaf: row::leaf(key, &content),
        }
    }

    fn hidden(key: &str, content: Hash) -> Self {
        Self {
            content,
            row: None,
            leaf: row::leaf(key, &content),
        }
    }
}

/// Rows by key, and what is known of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    by_key: BTreeMap<Arc<str>, Known>,
}

impl Rows {
    /// The rows that are listed next, each with its key; and the keys at which they differ from these. Rows that are the same are
    /// not hashed again.
    #[must_use]
    pub fn next(&self, rows: impl IntoIterator<Item = (String, Bytes)>) -> (Rows, Vec<Arc<str>>) {
        let (mut by_key, mut changed) = (BTreeMap::new(), Vec::new());
        for (key, row) in rows {
            match self.by_key.get_key_value(key.as_str()) {
                Some((key, known)) if known.row.as_ref() == Some(&row) => {
                    by_key.insert(Arc::clone(key), known.clone());
                }
                _ => {
                    let (known, key) = (Known::of(&key, row), Arc::<str>::from(key));
                    changed.push(Arc::clone(&key));
                    by_key.insert(key, known);
                }
            }
        }
        changed.extend(self.by_key.keys().filter(|key| !by_key.contains_key(*key)).cloned());
        (Rows { by_key }, changed)
    }

    /// These rows with changes. A row that is told by its content digest alone, and is held with that content, stays held.
    ///
    /// # Errors
    /// [`RowsError::Row`]: a change is out of form, its key follows not from its content, keys do not ascend, or what is removed is
    /// not there.
    pub fn with(&self, changes: &[RowChange]) -> Result<Rows, RowsError> {
        if !changes.is_sorted_by(|one, next| one.key < next.key) {
            return Err(RowsError::row("", "the changes do not stand by key, each once"));
        }
        let mut rows = self.clone();
        for change in changes {
            rows.change(change)?;
        }
        Ok(rows)
    }

    fn change(&mut self, change: &RowChange) -> Result<(), RowsError> {
        let key = change.key.as_str();
        row::check_key(key)?;
        let known = match (change.removed, change.row.is_empty(), change.content.is_empty()) {
            (true, true, true) => {
                let removed = self.by_key.remove(key).map(drop);
                return removed.ok_or_else(|| RowsError::row(key, "it is removed, and was never there"));
            }
            (false, false, true) => {
                row::read(key, &change.row)?;
                // A copy: the row is kept long after the message in which it came.
                Known::of(key, Bytes::copy_from_slice(&change.row))
            }
            (false, true, false) => {
                let content = change.content.as_ref().try_into();
                let content = content.map_err(|_| RowsError::row(key, "its content digest is not 32 bytes long"))?;
                match self.by_key.get(key) {
                    Some(held) if held.content == content => return Ok(()),
                    _ => Known::hidden(key, content),
                }
            }
            _ => return Err(RowsError::row(key, "it is neither shown, nor withheld, nor removed")),
        };
        self.by_key.insert(key.into(), known);
        Ok(())
    }

    /// The same changes, with those rows shown that are withheld there and held here with that content.
    #[must_use]
    pub fn known_of(&self, changes: &[RowChange]) -> Vec<RowChange> {
        let known = |change: &RowChange| {
            let held = self.by_key.get(change.key.as_str());
            let held = held.filter(|held| change.row.is_empty() && change.content == held.content.as_slice());
            match held.and_then(|held| held.row.clone()) {
                Some(row) => RowChange {
                    row,
                    content: Bytes::new(),
                    ..change.clone()
                },
                None => change.clone(),
            }
        };
        changes.iter().map(known).collect()
    }

    /// Checks that these are the rows of the header.
    ///
    /// # Errors
    /// [`RowsError::Root`].
    pub fn check(&self, header: &Header) -> Result<(), RowsError> {
        if self.len() == header.rows && self.root() == header.root {
            return Ok(());
        }
        Err(RowsError::Root {
            rows: self.len(),
            expected: header.rows,
        })
    }

    /// Root of the tree over the rows.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut frontier = Frontier::new();
        self.by_key.values().for_each(|known| frontier.push(known.leaf));
        frontier.root()
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.by_key.len() as u64
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// What is held of the row with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Known> {
        self.by_key.get(key)
    }

    /// All keys, ascending, and what is held of each row.
    pub fn iter(&self) -> btree_map::Iter<'_, Arc<str>, Known> {
        self.by_key.iter()
    }

    /// The same of the keys after this one.
    pub fn after<'r>(&'r self, key: &str) -> btree_map::Range<'r, Arc<str>, Known> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_key.range::<str, _>((Excluded(key), Unbounded))
    }

    /// The rows that are held with their content, read.
    pub fn read(&self) -> impl Iterator<Item = Row> {
        let shown = self.by_key.iter();
        shown.filter_map(|(key, known)| row::read(key, known.row.as_ref()?).ok())
    }
}
