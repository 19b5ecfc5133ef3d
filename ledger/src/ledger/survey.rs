//! Reads the whole ledger for what rarely stands there: acts of officers, and messages whose time is over.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};

use bytes::Bytes;
use jisr_proto::canonical;
use jisr_proto::statement::{Core, Erased, Held, Kind, Release, Released};

use super::Ledger;
use super::entry::ReadError;
use super::tail::Place;
use crate::frame::{
    Form, FrameError, Next, Record, Records, SEGMENT_HEADER_BYTES, ScanError, SegmentScan, StoredParts, StoredPayload,
    segment_name,
};
use crate::statement::Tag;

/// Segments are read in steps of this many bytes.
const READ_BYTES: usize = 1 << 18;

/// Where a survey goes on: the frame that begins at `place` has the entry `index` as its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Where the frame begins.
    pub place: Place,
    /// Statements before it.
    pub index: u64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            place: Place {
                segment: 0,
                offset: SEGMENT_HEADER_BYTES as u64,
            },
            index: 0,
        }
    }
}

/// What a survey finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Surveyed {
    /// HELD.
    Held(Held),
    /// RELEASED, with the digest of the hold that it ends.
    Released(Bytes),
    /// ERASED that officers approved.
    Erased {
        /// Its index.
        index: u64,
        /// Its document, canonical bytes of an `Erasure`.
        erasure: Bytes,
    },
    /// A stored message that is not erased.
    Kept {
        /// Index of the statement that it stands with.
        index: u64,
        /// Core of that statement.
        core: Box<Core>,
        /// Where a survey would find it again.
        at: Cursor,
    },
}

impl Ledger {
    /// Shows holds, releases, erasures and stored messages from `from` on to the end of what is durable, in order, or to the end of the frame
    /// in which `visit` said `false`: enough. Returns where the next survey goes on. Blocks on disk for as long as reading takes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn survey(&self, from: Cursor, mut visit: impl FnMut(Surveyed) -> bool) -> Result<Cursor, ReadError> {
        let is_enough = Cell::new(false);
        let mut visit = |found| is_enough.set(!visit(found) || is_enough.get());
        let until = self.durable();
        let (mut at, mut scan) = (from, None);
        while at.place < until && !is_enough.get() {
            let reading = match &mut scan {
                Some(reading) => reading,
                none => none.insert(self.segment_at(at.place)?),
            };
            match reading.read_next() {
                Ok(Next::Frame { offset, body }) => {
                    let here = Cursor {
                        place: Place { offset, ..at.place },
                        index: at.index,
                    };
                    at.place.offset = reading.offset();
                    at.index = frame(here, &body, &mut visit)?;
                }
                // The end of a segment, or a frame that is being written or erased just now: read again by its place.
                Ok(Next::Torn(_)) | Err(ScanError::Broken { .. }) => {
                    let body = self.0.reader.frame(at.place)?;
                    let bytes = crate::frame::FRAME_HEADER_BYTES as u64 + body.len() as u64;
                    let index = frame(at, &body, &mut visit)?;
                    at.index = index;
                    at.place.offset += bytes;
                    scan = None;
                }
                Ok(Next::End { .. }) => {
                    scan = None;
                    at.place = Place {
                        segment: at.place.segment + 1,
                        offset: SEGMENT_HEADER_BYTES as u64,
                    };
                }
                Err(ScanError::Unreadable(error)) => return Err(error.into()),
            }
        }
        Ok(at)
    }

    fn segment_at(&self, place: Place) -> Result<SegmentScan<BufReader<File>>, ReadError> {
        let path = self.0.reader.segments().join(segment_name(place.segment));
        let scan = SegmentScan::open(File::open(&path)?).map_err(io::Error::other)?;
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(place.offset))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        Ok(SegmentScan::resume(reader, scan.header(), place.offset))
    }
}

/// One frame; returns the index of the first statement after it.
fn frame(here: Cursor, body: &Bytes, visit: &mut impl FnMut(Surveyed)) -> Result<u64, FrameError> {
    let mut next = here.index;
    let mut newest = None;
    for record in Records::new(body) {
        match record? {
            Record::Statement(stored) => {
                newest = Some(stored);
                if let Some(found) = act(stored, next)? {
                    visit(found);
                }
                next += 1;
            }
            Record::Payload(data) if StoredPayload::parse(data)? != StoredPayload::Erased => {
                let Some(core) = newest.map(core).transpose()?.flatten() else {
                    continue;
                };
                visit(Surveyed::Kept {
                    index: next.saturating_sub(1),
                    core: Box::new(core),
                    at: here,
                });
            }
            _ => {}
        }
    }
    Ok(next)
}

/// The act of officers in the statement with this index, which has exactly CORE and ACT.
fn act(stored: &[u8], index: u64) -> Result<Option<Surveyed>, FrameError> {
    let parts = StoredParts::new(stored)?;
    if parts.left() != 2 {
        return Ok(None);
    }
    let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
    let content = |tag| {
        parts
            .iter()
            .find(|part| part.tag == tag)
            .and_then(|part| match part.form {
                Form::Clear { content, .. } => Some(Bytes::copy_from_slice(content)),
                _ => None,
            })
    };
    let Some(act) = content(Tag::Act) else { return Ok(None) };
    let bad = |_| FrameError::Record("a statement of this ledger is not canonical");
    let core: Core = canonical::decode(&content(Tag::Core).unwrap_or_default()).map_err(bad)?;
    Ok(match core.kind() {
        Kind::Held => Some(Surveyed::Held(canonical::decode(&act).map_err(bad)?)),
        Kind::Erased => {
            let erased: Erased = canonical::decode(&act).map_err(bad)?;
            let is_approved = !erased.approvals.is_empty();
            is_approved.then_some(Surveyed::Erased {
                index,
                erasure: erased.erasure,
            })
        }
        Kind::Released => {
            let released: Released = canonical::decode(&act).map_err(bad)?;
            let document: Release = canonical::decode(&released.release).map_err(bad)?;
            Some(Surveyed::Released(document.hold))
        }
        _ => None,
    })
}

fn core(stored: &[u8]) -> Result<Option<Core>, FrameError> {
    let bad = |_| FrameError::Record("a statement of this ledger is not canonical");
    for part in StoredParts::new(stored)? {
        if let Form::Clear { content, .. } = part?.form {
            return canonical::decode(&Bytes::copy_from_slice(content))
                .map(Some)
                .map_err(bad);
        }
    }
    Ok(None)
}
