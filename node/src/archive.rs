//! The closet that keeps snapshots that statements cite: evidence needs them when they have long been replaced.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jisr_ledger::files::{Disk as _, RealDisk};
use jisr_proto::snapshot::SignedSnapshot;
use prost::Message as _;

/// Snapshots kept whether cited or not: a peer may still cite one of them.
const RECENT_MAX: usize = 16;

/// Snapshots by version, one file each.
pub(crate) struct Archive {
    dir: PathBuf,
    kept: Mutex<Kept>,
    /// The version that was marked last, so that marking it again costs nothing.
    marked: AtomicU64,
}

#[derive(Default)]
struct Kept {
    recent: VecDeque<u64>,
    cited: HashSet<u64>,
}

impl Archive {
    /// Keeps files in `dir`; what lies there already counts as cited.
    pub(crate) fn new(dir: PathBuf) -> std::io::Result<Archive> {
        std::fs::create_dir_all(&dir)?;
        Ok(Archive {
            dir,
            kept: Mutex::default(),
            marked: AtomicU64::new(0),
        })
    }

    fn path(&self, version: u64) -> PathBuf {
        self.dir.join(version.to_string())
    }

    /// Keeps a snapshot that was taken up. Older ones that nobody cited are dropped.
    pub(crate) fn keep(&self, version: u64, signed: &SignedSnapshot) {
        if let Err(error) = RealDisk.replace(&self.path(version), &signed.encode_to_vec()) {
            tracing::error!(%error, version, "a snapshot could not be kept; evidence that cites it will lack it");
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.recent.push_back(version);
        while kept.recent.len() > RECENT_MAX {
            let Some(oldest) = kept.recent.pop_front() else { return };
            kept.cited.retain(|cited| *cited >= oldest);
            if !kept.cited.remove(&oldest)
                && let Err(error) = std::fs::remove_file(self.path(oldest))
            {
                tracing::debug!(%error, version = oldest, "a snapshot that nobody cited could not be dropped");
            }
        }
    }

    /// A statement cites this version. Peers may cite what never was: only what is among the recent ones, or may soon be, is
    /// remembered.
    pub(crate) fn cited(&self, version: u64) {
        if self.marked.swap(version, Ordering::Relaxed) == version {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = kept.recent.back().copied().unwrap_or_default();
        let is_soon = version > newest && version - newest <= RECENT_MAX as u64;
        if is_soon || kept.recent.contains(&version) {
            kept.cited.insert(version);
        }
    }

    /// The versions that are kept.
    pub(crate) fn versions(&self) -> Vec<u64> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten();
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// The snapshot of this version, if it is kept.
    pub(crate) fn find(&self, version: u64) -> Option<SignedSnapshot> {
        let bytes = std::fs::read(self.path(version)).ok()?;
        SignedSnapshot::decode(bytes.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cited_stays() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::new(dir.path().join("snapshots")).unwrap();
        for version in 1..=40 {
            archive.keep(
                version,
                &SignedSnapshot {
                    note: vec![7].into(),
                    ..Default::default()
                },
            );
            if version == 3 {
                archive.cited(3);
            }
        }
        assert!(archive.find(3).is_some());
        assert!(archive.find(4).is_none());
        assert!(archive.find(40).is_some());
    }

    #[test]
    fn what_peers_cite_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::new(dir.path().join("snapshots")).unwrap();
        for version in 1..=20 {
            archive.keep(version, &SignedSnapshot::default());
        }
        (0..100_000).for_each(|version| archive.cited(u64::MAX - version));
        (0..100_000).for_each(|version| archive.cited(version));
        assert!(archive.kept.lock().unwrap().cited.len() <= 2 * RECENT_MAX);
        (21..=80).for_each(|version| archive.keep(version, &SignedSnapshot::default()));
        assert!(archive.find(10).is_some() && archive.find(25).is_some() && archive.find(60).is_none());
    }
}
