//! The file that holds the rows, in the order of their keys: one table of redb. What it takes of memory is bounded by its
//! cache, however many rows there are.
//!
//! It is redb and not sled: sled keeps an entry in memory for each of its pages and so grows with the ledger, by 100 MB for each
//! million statements where each came alone (redb: not at all), and its flush does not sync on Linux.
//!
//! Nothing here is waited for by who appends, and losing it costs time only. So most changes are not made durable: redb writes
//! them beside what it made durable before, and after a power cut or a kill shows just that, whole; the rest is read back from the
//! segments. A row carries a checksum. What does not hold is removed at once, and made anew from the segments.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase};

const ROWS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("rows");

/// The file, in the index's directory.
const FILE: &str = "rows.redb";

/// What was changed is made durable at the first change after so long, seldom since it is the one time that the disk is synced
/// beside the ledger's own writes; or after so many rows: pages that became free are used again only then, and redb keeps a list of
/// those that it wrote since.
const DURABLE_EVERY: Duration = Duration::from_secs(10);
const DURABLE_ROWS: usize = 1 << 17;

/// Rows to write, and to remove where there is none. In the order of their keys, so that neighbours are written together.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Changes {
    pub(super) fn insert(&mut self, key: impl Into<Vec<u8>>, row: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), Some(row.into()));
    }

    pub(super) fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), None);
    }
}

pub(super) struct Store {
    /// There until it is dropped.
    db: Option<Database>,
    path: PathBuf,
    /// When, and how many changed rows ago, what was changed was last made durable.
    durable: Mutex<(Instant, usize)>,
    /// Something in it does not hold, and the file is removed.
    damaged: AtomicBool,
    /// Rows that were looked at.
    #[cfg(test)]
    pub(super) looked_at: std::sync::atomic::AtomicU64,
}

impl Store {
    /// Opens the rows in a directory, or begins without any where there are none or they are damaged.
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> io::Result<Self> {
        let path = directory.join(FILE);
        if fs::exists(&path)? {
            match Self::begin(&path, cache_bytes) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%error, "the ledger's index is damaged and is built anew");
                }
                done => return done,
            }
        }
        // What an older program kept its index in goes too.
        remove(directory)?;
        crate::files::create_directory(directory)?;
        Self::begin(&path, cache_bytes)
    }

    fn begin(path: &Path, cache_bytes: u64) -> io::Result<Self> {
        let db = guarded(|| {
            let mut builder = Database::builder();
            builder.set_cache_size(usize::try_from(cache_bytes).unwrap_or(usize::MAX));
            Ok(builder.create(path)?)
        })?;
        let store = Self {
            db: Some(db),
            path: path.to_owned(),
            durable: Mutex::new((Instant::now(), 0)),
            damaged: AtomicBool::new(false),
            #[cfg(test)]
            looked_at: std::sync::atomic::AtomicU64::default(),
        };
        // So that there is a table to read.
        store.write(&Changes::default(), false)?;
        Ok(store)
    }

    /// Changes rows, all or none.
    pub(super) fn apply(&self, changes: &Changes) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, rows) = *durable;
        let rows = rows + changes.0.len();
        let is_due = since.elapsed() >= DURABLE_EVERY || rows >= DURABLE_ROWS;
        self.write(changes, is_due)?;
        *durable = if is_due { (Instant::now(), 0) } else { (since, rows) };
        Ok(())
    }

    /// What was changed is durable when it returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&Changes::default(), true)?;
        *durable = (Instant::now(), 0);
        Ok(())
    }

    /// Removes the file: who opens it next begins without any rows, and who has it open goes on with what it was.
    pub(super) fn discard(&self) {
        if self.damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, path = %self.path.display(), "an index that does not hold cannot be removed; remove it by hand");
        }
    }

    fn write(&self, changes: &Changes, is_durable: bool) -> io::Result<()> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(damaged("it is removed"));
        }
        self.guarded(|db| {
            let mut transaction = db.begin_write()?;
            if is_durable {
                // Keeps a list of the free pages too: a start after a kill need not read the whole file to make it.
                transaction.set_quick_repair(true);
            } else {
                transaction.set_durability(Durability::None)?;
            }
            {
                let mut rows = transaction.open_table(ROWS)?;
                for (key, row) in &changes.0 {
                    match row {
                        Some(row) => rows.insert(key.as_slice(), checked(key, row).as_slice())?,
                        None => rows.remove(key.as_slice())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.guarded(|db| {
            let Some(found) = rows(db)?.get(key)? else {
                return Ok(None);
            };
            self.count();
            Ok(Some(unchecked(key, found.value())?.to_vec()))
        })
    }

    /// The rows with keys in a range, in their order, until `take` says that it is enough.
    pub(super) fn each<'k>(
        &self,
        keys: impl RangeBounds<&'k [u8]> + 'k,
        mut take: impl FnMut(&[u8], &[u8]) -> io::Result<bool>,
    ) -> io::Result<()> {
        self.guarded(|db| {
            for found in rows(db)?.range(keys)? {
                let (key, row) = found?;
                self.count();
                if !take(key.value(), unchecked(key.value(), row.value())?)? {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The rows whose keys begin so.
    pub(super) fn each_with(
        &self,
        prefix: &[u8],
        mut take: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.each((Bound::Included(prefix), Bound::Unbounded), |key, row| {
            let is_one = key.starts_with(prefix);
            if is_one {
                take(key, row)?;
            }
            Ok(is_one)
        })
    }

    /// The last row with a key in a range, and its key.
    pub(super) fn last<'k>(&self, keys: impl RangeBounds<&'k [u8]> + 'k) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.guarded(|db| {
            let Some((key, row)) = rows(db)?.range(keys)?.next_back().transpose()? else {
                return Ok(None);
            };
            self.count();
            let row = unchecked(key.value(), row.value())?;
            Ok(Some((key.value().to_vec(), row.to_vec())))
        })
    }

    /// What is damaged is removed.
    fn guarded<T>(&self, what: impl FnOnce(&Database) -> Result<T, Failure>) -> io::Result<T> {
        let db = self.db.as_ref().expect("it is there until it is dropped");
        guarded(|| what(db)).inspect_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData && !self.damaged.load(Ordering::Relaxed) {
                tracing::error!(%error, "the ledger's index is damaged and is built anew");
                self.discard();
            }
        })
    }

    fn count(&self) {
        #[cfg(test)]
        self.looked_at.fetch_add(1, Ordering::Relaxed);
    }

    /// Pages that are read to find a row.
    #[cfg(test)]
    pub(super) fn height(&self) -> u32 {
        use redb::ReadableTableMetadata;
        rows(self.db.as_ref().unwrap())
            .ok()
            .unwrap()
            .stats()
            .unwrap()
            .tree_height()
    }
}

impl Drop for Store {
    /// Makes durable what is not yet. After a panic redb panics here too.
    fn drop(&mut self) {
        let db = self.db.take();
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            self.discard();
        }
    }
}

fn rows(db: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Failure> {
    Ok(db.begin_read()?.open_table(ROWS)?)
}

/// A row as it is stored: with the CRC-32C of its key and itself, for redb looks at its own checksums only after a crash.
fn checked(key: &[u8], row: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c_append(crc32c::crc32c(key), row);
    [row, &sum.to_be_bytes()].concat()
}

/// The row that is stored under this key.
fn unchecked<'a>(key: &[u8], stored: &'a [u8]) -> io::Result<&'a [u8]> {
    let (row, sum) = stored
        .split_last_chunk::<4>()
        .ok_or_else(|| damaged("a row is too short"))?;
    if crc32c::crc32c_append(crc32c::crc32c(key), row) != u32::from_be_bytes(*sum) {
        return Err(damaged("a row is not what was written"));
    }
    Ok(row)
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// An error of redb or of who takes rows, as one of the system.
struct Failure(io::Error);

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(match error.into() {
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => damaged("the file is cut short"),
            redb::Error::Io(error) => error,
            // Another thread has it open still, or a write failed before: nothing is wrong with the file.
            error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::PreviousIo) => io::Error::other(error),
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }
}

/// A file that was altered may make redb panic: that is a damage like another, and no more.
fn guarded<T>(what: impl FnOnce() -> Result<T, Failure>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(done) => done.map_err(|Failure(error)| error),
        Err(_) => Err(damaged("a page is not what was written")),
    }
}
