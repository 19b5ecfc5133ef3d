//! The registry's state: a pure fold over the acts in its ledger.
//!
//! [`State::check`] holds every rule that can be decided from the acts alone, with the time of the entry as the time. It
//! is asked before an act is appended and again when the ledger is replayed, so a ledger that breaks a rule is not
//! loaded. So are administrators' signatures: what has none has no effect, whoever wrote it. What needs a node's certificate or
//! a schema is checked where the act comes from, before.

mod act;
mod administration;
mod contracts;
mod renewal;
mod rows;
mod rules;

pub(crate) use act::{
    Act, AgreementAct, ApproveAct, ChangeAct, EnrolAct, Ground, Hash, Issued, MemberAct, RenewAct, RevokeAgreementAct,
    RevokeNodeAct, SnapshotAct, TokenAct,
};
pub(crate) use contracts::agreement_digest;
pub(crate) use renewal::Wanted;
pub(crate) use rows::{Administrator, AgreementRow, Member, Node, Pending, Service, Token};
pub(crate) use rules::{SUPERSEDED, TokenUse};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use jisr_certs::profile::Authority;
use jisr_certs::{Verified, digest};
use jisr_proto::ident::{Code, Epoch, IdentError, Instance, MemberId, NodeId, Origin, ServiceName, SubsystemId};
use jisr_proto::snapshot as wire;

use crate::administration::{Order, Signed};
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
    /// The authority from which administrators' certificates come.
    root: Verified<Authority>,
    administrators: BTreeMap<Code, Administrator>,
    /// Founded with one pair of eyes, and each role is not yet held by two.
    single: bool,
    /// Digests of what administrators signed of late, with the time in it: each once.
    signed: BTreeMap<Hash, u64>,
    /// Acts that await a second administrator, by digest.
    pending: BTreeMap<Hash, Pending>,
    /// What an approval did, in order, and the ledger has still to say: nothing else may come before.
    owed: VecDeque<Act>,
    witness_policy: Option<wire::WitnessPolicy>,
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
    /// Members of both parties of agreements that were registered and are revoked.
    gone: BTreeMap<Hash, [MemberId; 2]>,
    revoked: BTreeSet<Hash>,
    /// SHA-256 of seal certificates of ledgers that were succeeded.
    superseded: BTreeMap<Hash, NodeId>,
    snapshot: Option<SnapshotAct>,
    /// What was found of which ledger: each once.
    findings: BTreeSet<(i32, String)>,
}

impl State {
    /// Nothing has happened yet.
    pub(crate) fn new(instance: Instance, root: Verified<Authority>) -> State {
        State {
            instance,
            root,
            administrators: BTreeMap::new(),
            single: false,
            signed: BTreeMap::new(),
            pending: BTreeMap::new(),
            owed: VecDeque::new(),
            witness_policy: None,
            members: BTreeMap::new(),
            tokens: BTreeMap::new(),
            nodes: BTreeMap::new(),
            by_tls_certificate: BTreeMap::new(),
            origins: BTreeMap::new(),
            keys: BTreeMap::new(),
            services: BTreeMap::new(),
            agreements: BTreeMap::new(),
            gone: BTreeMap::new(),
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
        let effects = self.effects(act);
        self.owed.pop_front();
        self.owed.extend(effects);
        match act {
            Act::Propose(signed) => {
                self.propose(index, at_us, signed);
                self.remember(signed, at_us);
            }
            Act::Approve(act) => self.settle(&act.signed, at_us),
            Act::Reject(signed) => self.settle(signed, at_us),
            Act::Administrators(act) => self.set_administrators(act, at_us)?,
            Act::Admit(act) => self.list(index, &act.row)?,
            Act::Change(act) => {
                self.list(index, &act.row)?;
                self.remember(&act.signed, at_us);
            }
            Act::Remove(act) => self.remove(&act.member.parse()?),
            Act::WitnessPolicy(act) => self.witness_policy.clone_from(&act.policy),
            Act::Token(act) => {
                self.issue(act);
                self.remember(&act.signed, at_us);
            }
            Act::Enrol(act) => self.enrol(index, act)?,
            Act::Service(act) => self.publish(index, act)?,
            Act::Agreement(act) => self.register(index, act)?,
            Act::RevokeAgreement(act) => {
                let row = self.agreements.remove(&act.digest);
                self.gone.extend(row.map(|row| (act.digest, row.parties())));
            }
            Act::RevokeNode(act) => {
                self.revoke_node(act);
                if let Ground::Ordered(signed) = &act.ground {
                    self.remember(signed, at_us);
                }
            }
            Act::Renew(act) => self.renew(act),
            Act::Snapshot(act) => self.snapshot = Some(act.clone()),
            Act::Finding(act) => {
                self.findings.insert((act.kind, act.origin.clone()));
            }
        }
        Ok(())
    }

    /// An act was approved or rejected: it waits no more.
    fn settle(&mut self, signed: &Signed, at_us: u64) {
        if let Order::Approve(act) | Order::Reject { act, .. } = &signed.order {
            self.pending.remove(act);
        }
        self.remember(signed, at_us);
    }

    fn list(&mut self, index: u64, row: &wire::Member) -> Result<(), StateError> {
        let row = Member {
            row: row.clone(),
            entry: index,
        };
        self.members.insert(row.row.id.parse()?, row);
        Ok(())
    }

    /// Its agreements and the certificates of its nodes were revoked before.
    fn remove(&mut self, member: &MemberId) {
        self.members.remove(member);
        self.services.retain(|(_, provider), _| provider.member() != *member);
    }

    fn issue(&mut self, act: &TokenAct) {
        let row = Token {
            node: act.node.clone(),
            expires_us: act.expires_us,
            used: None,
        };
        self.tokens.insert(act.token, row);
    }

    fn enrol(&mut self, index: u64, act: &EnrolAct) -> Result<(), StateError> {
        let id: NodeId = act.row.id.parse()?;
        let origin: Origin = act.row.origin.parse()?;
        if let Some(token) = self.tokens.get_mut(&act.token) {
            token.used = act.row.tls_certificates.first().map(|der| digest::sha256(&[der]));
        }
        self.supersede(&id, act);
        self.unlist(&id);
        for key in [&act.row.seal_key, &act.row.witness_key] {
            self.keys.insert(key.clone(), origin.clone());
        }
        for certificate in &act.row.tls_certificates {
            self.by_tls_certificate
                .insert(digest::sha256(&[certificate]), id.clone());
        }
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

    fn publish(&mut self, index: u64, act: &wire::ServiceAct) -> Result<(), StateError> {
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
        if let Some(listed) = listed {
            let certificate = digest::sha256(&[&listed.row.seal_certificate]);
            self.superseded.insert(certificate, id.clone());
        }
    }

    /// The node is listed on where only certificates that it no longer uses are revoked.
    fn revoke_node(&mut self, act: &RevokeNodeAct) {
        let in_use = self.nodes.get(&act.node).is_some_and(|listed| {
            let revoked = |der: &Bytes| act.certificates.contains(&digest::sha256(&[der]));
            revoked(&listed.row.seal_certificate) || listed.row.tls_certificates.iter().all(revoked)
        });
        if in_use {
            self.unlist(&act.node);
        }
        self.withdraw(&act.node, &act.certificates);
        for certificate in &act.certificates {
            self.superseded.remove(certificate);
        }
        self.revoked.extend(act.certificates.iter().copied());
    }

    fn unlist(&mut self, node: &NodeId) {
        if let Some(listed) = self.nodes.remove(node) {
            for certificate in &listed.row.tls_certificates {
                self.by_tls_certificate.remove(&digest::sha256(&[certificate]));
            }
        }
    }

    /// The network it governs.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Whether everything that approvals did stands in the ledger.
    pub(crate) fn is_settled(&self) -> bool {
        self.owed.is_empty()
    }

    /// Who must cosign what, where administrators said so.
    pub(crate) fn witness_policy(&self) -> Option<&wire::WitnessPolicy> {
        self.witness_policy.as_ref()
    }

    /// Members by id.
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
        self.gone.contains_key(agreement)
    }

    /// Members of both parties of an agreement that is registered, or was.
    pub(crate) fn parties_of(&self, agreement: &Hash) -> Option<[MemberId; 2]> {
        let row = self.agreements.get(agreement).map(AgreementRow::parties);
        row.or_else(|| self.gone.get(agreement).cloned())
    }

    /// SHA-256 of revoked certificates.
    pub(crate) fn revoked(&self) -> &BTreeSet<Hash> {
        &self.revoked
    }

    /// A seal certificate whose ledger was succeeded, and which is not revoked yet.
    pub(crate) fn superseded(&self) -> Option<(&Hash, &NodeId)> {
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
