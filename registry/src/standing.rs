//! Whether the registry takes part: it runs, waits for somebody who confirms its ledger, or is quarantined.

use std::path::PathBuf;

use jisr_ledger::ledger::{ConfirmError, Ledger};
use jisr_ledger::note::Checkpoint;
use jisr_proto::reason::Reason;
use tokio::sync::watch;

use crate::quarantine::Quarantine;
use crate::refusal::Refusal;

/// What a recovering registry says of itself.
const WAITING: &str = "no node has shown yet what it holds of this registry's ledger; nodes do so by themselves, where no node is \
                       enrolled an administrator runs `jisr registry confirm`";

/// How the registry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It does everything.
    Running,
    /// It seals nothing yet.
    Recovering,
    /// It seals nothing any more: somebody holds something newer or else of its ledger.
    Quarantined(String),
}

/// Holds how the registry stands, and what may change it.
pub(crate) struct Standing {
    ledger: Ledger,
    stand: watch::Sender<Stand>,
    /// The data directory, for the mark of a quarantine.
    data: PathBuf,
}

impl Standing {
    /// As found at the start: a ledger that has begun waits, and a mark of a quarantine holds until what was shown then is in the
    /// ledger again. Blocks on disk.
    ///
    /// # Errors
    /// The mark cannot be read or removed.
    pub(crate) fn open(ledger: Ledger, data: PathBuf) -> Result<Standing, std::io::Error> {
        let mut stand = if ledger.is_confirmed() {
            Stand::Running
        } else {
            Stand::Recovering
        };
        if let Some(mark) = Quarantine::read(&data)? {
            if ledger.root(mark.size).is_some_and(|root| mark.root() == Some(root)) {
                tracing::info!(
                    size = mark.size,
                    "the ledger was restored: it holds what quarantined it"
                );
                Quarantine::lift(&data)?;
            } else {
                ledger.refuse();
                stand = Stand::Quarantined(mark.text);
            }
        }
        Ok(Standing {
            ledger,
            stand: watch::Sender::new(stand),
            data,
        })
    }

    /// How it stands, and word of each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Stand> {
        self.stand.subscribe()
    }

    /// Whether it does everything.
    pub(crate) fn is_running(&self) -> bool {
        *self.stand.borrow() == Stand::Running
    }

    /// The state's name and why, as the operator reads them.
    pub(crate) fn told(&self) -> (&'static str, String) {
        match &*self.stand.borrow() {
            Stand::Running => ("RUNNING", String::new()),
            Stand::Recovering => ("RECOVERING", WAITING.to_owned()),
            Stand::Quarantined(text) => ("QUARANTINED", text.clone()),
        }
    }

    /// Whether anything may be sealed.
    ///
    /// # Errors
    /// RECOVERING, QUARANTINED.
    pub(crate) fn admits(&self) -> Result<(), Refusal> {
        self.stand.borrow().admits()
    }

    /// Compares what somebody holds of this ledger with it: the first time that confirms it, and where it contradicts it ends
    /// everything. `note` is the checkpoint as signed by the own key. Blocks on disk.
    ///
    /// # Errors
    /// QUARANTINED; LEDGER_UNAVAILABLE where it could not be compared or written.
    pub(crate) fn compare(&self, by: &str, theirs: Option<(&Checkpoint, &[u8])>) -> Result<(), Refusal> {
        match self.ledger.confirm(by, theirs.map(|(checkpoint, _)| checkpoint)) {
            Ok(()) => {
                let news = self.stand.send_if_modified(|stand| {
                    let first = *stand == Stand::Recovering;
                    if first {
                        *stand = Stand::Running;
                    }
                    first
                });
                if news {
                    tracing::info!(by, "the ledger is confirmed; the registry goes on");
                }
                Ok(())
            }
            Err(error @ (ConfirmError::Ahead { .. } | ConfirmError::Differs { .. })) => {
                if let Some((checkpoint, note)) = theirs {
                    self.quarantine(by, checkpoint, note, &error);
                }
                self.admits()
            }
            Err(ConfirmError::Refused) => self.admits(),
            Err(error) => {
                tracing::error!(by, %error, "the ledger could not be confirmed");
                Err(Refusal::new(Reason::LedgerUnavailable, error.to_string()))
            }
        }
    }

    fn quarantine(&self, by: &str, theirs: &Checkpoint, note: &[u8], error: &ConfirmError) {
        self.ledger.refuse();
        let text = format!("{by} shows that this ledger is not the newest: {error}");
        let news = self.stand.send_if_modified(|stand| {
            let first = !matches!(stand, Stand::Quarantined(_));
            if first {
                *stand = Stand::Quarantined(text.clone());
            }
            first
        });
        if !news {
            return;
        }
        tracing::error!("{text}; nothing is sealed any more. Keep the disk as it is, and restore the newest backup");
        let mark = Quarantine {
            shown_by: by.to_owned(),
            text,
            size: theirs.size,
            checkpoint: String::from_utf8_lossy(note).into_owned(),
        };
        if let Err(error) = mark.write(&self.data) {
            tracing::error!(%error, "the mark of the quarantine could not be written; a restart would forget it");
        }
    }
}

impl Stand {
    /// Whether anything may be sealed.
    ///
    /// # Errors
    /// RECOVERING, QUARANTINED.
    pub(crate) fn admits(&self) -> Result<(), Refusal> {
        match self {
            Stand::Running => Ok(()),
            Stand::Recovering => Err(Refusal::new(Reason::Recovering, WAITING)),
            Stand::Quarantined(text) => Err(Refusal::new(Reason::Quarantined, text.clone())),
        }
    }
}
