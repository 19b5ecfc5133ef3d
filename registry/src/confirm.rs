//! An administrator confirms the registry's ledger, where no node is there to do it.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::reason::Reason;
use jisr_proto::registry::AdministerResponse;

use crate::administration::{Roles, Signed};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::state::Hash;

impl Office {
    /// Confirms that nothing newer than this head is known of the ledger; the administrator's name stands in RESUMED.
    ///
    /// # Errors
    /// ADMINISTRATOR_INVALID, ROLE_MISSING, CLOCK_SKEW; REQUEST_INVALID for another head than the ledger's; FAILED_PRECONDITION where
    /// nodes are enrolled, who know better; QUARANTINED.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        signed: &Signed,
        size: u64,
        root: Hash,
    ) -> Result<AdministerResponse, Refusal> {
        let now_us = self.base.clock.now_us();
        let signer = |state: &crate::state::State| state.signer(signed, Roles::PUBLISH, now_us);
        // A registry that stopped before its first entry was followed by that about its founders knows them from its files.
        let by = match &self.base.founded {
            Some(founded) if self.desk.look(|state| state.administrators().is_empty()) => signer(founded)?,
            _ => self.desk.look(signer)?,
        };
        if !self.standing.is_running() {
            let nodes = self.desk.look(|state| state.nodes().len());
            if nodes > 0 {
                let rule = format!(
                    "{nodes} nodes are enrolled: those that connect show what they hold of this ledger, and that counts"
                );
                return Err(Refusal::new(Reason::Recovering, rule));
            }
            let checkpoint = self.base.ledger.checkpoint();
            if (checkpoint.size, checkpoint.root) != (size, root) {
                let rule = format!(
                    "{by} confirms a ledger of {size} entries, and this one has {}, or another root",
                    checkpoint.size
                );
                return Err(Refusal::invalid(rule));
            }
            let office = Arc::clone(self);
            self.blocking(move || office.standing.compare(by.as_str(), None))
                .await??;
        }
        Ok(AdministerResponse {
            act: Bytes::copy_from_slice(&signed.digest),
            size: self.base.ledger.size(),
            ..AdministerResponse::default()
        })
    }
}
