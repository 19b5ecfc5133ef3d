//! Mirrors: second copies of the ledger and of what a node needs besides, in a directory or in S3-compatible storage.
//!
//! Each mirror has a thread of its own that follows what is durable; no exchange waits for it, and one that fails stops nothing:
//! its status says so, and it is tried again. What lies in a mirror is never overwritten by another history. A mirror is an
//! archive too: its `ledger/` is a ledger directory as docs/formats.md describes it, and [`recover`] makes a data directory of it.

mod bucket;
mod directory;
mod erased;
mod error;
mod http;
mod location;
mod restore;
mod sealed_keys;
mod segments;
mod side_files;
mod store;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jisr_certs::keys::KeyStore;
use jisr_ledger::clock::Clock;
use jisr_ledger::files::Disk;
use jisr_ledger::ledger::Ledger;
use jisr_proto::admin::MirrorStatus;

pub use error::MirrorError;
pub use location::{Access, Location, S3};
pub use restore::{KeySource, Restored, fetch_data, fetch_ledger, recover};
pub use sealed_keys::RecoverySecret;

use segments::{Segments, Step, end_of};
use side_files::SideFiles;
use store::Store;

/// How often files besides the segments are looked at.
const FILES_EVERY: Duration = Duration::from_secs(5);
/// Pause after a failure.
const AGAIN: Duration = Duration::from_secs(2);
/// A failure that lasts is said again this often.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How long a node that stops waits for what its mirrors still lack.
const LAST_ROUND: Duration = Duration::from_secs(10);

/// A mirror as `node.toml` describes it.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where it lies.
    pub location: Location,
    /// Secret under which keys are mirrored; without it they are not.
    pub secret_file: Option<PathBuf>,
    /// Pause between two looks at the ledger.
    pub interval: Duration,
    /// Most bytes a second.
    pub bytes_per_s: u64,
}

/// The mirrors of a node that runs.
pub(crate) struct Mirrors {
    running: Mutex<Vec<Running>>,
}

struct Running {
    state: Arc<Mutex<State>>,
    stop: Sender<Stop>,
    thread: JoinHandle<()>,
}

/// How a mirror is told to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// After one more round.
    CaughtUp,
}

/// What is known of a mirror.
struct State {
    location: String,
    /// Statements that it holds.
    size: u64,
    /// Since when it lacks something.
    behind_since_us: Option<u64>,
    written_us: u64,
    error: String,
}

impl Mirrors {
    /// Begins to follow `ledger`, which lies on `disk` in the data directory `data`, with every mirror. `named` are files in it that the
    /// configuration names.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(
        mirrors: &[Mirror],
        (data, named, keys): (&std::path::Path, &[String], &KeyStore),
        (ledger, disk): (&Ledger, &Arc<dyn Disk>),
        clock: &Arc<dyn Clock>,
    ) -> std::io::Result<Mirrors> {
        let mut running = Vec::with_capacity(mirrors.len());
        for mirror in mirrors {
            let state = Arc::new(Mutex::new(State {
                location: mirror.location.to_string(),
                size: 0,
                behind_since_us: None,
                written_us: 0,
                error: String::new(),
            }));
            let (stop, stopped) = channel();
            let follower = Follower {
                mirror: mirror.clone(),
                data: data.to_owned(),
                keys: keys.clone(),
                files: SideFiles::new(data, named.to_vec()),
                segments: Segments::new(data.join("ledger"), "ledger"),
                old: None,
                store: None,
                ledger: ledger.clone(),
                disk: Arc::clone(disk),
                clock: Arc::clone(clock),
                state: Arc::clone(&state),
                files_due: Instant::now(),
            };
            let thread = std::thread::Builder::new()
                .name("jisr-mirror".to_owned())
                .spawn(move || follower.run(&stopped))?;
            running.push(Running { state, stop, thread });
        }
        Ok(Mirrors {
            running: Mutex::new(running),
        })
    }

    /// What the operator is told of each.
    pub(crate) fn status(&self, size: u64, now_us: u64) -> Vec<MirrorStatus> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |running: &Running| {
            let state = running.state.lock().unwrap_or_else(PoisonError::into_inner);
            MirrorStatus {
                location: state.location.clone(),
                lag_entries: size.saturating_sub(state.size),
                lag_us: state.behind_since_us.map_or(0, |since| now_us.saturating_sub(since)),
                written_us: state.written_us,
                error: state.error.clone(),
            }
        };
        running.iter().map(status).collect()
    }

    /// Ends them once they hold everything, or could not get it in some seconds. To be called when nothing is appended any more.
    pub(crate) fn stop(&self) {
        self.end(Some(Stop::CaughtUp));
    }

    /// Ends them as they are.
    pub(crate) fn abandon(&self) {
        self.end(None);
    }

    fn end(&self, how: Option<Stop>) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let mut threads = Vec::with_capacity(running.len());
        for Running { stop, thread, .. } in running {
            if let Some(how) = how {
                // One that is gone has nothing to end.
                let _ = stop.send(how);
            }
            threads.push(thread);
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a mirror ended by a defect; report it");
            }
        }
    }
}

impl Drop for Mirrors {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The thread behind a mirror.
struct Follower {
    mirror: Mirror,
    data: PathBuf,
    keys: KeyStore,
    files: SideFiles,
    segments: Segments,
    /// Ledgers that this one succeeds, and what is left to copy of them; `None` before they were looked for.
    old: Option<Vec<Segments>>,
    store: Option<Box<dyn Store>>,
    ledger: Ledger,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    files_due: Instant,
}

impl Follower {
    fn run(mut self, stopped: &Receiver<Stop>) {
        let mut said: Option<(String, Instant)> = None;
        let mut pause = Duration::ZERO;
        loop {
            let stop = match stopped.recv_timeout(pause) {
                Ok(stop) => Some(stop),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if stop.is_some() {
                self.files_due = Instant::now();
            }
            let done = self.round(stopped, stop.map(|_| Instant::now() + LAST_ROUND));
            pause = match &done {
                Ok(()) => self.mirror.interval,
                Err(_) => AGAIN.max(self.mirror.interval),
            };
            let error = done.err().map(|error| error.to_string());
            if let Some(error) = &error {
                let is_new = said
                    .as_ref()
                    .is_none_or(|(last, at)| last != error || at.elapsed() > SAY_EVERY);
                if is_new {
                    tracing::warn!(mirror = %self.mirror.location, error, "the mirror is not written; the node goes on without it");
                    said = Some((error.clone(), Instant::now()));
                }
                self.store = None;
            } else if said.take().is_some() {
                tracing::info!(mirror = %self.mirror.location, "the mirror is written again");
            }
            self.state.lock().unwrap_or_else(PoisonError::into_inner).error = error.unwrap_or_default();
            if stop.is_some() {
                return;
            }
        }
    }

    /// Copies all there is. Ends early when the mirror is told to end, or at `until`.
    fn round(&mut self, stopped: &Receiver<Stop>, until: Option<Instant>) -> Result<(), MirrorError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.mirror.location.open_on(&self.disk)?,
        };
        self.look(&*store);
        if let Some(secret) = &self.mirror.secret_file {
            self.files
                .copy_keys(&mut *store, &self.keys, &RecoverySecret::read(secret)?)?;
        }
        if self.old.is_none() {
            self.old = Some(self.find_old(&mut *store)?);
        }
        let files_due = self.files_due <= Instant::now();
        if files_due {
            self.files.copy(&mut *store)?;
            self.files_due = Instant::now() + FILES_EVERY;
        }
        loop {
            let end = self.ledger.durable();
            let step = self.segments.step(&mut *store, end)?;
            self.look(&*store);
            let worked = match step {
                Step::CaughtUp => break,
                Step::Worked(bytes) => bytes,
            };
            let is_over = until.is_some_and(|until| until <= Instant::now());
            if is_over || (until.is_none() && self.paused(stopped, worked)) {
                break;
            }
        }
        self.copy_old(&mut *store, stopped)?;
        self.store = Some(store);
        Ok(())
    }

    /// Ledgers that this one succeeds. A mirror that still holds the last of them as the current one keeps it as an old one.
    fn find_old(&self, store: &mut dyn Store) -> Result<Vec<Segments>, MirrorError> {
        let mut old = Vec::new();
        let ledgers = self.data.join("ledgers");
        let Ok(entries) = std::fs::read_dir(&ledgers) else {
            return Ok(old);
        };
        for entry in entries {
            let name = entry.map_err(error::io("list", &ledgers))?.file_name();
            let Some(epoch) = name.to_str() else { continue };
            let (live, folder) = (ledgers.join(epoch), format!("ledgers/{epoch}"));
            if store.segments(&folder)?.is_empty() && segments::begins_as(store, "ledger", &live)? {
                store.rename("ledger", &folder)?;
            }
            old.push(Segments::new(live, &folder));
        }
        Ok(old)
    }

    fn copy_old(&mut self, store: &mut dyn Store, stopped: &Receiver<Stop>) -> Result<(), MirrorError> {
        while let Some(segments) = self.old.as_mut().and_then(|old| old.last_mut()) {
            let end = end_of(segments.live())?;
            loop {
                match segments.step(store, end) {
                    Ok(Step::CaughtUp) => break,
                    Ok(Step::Worked(_)) => {}
                    // The mirror kept what this machine had lost before the ledger was succeeded.
                    Err(MirrorError::Ahead(place)) => {
                        tracing::info!(mirror = %self.mirror.location, place, "the mirror holds more of an old ledger than this node");
                        break;
                    }
                    Err(error) => return Err(error),
                }
                if matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)) {
                    return Ok(());
                }
            }
            if let Some(old) = &mut self.old {
                old.pop();
            }
        }
        Ok(())
    }

    /// Waits as long as the bytes may take; `true` when the mirror is told to end meanwhile.
    fn paused(&self, stopped: &Receiver<Stop>, bytes: u64) -> bool {
        let micros = bytes.saturating_mul(1_000_000) / self.mirror.bytes_per_s.max(1);
        std::thread::sleep(Duration::from_micros(micros));
        matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected))
    }

    /// Notes how far the mirror is.
    fn look(&self, store: &dyn Store) {
        let (now_us, size) = (self.clock.now_us(), self.segments.size());
        let behind = size.is_none_or(|size| size < self.ledger.size());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.location = store.place();
        if size.is_some_and(|size| size != state.size) {
            state.written_us = now_us;
        }
        state.size = size.unwrap_or(state.size);
        state.behind_since_us = match (behind, state.behind_since_us) {
            (false, _) => None,
            (true, since) => since.or(Some(now_us)),
        };
    }
}
