//! The acts that make the registry's state, as they stand in its ledger.

use bytes::Bytes;
use jisr_ledger::statement::{self, Draft};
use jisr_proto::canonical;
use jisr_proto::ident::{Instance, MemberId, NodeId};
use jisr_proto::snapshot as wire;
use jisr_proto::statement::{Agreement, Finding, Kind, Sealed};

use super::StateError;
use crate::administration::Signed;

/// 32-byte digest.
pub(crate) type Hash = [u8; 32];

/// One act of the registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// An administrator proposes what takes four eyes.
    Propose(Box<Signed>),
    /// A second administrator approves it.
    Approve(Box<ApproveAct>),
    /// An administrator rejects it.
    Reject(Box<Signed>),
    /// Administrators as they are from now on.
    Administrators(wire::AdministratorsAct),
    /// A member is admitted.
    Admit(MemberAct),
    /// A member's row changes.
    Change(Box<ChangeAct>),
    /// A member is removed.
    Remove(wire::MemberRemovalAct),
    /// Who must cosign what.
    WitnessPolicy(wire::WitnessPolicyAct),
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
    /// A listed node's TLS certificates change.
    Renew(Box<RenewAct>),
    /// A snapshot is published.
    Snapshot(SnapshotAct),
    /// A ledger cannot be true.
    Finding(Finding),
}

/// Of ACT_APPROVED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApproveAct {
    /// The approval.
    pub(crate) signed: Signed,
    /// What the registry issued for an appointment: the administrator's certificate, the issuing authority's.
    pub(crate) certificates: Vec<Bytes>,
}

/// Of MEMBER_ADMITTED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MemberAct {
    /// The row, without `entry`.
    pub(crate) row: wire::Member,
    /// Digest of the act that was approved.
    pub(crate) act: Hash,
}

/// Of MEMBER_CHANGED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangeAct {
    /// The row, without `entry`.
    pub(crate) row: wire::Member,
    /// Who did it.
    pub(crate) signed: Signed,
}

/// Of TOKEN_ISSUED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenAct {
    /// The node it is for.
    pub(crate) node: NodeId,
    /// `D(jisr.token, secret)`.
    pub(crate) token: Hash,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
    /// Who did it.
    pub(crate) signed: Signed,
}

/// Of NODE_ENROLLED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnrolAct {
    /// The row as it will stand in the snapshot, without `entry`.
    pub(crate) row: wire::Node,
    /// The token used up.
    pub(crate) token: Hash,
}

/// Of AGREEMENT_REGISTERED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgreementAct {
    /// Canonical bytes.
    pub(crate) document: Bytes,
    /// What they say.
    pub(crate) agreement: Agreement,
    /// AGREED of the consumer, then of the provider.
    pub(crate) agreed: Vec<Sealed>,
}

/// Of AGREEMENT_REVOKED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RevokeAgreementAct {
    /// The agreement.
    pub(crate) digest: Hash,
    /// The party that revokes it.
    pub(crate) member: MemberId,
    /// Why.
    pub(crate) reason: String,
}

/// Of CERTIFICATE_REVOKED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RevokeNodeAct {
    /// SHA-256 of its DER certificates.
    pub(crate) certificates: Vec<Hash>,
    /// RFC 5280 reason code.
    pub(crate) reason: u32,
    /// The node they belonged to.
    pub(crate) node: NodeId,
    /// On what ground.
    pub(crate) ground: Ground,
}

/// On what ground certificates are revoked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ground {
    /// An administrator says so.
    Ordered(Box<Signed>),
    /// The node's member is removed by the act with this digest.
    Removed(Hash),
    /// The node's ledger was succeeded.
    Superseded,
}

/// Of CERTIFICATE_ISSUED.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RenewAct {
    /// The node.
    pub(crate) node: NodeId,
    /// A further certificate, where one is issued.
    pub(crate) issued: Option<Issued>,
    /// SHA-256 of those that are listed no more, ascending.
    pub(crate) withdrawn: Vec<Hash>,
}

/// A further TLS certificate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Issued {
    /// DER.
    pub(crate) certificate: Bytes,
    /// CERTIFICATE_ASKED of the node.
    pub(crate) asked: Sealed,
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
    pub(crate) fn take(kind: Kind, act: &statement::Act, instance: &Instance) -> Result<Option<Act>, StateError> {
        let read = |it: &Option<wire::SignedAct>| signed(it.as_ref(), instance);
        Ok(Some(match (kind, act) {
            (_, statement::Act::Proposed(act)) => Act::Propose(Box::new(read(&act.signed)?)),
            (_, statement::Act::Approved(act)) => Act::Approve(Box::new(ApproveAct {
                signed: read(&act.signed)?,
                certificates: act.certificates.clone(),
            })),
            (_, statement::Act::Rejected(act)) => Act::Reject(Box::new(read(&act.signed)?)),
            (_, statement::Act::Administrators(act)) => Act::Administrators(act.clone()),
            (Kind::MemberChanged, statement::Act::Member(act)) => Act::Change(Box::new(ChangeAct {
                row: row(act)?,
                signed: read(&act.signed)?,
            })),
            (_, statement::Act::Member(act)) => Act::Admit(MemberAct {
                row: row(act)?,
                act: hash(&act.act)?,
            }),
            (_, statement::Act::MemberRemoval(act)) => Act::Remove(act.clone()),
            (_, statement::Act::WitnessPolicy(act)) => Act::WitnessPolicy(act.clone()),
            (_, statement::Act::Token(act)) => Act::Token(TokenAct {
                node: act.node.parse()?,
                token: hash(&act.token)?,
                expires_us: act.expires_us,
                signed: read(&act.signed)?,
            }),
            (_, statement::Act::Node(act)) => Act::Enrol(enrol(act)?),
            (_, statement::Act::Service(act)) => Act::Service(act.as_ref().clone()),
            (_, statement::Act::Agreement(act)) => Act::Agreement(Box::new(registered(act)?)),
            (_, statement::Act::AgreementRevocation(act)) => Act::RevokeAgreement(revoked(act)?),
            (_, statement::Act::CertificateRevocation(act)) => Act::RevokeNode(node_revoked(act, instance)?),
            (_, statement::Act::Certificate(act)) => Act::Renew(Box::new(renewed(act)?)),
            (_, statement::Act::Snapshot(act)) => Act::Snapshot(published(act)?),
            (_, statement::Act::Finding(act)) => Act::Finding(act.clone()),
            _ => return Ok(None),
        }))
    }

    /// Kind of the statement that carries it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Act::Propose(_) => Kind::ActProposed,
            Act::Approve(_) => Kind::ActApproved,
            Act::Reject(_) => Kind::ActRejected,
            Act::Administrators(_) => Kind::AdministratorSet,
            Act::Admit(_) => Kind::MemberAdmitted,
            Act::Change(_) => Kind::MemberChanged,
            Act::Remove(_) => Kind::MemberRemoved,
            Act::WitnessPolicy(_) => Kind::WitnessPolicySet,
            Act::Token(_) => Kind::TokenIssued,
            Act::Enrol(_) => Kind::NodeEnrolled,
            Act::Service(_) => Kind::ServicePublished,
            Act::Agreement(_) => Kind::AgreementRegistered,
            Act::RevokeAgreement(_) => Kind::AgreementRevoked,
            Act::RevokeNode(_) => Kind::CertificateRevoked,
            Act::Renew(_) => Kind::CertificateIssued,
            Act::Snapshot(_) => Kind::SnapshotPublished,
            Act::Finding(_) => Kind::Finding,
        }
    }

    /// Whether the next snapshot differs because of it.
    pub(crate) fn changes_snapshot(&self) -> bool {
        !matches!(
            self,
            Act::Propose(_)
                | Act::Reject(_)
                | Act::Administrators(_)
                | Act::Token(_)
                | Act::Snapshot(_)
                | Act::Finding(_)
        )
    }

    /// Puts the act onto the statement that will carry it.
    pub(crate) fn onto(&self, draft: Draft) -> Draft {
        match self {
            Act::Propose(signed) => draft.act(&wire::ProposedAct {
                signed: Some(signed.wire.clone()),
            }),
            Act::Approve(act) => draft.act(&wire::ApprovedAct {
                signed: Some(act.signed.wire.clone()),
                certificates: act.certificates.clone(),
            }),
            Act::Reject(signed) => draft.act(&wire::RejectedAct {
                signed: Some(signed.wire.clone()),
            }),
            Act::Administrators(act) => draft.act(act),
            Act::Admit(act) => draft.act(&wire::MemberAct {
                member: Some(act.row.clone()),
                act: bytes(&act.act),
                signed: None,
            }),
            Act::Change(act) => draft.act(&wire::MemberAct {
                member: Some(act.row.clone()),
                act: Bytes::new(),
                signed: Some(act.signed.wire.clone()),
            }),
            Act::Remove(act) => draft.act(act),
            Act::WitnessPolicy(act) => draft.act(act),
            Act::Token(act) => draft.act(&wire::TokenAct {
                node: act.node.to_string(),
                token: bytes(&act.token),
                expires_us: act.expires_us,
                signed: Some(act.signed.wire.clone()),
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
                signed: match &act.ground {
                    Ground::Ordered(signed) => Some(signed.wire.clone()),
                    _ => None,
                },
                act: match &act.ground {
                    Ground::Removed(act) => bytes(act),
                    _ => Bytes::new(),
                },
            }),
            Act::Renew(act) => {
                let issued = act.issued.as_ref();
                draft.act(&wire::CertificateAct {
                    node: act.node.to_string(),
                    certificate: issued.map(|issued| issued.certificate.clone()).unwrap_or_default(),
                    asked: issued.map(|issued| issued.asked.clone()),
                    withdrawn: act.withdrawn.iter().map(bytes).collect(),
                })
            }
            Act::Snapshot(act) => draft.act(&wire::SnapshotAct {
                version: act.version,
                digest: bytes(&act.digest),
                expires_us: act.expires_us,
            }),
            Act::Finding(act) => draft.act(act),
        }
    }
}

fn signed(act: Option<&wire::SignedAct>, instance: &Instance) -> Result<Signed, StateError> {
    let missing = || StateError::Act("no administrator signed it".to_owned());
    Ok(Signed::read(act.ok_or_else(missing)?.clone(), instance)?)
}

fn row(act: &wire::MemberAct) -> Result<wire::Member, StateError> {
    let missing = || StateError::Act("it names no member".to_owned());
    act.member.clone().ok_or_else(missing)
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

fn node_revoked(act: &wire::CertificateRevocationAct, instance: &Instance) -> Result<RevokeNodeAct, StateError> {
    let ground = match &act.signed {
        Some(_) => Ground::Ordered(Box::new(signed(act.signed.as_ref(), instance)?)),
        None if act.act.is_empty() => Ground::Superseded,
        None => Ground::Removed(hash(&act.act)?),
    };
    Ok(RevokeNodeAct {
        certificates: act.certificates.iter().map(hash).collect::<Result<_, _>>()?,
        reason: act.reason,
        node: act.node.parse()?,
        ground,
    })
}

fn renewed(act: &wire::CertificateAct) -> Result<RenewAct, StateError> {
    let issued = match (act.certificate.is_empty(), &act.asked) {
        (false, Some(asked)) => Some(Issued {
            certificate: act.certificate.clone(),
            asked: asked.clone(),
        }),
        (true, None) => None,
        _ => {
            let rule = "a further certificate and its CERTIFICATE_ASKED belong together";
            return Err(StateError::Act(rule.to_owned()));
        }
    };
    Ok(RenewAct {
        node: act.node.parse()?,
        issued,
        withdrawn: act.withdrawn.iter().map(hash).collect::<Result<_, _>>()?,
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
