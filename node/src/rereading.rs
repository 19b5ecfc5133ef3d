//! Reads the own ledger again, one segment after the other, so that what the disk lost or somebody altered is found while there is
//! still a mirror to bring it back from, and not on the day somebody asks for it.
//!
//! Which segment comes next, and when, stands in the file `reread` of the data directory. Where that is lost, reading begins with the
//! first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jisr_ledger::ledger::Damage;

use crate::closets::Closets;
use crate::doors::Stopped;

/// Bytes between two rests.
const SLICE_BYTES: u64 = 1 << 18;
/// Bytes that are read in a second, at most.
const RATE: u64 = 8 << 20;
/// Longest time between two looks at whether a segment is due.
const LOOK: Duration = Duration::from_secs(60);

/// What reading again has found.
#[derive(Debug, Default)]
pub(crate) struct Rereading {
    /// Segments that did not hold when they were last read, and why.
    damaged: Mutex<BTreeMap<u64, String>>,
    /// When the last segment was last read, microseconds; 0: not since the start.
    whole_us: AtomicU64,
}

impl Rereading {
    /// What does not hold, a line for each segment.
    pub(crate) fn damaged(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// When the whole ledger had been read the last time, microseconds; 0: not since the start.
    pub(crate) fn whole_us(&self) -> u64 {
        self.whole_us.load(Ordering::Relaxed)
    }

    fn holds(&self, segment: u64) {
        if self.lock().remove(&segment).is_some() {
            tracing::info!(segment, "the segment of the own ledger holds again");
        }
    }

    fn is_damaged(&self, damage: &Damage) {
        let text = damage.to_string();
        if self.lock().insert(damage.place.segment, text.clone()).as_ref() != Some(&text) {
            tracing::error!(
                segment = damage.place.segment,
                offset = damage.place.offset,
                entry = damage.entry,
                "own node: {text}. Its disk, or whoever wrote to it, is at fault. What is sealed from now on is sound; what stood there \
                 is not shown any more. Stop the node and bring the segment back from the mirror (docs/operating.md, A damaged segment)"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which segment is read next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Next {
    segment: u64,
    due_us: u64,
}

impl Next {
    fn parse(text: &str) -> Option<Next> {
        let (segment, due_us) = text.trim_end().split_once(' ')?;
        Some(Next {
            segment: segment.parse().ok()?,
            due_us: due_us.parse().ok()?,
        })
    }

    /// What follows a segment of so many, each of which has its share of the time for all.
    fn after(self, segments: u64, period_us: u64, now_us: u64) -> Next {
        let segment = self.segment + 1;
        Next {
            segment: if segment < segments { segment } else { 0 },
            due_us: now_us.saturating_add(period_us / segments.max(1)),
        }
    }
}

/// Reads each segment when it is due, until `stopped`. A ledger that nobody confirmed is read too.
pub(crate) async fn run(closets: Arc<Closets>, mut stopped: Stopped) {
    let Some(period) = closets.config.reread else {
        return stopped.wait_for(|stop| *stop).await.map_or((), drop);
    };
    let period_us = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
    let path = closets.config.data.join("reread");
    let mut next = load(&path).unwrap_or_default();
    loop {
        // A clock that was set back must not put it off for longer than that.
        let wait_us = next.due_us.saturating_sub(closets.now_us()).min(period_us);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_micros(wait_us).min(LOOK)) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        if wait_us > u64::try_from(LOOK.as_micros()).unwrap_or(u64::MAX) {
            continue;
        }
        let segments = closets.ledger.durable().segment + 1;
        next.segment = if next.segment < segments { next.segment } else { 0 };
        read(&closets, next.segment, stopped.clone()).await;
        if *stopped.borrow() {
            return;
        }
        if next.segment + 1 == segments {
            closets.rereading.whole_us.store(closets.now_us(), Ordering::Relaxed);
        }
        next = next.after(segments, period_us, closets.now_us());
        keep(path.clone(), next).await;
    }
}

async fn read(closets: &Arc<Closets>, segment: u64, stopped: Stopped) {
    let ledger = closets.ledger.clone();
    let mut slice = 0;
    let reading = tokio::task::spawn_blocking(move || {
        ledger.reread(segment, |bytes| {
            slice += bytes;
            if slice >= SLICE_BYTES {
                std::thread::sleep(Duration::from_micros(slice.saturating_mul(1_000_000) / RATE));
                slice = 0;
            }
            !*stopped.borrow()
        })
    });
    match reading.await {
        Ok(Ok(read)) if read.whole => closets.rereading.holds(segment),
        Ok(Err(damage)) => closets.rereading.is_damaged(&damage),
        // It was stopped in the middle, or ended by a defect.
        Ok(Ok(_)) => {}
        Err(error) => tracing::error!(segment, %error, "reading a segment again ended by a defect; report it"),
    }
}

fn load(path: &std::path::Path) -> Option<Next> {
    Next::parse(&std::fs::read_to_string(path).ok()?)
}

/// It need not be durable: where it is lost, more is read than need be.
async fn keep(path: PathBuf, next: Next) {
    let text = format!("{} {}\n", next.segment, next.due_us);
    let written = tokio::task::spawn_blocking(move || std::fs::write(path, text)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "how far the own ledger was read again could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_take_turns_and_share_the_time() {
        let mut next = Next::default();
        let mut turns = Vec::new();
        for _ in 0..5 {
            turns.push(next.segment);
            next = next.after(3, 3_000, 10);
        }
        assert_eq!(turns, [0, 1, 2, 0, 1]);
        assert_eq!(next.due_us, 1_010);
    }

    #[test]
    fn what_was_kept_is_read_and_nothing_else() {
        let next = Next { segment: 7, due_us: 9 };
        assert_eq!(Next::parse("7 9\n"), Some(next));
        for text in ["", "7", "x 9\n", "7 -1\n"] {
            assert_eq!(Next::parse(text), None, "{text:?}");
        }
    }
}
