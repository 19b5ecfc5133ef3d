//! Copies the segments of one ledger as they grow: whole frames whose checksums hold, up to what is durable, and never over
//! anything that is not a stage of the same ledger.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jisr_ledger::frame::{
    FrameHeader, Next, Record, Records, SEGMENT_HEADER_BYTES, ScanError, SegmentHeader, SegmentScan, StoredParts,
    segment_name,
};
use jisr_ledger::ledger::Place;
use jisr_ledger::statement::Tag;
use jisr_proto::statement::{Core, Erased, Erasure, Kind};
use prost::Message as _;

use super::MirrorError;
use super::erased::{holds_erased, is_erasure_of};
use super::error::io;
use super::store::Store;

/// Bytes that are copied with one write.
const STEP_BYTES: usize = 1 << 20;
/// Of what a mirror is read in, when it is compared.
const READ_BYTES: usize = 1 << 20;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is left to do.
    CaughtUp,
    /// So many bytes were copied or compared; there may be more.
    Worked(u64),
}

/// Copies one ledger to one mirror.
pub(super) struct Segments {
    /// The ledger's directory, which holds `segments/`.
    live: PathBuf,
    /// Its name in the mirror.
    folder: String,
    at: Option<Progress>,
    /// The segment from which on what was erased is still to be erased in the mirror.
    erase_from: Option<u64>,
}

/// How far the copy is.
#[derive(Clone, Copy)]
struct Progress {
    segment: u64,
    /// Where the next frame begins; 0 before the segment's header.
    offset: u64,
    /// Statements before it.
    statements: u64,
}

impl Segments {
    pub(super) fn new(live: PathBuf, folder: &str) -> Segments {
        Segments {
            live,
            folder: folder.to_owned(),
            at: None,
            erase_from: None,
        }
    }

    /// The ledger's directory.
    pub(super) fn live(&self) -> &Path {
        &self.live
    }

    /// Statements in the mirror, once it was looked at.
    pub(super) fn size(&self) -> Option<u64> {
        self.at.map(|at| at.statements)
    }

    /// Does a piece of the work towards `end`, where what is durable ends.
    pub(super) fn step(&mut self, store: &mut dyn Store, end: Place) -> Result<Step, MirrorError> {
        let at = match self.at {
            Some(at) => at,
            None => {
                self.erase_from = self.pending(store)?;
                *self.at.insert(self.compare(store, end)?)
            }
        };
        let copied = self.copy(store, at, end)?;
        match (copied, self.erase_from) {
            // The ledger's own erasure is still being done: it is copied when it is complete.
            (Step::CaughtUp, Some(segment)) if !self.is_erasing() => self.erase(store, segment, at.segment),
            _ => Ok(copied),
        }
    }

    /// Whether the live ledger is erasing just now: its plan is not empty.
    fn is_erasing(&self) -> bool {
        std::fs::metadata(self.live.join("index/erasing")).is_ok_and(|plan| plan.len() > 0)
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.live.join("segments").join(segment_name(segment))
    }

    /// Looks at what lies in the mirror: it must be a stage of the live ledger. The segments before the last are compared by the
    /// root that the last one's header says.
    fn compare(&self, store: &mut dyn Store, end: Place) -> Result<Progress, MirrorError> {
        let there = store.segments(&self.folder)?;
        let Some((&last, _)) = there.last_key_value() else {
            return Ok(Progress {
                segment: 0,
                offset: 0,
                statements: 0,
            });
        };
        if let Some((missing, _)) = (0..).zip(there.keys()).find(|(wanted, found)| wanted != *found) {
            return Err(MirrorError::Differs(format!("segment {missing} is missing there")));
        }
        if last > end.segment {
            return Err(MirrorError::Ahead(format!(
                "it holds segment {last}, the ledger ends in {}",
                end.segment
            )));
        }
        let header = self.header(last)?;
        let mut progress = Progress {
            segment: last,
            offset: 0,
            statements: header.first_index,
        };
        let theirs = store.read(&self.folder, last, 0, SEGMENT_HEADER_BYTES)?;
        if theirs.len() < SEGMENT_HEADER_BYTES {
            // The write that began the segment was torn.
            return Ok(progress);
        }
        if theirs != header.encode() {
            return Err(MirrorError::Differs(format!("segment {last} begins with another root")));
        }
        let mut mirrored = SegmentScan::open(Mirrored::new(store, &self.folder, last)).map_err(unreadable)?;
        let mut live = self.scan(last, 0, end)?;
        loop {
            progress.offset = mirrored.offset();
            let place = || format!("segment {last} at byte {}", progress.offset);
            match mirrored.read_next() {
                // What was not written whole is written again.
                Ok(Next::End { .. } | Next::Torn(_)) => return Ok(progress),
                Ok(Next::Frame { body: theirs, .. }) => match live.read_next() {
                    Ok(Next::Frame { body: ours, .. }) if ours == theirs || is_erasure_of(&ours, &theirs) => {
                        progress.statements += statements(&ours);
                    }
                    Ok(Next::Frame { .. }) => return Err(MirrorError::Differs(place())),
                    Ok(Next::End { .. } | Next::Torn(_)) => return Err(MirrorError::Ahead(place())),
                    Err(error) => return Err(MirrorError::Ledger(error.to_string())),
                },
                Err(ScanError::Unreadable(error)) => return Err(unreadable(ScanError::Unreadable(error))),
                Err(ScanError::Broken { .. }) => return Err(MirrorError::Differs(place())),
            }
        }
    }

    /// Copies whole frames, at most about a MiB of them.
    fn copy(&mut self, store: &mut dyn Store, mut at: Progress, end: Place) -> Result<Step, MirrorError> {
        if (at.segment, at.offset) >= (end.segment, end.offset) {
            return Ok(Step::CaughtUp);
        }
        let mut scan = self.scan(at.segment, at.offset, end)?;
        let mut piece = Vec::new();
        if at.offset == 0 {
            piece.extend_from_slice(&scan.header().encode());
            at.statements = scan.header().first_index;
        }
        let mut is_end = false;
        while piece.len() < STEP_BYTES && !is_end {
            match scan
                .read_next()
                .map_err(|error| MirrorError::Ledger(error.to_string()))?
            {
                Next::Frame { body, .. } => {
                    let header = FrameHeader::of(&body).expect("a frame that was read has a length");
                    piece.extend_from_slice(&header.encode());
                    piece.extend_from_slice(&body);
                    at.statements += statements(&body);
                    if let Some(index) = lowest_erased(&body) {
                        self.will_erase(store, index)?;
                    }
                }
                Next::End { .. } => is_end = true,
                Next::Torn(tear) => {
                    let text = format!("segment {} is cut off at byte {}", at.segment, tear.offset);
                    return Err(MirrorError::Ledger(text));
                }
            }
        }
        if !piece.is_empty() {
            store.append(&self.folder, at.segment, at.offset, &piece)?;
            at.offset += piece.len() as u64;
        }
        if is_end && at.segment < end.segment {
            store.close(&self.folder, at.segment, &self.path(at.segment), at.offset)?;
            at.segment += 1;
            at.offset = 0;
        }
        self.at = Some(at);
        Ok(Step::Worked(piece.len() as u64))
    }

    /// Erases in the mirror what the live ledger erased, in one segment.
    fn erase(&mut self, store: &mut dyn Store, segment: u64, last: u64) -> Result<Step, MirrorError> {
        let end = match self.at {
            Some(at) if at.segment == segment => Place {
                segment,
                offset: at.offset,
            },
            _ => Place {
                segment: segment + 1,
                offset: 0,
            },
        };
        if end.segment == segment && end.offset == 0 {
            self.erase_from = None;
            store.put(&self.erasing(), b"")?;
            return Ok(Step::CaughtUp);
        }
        let mut scan = self.scan(segment, 0, end)?;
        while let Next::Frame { offset, body } = scan
            .read_next()
            .map_err(|error| MirrorError::Ledger(error.to_string()))?
        {
            if !holds_erased(&body) {
                continue;
            }
            let header = FrameHeader::of(&body)
                .expect("a frame that was read has a length")
                .encode();
            let theirs = store.read(&self.folder, segment, offset, header.len() + body.len())?;
            let (_, mirrored) = theirs.split_at_checked(header.len()).unwrap_or_default();
            if mirrored == body {
                continue;
            }
            if !is_erasure_of(&body, mirrored) {
                return Err(MirrorError::Differs(format!("segment {segment} at byte {offset}")));
            }
            store.overwrite(&self.folder, segment, offset, &[header.as_slice(), &body].concat())?;
        }
        let read = scan.offset();
        self.erase_from = (segment < last).then_some(segment + 1);
        let left = self.erase_from.map(|segment| segment.to_string()).unwrap_or_default();
        store.put(&self.erasing(), left.as_bytes())?;
        Ok(Step::Worked(read))
    }

    /// Something in the entry with this index, or in what cites it, is to be erased. Kept with the mirror before the ERASED is,
    /// so that it is not forgotten.
    fn will_erase(&mut self, store: &mut dyn Store, index: u64) -> Result<(), MirrorError> {
        let segment = self.segment_of(index)?;
        let first = self.erase_from.map_or(segment, |from| from.min(segment));
        self.erase_from = Some(first);
        store.put(&self.erasing(), first.to_string().as_bytes())
    }

    fn pending(&self, store: &mut dyn Store) -> Result<Option<u64>, MirrorError> {
        let kept = store.get(&self.erasing())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&kept).parse().ok())
    }

    /// Beside the ledger's folder, in which nothing else may lie.
    fn erasing(&self) -> String {
        format!("erasing-{}", self.folder.replace('/', "-"))
    }

    /// The segment that holds the statement with this index.
    fn segment_of(&self, index: u64) -> Result<u64, MirrorError> {
        let (mut low, mut high) = (0, 1);
        while self.path(high).exists() && self.header(high)?.first_index <= index {
            (low, high) = (high, high * 2);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.path(middle).exists() && self.header(middle)?.first_index <= index {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn header(&self, segment: u64) -> Result<SegmentHeader, MirrorError> {
        let path = self.path(segment);
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        File::open(&path)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(io("read", &path))?;
        SegmentHeader::parse(&bytes).map_err(|error| MirrorError::Ledger(error.to_string()))
    }

    /// The live segment from a frame's beginning on (0: from its header on), up to what is durable.
    fn scan(&self, segment: u64, offset: u64, end: Place) -> Result<SegmentScan<impl Read + use<>>, MirrorError> {
        let path = self.path(segment);
        let most = if segment == end.segment { end.offset } else { u64::MAX };
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(BufReader::with_capacity(256 << 10, file).take(most.saturating_sub(offset)))
        };
        let file = open().map_err(io("read", &path))?;
        if offset > 0 {
            return Ok(SegmentScan::resume(file, self.header(segment)?, offset));
        }
        SegmentScan::open(file).map_err(|error| MirrorError::Ledger(error.to_string()))
    }
}

/// Whether what lies in `folder` of the mirror begins with the same first frame, STARTED, as the ledger in `live`.
pub(super) fn begins_as(store: &mut dyn Store, folder: &str, live: &Path) -> Result<bool, MirrorError> {
    if !store.segments(folder)?.contains_key(&0) {
        return Ok(false);
    }
    let path = live.join("segments").join(segment_name(0));
    let file = File::open(&path).map_err(io("read", &path))?;
    let (mut ours, mut theirs) = match (
        SegmentScan::open(BufReader::new(file)),
        SegmentScan::open(Mirrored::new(store, folder, 0)),
    ) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        _ => return Ok(false),
    };
    Ok(matches!(
        (ours.read_next(), theirs.read_next()),
        (Ok(Next::Frame { body: ours, .. }), Ok(Next::Frame { body: theirs, .. })) if ours == theirs
    ))
}

/// Where the frames of a ledger that nobody writes to end.
pub(super) fn end_of(ledger: &Path) -> Result<Place, MirrorError> {
    let segments = ledger.join("segments");
    let count = std::fs::read_dir(&segments).map_err(io("list", &segments))?.count() as u64;
    let last = count.saturating_sub(1);
    let path = segments.join(segment_name(last));
    let file = File::open(&path).map_err(io("read", &path))?;
    let mut scan = SegmentScan::open(BufReader::new(file)).map_err(|error| MirrorError::Ledger(error.to_string()))?;
    loop {
        match scan.read_next() {
            Ok(Next::Frame { .. }) => {}
            Ok(Next::End { offset } | Next::Torn(jisr_ledger::frame::Tear { offset, .. })) => {
                return Ok(Place { segment: last, offset });
            }
            Err(error) => return Err(MirrorError::Ledger(error.to_string())),
        }
    }
}

/// A mirrored segment, as a reader.
struct Mirrored<'a> {
    store: &'a mut dyn Store,
    folder: &'a str,
    segment: u64,
    offset: u64,
    read: std::io::Cursor<Vec<u8>>,
}

impl<'a> Mirrored<'a> {
    fn new(store: &'a mut dyn Store, folder: &'a str, segment: u64) -> Mirrored<'a> {
        Mirrored {
            store,
            folder,
            segment,
            offset: 0,
            read: std::io::Cursor::default(),
        }
    }
}

impl Read for Mirrored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.read.read(buffer)?;
        if got > 0 || buffer.is_empty() {
            return Ok(got);
        }
        let next = self
            .store
            .read(self.folder, self.segment, self.offset, READ_BYTES)
            .map_err(std::io::Error::other)?;
        self.offset += next.len() as u64;
        self.read = std::io::Cursor::new(next);
        self.read.read(buffer)
    }
}

fn unreadable(error: ScanError) -> MirrorError {
    MirrorError::Unusable(format!("it cannot be read: {error}"))
}

/// Statements in a body.
fn statements(body: &[u8]) -> u64 {
    let records = Records::new(body).filter(|record| matches!(record, Ok(Record::Statement(_))));
    records.count() as u64
}

/// The lowest index that an ERASED in this body names.
fn lowest_erased(body: &[u8]) -> Option<u64> {
    let stored = Records::new(body).filter_map(|record| match record {
        Ok(Record::Statement(stored)) => erased(stored),
        _ => None,
    });
    stored.flat_map(|erasure| erasure.parts).map(|part| part.index).min()
}

/// What an ERASED says; `None` for any other statement.
fn erased(stored: &[u8]) -> Option<Erasure> {
    let mut parts = StoredParts::new(stored).ok()?;
    let content = |part: jisr_ledger::frame::StoredPart<'_>, tag: Tag| match part.form {
        jisr_ledger::frame::Form::Clear { content, .. } if part.tag == tag => Some(content.to_vec()),
        _ => None,
    };
    // An act has two parts, and CORE is the first.
    if parts.left() != 2 {
        return None;
    }
    let core = content(parts.next()?.ok()?, Tag::Core)?;
    if Core::decode(core.as_slice()).ok()?.kind() != Kind::Erased {
        return None;
    }
    let act = content(parts.next()?.ok()?, Tag::Act)?;
    let act = Erased::decode(act.as_slice()).ok()?;
    Erasure::decode(act.erasure).ok()
}

#[cfg(test)]
mod tests;
