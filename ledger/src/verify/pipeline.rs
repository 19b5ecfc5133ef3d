//! The way of the frames: one thread reads them, several examine them, one puts them together in order.

use super::{
    LedgerFiles, Stop,
    examine::Examiner,
    item::Examined,
    pass::Pass,
    reading::{Closed, Ended, Event, segments},
};
use crate::frame::{SegmentHeader, Tear};
use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// A batch is handed on once its frames hold so many bytes.
const BATCH_BYTES: usize = 512 * 1024;

/// What comes next, examined.
enum Step {
    Segment(String, u64, SegmentHeader),
    Frame(Examined),
    Torn(Tear),
}

/// Events to be examined, and where to send what was found.
type Task = (Vec<Event>, SyncSender<Vec<Step>>);

/// Reads, examines and takes the whole ledger.
pub(super) fn run(
    files: &mut impl LedgerFiles,
    examiner: &Examiner<'_>,
    pass: &mut Pass<'_>,
    threads: usize,
) -> Result<(), Stop> {
    if threads == 0 {
        return alone(files, examiner, pass);
    }
    let (tasks, waiting) = sync_channel::<Task>(threads * 2);
    let (turns, in_turn) = sync_channel::<Receiver<Vec<Step>>>(threads * 2);
    let waiting = Mutex::new(waiting);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| examine_all(&waiting, examiner));
        }
        let taken = scope.spawn(|| take_all(in_turn, pass));
        let mut batch = Batch {
            tasks,
            turns,
            examiner,
            is_first: true,
            events: Vec::new(),
            bytes: 0,
        };
        let read = segments(files, &mut |event| batch.push(event));
        let sent = batch.send();
        drop(batch);
        // What was read comes before what could not be read.
        taken.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        match read {
            Err(Ended::Stop(stop)) => Err(stop),
            Err(Ended::Closed) => Ok(()),
            Ok(()) => {
                debug_assert!(sent.is_ok(), "whoever takes the frames ends early only with a fault");
                Ok(())
            }
        }
    })
}

fn alone(files: &mut impl LedgerFiles, examiner: &Examiner<'_>, pass: &mut Pass<'_>) -> Result<(), Stop> {
    let mut fault = None;
    let read = segments(files, &mut |event| {
        take(pass, examine(examiner, event)).map_err(|stop| {
            fault = Some(stop);
            Closed
        })
    });
    match (fault, read) {
        (Some(stop), _) | (None, Err(Ended::Stop(stop))) => Err(stop),
        (None, _) => Ok(()),
    }
}

/// Events on their way to whoever examines them.
struct Batch<'a> {
    tasks: SyncSender<Task>,
    turns: SyncSender<Receiver<Vec<Step>>>,
    examiner: &'a Examiner<'a>,
    /// No frame was handed on yet.
    is_first: bool,
    events: Vec<Event>,
    bytes: usize,
}

impl Batch<'_> {
    fn push(&mut self, event: Event) -> Result<(), Closed> {
        if let Event::Frame { body, .. } = &event {
            self.bytes += body.len();
            if std::mem::take(&mut self.is_first) {
                // The first frame says whose ledger it is: whatever follows is examined with that.
                self.events.push(event);
                return self.send_first();
            }
        }
        self.events.push(event);
        if self.bytes < BATCH_BYTES { Ok(()) } else { self.send() }
    }

    fn send_first(&mut self) -> Result<(), Closed> {
        let events = std::mem::take(&mut self.events);
        self.bytes = 0;
        let (found, turn) = sync_channel(1);
        let steps = events.into_iter().map(|event| examine(self.examiner, event)).collect();
        found.send(steps).map_err(|_| Closed)?;
        self.turns.send(turn).map_err(|_| Closed)
    }

    fn send(&mut self) -> Result<(), Closed> {
        if self.events.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.events);
        self.bytes = 0;
        let (found, turn) = sync_channel(1);
        self.turns.send(turn).map_err(|_| Closed)?;
        self.tasks.send((events, found)).map_err(|_| Closed)
    }
}

/// Examines batches until there are no more.
fn examine_all(waiting: &Mutex<Receiver<Task>>, examiner: &Examiner<'_>) {
    loop {
        let task = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((events, found)) = task else { return };
        let steps = events.into_iter().map(|event| examine(examiner, event)).collect();
        // Nobody waits for it any more where a fault was found before.
        let _ = found.send(steps);
    }
}

/// Takes batches in the order in which they were read, up to the first fault.
fn take_all(in_turn: Receiver<Receiver<Vec<Step>>>, pass: &mut Pass<'_>) -> Result<(), Stop> {
    for turn in in_turn {
        // Without an answer, whoever examined it panicked, which ends the verification.
        for step in turn.recv().into_iter().flatten() {
            take(pass, step)?;
        }
    }
    Ok(())
}

fn examine(examiner: &Examiner<'_>, event: Event) -> Step {
    match event {
        Event::Segment { name, number, header } => Step::Segment(name, number, header),
        Event::Frame { offset, body } => Step::Frame(examiner.frame(offset, &body)),
        Event::Torn(tear) => Step::Torn(tear),
    }
}

fn take(pass: &mut Pass<'_>, step: Step) -> Result<(), Stop> {
    match step {
        Step::Segment(name, number, header) => {
            pass.segment_named(name);
            pass.segment(number, header)?;
        }
        Step::Frame(examined) => pass.frame(examined)?,
        Step::Torn(tear) => pass.torn(tear),
    }
    Ok(())
}
