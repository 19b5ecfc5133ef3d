//! The debts of one ledger.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::Hash;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::INDEXES_MAX;
use crate::directory::NodeRow;

/// Seals remembered for one peer; the others are proven when evidence is made.
const OWED_MAX: usize = 65_536;

/// A seal whose final proof is owed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub index: u64,
    pub leaf: Hash,
    /// When it was noted, by the time for which a quorum was within reach, milliseconds.
    pub since_ms: u64,
    /// Of an exchange of the highest evidence class.
    pub high: bool,
}

#[derive(Debug)]
pub(super) struct Account {
    pub row: Arc<NodeRow>,
    pub due: VecDeque<Due>,
    /// Size and note of the newest checkpoint seen.
    pub newest: (u64, Bytes),
    /// Seals seen since the start.
    pub seen: u64,
    /// When the newest seal was noted, as in [`Due::since_ms`].
    pub newest_ms: u64,
    /// When it was last found unproven, as in [`Due::since_ms`].
    pub found_ms: Option<u64>,
}

impl Account {
    pub(super) fn new(row: Arc<NodeRow>) -> Account {
        Account {
            row,
            due: VecDeque::new(),
            newest: (0, Bytes::new()),
            seen: 0,
            newest_ms: 0,
            found_ms: None,
        }
    }

    /// Whether a finding about it is to be written down: whoever owes and pays by turns does not fill this ledger.
    pub(super) fn is_to_be_found(&mut self, now_ms: u64, limit_ms: u64) -> bool {
        let after_ms = limit_ms.saturating_mul(FOUND_FACTOR);
        let is_due = self
            .found_ms
            .is_none_or(|found_ms| now_ms.saturating_sub(found_ms) >= after_ms);
        if is_due {
            self.found_ms = Some(now_ms);
        }
        is_due
    }

    pub(super) fn note(&mut self, due: Due, tree_size: u64, note: &Bytes) {
        self.seen += 1;
        self.newest_ms = due.since_ms;
        if tree_size > self.newest.0 {
            self.newest = (tree_size, note.clone());
        }
        if self.due.len() < OWED_MAX {
            self.due.push_back(due);
            return;
        }
        // Where there is no more room nobody can know which of his seals he will not have to prove.
        let mut drawn = [0; 8];
        let Ok(()) = SystemRandom::new().fill(&mut drawn) else {
            return;
        };
        let at = u64::from_be_bytes(drawn) % OWED_MAX as u64;
        if let Some(forgotten) = usize::try_from(at).ok().and_then(|at| self.due.get_mut(at)) {
            // It takes the place, not the time: whoever floods does not get longer.
            *forgotten = Due {
                since_ms: forgotten.since_ms,
                ..due
            };
        }
    }

    /// The next to be asked for: the oldest by index, after those below `from`.
    pub(super) fn next(&mut self, from: u64) -> Vec<Due> {
        // Nearly in order already, which a stable sort makes use of.
        self.due.make_contiguous().sort_by_key(|due| due.index);
        let begin = self.due.partition_point(|due| due.index < from);
        self.due.iter().skip(begin).take(INDEXES_MAX).copied().collect()
    }

    pub(super) fn pay(&mut self, paid: &HashSet<u64>) {
        self.due.retain(|due| !paid.contains(&due.index));
    }

    /// How long the oldest debt that counts is owed, and how many such debts there are. Debts of the highest class count where
    /// `high` is within reach; of one who cannot be reached and gives no more seals nothing counts before `silent_ms`.
    pub(super) fn overdue(&self, now_ms: u64, limits: &Limits) -> usize {
        let limit_ms = if limits.is_reached || self.is_giving(now_ms, limits.limit_ms) {
            limits.limit_ms
        } else {
            limits.limit_ms.saturating_mul(SILENT_FACTOR)
        };
        let counts = |due: &&Due| (limits.high || !due.high) && now_ms.saturating_sub(due.since_ms) > limit_ms;
        self.due.iter().filter(counts).count()
    }

    /// Whether it gave a seal within the last while.
    fn is_giving(&self, now_ms: u64, limit_ms: u64) -> bool {
        now_ms.saturating_sub(self.newest_ms) <= limit_ms
    }
}

/// A node that is switched off is given so many times the limit: nothing is lost by waiting, since it asks and answers nothing.
const SILENT_FACTOR: u64 = 6;

/// Between two findings about one ledger lies so many times the limit at least.
const FOUND_FACTOR: u64 = 60;

/// By what debts are judged.
#[derive(Debug)]
pub(super) struct Limits {
    /// How long a debt may be owed, milliseconds.
    pub limit_ms: u64,
    /// The debtor answers calls.
    pub is_reached: bool,
    /// This node reaches an operator beyond the registry and both parties itself.
    pub high: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tests::row;

    fn account(noted: &[(u64, u64, bool)]) -> Account {
        let mut account = Account::new(Arc::new(row("JO/GOV/psd/node/node1", 1)));
        for (index, since_ms, high) in noted {
            let due = Due {
                index: *index,
                leaf: [0; 32],
                since_ms: *since_ms,
                high: *high,
            };
            account.note(due, index + 1, &Bytes::from(vec![0]));
        }
        account
    }

    fn limits(is_reached: bool, high: bool) -> Limits {
        Limits {
            limit_ms: 10_000,
            is_reached,
            high,
        }
    }

    #[test]
    fn what_is_owed_longer_than_the_limit_is_overdue() {
        let account = account(&[(3, 0, false), (4, 5_000, false)]);
        assert_eq!(account.overdue(10_000, &limits(true, false)), 0);
        assert_eq!(account.overdue(10_001, &limits(true, false)), 1);
        assert_eq!(account.overdue(15_001, &limits(true, false)), 2);
    }

    #[test]
    fn a_flood_of_seals_hides_none_of_them_for_sure() {
        let mut account = account(&[]);
        let many = 2 * OWED_MAX as u64;
        for index in 0..many {
            let due = Due {
                index,
                leaf: [0; 32],
                since_ms: 5,
                high: false,
            };
            account.note(due, index + 1, &Bytes::from(vec![0]));
        }
        assert_eq!(account.due.len(), OWED_MAX);
        let late = account.due.iter().filter(|due| due.index >= OWED_MAX as u64).count();
        assert!((OWED_MAX / 2..OWED_MAX).contains(&late), "{late}");
        assert_eq!(account.overdue(10_006, &limits(true, false)), OWED_MAX);
    }

    #[test]
    fn the_highest_class_counts_only_where_it_can_be_reached() {
        let account = account(&[(3, 0, true)]);
        assert_eq!(account.overdue(10_001, &limits(true, false)), 0);
        assert_eq!(account.overdue(10_001, &limits(true, true)), 1);
    }

    #[test]
    fn whoever_is_switched_off_has_longer_but_not_whoever_goes_on_asking() {
        let silent = account(&[(3, 0, false)]);
        assert_eq!(silent.overdue(60_000, &limits(false, false)), 0);
        assert_eq!(silent.overdue(60_001, &limits(false, false)), 1);
        let asking = account(&[(3, 0, false), (9, 9_000, false)]);
        assert_eq!(asking.overdue(10_001, &limits(false, false)), 1);
    }

    #[test]
    fn whoever_owes_and_pays_by_turns_is_written_down_once_in_a_while() {
        let mut account = account(&[]);
        let found = (0..1_000)
            .filter(|second| account.is_to_be_found(second * 1_000, 10_000))
            .count();
        assert_eq!(found, 2);
    }

    #[test]
    fn debts_are_asked_for_in_order_and_paid_by_index() {
        let mut account = account(&[(9, 0, false), (3, 0, false), (5, 0, false)]);
        let indexes = |due: Vec<Due>| due.iter().map(|due| due.index).collect::<Vec<_>>();
        assert_eq!(indexes(account.next(0)), [3, 5, 9]);
        assert_eq!(indexes(account.next(4)), [5, 9]);
        account.pay(&HashSet::from([3, 9]));
        assert_eq!(indexes(account.next(0)), [5]);
        assert_eq!(account.newest.0, 10);
    }
}
