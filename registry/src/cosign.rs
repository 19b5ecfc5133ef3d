//! The registry as a witness: cosigns a node's checkpoint that continues the one it cosigned last (C2SP tlog-witness).

use std::sync::Arc;

use jisr_ledger::note::VerifierKey;
use jisr_ledger::seal;
use jisr_ledger::witness::WitnessError;
use jisr_proto::reason::Reason;
use jisr_proto::registry::{AddCheckpointRequest, AddCheckpointResponse};

use crate::office::{Caller, Office, hash};
use crate::refusal::Refusal;

impl Office {
    /// Cosigns a checkpoint of the caller's own listed ledger. What is remembered of it is durable before the cosignature
    /// leaves. Where the old size is not the one remembered, the answer is that size and nothing is cosigned.
    ///
    /// # Errors
    /// CHECKPOINT_INVALID, CHECKPOINT_FORKED, LEDGER_UNAVAILABLE.
    pub(crate) async fn add_checkpoint(
        &self,
        caller: &Caller,
        request: AddCheckpointRequest,
    ) -> Result<AddCheckpointResponse, Refusal> {
        let invalid = |e: String| Refusal::new(Reason::CheckpointInvalid, e);
        let node = self.desk.look(|state| state.nodes().get(&caller.node).cloned());
        let node =
            node.ok_or_else(|| Refusal::new(Reason::CallerUnauthenticated, "the node is not listed any more"))?;
        let raw = hash(&node.row.seal_key, "the listed seal key")?;
        let key = VerifierKey::new_seal(node.origin.as_str(), raw).map_err(|e| invalid(e.to_string()))?;
        let proof = seal::path(&request.proof).map_err(|_| invalid("the proof is no list of 32-byte hashes".into()))?;
        let time_s = self.base.clock.now_us() / 1_000_000;
        let witness = Arc::clone(&self.base.witness);
        let old_size = request.old_size;
        let asked = tokio::task::spawn_blocking(move || {
            witness.add_checkpoint(old_size, &proof, &request.checkpoint, &key, time_s)
        });
        let stopped = |_| Refusal::new(Reason::Internal, "the witness stopped unexpectedly");
        match asked.await.map_err(stopped)? {
            Ok(cosignatures) => Ok(AddCheckpointResponse { cosignatures, size: 0 }),
            Err(WitnessError::Conflict { size, .. }) if size != old_size => Ok(AddCheckpointResponse {
                cosignatures: String::new(),
                size,
            }),
            Err(error) => Err(refusal(&error, caller)),
        }
    }
}

fn refusal(error: &WitnessError, caller: &Caller) -> Refusal {
    let reason = match error {
        WitnessError::Note(_) | WitnessError::OldSize { .. } => Reason::CheckpointInvalid,
        WitnessError::Lost(_) => Reason::WitnessLost,
        WitnessError::Conflict { .. } | WitnessError::Inconsistent { .. } | WitnessError::RolledBack { .. } => {
            tracing::error!(node = %caller.node, %error, "a node showed a checkpoint that does not continue its history");
            Reason::CheckpointForked
        }
        WitnessError::Io { .. } | WitnessError::Damaged(_) => {
            tracing::error!(%error, "the witness cannot remember what it would cosign");
            Reason::LedgerUnavailable
        }
    };
    Refusal::new(reason, error.to_string())
}
