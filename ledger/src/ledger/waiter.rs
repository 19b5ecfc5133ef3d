//! Who waits for a commit, and how they are told.
//!
//! To wake a task from another thread costs a system call each time. So the threads that run many exchanges each hold a
//! [`Desk`]: the writer hands it all that its thread is to be told of a commit at once, and it tells them there. An idle
//! writer is woken by it too, when all that was ready to run on the thread has run: one commit then holds what all of it
//! appended.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::commit::Commit;
use super::error::AppendError;
use super::queue::Queue;

/// What the caller is told: the commit, and the index of its first statement.
pub(crate) type Landed = Result<(Arc<Commit>, u64), AppendError>;

type Desk = mpsc::UnboundedSender<Errand>;

/// What a desk is for: dropping it does it, so that nothing is lost with a desk that is closed.
#[derive(Debug)]
enum Errand {
    Tell(Told),
    Wake(Wake),
}

impl Errand {
    fn run(self) {
        match self {
            Self::Tell(told) => drop(told),
            Self::Wake(wake) => drop(wake),
        }
    }
}

/// Wakes the writer when dropped.
struct Wake(Arc<Queue>);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.wake_deferred();
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// One caller that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    sender: oneshot::Sender<Landed>,
    /// The desk of its thread, if that has one.
    desk: Option<Desk>,
}

impl Waiter {
    /// A waiter on the calling thread.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Landed>) {
        let (sender, receiver) = oneshot::channel();
        let desk = DESK.with_borrow(Clone::clone);
        (Self { sender, desk }, receiver)
    }

    /// One that looks now and then and need not be woken.
    pub(crate) fn without_desk() -> (Self, oneshot::Receiver<Landed>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, desk: None }, receiver)
    }

    /// Tells it at once.
    pub(crate) fn tell(self, landed: Landed) {
        // A caller that went away does not want to know.
        let _ = self.sender.send(landed);
    }
}

/// Callers of one thread and what each is told, when this is dropped.
#[derive(Debug, Default)]
struct Told(Vec<(Waiter, Landed)>);

impl Drop for Told {
    fn drop(&mut self) {
        for (waiter, landed) in self.0.drain(..) {
            waiter.tell(landed);
        }
    }
}

/// All that a commit has to tell, by desk.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    desks: Vec<(Desk, Told)>,
}

impl Telling {
    /// Tells a waiter without a desk at once, and others with [`Telling::hand_over`].
    pub(crate) fn tell(&mut self, mut waiter: Waiter, landed: Landed) {
        let Some(desk) = waiter.desk.take() else {
            return waiter.tell(landed);
        };
        match self.desks.iter_mut().find(|(known, _)| known.same_channel(&desk)) {
            Some((_, told)) => told.0.push((waiter, landed)),
            None => self.desks.push((desk, Told(vec![(waiter, landed)]))),
        }
    }

    /// Hands each desk what its thread is told.
    pub(crate) fn hand_over(self) {
        for (desk, told) in self.desks {
            let _ = desk.send(Errand::Tell(told));
        }
    }
}

/// Whether the calling thread has a desk.
pub(crate) fn has_desk() -> bool {
    DESK.with_borrow(Option::is_some)
}

/// Wakes the writer of this queue after what is ready on this thread; at once where the thread has no desk.
pub(crate) fn wake_soon(queue: Arc<Queue>) {
    let desk = DESK.with_borrow(Clone::clone);
    let wake = Wake(queue);
    if let Some(desk) = desk {
        let _ = desk.send(Errand::Wake(wake));
    }
}

/// Opens a desk for the calling thread. As long as the future is polled, on this same thread, whoever appends from this
/// thread is told of a commit by it, all with one wake-up. The future never ends; dropping it closes the desk. To be spawned
/// on single-threaded runtimes only.
pub fn tell_together() -> impl Future<Output = ()> + Send {
    let (desk, mut errands) = mpsc::unbounded_channel();
    DESK.set(Some(desk));
    async move {
        while let Some(errand) = errands.recv().await {
            Errand::run(errand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::Job;
    use super::super::queue::Taken;
    use super::*;

    fn tell_from_elsewhere(waiters: Vec<Waiter>) {
        std::thread::spawn(|| {
            let mut telling = Telling::default();
            for waiter in waiters {
                telling.tell(waiter, Err(AppendError::Full));
            }
            telling.hand_over();
        })
        .join()
        .unwrap();
    }

    async fn all_are_told(receivers: Vec<oneshot::Receiver<Landed>>) {
        for receiver in receivers.into_iter().rev() {
            assert!(matches!(receiver.await, Ok(Err(AppendError::Full))));
        }
    }

    #[tokio::test]
    async fn a_desk_tells_all_of_its_thread() {
        let (before, first) = Waiter::new();
        let desk = tokio::spawn(tell_together());
        let (waiters, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| Waiter::new()).unzip();
        tell_from_elsewhere([before].into_iter().chain(waiters).collect());
        all_are_told([first].into_iter().chain(receivers).collect()).await;
        desk.abort();
    }

    #[tokio::test]
    async fn a_desk_that_is_dropped_loses_nobody() {
        for handed_before in [true, false] {
            let desk = tell_together();
            let (waiters, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| Waiter::new()).unzip();
            if handed_before {
                tell_from_elsewhere(waiters);
                drop(desk);
            } else {
                drop(desk);
                tell_from_elsewhere(waiters);
            }
            all_are_told(receivers).await;
        }
    }

    #[test]
    fn a_sleeping_writer_is_woken_whatever_becomes_of_the_desk() {
        for dropped_first in [true, false] {
            let queue = Arc::new(Queue::new(1 << 20, 100));
            let (writers, desk) = (Arc::clone(&queue), tell_together());
            let writer = std::thread::spawn(move || matches!(writers.take(1 << 20, None), Taken::Jobs(_)));
            let desk = (!dropped_first).then_some(desk);
            let (job, _landed) = Job::default().awaited();
            queue.push(job).unwrap();
            drop(desk);
            assert!(writer.join().unwrap());
        }
    }
}
