//! What waits to be written. Bounded in bytes and calls; the writer takes all that waits at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::AppendError;
use super::job::Job;
use super::waiter;

/// How long something that nobody waits for may lie.
const LATER: Duration = Duration::from_millis(5);

/// When what could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// When so many wait, a sleeping writer is woken at once.
const START_AT: usize = 16;

/// How long the writer watches for the next job before it sleeps, where the last came so soon: to be woken costs both sides
/// about as much again as a small write does.
const WATCH: Duration = Duration::from_micros(100);

/// What the writer finds.
pub(crate) enum Taken {
    /// Work for one commit.
    Jobs(Vec<Job>),
    /// Nothing came for the idle time.
    Idle,
    /// Nothing will come any more.
    Closed,
}

/// The queue between callers and the writer.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Something that somebody waits for came while the writer watched.
    came: AtomicBool,
    bytes_max: usize,
    items_max: usize,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Jobs that somebody waits for.
    urgent: usize,
    /// When what nobody waits for must be written.
    later: Option<Instant>,
    /// The writer sleeps; until when, unless it is woken.
    asleep: Option<Sleep>,
    /// The last job that somebody waits for was the only one, and came soon after the writer had nothing to do.
    is_alone: bool,
    /// A thread wakes it as soon as what is ready there has run.
    deferred: bool,
    state: State,
}

#[derive(Clone, Copy)]
struct Sleep {
    since: Instant,
    until: Option<Instant>,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// What is in the queue is still written.
    Closing,
    /// Nothing is written any more.
    Stopped,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, items_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            changed: Condvar::new(),
            came: AtomicBool::new(false),
            bytes_max,
            items_max,
        }
    }

    /// Puts a job at the end. Wakes the writer only if it sleeps and would sleep too long, and on a thread with a desk only
    /// when what is ready there has run, or when much waits.
    pub(crate) fn push(self: &Arc<Self>, job: Job) -> Result<(), AppendError> {
        let mut inner = self.lock();
        if inner.state != State::Open {
            return Err(AppendError::Stopped);
        }
        let bytes = inner.bytes.saturating_add(job.bytes());
        if bytes > self.bytes_max || inner.jobs.len() >= self.items_max {
            return Err(AppendError::Overloaded);
        }
        inner.bytes = bytes;
        let due = if job.is_awaited() {
            inner.urgent += 1;
            self.came.store(true, Ordering::Release);
            None
        } else {
            Some(*inner.later.get_or_insert_with(|| Instant::now() + LATER))
        };
        inner.jobs.push_back(job);
        if let (None, Some(sleep)) = (due, inner.asleep) {
            inner.is_alone = sleep.since.elapsed() < WATCH;
        }
        let wake = inner.asleep.is_some_and(|sleep| match (due, sleep.until) {
            (Some(due), Some(until)) => until > due,
            _ => true,
        });
        if !wake {
            return Ok(());
        }
        if (1..START_AT).contains(&inner.urgent) && (inner.deferred || waiter::has_desk()) {
            let first = !std::mem::replace(&mut inner.deferred, true);
            drop(inner);
            if first {
                waiter::wake_soon(Arc::clone(self));
            }
        } else {
            self.wake(&mut inner);
        }
        Ok(())
    }

    /// Wakes the writer after what was ready on some thread has run.
    pub(crate) fn wake_deferred(&self) {
        let mut inner = self.lock();
        inner.deferred = false;
        if inner.asleep.is_some() && inner.urgent > 0 {
            self.wake(&mut inner);
        }
    }

    fn wake(&self, inner: &mut Inner) {
        inner.asleep = None;
        self.changed.notify_one();
    }

    /// Waits for work. At most `bytes_max` bytes are taken, but at least one job. `idle`: tell when nothing came for so long.
    pub(crate) fn take(&self, bytes_max: usize, idle: Option<Duration>) -> Taken {
        let begun = Instant::now();
        let idle_at = idle.map(|idle| begun + idle);
        let mut inner = self.lock();
        if inner.urgent == 0 && inner.is_alone && inner.state == State::Open {
            inner = self.watch(inner, begun);
        }
        loop {
            let closing = inner.state != State::Open;
            let later = inner.later;
            if inner.urgent > 0 || (closing && !inner.jobs.is_empty()) || later.is_some_and(|at| at <= Instant::now()) {
                return Taken::Jobs(inner.drain(bytes_max));
            }
            if closing {
                return Taken::Closed;
            }
            let until = match (later, idle_at) {
                (Some(later), _) => Some(later),
                // Short naps while the ledger is in use: who comes with something for later need not wake the writer.
                (None, Some(idle_at)) if idle_at <= Instant::now() => return Taken::Idle,
                (None, Some(idle_at)) => Some(idle_at.min(Instant::now() + LATER)),
                (None, None) => None,
            };
            inner.asleep = Some(Sleep { since: begun, until });
            inner = self.sleep(inner, until);
            inner.asleep = None;
        }
    }

    /// Looks for a job of the one caller there is, who asks again as soon as it is told. Nobody has to wake the writer then.
    fn watch<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, begun: Instant) -> MutexGuard<'a, Inner> {
        self.came.store(false, Ordering::Relaxed);
        drop(inner);
        while !self.came.load(Ordering::Acquire) && begun.elapsed() < WATCH {
            // Whoever else has work for this core goes first.
            std::thread::yield_now();
        }
        inner = self.lock();
        inner.is_alone = inner.urgent > 0;
        inner
    }

    fn sleep<'a>(&self, inner: MutexGuard<'a, Inner>, until: Option<Instant>) -> MutexGuard<'a, Inner> {
        match until {
            None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.changed
                    .wait_timeout(inner, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    /// Puts back, in front, what nobody waits for and could not be written: it is tried again in a while. Where the queue is
    /// closing there is no later, and it is lost.
    pub(crate) fn put_back(&self, jobs: Vec<Job>) {
        let mut inner = self.lock();
        if jobs.is_empty() || inner.state != State::Open {
            return;
        }
        for job in jobs.into_iter().rev() {
            inner.bytes = inner.bytes.saturating_add(job.bytes());
            inner.jobs.push_front(job);
        }
        inner.later = Some(Instant::now() + AGAIN);
    }

    /// Lets nothing more in; what is there is still written.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        if inner.state == State::Open {
            inner.state = State::Closing;
        }
        self.changed.notify_one();
    }

    /// Lets nothing more in and drops what is there: whoever waits learns that the ledger stopped.
    pub(crate) fn stop(&self) {
        let dropped = {
            let mut inner = self.lock();
            inner.state = State::Stopped;
            inner.drain(usize::MAX)
        };
        for job in dropped {
            job.refuse(&AppendError::Stopped);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn drain(&mut self, bytes_max: usize) -> Vec<Job> {
        let mut taken = Vec::with_capacity(self.jobs.len());
        let mut bytes = 0usize;
        while let Some(job) = self.jobs.front() {
            let with = bytes.saturating_add(job.bytes());
            if with > bytes_max && !taken.is_empty() {
                break;
            }
            bytes = with;
            taken.extend(self.jobs.pop_front());
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_alone &= taken.iter().filter(|job| job.is_awaited()).count() <= 1;
        self.urgent = self.jobs.iter().filter(|job| job.is_awaited()).count();
        // What stays behind is next in turn.
        self.later = (!self.jobs.is_empty()).then(Instant::now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One caller that asks again as soon as it was served, and now and then later, loses nothing: whether the writer watches
    /// for the next job or sleeps.
    #[test]
    fn a_lone_caller_is_served_however_soon_it_asks_again() {
        let queue = Arc::new(Queue::new(1 << 20, 100));
        let served = Arc::clone(&queue);
        let writer = std::thread::spawn(move || {
            let mut served_jobs = 0;
            while let Taken::Jobs(jobs) = served.take(1 << 20, None) {
                served_jobs += jobs.len();
                jobs.into_iter().for_each(|job| job.refuse(&AppendError::Full));
            }
            served_jobs
        });
        for asked in 0..500 {
            let (job, landed) = Job::default().awaited();
            queue.push(job).unwrap();
            assert!(matches!(landed.blocking_recv(), Ok(Err(AppendError::Full))));
            if asked % 100 == 99 {
                std::thread::sleep(WATCH * 3);
            }
        }
        queue.close();
        assert_eq!(writer.join().unwrap(), 500);
    }

    #[test]
    fn the_writer_watches_for_one_caller_only() {
        let queue = Arc::new(Queue::new(1 << 20, 100));
        queue.lock().is_alone = true;
        let (first, _) = Job::default().awaited();
        queue.push(first).unwrap();
        assert!(matches!(queue.take(1 << 20, None), Taken::Jobs(_)));
        assert!(queue.lock().is_alone);
        for job in [Job::default().awaited().0, Job::default().awaited().0] {
            queue.push(job).unwrap();
        }
        assert!(matches!(queue.take(1 << 20, None), Taken::Jobs(_)));
        assert!(!queue.lock().is_alone);
    }
}
