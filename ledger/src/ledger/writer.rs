//! The one writer of a ledger: takes all that waits, makes it one frame, writes and syncs it, signs one checkpoint, wakes
//! everybody. No timer: what arrives during a sync is the next commit.
//!
//! The order is the ledger's promise. Nothing is signed before it is durable, and nobody is told before it is signed.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::seal::SealKey;

use super::commit::{Grower, Grown, SignedCheckpoint};
use super::config::Fatal;
use super::error::{AppendError, FatalError};
use super::follower::{Followed, FollowerQueue};
use super::head::Head;
use super::index::StampRow;
use super::job::{Job, SharedRecord, Signed};
use super::known::Known;
use super::queue::{Queue, Taken};
use super::reserve::Reserve;
use super::tail::{Place, Tail, TailError};
use super::waiter::Telling;
use crate::Hash;
use crate::files::{Disk, Pages, WriteError};
use crate::frame::{self, CHECKPOINT_FRAMES_MAX, Record, SegmentHeader};

/// What the writer works with.
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) follower: Arc<FollowerQueue>,
    pub(crate) head: Arc<Head>,
    pub(crate) key: SealKey,
    pub(crate) segments: PathBuf,
    pub(crate) reserve_dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) commit_bytes: usize,
    pub(crate) idle: Duration,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) fatal: Fatal,
    pub(crate) reserve: Reserve,
    /// `None` before the first segment is made.
    pub(crate) tail: Option<Tail>,
    pub(crate) grower: Grower,
    /// Size of the newest checkpoint that stands in the ledger itself.
    pub(crate) stored: u64,
    pub(crate) known: Known,
    pub(crate) sizes: Sizes,
    /// The last write was refused for want of room.
    pub(crate) is_full: bool,
}

/// Sizes of the tree after the last frames: a CHECKPOINT must be that of one of them.
#[derive(Default)]
pub(crate) struct Sizes(VecDeque<u64>);

impl Sizes {
    /// Frames that are remembered: well within the reach of a CHECKPOINT.
    pub(crate) const KEPT: usize = CHECKPOINT_FRAMES_MAX / 2;

    pub(crate) fn push(&mut self, size: u64) {
        if self.0.len() >= Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(size);
    }

    fn holds(&self, size: u64) -> bool {
        self.0.binary_search(&size).is_ok()
    }
}

impl Writer {
    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let failed = match ended {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(e),
            Err(_) => Some(FatalError::Writer("it panicked".into())),
        };
        if let Some(error) = failed {
            self.fatal.call(&error);
        }
        self.queue.stop();
        self.follower.close();
    }

    fn serve(&mut self) -> Result<(), FatalError> {
        loop {
            let idle = (self.stored < self.grower.size()).then_some(self.idle);
            match self.queue.take(self.commit_bytes, idle) {
                Taken::Jobs(jobs) => self.commit(jobs)?,
                Taken::Idle => self.store_checkpoint()?,
                Taken::Closed => return self.store_checkpoint(),
            }
        }
    }

    /// One commit. On success everybody is told; where the disk is full everybody is refused and nothing changed.
    pub(crate) fn commit(&mut self, mut jobs: Vec<Job>) -> Result<(), FatalError> {
        let first = self.grower.size();
        let grown = self.grower.grow(jobs.iter().flat_map(|job| job.leaves.iter().copied()));
        let around = self.around(&jobs);
        let place = match self.write(&around, &jobs) {
            Ok(place) => place,
            Err(TailError::Full(e)) => {
                self.full(&e, jobs);
                return Ok(());
            }
            Err(TailError::Unknown(e)) => return Err(self.lost(&e)),
        };

        self.is_full = false;

        // Durable. Only now is the tree the new one, and only now is anything signed.
        if let Some(stored) = around.stored {
            self.stored = stored;
        }
        around.learned.iter().for_each(|hash| self.known.learn(*hash));
        let checkpoint = if grown.size() > first {
            self.sign(&grown)
        } else {
            self.head.checkpoint()
        };
        let commit = Arc::new(self.grower.adopt(grown, checkpoint));
        self.sizes.push(self.grower.size());
        let durable = self.tail.as_ref().map(Tail::place).unwrap_or_default();
        self.head.publish(commit.checkpoint(), durable);
        if let Some(cosigned) = &around.cosigned {
            self.head.publish_cosigned(cosigned);
        }
        let followed = Followed::of((place, durable), &commit, around.notes, around.stamps, &mut jobs);
        let mut next = first;
        let mut telling = Telling::default();
        for job in jobs {
            let leaves = job.leaves.len() as u64;
            job.land(&commit, next, &mut telling);
            next += leaves;
        }
        telling.hand_over();
        self.follower.push(followed);
        Ok(())
    }

    /// Nothing was changed. Who waits is told; what nobody waits for stays in the queue, for it must not be lost: notes that
    /// come later may rest on it.
    fn full(&mut self, error: &io::Error, jobs: Vec<Job>) {
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::error!(%error, "the ledger's disk is full: statements are refused");
        }
        let (awaited, later): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_awaited);
        awaited.into_iter().for_each(|job| job.refuse(&AppendError::Full));
        self.queue.put_back(later);
    }

    /// The checkpoint goes into the ledger itself, in a frame of its own.
    fn store_checkpoint(&mut self) -> Result<(), FatalError> {
        if self.stored < self.grower.size() {
            self.commit(Vec::new())
        } else {
            Ok(())
        }
    }

    /// Records that stand before and behind those of the jobs.
    fn around(&self, jobs: &[Job]) -> Around {
        let mut around = Around::default();
        for shared in jobs.iter().flat_map(|job| &job.shared) {
            if self.known.holds(&shared.hash) || around.learned.contains(&shared.hash) {
                continue;
            }
            shared.put(&mut around.before);
            around.learned.push(shared.hash);
            if matches!(shared.record, SharedRecord::Note(_)) {
                around.notes.push(shared.hash);
            }
        }
        for cosigned in jobs.iter().filter_map(|job| job.cosigned.as_ref()) {
            if self.sizes.holds(cosigned.size) {
                frame::put_record(&mut around.behind, Record::Checkpoint(&cosigned.note));
                around.cosigned = Some(cosigned.clone());
            } else {
                tracing::warn!(size = cosigned.size, "a cosigned checkpoint came too late to be stored");
            }
        }
        for stamp in jobs.iter().filter_map(|job| job.stamp.as_ref()) {
            if stamp.row.0.is_none_or(|size| self.sizes.holds(size)) {
                around.behind.extend_from_slice(&stamp.record);
                around.stamps.push(stamp.row);
            } else {
                tracing::warn!(size = stamp.row.0, "a time-stamp came too late to be stored");
            }
        }
        // The newest checkpoint ends every frame. So a frame never ends in a zero byte, and one that was acknowledged cannot
        // be altered to look torn.
        let newest = self.head.checkpoint();
        if !newest.note.is_empty() {
            frame::put_record(&mut around.behind, Record::Checkpoint(&newest.note));
            around.stored = Some(newest.size);
        }
        around
    }

    fn write(&mut self, around: &Around, jobs: &[Job]) -> Result<Place, TailError> {
        let bodies = || jobs.iter().map(|job| job.body.as_slice());
        let bytes = around.before.len() + around.behind.len() + bodies().map(<[u8]>::len).sum::<usize>();
        let pieces = std::iter::once(around.before.as_slice())
            .chain(bodies())
            .chain([around.behind.as_slice()]);
        self.room(bytes)?.write(pieces)
    }

    /// The tail, with room for a frame: the last segment, or a new one.
    fn room(&mut self, body_bytes: usize) -> Result<&mut Tail, TailError> {
        if self.tail.as_ref().is_none_or(|tail| !tail.fits(body_bytes)) {
            self.tail = Some(self.roll()?);
        }
        self.tail
            .as_mut()
            .ok_or_else(|| TailError::Full(io::ErrorKind::StorageFull.into()))
    }

    /// A new segment: its header is durable before its name is, and its name before a frame is written to it.
    fn roll(&mut self) -> Result<Tail, TailError> {
        let number = self.tail.as_ref().map_or(0, |tail| tail.segment() + 1);
        let header = SegmentHeader {
            number,
            first_index: self.grower.size(),
            root: self.grower.root(),
        }
        .encode();
        let path = self.reserve.take().map_err(TailError::Full)?.to_owned();
        let mut file = self.disk.open(&path).map_err(TailError::Full)?;
        let mut page = Pages::new();
        page.push(&header);
        // The file does not lie in the ledger yet: whatever fails here leaves the ledger as it was.
        file.write_durable(&page, 0)
            .map_err(|e| TailError::Full(io::Error::other(e)))?;
        let name = self.segments.join(frame::segment_name(number));
        self.disk.rename(&path, &name).map_err(|e| match name.try_exists() {
            Ok(false) => TailError::Full(e),
            _ => TailError::Unknown(WriteError::Unknown(e)),
        })?;
        let named = self
            .disk
            .sync_directory(&self.segments)
            .and_then(|()| self.disk.sync_directory(&self.reserve_dir));
        named.map_err(|e| TailError::Unknown(WriteError::Unknown(e)))?;
        self.reserve.used();
        Ok(Tail::fresh(file, number, self.segment_bytes, &header))
    }

    fn sign(&self, grown: &Grown) -> Arc<SignedCheckpoint> {
        let note = Bytes::from(self.key.checkpoint(grown.size(), &grown.root()));
        let origin = Arc::clone(&self.head.checkpoint().origin);
        Arc::new(SignedCheckpoint {
            origin,
            size: grown.size(),
            root: grown.root(),
            note,
        })
    }

    fn lost(&self, error: &WriteError) -> FatalError {
        let (segment, offset) = self
            .tail
            .as_ref()
            .map_or((0, 0), |tail| (tail.place().segment, tail.place().offset));
        FatalError::Disk {
            segment,
            offset,
            what: error.to_string(),
        }
    }
}

/// What a commit writes besides its jobs.
#[derive(Default)]
struct Around {
    before: Vec<u8>,
    behind: Vec<u8>,
    /// Hashes of the shared records in `before`, and of those that are notes.
    learned: Vec<Hash>,
    notes: Vec<Hash>,
    /// Its time-stamps.
    stamps: Vec<StampRow>,
    /// Size of the own checkpoint, and the one with cosignatures, that stand in `behind`.
    stored: Option<u64>,
    cosigned: Option<Signed>,
}
