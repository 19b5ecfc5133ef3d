//! What the registry's ledger says: the entries in the file, once each is shown to stand there.

use super::{
    Case, Doubt, Outcome,
    cache::Cache,
    ground::{Entry, Ground},
    lacks, wrong,
};
use crate::{
    Hash,
    anchor::{Anchor, QuorumClass},
    note::{self, Checkpoint},
    policy::Policy,
    statement::Act,
};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{
    canonical,
    ident::Origin,
    snapshot::{AgreementAct, CertificateRevocationAct, Node, Service},
    statement::{Agreement, Core},
};
use std::collections::HashMap;

/// An agreement as it was registered.
pub(super) struct Registered {
    pub(super) digest: [u8; 32],
    pub(super) agreement: Agreement,
    pub(super) act: AgreementAct,
    /// Leaf input of the entry, which commits to all of it.
    pub(super) leaf: Hash,
}

/// What the registry's entries in the file say.
#[derive(Default)]
pub(super) struct Facts {
    /// Each with the index of its entry and when that was written, ascending.
    nodes: Vec<(u64, u64, Node)>,
    services: Vec<(Service, bool)>,
    agreements: Vec<Registered>,
    snapshots: HashMap<u64, Bytes>,
    /// Each with when it was written.
    pub(super) revoked: Vec<(u64, CertificateRevocationAct)>,
    /// Digest of a revoked agreement, and when that was written.
    pub(super) ended: Vec<(u64, Bytes)>,
}

impl Facts {
    /// Checks every entry, then takes what it says.
    pub(super) fn read(ground: &Ground, anchor: &Anchor, cache: &Cache) -> Result<Self, Doubt> {
        let policy = Policy::new(anchor);
        let mut opened: HashMap<usize, Checkpoint> = HashMap::new();
        let mut facts = Self::default();
        for entry in &ground.registry {
            let place = format!("entry {} of {}", entry.index, entry.origin);
            if entry.origin != anchor.registry_origin {
                return wrong(format!("{place} is not of the registry's ledger that the anchor names"));
            }
            let checkpoint = match opened.get(&entry.note) {
                Some(checkpoint) => checkpoint,
                None => {
                    let bytes = &ground.note_of(entry).bytes;
                    let bad = |error| Doubt::Wrong(format!("the checkpoint of {place}: {error}"));
                    let checkpoint = note::open_with(bytes, &anchor.registry_key, cache).map_err(bad)?;
                    policy
                        .cosigned_with(bytes, &entry.origin, QuorumClass::Registry, None, cache)
                        .map_err(bad)?;
                    opened.entry(entry.note).or_insert(checkpoint.into_inner())
                }
            };
            if !entry.stands_in(checkpoint) {
                return wrong(format!("{place} does not stand in the tree that its checkpoint signs"));
            }
            facts.take(entry)?;
        }
        Ok(facts)
    }

    fn take(&mut self, entry: &Entry) -> Result<(), Doubt> {
        let core = entry.parsed.core();
        match entry.parsed.act() {
            Some(Act::Node(act)) => {
                let node = act.node.clone();
                self.nodes.extend(node.map(|node| (entry.index, core.created_us, node)));
            }
            Some(Act::Service(act)) => {
                self.services
                    .extend(act.service.clone().map(|service| (service, act.withdrawn)));
            }
            Some(Act::Agreement(act)) => {
                let agreement = canonical::decode(&act.document);
                let agreement = agreement.map_err(|error| Doubt::Wrong(format!("a registered agreement: {error}")))?;
                let digest = domain("jisr.agreement", &[&act.document]);
                self.agreements.push(Registered {
                    digest,
                    agreement,
                    act: act.clone(),
                    leaf: entry.parsed.leaf(),
                });
            }
            Some(Act::Snapshot(act)) => {
                self.snapshots.entry(act.version).or_insert_with(|| act.digest.clone());
            }
            Some(Act::CertificateRevocation(act)) => self.revoked.push((core.created_us, act.clone())),
            Some(Act::AgreementRevocation(act)) => self.ended.push((core.created_us, act.digest.clone())),
            _ => {}
        }
        Ok(())
    }

    /// How the node whose ledger this is was enrolled when the statement was made: by the entry that its row in the cited
    /// snapshot names; where no such row is in the file, as it was enrolled last.
    pub(super) fn node(&self, origin: &Origin, core: &Core, ground: &Ground) -> Option<&Node> {
        let listed = ground.snapshot(core.snapshot_version).and_then(|cited| {
            let mut rows = cited.listed().nodes.iter();
            rows.find(|row| row.origin == origin.as_str()).map(|row| row.entry)
        });
        let of_origin = |node: &&(u64, u64, Node)| node.2.origin == origin.as_str();
        let named = self
            .nodes
            .iter()
            .filter(of_origin)
            .find(|(index, ..)| Some(*index) == listed);
        let found = named.or_else(|| self.nodes.iter().rfind(of_origin));
        found.map(|(_, _, node)| node)
    }

    /// Whether these are the bytes of a seal certificate that the registry listed.
    pub(super) fn is_seal_certificate(&self, der: &Bytes) -> bool {
        self.nodes.iter().any(|(_, _, node)| node.seal_certificate == *der)
    }

    /// The nodes as they were enrolled, each with when that was, microseconds.
    pub(super) fn enrolled(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().map(|(_, at_us, node)| (*at_us, node))
    }

    /// The agreement with this digest.
    pub(super) fn agreement(&self, digest: &[u8]) -> Option<&Registered> {
        self.agreements.iter().find(|known| known.digest == digest)
    }

    /// Whether the registry published this version of the snapshot with this digest.
    pub(super) fn published(&self, version: u64, digest: &[u8]) -> Option<bool> {
        Some(self.snapshots.get(&version)? == digest)
    }

    /// Whether a schema was registered for the service of a provider.
    pub(super) fn schema(&self, core: &Core) -> bool {
        self.services.iter().any(|(service, withdrawn)| {
            !withdrawn
                && service.name == core.service
                && service.provider == core.provider
                && service.holds(&core.schema)
        })
    }

    /// Whether everything that the exchange rests on is there.
    pub(super) fn needed_by(&self, case: &Case) -> Outcome {
        for entry in &case.statements {
            if self.node(&entry.origin, entry.parsed.core(), case.ground).is_none() {
                return lacks(format!("NODE_ENROLLED for {} is not there", entry.origin));
            }
        }
        for cited in case.cited() {
            if self.published(cited.header.version, &cited.header.digest).is_none() {
                return lacks(format!(
                    "SNAPSHOT_PUBLISHED for version {} is not there",
                    cited.header.version
                ));
            }
        }
        if let Some(core) = case.asked().map(|entry| entry.parsed.core()) {
            if !self.schema(core) {
                return lacks(format!(
                    "SERVICE_PUBLISHED for {} of {} is not there",
                    core.service, core.provider
                ));
            }
            if self.agreement(&core.agreement).is_none() {
                return lacks("AGREEMENT_REGISTERED for the agreement cited is not there");
            }
        }
        Ok(format!(
            "{} entries stand in the registry's ledger",
            case.ground.registry.len()
        ))
    }
}
