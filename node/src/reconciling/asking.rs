//! The conversation with one peer about one range of time: what is asked, and the form that an answer must have.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::{ReconcileRequest, ReconcileResponse};

use super::comparing::{self, Difference, LISTED_MAX, PAGE_MAX, Sides, Stop, Told, contradiction};
use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::pairing::{self, Item, Range, Selection, Sum, Survey};
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
        check(&response, range, self.selection.unanswered)
    }
}

/// The form of an answer: items of the range, in order, each once, as many as there must be, under their root.
fn check(response: &ReconcileResponse, range: &Range, unanswered: bool) -> Result<Told, Stop> {
    let root = response.root.as_ref().try_into();
    let items: Option<Vec<Item>> = response.items.iter().map(Item::parse).collect();
    let (Ok(root), Some(items)) = (root, items) else {
        return Err(contradiction("an answer is out of form"));
    };
    let sum = Sum {
        count: response.count,
        root,
    };
    let listed = match (unanswered, usize::try_from(sum.count)) {
        (true, count) => count.map_or(PAGE_MAX, |count| count.min(PAGE_MAX)),
        (false, Ok(count)) if count <= LISTED_MAX => count,
        (false, _) => 0,
    };
    let ordered = items.is_sorted_by(|one, next| one.exchange < next.exchange);
    if items.len() != listed || !ordered || !items.iter().all(|item| range.holds(&item.exchange)) {
        return Err(contradiction("an answer lists other exchanges than it counts"));
    }
    if items.len() as u64 == sum.count && Sum::of(&items) != sum {
        return Err(contradiction("an answer lists other exchanges than its root holds"));
    }
    Ok(Told { sum, items })
}

/// Why a peer could not be asked, or does not answer.
pub(super) fn away(error: PeerError) -> Stop {
    Stop::Away(match error {
        PeerError::Unsent(text) | PeerError::Broken(text) => text,
        PeerError::Refused(fault) | PeerError::TooLarge(fault) => fault.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(count: u64) -> ReconcileResponse {
        let items: Vec<Item> = (0..count)
            .map(|nth| Item {
                exchange: ExchangeId::new_v7((10 + nth) * 1_000, [1; 10]),
                asked: [1; 32],
                closing: Some([2; 32]),
            })
            .collect();
        ReconcileResponse {
            count,
            root: Bytes::copy_from_slice(&Sum::of(&items).root),
            items: items.iter().map(Item::wire).collect(),
            open: false,
        }
    }

    #[test]
    fn answers_out_of_form_are_refused() {
        let range = Range::of_time(10, 100);
        assert!(check(&answer(3), &range, false).is_ok() && check(&answer(3), &range, true).is_ok());
        assert!(check(&answer(0), &range, false).is_ok());
        let breaks: [fn(&mut ReconcileResponse); 8] = [
            |answer| answer.count += 1,
            |answer| answer.count = u64::MAX,
            |answer| answer.root = Bytes::new(),
            |answer| answer.root = Bytes::from_static(&[7; 32]),
            |answer| answer.items.swap(0, 1),
            |answer| drop(answer.items.pop()),
            |answer| answer.items[1] = answer.items[0].clone(),
            |answer| answer.items[0].asked = Bytes::new(),
        ];
        for (at, break_it) in breaks.iter().enumerate() {
            let mut broken = answer(3);
            break_it(&mut broken);
            for unanswered in [false, true] {
                assert!(check(&broken, &range, unanswered).is_err(), "{at}");
            }
        }
        assert!(
            check(&answer(3), &Range::of_time(11, 100), false).is_err(),
            "outside of the range"
        );
        // Too many to be listed: items are not looked at, and must not be there.
        let mut many = answer(65);
        assert!(check(&many, &range, false).is_err());
        many.items.clear();
        assert!(check(&many, &range, false).is_ok());
        assert!(check(&many, &range, true).is_err());
    }
}
