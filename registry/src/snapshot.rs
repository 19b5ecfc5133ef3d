//! The snapshot: rows made from the state, a header over them, signed, and shown to everybody who follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::snapshot::{self as format, Header, Known, Rows, State as Says, row_bytes};
use jisr_proto::ident::{MemberId, ServiceName, SubsystemId};
use jisr_proto::snapshot as wire;

use crate::history::History;
use crate::state::{Hash, Service, SnapshotAct, State};

/// Cosigners needed for ROUTINE, STANDARD and HIGH as long as administrators say nothing else.
const QUORUM: wire::Quorum = wire::Quorum {
    routine: 1,
    standard: 1,
    high: 1,
};

/// What the snapshot holds besides the state.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Raw key of the registry's witness.
    pub(crate) witness_key: [u8; 32],
    /// DER certificate of the issuing authority.
    pub(crate) issuing: Bytes,
    /// How long a snapshot is valid, microseconds.
    pub(crate) lifetime_us: u64,
}

/// All rows, and who may see those that are not for everyone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// The rows.
    pub(crate) rows: Rows,
    /// Members of both parties, by the key of an agreement's row.
    pub(crate) parties: BTreeMap<Arc<str>, [MemberId; 2]>,
}

impl Picture {
    /// The picture of this state, and the keys at which it differs from `before`.
    pub(crate) fn of(state: &State, frame: &Frame, before: &Picture) -> (Picture, Vec<Arc<str>>) {
        let (rows, changed) = before.rows.next(rows(state, frame).map(row_bytes));
        let parties = state
            .agreements()
            .iter()
            .map(|(digest, row)| (Arc::from(format::agreement_key(digest)), row.parties()));
        let parties = parties.collect();
        (Picture { rows, parties }, changed)
    }

    /// What this member is told of a row: its content, or, of the agreements of others, the digest of that.
    pub(crate) fn told(&self, key: &str, known: &Known, member: &MemberId) -> wire::RowChange {
        let for_all = self.parties.get(key).is_none_or(|parties| parties.contains(member));
        let row = known.row.as_ref().filter(|_| for_all);
        let content = row.map_or_else(|| Bytes::copy_from_slice(&known.content), |_| Bytes::new());
        wire::RowChange {
            key: key.to_owned(),
            row: row.cloned().unwrap_or_default(),
            content,
            removed: false,
        }
    }
}

/// A snapshot before it is published.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Canonical bytes of its header.
    pub(crate) header: Bytes,
    /// The act that publishes it.
    pub(crate) act: SnapshotAct,
    /// Its rows.
    pub(crate) picture: Arc<Picture>,
    /// Where they differ from those before.
    pub(crate) changed: Vec<Arc<str>>,
}

/// The newest snapshot, as everybody gets it.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// Its version.
    pub(crate) version: u64,
    /// Its digest.
    pub(crate) digest: Hash,
    /// Valid until, microseconds.
    pub(crate) expires_us: u64,
    /// Header, note and ledger entry.
    pub(crate) signed: Arc<wire::SignedSnapshot>,
    /// The rows.
    pub(crate) picture: Arc<Picture>,
    /// How it came from the versions before.
    pub(crate) history: Arc<History>,
}

impl Published {
    /// None: a registry that waits to be confirmed and has none on disk. It is shown to nobody.
    pub(crate) fn none() -> Published {
        Published {
            version: 0,
            digest: [0; 32],
            expires_us: 0,
            signed: Arc::default(),
            picture: Arc::default(),
            history: Arc::default(),
        }
    }
}

/// Makes the next snapshot of this state; the rows are those `before` where `stale` says that no act came since.
pub(crate) fn draft(state: &State, frame: &Frame, before: &Arc<Picture>, stale: bool, now_us: u64) -> Draft {
    let last = state.snapshot();
    let (picture, changed) = if stale {
        let (picture, changed) = Picture::of(state, frame, before);
        (Arc::new(picture), changed)
    } else {
        (Arc::clone(before), Vec::new())
    };
    let mut header = Header {
        instance: state.instance().to_string(),
        version: last.map_or(0, |last| last.version) + 1,
        created_us: now_us,
        // The note counts whole seconds; the snapshot says exactly the same instant.
        expires_us: now_us.saturating_add(frame.lifetime_us) / 1_000_000 * 1_000_000,
        previous: last.map(|last| last.digest),
        rows: picture.rows.len(),
        root: picture.rows.root(),
        digest: [0; 32],
    };
    let bytes = header.encode();
    header.digest = digest_of(&bytes);
    let act = SnapshotAct {
        version: header.version,
        digest: header.digest,
        expires_us: header.expires_us,
    };
    Draft {
        header: bytes,
        act,
        picture,
        changed,
    }
}

/// The digest that names a snapshot.
fn digest_of(header: &[u8]) -> Hash {
    jisr_certs::digest::domain("jisr.snapshot", &[header])
}

fn rows<'s>(state: &'s State, frame: &'s Frame) -> impl Iterator<Item = Says> + 's {
    let witness = Says::Witness(wire::Witness {
        name: state.instance().witness_name(),
        key: Bytes::copy_from_slice(&frame.witness_key),
        operator: state.instance().registry(),
    });
    let issuing = Says::Authority(wire::Authority {
        kind: format::ISSUING.to_owned(),
        certificate: frame.issuing.clone(),
    });
    let revoked = state.revoked().iter().map(|certificate| {
        Says::Revoked(wire::Revoked {
            certificate: Bytes::copy_from_slice(certificate),
        })
    });
    [witness, issuing, Says::Quorum(quorum(state))]
        .into_iter()
        .chain(witnesses(state))
        .chain(revoked)
        .chain(members(state))
        .chain(nodes(state))
        .chain(services(state))
        .chain(agreements(state))
}

fn members(state: &State) -> impl Iterator<Item = Says> {
    state.members().values().map(|member| Says::Member(member.shown()))
}

/// The witnesses that administrators listed besides the registry's own and the nodes.
fn witnesses(state: &State) -> impl Iterator<Item = Says> {
    let listed = state.witness_policy().into_iter().flat_map(|policy| &policy.witnesses);
    listed.cloned().map(Says::Witness)
}

fn quorum(state: &State) -> wire::Quorum {
    match state.witness_policy().map(|policy| policy.quorum.as_slice()) {
        Some(&[routine, standard, high]) => wire::Quorum {
            routine,
            standard,
            high,
        },
        _ => QUORUM,
    }
}

fn nodes(state: &State) -> impl Iterator<Item = Says> {
    state.nodes().values().map(|node| {
        Says::Node(wire::Node {
            entry: node.entry,
            ..node.row.clone()
        })
    })
}

fn services(state: &State) -> impl Iterator<Item = Says> {
    let services = state.services().iter();
    services.map(|((name, provider), row)| Says::Service(service(name, provider, row)))
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

fn agreements(state: &State) -> impl Iterator<Item = Says> {
    let agreements = state.agreements().iter();
    agreements.map(|(digest, row)| {
        Says::Agreement(wire::AgreementRow {
            digest: Bytes::copy_from_slice(digest),
            document: row.document.clone(),
            entry: row.entry,
        })
    })
}
