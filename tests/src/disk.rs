//! A disk that stops at a chosen write: what a power cut at that moment leaves.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::Arc;

use jisr_ledger::files::{Disk, Pages, RealDisk, SegmentFile, WriteError};

/// Where, relative to a durable write, the disk stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of the write reaches the disk.
    Before,
    /// The write is on disk, but nobody is told.
    After,
}

/// A disk that can be told to stop. Once stopped it takes nothing more.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<State>);

#[derive(Debug)]
struct State {
    /// Writes to let pass; negative: as many as come.
    left: AtomicI64,
    after: AtomicBool,
    stopped: AtomicBool,
    full: AtomicBool,
    writes: AtomicI64,
}

impl Default for FaultyDisk {
    fn default() -> FaultyDisk {
        FaultyDisk(Arc::new(State {
            left: AtomicI64::new(-1),
            after: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            full: AtomicBool::new(false),
            writes: AtomicI64::new(0),
        }))
    }
}

impl FaultyDisk {
    /// Stops at the `nth` durable write from now, counted from 0.
    pub fn stop_at(&self, nth: i64, moment: Moment) {
        self.0.after.store(moment == Moment::After, Ordering::SeqCst);
        self.0.left.store(nth, Ordering::SeqCst);
    }

    /// Whether it has stopped.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Durable writes so far.
    #[must_use]
    pub fn writes(&self) -> i64 {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Refuses every write from now on, or takes them again, as a full disk does.
    pub fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.stopped() { Err(io::Error::other("the disk has stopped")) } else { Ok(()) }
    }

    fn full(&self) -> io::Result<()> {
        if self.0.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.check()?;
        self.full()?;
        RealDisk.allocate(path, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.check()?;
        Ok(Box::new(FaultyFile { disk: self.clone(), file: RealDisk.open(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        RealDisk.rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.check()?;
        RealDisk.sync_directory(directory)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.full()?;
        RealDisk.replace(path, bytes)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn SegmentFile>,
}

impl SegmentFile for FaultyFile {
    fn write_durable(&mut self, pages: &Pages, offset: u64) -> Result<(), WriteError> {
        let state = &self.disk.0;
        self.disk.check().map_err(WriteError::Unknown)?;
        self.disk.full().map_err(WriteError::Refused)?;
        state.writes.fetch_add(1, Ordering::SeqCst);
        let left = state.left.load(Ordering::SeqCst);
        if left > 0 {
            state.left.store(left - 1, Ordering::SeqCst);
        }
        if left == 0 {
            state.stopped.store(true, Ordering::SeqCst);
            if state.after.load(Ordering::SeqCst) {
                self.file.write_durable(pages, offset)?;
            }
            return Err(WriteError::Unknown(io::Error::other("the disk has stopped")));
        }
        self.file.write_durable(pages, offset)
    }

    fn read(&self, pages: &mut Pages, offset: u64) -> io::Result<()> {
        self.file.read(pages, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}
