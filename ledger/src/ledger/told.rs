//! Statements that nobody waits for, but whose place somebody wants to know later.

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::Ledger;
use super::error::AppendError;
use super::waiter::Landed;
use crate::statement::Closed;

/// Asks where a statement stands that was appended without hurry.
#[derive(Debug)]
pub struct Told(oneshot::Receiver<Landed>);

impl Told {
    /// Index of its leaf; `None` while it is not durable. Not to be asked again once it was told.
    ///
    /// # Errors
    /// [`AppendError`]: it was refused, or the ledger stopped before.
    pub fn index(&mut self) -> Result<Option<u64>, AppendError> {
        match self.0.try_recv() {
            Ok(landed) => landed.map(|(_, index)| Some(index)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Closed) => Err(AppendError::Stopped),
        }
    }
}

impl Ledger {
    /// Appends a statement with the next commit, at most 5 ms later, as [`Ledger::append_later`] does, and lets the caller ask
    /// later where it stands.
    ///
    /// # Errors
    /// As [`Ledger::append_later`].
    pub fn append_told(&self, statement: &Closed) -> Result<Told, AppendError> {
        let (job, landed) = self.job(std::slice::from_ref(statement))?.patient();
        self.0.queue.push(job)?;
        Ok(Told(landed))
    }
}
