//! The file that holds the rows, in the order of their keys. What it takes of memory is bounded, however many rows there are.
//!
//! It is redb and not sled: sled keeps an entry in memory for each of its pages, about 16 rows, and so grows with the ledger.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase};

const ROWS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("rows");

/// The file, in the index's directory.
const FILE: &str = "rows.redb";

/// What was changed is made durable at the first change after so long. A process that is killed before loses it, and reads it
/// back from the segments.
const DURABLE_EVERY: Duration = Duration::from_secs(5);

/// Rows to write, and to remove where there is none.
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
    db: Database,
    /// When what was changed was last made durable.
    durable: Mutex<Instant>,
    /// Rows that were looked at.
    #[cfg(test)]
    pub(super) looked_at: std::sync::atomic::AtomicU64,
}

impl Store {
    /// Opens the rows in a directory, or begins without any where there are none or they are damaged.
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> io::Result<Self> {
        let db = match fs::exists(directory.join(FILE))?.then(|| open(directory, cache_bytes)) {
            Some(Ok(db)) => db,
            Some(Err(error)) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
            damaged => {
                if let Some(Err(error)) = damaged {
                    tracing::warn!(%error, "the ledger's index is damaged and is built anew");
                }
                remove(directory)?;
                crate::files::create_directory(directory)?;
                open(directory, cache_bytes)?
            }
        };
        let store = Self {
            db,
            durable: Mutex::new(Instant::now()),
            #[cfg(test)]
            looked_at: std::sync::atomic::AtomicU64::default(),
        };
        store.apply(Changes::default())?;
        Ok(store)
    }

    /// Changes rows, all or none.
    pub(super) fn apply(&self, changes: Changes) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let now = durable.elapsed() >= DURABLE_EVERY;
        self.write(changes, now)?;
        if now {
            *durable = Instant::now();
        }
        Ok(())
    }

    /// What was changed is durable when it returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(Changes::default(), true)?;
        *durable = Instant::now();
        Ok(())
    }

    /// Removes all rows.
    pub(super) fn clear(&self) -> io::Result<()> {
        guarded(|| {
            let transaction = self.db.begin_write()?;
            transaction.delete_table(ROWS)?;
            transaction.open_table(ROWS)?;
            Ok(transaction.commit()?)
        })
    }

    fn write(&self, changes: Changes, durable: bool) -> io::Result<()> {
        guarded(|| {
            let mut transaction = self.db.begin_write()?;
            if durable {
                // So that a start after a kill need not read the whole file.
                transaction.set_quick_repair(true);
            } else {
                transaction.set_durability(Durability::None)?;
            }
            {
                let mut rows = transaction.open_table(ROWS)?;
                for (key, row) in &changes.0 {
                    match row {
                        Some(row) => rows.insert(key.as_slice(), row.as_slice())?,
                        None => rows.remove(key.as_slice())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        guarded(|| {
            let row = self.rows()?.get(key)?.map(|row| row.value().to_vec());
            self.count();
            Ok(row)
        })
    }

    /// The rows with keys in a range, in their order, until `take` says that it is enough.
    pub(super) fn each<'k>(
        &self,
        keys: impl RangeBounds<&'k [u8]> + 'k,
        mut take: impl FnMut(&[u8], &[u8]) -> io::Result<bool>,
    ) -> io::Result<()> {
        guarded(|| {
            for found in self.rows()?.range(keys)? {
                let (key, row) = found?;
                self.count();
                if !take(key.value(), row.value())? {
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
        guarded(|| {
            let found = self.rows()?.range(keys)?.next_back().transpose()?;
            self.count();
            Ok(found.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())))
        })
    }

    fn rows(&self) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Failure> {
        Ok(self.db.begin_read()?.open_table(ROWS)?)
    }

    fn count(&self) {
        #[cfg(test)]
        self.looked_at.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn open(directory: &Path, cache_bytes: u64) -> io::Result<Database> {
    guarded(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(usize::try_from(cache_bytes).unwrap_or(usize::MAX));
        Ok(builder.create(directory.join(FILE))?)
    })
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
            redb::Error::Io(error) => error,
            error @ (redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_)) => {
                io::Error::new(io::ErrorKind::InvalidData, error)
            }
            error => io::Error::other(error),
        })
    }
}

/// A file that was altered may make redb panic: that is a damage like another, and no more.
fn guarded<T>(what: impl FnOnce() -> Result<T, Failure>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(done) => done.map_err(|Failure(error)| error),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a page of the index is damaged",
        )),
    }
}
