//! Opens a ledger: one process at a time, what is there checked. A new one begins with STARTED; any other is not written to
//! before somebody outside has confirmed it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jisr_certs::seal::SealKey;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Started, TornTailCut};

use super::commit::SignedCheckpoint;
use super::config::Config;
use super::confirm::{Gate, Waiting};
use super::entry::{Entry, ReadError, Reader};
use super::erase::Eraser;
use super::error::OpenError;
use super::follower::{Follower, FollowerQueue, Standing};
use super::head::Head;
use super::history::{Open, Side};
use super::indexer::{Indexer, Indexing};
use super::published::Published;
use super::queue::Queue;
use super::recover::{End, Ground, Recovered};
use super::reserve::Reserve;
use super::writer::Writer;
use super::{Inner, Ledger, Threads};
use crate::clock::Clock;
use crate::files::create_directory;
use crate::replay::ReplayEntry;
use crate::vault::Vault;

/// What was found at start, for the node to go on from.
#[derive(Debug)]
pub struct Opened {
    /// Statements that were there. 0: the ledger is new.
    pub size: u64,
    /// The torn tail that will be cut, and recorded, when the ledger is confirmed.
    pub torn: Option<TornTailCut>,
    /// Newest time in the ledger, microseconds since 1970: the clock must not be taken to be before it.
    pub newest_us: u64,
    /// What the replay set must hold before the peer door opens.
    pub replay: Vec<ReplayEntry>,
    /// Exchanges that were never closed, by index.
    pub open: Vec<OpenExchange>,
}

/// An exchange that was never closed.
#[derive(Clone, Copy, Debug)]
pub struct OpenExchange {
    /// Whether this node asked or was asked.
    pub side: Side,
    /// The exchange.
    pub exchange: ExchangeId,
    /// Own index of ASKED, or of RECEIVED, which cites it.
    pub index: u64,
}

impl OpenExchange {
    fn of(open: &Open) -> Self {
        Self {
            side: open.side,
            exchange: open.exchange,
            index: open.index,
        }
    }

    /// ASKED, or RECEIVED with the ASKED that it cites. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&self, ledger: &Ledger) -> Result<Entry, ReadError> {
        ledger.entry(self.index)?.ok_or(ReadError::Index("an open exchange"))
    }
}

/// Everything that [`Ledger::open`] does.
pub(crate) fn open(
    config: Config,
    key: SealKey,
    vault: Vault,
    clock: Arc<dyn Clock>,
    started: &Started,
) -> Result<(Ledger, Opened), OpenError> {
    config.check()?;
    let lock = lock(&config.lock)?;
    let segments = config.dir.join("segments");
    let derived = config.dir.join("index");
    for directory in [&config.dir, &segments, &derived, &config.reserve_dir] {
        create_directory(directory).map_err(at(directory))?;
    }
    // A frame that was being erased is whole again before anything is read.
    Eraser::new(&config).recover().map_err(at(&derived))?;
    let ground = Ground {
        segments: &segments,
        derived: &derived,
        key: &key,
        now_us: clock.now_us(),
        replay_grace_us: config.replay_grace_us,
    };
    let recovered = ground.recover()?;
    let torn = recovered.end.as_ref().and_then(torn);
    let size = recovered.grower.size();
    let newest_us = recovered.history.newest_us;
    let open = recovered.history.open().iter().map(OpenExchange::of).collect();
    let replay = recovered.history.replay();
    let parts = Parts {
        config,
        key,
        vault,
        clock,
        recovered,
        lock,
    };
    let ledger = parts.start(started, torn)?;
    Ok((
        ledger,
        Opened {
            size,
            torn,
            newest_us,
            replay,
            open,
        },
    ))
}

/// What a running ledger is made of.
struct Parts {
    config: Config,
    key: SealKey,
    vault: Vault,
    clock: Arc<dyn Clock>,
    recovered: Recovered,
    lock: File,
}

impl Parts {
    fn start(self, started: &Started, torn: Option<TornTailCut>) -> Result<Ledger, OpenError> {
        let Self {
            config,
            key,
            vault,
            clock,
            recovered,
            lock,
        } = self;
        let segments = config.dir.join("segments");
        let eraser = Eraser::new(&config);
        let derived = config.dir.join("index");
        let size = recovered.grower.size();
        let newest_us = recovered.history.newest_us;
        let verifier = key
            .vkey()
            .parse()
            .map_err(|_| OpenError::Limits("the seal key has no usable name"))?;
        let found = SignedCheckpoint {
            origin: config.origin.as_str().into(),
            size,
            root: recovered.grower.root(),
            note: recovered.signed_head(),
        };
        let standing = recovered.last.map(|place| Standing {
            place,
            size,
            note: found.note.clone(),
        });
        let origin = config.origin.to_string();
        let disk = Arc::clone(&config.disk);
        let queue = Arc::new(Queue::new(config.queue_bytes, config.queue_items));
        let follower = Arc::new(FollowerQueue::new(size));
        let end = recovered.end.map(|end| end.place());
        let head = Arc::new(Head::new(
            Arc::new(found),
            recovered.signed,
            recovered.cosigned,
            end.unwrap_or_default(),
        ));
        let reserve = Reserve::start(&config.reserve_dir, config.segment_bytes, Arc::clone(&config.disk))
            .map_err(at(&config.reserve_dir))?;
        let room = reserve.watch();
        let commit_bytes = config.commit_limit();
        let writer = Writer {
            queue: Arc::clone(&queue),
            follower: Arc::clone(&follower),
            head: Arc::clone(&head),
            key,
            segments: segments.clone(),
            reserve_dir: config.reserve_dir,
            segment_bytes: config.segment_bytes,
            commit_bytes,
            idle: Duration::from_millis(config.idle_checkpoint_ms),
            disk: Arc::clone(&config.disk),
            fatal: config.fatal.clone(),
            reserve,
            tail: None,
            grower: recovered.grower,
            stored: recovered.stored,
            known: recovered.known,
            sizes: recovered.sizes,
            is_full: false,
        };
        let waiting = Waiting {
            writer,
            segments: segments.clone(),
            segment_bytes: config.segment_bytes,
            disk: config.disk,
            fatal: config.fatal,
            origin: config.origin,
            clock,
            vault: vault.clone(),
            end: recovered.end,
            torn,
            size,
            newest_us,
        };
        // The first statement of a new ledger is written before the threads run: who gets one gets one that can be written.
        let (gate, writer) = if size == 0 {
            (Gate::open(), Some(waiting.begin(started)?))
        } else {
            (Gate::closed(waiting), None)
        };
        let tiles = Arc::new(recovered.tiles);
        let reader = Arc::new(Reader::new(&segments, vault.clone()));
        let found = (end.unwrap_or_default(), size);
        let index = Arc::new(Indexing::new(found));
        let indexer = Indexer {
            indexing: Arc::clone(&index),
            found,
            tiles: Arc::clone(&tiles),
            reader: Arc::clone(&reader),
            directory: derived.join("exchanges"),
            segments,
            cache_bytes: config.index_cache_bytes,
            origin: origin.clone(),
        };
        let followed = Follower {
            queue: Arc::clone(&follower),
            tiles: Arc::clone(&tiles),
            index: Arc::clone(&index),
            head: Arc::clone(&head),
            disk,
            published: Published::found(derived.clone()),
            derived,
            origin,
            history: recovered.history,
            standing,
            unmarked: recovered.read_bytes,
        };
        let threads = Mutex::new(Threads {
            writer,
            follower: Some(spawn("jisr-follower", move || followed.run())?),
            indexer: Some(spawn("jisr-indexer", move || indexer.run())?),
        });
        let inner = Inner {
            queue,
            follower,
            head,
            gate,
            tiles,
            index,
            reader,
            vault,
            eraser,
            verifier,
            room,
            commit_bytes,
            threads,
            _lock: lock,
        };
        Ok(Ledger(Arc::new(inner)))
    }
}

pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, OpenError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(at(Path::new(name)))
}

fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Io {
        path: path.clone(),
        error,
    }
}

/// A ledger has one writer: the lock is the kernel's, so it ends with the process.
fn lock(path: &Path) -> Result<File, OpenError> {
    if let Some(parent) = path.parent() {
        create_directory(parent).map_err(at(parent))?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(at(path)(error)),
    }
}

fn torn(end: &End) -> Option<TornTailCut> {
    let tear = end.torn?;
    Some(TornTailCut {
        segment: end.first_index,
        offset: tear.offset,
        bytes: tear.bytes,
    })
}
