//! Whether the registry takes part: it runs, waits for somebody who confirms its ledger, or is quarantined.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::files::Disk;
use jisr_ledger::ledger::{ConfirmError, Ledger};
use jisr_ledger::note::Checkpoint;
use jisr_proto::reason::Reason;
use tokio::sync::{Notify, watch};

use crate::quarantine::Quarantine;
use crate::refusal::Refusal;

/// What a recovering registry says of itself.
const WAITING: &str = "nodes are asked what they hold of this registry's ledger, which takes some seconds; where no node is enrolled an \
                       administrator runs `jisr registry confirm`";

/// Behind why it is quarantined, once nodes gave back what it lacks.
const WHOLE: &str = "; nodes gave back all that it lacks: restart the registry, and it goes on";

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
    /// What nodes have shown since the start that fits.
    shown: Mutex<BTreeMap<String, (Checkpoint, Bytes)>>,
    heard: Notify,
    /// Entries that others hold and this ledger does not.
    lost: Mutex<Option<Range<u64>>>,
    /// The data directory, for the mark of a quarantine.
    data: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Standing {
    /// As found at the start: a ledger that has begun waits, and a mark of a quarantine holds until what was shown then is in the
    /// ledger again. Blocks on disk.
    ///
    /// # Errors
    /// The mark cannot be read or removed.
    pub(crate) fn open(ledger: Ledger, data: PathBuf, disk: Arc<dyn Disk>) -> Result<Standing, std::io::Error> {
        let mut lost = None;
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
                Quarantine::lift(&data, &*disk)?;
            } else {
                ledger.refuse();
                lost = Some(ledger.size()..mark.size).filter(|lost| !lost.is_empty());
                stand = Stand::Quarantined(mark.text);
            }
        }
        Ok(Standing {
            ledger,
            stand: watch::Sender::new(stand),
            shown: Mutex::default(),
            heard: Notify::new(),
            lost: Mutex::new(lost),
            data,
            disk,
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

    /// Entries that others hold and this ledger does not.
    pub(crate) fn lost(&self) -> Option<Range<u64>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that was lost came back, and is taken up at the next start.
    pub(crate) fn is_whole(&self) {
        self.stand.send_if_modified(|stand| match stand {
            Stand::Quarantined(text) if !text.ends_with(WHOLE) => {
                text.push_str(WHOLE);
                tracing::warn!("{text}");
                true
            }
            _ => false,
        });
    }

    /// Compares what a node holds of this ledger with it; `note` is the checkpoint as signed by the own key. Where it contradicts
    /// everything ends. Returns how many nodes have shown something that fits since the start, while that is not enough yet.
    /// Blocks on disk.
    ///
    /// # Errors
    /// QUARANTINED; LEDGER_UNAVAILABLE where it could not be compared.
    pub(crate) fn shown(&self, by: &str, theirs: &Checkpoint, note: &[u8]) -> Result<Option<usize>, Refusal> {
        if self.is_running() {
            return self.compare(by, Some((theirs, note))).map(|()| None);
        }
        self.admits_showing()?;
        match self.ledger.root(theirs.size) {
            Some(root) if root == theirs.root => {}
            Some(_) => {
                let size = theirs.size;
                self.quarantine(by, theirs, note, &ConfirmError::Differs { size });
                return self.admits().map(|()| None);
            }
            None if theirs.size > self.ledger.size() => {
                let (theirs_size, ours) = (theirs.size, self.ledger.size());
                let ahead = ConfirmError::Ahead {
                    theirs: theirs_size,
                    ours,
                };
                self.quarantine(by, theirs, note, &ahead);
                return self.admits().map(|()| None);
            }
            None => {
                let rule = format!("the root of {} entries cannot be computed", theirs.size);
                return Err(Refusal::new(Reason::LedgerUnavailable, rule));
            }
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.insert(by.to_owned(), (theirs.clone(), Bytes::copy_from_slice(note)));
        Ok(Some(shown.len()))
    }

    /// A node confirms, and others are to be heard.
    pub(crate) fn hear_out(&self) {
        self.heard.notify_one();
    }

    /// Resolves when a node confirmed while others are to be heard.
    pub(crate) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Goes on, at the word of whoever has shown most of this ledger since the start. Blocks on disk.
    ///
    /// # Errors
    /// QUARANTINED; LEDGER_UNAVAILABLE where RESUMED could not be written.
    pub(crate) fn go_on(&self) -> Result<(), Refusal> {
        let best = {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let best = shown.iter().max_by_key(|(_, (theirs, _))| theirs.size);
            best.map(|(by, theirs)| (by.clone(), theirs.clone()))
        };
        match best {
            Some((by, (theirs, note))) => self.compare(&by, Some((&theirs, &note))),
            None => self.admits(),
        }
    }

    /// Confirms the ledger, or compares with it where that has happened. `theirs` is none where an administrator vouches for it.
    /// Blocks on disk.
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

    /// A quarantined registry compares nothing any more.
    fn admits_showing(&self) -> Result<(), Refusal> {
        match &*self.stand.borrow() {
            Stand::Quarantined(text) => Err(Refusal::new(Reason::Quarantined, text.clone())),
            Stand::Running | Stand::Recovering => Ok(()),
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
        let lost = self.ledger.size()..theirs.size;
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(lost).filter(|lost| !lost.is_empty());
        tracing::error!(
            "{text}; nothing is sealed any more. Where it only lacks entries nodes give them back (the status says when); else keep the disk as it \
             is, and restore the newest backup"
        );
        let mark = Quarantine {
            shown_by: by.to_owned(),
            text,
            size: theirs.size,
            checkpoint: String::from_utf8_lossy(note).into_owned(),
        };
        if let Err(error) = mark.write(&self.data, &*self.disk) {
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
