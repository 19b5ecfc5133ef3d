//! The desk: the one task that changes the registry's state.
//!
//! Whoever wants an act submits a check. The desk asks it, with the state as it then is, appends the act, and applies it
//! when it is durable. Acts that wait together share the snapshot that shows them; nobody is answered before it is
//! published. While the registry may seal nothing everything is refused. Because the work is the desk's own, a caller who hangs up leaves nothing half done.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jisr_proto::reason::Reason;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior};

use crate::book::{Book, Failed};
use crate::error::Error;
use crate::refusal::Refusal;
use crate::snapshot::Published;
use crate::standing::Stand;
use crate::state::{Act, State};

/// Acts that may wait; beyond it callers wait for a place.
const QUEUE: usize = 256;
/// Acts that may share one snapshot.
const BATCH: usize = 64;

/// Wait before a snapshot that could not be published is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What came of a submitted act.
#[derive(Debug)]
pub(crate) struct Done<R> {
    /// What the check returned.
    pub(crate) value: R,
    /// A snapshot that shows the act, or the newest one where the act does not show.
    pub(crate) snapshot: Published,
}

/// A way to the desk. Cheap to clone; the clerk ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Desk {
    jobs: mpsc::Sender<Box<dyn Job>>,
    state: Arc<RwLock<State>>,
    published: watch::Receiver<Published>,
}

impl Desk {
    /// Looks at the state as it is now.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&State) -> R) -> R {
        at(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest snapshot, and word of each new one.
    pub(crate) fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// The newest snapshot.
    pub(crate) fn newest(&self) -> Published {
        self.published.borrow().clone()
    }

    /// Asks for an act: `check` sees the state and the time of the entry, and returns the act and what the caller wants
    /// to have of it. Resolves when the act is durable, applied and published.
    ///
    /// # Errors
    /// What the check or the state's rules refuse; LEDGER_UNAVAILABLE when the registry is stopping.
    pub(crate) async fn submit<R, F>(&self, check: F) -> Result<Done<R>, Refusal>
    where
        R: Send + 'static,
        F: FnOnce(&State, u64) -> Result<(Act, R), Refusal> + Send + 'static,
    {
        let stopping = || {
            Refusal::new(
                Reason::LedgerUnavailable,
                "the registry is stopping or cannot write its ledger",
            )
        };
        let (reply, answer) = oneshot::channel();
        let job = Submitted {
            check: Some(check),
            value: None,
            reply,
        };
        self.jobs.send(Box::new(job)).await.map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}

/// A submitted act, whatever its check returns.
trait Job: Send {
    fn check(&mut self, state: &State, at_us: u64) -> Result<Act, Refusal>;
    fn refuse(self: Box<Self>, refusal: Refusal);
    fn finish(self: Box<Self>, snapshot: Published);
}

struct Submitted<R, F> {
    check: Option<F>,
    value: Option<R>,
    reply: oneshot::Sender<Result<Done<R>, Refusal>>,
}

impl<R, F> Job for Submitted<R, F>
where
    R: Send + 'static,
    F: FnOnce(&State, u64) -> Result<(Act, R), Refusal> + Send + 'static,
{
    fn check(&mut self, state: &State, at_us: u64) -> Result<Act, Refusal> {
        let check = self.check.take().expect("the clerk checks a job once");
        let (act, value) = check(state, at_us)?;
        state.check(&act, at_us)?;
        self.value = Some(value);
        Ok(act)
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        // A caller who hung up needs no answer.
        let _ = self.reply.send(Err(refusal));
    }

    fn finish(self: Box<Self>, snapshot: Published) {
        let value = self.value.expect("the clerk finishes a job that it checked");
        let _ = self.reply.send(Ok(Done { value, snapshot }));
    }
}

/// The task behind the desk.
pub(crate) struct Clerk {
    book: Book,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    published: watch::Sender<Published>,
    stand: watch::Receiver<Stand>,
    refresh: Interval,
}

/// Opens the desk, with a first snapshot of the state; where nothing may be sealed yet, with the one that was kept. The caller
/// runs the clerk.
///
/// # Errors
/// [`Error::Ledger`].
pub(crate) async fn open(
    mut book: Book,
    refresh: Duration,
    stand: watch::Receiver<Stand>,
    kept: Option<Published>,
) -> Result<(Desk, Clerk), Error> {
    let running = *stand.borrow() == Stand::Running;
    let first = if running {
        book.publish().await.map_err(|failed| match failed {
            Failed::Refused(refusal) => Error::Ledger(refusal.to_string()),
            Failed::Fatal(error) => error,
        })?
    } else {
        kept.unwrap_or_else(Published::none)
    };
    let (jobs, waiting) = mpsc::channel(QUEUE);
    let (published, watched) = watch::channel(first);
    let desk = Desk {
        jobs,
        state: Arc::clone(&book.state),
        published: watched,
    };
    let mut refresh = tokio::time::interval(refresh);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    refresh.reset();
    Ok((
        desk,
        Clerk {
            book,
            jobs: waiting,
            published,
            stand,
            refresh,
        },
    ))
}

impl Clerk {
    /// Works until `last` says true or every [`Desk`] is dropped, and what was submitted until then is done.
    ///
    /// # Errors
    /// [`Error::Ledger`] and [`Error::State`]: the ledger's state is unknown, the process must end.
    pub(crate) async fn run(mut self, mut last: watch::Receiver<bool>) -> Result<(), Error> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let running = *self.stand.borrow_and_update() == Stand::Running;
            let found = tokio::select! {
                biased;
                _ = last.wait_for(|last| *last), if !self.jobs.is_closed() => {
                    // What is in the queue is still done; then it reads as empty and closed.
                    self.jobs.close();
                    continue;
                }
                // Confirmed: what nodes wait for is a fresh snapshot. Its sender lives as long as the office.
                Ok(()) = self.stand.changed() => None,
                found = self.jobs.recv_many(&mut batch, BATCH) => Some(found),
                _ = self.refresh.tick(), if running => None,
            };
            match found {
                Some(0) => return Ok(()),
                Some(_) => self.work(&mut batch).await?,
                None => self.refresh().await?,
            }
        }
    }

    async fn work(&mut self, batch: &mut Vec<Box<dyn Job>>) -> Result<(), Error> {
        if let Err(refusal) = self.admits() {
            batch.drain(..).for_each(|job| job.refuse(refusal.clone()));
            return Ok(());
        }
        let mut done = Vec::with_capacity(batch.len());
        let mut shows = false;
        for mut job in batch.drain(..) {
            let at_us = self.book.time_us();
            let act = match self.book.look(|state| job.check(state, at_us)) {
                Ok(act) => act,
                Err(refusal) => {
                    job.refuse(refusal);
                    continue;
                }
            };
            match self.book.append(&act, at_us).await {
                Ok(_) => {
                    shows |= act.changes_snapshot();
                    done.push(job);
                }
                Err(Failed::Refused(refusal)) => job.refuse(refusal),
                Err(Failed::Fatal(error)) => return Err(error),
            }
        }
        let unshown = if shows { self.publish().await? } else { None };
        let newest = self.published.borrow().clone();
        for job in done {
            match &unshown {
                None => job.finish(newest.clone()),
                Some(refusal) => job.refuse(refusal.clone()),
            }
        }
        Ok(())
    }

    fn admits(&self) -> Result<(), Refusal> {
        self.stand.borrow().admits()
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        if self.admits().is_err() {
            return Ok(());
        }
        if let Some(refusal) = self.publish().await? {
            tracing::error!(%refusal, "no new snapshot could be published; the last one expires in time");
        }
        Ok(())
    }

    /// Publishes; returns why that must wait for the next time, where the ledger takes nothing now.
    async fn publish(&mut self) -> Result<Option<Refusal>, Error> {
        self.refresh.reset();
        match self.book.publish().await {
            Ok(snapshot) => {
                self.published.send_replace(snapshot);
                Ok(None)
            }
            Err(Failed::Refused(refusal)) => {
                // It may be a revocation that waits to be shown.
                self.refresh.reset_after(AGAIN);
                let rule = format!(
                    "it is recorded, but the snapshot that shows it could not be published yet: {}",
                    refusal.detail
                );
                Ok(Some(Refusal::new(refusal.reason, rule)))
            }
            Err(Failed::Fatal(error)) => Err(error),
        }
    }
}
