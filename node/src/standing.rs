//! The closet that says whether this node takes part: it runs, waits for somebody who confirms its ledger, or is quarantined.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use tokio::sync::{Notify, watch};

const RECOVERING: u8 = 0;
const RUNNING: u8 = 1;
const QUARANTINED: u8 = 2;

/// Somebody outside compared the ledger with what it holds, and it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fits {
    /// Who: a node, or `JO/registry`.
    pub by: String,
    /// Size of the newest checkpoint of this ledger that they hold; 0: none.
    pub size: u64,
    /// That checkpoint, a signed note; empty where none.
    pub note: bytes::Bytes,
}

/// Whether this node takes part.
#[derive(Debug)]
pub(crate) struct Standing {
    state: AtomicU8,
    text: Mutex<String>,
    fits: Mutex<Vec<Fits>>,
    news: Notify,
    running: watch::Sender<bool>,
}

impl Standing {
    /// Waiting for somebody who confirms the ledger.
    pub(crate) fn recovering() -> Standing {
        Standing {
            state: AtomicU8::new(RECOVERING),
            text: Mutex::new(
                "asking the registry and peers whether they know anything newer of this ledger".to_owned(),
            ),
            fits: Mutex::default(),
            news: Notify::new(),
            running: watch::Sender::new(false),
        }
    }

    /// Whether the doors let anything in. One load: this stands before every exchange.
    pub(crate) fn admits(&self) -> Result<(), Fault> {
        match self.state.load(Ordering::Acquire) {
            RUNNING => Ok(()),
            QUARANTINED => Err(Fault::new(Reason::Quarantined, self.text())),
            _ => Err(Fault::new(Reason::Recovering, self.text())),
        }
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self) -> bool {
        self.state.load(Ordering::Acquire) == RUNNING
    }

    /// Whether it is quarantined.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.state.load(Ordering::Acquire) == QUARANTINED
    }

    /// The state's name and why, as the operator reads them.
    pub(crate) fn told(&self) -> (&'static str, String) {
        match self.state.load(Ordering::Acquire) {
            RUNNING => ("RUNNING", String::new()),
            QUARANTINED => ("QUARANTINED", self.text()),
            _ => ("RECOVERING", self.text()),
        }
    }

    /// Says what is waited for.
    pub(crate) fn say(&self, text: String) {
        if self.state.load(Ordering::Acquire) == RECOVERING {
            *self.lock_text() = text;
        }
    }

    /// The ledger is confirmed and what the last run left open is settled. A quarantine stays one.
    pub(crate) fn run(&self) {
        let ran = self
            .state
            .compare_exchange(RECOVERING, RUNNING, Ordering::AcqRel, Ordering::Acquire);
        if ran.is_ok() {
            self.running.send_replace(true);
        }
    }

    /// Resolves once it runs.
    pub(crate) async fn running(&self) {
        // The sender lives as long as this value.
        let _ = self.running.subscribe().wait_for(|running| *running).await;
    }

    /// Ends taking part, for good. Whether it was not quarantined before.
    pub(crate) fn quarantine(&self, text: String) -> bool {
        let mut told = self.lock_text();
        let first = self.state.swap(QUARANTINED, Ordering::AcqRel) != QUARANTINED;
        if first {
            *told = text;
        }
        drop(told);
        self.news.notify_one();
        first
    }

    /// Somebody confirms: kept until it is looked at. While the node runs nobody does.
    pub(crate) fn confirmed(&self, fits: Fits) {
        if self.state.load(Ordering::Acquire) == RECOVERING {
            let mut all = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|other| other.by != fits.by);
            all.push(fits);
            self.news.notify_one();
        }
    }

    /// The confirmation that knows most of this ledger.
    pub(crate) fn best(&self) -> Option<Fits> {
        let all = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().max_by_key(|fits| fits.size).cloned()
    }

    /// Resolves when somebody confirmed, or the node was quarantined.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn text(&self) -> String {
        self.lock_text().clone()
    }

    fn lock_text(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(by: &str, size: u64) -> Fits {
        Fits {
            by: by.to_owned(),
            size,
            note: bytes::Bytes::new(),
        }
    }

    #[test]
    fn only_a_running_node_lets_anything_in() {
        let standing = Standing::recovering();
        assert_eq!(standing.admits().unwrap_err().reason, Reason::Recovering);
        standing.run();
        assert!(standing.admits().is_ok());
    }

    #[test]
    fn nothing_lifts_a_quarantine() {
        let standing = Standing::recovering();
        assert!(standing.quarantine("psd is ahead".to_owned()));
        standing.run();
        assert!(!standing.quarantine("again".to_owned()));
        let fault = standing.admits().unwrap_err();
        assert_eq!(
            (fault.reason, fault.detail.as_str()),
            (Reason::Quarantined, "psd is ahead")
        );
    }

    #[test]
    fn whoever_knows_most_confirms() {
        let standing = Standing::recovering();
        for (by, size) in [("a", 3), ("b", 9), ("a", 4)] {
            standing.confirmed(fits(by, size));
        }
        assert_eq!(standing.best(), Some(fits("b", 9)));
        standing.run();
        standing.confirmed(fits("c", 10));
        assert_eq!(standing.best(), Some(fits("b", 9)));
    }
}
