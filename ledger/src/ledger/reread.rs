//! Reads what was written long ago again, segment by segment: a disk loses bytes in silence, and who alters an old segment counts on
//! nobody reading it.
//!
//! What a segment says must lead from the root in its own header to the root in the next one's, and in the last segment to that of the
//! checkpoint which this process signed. So a segment that was altered is found when it is read, and one that was altered together
//! with everything derived from it, at the latest, with the last.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};

use bytes::Bytes;

use super::fact::Clear;
use super::tail::Place;
use super::{Ledger, SignedCheckpoint};
use crate::Hash;
use crate::frame::{
    FRAME_HEADER_BYTES, FrameError, Next, Record, Records, SEGMENT_HEADER_BYTES, ScanError, SegmentHeader, SegmentScan,
    segment_name,
};
use crate::tree::{Frontier, leaf_hash};

/// Segments are read in steps of this many bytes.
const READ_BYTES: usize = 1 << 18;

/// What was read of a segment and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    /// Statements in it.
    pub statements: u64,
    /// Bytes of its frames.
    pub bytes: u64,
    /// It was read to its end.
    pub whole: bool,
}

/// What of a segment does not hold. The disk, or whoever wrote to it, is at fault.
#[derive(Debug, thiserror::Error)]
#[error("segment {} of the own ledger does not hold at byte {}, entry {entry}: {what}", .place.segment, .place.offset)]
pub struct Damage {
    /// Where the first frame that does not hold begins.
    pub place: Place,
    /// Index of the first entry from there on.
    pub entry: u64,
    /// What is wrong.
    pub what: String,
}

/// Where the reading is.
struct At {
    place: Place,
    frontier: Frontier,
}

impl At {
    fn damage(&self, what: impl Into<String>) -> Damage {
        Damage {
            place: self.place,
            entry: self.frontier.size(),
            what: what.into(),
        }
    }
}

impl Ledger {
    /// Reads a segment again, as far as it was durable when this was called. `goes_on` is told of every frame's bytes, may wait, and
    /// says whether to read on. Blocks on disk.
    ///
    /// # Errors
    /// [`Damage`]. What holds before it was read; what stands behind it was not.
    pub fn reread(&self, segment: u64, mut goes_on: impl FnMut(u64) -> bool) -> Result<Reread, Damage> {
        // In this order: what the checkpoint covers is durable.
        let checkpoint = self.checkpoint();
        let until = self.durable();
        let (mut at, mut scan) = self.begin(segment)?;
        let mut read = Reread::default();
        while at.place < until && at.frontier.size() < checkpoint.size {
            let body = match scan.read_next() {
                Ok(Next::Frame { body, .. }) => body,
                Ok(Next::End { .. }) => break,
                // It may be in the middle of being erased: looked at again by its place.
                Ok(Next::Torn(_)) | Err(ScanError::Broken { .. }) => {
                    let body = self
                        .0
                        .reader
                        .frame(at.place)
                        .map_err(|error| at.damage(error.to_string()))?;
                    let behind = at.place.offset + (FRAME_HEADER_BYTES + body.len()) as u64;
                    scan = self
                        .scan(segment, behind)
                        .map_err(|error| at.damage(error.to_string()))?;
                    body
                }
                Err(error @ ScanError::Unreadable(_)) => return Err(at.damage(error.to_string())),
            };
            let leaves = leaves(&body).map_err(|error| at.damage(error.to_string()))?;
            read.statements += leaves.len() as u64;
            leaves.into_iter().for_each(|leaf| at.frontier.push(leaf));
            let bytes = (FRAME_HEADER_BYTES + body.len()) as u64;
            read.bytes += bytes;
            at.place.offset += bytes;
            if !goes_on(bytes) {
                return Ok(read);
            }
        }
        self.ends(&at, until, &checkpoint)?;
        read.whole = true;
        Ok(read)
    }

    /// The beginning of a segment: its header continues the tree as it is held.
    fn begin(&self, segment: u64) -> Result<(At, SegmentScan<BufReader<File>>), Damage> {
        let place = Place {
            segment,
            offset: SEGMENT_HEADER_BYTES as u64,
        };
        let damage = |what: String| Damage { place, entry: 0, what };
        let header = self.header(segment).map_err(|error| damage(error.to_string()))?;
        let frontier = match header.first_index {
            0 => Some(Frontier::new()),
            size => self.derived(size).and_then(|()| Frontier::load(&*self.0.tiles, size)),
        };
        let frontier =
            frontier.ok_or_else(|| damage("the tiles lack what its header names; run `jisr ledger index`".into()))?;
        let at = At { place, frontier };
        if header.number != segment || header.root != at.frontier.root() {
            return Err(at.damage("its header does not continue the segments before it"));
        }
        let scan = self
            .scan(segment, place.offset)
            .map_err(|error| at.damage(error.to_string()))?;
        Ok((at, scan))
    }

    fn ends(&self, at: &At, until: Place, checkpoint: &SignedCheckpoint) -> Result<(), Damage> {
        let (size, root) = if at.place.segment < until.segment {
            let next = self.header(at.place.segment + 1);
            let next = next.map_err(|error| at.damage(format!("the next segment's header cannot be read: {error}")))?;
            (next.first_index, next.root)
        } else {
            (checkpoint.size, checkpoint.root)
        };
        if at.frontier.size() < size {
            return Err(at.damage(format!("it ends before entry {size}, with which the next begins")));
        }
        // The last frames may be newer than the checkpoint that was looked at before.
        if at.frontier.size() == size && at.frontier.root() != root {
            return Err(at.damage("its statements do not lead to the root that was signed behind it"));
        }
        Ok(())
    }

    fn header(&self, segment: u64) -> Result<SegmentHeader, ScanError> {
        let file = File::open(self.0.reader.segments().join(segment_name(segment)))?;
        Ok(SegmentScan::open(file)?.header())
    }

    fn scan(&self, segment: u64, offset: u64) -> Result<SegmentScan<BufReader<File>>, ScanError> {
        let mut file = File::open(self.0.reader.segments().join(segment_name(segment)))?;
        let header = SegmentScan::open(&mut file)?.header();
        file.seek(SeekFrom::Start(offset))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        Ok(SegmentScan::resume(reader, header, offset))
    }
}

/// Leaf hashes of the statements in a frame, from what stands there.
fn leaves(body: &Bytes) -> Result<Vec<Hash>, FrameError> {
    let mut leaves = Vec::new();
    for record in Records::new(body) {
        if let Record::Statement(stored) = record? {
            leaves.push(leaf_hash(&Clear::read(stored)?.leaf));
        }
    }
    Ok(leaves)
}
