//! The book: the registry's ledger and the state that follows from it, in the hands of one writer.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use jisr_certs::seal::SnapshotKey;
use jisr_ledger::clock::Clock;
use jisr_ledger::ledger::{AppendError, Ledger};
use jisr_ledger::statement::Draft;
use jisr_proto::ident::Instance;
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::SignedSnapshot;
use jisr_proto::statement::{Core, Sealed};

use crate::error::Error;
use crate::kept::Kept;
use crate::refusal::Refusal;
use crate::snapshot::{self, Frame, Published};
use crate::state::{Act, State};

/// Ledger, state, and what snapshots are made with.
pub(crate) struct Book {
    pub(crate) ledger: Ledger,
    pub(crate) state: Arc<RwLock<State>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: SnapshotKey,
    pub(crate) frame: Frame,
    pub(crate) kept: Kept,
    pub(crate) instance: Instance,
    /// The snapshot that was published last.
    pub(crate) newest: Published,
    /// An act came since.
    pub(crate) stale: bool,
    /// Time of the newest entry, microseconds: time in the ledger never goes back, whatever the clock does.
    pub(crate) newest_us: u64,
    /// With whom the registry was founded, until that stands in the ledger.
    pub(crate) founding: Option<Act>,
}

impl Book {
    /// Looks at the state.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&State) -> R) -> R {
        at(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The time of the next entry.
    pub(crate) fn time_us(&self) -> u64 {
        self.clock.now_us().max(self.newest_us)
    }

    /// Appends a checked act with all that follows from it, in one commit, and applies them once they are durable. Returns the act itself.
    ///
    /// # Errors
    /// [`Failed::Refused`] where the ledger took nothing; [`Failed::Fatal`] where the process must end.
    pub(crate) async fn append(&mut self, act: &Act, at_us: u64) -> Result<Sealed, Failed> {
        let effects = self.look(|state| state.effects(act));
        let acts: Vec<&Act> = std::iter::once(act).chain(&effects).collect();
        let core = |act: &Act| Core {
            kind: act.kind().into(),
            instance: self.instance.to_string(),
            created_us: at_us,
            ..Core::default()
        };
        let closed: Vec<_> = acts.iter().map(|act| act.onto(Draft::new(core(act))).close()).collect();
        let stand = self.ledger.append(closed.clone()).await?;
        self.newest_us = at_us;
        self.stale |= !matches!(act, Act::Snapshot(_));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (act, stands) in acts.iter().zip(&stand) {
            let index = stands.index;
            state
                .apply(index, at_us, act)
                .map_err(|cause| Failed::Fatal(Error::State { index, cause }))?;
        }
        let (first, stands) = closed
            .first()
            .zip(stand.first())
            .expect("one statement at least was appended");
        Ok(stands.sealed(first))
    }

    /// Where the ledger names no administrators yet: writes down with whom the registry was founded.
    async fn found(&mut self) -> Result<(), Failed> {
        let Some(founding) = self.founding.take() else {
            return Ok(());
        };
        if !self.look(|state| state.administrators().is_empty()) {
            return Ok(());
        }
        let now_us = self.time_us();
        self.look(|state| state.check(&founding, now_us))
            .map_err(|refusal| Failed::Fatal(Error::Directory(format!("the founding administrators: {refusal}"))))?;
        self.append(&founding, now_us).await.map(drop)
    }

    /// Publishes the state as the next snapshot: first the entry, durable, then the signed note.
    ///
    /// # Errors
    /// As [`Book::append`].
    pub(crate) async fn publish(&mut self) -> Result<Published, Failed> {
        self.found().await?;
        let now_us = self.time_us();
        let draft = self.draft(now_us).await?;
        let entry = self.append(&Act::Snapshot(draft.act.clone()), now_us).await?;
        let act = draft.act;
        let note = self
            .key
            .sign_snapshot(act.version, &act.digest, act.expires_us / 1_000_000);
        let signed = SignedSnapshot {
            header: draft.header,
            note: Bytes::from(note),
            entry: Some(entry),
        };
        let (kept, shown) = (self.kept.clone(), signed.clone());
        let kept = tokio::task::spawn_blocking(move || kept.keep(&shown)).await;
        kept.map_err(|_| Failed::Fatal(Error::Task("snapshot")))?;
        tracing::debug!(version = act.version, rows = draft.changed.len(), "snapshot published");
        let last = &self.newest;
        let history = last.history.with(act.version, act.digest, &last.picture, draft.changed);
        self.newest = Published {
            version: act.version,
            digest: act.digest,
            expires_us: act.expires_us,
            signed: Arc::new(signed),
            picture: draft.picture,
            history: Arc::new(history),
        };
        self.stale = false;
        Ok(self.newest.clone())
    }

    /// The next snapshot, made where work may take a while: a large network has many rows.
    async fn draft(&self, now_us: u64) -> Result<snapshot::Draft, Failed> {
        let (state, frame) = (Arc::clone(&self.state), self.frame.clone());
        let (before, stale) = (Arc::clone(&self.newest.picture), self.stale);
        let draft = move || {
            let state = state.read().unwrap_or_else(PoisonError::into_inner);
            snapshot::draft(&state, &frame, &before, stale, now_us)
        };
        let drafted = tokio::task::spawn_blocking(draft).await;
        drafted.map_err(|_| Failed::Fatal(Error::Task("snapshot")))
    }
}

/// Why an act does not stand.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The ledger took nothing of it; the registry goes on.
    Refused(Refusal),
    /// The ledger or the state is in doubt: the process must end.
    Fatal(Error),
}

impl From<AppendError> for Failed {
    fn from(error: AppendError) -> Failed {
        match error {
            AppendError::Stopped => Failed::Fatal(Error::Ledger(error.to_string())),
            AppendError::Full => Failed::Refused(Refusal::new(Reason::LedgerFull, error.to_string())),
            AppendError::Overloaded => Failed::Refused(Refusal::new(Reason::Overloaded, error.to_string())),
            AppendError::Recovering => Failed::Refused(Refusal::new(Reason::Recovering, error.to_string())),
            AppendError::TooLarge { .. } | AppendError::Vault(_) | AppendError::Unsound(_) => {
                Failed::Refused(Refusal::new(Reason::LedgerUnavailable, error.to_string()))
            }
        }
    }
}
