//! The provider's table of answers whose receipt has not come yet. In memory; built again from the ledger at start.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::Hash;
use jisr_proto::ident::{ExchangeId, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Finding, FindingKind};
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::doors::Stopped;
use crate::form::RECEIPTS_MAX;

/// Answers remembered of one consumer's node where the configuration sets no limit; older ones are forgotten.
const REMEMBERED_MAX: usize = 1 << 20;
/// Receipts kept last that are remembered of one node: more than one call brings.
const KEPT_MAX: usize = 2 * RECEIPTS_MAX;
/// Exchanges that one finding names.
const NAMED_MAX: usize = 256;
/// Between two findings about one consumer's node, at most.
const FINDING_EVERY: Duration = Duration::from_secs(60);

/// An own statement for which a receipt is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Where it stands.
    pub index: u64,
    /// Its leaf input.
    pub leaf: Hash,
}

#[derive(Debug)]
struct Account {
    row: Arc<NodeRow>,
    /// The own ANSWERED.
    due: HashMap<ExchangeId, Answered>,
    /// Indexes of the statements whose receipts were kept last: those may not be found in the ledger yet.
    kept: VecDeque<u64>,
    /// When they were answered, oldest first; those that were paid or missed are taken out from the front.
    since: VecDeque<(u64, ExchangeId)>,
    /// When missing receipts were last reported, microseconds.
    reported_us: u64,
}

/// Receipts that are missing now, of one consumer's node.
#[derive(Debug)]
struct Missing {
    row: Arc<NodeRow>,
    exchanges: Vec<ExchangeId>,
    from_us: u64,
    until_us: u64,
}

/// Receipts that consumers owe.
#[derive(Debug)]
pub(crate) struct OwedReceipts {
    /// Of one consumer's node; 0: no limit.
    limit: u64,
    accounts: Mutex<HashMap<NodeId, Account>>,
}

impl OwedReceipts {
    /// Nothing is owed. `limit`: how much one consumer's node may owe; 0: any number.
    pub(crate) fn new(limit: u64) -> OwedReceipts {
        OwedReceipts {
            limit,
            accounts: Mutex::default(),
        }
    }

    /// The exchange was answered with this statement: its receipt is owed.
    pub(crate) fn note(&self, from: &Arc<NodeRow>, exchange: ExchangeId, answered: Answered, now_us: u64) {
        let mut accounts = self.lock();
        let Some(account) = account(&mut accounts, from) else {
            return;
        };
        if !Arc::ptr_eq(&account.row, from) {
            account.row = Arc::clone(from);
        }
        account.due.insert(exchange, answered);
        account.since.push_back((now_us, exchange));
        while let Some((_, oldest)) = account.since.front() {
            if account.since.len() > REMEMBERED_MAX {
                account.due.remove(oldest);
            } else if account.due.contains_key(oldest) {
                break;
            }
            account.since.pop_front();
        }
    }

    /// Whether this node's questions are taken on.
    pub(crate) fn admits(&self, from: &NodeId) -> Result<(), Fault> {
        if self.limit == 0 {
            return Ok(());
        }
        let owed = self.by(from);
        if owed < self.limit {
            return Ok(());
        }
        let detail = format!("{from} owes {owed} receipts, {} are permitted", self.limit);
        Err(Fault::new(Reason::ReceiptsOwed, detail))
    }

    /// The statement whose receipt is owed for this exchange.
    pub(super) fn due(&self, from: &NodeId, exchange: &ExchangeId) -> Option<Answered> {
        self.lock().get(from)?.due.get(exchange).copied()
    }

    /// The receipt for the statement with this index is on its way into the own ledger.
    pub(super) fn kept(&self, from: &Arc<NodeRow>, index: u64) {
        if let Some(account) = account(&mut self.lock(), from) {
            account.kept.push_back(index);
            if account.kept.len() > KEPT_MAX {
                account.kept.pop_front();
            }
        }
    }

    /// Whether that was so lately.
    pub(super) fn is_kept(&self, from: &NodeId, index: u64) -> bool {
        let accounts = self.lock();
        accounts.get(from).is_some_and(|account| account.kept.contains(&index))
    }

    /// The receipt stands in the own ledger.
    pub(super) fn paid(&self, from: &NodeId, exchange: &ExchangeId) {
        if let Some(account) = self.lock().get_mut(from) {
            account.due.remove(exchange);
        }
    }

    /// How many this node owes.
    pub(crate) fn by(&self, from: &NodeId) -> u64 {
        self.lock().get(from).map_or(0, |account| account.due.len() as u64)
    }

    /// How many all owe.
    pub(crate) fn total(&self) -> u64 {
        self.lock().values().map(|account| account.due.len() as u64).sum()
    }

    /// What has been owed for `after_us` and was not reported yet, of each node at most once in `every_us`.
    fn missing(&self, now_us: u64, after_us: u64, every_us: u64) -> Vec<Missing> {
        let mut missing = Vec::new();
        for account in self.lock().values_mut() {
            if now_us < account.reported_us.saturating_add(every_us) {
                continue;
            }
            let late = |since: u64| since.saturating_add(after_us) <= now_us;
            let mut exchanges = Vec::new();
            let (mut from_us, mut until_us) = (u64::MAX, 0);
            while let Some((since, exchange)) = account.since.front().copied().filter(|(since, _)| late(*since)) {
                account.since.pop_front();
                if account.due.contains_key(&exchange) {
                    from_us = from_us.min(since);
                    until_us = until_us.max(since);
                    exchanges.push(exchange);
                }
            }
            if !exchanges.is_empty() {
                account.reported_us = now_us;
                missing.push(Missing {
                    row: Arc::clone(&account.row),
                    exchanges,
                    from_us,
                    until_us,
                });
            }
        }
        missing
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account of a node; a new one where there is none yet.
fn account<'a>(accounts: &'a mut HashMap<NodeId, Account>, from: &Arc<NodeRow>) -> Option<&'a mut Account> {
    // No copy of the name for all but the first.
    if !accounts.contains_key(&from.id) {
        let account = Account {
            row: Arc::clone(from),
            due: HashMap::new(),
            kept: VecDeque::new(),
            since: VecDeque::new(),
            reported_us: 0,
        };
        accounts.insert(from.id.clone(), account);
    }
    accounts.get_mut(&from.id)
}

impl Missing {
    fn finding(mut self, after: Duration) -> Finding {
        self.exchanges.sort_unstable();
        self.exchanges.dedup();
        let count = self.exchanges.len();
        let text = format!(
            "{} did not send the receipts of {count} answered exchanges within {} s",
            self.row.id,
            after.as_secs()
        );
        let named = self.exchanges.iter().take(NAMED_MAX);
        Finding {
            kind: FindingKind::ReceiptsMissing.into(),
            origin: self.row.origin.to_string(),
            exchanges: named.map(|id| Bytes::copy_from_slice(id.as_bytes())).collect(),
            count: if count > NAMED_MAX { count as u64 } else { 0 },
            from_us: self.from_us,
            until_us: self.until_us,
            text,
            ..Finding::default()
        }
    }
}

/// Looks now and then for receipts that are missing, until `stopped`.
pub(crate) async fn mind(closets: Arc<Closets>, mut stopped: Stopped) {
    let after = closets.config.receipts.missing;
    let every = FINDING_EVERY.min(after);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    loop {
        tokio::select! {
            () = tokio::time::sleep(every / 6) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let missing = closets
            .receipts_owed
            .missing(closets.now_us(), micros(after), micros(every));
        for missing in missing {
            closets.findings.found(missing.finding(after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tests::row;

    const S: u64 = 1_000_000;

    fn id(nth: u64) -> ExchangeId {
        ExchangeId::new_v7(nth * 1_000, [7; 10])
    }

    fn answered(nth: u64) -> Answered {
        Answered {
            index: nth,
            leaf: [7; 32],
        }
    }

    fn owing(limit: u64, count: u64) -> (OwedReceipts, Arc<NodeRow>) {
        let (owed, row) = (OwedReceipts::new(limit), Arc::new(row("JO/GOV/mol/node/node1", 1)));
        for nth in 0..count {
            owed.note(&row, id(nth), answered(nth), S);
        }
        (owed, row)
    }

    #[test]
    fn who_owes_too_much_is_refused_until_it_pays() {
        let (owed, row) = owing(3, 3);
        assert_eq!(owed.admits(&row.id).unwrap_err().reason, Reason::ReceiptsOwed);
        assert!(owed.admits(&"JO/GOV/psd/node/node1".parse().unwrap()).is_ok());
        owed.paid(&row.id, &id(1));
        assert!(owed.admits(&row.id).is_ok());
        assert_eq!((owed.by(&row.id), owed.total()), (2, 2));
        assert!(owing(0, 100).0.admits(&row.id).is_ok());
    }

    #[test]
    fn what_is_missing_is_reported_once_and_not_more_often_than_asked_for() {
        let (owed, row) = owing(0, 300);
        owed.paid(&row.id, &id(299));
        assert!(owed.missing(60 * S, 60 * S, 60 * S).is_empty(), "not yet");
        let found = owed.missing(61 * S, 60 * S, 60 * S).pop().unwrap();
        let finding = found.finding(Duration::from_secs(60));
        assert_eq!((finding.exchanges.len(), finding.count), (256, 299));
        assert!(finding.exchanges.is_sorted());
        assert_eq!((finding.from_us, finding.until_us), (S, S));
        owed.note(&row, id(900), answered(900), 2 * S);
        assert!(owed.missing(70 * S, 60 * S, 60 * S).is_empty(), "within the minute");
        let found = owed.missing(121 * S, 60 * S, 60 * S).pop().unwrap();
        assert_eq!(found.exchanges, [id(900)]);
        assert!(owed.missing(999 * S, 60 * S, 60 * S).is_empty(), "reported before");
        assert_eq!(owed.due(&row.id, &id(900)), Some(answered(900)), "still owed");
    }

    #[test]
    fn what_was_paid_in_order_takes_no_room() {
        let (owed, row) = owing(0, 0);
        for nth in 0..10_000 {
            owed.note(&row, id(nth), answered(nth), S);
            owed.paid(&row.id, &id(nth));
        }
        let accounts = owed.lock();
        let account = accounts.get(&row.id).unwrap();
        assert!(account.due.is_empty() && account.since.len() <= 1);
    }
}
