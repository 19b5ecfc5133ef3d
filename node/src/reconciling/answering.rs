//! What this node tells a peer of their exchanges.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use jisr_proto::ident::{ExchangeId, NodeId};
use jisr_proto::peer::{ReconcileRequest, ReconcileResponse};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use super::CHUNK_MS;
use super::comparing::{LISTED_MAX, PAGE_MAX};
use crate::closets::Closets;
use crate::pairing::{self, Item, Range, Selection, Survey};

/// Longest time that is answered for at once: what peers with longer windows compare.
const SPAN_MS_MAX: u64 = 2 * CHUNK_MS;
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
    let range = range(&request, (now + closets.config.limits.skew_us) / 1000)?;
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

fn range(request: &ReconcileRequest, newest_ms: u64) -> Result<Range, Fault> {
    let malformed = |detail: String| Fault::new(Reason::MalformedFrame, detail);
    let (from, until) = (request.from_ms, request.until_ms);
    if from >= until || until - from > SPAN_MS_MAX || until > newest_ms {
        return Err(malformed(format!(
            "a window lies in the past and is at most {} s long",
            SPAN_MS_MAX / 1000
        )));
    }
    let window = Range::of_time(from, until);
    let bound = |bytes: &Bytes, default: ExchangeId| {
        if bytes.is_empty() {
            return Ok(default);
        }
        ExchangeId::try_from(bytes.as_ref()).map_err(|error| malformed(error.to_string()))
    };
    let range = Range {
        low: bound(&request.low, window.low)?,
        high: bound(&request.high, window.high)?,
    };
    if !window.holds(&range.low) || !window.holds(&range.high) || range.low > range.high {
        return Err(malformed("the ids lie outside of the window".to_owned()));
    }
    Ok(range)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_bounds_that_cannot_be_meant_are_refused() {
        let good = ReconcileRequest {
            from_ms: 600_000,
            until_ms: 1_200_000,
            ..Default::default()
        };
        assert_eq!(range(&good, 2_000_000).unwrap(), Range::of_time(600_000, 1_200_000));
        let breaks: [fn(&mut ReconcileRequest); 6] = [
            |request| request.from_ms = request.until_ms,
            |request| request.until_ms = u64::MAX,
            |request| request.until_ms = 2_000_001,
            |request| request.low = Bytes::from_static(&[0; 16]),
            |request| request.low = Bytes::from_static(&[1; 3]),
            |request| {
                request.low = Bytes::copy_from_slice(ExchangeId::new_v7(900_000_000, [0; 10]).as_bytes());
                request.high = Bytes::copy_from_slice(ExchangeId::new_v7(800_000_000, [0; 10]).as_bytes());
            },
        ];
        for (at, break_it) in breaks.iter().enumerate() {
            let mut request = good.clone();
            break_it(&mut request);
            assert_eq!(
                range(&request, 2_000_000).unwrap_err().reason,
                Reason::MalformedFrame,
                "{at}"
            );
        }
    }
}
