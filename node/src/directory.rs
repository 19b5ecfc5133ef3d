//! The closet that holds the snapshot: who is who, who publishes what, which agreements stand.
//!
//! A [`View`] is one verified snapshot with the look-ups a corridor needs. It is immutable; a newer snapshot replaces it
//! as a whole, so a corridor that took a view works from one consistent picture.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jisr_certs::digest::{self, Hash};
use jisr_ledger::anchor::{Anchor, QuorumClass};
use jisr_ledger::note::VerifierKey;
use jisr_ledger::policy::Policy;
use jisr_ledger::snapshot::{Header, Listed, Rows};
use jisr_proto::ident::{MemberId, NodeId, Origin, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{self, SignedSnapshot, SnapshotUpdate};
use jisr_proto::statement::{AgreedMethod, Agreement, Core};
use jisr_proto::status::Fault;
use prost::Message as _;

use crate::snapshots::{self, SnapshotError, Taken};

/// A node as the snapshot lists it.
#[derive(Debug, Clone)]
pub(crate) struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// Origin of its ledger.
    pub origin: Origin,
    /// host:port of its peer door.
    pub address: String,
    /// Key of its ledger; the name is the origin.
    pub seal_key: VerifierKey,
    /// SHA-256 of its TLS certificates, the newest last.
    pub tls_certificates: Vec<Hash>,
    /// SHA-256 of the member's local CA.
    pub local_ca: Bytes,
    /// What it adds to a key set: digests of its seal certificate and keys.
    items: [Hash; 3],
    /// Its certificates and keys as they stand in the snapshot.
    pub row: snapshot::Node,
}

/// A service as the snapshot lists it.
#[derive(Debug)]
pub(crate) struct ServiceRow {
    /// Who publishes it.
    pub provider: SubsystemId,
    /// Digest of its FileDescriptorSet.
    pub schema: Hash,
    /// As it stands in the snapshot.
    pub row: snapshot::Service,
}

/// An agreement as the snapshot lists it.
#[derive(Debug)]
pub(crate) struct AgreementRow {
    /// Its digest.
    pub digest: Hash,
    /// Who asks.
    pub consumer: SubsystemId,
    /// Who answers.
    pub provider: SubsystemId,
    /// The document.
    pub document: Agreement,
    /// Index of its entry in the registry's ledger.
    pub entry: u64,
}

impl AgreementRow {
    /// The row of the agreement for this method, if it has one.
    pub(crate) fn method(&self, service: &ServiceName, method: &str) -> Option<&AgreedMethod> {
        self.document
            .methods
            .iter()
            .find(|row| row.service == service.as_str() && row.method == method)
    }
}

/// One verified snapshot, ready for look-ups.
#[derive(Debug)]
pub(crate) struct View {
    /// Version.
    pub version: u64,
    /// Digest.
    pub digest: Hash,
    /// Valid until, microseconds.
    pub expires_us: u64,
    /// Its header.
    pub header: Header,
    /// The header with what proves it.
    pub signed: SignedSnapshot,
    /// All rows.
    pub rows: Arc<Rows>,
    listing: Arc<Listing>,
}

/// The rows as look-ups. Versions that have the same rows share it.
#[derive(Debug, Default)]
struct Listing {
    /// Witness keys in force and who operates them.
    witnesses: Vec<(VerifierKey, String)>,
    nodes: HashMap<NodeId, Arc<NodeRow>>,
    members: HashMap<MemberId, Vec<Arc<NodeRow>>>,
    origins: HashMap<Origin, Arc<NodeRow>>,
    /// Names of members, Arabic and English.
    names: HashMap<MemberId, (String, String)>,
    services: HashMap<ServiceName, Vec<Arc<ServiceRow>>>,
    agreements: HashMap<SubsystemId, Vec<Arc<AgreementRow>>>,
    /// Agreements that have methods of the highest evidence class, by digest.
    high: HashMap<Hash, Arc<AgreementRow>>,
    revoked: HashSet<Hash>,
    /// Whose cosignatures count.
    policy: Option<Arc<Policy>>,
}

impl Listing {
    /// Builds the look-ups. Rows that break a rule of the format make the whole snapshot unusable: the registry is at
    /// fault, and a half-read picture would be worse than yesterday's. What `before` has of a node that did not change is not read
    /// again.
    fn build(anchor: &Anchor, rows: &Rows, before: Option<&Listing>) -> Result<Listing, SnapshotError> {
        let listed: Listed = rows.read().collect();
        let mut listing = Listing {
            policy: Some(Arc::new(anchor.with(&listed))),
            revoked: listed.revoked.iter().filter_map(|row| hash(&row.certificate)).collect(),
            ..Listing::default()
        };
        for row in &listed.witnesses {
            let key = raw_key(&row.key)?;
            let key = VerifierKey::new_witness(&row.name, key).map_err(row_error)?;
            listing.witnesses.push((key, row.operator.clone()));
        }
        for row in &listed.nodes {
            let known = row.id.parse().ok().and_then(|id: NodeId| before?.nodes.get(&id));
            let row = match known.filter(|known| known.row == *row) {
                Some(known) => Arc::clone(known),
                None => Arc::new(node_row(row)?),
            };
            listing.origins.insert(row.origin.clone(), Arc::clone(&row));
            listing
                .members
                .entry(row.id.member())
                .or_default()
                .push(Arc::clone(&row));
            listing.nodes.insert(row.id.clone(), row);
        }
        for row in &listed.members {
            let names = (row.name_ar.clone(), row.name_en.clone());
            listing.names.insert(row.id.parse().map_err(row_error)?, names);
        }
        for row in &listed.services {
            let (name, row) = service_row(row)?;
            listing.services.entry(name).or_default().push(Arc::new(row));
        }
        for row in &listed.agreements {
            let row = Arc::new(agreement_row(row)?);
            if row.document.methods.iter().any(is_high) {
                listing.high.insert(row.digest, Arc::clone(&row));
            }
            listing.agreements.entry(row.consumer.clone()).or_default().push(row);
        }
        Ok(listing)
    }
}

impl View {
    /// Builds the look-ups, or shares those of `before` where the rows are the same.
    ///
    /// # Errors
    /// A row breaks a rule of the format.
    pub(crate) fn build(anchor: &Anchor, taken: Taken, before: Option<&View>) -> Result<View, SnapshotError> {
        let same = before.filter(|before| {
            let (one, other) = (&before.header, &taken.header);
            one.root == other.root && one.rows == other.rows && *before.rows == taken.rows
        });
        let (rows, listing) = match same {
            Some(before) => (Arc::clone(&before.rows), Arc::clone(&before.listing)),
            None => {
                let listing = Listing::build(anchor, &taken.rows, before.map(|before| &*before.listing))?;
                (Arc::new(taken.rows), Arc::new(listing))
            }
        };
        Ok(View {
            version: taken.header.version,
            digest: taken.header.digest,
            expires_us: taken.header.expires_us,
            signed: taken.signed,
            header: taken.header,
            rows,
            listing,
        })
    }

    /// Witness keys in force besides those of nodes, and who operates them.
    pub(crate) fn witnesses(&self) -> &[(VerifierKey, String)] {
        &self.listing.witnesses
    }

    /// Every agreement that this node is shown.
    pub(crate) fn agreements(&self) -> impl Iterator<Item = &Arc<AgreementRow>> {
        self.listing.agreements.values().flatten()
    }

    /// A node by id.
    pub(crate) fn node(&self, id: &NodeId) -> Option<&Arc<NodeRow>> {
        self.listing.nodes.get(id)
    }

    /// A node by the origin of its ledger.
    pub(crate) fn node_of_origin(&self, origin: &Origin) -> Option<&Arc<NodeRow>> {
        self.listing.origins.get(origin)
    }

    /// All nodes of a member, by id.
    pub(crate) fn nodes_of(&self, member: &MemberId) -> &[Arc<NodeRow>] {
        self.listing.members.get(member).map_or(&[], Vec::as_slice)
    }

    /// All listed nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<NodeRow>> {
        self.listing.nodes.values()
    }

    /// Who publishes this service.
    pub(crate) fn publishers(&self, service: &ServiceName) -> &[Arc<ServiceRow>] {
        self.listing.services.get(service).map_or(&[], Vec::as_slice)
    }

    /// Every publication: name and row.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&ServiceName, &Arc<ServiceRow>)> {
        self.listing
            .services
            .iter()
            .flat_map(|(name, rows)| rows.iter().map(move |row| (name, row)))
    }

    /// Name of a member in Arabic and in English; empty where it is not listed.
    pub(crate) fn names(&self, member: &MemberId) -> (&str, &str) {
        let names = self.listing.names.get(member);
        names.map_or(("", ""), |(ar, en)| (ar.as_str(), en.as_str()))
    }

    /// Schemas that a node of `member` works with: of what it publishes, and of what it has agreed on, which may be earlier ones.
    pub(crate) fn schemas_of(&self, member: &MemberId) -> impl Iterator<Item = (ServiceName, Hash)> {
        let mut schemas: HashSet<(ServiceName, Hash)> = self
            .services()
            .filter(|(name, row)| row.provider.member() == *member || self.has_agreement(member, &row.provider, name))
            .map(|(name, row)| (name.clone(), row.schema))
            .collect();
        let parties = |row: &&Arc<AgreementRow>| row.consumer.member() == *member || row.provider.member() == *member;
        for method in self.agreements().filter(parties).flat_map(|row| &row.document.methods) {
            if let (Ok(name), Some(schema)) = (method.service.parse(), hash(&method.schema)) {
                schemas.insert((name, schema));
            }
        }
        schemas.into_iter()
    }

    /// Agreements in which this subsystem asks.
    pub(crate) fn agreements_of(&self, consumer: &SubsystemId) -> &[Arc<AgreementRow>] {
        self.listing.agreements.get(consumer).map_or(&[], Vec::as_slice)
    }

    /// Whether a subsystem of `member` may ask `provider` for this service, or answers it.
    pub(crate) fn has_agreement(&self, member: &MemberId, provider: &SubsystemId, service: &ServiceName) -> bool {
        self.listing.agreements.values().flatten().any(|row| {
            row.provider == *provider
                && row.consumer.member() == *member
                && row
                    .document
                    .methods
                    .iter()
                    .any(|method| method.service == service.as_str())
        })
    }

    /// Whether the agreement that a statement cites pins the highest evidence class for its method.
    pub(crate) fn is_high(&self, core: &Core) -> bool {
        let agreement = self.listing.high.get(core.agreement.as_ref());
        let method = agreement.and_then(|agreement| {
            let methods = agreement.document.methods.iter();
            methods
                .into_iter()
                .find(|row| row.service == core.service && row.method == core.method)
        });
        method.is_some_and(is_high)
    }

    /// Whether the members of these two nodes have an agreement, whoever asks.
    pub(crate) fn are_partners(&self, one: &NodeId, other: &NodeId) -> bool {
        let pair = [one.member(), other.member()];
        self.listing.agreements.values().flatten().any(|row| {
            let parties = [row.consumer.member(), row.provider.member()];
            parties == pair || (parties.first() == pair.last() && parties.last() == pair.first())
        })
    }

    /// The agreement with this digest.
    pub(crate) fn agreement(&self, consumer: &SubsystemId, digest: &[u8]) -> Option<&Arc<AgreementRow>> {
        self.agreements_of(consumer).iter().find(|row| row.digest == digest)
    }

    /// Whether a connection may begin on which this TLS certificate stands for this node: it is listed, and not revoked.
    pub(crate) fn lists_certificate(&self, node: &NodeId, certificate: &Hash) -> Result<(), String> {
        let row = self.unrevoked(node, certificate)?;
        if !row.tls_certificates.contains(certificate) {
            return Err(format!(
                "snapshot {} lists another certificate for {node}",
                self.version
            ));
        }
        Ok(())
    }

    /// The row of a node, where it is listed and this certificate is not revoked.
    pub(crate) fn unrevoked(&self, node: &NodeId, certificate: &Hash) -> Result<&Arc<NodeRow>, String> {
        if self.listing.revoked.contains(certificate) {
            return Err(format!(
                "snapshot {} lists the certificate of {node} as revoked",
                self.version
            ));
        }
        self.node(node)
            .ok_or_else(|| format!("snapshot {} does not list {node}", self.version))
    }
}

/// Whether the agreement pins the highest evidence class for it.
pub(crate) fn is_high(method: &AgreedMethod) -> bool {
    QuorumClass::from_evidence_class(method.evidence_class) == QuorumClass::High
}

/// Key-set digest of both nodes of an exchange (docs/formats.md, key sets).
pub(crate) fn key_set(consumer: &NodeRow, provider: &NodeRow) -> Hash {
    let mut items: Vec<&Hash> = consumer.items.iter().chain(&provider.items).collect();
    items.sort_unstable();
    let items: Vec<&[u8]> = items.into_iter().map(Hash::as_slice).collect();
    digest::domain("jisr.keyset", &items)
}

fn hash(bytes: &[u8]) -> Option<Hash> {
    bytes.try_into().ok()
}

fn raw_key(bytes: &[u8]) -> Result<[u8; 32], SnapshotError> {
    hash(bytes).ok_or_else(|| SnapshotError::Row("a key that is not 32 bytes".into()))
}

fn row_error(error: impl std::fmt::Display) -> SnapshotError {
    SnapshotError::Row(error.to_string())
}

fn node_row(row: &snapshot::Node) -> Result<NodeRow, SnapshotError> {
    let origin: Origin = row.origin.parse().map_err(row_error)?;
    Ok(NodeRow {
        id: row.id.parse().map_err(row_error)?,
        address: row.address.clone(),
        seal_key: VerifierKey::new_seal(&row.origin, raw_key(&row.seal_key)?).map_err(row_error)?,
        tls_certificates: row.tls_certificates.iter().map(|der| digest::sha256(&[der])).collect(),
        local_ca: row.local_ca.clone(),
        items: [
            digest::sha256(&[&row.seal_certificate]),
            digest::sha256(&[&row.seal_key]),
            digest::sha256(&[&row.witness_key]),
        ],
        origin,
        row: row.clone(),
    })
}

fn service_row(row: &snapshot::Service) -> Result<(ServiceName, ServiceRow), SnapshotError> {
    let name = row.name.parse().map_err(row_error)?;
    let schema = hash(&row.schema).ok_or_else(|| row_error("a schema digest that is not 32 bytes"))?;
    Ok((
        name,
        ServiceRow {
            provider: row.provider.parse().map_err(row_error)?,
            schema,
            row: row.clone(),
        },
    ))
}

fn agreement_row(row: &snapshot::AgreementRow) -> Result<AgreementRow, SnapshotError> {
    let document = Agreement::decode(row.document.clone()).map_err(row_error)?;
    let computed = digest::domain("jisr.agreement", &[&row.document]);
    if row.digest != computed.as_slice() {
        return Err(row_error("an agreement whose digest is another one's"));
    }
    Ok(AgreementRow {
        digest: computed,
        consumer: document.consumer.parse().map_err(row_error)?,
        provider: document.provider.parse().map_err(row_error)?,
        document,
        entry: row.entry,
    })
}

/// The newest view, replaced as a whole.
#[derive(Debug)]
pub(crate) struct Directory {
    anchor: Anchor,
    current: ArcSwapOption<View>,
    changed: tokio::sync::watch::Sender<u64>,
}

impl Directory {
    /// An empty directory under this anchor.
    pub(crate) fn new(anchor: Anchor) -> Directory {
        Directory {
            anchor,
            current: ArcSwapOption::empty(),
            changed: tokio::sync::watch::Sender::new(0),
        }
    }

    /// What this node trusts.
    pub(crate) fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Whose cosignatures count: the anchor's witnesses and those of the newest snapshot.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let view = self.current.load();
        let listed = view.as_ref().and_then(|view| view.listing.policy.clone());
        listed.unwrap_or_else(|| Arc::new(Policy::new(&self.anchor)))
    }

    /// Whether an exchange is of the highest evidence class, by the newest snapshot.
    pub(crate) fn is_high(&self, core: &Core) -> bool {
        self.current.load().as_ref().is_some_and(|view| view.is_high(core))
    }

    /// The newest view, whether expired or not.
    pub(crate) fn newest(&self) -> Option<Arc<View>> {
        self.current.load_full()
    }

    /// The view to work from: refused once it has expired.
    pub(crate) fn current(&self, now_us: u64) -> Result<Arc<View>, Fault> {
        let view = self
            .newest()
            .ok_or_else(|| Fault::new(Reason::SnapshotExpired, "this node holds no snapshot yet".to_owned()))?;
        if now_us >= view.expires_us {
            let ago = (now_us - view.expires_us) / 1_000_000;
            let detail = format!(
                "snapshot {} expired {ago} s ago and the registry gave no newer one",
                view.version
            );
            return Err(Fault::new(Reason::SnapshotExpired, detail));
        }
        Ok(view)
    }

    /// Follows versions as they are taken up.
    pub(crate) fn follow(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Verifies what is told of a snapshot against the one held. `None`: it is the one held.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub(crate) fn verify(&self, update: &SnapshotUpdate, now_us: u64) -> Result<Option<View>, SnapshotError> {
        let held = self.newest();
        let at = held.as_ref().map(|view| (&view.header, &*view.rows));
        match snapshots::take(&self.anchor, update, at, now_us)? {
            Some(taken) => View::build(&self.anchor, taken, held.as_deref()).map(Some),
            None => Ok(None),
        }
    }

    /// Takes what is kept on disk, where nothing is held yet.
    ///
    /// # Errors
    /// A row breaks a rule of the format.
    pub(crate) fn restore(&self, taken: Taken) -> Result<View, SnapshotError> {
        View::build(&self.anchor, taken, None)
    }

    /// Makes a view the newest one.
    pub(crate) fn adopt(&self, view: View) {
        let version = view.version;
        self.current.store(Some(Arc::new(view)));
        self.changed.send_replace(version);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of the snapshot with a key of its own.
    pub(crate) fn row(id: &str, seed: u8) -> NodeRow {
        use ring::signature::{Ed25519KeyPair, KeyPair as _};
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let id: NodeId = id.parse().unwrap();
        node_row(&snapshot::Node {
            id: id.to_string(),
            origin: id.origin(&"2026".parse().unwrap()).to_string(),
            seal_key: Bytes::copy_from_slice(pair.public_key().as_ref()),
            ..snapshot::Node::default()
        })
        .unwrap()
    }

    /// A view of these rows.
    pub(crate) fn view(version: u64, rows: Rows) -> View {
        let header = Header {
            instance: "JO".into(),
            version,
            created_us: 0,
            expires_us: 0,
            previous: (version > 1).then_some([0; 32]),
            rows: rows.len(),
            root: rows.root(),
            digest: [0; 32],
        };
        let signed = SignedSnapshot {
            header: header.encode(),
            ..SignedSnapshot::default()
        };
        View {
            version,
            digest: header.digest,
            expires_us: 0,
            header,
            signed,
            rows: Arc::new(rows),
            listing: Arc::default(),
        }
    }
}
