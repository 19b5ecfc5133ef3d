//! Everything of a data directory besides segments: certificates, snapshots, schemas, the witness's memory, configuration,
//! tiles, and the keys, these only sealed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jisr_certs::keys::KeyStore;

use super::MirrorError;
use super::error::io;
use super::sealed_keys::{Keys, RecoverySecret};
use super::store::Store;

/// Name of the sealed keys.
pub(super) const KEYS: &str = "keys.sealed";
/// Files and directories of a data directory that are mirrored. Whatever else an operator may have put there is not: it may be a
/// private key.
const MIRRORED: [&str; 13] = [
    "node.toml",
    "tls.pem",
    "seal.pem",
    "anchor",
    "snapshot",
    "succeeds",
    "snapshots",
    "schemas",
    "witness",
    "registry-entries",
    "reconciled",
    "receipts-told",
    "forked",
];
/// What of `ledger/index` anybody can use: the static files of C2SP tlog-tiles.
const TILES: &str = "ledger/index/tile";
const CHECKPOINT: &str = "ledger/index/checkpoint";
/// A file larger than this is not one of a data directory.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Copies files that were changed.
pub(super) struct SideFiles {
    data: PathBuf,
    /// What `node.toml` names besides, relative to the directory.
    named: Vec<String>,
    /// How each file was when it was copied.
    copied: HashMap<String, (u64, SystemTime)>,
    keys: Option<[u8; 32]>,
    there: Option<BTreeMap<String, u64>>,
    /// When something was last added to each directory of tiles, and whether it was looked at again since: time has a grain.
    tiles: HashMap<String, (SystemTime, bool)>,
    /// Partial tiles that the mirror may hold.
    partial: BTreeSet<String>,
}

impl SideFiles {
    /// Of `data`, with the files in it that its configuration names.
    pub(super) fn new(data: &Path, named: Vec<String>) -> SideFiles {
        SideFiles {
            data: data.to_owned(),
            named,
            copied: HashMap::new(),
            keys: None,
            there: None,
            tiles: HashMap::new(),
            partial: BTreeSet::new(),
        }
    }

    /// Copies the keys, sealed, where they changed. Before the segments: what they encrypt must not get there before them.
    pub(super) fn copy_keys(
        &mut self,
        store: &mut dyn Store,
        keys: &KeyStore,
        secret: &RecoverySecret,
    ) -> Result<(), MirrorError> {
        let keys = Keys::of(keys)?.and_trusted(&self.data)?;
        let fingerprint = Some(keys.fingerprint());
        if self.keys != fingerprint {
            store.put(KEYS, &keys.seal(secret)?)?;
            self.keys = fingerprint;
        }
        Ok(())
    }

    /// Copies what changed since the last time.
    pub(super) fn copy(&mut self, store: &mut dyn Store) -> Result<(), MirrorError> {
        if self.there.is_none() {
            let there = store.names("")?;
            let partial = there.keys().filter(|name| is_partial(name));
            self.partial.extend(partial.cloned());
            self.there = Some(there);
        }
        let mut found = Found {
            tiles: self.tiles.clone(),
            ..Found::default()
        };
        let named = self.named.iter().map(String::as_str);
        for name in MIRRORED.into_iter().chain(named) {
            found.add(&self.data.join(name), name)?;
        }
        // The tiles before the checkpoint that they belong to.
        found.add_tiles(&self.data.join(TILES), TILES)?;
        found.add(&self.data.join(CHECKPOINT), CHECKPOINT)?;
        for file in found.files {
            self.copy_file(store, file)?;
        }
        for gone in self.partial.difference(&found.partial) {
            store.delete(gone)?;
        }
        self.partial = found.partial;
        self.tiles = found.tiles;
        Ok(())
    }

    fn copy_file(&mut self, store: &mut dyn Store, file: SideFile) -> Result<(), MirrorError> {
        let state = (file.bytes, file.changed);
        if self.copied.get(&file.name) == Some(&state) {
            return Ok(());
        }
        let there = self.there.as_ref().and_then(|there| there.get(&file.name));
        if !(is_fixed(&file.name) && there == Some(&file.bytes)) {
            let path = self.data.join(&file.name);
            match fs::read(&path) {
                Ok(bytes) => store.put(&file.name, &bytes)?,
                // It was derived, and made anew in between.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(io("read", &path)(error)),
            }
        }
        // Tiles are looked at only where something was added.
        if !file.name.starts_with(TILES) {
            self.copied.insert(file.name, state);
        }
        Ok(())
    }
}

/// A tile that is not full: it goes when a larger one comes.
fn is_partial(name: &str) -> bool {
    name.starts_with(TILES) && name.contains(".p/")
}

/// Whether the content of a file follows from its name.
fn is_fixed(name: &str) -> bool {
    ["snapshots/", "schemas/", "registry-entries/", "ledger/index/tile/"]
        .iter()
        .any(|dir| name.starts_with(dir))
}

struct SideFile {
    name: String,
    bytes: u64,
    changed: SystemTime,
}

/// What a look at the data directory found.
#[derive(Default)]
struct Found {
    files: Vec<SideFile>,
    tiles: HashMap<String, (SystemTime, bool)>,
    partial: BTreeSet<String>,
}

impl Found {
    /// Adds a file, or what is below a directory, if it is there.
    fn add(&mut self, path: &Path, name: &str) -> Result<(), MirrorError> {
        // Of the entry itself: a link is not followed.
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io("look at", path)(error)),
        };
        let changed = meta.modified().map_err(io("look at", path))?;
        if meta.is_dir() {
            for (file, path, _) in entries(path)? {
                self.add(&path, &format!("{name}/{file}"))?;
            }
        } else if meta.is_file() && meta.len() <= FILE_BYTES_MAX {
            self.files.push(SideFile {
                name: name.to_owned(),
                bytes: meta.len(),
                changed,
            });
        }
        Ok(())
    }

    /// Adds the tiles in those directories to which something was added: there are as many as a ledger has bundles.
    fn add_tiles(&mut self, path: &Path, name: &str) -> Result<(), MirrorError> {
        let changed = match fs::symlink_metadata(path) {
            Ok(meta) => meta.modified().map_err(io("look at", path))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io("look at", path)(error)),
        };
        let before = self.tiles.get(name).copied();
        let is_new = before != Some((changed, true));
        let again = before.is_some_and(|(before, _)| before == changed);
        self.tiles.insert(name.to_owned(), (changed, again));
        for (file, path, is_dir) in entries(path)? {
            let name = format!("{name}/{file}");
            if is_dir {
                self.add_tiles(&path, &name)?;
                continue;
            }
            if is_partial(&name) {
                self.partial.insert(name.clone());
            }
            if is_new {
                self.add(&path, &name)?;
            }
        }
        Ok(())
    }
}

/// Names and paths of what lies in a directory, and whether it is one itself. What is still being written is left out.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf, bool)>, MirrorError> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("list", dir)(error)),
    };
    let mut entries = Vec::new();
    for entry in listed {
        let entry = entry.map_err(io("list", dir))?;
        let name = entry.file_name();
        if let Some(name) = name
            .to_str()
            .filter(|name| !name.starts_with('.') && !name.ends_with(".new"))
        {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            entries.push((name.to_owned(), entry.path(), is_dir));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
