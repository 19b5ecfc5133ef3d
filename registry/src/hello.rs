//! Hello: a node shows what it holds of the registry's ledger, and both show how their ledgers went on. It confirms a registry that
//! was started, and finds one that was rolled back.

use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::note::{self, Checkpoint, VerifierKey};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{CosignRequest, CosignResponse, HelloRequest, HelloResponse};
use tokio::sync::watch;

use crate::office::{Caller, Office, hash};
use crate::refusal::Refusal;
use crate::state::Node;

impl Office {
    /// Compares what both hold of each other's ledger.
    ///
    /// # Errors
    /// ORIGIN_UNLISTED, CHECKPOINT_INVALID, also where a node that seals shows none of its ledger. A quarantine is no error of the call: it is answered without a checkpoint.
    pub(crate) async fn hello(
        self: &Arc<Self>,
        caller: &Caller,
        request: HelloRequest,
    ) -> Result<HelloResponse, Refusal> {
        let node = self.listed(caller)?;
        if request.origin != node.origin.as_str() {
            let rule = format!(
                "{} says its ledger is {}, the registry lists {}",
                caller.node, request.origin, node.origin
            );
            return Err(Refusal::new(Reason::OriginUnlisted, rule));
        }
        let held = self.own_checkpoint(&request.yours)?;
        self.check_shown(&node, &request)?;
        self.look_at(caller, &node, &request.checkpoint).await?;
        let from = held.as_ref().map_or(0, |held| held.size);
        if let Some(held) = held {
            // What came of it, the status says; the node is answered either way.
            let compared = self.compare(caller, held, request.yours).await;
            if let Err(refusal) = compared {
                tracing::debug!(node = %caller.node, %refusal, "what a node holds was compared");
            }
        }
        let running = self.standing.is_running();
        let newest = self.base.ledger.signed().filter(|_| running);
        let (size, checkpoint) = newest.unwrap_or_default();
        let lacking = self.lacking().await?;
        Ok(HelloResponse {
            lacks_from: lacking.start,
            lacks_until: lacking.end,
            proof: self.consistency(from, size).await?,
            checkpoint,
            yours: self
                .base
                .witness
                .newest(&node.origin)
                .map(|(_, note)| note)
                .unwrap_or_default(),
            recovering: !running,
        })
    }

    /// A ledger of which a checkpoint is known has one to show: a node that keeps it back, and does not say that it waits for a
    /// confirmation, escapes comparison.
    fn check_shown(&self, node: &Node, request: &HelloRequest) -> Result<(), Refusal> {
        let Some((known, _)) = self.base.witness.newest(&node.origin) else {
            return Ok(());
        };
        if !request.checkpoint.is_empty() || request.recovering {
            return Ok(());
        }
        let rule = format!(
            "{} shows no checkpoint of its ledger, of which this registry knows {} entries; show the newest one, or say that the node is recovering",
            node.row.id, known.size
        );
        Err(Refusal::new(Reason::CheckpointInvalid, rule))
    }

    /// Takes up a node's cosignature on the registry's checkpoint.
    ///
    /// # Errors
    /// CHECKPOINT_INVALID; QUARANTINED where the checkpoint is not one of this ledger.
    pub(crate) async fn cosign(
        self: &Arc<Self>,
        caller: &Caller,
        request: CosignRequest,
    ) -> Result<CosignResponse, Refusal> {
        let invalid = |rule: String| Refusal::new(Reason::CheckpointInvalid, rule);
        let node = self.listed(caller)?;
        let checkpoint = self.own_checkpoint(&request.checkpoint)?;
        let checkpoint = checkpoint.ok_or_else(|| invalid("no checkpoint came along".into()))?;
        let raw = hash(&node.row.witness_key, "the listed witness key")?;
        let witness = VerifierKey::new_witness(&caller.node.witness_name(), raw).map_err(|e| invalid(e.to_string()))?;
        let cosigned = note::cosignatures(&request.checkpoint, std::slice::from_ref(&witness));
        if cosigned.map_err(|e| invalid(e.to_string()))?.is_empty() {
            let rule = format!("the checkpoint carries no cosignature by {}", witness.name());
            return Err(invalid(rule));
        }
        let size = checkpoint.size;
        self.compare(caller, checkpoint, request.checkpoint.clone()).await?;
        let due = self.cosigned.add(
            size,
            &request.checkpoint,
            &self.base.own_key,
            &witness,
            self.base.clock.now_us(),
        );
        self.record(due);
        Ok(CosignResponse {})
    }

    /// The newest own checkpoint that nodes cosigned; the one stored last where none has yet in this process.
    pub(crate) fn newest_cosigned(&self) -> Option<(u64, Bytes)> {
        self.cosigned.newest().or_else(|| self.base.ledger.cosigned())
    }

    /// The row of the caller, for its keys.
    pub(crate) fn listed(&self, caller: &Caller) -> Result<Node, Refusal> {
        let node = self.desk.look(|state| state.nodes().get(&caller.node).cloned());
        node.ok_or_else(|| Refusal::new(Reason::CallerUnauthenticated, "the node is not listed any more"))
    }

    /// A checkpoint of the registry's own ledger, its signature verified; `None` where none came.
    fn own_checkpoint(&self, note: &[u8]) -> Result<Option<Checkpoint>, Refusal> {
        if note.is_empty() {
            return Ok(None);
        }
        match note::open(note, &self.base.own_key) {
            Ok(checkpoint) => Ok(Some(checkpoint.into_inner())),
            Err(error) => {
                let rule = format!("this is no checkpoint of the registry's ledger: {error}");
                Err(Refusal::new(Reason::CheckpointInvalid, rule))
            }
        }
    }

    /// The first node that confirms may be the one that knows least: others are heard for a while, unless all have been.
    async fn compare(self: &Arc<Self>, caller: &Caller, held: Checkpoint, note: Bytes) -> Result<(), Refusal> {
        let (office, by) = (Arc::clone(self), caller.node.to_string());
        let shown = self
            .blocking(move || office.standing.shown(&by, &held, &note))
            .await??;
        let Some(count) = shown else { return Ok(()) };
        let all = self.desk.look(|state| state.nodes().len());
        if count < all {
            self.standing.hear_out();
            return Ok(());
        }
        let office = Arc::clone(self);
        self.blocking(move || office.standing.go_on()).await?
    }

    /// Hears nodes out, each time the first of them has confirmed the ledger, and then goes on, until `stop`.
    pub(crate) async fn hear_nodes(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let wait = self.base.config.confirm_wait;
        loop {
            tokio::select! {
                () = self.standing.heard() => tracing::info!(?wait, "a node confirms the ledger; others are heard"),
                _ = stop.wait_for(|stop| *stop) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let office = Arc::clone(&self);
            if let Err(refusal) = self.blocking(move || office.standing.go_on()).await.flatten() {
                tracing::error!(%refusal, "the registry does not go on");
            }
        }
    }

    /// Proof that the first `to` entries begin with the first `from`; empty where there is nothing to prove.
    pub(crate) async fn consistency(&self, from: u64, to: u64) -> Result<Vec<Bytes>, Refusal> {
        if from == 0 || from >= to {
            return Ok(Vec::new());
        }
        let ledger = self.base.ledger.clone();
        let proof = self.blocking(move || ledger.consistency(from, to)).await?;
        let proof = proof.ok_or_else(|| Refusal::new(Reason::LedgerUnavailable, "a proof could not be made"))?;
        Ok(proof.iter().map(|hash| Bytes::copy_from_slice(hash)).collect())
    }

    /// Runs what may wait for the disk.
    pub(crate) async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let stopped = |_| Refusal::new(Reason::Internal, "a task of the registry stopped unexpectedly");
        tokio::task::spawn_blocking(work).await.map_err(stopped)
    }
}
