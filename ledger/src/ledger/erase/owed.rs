//! ERASED statements that may not be carried out wholly.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Indexes of the ERASED that a start read, until it is known that what they name is erased. Nothing but the ledger itself is
/// needed to find them, so `index/` may be lost at any moment.
#[derive(Default)]
pub(crate) struct Owed(Mutex<BTreeSet<u64>>);

impl Owed {
    pub(crate) fn new(read: Vec<u64>) -> Self {
        Self(Mutex::new(read.into_iter().collect()))
    }

    pub(crate) fn is_any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// By index.
    pub(super) fn all(&self) -> Vec<u64> {
        self.lock().iter().copied().collect()
    }

    /// What this one names is erased.
    pub(super) fn paid(&self, index: u64) {
        self.lock().remove(&index);
    }

    /// All is.
    pub(super) fn settle(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
