//! Knowing that a caller has gone away.

use tokio::sync::watch;

/// Held by whoever serves the caller; dropping it cancels.
#[derive(Debug)]
pub(crate) struct Guard {
    _present: watch::Sender<()>,
}

/// Held by whoever works for the caller.
#[derive(Debug, Clone)]
pub(crate) struct Cancelled(watch::Receiver<()>);

impl Cancelled {
    /// Both ends.
    pub(crate) fn pair() -> (Guard, Cancelled) {
        let (present, gone) = watch::channel(());
        (Guard { _present: present }, Cancelled(gone))
    }

    /// Whether the guard is dropped.
    pub(crate) fn gone(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Returns once the guard is dropped.
    pub(crate) async fn wait(&self) {
        // Nothing is ever sent: the only change is the end.
        while self.0.clone().changed().await.is_ok() {}
    }
}
