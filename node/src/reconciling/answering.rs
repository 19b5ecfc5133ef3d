//! What this node tells a peer of their exchanges.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use jisr_proto::ident::NodeId;
use jisr_proto::peer::{ReconcileRequest, ReconcileResponse};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::form::{self, LISTED_MAX, PAGE_MAX};
use crate::pairing::{self, Item, Range, Selection, Survey};

/// Rows that are read for one peer in a minute, before the last call of it.
const ROWS_PER_MINUTE: u64 = 2_000_000;
const MINUTE_US: u64 = 60_000_000;

/// Tells a peer what this ledger holds of their exchanges in a range.
pub(crate) async fn answer(
    closets: &Arc<Closets>,
    peer: &NodeId,
    request: ReconcileRequest,
) -> Result<ReconcileResponse, Fault> {
    let now = closets.now_us();
    closets.lookups.spend(peer, now)?;
    spend_rows(closets, peer, now / MINUTE_US, 0)?;
    let range = form::window(&request, (now + closets.config.limits.skew_us) / 1000)?;
    let view = closets.directory.current(now)?;
    let row = view.node(peer);
    let row = row.ok_or_else(|| Fault::new(Reason::OriginUnlisted, format!("{peer} is not listed")))?;
    let selection = Selection {
        peer: row.origin.clone(),
        asked_by_us: !request.asked_by_caller,
        unanswered: request.unanswered,
    };
    closets.reconciling.asked_by(&row.origin);
    let is_whole = request.low.is_empty() && request.high.is_empty();
    let looking = Arc::clone(closets);
    let surveyed = tokio::task::spawn_blocking(move || look(&looking, &selection, &range, is_whole)).await;
    let survey = surveyed
        .map_err(|_| Fault::new(Reason::Internal, "see the node's log"))?
        .map_err(|error| Fault::new(Reason::LedgerUnavailable, error.to_string()))?;
    let _ = spend_rows(closets, peer, now / MINUTE_US, survey.rows);
    Ok(ReconcileResponse {
        count: survey.sum.count,
        root: Bytes::copy_from_slice(&survey.sum.root),
        items: survey.items.iter().map(Item::wire).collect(),
        open: survey.open,
    })
}

/// A whole window is summed up once for all peers that ask; only where its items are to be listed is it read for one.
fn look(
    closets: &Closets,
    selection: &Selection,
    range: &Range,
    is_whole: bool,
) -> Result<Survey, jisr_ledger::ledger::ReadError> {
    let mut rows = 0;
    if is_whole && !selection.unanswered {
        let (sums, read) = closets.reconciling.sums(&closets.ledger, range)?;
        rows = read;
        if let Some(sum) = sums.get(selection).filter(|sum| sum.count > LISTED_MAX as u64) {
            return Ok(Survey {
                sum: sum.clone(),
                items: Vec::new(),
                open: false,
                rows,
            });
        }
    }
    let listed = if selection.unanswered { PAGE_MAX } else { LISTED_MAX + 1 };
    let mut survey = pairing::survey(&closets.ledger, selection, range, listed)?;
    if !selection.unanswered && survey.items.len() > LISTED_MAX {
        survey.items.clear();
    }
    survey.rows += rows;
    Ok(survey)
}

/// Counts rows that were read for a peer; refuses one for whom enough were read in this minute.
fn spend_rows(closets: &Closets, peer: &NodeId, minute: u64, rows: u64) -> Result<(), Fault> {
    let mut all = closets.reconciling.rows.lock().unwrap_or_else(PoisonError::into_inner);
    let (of, read) = all.entry(peer.clone()).or_default();
    if *of != minute {
        (*of, *read) = (minute, 0);
    }
    *read = read.saturating_add(rows);
    if *read <= ROWS_PER_MINUTE {
        return Ok(());
    }
    let detail = format!("{read} rows were read for {peer} in this minute");
    Err(Fault::new(Reason::ProofBudget, detail))
}
