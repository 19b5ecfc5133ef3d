//! An administrator confirms the registry's ledger, where no node is there to do it.

use std::sync::Arc;

use jisr_proto::reason::Reason;
use jisr_proto::registry::{ConfirmRequest, ConfirmResponse};

use crate::office::Office;
use crate::refusal::Refusal;
use crate::text;

impl Office {
    /// Confirms that nothing newer is known of the ledger; the administrator's name stands in RESUMED.
    ///
    /// # Errors
    /// REQUEST_INVALID for a name that is none; FAILED_PRECONDITION where nodes are enrolled, who know better; QUARANTINED.
    pub(crate) async fn confirm(self: &Arc<Self>, request: ConfirmRequest) -> Result<ConfirmResponse, Refusal> {
        let administrator = request.administrator.to_ascii_lowercase();
        text::administrator(&administrator).map_err(Refusal::invalid)?;
        if !self.standing.is_running() {
            let nodes = self.desk.look(|state| state.nodes().len());
            if nodes > 0 {
                let rule = format!(
                    "{nodes} nodes are enrolled: those that connect show what they hold of this ledger, and that counts"
                );
                return Err(Refusal::new(Reason::Recovering, rule));
            }
            let office = Arc::clone(self);
            self.blocking(move || office.standing.compare(&administrator, None))
                .await??;
        }
        Ok(ConfirmResponse {
            size: self.base.ledger.size(),
        })
    }
}
