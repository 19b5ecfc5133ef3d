//! Puts a ledger together that was read: writer, follower and indexer, and what they share.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jisr_certs::seal::SealKey;
use jisr_proto::statement::{Started, TornTailCut};

use super::commit::{Grower, SignedCheckpoint};
use super::config::Config;
use super::confirm::{Gate, Waiting};
use super::entry::Reader;
use super::erase::{Eraser, Owed};
use super::error::OpenError;
use super::follower::{Follower, FollowerQueue, Standing};
use super::head::Head;
use super::history::History;
use super::indexer::{Indexer, Indexing};
use super::known::Known;
use super::open::{at, spawn};
use super::published::Published;
use super::queue::Queue;
use super::recover::{End, Recovered};
use super::reserve::{Reserve, Watch};
use super::tail::Place;
use super::tiles::Tiles;
use super::writer::{Sizes, Writer};
use super::{Inner, Ledger, Threads};
use crate::clock::Clock;
use crate::vault::Vault;

/// What a running ledger is made of.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) key: SealKey,
    pub(super) vault: Vault,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) recovered: Recovered,
    pub(super) torn: Option<TornTailCut>,
    pub(super) lock: File,
}

/// What the threads and the callers share.
struct Shared {
    queue: Arc<Queue>,
    follower: Arc<FollowerQueue>,
    head: Arc<Head>,
    tiles: Arc<Tiles>,
    index: Arc<Indexing>,
    reader: Arc<Reader>,
    owed: Arc<Owed>,
}

/// What the writer goes on from.
struct Ahead {
    end: Option<End>,
    grower: Grower,
    known: Known,
    sizes: Sizes,
    stored: u64,
}

/// What the follower goes on from.
struct Behind {
    history: History,
    standing: Option<Standing>,
    since_resume_point: u64,
    /// Where the ledger ends, and its size.
    found: (Place, u64),
}

impl Parts {
    pub(super) fn start(self, started: &Started) -> Result<Ledger, OpenError> {
        let Self { config, key, vault, .. } = self;
        let verifier = key
            .vkey()
            .parse()
            .map_err(|_| OpenError::Limits("the seal key has no usable name"))?;
        let (shared, ahead, behind) = Shared::of(&config, &vault, self.recovered);
        let (size, newest_us, end) = (behind.found.1, behind.history.newest_us, ahead.end);
        let (writer, room) = shared.writer(&config, key, ahead)?;
        let waiting = Waiting {
            writer,
            segments: config.dir.join("segments"),
            segment_bytes: config.segment_bytes,
            disk: Arc::clone(&config.disk),
            fatal: config.fatal.clone(),
            origin: config.origin.clone(),
            clock: self.clock,
            vault: vault.clone(),
            end,
            torn: self.torn,
            size,
            newest_us,
        };
        // The first statement of a new ledger is written before the threads run: who gets one gets one that can be written.
        let (gate, writer) = if size == 0 {
            (Gate::open(), Some(waiting.begin(started)?))
        } else {
            (Gate::closed(waiting), None)
        };
        let threads = Mutex::new(Threads {
            writer,
            indexer: Some(shared.indexer(&config, behind.found)?),
            follower: Some(shared.follower(&config, behind)?),
        });
        let inner = Inner {
            queue: shared.queue,
            follower: shared.follower,
            head: shared.head,
            gate,
            tiles: shared.tiles,
            index: shared.index,
            reader: shared.reader,
            vault,
            eraser: Eraser::new(&config, shared.owed),
            verifier,
            room,
            commit_bytes: config.commit_limit(),
            threads,
            _lock: self.lock,
        };
        Ok(Ledger(Arc::new(inner)))
    }
}

impl Shared {
    fn of(config: &Config, vault: &Vault, recovered: Recovered) -> (Self, Ahead, Behind) {
        let size = recovered.grower.size();
        let note = recovered.signed_head();
        let end = recovered.end.map(|end| end.place()).unwrap_or_default();
        let found = SignedCheckpoint {
            origin: config.origin.as_str().into(),
            size,
            root: recovered.grower.root(),
            note: note.clone(),
        };
        let head = Head::new(Arc::new(found), recovered.signed, recovered.cosigned, end);
        let shared = Self {
            queue: Arc::new(Queue::new(config.queue_bytes, config.queue_items)),
            follower: Arc::new(FollowerQueue::new(size)),
            head: Arc::new(head),
            tiles: Arc::new(recovered.tiles),
            index: Arc::new(Indexing::new((end, size))),
            reader: Arc::new(Reader::new(&config.dir.join("segments"), vault.clone())),
            owed: Arc::new(Owed::new(recovered.erased)),
        };
        let ahead = Ahead {
            end: recovered.end,
            grower: recovered.grower,
            known: recovered.known,
            sizes: recovered.sizes,
            stored: recovered.stored,
        };
        let behind = Behind {
            history: recovered.history,
            standing: recovered.last.map(|place| Standing { place, size, note }),
            since_resume_point: recovered.read_bytes,
            found: (end, size),
        };
        (shared, ahead, behind)
    }

    fn writer(&self, config: &Config, key: SealKey, ahead: Ahead) -> Result<(Writer, Watch), OpenError> {
        let reserve = Reserve::start(&config.reserve_dir, config.segment_bytes, Arc::clone(&config.disk))
            .map_err(at(&config.reserve_dir))?;
        let room = reserve.watch();
        let writer = Writer {
            queue: Arc::clone(&self.queue),
            follower: Arc::clone(&self.follower),
            head: Arc::clone(&self.head),
            key,
            segments: config.dir.join("segments"),
            reserve_dir: config.reserve_dir.clone(),
            segment_bytes: config.segment_bytes,
            commit_bytes: config.commit_limit(),
            idle: Duration::from_millis(config.idle_checkpoint_ms),
            disk: Arc::clone(&config.disk),
            fatal: config.fatal.clone(),
            reserve,
            tail: None,
            grower: ahead.grower,
            stored: ahead.stored,
            known: ahead.known,
            sizes: ahead.sizes,
            is_full: false,
        };
        Ok((writer, room))
    }

    fn indexer(&self, config: &Config, found: (Place, u64)) -> Result<JoinHandle<()>, OpenError> {
        let indexer = Indexer {
            indexing: Arc::clone(&self.index),
            found,
            tiles: Arc::clone(&self.tiles),
            reader: Arc::clone(&self.reader),
            directory: config.dir.join("index/exchanges"),
            segments: config.dir.join("segments"),
            cache_bytes: config.index_cache_bytes,
            origin: config.origin.to_string(),
        };
        spawn("jisr-indexer", move || indexer.run())
    }

    fn follower(&self, config: &Config, behind: Behind) -> Result<JoinHandle<()>, OpenError> {
        let derived = config.dir.join("index");
        let follower = Follower {
            queue: Arc::clone(&self.follower),
            tiles: Arc::clone(&self.tiles),
            index: Arc::clone(&self.index),
            head: Arc::clone(&self.head),
            owed: Arc::clone(&self.owed),
            disk: Arc::clone(&config.disk),
            published: Published::found(derived.clone()),
            derived,
            origin: config.origin.to_string(),
            history: behind.history,
            standing: behind.standing,
            since_resume_point: behind.since_resume_point,
        };
        spawn("jisr-follower", move || follower.run())
    }
}
