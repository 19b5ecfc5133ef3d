//! The closet that keeps of snapshots that statements cite what exchanges of this member may rest on: evidence needs it when they
//! have long been replaced. Headers lie by version, rows with proofs by root, since many versions have the same rows.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::Hash;
use jisr_ledger::evidence::listed_in;
use jisr_ledger::files::{Disk, create_directory};
use jisr_ledger::snapshot::{Header, Listed, Showing, agreement_key, revoked_key, service_key};
use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::snapshot::{Node, ShownRows, SignedSnapshot};
use prost::Message as _;

use crate::directory::View;

/// Snapshots kept whether cited or not: a peer may still cite one of them.
const RECENT_MAX: usize = 16;
/// Directory of the rows.
const ROWS: &str = "rows";

/// A snapshot that was kept, as far as it concerns this member.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// Header, note and entry.
    pub signed: SignedSnapshot,
    /// Rows with proofs.
    pub rows: ShownRows,
    /// The same rows by what they say.
    pub listed: Listed,
}

/// Reads what was kept of a version in the directory of an archive; none where it was not, or is damaged.
#[must_use]
pub fn read(dir: &Path, version: u64) -> Option<Excerpt> {
    let signed = std::fs::read(dir.join(version.to_string())).ok()?;
    let signed = SignedSnapshot::decode(Bytes::from(signed)).ok()?;
    let header = Header::parse(&signed.header).ok()?;
    let rows = std::fs::read(rows_path(dir, &header.root)).ok()?;
    let rows = ShownRows::decode(Bytes::from(rows)).ok()?;
    let listed = listed_in(&rows);
    Some(Excerpt { signed, rows, listed })
}

fn rows_path(dir: &Path, root: &Hash) -> PathBuf {
    let name: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    dir.join(ROWS).join(name)
}

/// Snapshots by version.
pub(crate) struct Archive {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    own: MemberId,
    kept: Mutex<Kept>,
    /// The version that was marked last, so that marking it again costs nothing.
    marked: AtomicU64,
}

#[derive(Default)]
struct Kept {
    recent: VecDeque<(u64, Hash)>,
    cited: HashSet<u64>,
    /// Roots whose rows this process wrote, and how many of the versions that are kept have them.
    roots: HashMap<Hash, usize>,
    seen: Seen,
}

/// Whom exchanges were with: an exchange may cite a snapshot that lists somebody no more.
#[derive(Default)]
struct Seen {
    members: BTreeSet<MemberId>,
    /// SHA-256 of seal certificates of their nodes.
    certificates: BTreeSet<Hash>,
}

impl Seen {
    fn add<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) {
        for node in nodes {
            self.members
                .extend(node.id.parse::<NodeId>().ok().map(|id| id.member()));
            let certificate = jisr_certs::digest::sha256(&[&node.seal_certificate]);
            self.certificates.insert(certificate);
        }
    }
}

impl Archive {
    /// Keeps files in `dir` on `disk`; what lies there already counts as cited.
    pub(crate) fn new(dir: PathBuf, own: MemberId, disk: Arc<dyn Disk>) -> std::io::Result<Archive> {
        create_directory(&dir)?;
        create_directory(&dir.join(ROWS))?;
        let archive = Archive {
            dir,
            disk,
            own,
            kept: Mutex::default(),
            marked: AtomicU64::new(0),
        };
        if let Some(newest) = archive
            .versions()
            .into_iter()
            .max()
            .and_then(|version| archive.find(version))
        {
            archive.lock().seen.add(&newest.listed.nodes);
        }
        Ok(archive)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, version: u64) -> PathBuf {
        self.dir.join(version.to_string())
    }

    /// Keeps a snapshot that was taken up. Older ones that nobody cited are dropped.
    pub(crate) fn keep(&self, view: &View) {
        let (version, root) = (view.version, view.header.root);
        let mut kept = self.lock();
        if kept.recent.iter().any(|(recent, _)| *recent == version) {
            return;
        }
        if self.path(version).exists() {
            // From an earlier run, of which this one does not know what it cited.
            kept.cited.insert(version);
        }
        let written = kept
            .keep_rows(&*self.disk, &rows_path(&self.dir, &root), &self.own, view)
            .and_then(|()| self.disk.replace(&self.path(version), &view.signed.encode_to_vec()));
        if let Err(error) = written {
            tracing::error!(%error, version, "a snapshot could not be kept; evidence that cites it will lack it");
        }
        kept.recent.push_back((version, root));
        while kept.recent.len() > RECENT_MAX {
            let Some((oldest, root)) = kept.recent.pop_front() else {
                return;
            };
            kept.cited.retain(|cited| *cited >= oldest);
            if !kept.cited.remove(&oldest) {
                self.drop_version(&mut kept, oldest, &root);
            }
        }
    }

    fn drop_version(&self, kept: &mut Kept, version: u64, root: &Hash) {
        let mut gone = vec![self.path(version)];
        if let Some(count) = kept.roots.get_mut(root) {
            *count -= 1;
            if *count == 0 {
                kept.roots.remove(root);
                gone.push(rows_path(&self.dir, root));
            }
        }
        for path in gone {
            // Not durable: one that comes back after a crash takes room and says nothing wrong.
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!(%error, version, "a snapshot that nobody cited could not be dropped");
            }
        }
    }

    /// A statement cites this version. Peers may cite what never was: only what is among the recent ones, or may soon be, is
    /// remembered.
    pub(crate) fn cited(&self, version: u64) {
        if self.marked.load(Ordering::Relaxed) == version {
            return;
        }
        let mut kept = self.lock();
        let newest = kept.recent.back().map_or(0, |(version, _)| *version);
        let is_soon = version > newest && version - newest <= RECENT_MAX as u64;
        if is_soon || kept.recent.iter().any(|(recent, _)| *recent == version) {
            kept.cited.insert(version);
            self.marked.store(version, Ordering::Relaxed);
        }
    }

    /// The versions that are kept.
    pub(crate) fn versions(&self) -> Vec<u64> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten();
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// What is kept of this version.
    pub(crate) fn find(&self, version: u64) -> Option<Excerpt> {
        read(&self.dir, version)
    }
}

impl Kept {
    fn keep_rows(&mut self, disk: &dyn Disk, path: &Path, own: &MemberId, view: &View) -> std::io::Result<()> {
        if let Some(count) = self.roots.get_mut(&view.header.root) {
            *count += 1;
            return Ok(());
        }
        if path.exists() {
            return Ok(());
        }
        disk.replace(path, &self.excerpt(own, view).encode_to_vec())?;
        self.roots.insert(view.header.root, 1);
        Ok(())
    }

    /// The rows on which exchanges of this member may rest: authorities, witnesses, its agreements, their services, and the nodes of
    /// all parties, shown complete; and that none of their certificates is revoked.
    fn excerpt(&mut self, own: &MemberId, view: &View) -> ShownRows {
        let mut showing = Showing::new(&view.rows);
        showing.row("quorum");
        showing.all("authority/");
        showing.all("witness/");
        self.seen.members.insert(own.clone());
        for agreement in view.agreements() {
            showing.row(&agreement_key(&agreement.digest));
            for method in &agreement.document.methods {
                showing.row(&service_key(&method.service, agreement.provider.as_str()));
            }
            let parties = [agreement.consumer.member(), agreement.provider.member()];
            self.seen.members.extend(parties);
        }
        let members: Vec<MemberId> = self.seen.members.iter().cloned().collect();
        for member in &members {
            showing.row(&format!("member/{member}"));
            showing.all(&format!("node/{member}/node/"));
            self.seen.add(view.nodes_of(member).iter().map(|node| &node.row));
        }
        for certificate in &self.seen.certificates {
            showing.row(&revoked_key(certificate));
        }
        showing.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_ledger::files::RealDisk;
    use jisr_ledger::snapshot::{Rows, State, row_bytes};
    use jisr_proto::snapshot::Quorum;

    /// A view of one row.
    fn view(version: u64, quorum: u32) -> View {
        let row = State::Quorum(Quorum {
            high: quorum,
            ..Quorum::default()
        });
        crate::directory::tests::view(version, Rows::default().next([row_bytes(row)]).0)
    }

    fn archive(dir: &Path) -> Archive {
        Archive::new(dir.join("snapshots"), "JO/GOV/mol".parse().unwrap(), Arc::new(RealDisk)).unwrap()
    }

    fn roots(dir: &Path) -> usize {
        std::fs::read_dir(dir.join("snapshots").join(ROWS)).unwrap().count()
    }

    #[test]
    fn what_is_cited_stays() {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(dir.path());
        for version in 1..=40 {
            archive.keep(&view(version, 1));
            if version == 3 {
                archive.cited(3);
            }
        }
        assert!(archive.find(3).is_some());
        assert!(archive.find(4).is_none());
        let kept = archive.find(40).unwrap();
        assert_eq!(kept.listed.quorum.unwrap().high, 1);
        assert_ne!(kept.listed, Listed::default());
    }

    #[test]
    fn what_is_cited_stays_though_it_was_taken_up_twice_or_before_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let before = archive(dir.path());
        before.keep(&view(1, 1));
        before.keep(&view(2, 1));
        before.cited(2);
        drop(before);
        let archive = archive(dir.path());
        archive.keep(&view(2, 1));
        // What is not known yet is marked once it is.
        archive.cited(100);
        for version in 3..=40 {
            archive.keep(&view(version, 1));
            archive.keep(&view(version, 1));
            if version == 5 {
                archive.cited(5);
            }
        }
        let kept = [2, 5, 40].map(|version| archive.find(version).is_some());
        assert_eq!(kept, [true; 3]);
        assert!(archive.find(6).is_none());
        (90..=140).for_each(|version| {
            archive.keep(&view(version, 1));
            if version == 100 {
                archive.cited(100);
            }
        });
        assert!(archive.find(100).is_some() && archive.find(101).is_none());
    }

    #[test]
    fn rows_go_with_the_last_version_that_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(dir.path());
        for version in 1..=40 {
            archive.keep(&view(version, u32::try_from(version / 2).unwrap() + 1));
            if version == 3 {
                archive.cited(3);
            }
        }
        assert!(archive.find(3).is_some() && archive.find(4).is_none());
        // Sixteen versions have nine different pictures, and the one that was cited its own.
        assert_eq!(roots(dir.path()), 10);
    }

    #[test]
    fn what_peers_cite_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(dir.path());
        for version in 1..=20 {
            archive.keep(&view(version, 1));
        }
        (0..100_000).for_each(|version| archive.cited(u64::MAX - version));
        (0..100_000).for_each(|version| archive.cited(version));
        assert!(archive.kept.lock().unwrap().cited.len() <= 2 * RECENT_MAX);
        (21..=80).for_each(|version| archive.keep(&view(version, 1)));
        assert!(archive.find(10).is_some() && archive.find(25).is_some() && archive.find(60).is_none());
    }
}
