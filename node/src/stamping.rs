//! The closet of time-stamps: has the own checkpoints stamped by the authorities that the configuration names (RFC 3161), and what was
//! stamped long ago stamped again. Never on the path of an exchange: an authority that is away is asked again later, and status says so.

mod asking;
mod rounds;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use asking::Way;
pub(crate) use asking::ask;
pub(crate) use rounds::stamp;

/// What is known of the own time-stamps.
#[derive(Debug, Default)]
pub(crate) struct Stamping {
    inner: Mutex<Stamps>,
}

/// The newest time-stamp, and what is wrong.
#[derive(Debug, Default, Clone)]
pub(crate) struct Stamps {
    /// Entries of the ledger under the newest.
    pub(crate) size: u64,
    /// When that was, by the authority's word, microseconds; 0: there is none.
    pub(crate) time_us: u64,
    /// Who says so.
    pub(crate) authority: String,
    /// Which authorities do not answer, and why; empty where all do.
    pub(crate) error: String,
}

impl Stamping {
    pub(crate) fn status(&self) -> Stamps {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Stamps> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
