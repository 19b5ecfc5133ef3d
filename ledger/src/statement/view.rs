//! A statement looked at where it lies: the same checks as [`Parsed`](super::Parsed), without copying what is only compared.
//!
//! For whoever reads millions of them, the verifier of a directory.

use super::{
    Act, StatementError, Tag, leaf_input,
    parsed::{citable, listed, plain},
};
use crate::tree::Hash;
use bytes::Bytes;
use jisr_proto::{
    canonical::{self, CanonicalError, Value},
    statement::{Citation, Core, Kind, Subject},
};

/// The fields of a `Core` that a verifier compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreView<'a> {
    pub(crate) format: u64,
    pub(crate) kind: i32,
    pub(crate) instance: &'a str,
    pub(crate) exchange_id: &'a [u8],
    pub(crate) created_us: u64,
    pub(crate) expires_us: u64,
    pub(crate) tags: &'a [u8],
    pub(crate) consumer: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) provider_origin: &'a str,
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    pub(crate) agreement: &'a [u8],
    pub(crate) snapshot: &'a [u8],
    pub(crate) schema: &'a [u8],
    pub(crate) key_set: &'a [u8],
    pub(crate) payload_bytes: u64,
    pub(crate) mask: &'a str,
    pub(crate) repeats: &'a [u8],
}

impl<'a> From<&'a Core> for CoreView<'a> {
    fn from(core: &'a Core) -> Self {
        Self {
            format: core.format.into(),
            kind: core.kind,
            instance: &core.instance,
            exchange_id: &core.exchange_id,
            created_us: core.created_us,
            expires_us: core.expires_us,
            tags: &core.tags,
            consumer: &core.consumer,
            provider: &core.provider,
            provider_origin: &core.provider_origin,
            service: &core.service,
            method: &core.method,
            agreement: &core.agreement,
            snapshot: &core.snapshot,
            schema: &core.schema,
            key_set: &core.key_set,
            payload_bytes: core.payload_bytes,
            mask: &core.mask,
            repeats: &core.repeats,
        }
    }
}

impl<'a> CoreView<'a> {
    /// Reads a CORE by the field numbers of `jisr.statement.v1.Core`.
    fn read(content: &'a [u8]) -> Result<Self, CanonicalError> {
        let mut core = Self::default();
        canonical::visit::<Core>(content, |number, value| match (number, value) {
            (1, Value::Number(format)) => core.format = format,
            // Its range was checked: it is an int32.
            (2, Value::Number(kind)) => core.kind = i32::try_from(kind.cast_signed()).unwrap_or_default(),
            (3, Value::Text(text)) => core.instance = text,
            (4, Value::Bytes(bytes)) => core.exchange_id = bytes,
            (5, Value::Number(time)) => core.created_us = time,
            (6, Value::Number(time)) => core.expires_us = time,
            (7, Value::Bytes(bytes)) => core.tags = bytes,
            (8, Value::Text(text)) => core.consumer = text,
            (9, Value::Text(text)) => core.provider = text,
            (10, Value::Text(text)) => core.provider_origin = text,
            (11, Value::Text(text)) => core.service = text,
            (12, Value::Text(text)) => core.method = text,
            (13, Value::Bytes(bytes)) => core.agreement = bytes,
            (15, Value::Bytes(bytes)) => core.snapshot = bytes,
            (16, Value::Bytes(bytes)) => core.schema = bytes,
            (17, Value::Bytes(bytes)) => core.key_set = bytes,
            (18, Value::Number(bytes)) => core.payload_bytes = bytes,
            (21, Value::Text(text)) => core.mask = text,
            (23, Value::Bytes(bytes)) => core.repeats = bytes,
            _ => {}
        })?;
        Ok(core)
    }
}

/// What a statement cites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CitationView<'a> {
    pub(crate) origin: &'a str,
    pub(crate) index: u64,
    pub(crate) leaf: &'a [u8],
    pub(crate) tree_size: u64,
    pub(crate) root: &'a [u8],
}

impl<'a> CitationView<'a> {
    fn read(content: &'a [u8]) -> Result<Self, CanonicalError> {
        let mut cited = Self::default();
        canonical::visit::<Citation>(content, |number, value| match (number, value) {
            (1, Value::Text(text)) => cited.origin = text,
            (2, Value::Number(index)) => cited.index = index,
            (3, Value::Bytes(bytes)) => cited.leaf = bytes,
            (4, Value::Number(size)) => cited.tree_size = size,
            (5, Value::Bytes(bytes)) => cited.root = bytes,
            _ => {}
        })?;
        Ok(cited)
    }
}

/// A part: its hash, and what it holds where that is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartView<'a> {
    pub(crate) tag: Tag,
    pub(crate) hash: Hash,
    pub(crate) content: Option<&'a [u8]>,
}

/// A statement whose parts are all checked.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    pub(crate) kind: Kind,
    pub(crate) core: CoreView<'a>,
    pub(crate) leaf: Hash,
    pub(crate) citation: Option<CitationView<'a>>,
    pub(crate) act: Option<Act>,
}

impl<'a> View<'a> {
    /// Checks a statement from its parts, whose hashes the caller has computed or read; their contents lie in `backing`.
    pub(crate) fn of(parts: &[PartView<'a>], backing: &Bytes) -> Result<Self, StatementError> {
        let (first, others) = parts.split_first().ok_or(StatementError::Parts("there are none"))?;
        let Some(content) = first.content.filter(|_| first.tag == Tag::Core) else {
            return Err(StatementError::Parts("CORE is not shown first"));
        };
        let bad = |tag: Tag| {
            move |source| StatementError::Canonical {
                part: tag.name(),
                source,
            }
        };
        let core = CoreView::read(content).map_err(bad(Tag::Core))?;
        let kind = listed(&core, parts.iter().map(|part| part.tag))?;
        let (mut citation, mut act) = (None, None);
        for part in others {
            let Some(content) = part.content else { continue };
            match part.tag {
                Tag::Subject => canonical::check::<Subject>(content).map_err(bad(Tag::Subject))?,
                Tag::Peer => {
                    let cited = CitationView::read(content).map_err(bad(Tag::Peer))?;
                    citable(cited.leaf, cited.root, cited.index, cited.tree_size)?;
                    citation = Some(cited);
                }
                Tag::Act => act = Act::parse(kind, &backing.slice_ref(content))?,
                other => plain(other, content)?,
            }
        }
        Ok(Self {
            kind,
            core,
            leaf: leaf_input(parts.iter().map(|part| &part.hash)),
            citation,
            act,
        })
    }

    /// Whether the statement has this part, shown or not.
    pub(crate) fn has(&self, tag: Tag) -> bool {
        self.core.tags.contains(&tag.number())
    }
}
