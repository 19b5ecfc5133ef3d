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
use jisr_proto::statement::{Started, TornTailCut};

use super::commit::SignedCheckpoint;
use super::config::Config;
use super::confirm::{Gate, Waiting};
use super::entry::{Entry, ReadError, Reader};
use super::error::OpenError;
use super::follower::{self, FollowerQueue};
use super::head::Head;
use super::history::{History, Side};
use super::index::Index;
use super::queue::Queue;
use super::recover::{End, Recovered, recover};
use super::reserve::Reserve;
use super::tiles::Tiles;
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
#[derive(Debug)]
pub struct OpenExchange {
    /// Whether this node asked or was asked.
    pub side: Side,
    /// ASKED, or RECEIVED with the ASKED that it cites.
    pub entry: Entry,
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
    let exchanges = derived.join("exchanges");
    let index = Index::open(&exchanges, config.index_cache_bytes).map_err(at(&exchanges))?;
    let read = || {
        let tiles = Tiles::new(derived.join("tile"));
        let history = History::new(config.origin.as_str(), clock.now_us(), config.replay_grace_us);
        let recovered = recover(&segments, &key, history, &tiles, &index)?;
        Ok::<_, OpenError>(recovered.map(|recovered| (recovered, tiles)))
    };
    let (recovered, tiles) = match read()? {
        Some(found) => found,
        None => read()?.ok_or_else(|| at(&exchanges)(io::Error::other("the index does not stay empty")))?,
    };
    let torn = recovered.end.as_ref().and_then(torn);
    let size = recovered.grower.size();
    let newest_us = recovered.history.newest_us;
    let (open, replay) = (recovered.history.open(), recovered.history.replay());
    let parts = Parts {
        config,
        key,
        vault,
        clock,
        index,
        tiles,
        recovered,
        lock,
    };
    let ledger = parts.start(started, torn)?;
    let entry = |(side, index)| {
        Ok(OpenExchange {
            side,
            entry: ledger.entry(index)?.ok_or(ReadError::Index("an open exchange"))?,
        })
    };
    let open = open.into_iter().map(entry).collect::<Result<_, OpenError>>()?;
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
    index: Index,
    tiles: Tiles,
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
            index,
            tiles,
            recovered,
            lock,
        } = self;
        let segments = config.dir.join("segments");
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
        let (tiles, index) = (Arc::new(tiles), Arc::new(index));
        let reader = Reader::new(&segments, vault.clone());
        let followed = {
            let (queue, tiles, index) = (Arc::clone(&follower), Arc::clone(&tiles), Arc::clone(&index));
            spawn("jisr-follower", move || follower::run(&queue, &tiles, &index))?
        };
        let threads = Mutex::new(Threads {
            writer,
            follower: Some(followed),
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
