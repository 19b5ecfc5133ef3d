//! Numbers the operator sees.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sets the number.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a node counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Exchanges in flight, both sides.
    pub open: Counter,
    /// Closed as ANSWERED or DELIVERED.
    pub answered: Counter,
    /// Closed as REFUSED, or refused without a statement.
    pub refused: Counter,
    /// Closed in any other way.
    pub failed: Counter,
    /// 1 while the registry's stream is up.
    pub registry_connected: Counter,
    /// Instant of the newest cosignature over the own ledger, microseconds.
    pub cosigned_us: Counter,
}
