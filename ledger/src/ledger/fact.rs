//! What the derived data keep of a statement: read from a statement that is being appended, or from the segments.

use bytes::Bytes;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Citation, Core, Kind};
use prost::Message;

use crate::Hash;
use crate::frame::{Form, FrameError, PeerStatement, StoredParts};
use crate::statement::{Closed, Tag};
use crate::vault::Vault;

/// What the derived data keep of a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fact {
    /// Leaf input.
    pub(crate) leaf: Hash,
    /// Its kind; `None` for one that this program does not know.
    pub(crate) kind: Option<Kind>,
    pub(crate) created_us: u64,
    /// `None` for an administrative act.
    pub(crate) exchange: Option<ExchangeId>,
    pub(crate) provider_origin: String,
    /// Origin and leaf input of what it cites.
    pub(crate) cited: Option<(String, Hash)>,
    /// When the question that is stored with it expires.
    pub(crate) expires_us: Option<u64>,
    /// Of the persons and the case that it or the question stored with it names; only what goes into the index has them.
    pub(crate) pseudonyms: Vec<Hash>,
}

impl Fact {
    /// Of a statement that is about to be appended.
    pub(crate) fn of(statement: &Closed, vault: &Vault) -> Self {
        let attached = statement.attached().map(|cited| &cited.statement);
        let peer = statement.parts().iter().find(|part| part.tag == Tag::Peer);
        let peer = peer.and_then(|part| part.opened.as_ref());
        let mut fact = Self::new(statement.leaf(), statement.core());
        fact.cite(peer.and_then(|opened| Citation::decode(opened.content.clone()).ok()));
        fact.expires_us = attached.map(|question| question.core().expires_us);
        if fact.begins() {
            fact.pseudonyms = vault.pseudonyms(statement.parts());
            let question = attached.map(|question| vault.pseudonyms(question.parts()));
            fact.pseudonyms.extend(question.into_iter().flatten());
        }
        fact
    }

    /// Of a stored statement and the peer's that stands with it, as far as they rest in the clear: without pseudonyms.
    pub(crate) fn scan(own: &Clear, peer: Option<&[u8]>) -> Result<Self, FrameError> {
        let mut fact = Self::new(own.leaf, &own.core);
        fact.cite(own.citation.clone());
        if let Some(data) = peer {
            fact.expires_us = Some(Clear::read(PeerStatement::parse(data)?.statement)?.core.expires_us);
        }
        Ok(fact)
    }

    fn new(leaf: Hash, core: &Core) -> Self {
        Self {
            leaf,
            kind: Kind::try_from(core.kind).ok(),
            created_us: core.created_us,
            exchange: ExchangeId::try_from(core.exchange_id.as_ref()).ok(),
            provider_origin: core.provider_origin.clone(),
            ..Self::default()
        }
    }

    fn cite(&mut self, citation: Option<Citation>) {
        self.cited = citation.and_then(|citation| {
            let leaf = citation.leaf.as_ref().try_into().ok()?;
            Some((citation.origin, leaf))
        });
    }

    /// Leaf input of what it cites.
    pub(crate) fn cited_leaf(&self) -> Option<Hash> {
        self.cited.as_ref().map(|(_, leaf)| *leaf)
    }

    /// Whether it may be the first of its exchange in a ledger: what answers or acknowledges never is.
    pub(crate) fn begins(&self) -> bool {
        self.exchange.is_some() && !matches!(self.kind, Some(Kind::Answered | Kind::Delivered | Kind::LateAnswer))
    }

    /// Whether the owner of the ledger `own` asked in this exchange, as far as the statement alone tells.
    pub(crate) fn asked_by(&self, own: &str) -> bool {
        self.provider_origin != own
            || matches!(
                self.kind,
                Some(Kind::Asked | Kind::Delivered | Kind::NotSent | Kind::LateAnswer)
            )
    }

    /// Origin of the other side's ledger, seen from `own`; empty where the statement does not name it.
    pub(crate) fn peer(&self, own: &str) -> &str {
        match &self.cited {
            Some((origin, _)) if !self.asked_by(own) => origin,
            None if !self.asked_by(own) => "",
            _ => &self.provider_origin,
        }
    }
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

    /// Index of the statement that it cites.
    pub(crate) fn cited_index(&self) -> Option<u64> {
        self.citation.as_ref().map(|citation| citation.index)
    }
}

/// The ledger's own bytes were checked when they were made; here they need only be read.
fn decode<M: Message + Default>(content: &[u8]) -> Result<M, FrameError> {
    M::decode(content).map_err(|_| FrameError::Record("a part in the clear is no message of its kind"))
}
