//! Keeps the index, on a thread of its own: opens it, reads what it lacks back from the segments, then goes on with what the
//! follower hands over. Only who asks the index waits for it.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::entry::{ReadError, Reader};
use super::follower::Followed;
use super::index::{Index, Reach};
use super::tail::Place;
use super::tiles::Tiles;
use super::walk::Walk;
use crate::tree;

/// Statements and records that may wait here. The follower, and so the writer, waits when there are more: an index that is
/// open must not fall behind without bound.
const WAITING_MAX: usize = 1 << 16;
/// Frames that are read back at once.
const READ_AT_ONCE: usize = 256;
/// With no more than this to read back, in bytes, the index takes what comes.
const NEAR_BYTES: u64 = 32 << 20;
/// After a failure it is tried again this much later.
const AGAIN: Duration = Duration::from_secs(5);

/// How the index stands, and what it has still to do.
pub(crate) struct Indexing {
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    /// Where the ledger ends as far as it was handed over, and its size there.
    newest: (Place, u64),
    /// What comes is kept; otherwise it is read back later.
    live: bool,
    waiting: VecDeque<Followed>,
    weight: usize,
    index: Option<Arc<Index>>,
    /// Size up to which all is in the index.
    done: u64,
    /// Why it failed, until it goes again.
    failed: Option<String>,
    closed: bool,
    /// The thread is gone.
    ended: bool,
}

impl Indexing {
    /// Of a ledger that ends there and has that size.
    pub(crate) fn new(newest: (Place, u64)) -> Self {
        let inner = Inner {
            newest,
            live: false,
            waiting: VecDeque::new(),
            weight: 0,
            index: None,
            done: 0,
            failed: None,
            closed: false,
            ended: false,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    /// Hands over frames in their order.
    pub(crate) fn push(&self, frames: VecDeque<Followed>) {
        let Some(last) = frames.back() else { return };
        let mut inner = self.lock();
        inner.newest = (last.end, last.size());
        while inner.live && inner.weight > WAITING_MAX && !inner.ended {
            inner = self.wait(inner);
        }
        if inner.live {
            inner.weight += frames.iter().map(Followed::weight).sum::<usize>();
            inner.waiting.extend(frames);
        }
        self.changed.notify_all();
    }

    /// Nothing more is handed over.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Size up to which the index reaches.
    pub(crate) fn size(&self) -> u64 {
        self.lock().done
    }

    /// The index, once it reaches `size`.
    pub(crate) fn reaching(&self, size: u64) -> Result<Arc<Index>, ReadError> {
        let mut inner = self.lock();
        loop {
            if let Some(why) = &inner.failed {
                return Err(io::Error::other(why.clone()).into());
            }
            if let Some(index) = inner.index.as_ref().filter(|_| inner.done >= size) {
                return Ok(Arc::clone(index));
            }
            if inner.ended {
                return Err(ReadError::Stopped);
            }
            inner = self.wait(inner);
        }
    }

    fn opened(&self, index: &Arc<Index>, size: u64) {
        let mut inner = self.lock();
        inner.index = Some(Arc::clone(index));
        inner.failed = None;
        inner.done = size;
        self.changed.notify_all();
    }

    fn done(&self, size: u64) {
        let mut inner = self.lock();
        inner.done = size;
        self.changed.notify_all();
    }

    /// Up to where to read back now; from there on what comes is kept, where that is near. `None`: the ledger closes.
    fn target(&self, at: Place) -> Option<(Place, bool)> {
        let mut inner = self.lock();
        let (newest, _) = inner.newest;
        let near = newest.segment == at.segment && newest.offset.saturating_sub(at.offset) <= NEAR_BYTES;
        if inner.closed && !near {
            return None;
        }
        inner.live = near;
        Some((newest, near))
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
        inner.weight = 0;
        let taken = std::mem::take(&mut inner.waiting);
        self.changed.notify_all();
        Some(taken)
    }

    /// Gives the index up and waits a while; false where the ledger closes.
    fn give_up(&self, error: &ReadError) -> bool {
        let mut inner = self.lock();
        inner.live = false;
        inner.waiting.clear();
        inner.weight = 0;
        inner.index = None;
        inner.failed = Some(error.to_string());
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(inner, AGAIN, |inner| !inner.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        self.changed.notify_all();
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever waits that the indexer is gone, also when it panicked.
struct Gone<'a>(&'a Indexing);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What the indexer works with.
pub(crate) struct Indexer {
    pub(crate) indexing: Arc<Indexing>,
    /// Where the ledger ended at start, and its size there: a longer index is one of another past.
    pub(crate) found: (Place, u64),
    pub(crate) tiles: Arc<Tiles>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) directory: PathBuf,
    pub(crate) segments: PathBuf,
    pub(crate) cache_bytes: u64,
    pub(crate) origin: String,
}

impl Indexer {
    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        let indexing = Arc::clone(&self.indexing);
        let _gone = Gone(&indexing);
        while let Err(error) = self.serve() {
            tracing::error!(%error, "the ledger's index cannot be kept: nothing is looked up until it can");
            if !indexing.give_up(&error) {
                return;
            }
        }
    }

    /// From opening the index to the end of the ledger.
    fn serve(&mut self) -> Result<(), ReadError> {
        let (index, reach) = self.open()?;
        let index = Arc::new(index);
        self.indexing.opened(&index, reach.1);
        // What is added from now on is of this very ledger, and may be gone on from after a failure.
        self.found = self.indexing.lock().newest;
        if self.catch_up(&index, reach).inspect_err(|_| index.discard())?.is_none() {
            return Ok(());
        }
        while let Some(frames) = self.indexing.take() {
            let Some(last) = frames.back() else { continue };
            let reach = Reach {
                end: last.end,
                size: last.size(),
                root: last.root,
            };
            index.add(&frames, &reach)?;
            self.indexing.done(reach.size);
        }
        index.flush();
        Ok(())
    }

    /// The index, where it ends, and the size there. One of another past, or of a longer ledger, is begun anew.
    fn open(&self) -> Result<(Index, (Place, u64)), ReadError> {
        let open = || Index::open(&self.directory, self.cache_bytes, &self.origin);
        let index = open()?;
        let Some(reach) = index.reach()? else {
            return Ok((index, (Place::FIRST, 0)));
        };
        let (end, size) = self.found;
        if reach.end <= end && reach.size <= size && tree::root(&*self.tiles, reach.size) == Some(reach.root) {
            return Ok((index, (reach.end, reach.size)));
        }
        tracing::warn!("the index is not one of this ledger as it stands; it is built anew");
        index.discard();
        drop(index);
        Ok((open()?, (Place::FIRST, 0)))
    }

    /// Reads back what the index lacks. `None`: the ledger closed before the end.
    fn catch_up(&self, index: &Index, (mut at, mut size): (Place, u64)) -> Result<Option<()>, ReadError> {
        loop {
            let Some((until, near)) = self.indexing.target(at) else {
                return Ok(None);
            };
            let mut walk = Walk::new(&self.reader, &self.segments, (at, size), until);
            loop {
                let frames = self.some(&mut walk)?;
                let Some(last) = frames.last() else { break };
                (at, size) = (last.end, last.size());
                let root = tree::root(&*self.tiles, size).ok_or(ReadError::Index("the tree"))?;
                index.add(&frames, &Reach { end: at, size, root })?;
                self.indexing.done(size);
                if !near && self.indexing.lock().closed {
                    return Ok(None);
                }
            }
            if near {
                return Ok(Some(()));
            }
            // The rest of a segment that was left behind is zero.
            at = until;
        }
    }

    fn some(&self, walk: &mut Walk<'_>) -> Result<Vec<Followed>, ReadError> {
        let mut frames = Vec::with_capacity(READ_AT_ONCE);
        while frames.len() < READ_AT_ONCE {
            match walk.next()? {
                Some(frame) => frames.push(frame),
                None => break,
            }
        }
        Ok(frames)
    }
}
