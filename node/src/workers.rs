//! Worker threads: each runs a single-threaded runtime and serves the connections it was handed.
//!
//! Several single-threaded runtimes beat one work-stealing runtime by far on this path: nothing migrates, and a commit
//! wakes tasks where their connections live.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

/// Upper bound of worker indexes; index 0 is any thread that is no worker.
pub(crate) const THREADS_MAX: usize = 257;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// Index of the worker that runs the calling task; 0 elsewhere.
pub(crate) fn current_index() -> usize {
    INDEX.get()
}

/// Spawns the tasks of HTTP/2 connections. Those hold whole requests in the making, some kilobytes each; in a box they are not
/// copied each time the runtime hands them on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoxedTasks;

impl<F> hyper::rt::Executor<F> for BoxedTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(tokio::spawn(Box::pin(task)));
    }
}

/// What a worker runs: makes a future on the worker's own thread.
type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The worker threads of a node.
pub(crate) struct Workers {
    queues: Vec<mpsc::UnboundedSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    next: AtomicUsize,
    stop: watch::Sender<bool>,
}

impl Workers {
    /// Starts `count` threads.
    pub(crate) fn start(count: usize) -> std::io::Result<Workers> {
        let stop = watch::Sender::new(false);
        let mut queues = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for index in 1..=count.clamp(1, THREADS_MAX - 1) {
            let (queue, jobs) = mpsc::unbounded_channel();
            let stopped = stop.subscribe();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new()
                .name(format!("jisr-worker-{index}"))
                .spawn(move || {
                    INDEX.set(index);
                    runtime.block_on(serve(jobs, stopped));
                })?;
            queues.push(queue);
            threads.push(thread);
        }
        Ok(Workers {
            queues,
            threads,
            next: AtomicUsize::new(0),
            stop,
        })
    }

    /// Runs a job on the next worker in turn. The number of jobs is bounded by whoever accepts connections.
    pub(crate) fn run<F, R>(&self, job: F)
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1);
        let job: Job = Box::new(move || Box::pin(job()));
        if let Some(queue) = self.queues.get(turn)
            && queue.send(job).is_err()
        {
            tracing::error!("a worker thread is gone; its connection is dropped");
        }
    }

    /// Ends the threads once their jobs are done or dropped.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        drop(self.queues);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

async fn serve(mut jobs: mpsc::UnboundedReceiver<Job>, mut stopped: watch::Receiver<bool>) {
    // A commit wakes each worker once, however many of its exchanges wait for it.
    drop(tokio::spawn(jisr_ledger::ledger::tell_together()));
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => drop(tokio::spawn(job())),
                None => return,
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}
