//! Closing statements that wait to be shown to the provider. What the corridor does here is one push.

use std::sync::{Arc, Mutex, PoisonError};

use jisr_ledger::ledger::Told;
use jisr_proto::statement::Statement;
use tokio::sync::Notify;

use crate::directory::NodeRow;

/// Statements taken in between two rounds; what comes beyond that is told when the node starts the next time.
const WAITING_MAX: usize = 65_536;
/// When so many wait, they are sent at once.
const HURRY_AT: usize = 512;

/// A closing statement of the own ledger that cites the provider's.
#[derive(Debug)]
pub(super) struct Fresh {
    /// The provider's node.
    pub to: Arc<NodeRow>,
    /// The statement.
    pub statement: Statement,
    /// Where it stands.
    pub place: Place,
}

/// Where a statement stands.
#[derive(Debug)]
pub(super) enum Place {
    /// At this index.
    Known(u64),
    /// Where the ledger will say.
    Told(Told),
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Vec<Fresh>>,
    hurry: Notify,
}

impl Outbox {
    /// Takes in a statement that was just appended.
    pub(crate) fn put(&self, to: &Arc<NodeRow>, statement: Statement, told: Told) {
        self.push(Fresh {
            to: Arc::clone(to),
            statement,
            place: Place::Told(told),
        });
    }

    /// Takes in a statement that stands already.
    pub(super) fn put_again(&self, to: &Arc<NodeRow>, statement: Statement, index: u64) {
        self.push(Fresh {
            to: Arc::clone(to),
            statement,
            place: Place::Known(index),
        });
    }

    fn push(&self, fresh: Fresh) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(fresh);
            if waiting.len() == HURRY_AT {
                self.hurry.notify_one();
            }
        }
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> Vec<Fresh> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when much waits.
    pub(super) async fn hurry(&self) {
        self.hurry.notified().await;
    }
}
