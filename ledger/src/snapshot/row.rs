//! One row: its key, its content digest, its leaf.

use super::RowsError;
use crate::{Hash, tree::leaf_hash};
use bytes::Bytes;
use jisr_certs::digest::{domain, sha256};
use jisr_proto::{
    canonical,
    snapshot::{AgreementRow, Authority, Member, Node, Quorum, Revoked, Row, Service, Witness},
};
use std::fmt::Write as _;

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 512;

/// What a row says: the one field that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// A member.
    Member(Member),
    /// A node.
    Node(Node),
    /// A published service.
    Service(Service),
    /// A registered agreement.
    Agreement(AgreementRow),
    /// A witness key in force.
    Witness(Witness),
    /// Cosigners needed.
    Quorum(Quorum),
    /// A revoked certificate.
    Revoked(Revoked),
    /// The certificate of an authority.
    Authority(Authority),
}

impl State {
    /// What a row says; of several things, against the format, the first.
    #[must_use]
    pub fn of(row: Row) -> Option<Self> {
        None.or(row.member.map(Self::Member))
            .or(row.node.map(Self::Node))
            .or(row.service.map(Self::Service))
            .or(row.agreement.map(Self::Agreement))
            .or(row.witness.map(Self::Witness))
            .or(row.quorum.map(Self::Quorum))
            .or(row.revoked.map(Self::Revoked))
            .or(row.authority.map(Self::Authority))
    }

    fn row(self, key: String) -> Row {
        let mut row = Row { key, ..Row::default() };
        match self {
            Self::Member(says) => row.member = Some(says),
            Self::Node(says) => row.node = Some(says),
            Self::Service(says) => row.service = Some(says),
            Self::Agreement(says) => row.agreement = Some(says),
            Self::Witness(says) => row.witness = Some(says),
            Self::Quorum(says) => row.quorum = Some(says),
            Self::Revoked(says) => row.revoked = Some(says),
            Self::Authority(says) => row.authority = Some(says),
        }
        row
    }
}

/// Key of the row of a node.
#[must_use]
pub fn node_key(id: &str) -> String {
    format!("node/{id}")
}

/// Key of the row of a service.
#[must_use]
pub fn service_key(name: &str, provider: &str) -> String {
    format!("service/{name}/{provider}")
}

/// Key of the row of an agreement, by its digest.
#[must_use]
pub fn agreement_key(digest: &[u8]) -> String {
    format!("agreement/{}", hex(digest))
}

/// Key of the row of a witness, by the name of its key.
#[must_use]
pub fn witness_key(name: &str) -> String {
    format!("witness/{name}")
}

/// Key of the row of a revoked certificate, by its SHA-256.
#[must_use]
pub fn revoked_key(certificate: &[u8]) -> String {
    format!("revoked/{}", hex(certificate))
}

/// Key of the row of an authority, by its DER certificate.
#[must_use]
pub fn authority_key(kind: &str, certificate: &[u8]) -> String {
    format!("authority/{kind}/{}", hex(&sha256(&[certificate])))
}

/// The key that follows from what a row says.
#[must_use]
pub fn key_of(state: &State) -> String {
    match state {
        State::Member(row) => format!("member/{}", row.id),
        State::Node(row) => node_key(&row.id),
        State::Service(row) => service_key(&row.name, &row.provider),
        State::Agreement(row) => agreement_key(&row.digest),
        State::Witness(row) => witness_key(&row.name),
        State::Quorum(_) => "quorum".to_owned(),
        State::Revoked(row) => revoked_key(&row.certificate),
        State::Authority(row) => authority_key(&row.kind, &row.certificate),
    }
}

/// Key and canonical bytes of a row that says this.
#[must_use]
pub fn row_bytes(state: State) -> (String, Bytes) {
    let key = key_of(&state);
    let row = canonical::encode(&state.row(key.clone()));
    (key, row)
}

/// `D(jisr.row, bytes)`: what stands for a row's content.
pub(super) fn content(row: &[u8]) -> Hash {
    domain("jisr.row", &[row])
}

/// The leaf of a row in the tree: `D(jisr.listed, content ‖ key)`, hashed as a leaf. So key and content can each be shown alone.
pub(super) fn leaf(key: &str, content: &Hash) -> Hash {
    leaf_hash(&domain("jisr.listed", &[content, key.as_bytes()]))
}

/// Reads a row and checks that it has the key that it is listed under.
pub(super) fn read(key: &str, bytes: &Bytes) -> Result<Row, RowsError> {
    let bad = |why: String| RowsError::row(key, why);
    let mut states = 0;
    canonical::visit::<Row>(bytes, |field, _| states += usize::from(field > 1))
        .map_err(|error| bad(error.to_string()))?;
    let row: Row = canonical::decode(bytes).map_err(|error| bad(error.to_string()))?;
    let state = State::of(row.clone()).filter(|_| states == 1);
    let state = state.ok_or_else(|| bad("it does not say exactly one thing".to_owned()))?;
    if row.key != key || key_of(&state) != key {
        return Err(bad("its key is that of another row".to_owned()));
    }
    Ok(row)
}

/// Checks the form of a key whose row is not shown.
pub(super) fn check_key(key: &str) -> Result<(), RowsError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(RowsError::row(key, "the key is empty or longer than 512 bytes"));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string can be written to");
    }
    text
}
