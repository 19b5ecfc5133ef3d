//! The newest checkpoints, for everybody to read: the own one, and the newest that carries cosignatures; and how far the
//! segments reach.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::commit::SignedCheckpoint;
use super::job::Signed;
use super::tail::Place;

#[derive(Debug)]
pub(crate) struct Head(Mutex<Newest>);

#[derive(Debug)]
struct Newest {
    checkpoint: Arc<SignedCheckpoint>,
    /// What was signed last before this start, as long as nothing is signed after it.
    before: Option<Signed>,
    cosigned: Option<Signed>,
    durable: Place,
}

impl Head {
    pub(crate) fn new(
        checkpoint: Arc<SignedCheckpoint>,
        before: Option<Signed>,
        cosigned: Option<Signed>,
        durable: Place,
    ) -> Self {
        Self(Mutex::new(Newest {
            checkpoint,
            before,
            cosigned,
            durable,
        }))
    }

    pub(crate) fn checkpoint(&self) -> Arc<SignedCheckpoint> {
        Arc::clone(&self.lock().checkpoint)
    }

    /// The newest note that is signed.
    pub(crate) fn signed(&self) -> Option<Signed> {
        let newest = self.lock();
        if newest.checkpoint.note.is_empty() {
            return newest.before.clone();
        }
        Some(Signed {
            size: newest.checkpoint.size,
            note: newest.checkpoint.note.clone(),
        })
    }

    pub(crate) fn cosigned(&self) -> Option<Signed> {
        self.lock().cosigned.clone()
    }

    /// Where the last durable frame ends.
    pub(crate) fn durable(&self) -> Place {
        self.lock().durable
    }

    pub(crate) fn publish(&self, checkpoint: &Arc<SignedCheckpoint>, durable: Place) {
        let mut newest = self.lock();
        newest.checkpoint = Arc::clone(checkpoint);
        newest.durable = durable;
    }

    pub(crate) fn publish_cosigned(&self, cosigned: &Signed) {
        let mut newest = self.lock();
        // Of two notes of one size the later counts: it has at least the cosignatures that were asked for since.
        if newest.cosigned.as_ref().is_none_or(|known| known.size <= cosigned.size) {
            newest.cosigned = Some(cosigned.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
