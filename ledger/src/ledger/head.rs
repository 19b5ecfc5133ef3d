//! The newest checkpoints, for everybody to read: the own one, and the newest that carries cosignatures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::commit::SignedCheckpoint;
use super::job::Cosigned;

#[derive(Debug)]
pub(crate) struct Head(Mutex<Newest>);

#[derive(Debug)]
struct Newest {
    checkpoint: Arc<SignedCheckpoint>,
    cosigned: Option<Cosigned>,
}

impl Head {
    pub(crate) fn new(checkpoint: Arc<SignedCheckpoint>, cosigned: Option<Cosigned>) -> Self {
        Self(Mutex::new(Newest { checkpoint, cosigned }))
    }

    pub(crate) fn checkpoint(&self) -> Arc<SignedCheckpoint> {
        Arc::clone(&self.lock().checkpoint)
    }

    pub(crate) fn cosigned(&self) -> Option<Cosigned> {
        self.lock().cosigned.clone()
    }

    pub(crate) fn publish(&self, checkpoint: &Arc<SignedCheckpoint>) {
        self.lock().checkpoint = Arc::clone(checkpoint);
    }

    pub(crate) fn publish_cosigned(&self, cosigned: &Cosigned) {
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
