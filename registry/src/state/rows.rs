//! The rows of the state.

use bytes::Bytes;
use jisr_certs::{Verified, profile};
use jisr_proto::ident::{Code, MemberId, NodeId, Origin, SubsystemId};
use jisr_proto::snapshot as wire;
use jisr_proto::statement::Agreement;

use super::Hash;
use crate::administration::{Roles, Signed};

/// A member.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    /// The row as it stands in its act, without `entry`.
    pub(crate) row: wire::Member,
    /// Index of its newest MEMBER_ADMITTED or MEMBER_CHANGED entry.
    pub(crate) entry: u64,
}

impl Member {
    /// The row as the snapshot shows it.
    pub(crate) fn shown(&self) -> wire::Member {
        wire::Member {
            entry: self.entry,
            ..self.row.clone()
        }
    }
}

/// An administrator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Administrator {
    /// What they may do.
    pub(crate) roles: Roles,
    /// The certificate that counts.
    pub(crate) certificate: Verified<profile::Administrator>,
    /// DER: that certificate, then the issuing authority's.
    pub(crate) chain: Vec<Bytes>,
}

/// An act that awaits a second administrator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    /// The act.
    pub(crate) signed: Signed,
    /// Who proposed it.
    pub(crate) by: Code,
    /// Index of its ACT_PROPOSED entry.
    pub(crate) entry: u64,
    /// Until when it can be approved, microseconds.
    pub(crate) expires_us: u64,
}

/// A one-time token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The node it is for.
    pub(crate) node: NodeId,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
    /// SHA-256 of the TLS certificate that was issued for it, once a node enrolled.
    pub(crate) used: Option<Hash>,
}

/// A listed node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Origin of its ledger.
    pub(crate) origin: Origin,
    /// Index of its NODE_ENROLLED entry.
    pub(crate) entry: u64,
    /// The row as it stands in its act, without `entry`.
    pub(crate) row: wire::Node,
}

/// A published service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Digest of its FileDescriptorSet.
    pub(crate) schema: Hash,
    /// Arabic title.
    pub(crate) title_ar: String,
    /// English title.
    pub(crate) title_en: String,
    /// What else is said of it.
    pub(crate) listing: wire::Listing,
    /// Earlier schemas for which it breaks nothing.
    pub(crate) continues: Vec<Bytes>,
    /// Index of its SERVICE_PUBLISHED entry.
    pub(crate) entry: u64,
}

/// A registered agreement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgreementRow {
    /// Who asks.
    pub(crate) consumer: SubsystemId,
    /// Who answers.
    pub(crate) provider: SubsystemId,
    /// Canonical bytes.
    pub(crate) document: Bytes,
    /// What they say.
    pub(crate) agreement: Agreement,
    /// Index of its AGREEMENT_REGISTERED entry.
    pub(crate) entry: u64,
}

impl AgreementRow {
    /// Members of both parties.
    pub(crate) fn parties(&self) -> [MemberId; 2] {
        [self.consumer.member(), self.provider.member()]
    }
}
