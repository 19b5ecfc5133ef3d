//! Which exchanges a set is about.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use jisr_ledger::Hash;
use jisr_ledger::evidence::utc;
use jisr_ledger::ledger::{Found, ReadError};
use jisr_proto::admin::ExchangeFilter;
use jisr_proto::ident::{ExchangeId, MemberId};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::roles;

/// The exchanges for which everything holds that the filter sets, in the order of their ids, at most `limit`.
///
/// # Errors
/// REQUEST_INVALID for a filter that sets nothing or is malformed, UNKNOWN_EXCHANGE where nothing was found,
/// SELECTION_TOO_LARGE where there is more than `limit`.
pub(super) async fn select(
    closets: &Arc<Closets>,
    filter: &ExchangeFilter,
    limit: usize,
) -> Result<Vec<ExchangeId>, Fault> {
    let (filter, reading) = (filter.clone(), Arc::clone(closets));
    let found = tokio::task::spawn_blocking(move || search(&reading, &filter, limit)).await;
    let found = found.map_err(|error| Fault::new(Reason::Internal, error.to_string()))??;
    if found.is_empty() {
        return Err(roles::unknown(
            &closets.config.data,
            "this node's ledger holds no exchange for which all of that holds".to_owned(),
        ));
    }
    if found.len() > limit {
        let detail =
            format!("more than {limit} exchanges are meant; set --from and --until closer, or a higher --limit");
        return Err(Fault::new(Reason::SelectionTooLarge, detail));
    }
    Ok(found.into_iter().collect())
}

fn search(closets: &Closets, filter: &ExchangeFilter, limit: usize) -> Result<BTreeSet<ExchangeId>, Fault> {
    let until_us = if filter.until_us == 0 {
        u64::MAX
    } else {
        filter.until_us
    };
    let time_us = filter.from_us..until_us;
    let mut sets = Vec::new();
    if !filter.exchanges.is_empty() {
        let ids = filter.exchanges.iter().map(|id| ExchangeId::try_from(id.as_ref()));
        let ids: Result<BTreeSet<ExchangeId>, _> = ids.collect();
        sets.push(ids.map_err(|error| Fault::new(Reason::ExchangeIdInvalid, error.to_string()))?);
    }
    // Where a second condition follows, the first must be known whole.
    let pseudonyms = pseudonyms(closets, filter);
    let conditions = pseudonyms.len() + usize::from(!filter.peer.is_empty()) + sets.len();
    let most = if conditions > 1 {
        usize::MAX
    } else {
        limit.saturating_add(1)
    };
    for pseudonym in pseudonyms {
        sets.push(all(closets.ledger.by_pseudonym(&pseudonym, time_us.clone(), most))?);
    }
    if !filter.peer.is_empty() {
        let member: MemberId = filter
            .peer
            .parse()
            .map_err(|error| Fault::new(Reason::UnknownMember, format!("{error}")))?;
        sets.push(all(closets.ledger.by_peer(&member, time_us.clone(), most))?);
    }
    if sets.is_empty() || (conditions == 1 && !filter.exchanges.is_empty() && is_bounded(&time_us)) {
        if !is_bounded(&time_us) {
            let detail = "nothing says which exchanges are meant: name a case, a person, a peer, a time or exchanges";
            return Err(Fault::new(Reason::RequestInvalid, detail));
        }
        sets.push(all(closets.ledger.by_time(time_us, most))?);
    }
    let mut sets = sets.into_iter();
    let first = sets.next().unwrap_or_default();
    Ok(sets.fold(first, |kept, next| kept.intersection(&next).copied().collect()))
}

fn is_bounded(time_us: &Range<u64>) -> bool {
    time_us.start > 0 || time_us.end < u64::MAX
}

/// The pseudonyms under which the index has the person and the case.
fn pseudonyms(closets: &Closets, filter: &ExchangeFilter) -> Vec<Hash> {
    let subject = filter.subject.iter();
    let mut pseudonyms: Vec<Hash> = subject
        .map(|subject| closets.ledger.subject_pseudonym(subject.kind, &subject.value))
        .collect();
    if !filter.case_reference.is_empty() {
        pseudonyms.push(closets.ledger.case_pseudonym(&filter.case_reference));
    }
    pseudonyms
}

fn all(found: Result<Found, ReadError>) -> Result<BTreeSet<ExchangeId>, Fault> {
    match found {
        Ok(found) => Ok(found.exchanges.into_iter().collect()),
        Err(error) => Err(Fault::new(Reason::LedgerUnavailable, error.to_string())),
    }
}

/// What was asked for, in words. The person and the case are not named: the file may go to somebody who is to see neither.
pub(super) fn title(filter: &ExchangeFilter, count: usize) -> String {
    let mut of = Vec::new();
    if filter.subject.is_some() {
        of.push("about one person".to_owned());
    }
    if !filter.case_reference.is_empty() {
        of.push("of one case".to_owned());
    }
    if !filter.peer.is_empty() {
        of.push(format!("with {}", filter.peer));
    }
    if filter.from_us > 0 {
        of.push(format!("from {} on", utc(filter.from_us)));
    }
    if filter.until_us > 0 {
        of.push(format!("before {}", utc(filter.until_us)));
    }
    if !filter.exchanges.is_empty() {
        of.push("by their ids".to_owned());
    }
    format!("{count} exchanges {}", of.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_for_people_and_names_neither_person_nor_case() {
        let filter = ExchangeFilter {
            case_reference: "ق-1".to_owned(),
            from_us: 1_795_467_600_000_000,
            until_us: 1_795_471_200_000_000,
            ..ExchangeFilter::default()
        };
        assert_eq!(
            title(&filter, 2),
            "2 exchanges of one case, from 2026-11-23T21:00:00Z on, before 2026-11-23T22:00:00Z"
        );
    }
}
