//! The ledger of one process: appended to by many, written by one, read while it is written.
//!
//! - [`Config`] where it lies and what bounds it; [`Ledger::open`] checks all that is there and says it ([`Opened`]).
//! - [`Ledger::append`] resolves when the statements are durable and signed; each waiter builds its own path ([`Stands`]).
//! - [`Ledger::find`] and [`Ledger::entry`] read back; [`Ledger::prove`] and [`Ledger::consistency`] prove anything old.
//!
//! The segments are the truth. Tiles, resume point and index follow the writer, off the hot path, and are rebuilt where they lack.
//! When it is not known what is on disk the process ends; nothing is signed on a guess.

mod commit;
mod config;
mod confirm;
mod entry;
mod erase;
mod error;
mod fact;
mod follower;
mod head;
mod history;
mod index;
mod indexer;
mod job;
mod kept;
mod known;
mod resume;
mod open;
mod pseudonyms;
mod published;
mod queries;
mod queue;
mod record;
mod rebuild;
mod recover;
mod reread;
mod reserve;
mod resources;
mod survey;
mod stamps;
mod start;
mod tail;
mod tiles;
mod told;
mod waiter;
mod walk;
mod writer;

use std::fs::File;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use jisr_certs::seal::SealKey;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Kind, Started};

pub use commit::{SignedCheckpoint, Stands};
pub use config::{Config, Fatal, Storage};
pub use entry::{Entry, FinalProof, PeerEntry, ReadError};
pub use erase::{EraseError, ErasedEntry};
pub use error::{AppendError, ConfirmError, FatalError, OpenError};
pub use history::Side;
pub use kept::Kept;
pub use open::{OpenExchange, Opened};
pub use queries::{Found, PairRow};
pub use rebuild::{RebuildError, rebuild};
pub use record::Record;
pub use reread::{Damage, Reread};
pub use stamps::{Renewable, StampedCheckpoint};
pub use survey::{Cursor, Surveyed};
pub use tail::Place;
pub use told::Told;
pub use waiter::tell_together;

use crate::Hash;
use crate::clock::Clock;
use crate::note::{self, Checkpoint, VerifierKey};
use crate::statement::Closed;
use crate::tree;
use crate::vault::Vault;

use confirm::Gate;
use follower::FollowerQueue;
use head::Head;
use index::Index;
use indexer::Indexing;
use job::Job;
use queue::Queue;
use reserve::Watch;
use tiles::Tiles;

/// A ledger that is open. Cheap to clone; closed when [`Ledger::close`] is called or the last clone is dropped.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    follower: Arc<FollowerQueue>,
    head: Arc<Head>,
    gate: Gate,
    tiles: Arc<Tiles>,
    index: Arc<Indexing>,
    reader: Arc<entry::Reader>,
    vault: Vault,
    eraser: erase::Eraser,
    verifier: VerifierKey,
    room: Watch,
    commit_bytes: usize,
    threads: Mutex<Threads>,
    /// Held as long as anything of the ledger lives.
    _lock: File,
}

struct Threads {
    /// `None` before the ledger is confirmed.
    writer: Option<JoinHandle<()>>,
    follower: Option<JoinHandle<()>>,
    indexer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({:?})", self.checkpoint())
    }
}

impl Ledger {
    /// Opens or begins the ledger: takes the lock and checks what is there. A new ledger begins with STARTED (`started`). Any
    /// other is read only, and every append answers [`AppendError::Recovering`], until [`Ledger::confirm`]. Blocks on disk.
    ///
    /// # Errors
    /// [`OpenError`]: locked, corrupt, of another origin or key, or not readable or writable.
    pub fn open(
        config: Config,
        key: SealKey,
        vault: Vault,
        clock: Arc<dyn Clock>,
        started: Started,
    ) -> Result<(Self, Opened), OpenError> {
        open::open(config, key, vault, clock, &started)
    }

    /// Opens the ledger to appends, at the word of somebody outside: `by` names them (a node, `JO/registry`, or an
    /// administrator), `theirs` is the newest checkpoint of this ledger that they hold, its own signature verified. The first
    /// time RESUMED is appended, and TORN_TAIL_CUT where an unfinished write was cut; blocks on disk for as long. Afterwards it
    /// only compares.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing was appended, and the ledger is as it was.
    pub fn confirm(&self, by: &str, theirs: Option<&Checkpoint>) -> Result<(), ConfirmError> {
        if let Some(theirs) = theirs {
            self.compare(theirs)?;
        }
        let size = theirs.map_or(0, |theirs| theirs.size);
        if let Some(writer) = self.0.gate.pass(by, size)? {
            let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.writer = Some(writer);
        }
        Ok(())
    }

    /// Writes back what this ledger lost with its disk, one commit, before it is confirmed: statements that stood behind what is
    /// here. The caller has checked that with them its tree is one that it signed before: what is signed here is then no second
    /// history. Blocks on disk.
    ///
    /// # Errors
    /// [`ConfirmError`]: the ledger is confirmed or refused already, or the disk failed.
    pub fn take_back(&self, statements: &[Closed]) -> Result<(), ConfirmError> {
        self.0.gate.take_back(statements)
    }

    /// Whether somebody outside confirmed the ledger since it was opened, or it is new: it takes appends.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.0.gate.is_confirmed()
    }

    /// Quarantine: the ledger is never confirmed by this process. To be called when somebody outside shows that this ledger is
    /// not what it was; what waits to be written is still written.
    pub fn refuse(&self) {
        self.0.gate.refuse();
    }

    fn compare(&self, theirs: &Checkpoint) -> Result<(), ConfirmError> {
        let (origin, ours) = (self.0.verifier.name(), self.size());
        if theirs.origin != origin {
            return Err(ConfirmError::WrongOrigin(theirs.origin.clone()));
        }
        if theirs.size > ours {
            return Err(ConfirmError::Ahead {
                theirs: theirs.size,
                ours,
            });
        }
        match self.root(theirs.size) {
            Some(root) if root == theirs.root => Ok(()),
            Some(_) => Err(ConfirmError::Differs { size: theirs.size }),
            None => Err(ConfirmError::Unreadable(theirs.size)),
        }
    }

    /// Appends statements in one commit, all or none. They are durable, and sealed by a signed checkpoint, when the future
    /// resolves; dropping it does not take them back. Encrypting and encoding happen in this call.
    pub fn append(
        &self,
        statements: Vec<Closed>,
    ) -> impl Future<Output = Result<Vec<Stands>, AppendError>> + Send + use<> {
        let count = statements.len();
        let job = self.0.gate.passes().and_then(|()| self.job(&statements));
        let queued = job.and_then(|job| {
            let (job, landed) = job.awaited();
            self.0.queue.push(job)?;
            Ok(landed)
        });
        async move {
            let (commit, first) = queued?.await.map_err(|_| AppendError::Stopped)??;
            Ok((first..)
                .take(count)
                .map(|index| Stands {
                    index,
                    commit: Arc::clone(&commit),
                })
                .collect())
        }
    }

    /// Appends statements that nobody waits for: with the next commit, at most 5 ms later.
    ///
    /// # Errors
    /// [`AppendError`], also [`AppendError::Overloaded`]: then they are not in the ledger and the caller tries again.
    pub fn append_later(&self, statements: &[Closed]) -> Result<(), AppendError> {
        self.0.gate.passes()?;
        self.0.queue.push(self.job(statements)?)
    }

    /// Resolves once all that was queued before is durable, or was refused.
    ///
    /// # Errors
    /// [`AppendError`]: it is not known what became of it.
    pub fn flush(&self) -> impl Future<Output = Result<(), AppendError>> + Send + use<> {
        let (job, landed) = Job::default().awaited();
        let queued = self.0.gate.passes().and_then(|()| self.0.queue.push(job));
        async move {
            queued?;
            landed.await.map_err(|_| AppendError::Stopped)?.map(drop)
        }
    }

    /// Records something that is not a statement: with the next commit, at most 5 ms later.
    ///
    /// # Errors
    /// As [`Ledger::append_later`]; [`AppendError::Unsound`] for an own checkpoint that is not one of this ledger.
    pub fn note_later(&self, record: Record) -> Result<(), AppendError> {
        self.0.gate.passes()?;
        let job = match record {
            Record::Cosigned(note) => self.cosigned_job(note)?,
            Record::Stamp { note, token } => {
                let size = self.own_size(&note)?;
                Job::stamp(size, &note, &token)
            }
            other => other.into_job(&self.0.vault)?,
        };
        self.0.queue.push(self.limited(job)?)
    }

    /// Whether new work may be begun: there is room for its statements. Work that runs can be closed for longer.
    ///
    /// # Errors
    /// [`AppendError::Full`].
    pub fn admits(&self) -> Result<(), AppendError> {
        if self.0.room.has_failed() {
            Err(AppendError::Full)
        } else {
            Ok(())
        }
    }

    /// The newest checkpoint. Before the ledger is confirmed it is the tree as found at start, and its note is empty where it
    /// was not stored before the end of the process before.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<SignedCheckpoint> {
        self.0.head.checkpoint()
    }

    /// Size and note of the newest own checkpoint that is signed. Before the ledger is confirmed it may be smaller than the tree.
    #[must_use]
    pub fn signed(&self) -> Option<(u64, Bytes)> {
        self.0.head.signed().map(|signed| (signed.size, signed.note))
    }

    /// Where the last durable frame ends. Everything before it in the segments stays as it is, but for what is erased.
    #[must_use]
    pub fn durable(&self) -> Place {
        self.0.head.durable()
    }

    /// Size and note of the newest own checkpoint that carries cosignatures.
    #[must_use]
    pub fn cosigned(&self) -> Option<(u64, Bytes)> {
        self.0.head.cosigned().map(|cosigned| (cosigned.size, cosigned.note))
    }

    /// Statements in the ledger.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint().size
    }

    /// Inclusion path of any entry under any tree that holds it. May wait some milliseconds for the newest.
    #[must_use]
    pub fn prove(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.derived(size)?;
        tree::inclusion(&*self.0.tiles, index, size)
    }

    /// Proof that the tree of `to` leaves continues that of `from`. May wait some milliseconds for the newest.
    #[must_use]
    pub fn consistency(&self, from: u64, to: u64) -> Option<Vec<Hash>> {
        self.derived(to)?;
        tree::consistency(&*self.0.tiles, from, to)
    }

    /// Root of the tree of the first `size` statements.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        self.derived(size)?;
        tree::root(&*self.0.tiles, size)
    }

    /// All entries of an exchange, by index, with all that stood when this was called. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`]. An error is not the same as no entries: it says nothing about the exchange.
    pub fn find(&self, id: ExchangeId) -> Result<Vec<Entry>, ReadError> {
        let index = self.index()?;
        let statements = index.exchange(id)?;
        statements
            .into_iter()
            .map(|statement| self.0.reader.entry(statement.index, &index))
            .collect()
    }

    /// The entry with this index; `None` where the ledger is not that long. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, ReadError> {
        let size = self.size();
        if index >= size {
            return Ok(None);
        }
        self.0.reader.entry(index, &*self.index()?).map(Some)
    }

    /// The receipt for the own statement with this index: the consumer's closing statement that cites it. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn receipt(&self, index: u64) -> Result<Option<PeerEntry>, ReadError> {
        self.0.reader.receipt(index, &*self.index()?)
    }

    /// Statements that are in the index by now. What asks for more waits.
    #[must_use]
    pub fn indexed(&self) -> u64 {
        self.0.index.size()
    }

    /// Ends cleanly: what waits is written, the newest checkpoint is stored, the lock is released with the last clone.
    pub fn close(self) {
        self.0.stop();
    }

    fn job(&self, statements: &[Closed]) -> Result<Job, AppendError> {
        let begins =
            |statement: &Closed| matches!(Kind::try_from(statement.core().kind), Ok(Kind::Asked | Kind::Received));
        if statements.is_empty() {
            return Err(AppendError::Unsound("there is nothing to append"));
        }
        if statements.iter().any(begins) {
            self.admits()?;
        }
        self.limited(Job::statements(statements, &self.0.vault)?)
    }

    fn limited(&self, job: Job) -> Result<Job, AppendError> {
        let (bytes, limit) = (job.bytes(), self.0.commit_bytes);
        if bytes > limit {
            Err(AppendError::TooLarge { bytes, limit })
        } else {
            Ok(job)
        }
    }

    /// A cosigned checkpoint is stored only if it is one of this very ledger.
    fn cosigned_job(&self, note: Bytes) -> Result<Job, AppendError> {
        Ok(Job::cosigned(self.own_size(&note)?, note))
    }

    /// Size of a checkpoint of this very ledger.
    fn own_size(&self, note: &[u8]) -> Result<u64, AppendError> {
        let unsound = || AppendError::Unsound("a checkpoint is not one of this ledger");
        let checkpoint = note::open(note, &self.0.verifier).map_err(|_| unsound())?;
        if self.root(checkpoint.size) != Some(checkpoint.root) {
            return Err(unsound());
        }
        Ok(checkpoint.size)
    }

    /// The index, once it reaches all that stands.
    fn index(&self) -> Result<Arc<Index>, ReadError> {
        let size = self.size();
        self.derived(size).ok_or(ReadError::Stopped)?;
        self.0.index.reaching(size)
    }

    /// Waits until what is derived reaches `size`.
    fn derived(&self, size: u64) -> Option<()> {
        (size <= self.size() && self.0.follower.wait_for(size)).then_some(())
    }
}

impl Inner {
    fn stop(&self) {
        self.queue.close();
        let (writer, follower, indexer) = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            (threads.writer.take(), threads.follower.take(), threads.indexer.take())
        };
        // What they have to say about a failure they have said: the writer by the fatal hook.
        match writer {
            Some(writer) => drop(writer.join()),
            None => self.follower.close(),
        }
        // The follower ends behind the writer, the indexer behind the follower.
        for thread in [follower, indexer].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
