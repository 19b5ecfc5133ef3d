//! Opens a ledger: one process at a time, what is there checked from end to end, the start itself a statement.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::seal::SealKey;
use jisr_proto::statement::{Core, Kind, Resumed, Started, TornTailCut};

use super::commit::SignedCheckpoint;
use super::config::Config;
use super::entry::{Entry, ReadError, Reader};
use super::error::{AppendError, OpenError};
use super::follower::{self, FollowerQueue};
use super::head::Head;
use super::history::{History, Side};
use super::index::Index;
use super::job::Job;
use super::queue::Queue;
use super::recover::{End, Recovered, recover};
use super::reserve::Reserve;
use super::tail::Tail;
use super::tiles::Tiles;
use super::writer::Writer;
use super::{Inner, Ledger, Threads};
use crate::clock::Clock;
use crate::files::{PAGE, Pages, create_directory};
use crate::frame::segment_name;
use crate::replay::ReplayEntry;
use crate::statement::{Closed, Draft};
use crate::vault::Vault;

/// What was found at start, for the node to go on from.
#[derive(Debug)]
pub struct Opened {
    /// Statements that were there. 0: the ledger is new.
    pub size: u64,
    /// The torn tail that was cut.
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
    clock: &dyn Clock,
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
    let now_us = clock.now_us().max(newest_us);
    let statements = first_statements(&config, started, size, torn.as_ref(), now_us);
    let (open, replay) = (recovered.history.open(), recovered.history.replay());
    let tail = recovered
        .end
        .as_ref()
        .map(|end| tail(&config, &segments, end))
        .transpose()?;

    let parts = Parts {
        config,
        key,
        vault,
        index,
        tiles,
        tail,
        recovered,
        lock,
    };
    let ledger = parts.start(&statements)?;
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
    index: Index,
    tiles: Tiles,
    tail: Option<Tail>,
    recovered: Recovered,
    lock: File,
}

impl Parts {
    fn start(self, statements: &[Closed]) -> Result<Ledger, OpenError> {
        let Self {
            config,
            key,
            vault,
            index,
            tiles,
            tail,
            recovered,
            lock,
        } = self;
        let segments = config.dir.join("segments");
        let size = recovered.grower.size();
        let verifier = key
            .vkey()
            .parse()
            .map_err(|_| OpenError::Limits("the seal key has no usable name"))?;
        let unsigned = SignedCheckpoint {
            origin: config.origin.as_str().into(),
            size,
            root: recovered.grower.root(),
            note: Bytes::new(),
        };
        let queue = Arc::new(Queue::new(config.queue_bytes, config.queue_items));
        let follower = Arc::new(FollowerQueue::new(size));
        let head = Arc::new(Head::new(Arc::new(unsigned), recovered.cosigned));
        let reserve = Reserve::start(&config.reserve_dir, config.segment_bytes, Arc::clone(&config.disk))
            .map_err(at(&config.reserve_dir))?;
        let room = reserve.watch();
        let commit_bytes = config.commit_limit();
        let mut writer = Writer {
            queue: Arc::clone(&queue),
            follower: Arc::clone(&follower),
            head: Arc::clone(&head),
            key,
            segments: segments.clone(),
            reserve_dir: config.reserve_dir,
            segment_bytes: config.segment_bytes,
            commit_bytes,
            idle: Duration::from_millis(config.idle_checkpoint_ms),
            disk: config.disk,
            fatal: config.fatal,
            reserve,
            tail,
            grower: recovered.grower,
            stored: recovered.stored,
            known: recovered.known,
            sizes: recovered.sizes,
            is_full: false,
        };
        // The first statements are written before the threads run: who gets a ledger gets one that can be written.
        let (job, mut landed) = Job::statements(statements, &vault)?.awaited();
        writer.commit(vec![job])?;
        landed.try_recv().map_err(|_| AppendError::Stopped)??;

        let (tiles, index) = (Arc::new(tiles), Arc::new(index));
        let reader = Reader::new(&segments, vault.clone());
        let threads = Threads {
            writer: spawn("jisr-ledger", move || writer.run())?,
            follower: spawn("jisr-follower", {
                let (queue, tiles, index) = (Arc::clone(&follower), Arc::clone(&tiles), Arc::clone(&index));
                move || follower::run(&queue, &tiles, &index)
            })?,
        };
        let threads = Mutex::new(Some(threads));
        let inner = Inner {
            queue,
            follower,
            head,
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

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, OpenError> {
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

/// The last segment, ready to be written on. Of a torn frame everything is zeroed but what shares its first page: the first
/// commit overwrites that page, so the frame is cut and the cut is recorded by one write.
fn tail(config: &Config, segments: &Path, end: &End) -> Result<Tail, OpenError> {
    let path = segments.join(segment_name(end.segment));
    let mut file = config.disk.open(&path).map_err(at(&path))?;
    // A process that was killed may have left a frame that can be read but is not durable. It will be signed over.
    file.sync().map_err(at(&path))?;
    if let Some(tear) = end.torn {
        let page = PAGE as u64;
        let first = tear.offset / page * page;
        let behind = (tear.offset + tear.bytes).saturating_sub(first + page).div_ceil(page);
        if behind > 0 {
            let zeros = Pages::zeroed(usize::try_from(behind).unwrap_or(usize::MAX));
            file.write_durable(&zeros, first + page)
                .map_err(|e| at(&path)(io::Error::other(e)))?;
        }
    }
    let mut tail = Tail::resume(file, end.segment, end.offset, config.segment_bytes).map_err(at(&path))?;
    if end.torn.is_some() && tail.room() < FIRST_COMMIT_BYTES {
        // The first commit goes to the next segment, so this one must be clean before.
        tail.clear_rest().map_err(|e| at(&path)(io::Error::other(e)))?;
    }
    Ok(tail)
}

/// RESUMED and TORN_TAIL_CUT take less than this.
const FIRST_COMMIT_BYTES: u64 = 4096;

fn first_statements(
    config: &Config,
    started: &Started,
    size: u64,
    torn: Option<&TornTailCut>,
    now_us: u64,
) -> Vec<Closed> {
    let draft = |kind: Kind| {
        Draft::new(Core {
            kind: kind.into(),
            instance: config.origin.instance().to_string(),
            created_us: now_us,
            ..Core::default()
        })
    };
    let first = if size == 0 {
        draft(Kind::Started).act(started)
    } else {
        draft(Kind::Resumed).act(&Resumed {
            size,
            program: env!("CARGO_PKG_VERSION").into(),
            ..Resumed::default()
        })
    };
    let cut = torn.map(|torn| draft(Kind::TornTailCut).act(torn));
    std::iter::once(first).chain(cut).map(Draft::close).collect()
}
