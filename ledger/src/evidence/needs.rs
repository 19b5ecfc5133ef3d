//! What exchanges rest on besides their statements, by the snapshots that these cite.

use super::Piece;
use crate::{
    snapshot::Listed,
    statement::{Act, Parsed},
};
use bytes::Bytes;
use jisr_proto::{
    snapshot::{AgreementAct, Node},
    statement::{Core, Sealed},
};
use std::collections::BTreeSet;

/// Collects, for whoever makes evidence, which entries of the registry's ledger and which certificates go with it.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    issuers: Vec<Bytes>,
    /// Indexes in the registry's ledger.
    pub entries: BTreeSet<u64>,
}

impl Needs {
    /// Adds what a statement rests on that cites this snapshot: both nodes, the service, the agreement.
    pub fn add(&mut self, snapshot: &Listed, core: &Core) {
        for node in parties(snapshot, core) {
            self.entries.insert(node.entry);
        }
        for issuer in snapshot.issuers() {
            if !self.issuers.contains(issuer) {
                self.issuers.push(issuer.clone());
            }
        }
        let services = snapshot
            .services
            .iter()
            .filter(|row| row.name == core.service && row.provider == core.provider);
        let agreements = snapshot.agreements.iter().filter(|row| row.digest == core.agreement);
        self.entries.extend(services.map(|row| row.entry));
        self.entries.extend(agreements.map(|row| row.entry));
    }

    /// Which of a chain's certificates the file needs besides: seal certificates stand in NODE_ENROLLED and issuers mostly in the
    /// snapshots.
    pub fn certificates<'c>(&self, chain: impl IntoIterator<Item = &'c Bytes>) -> Vec<Bytes> {
        let chain = chain.into_iter().filter(|der| !self.issuers.contains(der));
        chain.cloned().collect()
    }
}

/// A ledger in which a party agreed. The node may have had another one when the exchange took place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedIn {
    /// Its origin, as the checkpoint says.
    pub origin: String,
    /// The snapshot that AGREED cites; 0: none.
    pub snapshot_version: u64,
}

impl AgreedIn {
    /// Those that an entry of the registry's ledger names, where it is AGREEMENT_REGISTERED.
    #[must_use]
    pub fn of(entry: &Piece) -> Vec<AgreedIn> {
        match entry.statement.act() {
            Some(Act::Agreement(act)) => Self::in_act(act),
            _ => Vec::new(),
        }
    }

    pub(super) fn in_act(act: &AgreementAct) -> Vec<AgreedIn> {
        act.agreed.iter().filter_map(agreed_in).collect()
    }

    /// Whether this snapshot lists it.
    #[must_use]
    pub fn is_listed(&self, snapshot: &Listed) -> bool {
        snapshot.nodes.iter().any(|node| node.origin == self.origin)
    }
}

fn agreed_in(sealed: &Sealed) -> Option<AgreedIn> {
    let note = &sealed.seal.as_ref()?.checkpoint;
    let origin = note.split(|byte| *byte == b'\n').next()?;
    let statement = Parsed::parse(sealed.statement.as_ref()?).ok()?;
    Some(AgreedIn {
        origin: String::from_utf8(origin.to_vec()).ok()?,
        snapshot_version: statement.core().snapshot_version,
    })
}

/// Rows of the nodes of both sides. The provider's is known by its origin, the consumer's by its member alone.
fn parties<'a>(snapshot: &'a Listed, core: &'a Core) -> impl Iterator<Item = &'a Node> {
    let consumer = core.consumer.rsplit_once('/').map_or("", |(member, _)| member);
    snapshot.nodes.iter().filter(move |node| {
        let of_consumer = node.id.strip_prefix(consumer);
        node.origin == core.provider_origin || of_consumer.is_some_and(|rest| rest.starts_with("/node/"))
    })
}
