//! The conversation with one peer about one range: equal sums end it, otherwise the ids are halved until few are left, and
//! those are compared one by one. Work is bounded whatever the peer says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::{ReconcileRequest, ReconcileResponse};

use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::pairing::{self, Item, Range, Selection, Sum, Survey};
use crate::peers::PeerError;

/// So many answered exchanges are listed by their items; more are halved.
pub(super) const LISTED_MAX: usize = 64;
/// So many unanswered exchanges come at once.
pub(super) const PAGE_MAX: usize = 1024;
/// Calls in one comparison; a peer that needs more contradicts itself in some way that is not worth finding.
const CALLS_MAX: u32 = 4096;
/// Differences that are judged in one comparison: more add nothing to what a finding says.
const DIFFERENCES_MAX: usize = 4096;
/// How long a peer may take over one range.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Why a comparison ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The peer cannot be asked now, or this node cannot.
    Away(String),
    /// The peer says what does not hold together. An exchange that began meanwhile can look so, too.
    Contradiction(String),
}

/// An exchange of which the two sides say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The exchange.
    pub exchange: ExchangeId,
    /// What this ledger holds.
    pub ours: Option<Item>,
    /// What the peer says that it holds.
    pub theirs: Option<Item>,
}

/// What the peer said of a range, in form.
struct Told {
    sum: Sum,
    items: Vec<Item>,
}

struct Conversation<'a> {
    closets: &'a Arc<Closets>,
    row: &'a Arc<NodeRow>,
    window: (u64, u64),
    selection: &'a Selection,
    calls: u32,
}

/// Compares a range. `own`: the sum of the own ledger over it.
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
    let differences = if selection.unanswered {
        conversation.walk(own).await
    } else {
        conversation.bisect(own).await
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

impl Conversation<'_> {
    /// Answered exchanges: halves what differs until it is listed.
    async fn bisect(&mut self, own: Sum) -> Result<Vec<Difference>, Stop> {
        let whole = Range::of_time(self.window.0, self.window.1);
        let mut found = Vec::new();
        let mut parts = vec![(whole, own, self.ask(&whole, true).await?)];
        while let Some((range, own, told)) = parts.pop() {
            if own == told.sum {
                continue;
            }
            if told.sum.count <= LISTED_MAX as u64 {
                let survey = self.own(&range, DIFFERENCES_MAX).await?;
                if survey.sum != told.sum {
                    differ(&survey.items, &told.items, &mut found);
                }
                if found.len() >= DIFFERENCES_MAX {
                    break;
                }
                continue;
            }
            let Some((lower, upper)) = range.halves() else {
                return Err(self.contradiction("there are more exchanges than ids"));
            };
            let (told_lower, told_upper) = (self.ask(&lower, false).await?, self.ask(&upper, false).await?);
            if told_lower.sum.count.checked_add(told_upper.sum.count) != Some(told.sum.count) {
                return Err(self.contradiction("parts of a window do not add up to it"));
            }
            parts.push((upper, self.own(&upper, 0).await?.sum, told_upper));
            parts.push((lower, self.own(&lower, 0).await?.sum, told_lower));
        }
        Ok(found)
    }

    /// Unanswered exchanges: reads through what the peer lists. Few come to that, and of those most differ honestly: a consumer
    /// that gave up holds nothing of what the provider said afterwards.
    async fn walk(&mut self, own: Sum) -> Result<Vec<Difference>, Stop> {
        let whole = Range::of_time(self.window.0, self.window.1);
        let mut found = Vec::new();
        let mut rest = Some(whole);
        while let Some(range) = rest {
            let told = self.ask(&range, range == whole).await?;
            if range == whole && told.sum == own {
                break;
            }
            let is_last = told.items.len() as u64 == told.sum.count;
            let end = told.items.last().map(|item| item.exchange).filter(|_| !is_last);
            let page = end.map_or(range, |end| range.up_to(&end));
            let survey = self.own(&page, DIFFERENCES_MAX + PAGE_MAX).await?;
            let mut differences = Vec::new();
            differ(&survey.items, &told.items, &mut differences);
            found.extend(differences.into_iter().filter(|one| self.is_telling(one)));
            if found.len() >= DIFFERENCES_MAX {
                break;
            }
            rest = end.and_then(|end| range.after(&end));
        }
        Ok(found)
    }

    /// Whether a difference of an unanswered exchange says anything. The consumer's word without a provider's statement does
    /// not: it asked, and what came of that it does not know.
    fn is_telling(&self, difference: &Difference) -> bool {
        let (consumer, provider) = if self.selection.asked_by_us {
            (&difference.ours, &difference.theirs)
        } else {
            (&difference.theirs, &difference.ours)
        };
        match (consumer, provider) {
            (Some(consumer), None) => consumer.closing.is_some(),
            (Some(consumer), Some(provider)) => consumer.closing.is_some() || consumer.asked != provider.asked,
            (None, _) => true,
        }
    }

    async fn own(&self, range: &Range, items_max: usize) -> Result<Survey, Stop> {
        let (ledger, selection, range) = (self.closets.ledger.clone(), self.selection.clone(), *range);
        let survey = tokio::task::spawn_blocking(move || pairing::survey(&ledger, &selection, &range, items_max));
        let survey = survey.await.map_err(|error| Stop::Away(error.to_string()))?;
        survey.map_err(|error| Stop::Away(error.to_string()))
    }

    async fn ask(&mut self, range: &Range, is_whole: bool) -> Result<Told, Stop> {
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(self.contradiction("a comparison comes to no end"));
        }
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
        let response = tokio::time::timeout(ANSWER_WAIT, asked)
            .await
            .map_err(|_| Stop::Away("no answer came in time".to_owned()))?
            .map_err(away)?;
        self.check(range, &response)
    }

    /// The form of an answer: items of the range, in order, each once, as many as there must be, under their root.
    fn check(&self, range: &Range, response: &ReconcileResponse) -> Result<Told, Stop> {
        let root = response.root.as_ref().try_into();
        let items: Option<Vec<Item>> = response.items.iter().map(Item::parse).collect();
        let (Ok(root), Some(items)) = (root, items) else {
            return Err(self.contradiction("an answer is out of form"));
        };
        let sum = Sum {
            count: response.count,
            root,
        };
        let listed = match (self.selection.unanswered, usize::try_from(sum.count)) {
            (true, count) => count.map_or(PAGE_MAX, |count| count.min(PAGE_MAX)),
            (false, Ok(count)) if count <= LISTED_MAX => count,
            (false, _) => 0,
        };
        let ordered = items.is_sorted_by(|one, next| one.exchange < next.exchange);
        if items.len() != listed || !ordered || !items.iter().all(|item| range.holds(&item.exchange)) {
            return Err(self.contradiction("an answer lists other exchanges than it counts"));
        }
        if items.len() as u64 == sum.count && Sum::of(&items) != sum {
            return Err(self.contradiction("an answer lists other exchanges than its root holds"));
        }
        Ok(Told { sum, items })
    }

    fn contradiction(&self, text: &str) -> Stop {
        Stop::Contradiction(format!("{}: {text}", self.row.id))
    }
}

/// Why a peer could not be asked, or does not answer.
pub(super) fn away(error: PeerError) -> Stop {
    Stop::Away(match error {
        PeerError::Unsent(text) | PeerError::Broken(text) => text,
        PeerError::Refused(fault) | PeerError::TooLarge(fault) => fault.to_string(),
    })
}

/// Appends what two lists in order of their ids hold differently.
fn differ(ours: &[Item], theirs: &[Item], found: &mut Vec<Difference>) {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        let exchange = match (ours.peek(), theirs.peek()) {
            (None, None) => return,
            (Some(one), None) | (None, Some(one)) => one.exchange,
            (Some(one), Some(other)) => one.exchange.min(other.exchange),
        };
        let one = ours.next_if(|item| item.exchange == exchange).copied();
        let other = theirs.next_if(|item| item.exchange == exchange).copied();
        if one != other {
            found.push(Difference {
                exchange,
                ours: one,
                theirs: other,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(nth: u64, leaf: u8) -> Item {
        Item {
            exchange: ExchangeId::new_v7(nth * 1_000, [1; 10]),
            asked: [leaf; 32],
            closing: Some([9; 32]),
        }
    }

    #[test]
    fn lists_differ_in_what_one_lacks_and_in_what_both_hold_otherwise() {
        let ours = [item(1, 1), item(2, 1), item(4, 1), item(5, 1)];
        let theirs = [item(1, 1), item(2, 2), item(3, 1), item(5, 1), item(6, 1)];
        let mut found = Vec::new();
        differ(&ours, &theirs, &mut found);
        let sides: Vec<_> = found
            .iter()
            .map(|one| (one.exchange.time_ms(), one.ours.is_some(), one.theirs.is_some()))
            .collect();
        assert_eq!(
            sides,
            [(2, true, true), (3, false, true), (4, true, false), (6, false, true)]
        );
    }
}
