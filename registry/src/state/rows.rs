//! The rows of the state.

use bytes::Bytes;
use jisr_proto::ident::{NodeId, Origin, SubsystemId};
use jisr_proto::snapshot as wire;
use jisr_proto::statement::Agreement;

use super::Hash;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Arabic name.
    pub(crate) name_ar: String,
    /// English name.
    pub(crate) name_en: String,
    /// Who admitted it; somebody else has to approve.
    pub(crate) admitted_by: String,
    /// Index of its MEMBER_APPROVED entry, once there is one.
    pub(crate) approved: Option<u64>,
}

/// A one-time token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The node it is for.
    pub(crate) node: NodeId,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
    /// A node enrolled with it.
    pub(crate) used: bool,
    /// Who issued it.
    pub(crate) administrator: String,
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

/// A seal certificate whose node enrolled again, under another origin and key, and which is not revoked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superseded {
    /// The node.
    pub(crate) node: NodeId,
    /// Who issued the token with which it enrolled again.
    pub(crate) administrator: String,
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
