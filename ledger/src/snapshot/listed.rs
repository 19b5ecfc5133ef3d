//! Rows by what they say.

use super::{ISSUING, State};
use bytes::Bytes;
use jisr_proto::snapshot::{AgreementRow, Authority, Member, Node, Quorum, Revoked, Row, Service, Witness};

/// The rows of a snapshot that somebody knows, each kind by key. What is not here may still be listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// Members.
    pub members: Vec<Member>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Services.
    pub services: Vec<Service>,
    /// Agreements.
    pub agreements: Vec<AgreementRow>,
    /// Witnesses besides those of nodes.
    pub witnesses: Vec<Witness>,
    /// Cosigners needed.
    pub quorum: Option<Quorum>,
    /// Revoked certificates.
    pub revoked: Vec<Revoked>,
    /// Authorities.
    pub authorities: Vec<Authority>,
}

impl Listed {
    /// DER certificates of the authorities that issue certificates of nodes.
    pub fn issuers(&self) -> impl Iterator<Item = &Bytes> {
        let issuing = self.authorities.iter().filter(|authority| authority.kind == ISSUING);
        issuing.map(|authority| &authority.certificate)
    }
}

impl FromIterator<Row> for Listed {
    fn from_iter<R: IntoIterator<Item = Row>>(rows: R) -> Self {
        let mut listed = Self::default();
        for row in rows {
            match State::of(row) {
                Some(State::Member(row)) => listed.members.push(row),
                Some(State::Node(row)) => listed.nodes.push(row),
                Some(State::Service(row)) => listed.services.push(row),
                Some(State::Agreement(row)) => listed.agreements.push(row),
                Some(State::Witness(row)) => listed.witnesses.push(row),
                Some(State::Quorum(row)) => listed.quorum = Some(row),
                Some(State::Revoked(row)) => listed.revoked.push(row),
                Some(State::Authority(row)) => listed.authorities.push(row),
                None => {}
            }
        }
        listed
    }
}
