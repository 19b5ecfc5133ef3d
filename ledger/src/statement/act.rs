//! Administrative acts: the message in the ACT part, by the statement's kind.

use super::{StatementError, Tag, rules};
use bytes::Bytes;
use jisr_proto::{
    canonical,
    snapshot::{
        AdministratorsAct, AgreementAct, AgreementRevocationAct, ApprovedAct, CertificateAct, CertificateRevocationAct,
        MemberAct, MemberRemovalAct, NodeAct, ProposedAct, RejectedAct, ServiceAct, SnapshotAct, TokenAct,
        WitnessPolicyAct,
    },
    statement::{
        Agreed, CertificateAsked, Configured, Erased, Finding, Held, Kind, RefusalsSummed, Released, Resumed, Started,
        TornTailCut,
    },
};
use prost::{Message, Name};

/// The body of an administrative act.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A ledger begins.
    Started(Started),
    /// A ledger was opened again.
    Resumed(Resumed),
    /// An unfinished last frame was cut.
    TornTailCut(TornTailCut),
    /// Configuration was loaded.
    Configured(Configured),
    /// An officer agreed.
    Agreed(Agreed),
    /// Refusals of a minute.
    RefusalsSummed(RefusalsSummed),
    /// Something was found about another ledger.
    Finding(Finding),
    /// Parts were erased.
    Erased(Erased),
    /// A legal hold begins.
    Held(Held),
    /// A legal hold ends.
    Released(Released),
    /// A node asks for a TLS certificate.
    CertificateAsked(CertificateAsked),
    /// MEMBER_ADMITTED or MEMBER_CHANGED.
    Member(Box<MemberAct>),
    /// MEMBER_REMOVED.
    MemberRemoval(MemberRemovalAct),
    /// ACT_PROPOSED.
    Proposed(ProposedAct),
    /// ACT_APPROVED.
    Approved(ApprovedAct),
    /// ACT_REJECTED.
    Rejected(RejectedAct),
    /// ADMINISTRATOR_SET.
    Administrators(AdministratorsAct),
    /// WITNESS_POLICY_SET.
    WitnessPolicy(WitnessPolicyAct),
    /// TOKEN_ISSUED.
    Token(TokenAct),
    /// NODE_ENROLLED.
    Node(Box<NodeAct>),
    /// SERVICE_PUBLISHED.
    Service(Box<ServiceAct>),
    /// AGREEMENT_REGISTERED.
    Agreement(AgreementAct),
    /// AGREEMENT_REVOKED.
    AgreementRevocation(AgreementRevocationAct),
    /// CERTIFICATE_REVOKED.
    CertificateRevocation(CertificateRevocationAct),
    /// CERTIFICATE_ISSUED.
    Certificate(Box<CertificateAct>),
    /// SNAPSHOT_PUBLISHED.
    Snapshot(SnapshotAct),
}

impl Act {
    /// Parses the act of a statement of this kind; `None` where the kind carries none.
    pub(super) fn parse(kind: Kind, content: &Bytes) -> Result<Option<Self>, StatementError> {
        let act = Self::read(kind, content)?;
        act.as_ref()
            .map_or(Ok(()), Self::check)
            .map_err(|why| StatementError::Shape { kind, why })?;
        Ok(act)
    }

    /// The rules of docs/formats.md, Acts, that canonical bytes alone do not keep.
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Started(act) => rules::started(act),
            Self::Resumed(act) => rules::resumed(act),
            Self::Finding(act) => rules::finding(act),
            Self::Erased(act) => rules::erasure(&act.erasure, &act.approvals).map(drop),
            Self::Held(act) => rules::hold(&act.hold, &act.approvals).map(drop),
            Self::Released(act) => rules::release(&act.release, &act.approvals).map(drop),
            _ => Ok(()),
        }
    }

    fn read(kind: Kind, content: &Bytes) -> Result<Option<Self>, StatementError> {
        Ok(Some(match kind {
            Kind::Started => Self::Started(decode(content)?),
            Kind::Resumed => Self::Resumed(decode(content)?),
            Kind::TornTailCut => Self::TornTailCut(decode(content)?),
            Kind::Configured => Self::Configured(decode(content)?),
            Kind::Agreed => Self::Agreed(decode(content)?),
            Kind::RefusalsSummed => Self::RefusalsSummed(decode(content)?),
            Kind::Finding => Self::Finding(decode(content)?),
            Kind::Erased => Self::Erased(decode(content)?),
            Kind::Held => Self::Held(decode(content)?),
            Kind::Released => Self::Released(decode(content)?),
            Kind::CertificateAsked => Self::CertificateAsked(decode(content)?),
            Kind::MemberAdmitted | Kind::MemberChanged => Self::Member(Box::new(decode(content)?)),
            Kind::MemberRemoved => Self::MemberRemoval(decode(content)?),
            Kind::ActProposed => Self::Proposed(decode(content)?),
            Kind::ActApproved => Self::Approved(decode(content)?),
            Kind::ActRejected => Self::Rejected(decode(content)?),
            Kind::AdministratorSet => Self::Administrators(decode(content)?),
            Kind::WitnessPolicySet => Self::WitnessPolicy(decode(content)?),
            Kind::TokenIssued => Self::Token(decode(content)?),
            Kind::NodeEnrolled => Self::Node(Box::new(decode(content)?)),
            Kind::ServicePublished => Self::Service(Box::new(decode(content)?)),
            Kind::AgreementRegistered => Self::Agreement(decode(content)?),
            Kind::AgreementRevoked => Self::AgreementRevocation(decode(content)?),
            Kind::CertificateRevoked => Self::CertificateRevocation(decode(content)?),
            Kind::CertificateIssued => Self::Certificate(Box::new(decode(content)?)),
            Kind::SnapshotPublished => Self::Snapshot(decode(content)?),
            _ => return Ok(None),
        }))
    }
}

/// Whether statements of this kind carry an act.
pub(super) fn carries_act(kind: Kind) -> bool {
    kind as i32 >= Kind::Started as i32 && kind != Kind::Ended
}

fn decode<M: Message + Default + Name>(content: &Bytes) -> Result<M, StatementError> {
    canonical::decode(content).map_err(|source| StatementError::Canonical {
        part: Tag::Act.name(),
        source,
    })
}
