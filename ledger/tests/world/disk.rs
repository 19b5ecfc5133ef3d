//! A disk that fails once, at the operation a test names, before it is done or after.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jisr_certs::CertError;
use jisr_certs::keys::KeyFiles;
use jisr_ledger::files::{Disk, PAGE, Pages, RealDisk, SegmentFile, WriteError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Allocate,
    Open,
    Rename,
    SyncDirectory,
    Sync,
    /// A small file replaced, removed, or written in place.
    Replace,
    /// A file of the key store.
    Key,
    Occupy,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Nothing is done, and the system says that it is full.
    Full,
    /// Nothing is done, and the system says that it failed.
    Before,
    /// It is done, and the system says that it failed.
    After,
    /// It is done, and the system says that it is full.
    LyingFull,
    /// A write is done by half, and the system says that it failed.
    Torn,
}

#[derive(Default)]
struct Plan {
    fault: Option<(Op, When, usize)>,
    sticky: bool,
    log: Vec<Op>,
}

#[derive(Clone, Default)]
pub(crate) struct FaultDisk(Arc<Mutex<Plan>>);

impl FaultDisk {
    /// The `nth` operation of that kind from now on (0: the next) fails.
    pub(crate) fn fail(&self, op: Op, when: When, nth: usize) {
        let mut plan = self.0.lock().unwrap();
        (plan.fault, plan.sticky) = (Some((op, when, nth)), false);
    }

    /// All operations of that kind fail.
    pub(crate) fn fail_always(&self, op: Op, when: When) {
        let mut plan = self.0.lock().unwrap();
        (plan.fault, plan.sticky) = (Some((op, when, 0)), true);
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().fault = None;
    }

    pub(crate) fn happened(&self) -> bool {
        self.0.lock().unwrap().fault.is_none()
    }

    pub(crate) fn log(&self) -> Vec<Op> {
        self.0.lock().unwrap().log.clone()
    }

    fn meets(&self, op: Op) -> Option<When> {
        let mut plan = self.0.lock().unwrap();
        plan.log.push(op);
        let (at, when, left) = plan.fault?;
        if at != op {
            return None;
        }
        if plan.sticky {
            return Some(when);
        }
        plan.fault = left.checked_sub(1).map(|left| (at, when, left));
        (left == 0).then_some(when)
    }

    fn run<T>(&self, op: Op, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.meets(op) {
            None => run(),
            Some(When::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(When::Before) => Err(io::Error::other("injected before")),
            Some(when) => {
                run()?;
                let kind = if when == When::After {
                    io::ErrorKind::Other
                } else {
                    io::ErrorKind::StorageFull
                };
                Err(io::Error::new(kind, "injected after"))
            }
        }
    }
}

impl Disk for FaultDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.run(Op::Allocate, || RealDisk.allocate(path, bytes))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.run(Op::Open, || RealDisk.open(path))?;
        Ok(Box::new(FaultFile {
            file,
            disk: self.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Op::Rename, || RealDisk.rename(from, to))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.run(Op::SyncDirectory, || RealDisk.sync_directory(directory))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.run(Op::Replace, || RealDisk.replace(path, bytes))
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.run(Op::Replace, || RealDisk.remove(path))
    }

    fn extend(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.run(Op::Replace, || RealDisk.extend(path, offset, bytes))
    }

    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.run(Op::Replace, || RealDisk.overwrite(path, offset, bytes))
    }
}

impl FaultDisk {
    fn key(&self, path: &Path, write: impl FnOnce() -> Result<(), CertError>) -> Result<(), CertError> {
        let done = self.run(Op::Key, || write().map_err(io::Error::other));
        done.map_err(|source| CertError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }
}

impl KeyFiles for FaultDisk {
    fn write_key(&self, path: &Path, content: &[u8]) -> Result<(), CertError> {
        self.key(path, || RealDisk.write_key(path, content))
    }

    fn write_key_once(&self, path: &Path, content: &[u8]) -> Result<(), CertError> {
        self.key(path, || RealDisk.write_key_once(path, content))
    }

    fn destroy_key(&self, path: &Path, bytes: usize) -> Result<(), CertError> {
        self.key(path, || RealDisk.destroy_key(path, bytes))
    }
}

struct FaultFile {
    file: Box<dyn SegmentFile>,
    disk: FaultDisk,
}

impl SegmentFile for FaultFile {
    fn write_durable(&mut self, pages: &Pages, offset: u64) -> Result<(), WriteError> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        match self.disk.meets(Op::Write) {
            None => self.file.write_durable(pages, offset),
            Some(When::Full) => Err(WriteError::Refused(full())),
            Some(When::Before) => Err(WriteError::Unknown(io::Error::other("injected before"))),
            Some(When::After) => {
                self.file.write_durable(pages, offset)?;
                Err(WriteError::Unknown(io::Error::other("injected after")))
            }
            Some(When::LyingFull) => {
                self.file.write_durable(pages, offset)?;
                Err(WriteError::Refused(full()))
            }
            Some(When::Torn) => {
                let mut torn = Pages::zeroed(pages.bytes().len() / PAGE);
                self.file.read(&mut torn, offset).map_err(WriteError::Unknown)?;
                let half = pages.bytes().len() / 2;
                torn.put(0, pages.bytes().get(..half).unwrap_or_default());
                self.file.write_durable(&torn, offset)?;
                Err(WriteError::Unknown(io::Error::other("injected in the middle")))
            }
        }
    }

    fn read(&self, pages: &mut Pages, offset: u64) -> io::Result<()> {
        self.file.read(pages, offset)
    }

    fn occupy(&mut self, from: u64, to: u64) -> Result<(), WriteError> {
        match self.disk.meets(Op::Occupy) {
            Some(When::Full) => Err(WriteError::Refused(io::ErrorKind::StorageFull.into())),
            Some(When::Before) => Err(WriteError::Unknown(io::Error::other("injected before"))),
            when => {
                self.file.occupy(from, to)?;
                match when {
                    None => Ok(()),
                    Some(_) => Err(WriteError::Unknown(io::Error::other("injected after"))),
                }
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.run(Op::Sync, || self.file.sync())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}
