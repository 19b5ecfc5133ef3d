//! The closet of witnesses: has the own checkpoints cosigned, and knows who was reached when. Never on the path of an exchange.
//!
//! Under traffic the registry is shown the newest checkpoint every second, and every few seconds up to eight further witnesses
//! beside it: those that the snapshot names, peers, and other members' nodes. What they return is one note, stored once a round.
//! While nothing is appended nothing is cosigned.

mod asking;
mod registry;
mod rounds;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use registry::{compare_with_registry, greet_registry};
pub(crate) use rounds::cosign;

/// How long a quorum counts as within reach after it was reached.
const REACHED: Duration = Duration::from_secs(10);
/// The same for a single operator: further witnesses are asked less often.
const OPERATOR_REACHED: Duration = Duration::from_secs(60);

/// A note that a quorum cosigned.
#[derive(Debug, Clone)]
struct Note {
    size: u64,
    note: Bytes,
}

/// What is known of the own ledger's witnesses.
#[derive(Debug)]
pub(crate) struct Cosigning {
    inner: Mutex<Inner>,
    now: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// What each witness cosigned last, by the name of its key.
    by_witness: HashMap<String, Note>,
    /// The newest note under which a quorum stands.
    newest: Option<Note>,
    /// The newest note of a round in which all were asked.
    wide: Option<Note>,
    /// When a quorum was reached last.
    reached: Option<Instant>,
    /// When each operator was reached last.
    operators: HashMap<String, Instant>,
    /// Somebody asks again for a proof of what was cosigned: it may need other operators.
    more: bool,
}

impl Cosigning {
    /// Goes on from what stands in the ledger: the newest note that a quorum cosigned.
    pub(crate) fn new(cosigned: Option<(u64, Bytes)>) -> Cosigning {
        let newest = cosigned.map(|(size, note)| Note { size, note });
        Cosigning {
            inner: Mutex::new(Inner {
                newest,
                ..Inner::default()
            }),
            now: Notify::new(),
        }
    }

    /// Has the newest checkpoint cosigned now rather than within the second.
    pub(crate) fn cosign_now(&self) {
        self.now.notify_one();
    }

    /// A proof is asked for under a checkpoint that was cosigned already: for the highest class it may need operators that were not
    /// reached then.
    pub(crate) fn ask_more(&self) {
        self.lock().more = true;
    }

    /// Entries of the own ledger that a quorum has cosigned.
    pub(crate) fn size(&self) -> u64 {
        self.lock().newest.as_ref().map_or(0, |note| note.size)
    }

    /// The cosigned note under which entries up to `last` are best shown: the one that most operators cosigned where it covers
    /// them, else the newest.
    pub(crate) fn covering(&self, last: u64) -> Option<(u64, Bytes)> {
        let inner = self.lock();
        let wide = inner.wide.as_ref().filter(|wide| last < wide.size);
        wide.or(inner.newest.as_ref())
            .map(|note| (note.size, note.note.clone()))
    }

    /// Whether this node reached a quorum a moment ago.
    pub(crate) fn reaches_quorum(&self) -> bool {
        self.reached_before(Instant::now())
    }

    /// Operators that were reached within the last minute.
    pub(crate) fn operators(&self) -> Vec<String> {
        self.operators_before(Instant::now())
    }

    fn reached_before(&self, now: Instant) -> bool {
        self.lock().reached.is_some_and(|at| now - at <= REACHED)
    }

    fn operators_before(&self, now: Instant) -> Vec<String> {
        let inner = self.lock();
        let lately = inner.operators.iter().filter(|(_, at)| now - **at <= OPERATOR_REACHED);
        lately.map(|(operator, _)| operator.clone()).collect()
    }

    fn reached_quorum(&self) {
        self.lock().reached = Some(Instant::now());
    }

    fn reached(&self, operator: String) {
        self.lock().operators.insert(operator, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shown_under_the_note_of_most_operators_that_covers_them() {
        let cosigning = Cosigning::new(Some((9, Bytes::from_static(b"registry only"))));
        assert_eq!(cosigning.covering(3).unwrap().0, 9);
        cosigning.lock().wide = Some(Note {
            size: 7,
            note: Bytes::from_static(b"three operators"),
        });
        assert_eq!(cosigning.covering(6).unwrap().0, 7);
        assert_eq!(cosigning.covering(7).unwrap().0, 9);
        assert_eq!(cosigning.size(), 9);
    }

    #[test]
    fn reach_fades() {
        let (cosigning, now) = (Cosigning::new(None), Instant::now());
        assert!(!cosigning.reached_before(now));
        cosigning.reached_quorum();
        cosigning.reached("JO/GOV/psd".to_owned());
        assert!(cosigning.reached_before(now));
        assert!(!cosigning.reached_before(now + Duration::from_secs(11)));
        assert_eq!(
            cosigning.operators_before(now + Duration::from_secs(11)),
            ["JO/GOV/psd"]
        );
        assert!(cosigning.operators_before(now + Duration::from_secs(61)).is_empty());
    }
}
