//! What the ledger tells about exchanges at start: which may not be taken on again, and which were never closed.

use std::collections::HashMap;

use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

use super::fact::Fact;
use crate::Hash;
use crate::replay::{ReplayEntry, Seen, State};

/// On which side of an exchange this node stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It asked: ASKED is not closed.
    Consumer,
    /// It was asked: RECEIVED is not closed.
    Provider,
}

/// An exchange that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) side: Side,
    pub(crate) exchange: ExchangeId,
    /// Own index of ASKED or RECEIVED.
    pub(crate) index: u64,
    /// Leaf input of ASKED.
    pub(crate) asked: Hash,
}

/// Follows the exchanges through the ledger. Memory is bounded by what is open and by what a question's lifetime holds.
pub(crate) struct History {
    origin: String,
    /// Questions whose time ended before this are over.
    since_us: u64,
    consumer: HashMap<ExchangeId, Open>,
    provider: HashMap<ExchangeId, Open>,
    replay: HashMap<ExchangeId, Seen>,
    /// Above this many questions those that are over are forgotten.
    replay_max: usize,
    /// Newest time in the ledger.
    pub(crate) newest_us: u64,
    grace_us: u64,
}

impl History {
    pub(crate) fn new(origin: &str, grace_us: u64) -> Self {
        Self {
            origin: origin.to_owned(),
            since_us: 0,
            consumer: HashMap::new(),
            provider: HashMap::new(),
            replay: HashMap::new(),
            replay_max: REPLAY_LEAST,
            newest_us: 0,
            grace_us,
        }
    }

    /// From what a resume point holds.
    pub(crate) fn restore(&mut self, newest_us: u64, open: &[Open], replay: &[ReplayEntry]) {
        self.newest_us = newest_us;
        for open in open {
            let side = match open.side {
                Side::Consumer => &mut self.consumer,
                Side::Provider => &mut self.provider,
            };
            side.insert(open.exchange, *open);
        }
        self.replay.extend(replay.iter().map(|entry| (entry.id, entry.seen)));
    }

    /// Forgets the questions that are over at `now_us`, but for those that still run.
    pub(crate) fn forget(&mut self, now_us: u64) {
        self.since_us = now_us;
        let running = &self.provider;
        self.replay
            .retain(|id, seen| seen.until_us >= now_us || running.contains_key(id));
    }

    /// Forgets what is over whenever twice as much is remembered as after the last time.
    pub(crate) fn bound(&mut self) {
        if self.replay.len() > self.replay_max {
            self.forget(self.newest_us);
            self.replay_max = (2 * self.replay.len()).max(REPLAY_LEAST);
        }
    }

    /// The next statement.
    pub(crate) fn add(&mut self, index: u64, own: &Fact) {
        self.newest_us = self.newest_us.max(own.created_us);
        let (Some(exchange), Some(kind)) = (own.exchange, own.kind) else {
            return;
        };
        let open = |side, asked| Open {
            side,
            exchange,
            index,
            asked,
        };
        match kind {
            Kind::Asked => {
                self.consumer.insert(exchange, open(Side::Consumer, own.leaf));
            }
            Kind::Received => {
                let asked = own.cited_leaf().unwrap_or_default();
                self.provider.insert(exchange, open(Side::Provider, asked));
                self.remember(exchange, asked, own.expires_us, State::Running);
            }
            Kind::Delivered | Kind::NotSent => {
                self.consumer.remove(&exchange);
            }
            Kind::LateAnswer => {}
            _ if self.closes_provider(exchange, kind, own) => {
                self.provider.remove(&exchange);
                let state = State::Closed { kind, index };
                match self.replay.get_mut(&exchange) {
                    Some(seen) => seen.state = state,
                    None => self.remember(exchange, own.cited_leaf().unwrap_or_default(), own.expires_us, state),
                }
            }
            _ => {
                self.consumer.remove(&exchange);
            }
        }
    }

    /// A node may ask itself, so one ledger may hold both sides: the provider's closing cites ASKED, the consumer's cites the
    /// provider's closing or nothing.
    fn closes_provider(&self, id: ExchangeId, kind: Kind, own: &Fact) -> bool {
        if own.provider_origin != self.origin {
            return false;
        }
        // Whoever asked from another ledger did so under an id that this node may have used itself.
        let asked_elsewhere = own.cited.as_ref().is_some_and(|(origin, _)| *origin != self.origin);
        match (own.cited_leaf(), self.provider.get(&id), self.consumer.get(&id)) {
            (None, _, _) => false,
            (Some(cited), Some(open), _) => cited == open.asked,
            (Some(cited), None, Some(open)) => asked_elsewhere || cited == open.asked,
            // No RECEIVED was written: refused or settled at once.
            (Some(_), None, None) => kind != Kind::Delivered,
        }
    }

    fn remember(&mut self, id: ExchangeId, asked: Hash, expires_us: Option<u64>, state: State) {
        // Where the question itself does not stand here its id says when it was made, and no question lives longer than this.
        let expires_us =
            expires_us.unwrap_or_else(|| id.time_ms().saturating_mul(1_000).saturating_add(QUESTION_US_MAX));
        let until_us = expires_us.saturating_add(self.grace_us);
        if until_us >= self.since_us || state == State::Running {
            self.replay.insert(id, Seen { asked, until_us, state });
        }
    }

    /// What is open, by own index.
    pub(crate) fn open(&self) -> Vec<Open> {
        let mut open: Vec<Open> = self.consumer.values().chain(self.provider.values()).copied().collect();
        open.sort_unstable_by_key(|open| open.index);
        open
    }

    /// What the replay set must hold.
    pub(crate) fn replay(&self) -> Vec<ReplayEntry> {
        let entries = self.replay.iter();
        entries.map(|(id, seen)| ReplayEntry { id: *id, seen: *seen }).collect()
    }
}

/// So many questions are remembered without looking whether they are over.
const REPLAY_LEAST: usize = 65_536;

/// An hour: far above the lifetime that any configuration permits a question.
const QUESTION_US_MAX: u64 = 3_600_000_000;
