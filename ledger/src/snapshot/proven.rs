//! Rows that somebody showed with proofs, checked against a header.

use super::{Header, RowsError, row};
use crate::{Hash, seal, tree::root_from_path};
use jisr_proto::snapshot::{Row, ShownRow};

/// Most rows that may be shown of one snapshot.
pub const ROWS_SHOWN_MAX: usize = 1 << 16;

/// Rows that stand in the tree of a header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProvenRows {
    rows: Vec<Place>,
    /// How many rows the header has.
    count: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Place {
    key: String,
    index: u64,
    row: Option<Row>,
}

/// How a key stands in a snapshot, by the rows that were shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'s> {
    /// It is listed, and says this.
    Listed(&'s Row),
    /// It is listed; what it says was not shown.
    Withheld,
    /// It is not listed: its neighbours stand side by side.
    Absent,
    /// The rows that were shown do not say.
    Unknown,
}

impl ProvenRows {
    /// Checks each row's form and path.
    ///
    /// # Errors
    /// [`RowsError`]: too many, out of order, a row's key is not that of its content, a path leads to another root.
    pub fn check(shown: &[ShownRow], header: &Header) -> Result<Self, RowsError> {
        let size = header.rows;
        if shown.len() > ROWS_SHOWN_MAX {
            return Err(RowsError::Header(format!(
                "more than {ROWS_SHOWN_MAX} of its rows are shown"
            )));
        }
        let mut rows: Vec<Place> = Vec::with_capacity(shown.len());
        for raw in shown {
            let last = rows.last();
            if last.is_some_and(|last| last.index >= raw.index || last.key >= raw.key) {
                return Err(RowsError::row(
                    &raw.key,
                    "it does not stand by place and key, each once",
                ));
            }
            let (row, content) = opened(raw)?;
            let path = seal::path(&raw.path).map_err(|_| RowsError::row(&raw.key, "its path is out of form"))?;
            let leaf = row::leaf(&raw.key, &content);
            if root_from_path(raw.index, size, &leaf, &path) != Some(header.root) {
                return Err(RowsError::row(&raw.key, "its path does not lead to the header's root"));
            }
            rows.push(Place {
                key: raw.key.clone(),
                index: raw.index,
                row,
            });
        }
        Ok(Self { rows, count: size })
    }

    /// How this key stands.
    #[must_use]
    pub fn find(&self, key: &str) -> Standing<'_> {
        let at = match self.rows.binary_search_by(|place| place.key.as_str().cmp(key)) {
            Ok(at) => {
                let row = self.rows.get(at).and_then(|place| place.row.as_ref());
                return row.map_or(Standing::Withheld, Standing::Listed);
            }
            Err(at) => at,
        };
        // Side by side, with the ends of the list as neighbours of the first and the last row.
        let before = at.checked_sub(1).and_then(|at| self.rows.get(at));
        let next = before.map_or(0, |place| place.index + 1);
        let after = self.rows.get(at).map_or(self.count, |place| place.index);
        if next == after {
            Standing::Absent
        } else {
            Standing::Unknown
        }
    }

    /// The rows that were shown with their content.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter_map(|place| place.row.as_ref())
    }
}

/// The row, where it is shown, and its content digest.
fn opened(raw: &ShownRow) -> Result<(Option<Row>, Hash), RowsError> {
    row::check_key(&raw.key)?;
    match (raw.row.is_empty(), raw.content.is_empty()) {
        (false, true) => Ok((Some(row::read(&raw.key, &raw.row)?), row::content(&raw.row))),
        (true, false) => {
            let content = raw.content.as_ref().try_into();
            let content = content.map_err(|_| RowsError::row(&raw.key, "its content digest is not 32 bytes long"))?;
            Ok((None, content))
        }
        _ => Err(RowsError::row(&raw.key, "it is neither shown nor withheld")),
    }
}
