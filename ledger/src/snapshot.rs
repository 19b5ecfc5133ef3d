//! The snapshot as bytes and proofs: a header over an RFC 6962 tree of rows that are sorted by key (docs/formats.md, Snapshot).
//!
//! [`Rows`] is what somebody holds of the rows: all keys, and of each row its content or only the digest of that. From both follows
//! the root, so that whoever is not shown a row still sees that it is there. [`Showing`] picks rows with proofs, [`ProvenRows`] checks
//! them against a [`Header`]. Signature and ledger entry are checked elsewhere: a header as such says nothing.

mod header;
mod row;
mod rows;
mod showing;
mod proven;
mod listed;

pub use header::Header;
pub use listed::Listed;
pub use proven::{ProvenRows, ROWS_SHOWN_MAX, Standing};
pub use row::{
    State, agreement_key, authority_key, key_of, node_key, revoked_key, row_bytes, service_key, witness_key,
};
pub use rows::{Known, Rows};
pub use showing::Showing;

/// Version of the format that [`Header`] has.
pub const FORMAT: u32 = 2;
/// Kind of the authorities that issue certificates of nodes.
pub const ISSUING: &str = "issuing";

/// What is wrong with a header, a row or a change. Whoever sent it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Not a header of this format.
    #[error("it is no snapshot header: {0}")]
    Header(String),
    /// A row breaks a rule.
    #[error("the row {key:?} breaks the format: {why}")]
    Row {
        /// Its key, as it was given.
        key: String,
        /// Which rule.
        why: String,
    },
    /// The rows are not those over which the header was signed.
    #[error("the rows are not those of the header: {rows} rows with another root than its {expected}")]
    Root {
        /// How many rows there are.
        rows: u64,
        /// How many the header says.
        expected: u64,
    },
}

impl RowsError {
    fn row(key: &str, why: impl Into<String>) -> Self {
        Self::Row {
            key: key.chars().take(200).collect(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests;
