//! Opens a ledger: one process at a time, what is there checked. A new one begins with STARTED; any other is not written to
//! before somebody outside has confirmed it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use jisr_certs::seal::SealKey;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Started, TornTailCut};

use super::Ledger;
use super::config::Config;
use super::entry::{Entry, ReadError};
use super::erase::Eraser;
use super::error::OpenError;
use super::history::{Open, Side};
use super::recover::{End, Ground};
use super::start::Parts;
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
    Eraser::new(&config, Arc::default()).recover().map_err(at(&derived))?;
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
        torn,
        lock,
    };
    let ledger = parts.start(started)?;
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

pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, OpenError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(at(Path::new(name)))
}

pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Io {
        path: path.clone(),
        error,
    }
}

/// A ledger has one writer: the lock is the kernel's, so it ends with the process.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
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
