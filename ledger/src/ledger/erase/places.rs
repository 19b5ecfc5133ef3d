//! What erasing writes: the plan, the journal, and the frames in their places.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::owed::Owed;
use crate::files::{Disk, PAGE, Pages};
use crate::frame::{self, FRAME_HEADER_BYTES, FrameHeader, segment_name};
use crate::ledger::config::{Config, Fatal};
use crate::ledger::tail::Place;

/// `"JISRERA" ‖ 0x01`, in front of plan and journal.
const MAGIC: &[u8; 8] = b"JISRERA\x01";

/// What erasing works with.
pub(crate) struct Eraser {
    segments: PathBuf,
    plan: PathBuf,
    journal: PathBuf,
    disk: Arc<dyn Disk>,
    pub(super) fatal: Fatal,
    pub(super) owed: Arc<Owed>,
    /// Held while one erasure runs.
    running: Mutex<()>,
}

impl Eraser {
    pub(crate) fn new(config: &Config, owed: Arc<Owed>) -> Self {
        let index = config.dir.join("index");
        Self {
            segments: config.dir.join("segments"),
            plan: index.join("erasing"),
            journal: index.join("erasing.frame"),
            disk: Arc::clone(&config.disk),
            fatal: config.fatal.clone(),
            owed,
            running: Mutex::new(()),
        }
    }

    /// One erasure runs at a time.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes durable what is about to be erased, before ERASED is: the size of the ledger before it, and its document.
    pub(super) fn plan(&self, size: u64, document: &[u8]) -> io::Result<()> {
        let plan = [&size.to_be_bytes(), document].concat();
        self.disk.replace(&self.plan, &checked(&plan))
    }

    /// What [`Eraser::plan`] made durable.
    pub(super) fn planned(&self) -> io::Result<Option<(u64, Bytes)>> {
        let plan = read_checked(&self.plan)?;
        Ok(plan.and_then(|plan| {
            let (size, document) = plan.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*size), Bytes::copy_from_slice(document)))
        }))
    }

    /// Whether there is a plan or a journal.
    pub(super) fn is_begun(&self) -> io::Result<bool> {
        Ok(read_checked(&self.plan)?.is_some() || read_checked(&self.journal)?.is_some())
    }

    /// Nothing is to be erased.
    pub(super) fn give_up(&self) -> io::Result<()> {
        self.disk.replace(&self.plan, b"")
    }

    /// All is erased.
    pub(super) fn finished(&self) -> io::Result<()> {
        self.disk.replace(&self.journal, b"")?;
        self.disk.replace(&self.plan, b"")?;
        self.owed.settle();
        Ok(())
    }

    /// Writes again a frame that a crash left torn. Before the ledger is read.
    pub(crate) fn recover(&self) -> io::Result<()> {
        let Some((segment, offset, frame)) = self.journalled()? else {
            return Ok(());
        };
        let path = self.segments.join(segment_name(segment));
        if path.try_exists()? && !self.holds_frame(&path, offset, frame.len())? {
            self.write(&Place { segment, offset }, &frame)?;
        }
        self.disk.replace(&self.journal, b"")
    }

    fn journalled(&self) -> io::Result<Option<(u64, u64, Bytes)>> {
        let Some(body) = read_checked(&self.journal)? else {
            return Ok(None);
        };
        let mut fields = frame::Fields(&body);
        let place = (|| Some((fields.u64()?, fields.u64()?)))();
        Ok(place.map(|(segment, offset)| (segment, offset, Bytes::copy_from_slice(fields.0))))
    }

    /// Whether a frame of this length whose checksums hold stands there: the old one or the new one.
    fn holds_frame(&self, path: &Path, offset: u64, length: usize) -> io::Result<bool> {
        let (pages, from, _) = self.pages(path, offset, length)?;
        let bytes = pages.bytes().get(from..from + length).unwrap_or_default();
        let Some((header, body)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(false);
        };
        Ok(FrameHeader::parse(header).is_ok_and(|header| FrameHeader::of(body) == Some(header)))
    }

    /// Overwrites one frame: durable in the journal first.
    pub(super) fn overwrite(&self, place: &Place, frame: &[u8]) -> io::Result<()> {
        let mut journal = Vec::with_capacity(frame.len() + 16);
        journal.extend_from_slice(&place.segment.to_be_bytes());
        journal.extend_from_slice(&place.offset.to_be_bytes());
        journal.extend_from_slice(frame);
        self.disk.replace(&self.journal, &checked(&journal))?;
        self.write(place, frame)
    }

    fn write(&self, place: &Place, frame: &[u8]) -> io::Result<()> {
        let path = self.segments.join(segment_name(place.segment));
        let (mut pages, from, at) = self.pages(&path, place.offset, frame.len())?;
        pages.put(from, frame);
        let mut file = self.disk.open(&path)?;
        file.write_durable(&pages, at).map_err(io::Error::other)
    }

    /// The whole pages in which so many bytes from `offset` lie, where in them the bytes begin, and where they lie in the file.
    fn pages(&self, path: &Path, offset: u64, length: usize) -> io::Result<(Pages, usize, u64)> {
        let page = PAGE as u64;
        let first = offset / page * page;
        let from = usize::try_from(offset - first).map_err(io::Error::other)?;
        let mut pages = Pages::zeroed((from + length).div_ceil(PAGE));
        self.disk.open(path)?.read(&mut pages, first)?;
        Ok((pages, from, first))
    }
}

/// MAGIC ‖ body ‖ CRC-32C over both.
fn checked(body: &[u8]) -> Vec<u8> {
    let mut bytes = [MAGIC, body].concat();
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

/// What [`checked`] wrote; `None` where there is none, or it was never whole.
fn read_checked(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((covered, crc)) = bytes.split_last_chunk::<4>() else {
        return Ok(None);
    };
    if crc32c::crc32c(covered).to_be_bytes() != *crc {
        return Ok(None);
    }
    Ok(covered.strip_prefix(MAGIC).map(<[u8]>::to_vec))
}
