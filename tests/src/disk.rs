//! A disk that stops at a chosen write: what a power cut at that moment leaves.
//!
//! The write at which it stops does not return before the node is crashed, so that the node does nothing more in between:
//! it says nothing to anybody, as after kill -9.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jisr_certs::CertError;
use jisr_certs::keys::KeyFiles;
use jisr_ledger::files::{Disk, PAGE, Pages, RealDisk, SegmentFile, WriteError};
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

/// Where, relative to a durable write, the disk stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of the write reaches the disk.
    Before,
    /// The write is on disk, but nobody is told.
    After,
}

/// A disk that can be told to stop. Once stopped it takes nothing more.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<State>);

#[derive(Debug, Default)]
struct State {
    plan: Mutex<Option<Plan>>,
    released: Mutex<bool>,
    changed: Condvar,
    stopped: AtomicBool,
    full: AtomicBool,
    writes: AtomicI64,
    /// Every durable write so far, those beside the segments too: what was done, and to which file.
    log: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Plan {
    at: At,
    then: Then,
}

#[derive(Debug)]
enum At {
    /// So many writes to segments pass before.
    Nth(i64),
    /// The write that the log tells like this.
    Named(String),
    /// The write that holds these bytes.
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Stop(Moment),
    /// So many sectors of it reach the disk, from the first on; then it stops.
    Tear(usize),
    /// The write reports an error at once, and the disk takes nothing more.
    Fail(Moment),
    /// Waits until it is released and goes on as if nothing had been.
    Hold,
}

/// What reaches the disk of a torn write is whole sectors.
const SECTOR: usize = 512;

/// A node that nobody crashes is not held forever.
const HELD_MAX: Duration = Duration::from_secs(30);

impl FaultyDisk {
    /// Stops at the `nth` durable write from now, counted from 0.
    pub fn stop_at(&self, nth: i64, moment: Moment) {
        self.plan(At::Nth(nth), Then::Stop(moment));
    }

    /// Tears the `nth` durable write from now: of all that it holds only the first `sectors` reach the disk, and it stops.
    pub fn tear_at(&self, nth: i64, sectors: usize) {
        self.plan(At::Nth(nth), Then::Tear(sectors));
    }

    /// Has the `nth` durable write from now fail, as a sync does that reports an error: nobody waits for a crash.
    pub fn fail_at_nth(&self, nth: i64, moment: Moment) {
        self.plan(At::Nth(nth), Then::Fail(moment));
    }

    /// Has the next durable write fail that the log tells like this.
    pub fn fail_at(&self, name: &str, moment: Moment) {
        self.plan(At::Named(name.to_owned()), Then::Fail(moment));
    }

    /// Every durable write so far: those to segments, and those of files beside the ledger and in the key store, by what was done
    /// and the file's name, with `#` for its numbers and digests.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lock(&self.0.log).clone()
    }

    /// Holds the `nth` durable write from now back until it is released, as a process does that is paused.
    pub fn hold_at(&self, nth: i64) {
        self.plan(At::Nth(nth), Then::Hold);
    }

    /// Stops at the write of a statement of this kind, about this exchange or, without one, about any.
    pub fn stop_at_statement(&self, kind: Kind, exchange: Option<&ExchangeId>, moment: Moment) {
        self.plan(At::Bytes(beginning(kind, exchange)), Then::Stop(moment));
    }

    /// Stops now.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
    }

    /// Holds the write of a statement of this kind back until it is released.
    pub fn hold_at_statement(&self, kind: Kind, exchange: Option<&ExchangeId>) {
        self.plan(At::Bytes(beginning(kind, exchange)), Then::Hold);
    }

    /// Lets the write return at which it stopped or that it holds back.
    pub fn release(&self) {
        *lock(&self.0.released) = true;
        self.0.changed.notify_all();
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

    fn plan(&self, at: At, then: Then) {
        *lock(&self.0.released) = false;
        *lock(&self.0.plan) = Some(Plan { at, then });
    }

    /// What is to happen at this write to a segment, once.
    fn due(&self, bytes: &[u8]) -> Option<Then> {
        self.due_at(SEGMENT, Some(bytes))
    }

    /// What is to happen at this write, once; `bytes` where it is one to a segment.
    fn due_at(&self, name: &str, bytes: Option<&[u8]>) -> Option<Then> {
        lock(&self.0.log).push(name.to_owned());
        let mut plan = lock(&self.0.plan);
        let due = match (&mut plan.as_mut()?.at, bytes) {
            (At::Named(wanted), _) => wanted == name,
            (At::Nth(0), Some(_)) => true,
            (At::Nth(left), Some(_)) => {
                *left -= 1;
                false
            }
            (At::Bytes(wanted), Some(bytes)) => bytes.windows(wanted.len()).any(|window| window == wanted.as_slice()),
            (At::Nth(_) | At::Bytes(_), None) => false,
        };
        if due { plan.take().map(|plan| plan.then) } else { None }
    }

    /// A durable write beside the segments. One that fails, or that comes once the disk has stopped, says so at once: whoever writes
    /// may hold up the very thread that would crash the node.
    fn beside<T>(&self, what: &str, path: &Path, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check()?;
        self.full()?;
        match self.due_at(&name(what, path), None) {
            Some(Then::Fail(moment)) => {
                self.stop();
                if moment == Moment::After {
                    write()?;
                }
                Err(io::Error::other("the sync failed"))
            }
            _ => write(),
        }
    }

    fn wait(&self) {
        let released = lock(&self.0.released);
        drop(
            self.0
                .changed
                .wait_timeout_while(released, HELD_MAX, |released| !*released),
        );
    }

    fn check(&self) -> io::Result<()> {
        if self.stopped() {
            Err(io::Error::other("the disk has stopped"))
        } else {
            Ok(())
        }
    }

    fn full(&self) -> io::Result<()> {
        if self.0.full.load(Ordering::SeqCst) {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

/// What the log says of a write to a segment.
const SEGMENT: &str = "write segment";

/// What was done to which file in which directory, with `#` for numbers and digests: the same write of another time has the same name.
fn name(what: &str, path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let last = parts.iter().skip(parts.len().saturating_sub(2));
    let last = last.filter(|part| !part.starts_with(".tmp"));
    let file = last.map(|part| numberless(part)).collect::<Vec<_>>().join("/");
    format!("{what} {file}")
}

fn numberless(part: &str) -> String {
    let is_digest = |word: &str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = part.split('.').map(|word| {
        let mut name = String::new();
        for char in if is_digest(word) { "0" } else { word }.chars() {
            match char.is_ascii_digit() {
                true if name.ends_with('#') => {}
                true => name.push('#'),
                false => name.push(char),
            }
        }
        name
    });
    words.collect::<Vec<_>>().join(".")
}

/// How CORE begins: format 1, kind, instance JO, exchange id. It rests in the clear.
fn beginning(kind: Kind, exchange: Option<&ExchangeId>) -> Vec<u8> {
    let kind = u8::try_from(kind as i32).expect("kinds are small numbers");
    let mut bytes = vec![0x08, 1, 0x10, kind, 0x1a, 2, b'J', b'O', 0x22, 16];
    bytes.extend_from_slice(exchange.map_or(&[], |exchange| exchange.as_bytes().as_slice()));
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk for FaultyDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.beside("allocate", path, || RealDisk.allocate(path, bytes))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.check()?;
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            file: RealDisk.open(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.beside("rename to", to, || RealDisk.rename(from, to))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.beside("sync directory", directory, || RealDisk.sync_directory(directory))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.beside("replace", path, || RealDisk.replace(path, bytes))
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.beside("remove", path, || RealDisk.remove(path))
    }

    fn extend(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.beside("extend", path, || RealDisk.extend(path, offset, bytes))
    }

    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.beside("overwrite", path, || RealDisk.overwrite(path, offset, bytes))
    }
}

impl FaultyDisk {
    fn key(&self, path: &Path, write: impl FnOnce() -> Result<(), CertError>) -> Result<(), CertError> {
        let done = self.beside("key", path, || write().map_err(io::Error::other));
        done.map_err(|source| CertError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }
}

impl KeyFiles for FaultyDisk {
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

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn SegmentFile>,
}

impl FaultyFile {
    /// Writes the first sectors of the pages and leaves what lay behind them.
    fn tear(&mut self, pages: &Pages, offset: u64, sectors: usize) -> Result<(), WriteError> {
        let whole = pages.whole_pages();
        let mut torn = Pages::zeroed(whole.len() / PAGE);
        self.file.read(&mut torn, offset).map_err(WriteError::Unknown)?;
        let reaches = whole.len().min(sectors * SECTOR);
        torn.put(0, whole.get(..reaches).unwrap_or_default());
        self.file.write_durable(&torn, offset)
    }
}

impl SegmentFile for FaultyFile {
    fn occupy(&mut self, from: u64, to: u64) -> Result<(), WriteError> {
        self.disk.check().map_err(WriteError::Unknown)?;
        self.disk.full().map_err(WriteError::Refused)?;
        self.file.occupy(from, to)
    }

    fn write_durable(&mut self, pages: &Pages, offset: u64) -> Result<(), WriteError> {
        let disk = self.disk.clone();
        disk.0.writes.fetch_add(1, Ordering::SeqCst);
        disk.full().map_err(WriteError::Refused)?;
        match disk.due(pages.bytes()) {
            None => {}
            Some(Then::Hold) => disk.wait(),
            Some(Then::Stop(moment)) => {
                if moment == Moment::After {
                    self.file.write_durable(pages, offset)?;
                }
                disk.stop();
            }
            Some(Then::Tear(sectors)) => {
                self.tear(pages, offset, sectors)?;
                disk.stop();
            }
            Some(Then::Fail(moment)) => {
                if moment == Moment::After {
                    self.file.write_durable(pages, offset)?;
                }
                disk.stop();
                return Err(WriteError::Unknown(io::Error::other("the sync failed")));
            }
        }
        if let Err(error) = disk.check() {
            disk.wait();
            return Err(WriteError::Unknown(error));
        }
        self.file.write_durable(pages, offset)
    }

    fn read(&self, pages: &mut Pages, offset: u64) -> io::Result<()> {
        self.file.read(pages, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.check()?;
        self.file.sync()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}
