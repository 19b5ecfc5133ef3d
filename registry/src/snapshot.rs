//! The snapshot: made from the state, signed, and shown to everybody who follows.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::canonical;
use jisr_proto::ident::{Instance, ServiceName, SubsystemId};
use jisr_proto::snapshot as wire;

use crate::state::{Hash, Service, SnapshotAct, State};

/// Cosigners needed for ROUTINE, STANDARD and HIGH until peers cosign each other.
const QUORUM: [u32; 3] = [1, 1, 1];

/// What the snapshot holds besides the state.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// The network.
    pub(crate) instance: Instance,
    /// Raw key of the registry's witness.
    pub(crate) witness_key: [u8; 32],
    /// DER certificate of the issuing authority.
    pub(crate) issuing: Bytes,
    /// How long a snapshot is valid, microseconds.
    pub(crate) lifetime_us: u64,
}

/// A snapshot before it is published.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Its canonical bytes.
    pub(crate) bytes: Bytes,
    /// The act that publishes it.
    pub(crate) act: SnapshotAct,
}

/// The newest snapshot, as everybody gets it.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// Its version.
    pub(crate) version: u64,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
    /// Bytes, note and ledger entry.
    pub(crate) signed: Arc<wire::SignedSnapshot>,
}

impl Published {
    /// None: a registry that waits to be confirmed and has none on disk. It is shown to nobody.
    pub(crate) fn none() -> Published {
        Published {
            version: 0,
            expires_us: 0,
            signed: Arc::new(wire::SignedSnapshot::default()),
        }
    }
}

/// Makes the next snapshot of this state.
pub(crate) fn draft(state: &State, frame: &Frame, now_us: u64) -> Draft {
    let last = state.snapshot();
    // The note counts whole seconds; the snapshot says exactly the same instant.
    let expires_us = now_us.saturating_add(frame.lifetime_us) / 1_000_000 * 1_000_000;
    let version = last.map_or(0, |last| last.version) + 1;
    let snapshot = wire::Snapshot {
        format: 1,
        instance: state.instance().to_string(),
        version,
        created_us: now_us,
        expires_us,
        previous: last.map_or_else(Bytes::new, |last| Bytes::copy_from_slice(&last.digest)),
        members: members(state),
        nodes: nodes(state),
        services: services(state),
        agreements: agreements(state),
        witnesses: vec![wire::Witness {
            name: state.instance().witness_name(),
            key: Bytes::copy_from_slice(&frame.witness_key),
            operator: state.instance().registry(),
        }],
        quorum: QUORUM.to_vec(),
        revoked: state
            .revoked()
            .iter()
            .map(|hash| Bytes::copy_from_slice(hash))
            .collect(),
        issuers: vec![frame.issuing.clone()],
    };
    let bytes = canonical::encode(&snapshot);
    let act = SnapshotAct {
        version,
        digest: digest_of(&bytes),
        expires_us,
    };
    Draft { bytes, act }
}

/// The digest that names a snapshot.
pub(crate) fn digest_of(bytes: &[u8]) -> Hash {
    digest::domain("jisr.snapshot", &[bytes])
}

fn members(state: &State) -> Vec<wire::Member> {
    let row = |(id, row): (_, &crate::state::Member)| {
        Some(wire::Member {
            id: jisr_proto::ident::MemberId::to_string(id),
            name_ar: row.name_ar.clone(),
            name_en: row.name_en.clone(),
            entry: row.approved?,
        })
    };
    state.members().iter().filter_map(row).collect()
}

fn nodes(state: &State) -> Vec<wire::Node> {
    state
        .nodes()
        .values()
        .map(|node| wire::Node {
            entry: node.entry,
            ..node.row.clone()
        })
        .collect()
}

fn services(state: &State) -> Vec<wire::Service> {
    let services = state.services().iter();
    services
        .map(|((name, provider), row)| service(name, provider, row))
        .collect()
}

/// The row of a service.
pub(crate) fn service(name: &ServiceName, provider: &SubsystemId, row: &Service) -> wire::Service {
    wire::Service {
        name: name.to_string(),
        provider: provider.to_string(),
        schema: Bytes::copy_from_slice(&row.schema),
        title_ar: row.title_ar.clone(),
        title_en: row.title_en.clone(),
        entry: row.entry,
        listing: Some(row.listing.clone()),
        continues: row.continues.clone(),
    }
}

fn agreements(state: &State) -> Vec<wire::AgreementRow> {
    let agreements = state.agreements().iter();
    agreements
        .map(|(digest, row)| wire::AgreementRow {
            digest: Bytes::copy_from_slice(digest),
            document: row.document.clone(),
            entry: row.entry,
        })
        .collect()
}
