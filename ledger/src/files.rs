//! The one place for `fsync`, `rename`, directory syncs and `O_DIRECT`.
//!
//! Everything that must be on disk before somebody is told goes through [`Disk`], so a test can make any single durable
//! write fail, before it reaches the disk or after.

mod pages;

pub use pages::Pages;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jisr_certs::CertError;
use jisr_certs::keys::{KeyFiles, RealFiles};
use rustix::fs::{AtFlags, FallocateFlags, OFlags, SeekFrom, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// Bytes of a page: what direct writes are aligned to, in memory and in the file.
pub const PAGE: usize = 4096;

/// Where durable writes go, those of a key store too. Two implementations: [`RealDisk`], and the one of the fault tests.
pub trait Disk: KeyFiles {
    /// Makes a file of `bytes` zero bytes that really occupies its blocks, and syncs it and its directory.
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Opens an existing file for durable writes in place.
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Renames within one file system. Not durable before both directories are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Puts `bytes` at `path` so that after a crash there is either the old content or the new one, durable when it
    /// returns. The file is readable by its owner only.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file, durably; whether there was one.
    fn remove(&self, path: &Path) -> io::Result<bool>;

    /// Has a file end with `bytes` from `offset` on, and makes it where there is none (owner only). After a crash any part of them
    /// may be there.
    fn extend(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Puts `bytes` over what an existing file holds from `offset` on. After a crash any part of them may be there.
    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written to these files, and their names.
    fn sync_files(&self, files: &[PathBuf]) -> io::Result<()> {
        if files.len() > SYNCED_ONE_BY_ONE
            && let Some(first) = files.first()
        {
            return Ok(rustix::fs::syncfs(File::open(first)?)?);
        }
        let mut directories = BTreeSet::new();
        for file in files {
            File::open(file)?.sync_all()?;
            directories.insert(parent(file));
        }
        directories
            .into_iter()
            .try_for_each(|directory| self.sync_directory(directory))
    }
}

/// More files than this are made durable by one sync of their file system.
const SYNCED_ONE_BY_ONE: usize = 64;

/// A file that is written in place, each write durable when it returns.
pub trait SegmentFile: Send {
    /// Writes whole pages at a multiple of [`PAGE`] and syncs them. One call, one write, one sync.
    fn write_durable(&mut self, pages: &Pages, offset: u64) -> Result<(), WriteError>;

    /// Fills `pages` from the file at a multiple of [`PAGE`]; zero bytes where the file ends.
    fn read(&self, pages: &mut Pages, offset: u64) -> io::Result<()>;

    /// Makes the bytes between two multiples of [`PAGE`] really occupy their blocks; they must be zero, and are. So no write among
    /// them is refused for want of room. A file that is shorter grows.
    fn occupy(&mut self, from: u64, to: u64) -> Result<(), WriteError>;

    /// Makes durable whatever was written to the file before, by whom ever.
    fn sync(&self) -> io::Result<()>;

    /// Length of the file.
    fn bytes(&self) -> io::Result<u64>;
}

/// What is known after a write that failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system took no byte (full disk, quota). The caller reads back before it relies on that.
    #[error("the disk took nothing: {0}")]
    Refused(#[source] io::Error),
    /// Some, all or nothing may be on disk, and the system may answer reads from memory: only a restart can tell.
    #[error("it is not known what reached the disk: {0}")]
    Unknown(#[source] io::Error),
}

/// Zero bytes are laid down in steps of this many pages (1 MiB), each synced, so that a commit never queues behind a
/// whole segment.
const ALLOCATE_PAGES: usize = 256;

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let zeros = Pages::zeroed(ALLOCATE_PAGES);
        let mut left = bytes;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.used());
            file.write_all(zeros.bytes().get(..step).unwrap_or_default())?;
            file.sync_data()?;
            left = left.saturating_sub(step as u64);
        }
        file.sync_all()?;
        self.sync_directory(parent(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let (file, direct) = match open_direct(path) {
            Ok(file) => (file, true),
            Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => (open_plain(path)?, false),
            Err(e) => return Err(e),
        };
        Ok(Box::new(RealFile {
            file,
            direct,
            path: path.to_owned(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        self.sync_directory(parent(path))
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        match fs::remove_file(path) {
            Ok(()) => self.sync_directory(parent(path)).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn extend(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        file.set_len(offset)?;
        file.write_all_at(bytes, offset)?;
        file.sync_all()?;
        match offset {
            0 => self.sync_directory(parent(path)),
            _ => Ok(()),
        }
    }

    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = open_plain(path)?;
        file.write_all_at(bytes, offset)?;
        file.sync_all()
    }
}

impl KeyFiles for RealDisk {
    fn write_key(&self, path: &Path, content: &[u8]) -> Result<(), CertError> {
        RealFiles.write_key(path, content)
    }

    fn write_key_once(&self, path: &Path, content: &[u8]) -> Result<(), CertError> {
        RealFiles.write_key_once(path, content)
    }

    fn destroy_key(&self, path: &Path, bytes: usize) -> Result<(), CertError> {
        RealFiles.destroy_key(path, bytes)
    }
}

/// Puts `bytes` at `path` so that readers find the old content or the new one, but nothing is durable: for what can be made anew,
/// and whose readers bear that a crash leaves neither.
pub fn replace_derived(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}

/// Makes a directory, and those above it, for the owner only. Durable when it returns.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

fn open_direct(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(path)
}

fn open_plain(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// How many names a file has. Only that is asked for: where the kernel was asked for a file's times, the next write must make
/// new ones durable with its data, which costs a third of a small write again (Linux 6.13 and later).
fn links(file: &File) -> Result<u64, Errno> {
    match rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK) {
        Ok(stat) => Ok(stat.stx_nlink.into()),
        Err(Errno::NOSYS) => Ok(rustix::fs::fstat(file)?.st_nlink),
        Err(e) => Err(e),
    }
}

struct RealFile {
    file: File,
    /// Opened with `O_DIRECT`. Cleared for good at the first refusal by the file system (tmpfs and some others).
    direct: bool,
    path: PathBuf,
}

impl SegmentFile for RealFile {
    fn write_durable(&mut self, pages: &Pages, offset: u64) -> Result<(), WriteError> {
        self.write_and_sync(pages.whole_pages(), offset)?;
        self.check_named()
    }

    fn read(&self, pages: &mut Pages, offset: u64) -> io::Result<()> {
        let buffer = pages.bytes_mut();
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(rest) = buffer.get_mut(filled..) else { break };
            match self.file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => {
                    rest.fill(0);
                    break;
                }
                // A direct read continues at page boundaries only; a short one is the end of the file.
                Ok(n) if self.direct && n % PAGE != 0 => {
                    rest.get_mut(n..).unwrap_or_default().fill(0);
                    break;
                }
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn occupy(&mut self, from: u64, to: u64) -> Result<(), WriteError> {
        let mut at = self.first_hole(from, to).map_err(WriteError::Unknown)?;
        if at >= to {
            return Ok(());
        }
        // All of it or nothing, where the file system offers that. Zeros are written all the same: a commit into blocks that
        // were never written would wait for the file system's journal.
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), at, to - at) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => {}
            Err(e) => return Err(WriteError::Refused(e.into())),
        }
        let mut zeros = Pages::zeroed(ALLOCATE_PAGES);
        while at < to {
            zeros.truncate(usize::try_from(to - at).unwrap_or(usize::MAX));
            self.write_durable(&zeros, at)?;
            at = at.saturating_add(zeros.used() as u64);
        }
        self.file.sync_all().map_err(WriteError::Unknown)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl RealFile {
    fn write_and_sync(&mut self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        if self.direct {
            match self.write_direct(bytes, offset) {
                Err(WriteError::Refused(e)) if refuses_direct(&e) => {
                    self.file = open_plain(&self.path).map_err(WriteError::Refused)?;
                    self.direct = false;
                }
                done => return done,
            }
        }
        write_all(bytes, offset, |rest, at| self.file.write_at(rest, at))?;
        self.file.sync_data().map_err(WriteError::Unknown)
    }

    /// A file without a name takes every write, and all of it is gone when it is closed: nothing in it may be acknowledged.
    fn check_named(&self) -> Result<(), WriteError> {
        let links = links(&self.file).map_err(|e| WriteError::Unknown(e.into()))?;
        if links == 0 {
            let gone = "the file was removed from its directory while it was written";
            return Err(WriteError::Unknown(io::Error::new(io::ErrorKind::NotFound, gone)));
        }
        Ok(())
    }

    /// The first multiple of [`PAGE`] from which on bytes between the two may lack their blocks; `to` where none do.
    fn first_hole(&self, from: u64, to: u64) -> io::Result<u64> {
        // No hole is looked for behind the end.
        if from >= to.min(self.bytes()?) {
            return Ok(from);
        }
        let hole = rustix::fs::seek(&self.file, SeekFrom::Hole(from))?;
        Ok((hole / PAGE as u64 * PAGE as u64).max(from).min(to))
    }

    /// Write and sync are one call: `RWF_DSYNC` is `O_DSYNC` for this write.
    fn write_direct(&self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        write_all(bytes, offset, |rest, at| {
            rustix::io::pwritev2(&self.file, &[IoSlice::new(rest)], at, ReadWriteFlags::DSYNC).map_err(io::Error::from)
        })
    }
}

fn refuses_direct(e: &io::Error) -> bool {
    [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS]
        .iter()
        .any(|no| e.raw_os_error() == Some(no.raw_os_error()))
}

/// Writes everything or says what is known. Only an error of the first call that tells of a full disk, or that the kind
/// of write is not offered, promises that nothing was taken.
fn write_all(bytes: &[u8], offset: u64, write: impl Fn(&[u8], u64) -> io::Result<usize>) -> Result<(), WriteError> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match write(rest, offset.saturating_add(done as u64)) {
            Ok(0) => return Err(WriteError::Unknown(io::ErrorKind::WriteZero.into())),
            Ok(n) => done = done.saturating_add(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if done == 0 && (is_full(&e) || refuses_direct(&e)) => return Err(WriteError::Refused(e)),
            Err(e) => return Err(WriteError::Unknown(e)),
        }
    }
    Ok(())
}

/// The disk or the quota is full.
#[must_use]
pub fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparse_or_shortened_file_is_filled_up_and_what_it_holds_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (path, page) = (dir.path().join("segment"), PAGE as u64);
        let blocks = || std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap());
        for bytes in [page, 3 * page + 100, 600 * page] {
            fs::write(&path, vec![7; PAGE]).unwrap();
            OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(bytes)
                .unwrap();
            let mut file = RealDisk.open(&path).unwrap();
            for _ in 0..2 {
                file.occupy(page, 600 * page).unwrap();
                assert_eq!(file.bytes().unwrap(), 600 * page);
                assert!(blocks() * 512 >= 600 * page);
            }
            let found = fs::read(&path).unwrap();
            assert!(found[..PAGE].iter().all(|byte| *byte == 7) && found[PAGE..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn what_is_written_to_a_removed_file_is_not_durable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        RealDisk.allocate(&path, 2 * PAGE as u64).unwrap();
        let mut file = RealDisk.open(&path).unwrap();
        file.write_durable(&Pages::zeroed(1), 0).unwrap();
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        file.write_durable(&Pages::zeroed(1), 0).unwrap();
        fs::remove_file(dir.path().join("elsewhere")).unwrap();
        let written = file.write_durable(&Pages::zeroed(1), 0);
        assert!(matches!(written, Err(WriteError::Unknown(_))), "{written:?}");
    }

    #[test]
    fn a_durable_write_is_read_back_and_replace_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        RealDisk.allocate(&path, 3 * PAGE as u64).unwrap();
        let mut file = RealDisk.open(&path).unwrap();
        let mut pages = Pages::new();
        pages.push(b"hello");
        file.write_durable(&pages, PAGE as u64).unwrap();
        let mut back = Pages::zeroed(3);
        file.read(&mut back, 0).unwrap();
        assert_eq!(&back.bytes()[PAGE..PAGE + 5], b"hello");
        assert_eq!(file.bytes().unwrap(), 3 * PAGE as u64);
        RealDisk.replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
