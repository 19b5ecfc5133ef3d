//! Follows the writer and keeps what is derived: tiles, resume point, static files; hands on what goes into the index. Off the hot
//! path, in batches, on a thread of its own.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::commit::Commit;
use super::erase::Owed;
use super::fact::Fact;
use super::head::Head;
use super::history::History;
use super::index::StampRow;
use super::indexer::Indexing;
use super::job::Job;
use super::published::Published;
use super::recover::RESUME_POINT;
use super::resume::ResumePoint;
use super::tail::Place;
use super::tiles::Tiles;
use crate::Hash;
use crate::files::Disk;

/// Batches are gathered for this long unless somebody waits: long enough to hold most exchanges whole.
const GATHER: Duration = Duration::from_millis(100);

/// Statements and records that may wait here. The writer waits when there are more.
const WAITING_MAX: usize = 1 << 16;

/// Bytes of segments after which the resume point is written anew, and the least time between two.
const RESUME_BYTES: u64 = 64 << 20;
const RESUME_PAUSE: Duration = Duration::from_secs(5);

/// What a frame adds to the derived data.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) place: Place,
    /// Where it ends.
    pub(crate) end: Place,
    /// Index of its first statement.
    pub(crate) first: u64,
    /// Leaf hashes of its statements; none in a frame that was read back, for the tiles have them.
    pub(crate) leaves: Vec<Hash>,
    pub(crate) facts: Vec<Fact>,
    /// Hashes of its PEER_NOTE records.
    pub(crate) notes: Vec<Hash>,
    /// Index in the other ledger and leaf input of what its PEER_PROOF records prove.
    pub(crate) proofs: Vec<(u64, Hash)>,
    /// Own indexes that its RECEIPT records acknowledge.
    pub(crate) receipts: Vec<u64>,
    /// Its STAMP records.
    pub(crate) stamps: Vec<StampRow>,
    /// Root of the tree after it, and the checkpoint that says so; no note in a frame that was read back.
    pub(crate) root: Hash,
    pub(crate) note: Bytes,
}

impl Followed {
    pub(crate) fn of(
        (place, end): (Place, Place),
        commit: &Commit,
        notes: Vec<Hash>,
        stamps: Vec<StampRow>,
        jobs: &mut [Job],
    ) -> Self {
        let checkpoint = commit.checkpoint();
        Self {
            place,
            end,
            first: commit.before(),
            leaves: commit.leaves().to_vec(),
            facts: jobs.iter_mut().flat_map(|job| std::mem::take(&mut job.facts)).collect(),
            notes,
            stamps,
            proofs: jobs.iter().flat_map(|job| job.proofs.iter().copied()).collect(),
            receipts: jobs.iter().flat_map(|job| job.receipts.iter().copied()).collect(),
            root: checkpoint.root,
            note: checkpoint.note.clone(),
        }
    }

    /// Size of the tree after it.
    pub(crate) fn size(&self) -> u64 {
        self.first + self.facts.len() as u64
    }

    pub(crate) fn weight(&self) -> usize {
        1 + self.facts.len() + self.notes.len() + self.proofs.len()
    }
}

/// What the follower has still to do, and how far it is.
#[derive(Default)]
pub(crate) struct FollowerQueue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Followed>,
    weight: usize,
    /// Size up to which all is derived.
    done: u64,
    /// Somebody waits: do not gather.
    hurry: bool,
    closed: bool,
    /// The follower is gone.
    ended: bool,
}

impl FollowerQueue {
    /// A queue behind a ledger that is derived up to `done`.
    pub(crate) fn new(done: u64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                done,
                ..Inner::default()
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds a frame. Waits while there is too much: the derived data must not fall behind without bound.
    pub(crate) fn push(&self, followed: Followed) {
        let mut inner = self.lock();
        while inner.weight > WAITING_MAX && !inner.closed && !inner.ended {
            inner.hurry = true;
            self.changed.notify_all();
            inner = self.wait(inner);
        }
        inner.weight += followed.weight();
        // Only the first wakes the follower; it then gathers for a while.
        let first = inner.waiting.is_empty();
        inner.waiting.push_back(followed);
        if first {
            self.changed.notify_all();
        }
    }

    /// Waits until everything up to `size` is derived; `false` where the ledger closed before.
    pub(crate) fn wait_for(&self, size: u64) -> bool {
        let mut inner = self.lock();
        while inner.done < size {
            if inner.ended {
                return false;
            }
            inner.hurry = true;
            self.changed.notify_all();
            inner = self.wait(inner);
        }
        true
    }

    /// Nothing more comes; the follower ends when it has done what waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// All that waits; nothing where nothing came for `idle`; `None` at the end.
    fn take(&self, idle: Duration) -> Option<VecDeque<Followed>> {
        let mut inner = self.lock();
        let until = Instant::now() + idle;
        while inner.waiting.is_empty() {
            if inner.closed {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(VecDeque::new());
            }
            let waited = self.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !inner.hurry && !inner.closed {
            inner = self
                .changed
                .wait_timeout_while(inner, GATHER, |inner| !inner.hurry && !inner.closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        inner.weight = 0;
        Some(std::mem::take(&mut inner.waiting))
    }

    fn done(&self, size: u64) {
        let mut inner = self.lock();
        inner.done = inner.done.max(size);
        if inner.waiting.is_empty() {
            inner.hurry = false;
        }
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever waits that the follower is gone, also when it panicked.
struct Gone<'a>(&'a FollowerQueue);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What the follower works with.
pub(crate) struct Follower {
    pub(crate) queue: Arc<FollowerQueue>,
    pub(crate) tiles: Arc<Tiles>,
    pub(crate) index: Arc<Indexing>,
    pub(crate) head: Arc<Head>,
    pub(crate) owed: Arc<Owed>,
    pub(crate) disk: Arc<dyn Disk>,
    /// The directory of what is derived.
    pub(crate) derived: PathBuf,
    pub(crate) origin: String,
    pub(crate) history: History,
    pub(crate) published: Published,
    pub(crate) standing: Option<Standing>,
    /// Bytes of segments since the last resume point.
    pub(crate) since_resume_point: u64,
}

/// How far the follower is: what a resume point says of the ledger.
pub(crate) struct Standing {
    /// Where the last frame begins.
    pub(crate) place: Place,
    /// Size after it, and the checkpoint of that size; empty where none was signed.
    pub(crate) size: u64,
    pub(crate) note: Bytes,
}

impl Follower {
    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _gone = Gone(&queue);
        let mut set = None;
        loop {
            if self.since_resume_point >= RESUME_BYTES && set.is_none_or(|at: Instant| at.elapsed() >= RESUME_PAUSE) {
                self.set_resume_point();
                set = Some(Instant::now());
            }
            let Some(frames) = queue.take(Published::PAUSE) else {
                break;
            };
            self.follow(frames);
            self.published.publish(&self.tiles, &self.head, false);
        }
        self.published.publish(&self.tiles, &self.head, true);
        if self.since_resume_point > 0 || self.tiles.is_damaged() {
            self.set_resume_point();
        }
        self.index.close();
    }

    fn follow(&mut self, frames: VecDeque<Followed>) {
        let Some(last) = frames.back() else { return };
        let size = last.size();
        self.standing = Some(Standing {
            place: last.place,
            size,
            note: last.note.clone(),
        });
        let leaves = frames.iter().flat_map(|frame| frame.leaves.iter().zip(&frame.facts));
        self.tiles.push(leaves.map(|(leaf, fact)| (*leaf, fact.leaf)));
        for frame in &frames {
            self.since_resume_point += frame.end.offset.saturating_sub(frame.place.offset);
            for (index, fact) in (frame.first..).zip(&frame.facts) {
                self.history.add(index, fact);
            }
        }
        self.history.bound();
        self.index.push(frames);
        self.queue.done(size);
    }

    /// Writes the resume point. A tile must be durable before it, for a start does not make it again. Where a tile does not fit
    /// there is none, so that the next start makes all of them again. As long as an erasure may not be carried out there is no
    /// new one, so that the next start finds its ERASED.
    fn set_resume_point(&mut self) {
        if self.owed.is_any() && !self.tiles.is_damaged() {
            return;
        }
        let path = self.derived.join(RESUME_POINT);
        let written = if self.tiles.is_damaged() {
            std::fs::remove_file(&path)
        } else {
            self.write_resume_point(&path)
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the ledger's resume point could not be written: the next start reads more than it needs");
            }
            _ => {}
        }
    }

    fn write_resume_point(&mut self, path: &Path) -> io::Result<()> {
        let Some(standing) = self.standing.as_ref().filter(|standing| !standing.note.is_empty()) else {
            return Ok(());
        };
        self.since_resume_point = 0;
        self.history.forget(self.history.newest_us);
        let point = ResumePoint {
            origin: self.origin.clone(),
            place: standing.place,
            size: standing.size,
            newest_us: self.history.newest_us,
            note: standing.note.clone(),
            cosigned: self.head.cosigned(),
            edges: self.tiles.edges(),
            open: self.history.open(),
            replay: self.history.replay(),
        };
        self.tiles.sync(&*self.disk)?;
        self.disk.replace(path, &point.encode())
    }
}
