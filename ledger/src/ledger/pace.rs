//! When the writer waits for more callers before it writes.
//!
//! Callers that append again as soon as they are told fall into two halves: one waits while the other is written. Where a
//! write takes long it pays to wait a little for those who were just told, and to write all of them at once.

use std::time::Duration;

use super::queue::Queue;

/// Below this a write is cheaper than waiting.
const WRITE_LEAST: Duration = Duration::from_micros(500);

/// Callers for whom it does not pay.
const FEW: usize = 16;

/// Of the time that a write takes, this part is waited at most.
const PART: u32 = 3;

/// After they did not come back, so many commits are not waited for; twice as many each time, up to the limit.
const SKIPPED: u32 = 8;
const SKIPPED_MAX: u32 = 1024;

/// How the writes go, and whether it paid to wait.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// What a write takes, smoothed.
    write: Duration,
    /// Callers that the last commit told.
    served: usize,
    /// Commits that are not waited for before it is tried again, and how many the last failure cost.
    skip: u32,
    skipped: u32,
}

impl Pace {
    /// A write for so many callers took so long.
    pub(crate) fn wrote(&mut self, took: Duration, served: usize) {
        self.write = (self.write * 7 + took) / 8;
        self.served = served;
    }

    /// Waits for those who were just told, where that pays.
    pub(crate) fn gather(&mut self, queue: &Queue) {
        let served = std::mem::take(&mut self.served);
        let waiting = queue.urgent();
        if self.write < WRITE_LEAST || served < FEW || waiting == 0 {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        // Most of them will do: some always end, or have something else to do first.
        let most = waiting + served * 3 / 4;
        if queue.gather(most, self.write / PART) || queue.urgent() >= waiting + served / 2 {
            self.skipped = 0;
        } else {
            self.skipped = (self.skipped * 2).clamp(SKIPPED, SKIPPED_MAX);
            self.skip = self.skipped;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::job::Job;
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn callers(queue: &Arc<Queue>, count: usize) {
        for _ in 0..count {
            // Whoever dropped the other end is still counted.
            queue.push(Job::default().awaited().0).unwrap();
        }
    }

    #[test]
    fn who_waits_for_callers_goes_on_as_soon_as_they_are_there() {
        let queue = Arc::new(Queue::new(1 << 20, 1000));
        callers(&queue, 50);
        let others = Arc::clone(&queue);
        let begun = Instant::now();
        let back = std::thread::spawn(move || callers(&others, 80));
        assert!(queue.gather(125, LONG));
        assert!(begun.elapsed() < LONG);
        back.join().unwrap();
        assert!(!queue.gather(131, Duration::from_millis(1)), "nobody comes any more");
    }

    #[test]
    fn nobody_waits_on_a_fast_disk_or_for_a_few_or_who_stayed_away() {
        let queue = Arc::new(Queue::new(1 << 20, 1000));
        callers(&queue, 20);
        let begun = Instant::now();
        for (took, served) in [(WRITE_LEAST, 100), (LONG, FEW - 1), (LONG, 0)] {
            let mut pace = Pace::default();
            pace.wrote(took, served);
            pace.gather(&queue);
        }
        let mut pace = Pace::default();
        for _ in 0..=SKIPPED {
            pace.write = WRITE_LEAST * 2;
            pace.served = 100;
            pace.gather(&queue);
        }
        assert!(begun.elapsed() < LONG / 4, "only one of these waited, and not for long");
        assert_eq!((pace.skip, pace.skipped), (0, SKIPPED));
    }
}
