//! A mirror in a directory: the same layout as the data directory, segments grown in place and synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_ledger::files::{Disk, create_directory};
use jisr_ledger::frame::{segment_name, segment_number};

use super::MirrorError;
use super::error::io;
use super::store::Store;

/// A directory on another disk, or a file system of another machine.
pub(crate) struct Directory {
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Directory {
    /// The mirror in `root`, which is made when the first byte is written, on `disk`.
    pub(crate) fn new(root: PathBuf, disk: Arc<dyn Disk>) -> Directory {
        Directory { root, disk }
    }

    fn segment(&self, folder: &str, number: u64) -> PathBuf {
        self.root.join(folder).join("segments").join(segment_name(number))
    }

    /// The path of a file, with the directories above it made.
    fn made(&self, name: &str) -> Result<PathBuf, MirrorError> {
        let path = self.root.join(name);
        if let Some(parent) = path.parent() {
            create_directory(parent).map_err(io("create", parent))?;
        }
        Ok(path)
    }
}

impl Store for Directory {
    fn place(&self) -> String {
        format!("file://{}", self.root.display())
    }

    fn names(&mut self, folder: &str) -> Result<BTreeMap<String, u64>, MirrorError> {
        let mut names = BTreeMap::new();
        list(&self.root.join(folder), folder, &mut names)?;
        Ok(names)
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read", &path)(error)),
        }
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), MirrorError> {
        let path = self.made(name)?;
        self.disk.replace(&path, bytes).map_err(io("write", &path))
    }

    fn delete(&mut self, name: &str) -> Result<(), MirrorError> {
        let path = self.root.join(name);
        self.disk.remove(&path).map(drop).map_err(io("remove", &path))
    }

    fn segments(&mut self, folder: &str) -> Result<BTreeMap<u64, u64>, MirrorError> {
        let mut segments = BTreeMap::new();
        for (name, bytes) in self.names(&format!("{folder}/segments"))? {
            let file = name.rsplit('/').next().unwrap_or_default();
            let number = segment_number(file)
                .map_err(|error| MirrorError::Unusable(format!("{}/{name}: {error}", self.root.display())))?;
            segments.insert(number, bytes);
        }
        Ok(segments)
    }

    fn read(&mut self, folder: &str, segment: u64, offset: u64, bytes: usize) -> Result<Vec<u8>, MirrorError> {
        let path = self.segment(folder, segment);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut read = Vec::with_capacity(bytes);
            file.take(bytes as u64).read_to_end(&mut read)?;
            Ok(read)
        };
        read().map_err(io("read", &path))
    }

    fn append(&mut self, folder: &str, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), MirrorError> {
        let path = self.made(&format!("{folder}/segments/{}", segment_name(segment)))?;
        self.disk.extend(&path, offset, bytes).map_err(io("write", &path))
    }

    fn close(&mut self, _: &str, _: u64, _: &Path, _: u64) -> Result<(), MirrorError> {
        // The file is whole already.
        Ok(())
    }

    fn overwrite(&mut self, folder: &str, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), MirrorError> {
        let path = self.segment(folder, segment);
        self.disk.overwrite(&path, offset, bytes).map_err(io("write", &path))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), MirrorError> {
        let target = self.made(to)?;
        let from = self.root.join(from);
        let rename = || {
            self.disk.rename(&from, &target)?;
            for directory in [target.parent(), from.parent()].into_iter().flatten() {
                self.disk.sync_directory(directory)?;
            }
            Ok(())
        };
        rename().map_err(io("rename", &from))
    }
}

/// Adds the plain files below `dir`, under names that begin with `prefix`.
fn list(dir: &Path, prefix: &str, names: &mut BTreeMap<String, u64>) -> Result<(), MirrorError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("list", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io("list", dir))?;
        let file = entry.file_name();
        let Some(file) = file.to_str() else { continue };
        let name = if prefix.is_empty() {
            file.to_owned()
        } else {
            format!("{prefix}/{file}")
        };
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(io("look at", &entry.path())(error)),
        };
        if meta.is_dir() {
            list(&entry.path(), &name, names)?;
        } else if meta.is_file() {
            names.insert(name, meta.len());
        }
    }
    Ok(())
}
