//! Reads a ledger directory offline, record by record: live, copied, archived or mirrored; it takes no lock and writes
//! nothing.
//!
//! It reads and does not judge: that is what [`crate::verify`] is for, and whoever reports what stands in a directory says
//! the verifier's verdict with it. Memory does not grow with the ledger: one frame at a time is held. What an application's
//! record of an exchange is, [`Exchanges`] puts together from the statements.

mod exchanges;
mod items;
mod parts;

pub use exchanges::{Exchange, Exchanges, Role, Row};
pub use items::{Item, Items, Shown};
pub use parts::Entry;

use std::io;
use std::path::{Path, PathBuf};

use crate::frame::{segment_name, segment_number};
use crate::vault::Vault;

/// Where something stands in a ledger directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the segment.
    pub segment: u64,
    /// Where its frame begins in the file, bytes.
    pub offset: u64,
    /// Index of the next statement there.
    pub index: u64,
}

/// Why a ledger directory cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or directory cannot be read.
    #[error("{} cannot be read: {source}; check that the path is right and that this user may read it", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What lies there is not what a ledger directory holds.
    #[error("{} byte {}, entry {}: {why}; jisr ledger verify tells what is wrong with the directory", path.display(), place.offset, place.index)]
    Broken {
        /// The segment.
        path: PathBuf,
        /// Where.
        place: Place,
        /// Which rule it breaks.
        why: String,
    },
}

/// A ledger directory that is read.
#[derive(Clone, Debug)]
pub struct Archive {
    segments: PathBuf,
    numbers: Vec<u64>,
    vault: Option<Vault>,
    /// The first frame that does not count any more.
    end: Option<Place>,
}

impl Archive {
    /// Opens a ledger directory: the one that holds `segments/`.
    ///
    /// # Errors
    /// It cannot be read, holds no segment, or lacks one.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        let segments = dir.join("segments");
        let numbers = numbers(&segments).map_err(|source| ArchiveError::Unreadable {
            path: segments.clone(),
            source,
        })?;
        let archive = Self {
            segments,
            numbers,
            vault: None,
            end: None,
        };
        if archive.numbers.is_empty() {
            return Err(archive.broken(0, "there is no segment: a ledger has at least one"));
        }
        if let Some((lacking, _)) = (0..).zip(&archive.numbers).find(|(wanted, number)| wanted != *number) {
            return Err(archive.broken(lacking, "the segment is missing"));
        }
        Ok(archive)
    }

    /// What is wrong with the beginning of a segment.
    pub(crate) fn broken(&self, segment: u64, why: &str) -> ArchiveError {
        ArchiveError::Broken {
            path: self.segments.join(segment_name(segment)),
            place: Place {
                segment,
                ..Place::default()
            },
            why: why.to_owned(),
        }
    }

    /// Opens personal parts as far as the keys go.
    #[must_use]
    pub fn with_vault(mut self, vault: Vault) -> Self {
        self.vault = Some(vault);
        self
    }

    /// Reads no further than this, although the ledger may grow meanwhile: a second reading then finds what the first did.
    pub fn end_at(&mut self, place: Place) {
        self.end = Some(place);
    }

    /// Everything in it, in order.
    #[must_use]
    pub fn items(&self) -> Items<'_> {
        Items::new(self)
    }
}

/// Numbers of the segments, ascending. Other names are the verifier's affair.
fn numbers(segments: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(segments)? {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| segment_number(name).ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
