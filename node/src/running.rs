//! Exchanges that are being asked right now, so that one id is not asked twice at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jisr_proto::ident::ExchangeId;

/// Between two looks at an id that somebody else holds.
const LOOK: Duration = Duration::from_millis(2);

/// The ids in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningIds(Arc<Mutex<HashSet<ExchangeId>>>);

/// Holds an id until dropped.
#[derive(Debug)]
pub(crate) struct RunningId {
    ids: RunningIds,
    id: ExchangeId,
}

impl RunningIds {
    /// Takes an id, if nobody holds it.
    pub(crate) fn enter(&self, id: ExchangeId) -> Option<RunningId> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        entered.then(|| RunningId { ids: self.clone(), id })
    }

    /// Takes an id once nobody holds it any more. Whoever holds one does so for some milliseconds.
    pub(crate) async fn wait(&self, id: ExchangeId) -> RunningId {
        loop {
            if let Some(running) = self.enter(id) {
                return running;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for RunningId {
    fn drop(&mut self) {
        self.ids
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}
