//! Erasing in place, so that a crash leaves each part whole or gone, and what was begun is finished.
//!
//! The order: the plan is durable before ERASED is appended, ERASED before the first byte is overwritten. Each frame is
//! rewritten from a journal: torn by a crash, it is written again before the ledger is read. `index/erasing` holds the plan,
//! `index/erasing.frame` the journal; both hold nothing that is to be erased, and are empty otherwise.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_proto::canonical;
use jisr_proto::statement::{ErasedParts, Erasure};

use super::config::{Config, Fatal};
use super::entry::ReadError;
use super::error::{AppendError, FatalError};
use super::job::Job;
use super::tail::Place;
use super::{Ledger, Stands};
use crate::erasure::Approved;
use crate::files::{Disk, PAGE, Pages};
use crate::frame::{self, FRAME_HEADER_BYTES, FrameHeader, segment_name};
use crate::statement::{Act, Closed};

/// `"JISRERA" ‖ 0x01`, in front of plan and journal.
const MAGIC: &[u8; 8] = b"JISRERA\x01";

/// Why nothing, or not everything, was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// ERASED could not be appended: nothing was erased.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed. What was begun is finished at the next start.
    #[error("own node: erasing failed ({0}); check the disk, then restart the node: it goes on where it stopped")]
    Disk(#[from] io::Error),
    /// There is no such entry.
    #[error("caller: the ledger has no entry {0}; name entries that `jisr node erase` lists")]
    UnknownEntry(u64),
}

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasedEntry {
    /// Index of ERASED.
    pub index: u64,
    /// Parts and stored payloads that were overwritten.
    pub parts: u32,
}

/// What erasing works with.
pub(crate) struct Eraser {
    segments: PathBuf,
    plan: PathBuf,
    journal: PathBuf,
    disk: Arc<dyn Disk>,
    fatal: Fatal,
    /// Held while one erasure runs.
    running: Mutex<()>,
}

impl Eraser {
    pub(crate) fn new(config: &Config) -> Self {
        let index = config.dir.join("index");
        Self {
            segments: config.dir.join("segments"),
            plan: index.join("erasing"),
            journal: index.join("erasing.frame"),
            disk: Arc::clone(&config.disk),
            fatal: config.fatal.clone(),
            running: Mutex::new(()),
        }
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
    fn overwrite(&self, place: &Place, frame: &[u8]) -> io::Result<()> {
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

impl Ledger {
    /// Appends ERASED (`statement`) and then overwrites what its document names, in place. Blocks on disk; not to be called on a
    /// runtime's thread. One erasure runs at a time. Whether a hold forbids it is for the caller to see.
    ///
    /// # Errors
    /// [`EraseError`]. After [`EraseError::Disk`] with ERASED in the ledger the process ends; the next one goes on.
    pub fn erase(&self, statement: Closed, approved: &Approved<Erasure>) -> Result<ErasedEntry, EraseError> {
        let eraser = &self.0.eraser;
        let _running = eraser.running.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.size();
        let parts = &approved.document().parts;
        if let Some(beyond) = parts.iter().find(|part| part.index >= size) {
            return Err(EraseError::UnknownEntry(beyond.index));
        }
        let mut plan = size.to_be_bytes().to_vec();
        plan.extend_from_slice(&canonical::encode(approved.document()));
        eraser.disk.replace(&eraser.plan, &checked(&plan))?;
        let index = match self.append_blocking(statement) {
            Ok(stands) => stands.index,
            Err(error) => {
                eraser.disk.replace(&eraser.plan, b"")?;
                return Err(error.into());
            }
        };
        let parts = self.overwrite(parts)?;
        Ok(ErasedEntry { index, parts })
    }

    /// Finishes an erasure whose ERASED stands in the ledger, where the process before did not. To be called once the ledger is
    /// confirmed. Blocks on disk.
    ///
    /// # Errors
    /// As [`Ledger::erase`].
    pub fn resume_erasure(&self) -> Result<Option<ErasedEntry>, EraseError> {
        let eraser = &self.0.eraser;
        let _running = eraser.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = read_checked(&eraser.plan)? else {
            return Ok(None);
        };
        let mut fields = frame::Fields(&plan);
        let from = fields.u64().unwrap_or(u64::MAX);
        let document = Bytes::copy_from_slice(fields.0);
        for index in from..self.size() {
            let Some(entry) = self.entry(index)? else { break };
            if !matches!(entry.statement.act(), Some(Act::Erased(act)) if act.erasure == document) {
                continue;
            }
            let erasure: Erasure = canonical::decode(&document).map_err(io::Error::other)?;
            let parts = self.overwrite(&erasure.parts)?;
            return Ok(Some(ErasedEntry { index, parts }));
        }
        // ERASED did not reach the ledger: whoever asked for it was told so, or nothing at all.
        eraser.disk.replace(&eraser.plan, b"")?;
        Ok(None)
    }

    /// ERASED stands: from here on a failure ends the process, and the next one goes on from the plan.
    fn overwrite(&self, parts: &[ErasedParts]) -> Result<u32, EraseError> {
        let eraser = &self.0.eraser;
        let done = self.overwrite_frames(parts).and_then(|erased| {
            eraser.disk.replace(&eraser.journal, b"")?;
            eraser.disk.replace(&eraser.plan, b"")?;
            Ok(erased)
        });
        if let Err(error) = &done {
            eraser.fatal.call(&FatalError::Writer(format!("erasing: {error}")));
        }
        done
    }

    fn overwrite_frames(&self, parts: &[ErasedParts]) -> Result<u32, EraseError> {
        let named: BTreeMap<u64, &[u8]> = parts.iter().map(|part| (part.index, part.tags.as_ref())).collect();
        let by = self.index()?;
        let mut frames = BTreeMap::new();
        for index in named.keys() {
            let found = by.frame(*index).map_err(ReadError::from)?;
            let (place, first) = found.ok_or(EraseError::UnknownEntry(*index))?;
            frames.insert(place, first);
        }
        let mut erased = 0;
        for (place, first) in frames {
            let body = self.0.reader.frame(place)?;
            let mut body = body.to_vec();
            let count = frame::erase(&mut body, first, |index| named.get(&index).copied()).map_err(ReadError::from)?;
            if count == 0 {
                continue;
            }
            let header = FrameHeader::of(&body).ok_or(frame::FrameError::Body("it is empty or too long"));
            let frame = [&header.map_err(ReadError::from)?.encode()[..], &body].concat();
            self.behind_the_tail(place.segment, place.offset + frame.len() as u64)?;
            self.0.eraser.overwrite(&place, &frame)?;
            erased += count;
        }
        Ok(erased)
    }

    /// The writer keeps the last page and writes it again with the next commit: waits until `end` lies in a page before that.
    /// Each round is a commit of a checkpoint's length, so there are few.
    fn behind_the_tail(&self, segment: u64, end: u64) -> Result<(), EraseError> {
        let page = |offset: u64| offset / PAGE as u64;
        loop {
            let durable = self.durable();
            if durable.segment > segment || page(durable.offset) > page(end.saturating_sub(1)) {
                return Ok(());
            }
            self.blocking(Job::default())?;
        }
    }

    fn append_blocking(&self, statement: Closed) -> Result<Stands, AppendError> {
        self.0.gate.passes()?;
        let job = self.job(&[statement])?;
        self.blocking(job)
    }

    fn blocking(&self, job: Job) -> Result<Stands, AppendError> {
        let (job, landed) = job.awaited();
        self.0.queue.push(job)?;
        let (commit, index) = landed.blocking_recv().map_err(|_| AppendError::Stopped)??;
        Ok(Stands { index, commit })
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
