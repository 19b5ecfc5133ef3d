//! Reads a ledger from its first byte to its last: checks every frame, grows the tree, finds a torn tail.
//!
//! Nothing is written here. What a checkpoint in the ledger says must be what the statements before it give, so the next
//! checkpoint that is signed continues every one that was signed before.

mod reading;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jisr_certs::seal::SealKey;

use super::commit::Grower;
use super::error::OpenError;
use super::history::History;
use super::index::Index;
use super::job::Signed;
use super::known::Known;
use super::tail::Place;
use super::tiles::Tiles;
use super::writer::Sizes;
use crate::frame::{Tear, segment_name, segment_number};

use reading::Reading;

/// Where the ledger ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) segment: u64,
    /// Index of the segment's first statement.
    pub(crate) first_index: u64,
    /// Where the next frame begins.
    pub(crate) offset: u64,
    pub(crate) torn: Option<Tear>,
}

impl End {
    /// Where the last whole frame ends.
    pub(crate) fn place(&self) -> Place {
        Place {
            segment: self.segment,
            offset: self.offset,
        }
    }
}

/// What was found.
pub(crate) struct Recovered {
    pub(crate) end: Option<End>,
    pub(crate) grower: Grower,
    pub(crate) known: Known,
    pub(crate) sizes: Sizes,
    pub(crate) stored: u64,
    /// The newest own checkpoint that stands in the ledger.
    pub(crate) signed: Option<Signed>,
    pub(crate) cosigned: Option<Signed>,
    pub(crate) history: History,
}

impl Recovered {
    /// The note of the tree as it stands, where it was stored before the ledger was last closed.
    pub(crate) fn signed_head(&self) -> Bytes {
        let head = self.signed.as_ref().filter(|signed| signed.size == self.grower.size());
        head.map(|signed| signed.note.clone()).unwrap_or_default()
    }
}

/// Reads the ledger and brings the derived data up to date. `None`: the index was one of another past; it is empty now, and
/// fresh tiles and one more reading fill it.
pub(crate) fn recover(
    segments: &Path,
    key: &SealKey,
    history: History,
    tiles: &Tiles,
    index: &Index,
) -> Result<Option<Recovered>, OpenError> {
    let mut reading = Reading::new(key, history, tiles, index);
    let files = list(segments)?;
    let last = files.len().checked_sub(1);
    for (at, path) in files.iter().enumerate() {
        reading.segment(at as u64, path, Some(at) == last)?;
    }
    reading.finish()
}

/// The segment files in order. Anything else, or a gap, is not a ledger.
fn list(segments: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let failed = |error| OpenError::Io {
        path: segments.to_owned(),
        error,
    };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(segments).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| segment_number(name).ok());
        numbers.push(number.ok_or_else(|| failed(io::Error::other(format!("{} is no segment", name.display()))))?);
    }
    numbers.sort_unstable();
    if let Some((expected, found)) = (0..).zip(&numbers).find(|(expected, found)| *expected != **found) {
        let what = format!("the file is missing, the next one there is segment {found}");
        return Err(OpenError::Corrupt {
            segment: expected,
            offset: 0,
            what,
        });
    }
    Ok(numbers
        .into_iter()
        .map(|number| segments.join(segment_name(number)))
        .collect())
}
