//! Makes a data directory of a mirror, and a ledger directory of an archive.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_certs::keys::{KeySecret, KeyStore, RealFiles};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::files::{Disk as _, RealDisk, create_directory};
use jisr_ledger::frame::{Form, Next, Record, Records, SegmentScan, StoredParts, segment_name};
use jisr_ledger::report::Verdict;
use jisr_ledger::statement::Tag;
use jisr_ledger::verify;
use jisr_ledger::witness::mark_lost;
use jisr_proto::statement::Core;
use prost::Message as _;

use super::MirrorError;
use super::error::io;
use super::location::Location;
use super::sealed_keys::{Keys, RecoverySecret};
use super::side_files::KEYS;
use super::store::Store;
use crate::config::Config;
use crate::setup::Layout;

/// Of what segments are copied in.
const COPY_BYTES: usize = 4 << 20;

/// Where the node's keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The mirror, under the recovery secret in this file.
    Secret(PathBuf),
    /// A copy of the directory `keys`.
    Directory(PathBuf),
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Origin of the ledger.
    pub origin: String,
    /// Statements in it.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
    /// When the newest statement was made, microseconds.
    pub newest_us: u64,
    /// The verifier's word on it.
    pub verified: String,
}

/// Restores the data directory of a node from its mirror: all of it or nothing. The memory of the node's witness is not put back,
/// for it may be older than what the witness signed since: the witness says that it lost its memory. The ledger is verified with
/// the anchor that lies beside it, which must be `anchor` where one is given: without it, and without a recovery secret under which
/// the anchor is sealed, whoever keeps the mirror says what is trusted.
///
/// # Errors
/// [`MirrorError`]; `data` is then as it was. It must not exist, or be empty.
pub fn recover(
    from: &Location,
    data: &Path,
    keys: &KeySource,
    anchor: Option<&Anchor>,
) -> Result<Restored, MirrorError> {
    check_target(data)?;
    let mut store = from.open()?;
    let stage = stage_beside(data)?;
    let restored = fill(&mut *store, (&stage, data), keys, anchor).and_then(|restored| {
        sync_all(&stage)?;
        // Renaming over an empty directory replaces it; over any other it fails.
        fs::rename(&stage, data).map_err(io("put in place", data))?;
        let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        RealDisk.sync_directory(parent).map_err(io("sync", parent))?;
        Ok(restored)
    });
    if restored.is_err() {
        // What is left of it holds keys; the error to tell is the first one.
        let _ = fs::remove_dir_all(&stage);
    }
    restored
}

/// Copies the ledger at `from`, a ledger directory in a mirror or an archive, to the directory `dir`, which holds `segments/` then.
///
/// # Errors
/// [`MirrorError`].
pub fn fetch_ledger(from: &Location, dir: &Path) -> Result<(), MirrorError> {
    let mut store = from.open()?;
    copy_segments(&mut *store, "", dir)
}

/// Copies what evidence rests on besides the ledger (anchor, snapshots, entries of the registry, schemas) from a mirror to the
/// directory `dir`; where a recovery secret is given, also the keys that open personal parts, and no other key: as
/// a key store that only this process can open.
///
/// # Errors
/// [`MirrorError`], also where a secret is given and the mirror holds no keys that open under it.
pub fn fetch_data(from: &Location, dir: &Path, secret: Option<&Path>) -> Result<Option<KeyStore>, MirrorError> {
    let mut store = from.open()?;
    copy_files(&mut *store, dir)?;
    match secret {
        None => Ok(None),
        Some(secret) => {
            let keys = mirrored_keys(&mut *store, secret)?.of_the_vault();
            let opened = KeyStore::create(dir.join("keys"), &KeySecret::passing()?)?;
            keys.restore(&opened)?;
            Ok(Some(opened))
        }
    }
}

fn check_target(data: &Path) -> Result<(), MirrorError> {
    let taken = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(io("look into", data)(error)),
    };
    if taken {
        return Err(MirrorError::Target(format!(
            "{} is not empty, and perhaps in use; nothing in it is overwritten. Stop the node, move the directory away and keep \
             it, then run the command again",
            data.display()
        )));
    }
    Ok(())
}

/// An empty directory on the same file system. What an earlier try left there is removed.
fn stage_beside(data: &Path) -> Result<PathBuf, MirrorError> {
    let name = data
        .file_name()
        .ok_or_else(|| MirrorError::Target(format!("{} names no directory", data.display())))?;
    let stage = data.with_file_name(format!(".{}.recovering", name.to_string_lossy()));
    match fs::remove_dir_all(&stage) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("remove", &stage)(error)),
    }
    create_directory(&stage).map_err(io("create", &stage))?;
    Ok(stage)
}

fn fill(
    store: &mut dyn Store,
    (stage, data): (&Path, &Path),
    keys: &KeySource,
    own: Option<&Anchor>,
) -> Result<Restored, MirrorError> {
    copy_files(store, stage)?;
    for epoch in epochs(store)? {
        let folder = format!("ledgers/{epoch}");
        copy_segments(store, &folder, &below(stage, &folder)?)?;
    }
    let ledger = stage.join("ledger");
    copy_segments(store, "ledger", &ledger)?;
    restore_keys(store, (stage, data), keys)?;
    // Whatever count came with the keys may be as old as they are: only this says for certain that the memory is not there.
    let begun = Layout::new(stage).witness_begun();
    mark_lost(&begun, &RealDisk).map_err(io("write", &begun))?;
    let anchor = read_anchor(stage)?;
    if let Some(own) = own {
        check_same(own, &anchor)?;
    }
    verified(&anchor, &ledger)
}

/// The anchor that was restored.
fn read_anchor(stage: &Path) -> Result<Anchor, MirrorError> {
    let path = stage.join("anchor");
    let text = fs::read_to_string(&path).map_err(io("read", &path))?;
    text.parse()
        .map_err(|error| MirrorError::Unusable(format!("its anchor cannot be used: {error}")))
}

/// Refuses an anchor that is not the operator's own, and says in which keys of the file it differs.
fn check_same(own: &Anchor, mirrored: &Anchor) -> Result<(), MirrorError> {
    let differs = [
        ("instance", own.instance != mirrored.instance),
        ("root", own.root != mirrored.root),
        ("registry_origin", own.registry_origin != mirrored.registry_origin),
        ("registry_key", own.registry_key != mirrored.registry_key),
        ("snapshot_key", own.snapshot_key != mirrored.snapshot_key),
        ("witness", own.witnesses != mirrored.witnesses),
        ("quorum", own.quorum != mirrored.quorum),
        ("timestamp", own.time_stamps != mirrored.time_stamps),
    ];
    let differs: Vec<&str> = differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| *key)
        .collect();
    if differs.is_empty() {
        return Ok(());
    }
    Err(MirrorError::Unusable(format!(
        "its anchor is not the one that was given: {} differ. Whoever keeps the mirror changed it, or the one given is of another time or \
         network: ask the registry's operator for the fingerprint, and trust nothing else in this mirror before that is clear",
        differs.join(", ")
    )))
}

/// What lies beside the ledgers, without keys and without the memory of the witness.
fn copy_files(store: &mut dyn Store, dir: &Path) -> Result<(), MirrorError> {
    for name in store.names("")?.into_keys() {
        let is_copied = |name: &str| {
            !["ledger/", "ledgers/", "witness/", "erasing-"]
                .iter()
                .any(|folder| name.starts_with(folder))
                && name != KEYS
        };
        if is_copied(&name) {
            let bytes = store.get(&name)?.unwrap_or_default();
            let path = below(dir, &name)?;
            write(&path, &bytes)?;
        }
    }
    Ok(())
}

/// The path of a mirrored file, if its name leads nowhere else.
fn below(stage: &Path, name: &str) -> Result<PathBuf, MirrorError> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(MirrorError::Unusable(format!("`{name}` is no name of a file in it")));
    }
    Ok(stage.join(name))
}

fn epochs(store: &mut dyn Store) -> Result<Vec<String>, MirrorError> {
    let names = store.names("ledgers")?.into_keys();
    let mut epochs: Vec<String> = names
        .filter_map(|name| Some(name.strip_prefix("ledgers/")?.split('/').next()?.to_owned()))
        .collect();
    epochs.dedup();
    Ok(epochs)
}

fn copy_segments(store: &mut dyn Store, folder: &str, dir: &Path) -> Result<(), MirrorError> {
    let segments = store.segments(folder)?;
    if segments.is_empty() {
        return Err(MirrorError::Unusable(format!(
            "{}/{folder} holds no ledger; name the place where the mirror lies",
            store.place()
        )));
    }
    create_directory(&dir.join("segments")).map_err(io("create", dir))?;
    for (segment, bytes) in segments {
        let path = dir.join("segments").join(segment_name(segment));
        let mut file = create(&path)?;
        let mut offset = 0;
        while offset < bytes {
            let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
            let piece = store.read(folder, segment, offset, left.min(COPY_BYTES))?;
            if piece.is_empty() {
                return Err(MirrorError::Unusable(format!(
                    "segment {segment} became shorter while it was read"
                )));
            }
            file.write_all(&piece).map_err(io("write", &path))?;
            offset += piece.len() as u64;
        }
    }
    Ok(())
}

fn restore_keys(store: &mut dyn Store, (stage, data): (&Path, &Path), keys: &KeySource) -> Result<(), MirrorError> {
    match keys {
        KeySource::Directory(from) => {
            // A copy of the directory `keys`, as it lies in the data directory that it was copied from or with.
            let around = from.parent().unwrap_or(Path::new("."));
            let from = KeyStore::open_from(from, &Layout::new(around).secret_source())?;
            Keys::of(&from)?.restore(&new_keys(stage, data)?)
        }
        KeySource::Secret(file) => {
            let keys = mirrored_keys(store, file)?;
            // These two the mirror's keeper could have changed: what was sealed with the keys takes their place.
            for (name, content) in keys.trusted()? {
                let path = stage.join(name);
                RealDisk.replace(&path, content).map_err(io("write", &path))?;
            }
            keys.restore(&new_keys(stage, data)?)
        }
    }
}

/// An empty key store under the secret that the restored configuration names; beside `data` it is made where there is none.
fn new_keys(stage: &Path, data: &Path) -> Result<KeyStore, MirrorError> {
    let source = match Config::load(stage) {
        Ok(config) => config.secret.moved(stage, data).source(data),
        Err(error) => {
            let text = format!("its node.toml cannot be used: {error}");
            return Err(MirrorError::Unusable(text));
        }
    };
    Ok(KeyStore::create_from(Layout::new(stage).keys(), &source, Arc::new(RealFiles))?.0)
}

/// The keys that the mirror holds, opened with the recovery secret in this file.
fn mirrored_keys(store: &mut dyn Store, secret: &Path) -> Result<Keys, MirrorError> {
    let secret = RecoverySecret::read(secret)?;
    let sealed = store.get(KEYS)?.ok_or_else(|| {
        let text = "it holds no keys: the node had no secret_file. Name a copy of its keys instead";
        MirrorError::Unusable(text.to_owned())
    })?;
    Keys::open(&sealed, &secret)
}

/// Verifies what was restored, and says how far it goes.
fn verified(anchor: &Anchor, ledger: &Path) -> Result<Restored, MirrorError> {
    let report = verify::directory(ledger, anchor, &verify::Options::default()).map_err(io("read", ledger))?;
    if report.verdict == Verdict::Invalid {
        return Err(MirrorError::Unusable(format!(
            "its ledger does not verify: {}",
            report.reason
        )));
    }
    let head = report
        .head
        .ok_or_else(|| MirrorError::Unusable("its ledger has no beginning".to_owned()))?;
    Ok(Restored {
        origin: head.origin,
        size: head.size,
        root: head.root,
        newest_us: newest_us(ledger)?,
        verified: report.reason,
    })
}

/// When the last statement was made.
fn newest_us(ledger: &Path) -> Result<u64, MirrorError> {
    let segments = ledger.join("segments");
    let mut count = fs::read_dir(&segments).map_err(io("list", &segments))?.count() as u64;
    let mut newest = 0;
    while newest == 0 && count > 0 {
        count -= 1;
        let path = segments.join(segment_name(count));
        let file = File::open(&path).map_err(io("read", &path))?;
        let Ok(mut scan) = SegmentScan::open(std::io::BufReader::new(file)) else {
            continue;
        };
        while let Ok(Next::Frame { body, .. }) = scan.read_next() {
            newest = Records::new(&body)
                .filter_map(|record| match record {
                    Ok(Record::Statement(stored)) => made_us(stored),
                    _ => None,
                })
                .last()
                .unwrap_or(newest);
        }
    }
    Ok(newest)
}

fn made_us(stored: &[u8]) -> Option<u64> {
    let part = StoredParts::new(stored).ok()?.next()?.ok()?;
    match part.form {
        Form::Clear { content, .. } if part.tag == Tag::Core => Core::decode(content).ok().map(|core| core.created_us),
        _ => None,
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), MirrorError> {
    if let Some(parent) = path.parent() {
        create_directory(parent).map_err(io("create", parent))?;
    }
    create(path)?.write_all(bytes).map_err(io("write", path))
}

/// A new file that only its owner may read.
fn create(path: &Path) -> Result<File, MirrorError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io("create", path))
}

/// Makes everything below a directory durable.
fn sync_all(dir: &Path) -> Result<(), MirrorError> {
    for entry in fs::read_dir(dir).map_err(io("list", dir))? {
        let path = entry.map_err(io("list", dir))?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(io("sync", &path))?;
        }
    }
    RealDisk.sync_directory(dir).map_err(io("sync", dir))
}
