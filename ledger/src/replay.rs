//! Never twice: which exchanges this node has taken on and may not take on again.
//!
//! The set lives in memory and is entered before RECEIVED is appended, so that of two copies of one ASKED exactly one gets
//! past it. After a start it is filled from the ledger before the peer door opens. An id stays until nobody could accept
//! its ASKED any more, and a running exchange stays until it is closed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

use crate::Hash;

/// How an exchange stands at this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Taken on; not closed yet.
    Running,
    /// Closed by the statement of this kind at this index of the own ledger.
    Closed {
        /// ANSWERED, REFUSED, FAILED, CANCELLED, NEVER_RECEIVED, OUTCOME_UNKNOWN or ANSWER_GONE.
        kind: Kind,
        /// Index of the closing statement.
        index: u64,
    },
}

/// What is remembered of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Leaf input of the ASKED it was entered with. Another one under the same id is another question.
    pub asked: Hash,
    /// Microseconds since 1970 from which its ASKED cannot be accepted any more, skew included.
    pub until_us: u64,
    /// How it stands.
    pub state: State,
}

/// Why an exchange may not be taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The id is known.
    #[error("this exchange id was taken on before; a new call needs a new id")]
    Seen(Seen),
    /// The set is full. Nothing may be forgotten early, so nothing more is taken on.
    #[error("own node: too many exchanges within one lifetime of a question; try again in a few seconds")]
    Full,
}

/// One exchange as the ledger tells it at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayEntry {
    /// The exchange.
    pub id: ExchangeId,
    /// What is known of it.
    pub seen: Seen,
}

/// The set. Each operation takes constant time on average.
#[derive(Debug)]
pub struct ReplaySet {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seen: HashMap<ExchangeId, Seen>,
    /// Ids by the second after which they may be forgotten.
    expiring: BTreeMap<u64, Vec<ExchangeId>>,
}

/// A running exchange that outlived its ASKED is looked at again after this long.
const RUNNING_AGAIN_S: u64 = 60;

/// At most this many ids are forgotten by one call, so that none pays for all.
const FORGET_AT_ONCE: usize = 64;

impl ReplaySet {
    /// An empty set of at most `capacity` exchanges.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::default(),
        }
    }

    /// Takes an exchange on, or says why not. `until_us`: when its ASKED cannot be accepted any more, skew included.
    pub fn enter(&self, id: ExchangeId, asked: Hash, until_us: u64, now_us: u64) -> Result<(), ReplayError> {
        self.insert(
            id,
            Seen {
                asked,
                until_us,
                state: State::Running,
            },
            now_us,
        )
    }

    /// Puts in what the ledger told at start.
    pub fn remember(&self, entry: &ReplayEntry, now_us: u64) -> Result<(), ReplayError> {
        self.insert(entry.id, entry.seen, now_us)
    }

    /// Notes by what a running exchange was closed.
    pub fn close(&self, id: ExchangeId, kind: Kind, index: u64) {
        if let Some(seen) = self.lock().seen.get_mut(&id) {
            seen.state = State::Closed { kind, index };
        }
    }

    /// Takes an exchange out again: its RECEIVED could not be appended, so nothing stands and nothing was started.
    pub fn withdraw(&self, id: ExchangeId) {
        self.lock().seen.remove(&id);
    }

    /// What is known of an exchange.
    #[must_use]
    pub fn state(&self, id: ExchangeId) -> Option<Seen> {
        self.lock().seen.get(&id).copied()
    }

    /// Exchanges in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().seen.len()
    }

    /// Nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&self, id: ExchangeId, seen: Seen, now_us: u64) -> Result<(), ReplayError> {
        let mut inner = self.lock();
        inner.forget(seconds(now_us));
        if let Some(known) = inner.seen.get(&id) {
            return Err(ReplayError::Seen(*known));
        }
        if inner.seen.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        inner.seen.insert(id, seen);
        inner
            .expiring
            .entry(seconds(seen.until_us).saturating_add(1))
            .or_default()
            .push(id);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget(&mut self, now_s: u64) {
        for _ in 0..FORGET_AT_ONCE {
            let Some(mut second) = self.expiring.first_entry() else {
                return;
            };
            if *second.key() > now_s {
                return;
            }
            let Some(id) = second.get_mut().pop() else {
                second.remove();
                continue;
            };
            let Some(seen) = self.seen.get(&id) else { continue };
            if seen.state == State::Running {
                self.expiring
                    .entry(now_s.saturating_add(RUNNING_AGAIN_S))
                    .or_default()
                    .push(id);
            } else if seconds(seen.until_us) < now_s {
                self.seen.remove(&id);
            }
        }
    }
}

fn seconds(us: u64) -> u64 {
    us / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn id(n: u8) -> ExchangeId {
        ExchangeId::new_v7(5 * S, [n; 10])
    }

    #[test]
    fn an_id_is_taken_on_once_even_with_other_content() {
        let set = ReplaySet::new(10);
        assert_eq!(set.enter(id(1), [1; 32], 10 * S, S), Ok(()));
        let Err(ReplayError::Seen(seen)) = set.enter(id(1), [2; 32], 10 * S, S) else {
            panic!("taken on twice")
        };
        assert_eq!((seen.asked, seen.state), ([1; 32], State::Running));
        set.close(id(1), Kind::Answered, 7);
        assert_eq!(
            set.state(id(1)).unwrap().state,
            State::Closed {
                kind: Kind::Answered,
                index: 7
            }
        );
        assert!(set.enter(id(1), [1; 32], 10 * S, 9 * S).is_err());
    }

    #[test]
    fn a_closed_exchange_is_forgotten_only_after_its_time_and_a_running_one_never() {
        let set = ReplaySet::new(10);
        set.enter(id(1), [1; 32], 10 * S, S).unwrap();
        set.enter(id(2), [1; 32], 10 * S, S).unwrap();
        set.close(id(1), Kind::Answered, 7);
        set.enter(id(3), [1; 32], 30 * S, 10 * S + S / 2).unwrap();
        assert!(set.state(id(1)).is_some(), "within the last second it stays");
        set.enter(id(4), [1; 32], 30 * S, 12 * S).unwrap();
        assert!(set.state(id(1)).is_none());
        assert!(set.state(id(2)).is_some());
        assert!(set.enter(id(2), [1; 32], 99 * S, 1000 * S).is_err());
    }

    #[test]
    fn a_full_set_refuses_and_a_withdrawn_exchange_makes_room() {
        let set = ReplaySet::new(2);
        set.enter(id(1), [1; 32], 10 * S, S).unwrap();
        set.enter(id(2), [1; 32], 10 * S, S).unwrap();
        assert_eq!(set.enter(id(3), [1; 32], 10 * S, S), Err(ReplayError::Full));
        set.withdraw(id(1));
        assert_eq!(set.enter(id(3), [1; 32], 10 * S, S), Ok(()));
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn of_many_threads_one_wins() {
        let set = ReplaySet::new(100);
        let won = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|n| {
                    scope.spawn({
                        let set = &set;
                        move || set.enter(id(1), [n; 32], S, 0).is_ok()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|t| usize::from(t.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn a_withdrawn_and_re_entered_id_keeps_its_later_time() {
        let set = ReplaySet::new(10);
        set.enter(id(1), [1; 32], 2 * S, S).unwrap();
        set.withdraw(id(1));
        set.enter(id(1), [1; 32], 100 * S, S).unwrap();
        set.close(id(1), Kind::Failed, 1);
        set.enter(id(2), [1; 32], 100 * S, 50 * S).unwrap();
        assert!(set.state(id(1)).is_some());
    }
}
