//! The conversation with one peer about one range of time: what is asked, and the form that an answer must have.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::ReconcileRequest;

use super::comparing::{self, Difference, Sides, Stop, contradiction};
use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::form::{self, Told};
use crate::pairing::{self, Range, Selection, Sum, Survey};
use crate::peers::PeerError;

/// Calls in one comparison: more than any number of honest differences that is judged at once.
const CALLS_MAX: u32 = 8192;

struct Conversation<'a> {
    closets: &'a Arc<Closets>,
    row: &'a Arc<NodeRow>,
    window: (u64, u64),
    selection: &'a Selection,
    calls: u32,
}

/// What the peer says otherwise of a range of time. `own`: the sum of the own ledger over it.
pub(super) async fn differences(
    closets: &Arc<Closets>,
    row: &Arc<NodeRow>,
    window: (u64, u64),
    selection: &Selection,
    own: Sum,
) -> Result<Vec<Difference>, Stop> {
    let mut conversation = Conversation {
        closets,
        row,
        window,
        selection,
        calls: 0,
    };
    let whole = Range::of_time(window.0, window.1);
    let differences = if selection.unanswered {
        comparing::walk(&mut conversation, selection.asked_by_us, whole, own).await
    } else {
        comparing::bisect(&mut conversation, whole, own).await
    }?;
    if !differences.is_empty() {
        tracing::info!(
            peer = %row.id,
            asked_by_us = selection.asked_by_us,
            unanswered = selection.unanswered,
            differences = differences.len(),
            calls = conversation.calls,
            "exchanges of a window are held otherwise by the peer"
        );
    }
    Ok(differences)
}

impl Sides for Conversation<'_> {
    async fn own(&self, range: &Range, items_max: usize) -> Result<Survey, Stop> {
        let (ledger, selection, range) = (self.closets.ledger.clone(), self.selection.clone(), *range);
        let survey = tokio::task::spawn_blocking(move || pairing::survey(&ledger, &selection, &range, items_max));
        let survey = survey.await.map_err(|error| Stop::Away(error.to_string()))?;
        survey.map_err(|error| Stop::Away(error.to_string()))
    }

    async fn ask(&mut self, range: &Range) -> Result<Told, Stop> {
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(contradiction("a comparison comes to no end"));
        }
        let is_whole = *range == Range::of_time(self.window.0, self.window.1);
        let bound = |id: &ExchangeId| {
            if is_whole {
                Bytes::new()
            } else {
                Bytes::copy_from_slice(id.as_bytes())
            }
        };
        let request = ReconcileRequest {
            from_ms: self.window.0,
            until_ms: self.window.1,
            asked_by_caller: self.selection.asked_by_us,
            low: bound(&range.low),
            high: bound(&range.high),
            unanswered: self.selection.unanswered,
        };
        let asked = self.closets.peers.reconcile(self.closets.as_ref(), self.row, &request);
        let response = asked.await.map_err(away)?;
        form::told(&response, range, self.selection.unanswered).map_err(contradiction)
    }
}

/// Why a peer could not be asked, or does not answer.
pub(super) fn away(error: PeerError) -> Stop {
    Stop::Away(match error {
        PeerError::Unsent(text) | PeerError::Broken(text) => text,
        PeerError::Refused(fault) | PeerError::TooLarge(fault) => fault.to_string(),
    })
}
