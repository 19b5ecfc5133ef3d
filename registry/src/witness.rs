//! The registry as a witness: cosigns checkpoints of listed nodes (C2SP tlog-witness, add-checkpoint).

use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::note::VerifierKey;
use jisr_ledger::tlog::{AddCheckpoint, Answer};
use jisr_proto::ident::Origin;

use crate::office::{Caller, Office};
use crate::report::seal_key;

impl Office {
    /// Answers the body of an add-checkpoint request. What is remembered of the ledger is durable before the cosignature leaves.
    pub(crate) async fn add_checkpoint(self: &Arc<Self>, caller: &Caller, body: Bytes) -> Answer {
        // A registry that does not know whether its disk was rolled back does not know what it cosigned either.
        if let Err(refusal) = self.standing.admits() {
            return Answer::refused(503, refusal);
        }
        let office = Arc::clone(self);
        let shown = body.clone();
        let asked = self.blocking(move || {
            let time_s = office.base.clock.now_us() / 1_000_000;
            office
                .base
                .witness
                .answer(&shown, |origin| office.key_of(origin), time_s)
        });
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(refusal) => return Answer::refused(500, refusal),
        };
        match &answer {
            Answer::Cosigned(_) => {}
            Answer::Conflict(size) => self.weigh(caller, &body, *size).await,
            Answer::Refused { status, text } => {
                tracing::warn!(node = %caller.node, status, text, "a checkpoint was not cosigned");
            }
        }
        answer
    }

    fn key_of(&self, origin: &Origin) -> Option<VerifierKey> {
        let node = self
            .desk
            .look(|state| state.nodes().values().find(|node| node.origin == *origin).cloned())?;
        seal_key(&node).ok()
    }

    /// A checkpoint of the size that is known with another root is proof of a fork. Any other conflict is a caller that is behind.
    async fn weigh(&self, caller: &Caller, body: &[u8], size: u64) {
        let Ok(request) = AddCheckpoint::parse(body) else {
            return;
        };
        let Ok(node) = self.listed(caller) else { return };
        if request.old_size != size {
            return;
        }
        if let Err(refusal) = self.look_at(caller, &node, &request.checkpoint).await {
            tracing::error!(node = %caller.node, %refusal, "a node showed another history than the one that was cosigned");
        }
    }
}
