//! Reads a ledger from its resume point, or where none fits from its first byte, to its last: checks every frame, grows the
//! tree, finds a torn tail.
//!
//! Nothing is written here but what is derived. What a checkpoint in the ledger says must be what the statements before it give, so the next
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
use super::job::Signed;
use super::known::Known;
use super::resume::ResumePoint;
use super::tail;
use super::tiles::Tiles;
use super::writer::Sizes;
use crate::frame::{Tear, segment_name, segment_number};

use reading::Reading;

/// File name of the resume point.
pub(crate) const RESUME_POINT: &str = "resume";

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
    pub(crate) fn place(&self) -> tail::Place {
        tail::Place {
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
    /// Indexes of the ERASED that were read.
    pub(crate) erased: Vec<u64>,
    pub(crate) tiles: Tiles,
    /// Where the last frame begins.
    pub(crate) last: Option<tail::Place>,
    /// Bytes of frames that were read.
    pub(crate) read_bytes: u64,
}

impl Recovered {
    /// The note of the tree as it stands, where it was stored before the ledger was last closed.
    pub(crate) fn signed_head(&self) -> Bytes {
        let head = self.signed.as_ref().filter(|signed| signed.size == self.grower.size());
        head.map(|signed| signed.note.clone()).unwrap_or_default()
    }
}

/// Where a ledger lies, and whose it is.
pub(crate) struct Ground<'a> {
    pub(crate) segments: &'a Path,
    /// The directory of what is derived.
    pub(crate) derived: &'a Path,
    pub(crate) key: &'a SealKey,
    pub(crate) now_us: u64,
    pub(crate) replay_grace_us: u64,
}

impl Ground<'_> {
    /// Reads what follows the resume point, or, where there is none that fits, the whole ledger.
    pub(crate) fn recover(&self) -> Result<Recovered, OpenError> {
        let files = list(self.segments)?;
        match self.resumed(&files) {
            Ok(Some(recovered)) => return Ok(recovered),
            Ok(None) if files.is_empty() => {}
            Ok(None) => tracing::info!("no resume point fits the ledger: it is read whole"),
            Err(error) => {
                tracing::warn!(%error, "what follows the ledger's resume point does not fit it: the ledger is read whole")
            }
        }
        let tiles = Tiles::new(self.derived.join("tile"));
        let mut reading = Reading::new(self.key, self.history(), tiles, Grower::new());
        let last = files.len().checked_sub(1);
        for (at, path) in files.iter().enumerate() {
            reading.segment(at as u64, path, Some(at) == last)?;
        }
        reading.finish()
    }

    /// `None`: there is no resume point, or it is not one of this ledger as it lies there.
    fn resumed(&self, files: &[PathBuf]) -> Result<Option<Recovered>, OpenError> {
        let path = self.derived.join(RESUME_POINT);
        let read = fs::read(&path).ok().and_then(|bytes| self.resume(&bytes, files));
        let Some((mut reading, point)) = read else {
            return Ok(None);
        };
        let last = files.len().checked_sub(1);
        let first = usize::try_from(point.place.segment).unwrap_or(usize::MAX);
        for (at, path) in files.iter().enumerate().skip(first) {
            let is_last = Some(at) == last;
            if at > first {
                reading.segment(at as u64, path, is_last)?;
            } else if !reading.resume(point.place, path, is_last)? {
                return Ok(None);
            }
        }
        reading.finish().map(Some)
    }

    fn resume(&self, bytes: &[u8], files: &[PathBuf]) -> Option<(Reading<'_>, ResumePoint)> {
        let (point, root) = ResumePoint::parse(bytes, self.key)?;
        if point.place.segment >= files.len() as u64 {
            return None;
        }
        let tiles = Tiles::resume(self.derived.join("tile"), point.size, &point.edges)?;
        let grower = Grower::resume(&tiles, point.size).filter(|grower| grower.root() == root)?;
        let mut history = self.history();
        history.restore(point.newest_us, &point.open, &point.replay);
        history.forget(self.now_us);
        let mut reading = Reading::new(self.key, history, tiles, grower);
        reading.adopt(&point);
        Some((reading, point))
    }

    fn history(&self) -> History {
        let mut history = History::new(self.key.origin().as_str(), self.replay_grace_us);
        history.forget(self.now_us);
        history
    }
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
