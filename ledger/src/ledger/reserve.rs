//! The next segment file is made, zero-filled and synced, before it is needed, by a thread of its own and outside the
//! ledger's directory. A disk that has no room for it closes the ledger to new work while what runs can still be closed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::files::Disk;

/// After a failure it is tried again this often.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug)]
enum State {
    /// To be made; `failed` says why the last try failed.
    Wanted { failed: Option<String> },
    /// Lies ready.
    Ready,
    /// Taken; nothing is made until it is said that the path is free again.
    Taken,
    /// No more is made.
    Closed,
}

struct Shared {
    path: PathBuf,
    bytes: u64,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    changed: Condvar,
}

/// The reserve segment and the thread that makes it.
pub(crate) struct Reserve {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Reserve {
    /// Begins to make a file of `bytes` zero bytes in `directory`. What a former process left there is made anew.
    pub(crate) fn start(directory: &Path, bytes: u64, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            path: directory.join("next.seg"),
            bytes,
            disk,
            state: Mutex::new(State::Wanted { failed: None }),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("jisr-reserve".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The last try to make a reserve failed: nothing new should be begun.
    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Path of the reserve file, once it is ready. Fails where the disk has no room for one.
    pub(crate) fn take(&self) -> io::Result<&Path> {
        let mut state = self.shared.lock();
        loop {
            match &*state {
                State::Ready => {
                    *state = State::Taken;
                    return Ok(&self.shared.path);
                }
                State::Wanted { failed: Some(why) } => {
                    return Err(io::Error::new(io::ErrorKind::StorageFull, why.clone()));
                }
                State::Taken => return Ok(&self.shared.path),
                State::Closed => return Err(io::ErrorKind::BrokenPipe.into()),
                State::Wanted { failed: None } => {
                    state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// The file that was taken lies elsewhere now: makes the next.
    pub(crate) fn used(&self) {
        *self.shared.lock() = State::Wanted { failed: None };
        self.shared.changed.notify_all();
    }
}

/// Tells whether there is room for a next segment.
pub(crate) struct Watch(Arc<Shared>);

impl Watch {
    pub(crate) fn has_failed(&self) -> bool {
        matches!(&*self.0.lock(), State::Wanted { failed: Some(_) })
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        *self.shared.lock() = State::Closed;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged by the panic hook; there is nothing to save.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let mut state = self.lock();
            loop {
                match &*state {
                    State::Closed => return,
                    State::Wanted { .. } => break,
                    State::Ready | State::Taken => {
                        state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
            drop(state);
            let made = self.disk.allocate(&self.path, self.bytes);
            self.made(made);
        }
    }

    fn made(&self, made: io::Result<()>) {
        let mut state = self.lock();
        if matches!(&*state, State::Closed) {
            return;
        }
        let Err(e) = made else {
            *state = State::Ready;
            self.changed.notify_all();
            return;
        };
        tracing::warn!(path = %self.path.display(), error = %e, "no room for the next ledger segment: new work is refused");
        // Half a file would keep the space that others may need to end what they do.
        let _ = fs::remove_file(&self.path);
        *state = State::Wanted {
            failed: Some(e.to_string()),
        };
        self.changed.notify_all();
        let _ = self.changed.wait_timeout(state, AGAIN);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
