//! The registry's state: a pure fold over the acts in its ledger.
//!
//! [`State::check`] holds every rule that can be decided from the acts alone, with the time of the entry as the time. It
//! is asked before an act is appended and again when the ledger is replayed, so a ledger that breaks a rule is not
//! loaded. What needs a certificate, a schema or a signature is checked where the act comes from, before.

mod act;
mod contracts;
mod rows;
mod rules;

pub(crate) use act::{
    Act, AgreementAct, EnrolAct, Hash, MemberAct, RevokeAgreementAct, RevokeNodeAct, SnapshotAct, TokenAct,
};
pub(crate) use contracts::agreement_digest;
pub(crate) use rows::{AgreementRow, Member, Node, Service, Superseded, Token};

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::ident::{Epoch, IdentError, Instance, MemberId, NodeId, Origin, ServiceName, SubsystemId};

use crate::refusal::Refusal;

/// Why an entry of the ledger cannot be applied: the ledger is not this registry's, or is damaged.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The act cannot be read.
    #[error("{0}")]
    Act(String),
    /// A name in it is not of its form.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// It breaks a rule.
    #[error("{0}")]
    Rule(#[from] Refusal),
}

/// Everything that the acts up to now make true.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    instance: Instance,
    members: BTreeMap<MemberId, Member>,
    tokens: BTreeMap<Hash, Token>,
    nodes: BTreeMap<NodeId, Node>,
    by_tls_certificate: BTreeMap<Hash, NodeId>,
    /// Every origin that was ever listed.
    origins: BTreeMap<Origin, NodeId>,
    /// Every seal and witness key that was ever listed.
    keys: BTreeMap<Bytes, Origin>,
    services: BTreeMap<(ServiceName, SubsystemId), Service>,
    agreements: BTreeMap<Hash, AgreementRow>,
    /// Agreements that were registered and are revoked.
    gone: BTreeSet<Hash>,
    revoked: BTreeSet<Hash>,
    /// SHA-256 of seal certificates of ledgers that were succeeded.
    superseded: BTreeMap<Hash, Superseded>,
    snapshot: Option<SnapshotAct>,
    /// What was found of which ledger: each once.
    findings: BTreeSet<(i32, String)>,
}

impl State {
    /// Nothing has happened yet.
    pub(crate) fn new(instance: Instance) -> State {
        State {
            instance,
            members: BTreeMap::new(),
            tokens: BTreeMap::new(),
            nodes: BTreeMap::new(),
            by_tls_certificate: BTreeMap::new(),
            origins: BTreeMap::new(),
            keys: BTreeMap::new(),
            services: BTreeMap::new(),
            agreements: BTreeMap::new(),
            gone: BTreeSet::new(),
            revoked: BTreeSet::new(),
            superseded: BTreeMap::new(),
            snapshot: None,
            findings: BTreeSet::new(),
        }
    }

    /// Applies the act that stands at `index`, made at `at_us`.
    ///
    /// # Errors
    /// [`StateError`] where the act breaks a rule; the state is then unchanged.
    pub(crate) fn apply(&mut self, index: u64, at_us: u64, act: &Act) -> Result<(), StateError> {
        self.check(act, at_us)?;
        match act {
            Act::Admit(act) => self.admit(act),
            Act::Approve(act) => self.approve(index, act),
            Act::Token(act) => self.issue(act),
            Act::Enrol(act) => self.enrol(index, act)?,
            Act::Service(act) => self.publish(index, act)?,
            Act::Agreement(act) => self.register(index, act)?,
            Act::RevokeAgreement(act) => {
                self.agreements.remove(&act.digest);
                self.gone.insert(act.digest);
            }
            Act::RevokeNode(act) => self.revoke_node(act),
            Act::Snapshot(act) => self.snapshot = Some(act.clone()),
            Act::Finding(act) => {
                self.findings.insert((act.kind, act.origin.clone()));
            }
        }
        Ok(())
    }

    fn admit(&mut self, act: &MemberAct) {
        let row = Member {
            name_ar: act.name_ar.clone(),
            name_en: act.name_en.clone(),
            admitted_by: act.administrator.clone(),
            approved: None,
        };
        self.members.insert(act.member.clone(), row);
    }

    fn approve(&mut self, index: u64, act: &MemberAct) {
        if let Some(member) = self.members.get_mut(&act.member) {
            member.approved = Some(index);
        }
    }

    fn issue(&mut self, act: &TokenAct) {
        let row = Token {
            node: act.node.clone(),
            expires_us: act.expires_us,
            used: false,
            administrator: act.administrator.clone(),
        };
        self.tokens.insert(act.token, row);
    }

    fn enrol(&mut self, index: u64, act: &EnrolAct) -> Result<(), StateError> {
        let id: NodeId = act.row.id.parse()?;
        let origin: Origin = act.row.origin.parse()?;
        if let Some(token) = self.tokens.get_mut(&act.token) {
            token.used = true;
        }
        self.supersede(&id, act);
        self.unlist(&id);
        for key in [&act.row.seal_key, &act.row.witness_key] {
            self.keys.insert(key.clone(), origin.clone());
        }
        self.by_tls_certificate
            .insert(digest::sha256(&[&act.row.tls_certificate]), id.clone());
        self.origins.insert(origin.clone(), id.clone());
        self.nodes.insert(
            id,
            Node {
                origin,
                entry: index,
                row: act.row.clone(),
            },
        );
        Ok(())
    }

    fn publish(&mut self, index: u64, act: &jisr_proto::snapshot::ServiceAct) -> Result<(), StateError> {
        let (name, provider, row) = contracts::service(act)?;
        if act.withdrawn {
            self.services.remove(&(name, provider));
        } else {
            let schema = rules::hash(&row.schema, "the schema digest")?;
            let row = Service {
                schema,
                title_ar: row.title_ar.clone(),
                title_en: row.title_en.clone(),
                listing: row.listing.clone().unwrap_or_default(),
                continues: row.continues.clone(),
                entry: index,
            };
            self.services.insert((name, provider), row);
        }
        Ok(())
    }

    fn register(&mut self, index: u64, act: &AgreementAct) -> Result<(), StateError> {
        let row = AgreementRow {
            consumer: act.agreement.consumer.parse()?,
            provider: act.agreement.provider.parse()?,
            document: act.document.clone(),
            agreement: act.agreement.clone(),
            entry: index,
        };
        self.agreements.insert(agreement_digest(&act.document), row);
        Ok(())
    }

    /// A node that enrols again has a ledger that succeeds its old one. The old key must not be taken for it any more.
    fn supersede(&mut self, id: &NodeId, act: &EnrolAct) {
        let listed = self
            .nodes
            .get(id)
            .filter(|listed| listed.row.seal_key != act.row.seal_key);
        let token = self.tokens.get(&act.token);
        if let (Some(listed), Some(token)) = (listed, token) {
            let row = Superseded {
                node: id.clone(),
                administrator: token.administrator.clone(),
            };
            self.superseded
                .insert(digest::sha256(&[&listed.row.seal_certificate]), row);
        }
    }

    /// The node is listed on where only certificates that it no longer uses are revoked.
    fn revoke_node(&mut self, act: &RevokeNodeAct) {
        let in_use = self.nodes.get(&act.node).is_some_and(|listed| {
            let certificates = [&listed.row.tls_certificate, &listed.row.seal_certificate];
            certificates
                .iter()
                .any(|der| act.certificates.contains(&digest::sha256(&[der])))
        });
        if in_use {
            self.unlist(&act.node);
        }
        for certificate in &act.certificates {
            self.superseded.remove(certificate);
        }
        self.revoked.extend(act.certificates.iter().copied());
    }

    fn unlist(&mut self, node: &NodeId) {
        if let Some(listed) = self.nodes.remove(node) {
            self.by_tls_certificate
                .remove(&digest::sha256(&[&listed.row.tls_certificate]));
        }
    }

    /// The network it governs.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Members, approved or not, by id.
    pub(crate) fn members(&self) -> &BTreeMap<MemberId, Member> {
        &self.members
    }

    /// Listed nodes by id.
    pub(crate) fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// Published services by name, then provider.
    pub(crate) fn services(&self) -> &BTreeMap<(ServiceName, SubsystemId), Service> {
        &self.services
    }

    /// Agreements in force or to come, by digest.
    pub(crate) fn agreements(&self) -> &BTreeMap<Hash, AgreementRow> {
        &self.agreements
    }

    /// Whether an agreement with this digest was registered once and is revoked.
    pub(crate) fn is_gone(&self, agreement: &Hash) -> bool {
        self.gone.contains(agreement)
    }

    /// SHA-256 of revoked certificates.
    pub(crate) fn revoked(&self) -> &BTreeSet<Hash> {
        &self.revoked
    }

    /// A seal certificate whose ledger was succeeded, and which is not revoked yet.
    pub(crate) fn superseded(&self) -> Option<(&Hash, &Superseded)> {
        self.superseded.first_key_value()
    }

    /// The newest published snapshot.
    pub(crate) fn snapshot(&self) -> Option<&SnapshotAct> {
        self.snapshot.as_ref()
    }

    /// Whether this kind of finding stands there for that ledger.
    pub(crate) fn has_found(&self, kind: i32, origin: &Origin) -> bool {
        self.findings.contains(&(kind, origin.to_string()))
    }

    /// The listed node with this TLS certificate (SHA-256 of the DER).
    pub(crate) fn node_by_tls_certificate(&self, certificate: &Hash) -> Option<(&NodeId, &Node)> {
        self.nodes.get_key_value(self.by_tls_certificate.get(certificate)?)
    }

    /// The origin that this node gets when it enrols next: that of `epoch`, or the first free later one of the same year.
    pub(crate) fn next_origin(&self, node: &NodeId, epoch: &Epoch) -> Option<Origin> {
        let first = node.origin(epoch);
        if !self.origins.contains_key(&first) {
            return Some(first);
        }
        let year = epoch.as_str().split('-').next()?;
        (2..10_000)
            .filter_map(|number| format!("{year}-{number}").parse::<Epoch>().ok())
            .map(|epoch| node.origin(&epoch))
            .find(|origin| !self.origins.contains_key(origin))
    }
}

#[cfg(test)]
mod tests;
