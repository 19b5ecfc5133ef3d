//! The closet that keeps the newest snapshot on disk, so that the node starts without the registry.
//!
//! `rows` is a whole snapshot; `changes` is the newest one as what changed since that. Each is replaced as a whole, and `changes`
//! counts only where `rows` is the version that it says: whatever a crash leaves is a snapshot that once was the newest. When the
//! changes have grown, `rows` is written anew. Both are verified like what comes from the registry.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::files::{Disk, create_directory};
use jisr_ledger::snapshot::{Known, Rows};
use jisr_proto::snapshot::{RowChange, SignedSnapshot, SnapshotUpdate};
use prost::Message as _;

use crate::directory::View;
use crate::snapshots::{SnapshotError, Taken, take};

/// Changes of this size, bytes, are always kept as such.
const CHANGES_BYTES: usize = 64 << 10;

/// The directory.
pub(crate) struct Cache {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    base: Mutex<Base>,
}

/// What `rows` holds.
#[derive(Debug, Default)]
struct Base {
    /// 0: nothing that could be built on.
    version: u64,
    bytes: usize,
    /// Keys that changed since, and whether it has them.
    since: BTreeMap<String, bool>,
}

/// Reads the snapshot in a directory; none where there is none. One that has expired is read too: it says what a rolled-back registry
/// must not contradict.
///
/// # Errors
/// What is there does not hold.
pub fn read(dir: &Path, anchor: &Anchor) -> Result<Option<Taken>, SnapshotError> {
    let Some(rows) = update(&dir.join("rows"))? else {
        return Ok(None);
    };
    let base = take(anchor, &rows, None, 0)?;
    let changes = update(&dir.join("changes"))?;
    let Some((held, changes)) = base.as_ref().zip(changes) else {
        return Ok(base);
    };
    if changes.base_version != held.header.version {
        return Ok(base);
    }
    take(anchor, &changes, Some((&held.header, &held.rows)), 0)
}

fn update(path: &Path) -> Result<Option<SnapshotUpdate>, SnapshotError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SnapshotError::Unparsable(format!("{}: {error}", path.display()))),
    };
    let update = SnapshotUpdate::decode(bytes);
    update
        .map(Some)
        .map_err(|error| SnapshotError::Unparsable(error.to_string()))
}

/// Writes a whole snapshot to a directory that has none.
///
/// # Errors
/// What the disk says.
pub fn write(dir: &Path, whole: &SnapshotUpdate, disk: &dyn Disk) -> io::Result<()> {
    create_directory(dir)?;
    disk.replace(&dir.join("rows"), &whole.encode_to_vec())
}

/// A snapshot, whole.
pub(crate) fn whole(signed: &SignedSnapshot, rows: &Rows) -> SnapshotUpdate {
    SnapshotUpdate {
        signed: Some(signed.clone()),
        changes: rows.iter().map(|(key, known)| change(key, known)).collect(),
        ..SnapshotUpdate::default()
    }
}

fn change(key: &str, known: &Known) -> RowChange {
    let content = match &known.row {
        Some(_) => Bytes::new(),
        None => Bytes::copy_from_slice(&known.content),
    };
    RowChange {
        key: key.to_owned(),
        row: known.row.clone().unwrap_or_default(),
        content,
        removed: false,
    }
}

impl Cache {
    /// Keeps files in `dir`, which may hold some, on `disk`.
    pub(crate) fn new(dir: PathBuf, disk: Arc<dyn Disk>) -> io::Result<Cache> {
        create_directory(&dir)?;
        Ok(Cache {
            dir,
            disk,
            base: Mutex::default(),
        })
    }

    /// What is there.
    ///
    /// # Errors
    /// As [`read`].
    pub(crate) fn read(&self, anchor: &Anchor) -> Result<Option<Taken>, SnapshotError> {
        read(&self.dir, anchor)
    }

    /// Keeps the view that is taken up, which differs from `before` at `changed`. Blocks on disk.
    pub(crate) fn keep(&self, view: &View, before: Option<&View>, changed: &[RowChange]) {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut base, view, before, changed) {
            // The next one is written whole.
            *base = Base::default();
            tracing::error!(%error, "the snapshot could not be kept on disk; this node could not start without the registry");
        }
    }

    fn write(&self, base: &mut Base, view: &View, before: Option<&View>, changed: &[RowChange]) -> io::Result<()> {
        if let Some(before) = before.filter(|_| base.version > 0) {
            for change in changed {
                let had = || before.rows.get(&change.key).is_some();
                if !base.since.contains_key(&change.key) {
                    base.since.insert(change.key.clone(), had());
                }
            }
            let bytes = base.changes(view).encode_to_vec();
            if bytes.len() <= CHANGES_BYTES.max(base.bytes / 4) {
                return self.disk.replace(&self.dir.join("changes"), &bytes);
            }
        }
        let bytes = whole(&view.signed, &view.rows).encode_to_vec();
        self.disk.replace(&self.dir.join("rows"), &bytes)?;
        *base = Base {
            version: view.version,
            bytes: bytes.len(),
            since: BTreeMap::new(),
        };
        Ok(())
    }
}

impl Base {
    /// The view as what changed since.
    fn changes(&self, view: &View) -> SnapshotUpdate {
        let now = |(key, had): (&String, &bool)| match view.rows.get(key) {
            Some(known) => Some(change(key, known)),
            None => had.then(|| RowChange {
                key: key.clone(),
                removed: true,
                ..RowChange::default()
            }),
        };
        SnapshotUpdate {
            signed: Some(view.signed.clone()),
            base_version: self.version,
            changes: self.since.iter().filter_map(now).collect(),
            more: false,
        }
    }
}
