//! Nothing is sealed after a start before an outside party has shown the newest that it knows of this ledger: a disk that was
//! rolled back would otherwise sign a second history.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jisr_proto::ident::Origin;
use jisr_proto::statement::{Core, Kind, Resumed, Started, TornTailCut};

use super::config::Fatal;
use super::error::{AppendError, ConfirmError, OpenError};
use super::job::Job;
use super::open::spawn;
use super::recover::End;
use super::tail::Tail;
use super::writer::Writer;
use crate::clock::Clock;
use crate::files::Disk;
use crate::statement::{Closed, Draft};
use crate::vault::Vault;

/// How a ledger stands with those outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// Nobody has said yet what they know of it.
    Recovering,
    /// Somebody holds nothing newer and nothing else: it is written to.
    Confirmed,
    /// Somebody holds something newer or else: nothing is written in this process.
    Refused,
}

/// What stands between an opened ledger and the first append.
pub(crate) struct Gate {
    state: AtomicU8,
    waiting: Mutex<Option<Box<Waiting>>>,
}

/// A writer that may not write yet, and how it begins once it may.
pub(crate) struct Waiting {
    pub(crate) writer: Writer,
    pub(crate) segments: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) fatal: Fatal,
    pub(crate) origin: Origin,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Vault,
    /// Where the ledger ends; `None` where it has no segment.
    pub(crate) end: Option<End>,
    pub(crate) torn: Option<TornTailCut>,
    pub(crate) size: u64,
    pub(crate) newest_us: u64,
}

impl Gate {
    /// A new ledger: nobody outside can know of it.
    pub(crate) fn open() -> Self {
        Self {
            state: AtomicU8::new(State::Confirmed as u8),
            waiting: Mutex::new(None),
        }
    }

    /// A ledger that waits to be confirmed.
    pub(crate) fn closed(waiting: Waiting) -> Self {
        Self {
            state: AtomicU8::new(State::Recovering as u8),
            waiting: Mutex::new(Some(Box::new(waiting))),
        }
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.state.load(Ordering::Acquire) == State::Confirmed as u8
    }

    /// Whether anything may be appended.
    pub(crate) fn passes(&self) -> Result<(), AppendError> {
        if self.is_confirmed() {
            Ok(())
        } else {
            Err(AppendError::Recovering)
        }
    }

    /// Nothing that waits is ever written by this process.
    pub(crate) fn refuse(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.store(State::Refused as u8, Ordering::Release);
        *waiting = None;
    }

    /// Writes what was lost, before the writer begins.
    pub(crate) fn take_back(&self, statements: &[Closed]) -> Result<(), ConfirmError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = waiting.as_mut().ok_or(ConfirmError::Refused)?;
        begin.write(statements)?;
        begin.size += statements.len() as u64;
        let newest_us = statements.iter().map(|statement| statement.core().created_us).max();
        begin.newest_us = begin.newest_us.max(newest_us.unwrap_or_default());
        Ok(())
    }

    /// Lets the writer begin, with RESUMED; its thread, where it began now and not before.
    pub(crate) fn pass(&self, by: &str, theirs: u64) -> Result<Option<JoinHandle<()>>, ConfirmError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.load(Ordering::Acquire) == State::Refused as u8 {
            return Err(ConfirmError::Refused);
        }
        let Some(mut begin) = waiting.take() else {
            return Ok(None);
        };
        if let Err(error) = begin.resume(by, theirs) {
            // Whatever is wrong may clear: who confirms next tries again.
            *waiting = Some(begin);
            return Err(error);
        }
        let writer = begin.writer;
        let thread = spawn("jisr-ledger", move || writer.run()).map_err(Box::new)?;
        self.state.store(State::Confirmed as u8, Ordering::Release);
        Ok(Some(thread))
    }
}

impl Waiting {
    /// Begins a new ledger with STARTED, and its writer.
    pub(crate) fn begin(mut self, started: &Started) -> Result<JoinHandle<()>, OpenError> {
        let now_us = self.clock.now_us();
        let first = draft(&self.origin, Kind::Started, now_us).act(started).close();
        self.commit(&[first])?;
        let writer = self.writer;
        spawn("jisr-ledger", move || writer.run())
    }

    /// Cuts what was torn and says so, with who confirmed, in one commit.
    fn resume(&mut self, by: &str, theirs: u64) -> Result<(), ConfirmError> {
        let statements = self.statements(by, theirs);
        self.write(&statements)
    }

    fn write(&mut self, statements: &[Closed]) -> Result<(), ConfirmError> {
        match self.commit(statements) {
            Err(OpenError::Fatal(error)) => {
                self.fatal.call(&error);
                Err(ConfirmError::Fatal)
            }
            Err(error) => Err(Box::new(error).into()),
            Ok(()) => Ok(()),
        }
    }

    /// The first commit of the process.
    fn commit(&mut self, statements: &[Closed]) -> Result<(), OpenError> {
        if let (None, Some(end)) = (&self.writer.tail, &self.end) {
            let tail = Tail::take_up(&*self.disk, &self.segments, self.segment_bytes, end)?;
            self.writer.tail = Some(tail);
        }
        let (job, mut landed) = Job::statements(statements, &self.vault)?.awaited();
        self.writer.commit(vec![job])?;
        landed.try_recv().map_err(|_| AppendError::Stopped)??;
        Ok(())
    }

    fn statements(&self, by: &str, theirs: u64) -> Vec<Closed> {
        let now_us = self.clock.now_us().max(self.newest_us);
        let resumed = Resumed {
            size: self.size,
            program: env!("CARGO_PKG_VERSION").into(),
            confirmed_by: by.to_owned(),
            confirmed_size: theirs,
        };
        let resumed = draft(&self.origin, Kind::Resumed, now_us).act(&resumed);
        let cut = self.torn.as_ref();
        let cut = cut.map(|torn| draft(&self.origin, Kind::TornTailCut, now_us).act(torn));
        std::iter::once(resumed).chain(cut).map(Draft::close).collect()
    }
}

/// An act of the ledger itself.
fn draft(origin: &Origin, kind: Kind, now_us: u64) -> Draft {
    Draft::new(Core {
        kind: kind.into(),
        instance: origin.instance().to_string(),
        created_us: now_us,
        ..Core::default()
    })
}
