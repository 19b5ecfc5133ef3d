//! What the registry's ledger says: the entries in the file, once each is shown to stand there.

use super::{Case, Doubt, Outcome, lacks, wrong};
use crate::{
    anchor::{Anchor, QuorumClass},
    note,
    statement::Act,
};
use jisr_certs::digest::domain;
use jisr_proto::{
    canonical,
    ident::Origin,
    snapshot::{AgreementAct, CertificateRevocationAct, Node, Service, SnapshotAct},
    statement::{Agreement, Core},
};

/// An agreement as it was registered.
pub(super) struct Registered {
    pub(super) digest: [u8; 32],
    pub(super) agreement: Agreement,
    pub(super) act: AgreementAct,
}

/// What the registry's entries in the file say.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) nodes: Vec<Node>,
    services: Vec<(Service, bool)>,
    agreements: Vec<Registered>,
    snapshots: Vec<SnapshotAct>,
    /// Each with when it was written.
    pub(super) revoked: Vec<(u64, CertificateRevocationAct)>,
    /// Digest of a revoked agreement, and when that was written.
    pub(super) ended: Vec<(u64, bytes::Bytes)>,
}

impl Facts {
    /// Checks every entry, then takes what it says.
    pub(super) fn read(case: &Case, anchor: &Anchor) -> Result<Self, Doubt> {
        let mut facts = Self::default();
        for entry in &case.registry {
            let place = format!("entry {} of {}", entry.index, entry.origin);
            if entry.origin != anchor.registry_origin {
                return wrong(format!("{place} is not of the registry's ledger that the anchor names"));
            }
            let note = case.note_of(entry)?;
            let checkpoint = note::open(&note.bytes, &anchor.registry_key)
                .map_err(|error| Doubt::Wrong(format!("the checkpoint of {place}: {error}")))?;
            if !entry.stands_in(&checkpoint) {
                return wrong(format!("{place} does not stand in the tree that its checkpoint signs"));
            }
            anchor
                .cosigned(&note.bytes, &entry.origin, QuorumClass::Registry)
                .map_err(|error| Doubt::Wrong(format!("the checkpoint of {place}: {error}")))?;
            facts.take(entry.parsed.act(), entry.parsed.core())?;
        }
        Ok(facts)
    }

    fn take(&mut self, act: Option<&Act>, core: &Core) -> Result<(), Doubt> {
        match act {
            Some(Act::Node(act)) => self.nodes.extend(act.node.clone()),
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
                });
            }
            Some(Act::Snapshot(act)) => self.snapshots.push(act.clone()),
            Some(Act::CertificateRevocation(act)) => self.revoked.push((core.created_us, act.clone())),
            Some(Act::AgreementRevocation(act)) => self.ended.push((core.created_us, act.digest.clone())),
            _ => {}
        }
        Ok(())
    }

    /// The node whose ledger this is, as it was enrolled last.
    pub(super) fn node(&self, origin: &Origin) -> Option<&Node> {
        self.nodes.iter().rev().find(|node| node.origin == origin.as_str())
    }

    /// The agreement with this digest.
    pub(super) fn agreement(&self, digest: &[u8]) -> Option<&Registered> {
        self.agreements.iter().find(|known| known.digest == digest)
    }

    /// Whether the registry published this version of the snapshot with this digest.
    pub(super) fn published(&self, version: u64, digest: &[u8]) -> Option<bool> {
        let act = self.snapshots.iter().find(|act| act.version == version)?;
        Some(act.digest == digest)
    }

    /// Whether a schema was registered for the service of a provider.
    pub(super) fn schema(&self, core: &Core) -> bool {
        self.services.iter().any(|(service, withdrawn)| {
            !withdrawn
                && service.name == core.service
                && service.provider == core.provider
                && service.schema == core.schema
        })
    }

    /// Whether everything that the exchange rests on is there.
    pub(super) fn needed_by(&self, case: &Case) -> Outcome {
        for origin in case.origins() {
            if self.node(origin).is_none() {
                return lacks(format!("NODE_ENROLLED for {origin} is not there"));
            }
        }
        for cited in &case.snapshots {
            if self.published(cited.snapshot.version, &cited.digest).is_none() {
                return lacks(format!(
                    "SNAPSHOT_PUBLISHED for version {} is not there",
                    cited.snapshot.version
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
            case.registry.len()
        ))
    }
}
