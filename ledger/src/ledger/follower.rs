//! Follows the writer and keeps what is derived: tiles and index. Off the hot path, in batches, on a thread of its own.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jisr_proto::ident::ExchangeId;

use super::commit::Commit;
use super::index::Index;
use super::job::Job;
use super::tail::Place;
use super::tiles::Tiles;
use crate::Hash;

/// Batches are gathered for this long unless somebody waits: long enough to hold most exchanges whole.
const GATHER: Duration = Duration::from_millis(100);

/// Statements and records that may wait here. The writer waits when there are more.
const WAITING_MAX: usize = 1 << 16;

/// What a frame adds to the derived data.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) place: Place,
    /// Index of its first statement.
    pub(crate) first: u64,
    /// Leaf hashes of its statements.
    pub(crate) leaves: Vec<Hash>,
    pub(crate) exchanges: Vec<(ExchangeId, u64)>,
    /// Hashes of its PEER_NOTE records.
    pub(crate) notes: Vec<Hash>,
    /// Leaf inputs of its PEER_PROOF records.
    pub(crate) proofs: Vec<Hash>,
    /// Root of the tree after it.
    pub(crate) root: Hash,
}

impl Followed {
    pub(crate) fn of(place: Place, commit: &Commit, notes: Vec<Hash>, jobs: &[Job]) -> Self {
        let first = commit.before();
        let exchanges = jobs.iter().flat_map(|job| &job.exchanges).zip(first..);
        Self {
            place,
            first,
            leaves: commit.leaves().to_vec(),
            exchanges: exchanges.filter_map(|(id, index)| Some(((*id)?, index))).collect(),
            notes,
            proofs: jobs.iter().flat_map(|job| job.proofs.iter().copied()).collect(),
            root: commit.checkpoint().root,
        }
    }

    /// Size of the tree after it.
    pub(crate) fn size(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }

    fn weight(&self) -> usize {
        1 + self.leaves.len() + self.notes.len() + self.proofs.len()
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

    /// All that waits; `None` at the end.
    fn take(&self) -> Option<VecDeque<Followed>> {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if inner.closed {
                return None;
            }
            inner = self.wait(inner);
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

/// The thread's whole life.
pub(crate) fn run(queue: &FollowerQueue, tiles: &Tiles, index: &Index) {
    let _gone = Gone(queue);
    while let Some(frames) = queue.take() {
        let Some(size) = frames.back().map(Followed::size) else {
            continue;
        };
        for leaf in frames.iter().flat_map(|frame| &frame.leaves) {
            tiles.push(*leaf);
        }
        index.add(frames.iter());
        queue.done(size);
    }
    index.flush();
}
