//! The acts that make the registry's state, as they stand in its ledger.

use bytes::Bytes;
use jisr_ledger::statement::{self, Draft};
use jisr_proto::canonical;
use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::snapshot as wire;
use jisr_proto::statement::{Agreement, Finding, Kind, Sealed};

use super::StateError;

/// 32-byte digest.
pub(crate) type Hash = [u8; 32];

/// One act of the registry.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// An administrator admits a member.
    Admit(MemberAct),
    /// A second administrator approves it.
    Approve(MemberAct),
    /// A one-time token for a node.
    Token(TokenAct),
    /// A node is enrolled, its certificates and origin are listed.
    Enrol(EnrolAct),
    /// A service is published or withdrawn.
    Service(wire::ServiceAct),
    /// An agreement is registered.
    Agreement(Box<AgreementAct>),
    /// An agreement is revoked.
    RevokeAgreement(RevokeAgreementAct),
    /// A node's certificates are revoked.
    RevokeNode(RevokeNodeAct),
    /// A snapshot is published.
    Snapshot(SnapshotAct),
    /// A ledger cannot be true.
    Finding(Finding),
}

/// Of MEMBER_ADMITTED and MEMBER_APPROVED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberAct {
    /// The member.
    pub(crate) member: MemberId,
    /// Its Arabic name.
    pub(crate) name_ar: String,
    /// Its English name.
    pub(crate) name_en: String,
    /// Who did it.
    pub(crate) administrator: String,
}

/// Of TOKEN_ISSUED.
#[derive(Debug, Clone)]
pub(crate) struct TokenAct {
    /// The node it is for.
    pub(crate) node: NodeId,
    /// `D(jisr.token, secret)`.
    pub(crate) token: Hash,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
    /// Who did it.
    pub(crate) administrator: String,
}

/// Of NODE_ENROLLED.
#[derive(Debug, Clone)]
pub(crate) struct EnrolAct {
    /// The row as it will stand in the snapshot, without `entry`.
    pub(crate) row: wire::Node,
    /// The token used up.
    pub(crate) token: Hash,
}

/// Of AGREEMENT_REGISTERED.
#[derive(Debug, Clone)]
pub(crate) struct AgreementAct {
    /// Canonical bytes.
    pub(crate) document: Bytes,
    /// What they say.
    pub(crate) agreement: Agreement,
    /// AGREED of the consumer, then of the provider.
    pub(crate) agreed: Vec<Sealed>,
}

/// Of AGREEMENT_REVOKED.
#[derive(Debug, Clone)]
pub(crate) struct RevokeAgreementAct {
    /// The agreement.
    pub(crate) digest: Hash,
    /// The party that revokes it.
    pub(crate) member: MemberId,
    /// Why.
    pub(crate) reason: String,
}

/// Of CERTIFICATE_REVOKED.
#[derive(Debug, Clone)]
pub(crate) struct RevokeNodeAct {
    /// SHA-256 of its DER certificates.
    pub(crate) certificates: Vec<Hash>,
    /// RFC 5280 reason code.
    pub(crate) reason: u32,
    /// The node they belonged to.
    pub(crate) node: NodeId,
    /// Who did it.
    pub(crate) administrator: String,
}

/// Of SNAPSHOT_PUBLISHED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotAct {
    /// Counts up from 1.
    pub(crate) version: u64,
    /// `D(jisr.snapshot, bytes)`.
    pub(crate) digest: Hash,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
}

impl Act {
    /// Takes over the act of an entry; `None` for acts that do not touch the registry's state.
    ///
    /// # Errors
    /// [`StateError`] for one that is out of form.
    pub(crate) fn take(kind: Kind, act: &statement::Act) -> Result<Option<Act>, StateError> {
        Ok(Some(match (kind, act) {
            (Kind::MemberAdmitted, statement::Act::Member(act)) => Act::Admit(member(act)?),
            (Kind::MemberApproved, statement::Act::Member(act)) => Act::Approve(member(act)?),
            (_, statement::Act::Token(act)) => Act::Token(token(act)?),
            (_, statement::Act::Node(act)) => Act::Enrol(enrol(act)?),
            (_, statement::Act::Service(act)) => Act::Service(act.as_ref().clone()),
            (_, statement::Act::Agreement(act)) => Act::Agreement(Box::new(registered(act)?)),
            (_, statement::Act::AgreementRevocation(act)) => Act::RevokeAgreement(revoked(act)?),
            (_, statement::Act::CertificateRevocation(act)) => Act::RevokeNode(node_revoked(act)?),
            (_, statement::Act::Snapshot(act)) => Act::Snapshot(published(act)?),
            (_, statement::Act::Finding(act)) => Act::Finding(act.clone()),
            _ => return Ok(None),
        }))
    }

    /// Kind of the statement that carries it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Act::Admit(_) => Kind::MemberAdmitted,
            Act::Approve(_) => Kind::MemberApproved,
            Act::Token(_) => Kind::TokenIssued,
            Act::Enrol(_) => Kind::NodeEnrolled,
            Act::Service(_) => Kind::ServicePublished,
            Act::Agreement(_) => Kind::AgreementRegistered,
            Act::RevokeAgreement(_) => Kind::AgreementRevoked,
            Act::RevokeNode(_) => Kind::CertificateRevoked,
            Act::Snapshot(_) => Kind::SnapshotPublished,
            Act::Finding(_) => Kind::Finding,
        }
    }

    /// Whether the next snapshot differs because of it.
    pub(crate) fn changes_snapshot(&self) -> bool {
        !matches!(self, Act::Admit(_) | Act::Token(_) | Act::Snapshot(_) | Act::Finding(_))
    }

    /// Puts the act onto the statement that will carry it.
    pub(crate) fn onto(&self, draft: Draft) -> Draft {
        match self {
            Act::Admit(act) | Act::Approve(act) => draft.act(&wire::MemberAct {
                id: act.member.to_string(),
                name_ar: act.name_ar.clone(),
                name_en: act.name_en.clone(),
                administrator: act.administrator.clone(),
            }),
            Act::Token(act) => draft.act(&wire::TokenAct {
                node: act.node.to_string(),
                token: bytes(&act.token),
                expires_us: act.expires_us,
                administrator: act.administrator.clone(),
            }),
            Act::Enrol(act) => draft.act(&wire::NodeAct {
                node: Some(act.row.clone()),
                token: bytes(&act.token),
            }),
            Act::Service(act) => draft.act(act),
            Act::Agreement(act) => draft.act(&wire::AgreementAct {
                document: act.document.clone(),
                agreed: act.agreed.clone(),
            }),
            Act::RevokeAgreement(act) => draft.act(&wire::AgreementRevocationAct {
                digest: bytes(&act.digest),
                member: act.member.to_string(),
                reason: act.reason.clone(),
            }),
            Act::RevokeNode(act) => draft.act(&wire::CertificateRevocationAct {
                certificates: act.certificates.iter().map(bytes).collect(),
                reason: act.reason,
                node: act.node.to_string(),
                administrator: act.administrator.clone(),
            }),
            Act::Snapshot(act) => draft.act(&wire::SnapshotAct {
                version: act.version,
                digest: bytes(&act.digest),
                expires_us: act.expires_us,
            }),
            Act::Finding(act) => draft.act(act),
        }
    }
}

fn member(act: &wire::MemberAct) -> Result<MemberAct, StateError> {
    Ok(MemberAct {
        member: act.id.parse()?,
        name_ar: act.name_ar.clone(),
        name_en: act.name_en.clone(),
        administrator: act.administrator.clone(),
    })
}

fn token(act: &wire::TokenAct) -> Result<TokenAct, StateError> {
    Ok(TokenAct {
        node: act.node.parse()?,
        token: hash(&act.token)?,
        expires_us: act.expires_us,
        administrator: act.administrator.clone(),
    })
}

fn enrol(act: &wire::NodeAct) -> Result<EnrolAct, StateError> {
    let row = act
        .node
        .clone()
        .ok_or_else(|| StateError::Act("a NODE_ENROLLED act names no node".to_owned()))?;
    Ok(EnrolAct {
        row,
        token: hash(&act.token)?,
    })
}

fn registered(act: &wire::AgreementAct) -> Result<AgreementAct, StateError> {
    let agreement = canonical::decode(&act.document).map_err(|e| StateError::Act(e.to_string()))?;
    Ok(AgreementAct {
        document: act.document.clone(),
        agreement,
        agreed: act.agreed.clone(),
    })
}

fn revoked(act: &wire::AgreementRevocationAct) -> Result<RevokeAgreementAct, StateError> {
    Ok(RevokeAgreementAct {
        digest: hash(&act.digest)?,
        member: act.member.parse()?,
        reason: act.reason.clone(),
    })
}

fn node_revoked(act: &wire::CertificateRevocationAct) -> Result<RevokeNodeAct, StateError> {
    Ok(RevokeNodeAct {
        certificates: act.certificates.iter().map(hash).collect::<Result<_, _>>()?,
        reason: act.reason,
        node: act.node.parse()?,
        administrator: act.administrator.clone(),
    })
}

fn published(act: &wire::SnapshotAct) -> Result<SnapshotAct, StateError> {
    Ok(SnapshotAct {
        version: act.version,
        digest: hash(&act.digest)?,
        expires_us: act.expires_us,
    })
}

fn hash(value: &Bytes) -> Result<Hash, StateError> {
    value
        .as_ref()
        .try_into()
        .map_err(|_| StateError::Act(format!("a digest has {} instead of 32 bytes", value.len())))
}

fn bytes(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash)
}
