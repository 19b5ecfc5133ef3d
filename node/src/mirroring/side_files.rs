//! Everything of a data directory besides segments: certificates, snapshots, schemas, the witness's memory, configuration,
//! tiles, and the keys, these only sealed.

use std::collections::{BTreeMap, HashMap};
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
const MIRRORED: [&str; 12] = [
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
];
/// What of `ledger/index` anybody can use: the static files of C2SP tlog-tiles.
const STATIC: [&str; 2] = ["ledger/index/checkpoint", "ledger/index/tile"];
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
        }
    }

    /// Copies the keys, sealed, where they changed. Before the segments: what they encrypt must not get there before them.
    pub(super) fn copy_keys(&mut self, store: &mut dyn Store, secret: &RecoverySecret) -> Result<(), MirrorError> {
        let keys = Keys::of(&KeyStore::open(self.data.join("keys"))?)?;
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
            self.there = Some(store.names("")?);
        }
        let mut files = Vec::new();
        let named = self.named.iter().map(String::as_str);
        for name in MIRRORED.into_iter().chain(STATIC).chain(named) {
            add(&self.data.join(name), name, &mut files)?;
        }
        for file in files {
            let state = (file.bytes, file.changed);
            if self.copied.get(&file.name) == Some(&state) {
                continue;
            }
            let there = self.there.as_ref().and_then(|there| there.get(&file.name));
            if !(is_fixed(&file.name) && there == Some(&file.bytes)) {
                let path = self.data.join(&file.name);
                match fs::read(&path) {
                    Ok(bytes) => store.put(&file.name, &bytes)?,
                    // It was derived, and made anew in between.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(io("read", &path)(error)),
                }
            }
            self.copied.insert(file.name, state);
        }
        Ok(())
    }
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

/// Adds a file, or what is below a directory, if it is there.
fn add(path: &Path, name: &str, files: &mut Vec<SideFile>) -> Result<(), MirrorError> {
    // Of the entry itself: a link is not followed.
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("look at", path)(error)),
    };
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(io("list", path))? {
            let entry = entry.map_err(io("list", path))?;
            let file = entry.file_name();
            // What is being written has such a name.
            if let Some(file) = file
                .to_str()
                .filter(|file| !file.starts_with('.') && !file.ends_with(".new"))
            {
                add(&entry.path(), &format!("{name}/{file}"), files)?;
            }
        }
    } else if meta.is_file() && meta.len() <= FILE_BYTES_MAX {
        files.push(SideFile {
            name: name.to_owned(),
            bytes: meta.len(),
            changed: meta.modified().map_err(io("look at", path))?,
        });
    }
    Ok(())
}
