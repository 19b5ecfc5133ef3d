//! What the registry says of itself.

use std::sync::PoisonError;

use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::registry as wire;

use crate::office::Office;

impl Office {
    /// What the registry is and holds.
    pub(crate) fn status(&self) -> wire::RegistryStatusResponse {
        let checkpoint = self.base.ledger.checkpoint();
        let newest = self.desk.newest();
        let (state, state_text) = self.told();
        let stamped = *self.stamped.lock().unwrap_or_else(PoisonError::into_inner);
        let pending_acts = self.acts().acts.len() as u64;
        self.desk.look(|rows| wire::RegistryStatusResponse {
            instance: self.base.config.instance.to_string(),
            origin: checkpoint.origin.to_string(),
            size: checkpoint.size,
            root: checkpoint.root.to_vec().into(),
            snapshot_version: newest.version,
            snapshot_expires_us: newest.expires_us,
            members: rows.members().keys().map(MemberId::to_string).collect(),
            nodes: rows.nodes().keys().map(NodeId::to_string).collect(),
            services: rows
                .services()
                .keys()
                .map(|(name, provider)| format!("{name} {provider}"))
                .collect(),
            agreements: rows
                .agreements()
                .keys()
                .map(|digest| crate::text::hex(digest))
                .collect(),
            state: state.to_owned(),
            state_text,
            cosigned_size: self.newest_cosigned().map_or(0, |(size, _)| size),
            pending_acts,
            stamped_size: stamped.size,
            stamped_us: stamped.time_us,
        })
    }

    /// How the registry stands; a witness that lost its memory is said even where everything else runs.
    fn told(&self) -> (&'static str, String) {
        let (state, text) = self.standing.told();
        match self.base.witness.lost() {
            Some(lost) => (
                state,
                format!(
                    "{text}{}the witness cosigns nothing: {lost}",
                    if text.is_empty() { "" } else { "; " }
                ),
            ),
            None => (state, text),
        }
    }
}
