//! What the ledger tells about exchanges at start: which may not be taken on again, and which were never closed.

use std::collections::HashMap;

use bytes::Bytes;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Citation, Core, Kind};
use prost::Message;

use crate::Hash;
use crate::frame::{Form, FrameError, PeerStatement, StoredParts};
use crate::replay::{ReplayEntry, Seen, State};
use crate::statement::Tag;

/// On which side of an exchange this node stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It asked: ASKED is not closed.
    Consumer,
    /// It was asked: RECEIVED is not closed.
    Provider,
}

/// A stored statement as far as it rests in the clear.
pub(crate) struct Clear {
    pub(crate) core: Core,
    citation: Option<Citation>,
    pub(crate) leaf: Hash,
    /// Content of ACT.
    pub(crate) act: Option<Bytes>,
}

impl Clear {
    pub(crate) fn read(stored: &[u8]) -> Result<Self, FrameError> {
        let mut hashes = Vec::with_capacity(crate::statement::PARTS_MAX);
        let (mut core, mut citation, mut act) = (None, None, None);
        for part in StoredParts::new(stored)? {
            let part = part?;
            hashes.push(part.hash());
            match part.form {
                Form::Clear { content, .. } if part.tag == Tag::Core => core = Some(decode(content)?),
                Form::Clear { content, .. } if part.tag == Tag::Peer => citation = Some(decode(content)?),
                Form::Clear { content, .. } if part.tag == Tag::Act => act = Some(Bytes::copy_from_slice(content)),
                _ => {}
            }
        }
        let core = core.ok_or(FrameError::Record("a statement has no CORE in the clear"))?;
        Ok(Self {
            core,
            citation,
            leaf: crate::statement::leaf_input(&hashes),
            act,
        })
    }

    /// Leaf input of the statement that it cites.
    fn cited(&self) -> Option<Hash> {
        self.citation
            .as_ref()
            .and_then(|citation| citation.leaf.as_ref().try_into().ok())
    }
}

/// The ledger's own bytes were checked when they were made; here they need only be read.
fn decode<M: Message + Default>(content: &[u8]) -> Result<M, FrameError> {
    M::decode(content).map_err(|_| FrameError::Record("a part in the clear is no message of its kind"))
}

struct Open {
    index: u64,
    /// Leaf input of ASKED.
    asked: Hash,
}

/// Follows the exchanges through the ledger. Memory is bounded by what is open and by what a question's lifetime holds.
pub(crate) struct History {
    origin: String,
    /// Questions that expired before this are over.
    since_us: u64,
    consumer: HashMap<ExchangeId, Open>,
    provider: HashMap<ExchangeId, Open>,
    replay: HashMap<ExchangeId, Seen>,
    /// Newest time in the ledger.
    pub(crate) newest_us: u64,
    grace_us: u64,
}

impl History {
    pub(crate) fn new(origin: &str, now_us: u64, grace_us: u64) -> Self {
        Self {
            origin: origin.to_owned(),
            since_us: now_us.saturating_sub(grace_us),
            consumer: HashMap::new(),
            provider: HashMap::new(),
            replay: HashMap::new(),
            newest_us: 0,
            grace_us,
        }
    }

    /// One statement, and the peer's that stands with it.
    pub(crate) fn add(&mut self, index: u64, own: &Clear, peer: Option<&[u8]>) -> Result<(), FrameError> {
        self.newest_us = self.newest_us.max(own.core.created_us);
        let (Ok(id), Ok(kind)) = (
            ExchangeId::try_from(own.core.exchange_id.as_ref()),
            Kind::try_from(own.core.kind),
        ) else {
            return Ok(());
        };
        match kind {
            Kind::Asked => {
                self.consumer.insert(id, Open { index, asked: own.leaf });
            }
            Kind::Received => {
                let asked = own.cited().unwrap_or_default();
                self.provider.insert(id, Open { index, asked });
                self.remember(id, asked, peer, State::Running)?;
            }
            Kind::Delivered | Kind::NotSent => {
                self.consumer.remove(&id);
            }
            Kind::LateAnswer => {}
            _ if self.closes_provider(id, kind, own) => {
                self.provider.remove(&id);
                let state = State::Closed { kind, index };
                match self.replay.get_mut(&id) {
                    Some(seen) => seen.state = state,
                    None => self.remember(id, own.cited().unwrap_or_default(), peer, state)?,
                }
            }
            _ => {
                self.consumer.remove(&id);
            }
        }
        Ok(())
    }

    /// A node may ask itself, so one ledger may hold both sides: the provider's closing cites ASKED, the consumer's cites the
    /// provider's closing or nothing.
    fn closes_provider(&self, id: ExchangeId, kind: Kind, own: &Clear) -> bool {
        if own.core.provider_origin != self.origin {
            return false;
        }
        match (own.cited(), self.provider.get(&id), self.consumer.get(&id)) {
            (None, _, _) => false,
            (Some(cited), Some(open), _) => cited == open.asked,
            (Some(cited), None, Some(open)) => cited == open.asked,
            // No RECEIVED was written: refused or settled at once.
            (Some(_), None, None) => kind != Kind::Delivered,
        }
    }

    fn remember(&mut self, id: ExchangeId, asked: Hash, peer: Option<&[u8]>, state: State) -> Result<(), FrameError> {
        let expires_us = match peer {
            Some(data) => Clear::read(PeerStatement::parse(data)?.statement)?.core.expires_us,
            // The question itself does not stand here; its id says when it was made, and no question lives longer than this.
            None => id.time_ms().saturating_mul(1_000).saturating_add(QUESTION_US_MAX),
        };
        if expires_us >= self.since_us || state == State::Running {
            let until_us = expires_us.saturating_add(self.grace_us);
            self.replay.insert(id, Seen { asked, until_us, state });
        }
        Ok(())
    }

    /// Own indexes of what is open, ascending, with the side.
    pub(crate) fn open(&self) -> Vec<(Side, u64)> {
        let consumer = self.consumer.values().map(|open| (Side::Consumer, open.index));
        let provider = self.provider.values().map(|open| (Side::Provider, open.index));
        let mut open: Vec<_> = consumer.chain(provider).collect();
        open.sort_unstable_by_key(|(_, index)| *index);
        open
    }

    /// What the replay set must hold.
    pub(crate) fn replay(&self) -> Vec<ReplayEntry> {
        let running = |id: &ExchangeId| self.provider.contains_key(id);
        self.replay
            .iter()
            .filter(|(id, seen)| seen.until_us >= self.since_us || running(id))
            .map(|(id, seen)| ReplayEntry { id: *id, seen: *seen })
            .collect()
    }
}

/// An hour: far above the lifetime that any configuration permits a question.
const QUESTION_US_MAX: u64 = 3_600_000_000;
