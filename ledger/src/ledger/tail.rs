//! The tail: the one segment file that is written to, and the room left in it.
//!
//! A commit is one frame, built in place behind the bytes that share its first page, written with one write and one sync.

use std::io;
use std::path::Path;

use super::error::{AppendError, OpenError};
use super::recover::End;
use crate::files::{Disk, PAGE, Pages, SegmentFile, WriteError, is_full};
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Tear, segment_name};

/// The first commit after a start, RESUMED and TORN_TAIL_CUT, takes less than this.
const FIRST_COMMIT_BYTES: u64 = 4096;

/// A place in the segments: where a frame begins or ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the segment.
    pub segment: u64,
    /// Byte offset in it.
    pub offset: u64,
}

/// What came of a write.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// Nothing was changed on disk; the frame was dropped.
    #[error("the disk is full: {0}")]
    Full(#[source] io::Error),
    /// The state of the disk is not known.
    #[error(transparent)]
    Unknown(WriteError),
}

/// The last segment, open for writing.
pub(crate) struct Tail {
    file: Box<dyn SegmentFile>,
    segment: u64,
    /// Bytes the file holds; a whole number of pages.
    capacity: u64,
    /// Where the next frame begins.
    end: u64,
    /// The bytes before `end` in its page, and behind them the frame that is being built.
    buffer: Pages,
}

impl Tail {
    /// The last segment, ready to be written on. Of a torn frame everything is zeroed but what shares its first page: the
    /// first commit overwrites that page, so the frame is cut and the cut is recorded by one write.
    pub(crate) fn take_up(disk: &dyn Disk, segments: &Path, segment_bytes: u64, end: &End) -> Result<Self, OpenError> {
        let path = segments.join(segment_name(end.segment));
        let failed = |error| OpenError::Io {
            path: path.clone(),
            error,
        };
        let mut file = disk.open(&path).map_err(failed)?;
        // A process that was killed may have left a frame that can be read but is not durable. It will be signed over.
        file.sync().map_err(failed)?;
        if let Some(tear) = end.torn {
            clear_behind(&mut *file, tear).map_err(|e| failed(io::Error::other(e)))?;
        }
        let mut tail = Self::resume(file, end.segment, end.offset, segment_bytes).map_err(failed)?;
        tail.occupy_rest().map_err(|error| match error {
            WriteError::Refused(e) if is_full(&e) => {
                tracing::error!(path = %path.display(), error = %e, "no room for the rest of the last ledger segment: nothing is begun");
                OpenError::Append(AppendError::Full)
            }
            error => failed(io::Error::other(error)),
        })?;
        if end.torn.is_some() && tail.room() < FIRST_COMMIT_BYTES {
            // The first commit goes to the next segment, so this one must be clean before.
            tail.clear_rest().map_err(|e| failed(io::Error::other(e)))?;
        }
        Ok(tail)
    }

    /// A segment whose used bytes end at `end`. Reads the page that the next frame shares. It may grow to `segment_bytes` where
    /// it is shorter (a copy without its trailing zeros).
    pub(crate) fn resume(file: Box<dyn SegmentFile>, segment: u64, end: u64, segment_bytes: u64) -> io::Result<Self> {
        let capacity = (file.bytes()? / PAGE as u64 * PAGE as u64).max(segment_bytes);
        let shared = usize::try_from(end % PAGE as u64).unwrap_or(0);
        let mut buffer = Pages::new();
        if shared > 0 {
            buffer = Pages::zeroed(1);
            file.read(&mut buffer, end - shared as u64)?;
            buffer.truncate(shared);
        }
        Ok(Self {
            file,
            segment,
            capacity,
            end,
            buffer,
        })
    }

    /// A segment just made, whose header is written.
    pub(crate) fn fresh(file: Box<dyn SegmentFile>, segment: u64, capacity: u64, header: &[u8]) -> Self {
        let mut buffer = Pages::new();
        buffer.push(header);
        Self {
            file,
            segment,
            capacity,
            end: header.len() as u64,
            buffer,
        }
    }

    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// Where the next frame would stand.
    pub(crate) fn place(&self) -> Place {
        Place {
            segment: self.segment,
            offset: self.end,
        }
    }

    /// Whether a frame with a body of that many bytes still fits.
    pub(crate) fn fits(&self, body_bytes: usize) -> bool {
        self.room() >= (FRAME_HEADER_BYTES + body_bytes) as u64
    }

    /// Bytes left for frames, their headers included.
    pub(crate) fn room(&self) -> u64 {
        self.capacity.saturating_sub(self.end)
    }

    /// Writes one frame durably. The body is the concatenation of `pieces`; it must fit.
    pub(crate) fn write<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Place, TailError> {
        let shared = self.buffer.used();
        self.buffer.push(&[0; FRAME_HEADER_BYTES]);
        let body = self.buffer.used();
        for piece in pieces {
            self.buffer.push(piece);
        }
        let header = FrameHeader::of(self.buffer.bytes().get(body..).unwrap_or_default())
            .expect("a commit is neither empty nor larger than the limits that were checked at start");
        self.buffer.put(shared, &header.encode());
        let start = self.end - shared as u64;
        match self.file.write_durable(&self.buffer, start) {
            Ok(()) => {
                let place = self.place();
                self.end = start + self.buffer.used() as u64;
                self.buffer.keep_partial_page();
                Ok(place)
            }
            Err(WriteError::Refused(e)) => self.refused(e, start, shared),
            Err(e) => Err(TailError::Unknown(e)),
        }
    }

    /// A copy, restored from elsewhere, may be sparse or end where its frames do. What was admitted must find room to be closed,
    /// whoever fills the disk meanwhile.
    fn occupy_rest(&mut self) -> Result<(), WriteError> {
        let page = PAGE as u64;
        self.file.occupy(self.end.div_ceil(page) * page, self.capacity)
    }

    /// Zeroes what of a torn frame still stands in the page that the next frame would share.
    pub(crate) fn clear_rest(&mut self) -> Result<(), WriteError> {
        let shared = self.buffer.used() as u64;
        if shared == 0 {
            self.file.write_durable(&Pages::zeroed(1), self.end)
        } else {
            self.file.write_durable(&self.buffer, self.end - shared)
        }
    }

    /// The system says it took nothing. Believed only when the file reads as it did before.
    fn refused(&mut self, e: io::Error, start: u64, shared: usize) -> Result<Place, TailError> {
        let mut now = Pages::zeroed(self.buffer.whole_pages().len() / PAGE);
        let read = self.file.read(&mut now, start);
        self.buffer.truncate(shared);
        let (before, behind) = now.bytes().split_at_checked(shared).unwrap_or_default();
        let unchanged = read.is_ok() && before == self.buffer.bytes() && behind.iter().all(|byte| *byte == 0);
        Err(if unchanged {
            TailError::Full(e)
        } else {
            TailError::Unknown(WriteError::Unknown(e))
        })
    }
}

/// Zeroes what of a torn frame lies behind the page in which it begins.
fn clear_behind(file: &mut dyn SegmentFile, tear: Tear) -> Result<(), WriteError> {
    let page = PAGE as u64;
    let first = tear.offset / page * page;
    let behind = (tear.offset + tear.bytes).saturating_sub(first + page).div_ceil(page);
    if behind == 0 {
        return Ok(());
    }
    let zeros = Pages::zeroed(usize::try_from(behind).unwrap_or(usize::MAX));
    file.write_durable(&zeros, first + page)
}
