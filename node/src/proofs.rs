//! The closet that remembers what peers owe: each seal is provisional until its leaf is shown under a checkpoint that
//! the quorum cosigned. Who does not pay while this node reaches a quorum is refused until it does.

mod account;
mod collecting;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::Verified;
use jisr_ledger::ledger::AppendError;
use jisr_ledger::seal::Sealed;
use jisr_proto::ident::{NodeId, Origin};

use crate::directory::NodeRow;

use account::{Account, Due};

pub(crate) use collecting::collect;

/// Indexes asked for in one call.
pub(crate) const INDEXES_MAX: usize = 1024;

/// What peers owe.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    accounts: Mutex<HashMap<Origin, Account>>,
    /// Time for which this node has reached a quorum since its start, milliseconds: what debts age by.
    reached_ms: AtomicU64,
}

impl Owed {
    /// Notes a provisional seal of this node; `high`: of an exchange of the highest evidence class. Before the first one of a
    /// ledger is noted, `introduce` puts the certificates of that ledger into the own one; nobody else can note a seal of it
    /// meanwhile, so they stand before everything that rests on them.
    pub(crate) fn note(
        &self,
        row: &Arc<NodeRow>,
        sealed: &Verified<Sealed>,
        high: bool,
        introduce: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let mut accounts = self.lock();
        if !accounts.contains_key(&row.origin) {
            introduce()?;
        }
        let account = accounts
            .entry(row.origin.clone())
            .or_insert_with(|| Account::new(Arc::clone(row)));
        let due = Due {
            index: sealed.index,
            leaf: sealed.statement.leaf(),
            since_ms: self.reached_ms.load(Ordering::Relaxed),
            high,
        };
        account.note(due, sealed.tree_size, sealed.note());
        Ok(())
    }

    /// The newest checkpoint seen of this ledger, with its size; empty if none.
    pub(crate) fn newest_checkpoint(&self, origin: &Origin) -> (u64, Bytes) {
        let accounts = self.lock();
        accounts
            .get(origin)
            .map(|account| account.newest.clone())
            .unwrap_or_default()
    }

    /// How many proofs each peer owes.
    pub(crate) fn counts(&self) -> Vec<(NodeId, u64)> {
        let accounts = self.lock();
        accounts
            .values()
            .map(|account| (account.row.id.clone(), account.due.len() as u64))
            .collect()
    }

    /// Seals seen of this ledger since the start.
    pub(crate) fn seen(&self, origin: &Origin) -> u64 {
        self.lock().get(origin).map_or(0, |account| account.seen)
    }

    /// Whether anybody owes anything.
    pub(crate) fn is_anything(&self) -> bool {
        self.lock().values().any(|account| !account.due.is_empty())
    }

    /// A quorum was within reach for so long.
    fn reached_for(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.reached_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
