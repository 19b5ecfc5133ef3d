//! Records: what the body of a frame lists.

use super::{Fields, FrameError};
use crate::tree::{Hash, PROOF_HASHES_MAX};

/// A record, borrowed from the body it stands in. Its data is not parsed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// 1: a stored statement ([`super::StoredParts`]).
    Statement(&'a [u8]),
    /// 2: a checkpoint of this ledger, a signed note.
    Checkpoint(&'a [u8]),
    /// 3: a checkpoint of another ledger, a signed note.
    PeerNote(&'a [u8]),
    /// 4: what the statement before it cites ([`PeerStatement`]).
    PeerStatement(&'a [u8]),
    /// 5: a final proof for an entry of another ledger ([`PeerProof`]).
    PeerProof(&'a [u8]),
    /// 6: the certificates of another ledger's key ([`PeerCertificates`]).
    PeerCertificates(&'a [u8]),
    /// 7: the other side's closing statement that cites one of this ledger: its receipt ([`PeerStatement`]).
    Receipt(&'a [u8]),
    /// 8: the message that the statement before it commits to ([`super::StoredPayload`]).
    Payload(&'a [u8]),
    /// 9: a time-stamp on this ledger ([`super::StoredStamp`]).
    Stamp(&'a [u8]),
}

impl<'a> Record<'a> {
    fn kind(&self) -> u8 {
        match self {
            Self::Statement(_) => 1,
            Self::Checkpoint(_) => 2,
            Self::PeerNote(_) => 3,
            Self::PeerStatement(_) => 4,
            Self::PeerProof(_) => 5,
            Self::PeerCertificates(_) => 6,
            Self::Receipt(_) => 7,
            Self::Payload(_) => 8,
            Self::Stamp(_) => 9,
        }
    }

    /// The data, without type and length.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        match self {
            Self::Statement(data)
            | Self::Checkpoint(data)
            | Self::PeerNote(data)
            | Self::PeerStatement(data)
            | Self::PeerProof(data)
            | Self::PeerCertificates(data)
            | Self::Receipt(data)
            | Self::Payload(data)
            | Self::Stamp(data) => data,
        }
    }
}

/// The records of a body, in order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// Reads a body whose checksum holds.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self(body)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut fields = Fields(std::mem::take(&mut self.0));
        let (Some(kind), Some(data)) = (fields.u8(), fields.sized()) else {
            return Some(Err(FrameError::Record("it ends before its data does")));
        };
        let record = match kind {
            1 => Record::Statement(data),
            2 => Record::Checkpoint(data),
            3 => Record::PeerNote(data),
            4 => Record::PeerStatement(data),
            5 => Record::PeerProof(data),
            6 => Record::PeerCertificates(data),
            7 => Record::Receipt(data),
            8 => Record::Payload(data),
            9 => Record::Stamp(data),
            _ => return Some(Err(FrameError::Record("its type is unknown"))),
        };
        self.0 = fields.0;
        Some(Ok(record))
    }
}

/// Appends a record whose data is at hand.
pub fn put_record(body: &mut Vec<u8>, record: Record<'_>) {
    put(body, record.kind(), |body| body.extend_from_slice(record.data()));
}

/// Appends a record whose data `write` appends; the length is filled in afterwards.
pub(super) fn put(body: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    body.push(kind);
    sized(body, write);
}

/// Appends a `u32` length and what `write` appends.
pub(super) fn sized(body: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = body.len();
    body.extend_from_slice(&[0; 4]);
    write(body);
    let length = u32::try_from(body.len() - at - 4).expect("the parts of a frame are far below 4 GiB");
    if let Some(field) = body.get_mut(at..at + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// Data of PEER_STATEMENT and of RECEIPT: the other side's statement, where it stands, and how that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatement<'a> {
    /// Index in the other ledger.
    pub index: u64,
    /// Size of the tree under whose root it was shown.
    pub tree_size: u64,
    /// SHA-256 of the note, which stands in a PEER_NOTE before.
    pub note: Hash,
    /// Inclusion path.
    pub path: &'a [Hash],
    /// Stored statement ([`super::StoredParts`]).
    pub statement: &'a [u8],
}

impl<'a> PeerStatement<'a> {
    /// From the data of a record.
    ///
    /// # Errors
    /// It ends too early, or the path is longer than any tree needs.
    pub fn parse(data: &'a [u8]) -> Result<Self, FrameError> {
        let mut fields = Fields(data);
        let read = (|| Some((fields.u64()?, fields.u64()?, fields.array()?, path(&mut fields)?)))();
        let (index, tree_size, note, path) =
            read.ok_or(FrameError::Record("a statement of another ledger is out of form"))?;
        Ok(Self {
            index,
            tree_size,
            note,
            path,
            statement: fields.0,
        })
    }
}

/// Appends a PEER_STATEMENT record; `statement` appends the stored statement.
pub fn put_peer_statement(
    body: &mut Vec<u8>,
    place: (u64, u64),
    note: &Hash,
    path: &[Hash],
    statement: impl FnOnce(&mut Vec<u8>),
) {
    put(body, 4, |body| put_shown(body, place, note, path, statement));
}

/// Appends a RECEIPT record; `statement` appends the stored statement.
pub fn put_receipt(
    body: &mut Vec<u8>,
    place: (u64, u64),
    note: &Hash,
    path: &[Hash],
    statement: impl FnOnce(&mut Vec<u8>),
) {
    put(body, 7, |body| put_shown(body, place, note, path, statement));
}

/// What [`PeerStatement::parse`] reads; the place is index and tree size.
fn put_shown(
    body: &mut Vec<u8>,
    (index, tree_size): (u64, u64),
    note: &Hash,
    path: &[Hash],
    statement: impl FnOnce(&mut Vec<u8>),
) {
    body.extend_from_slice(&index.to_be_bytes());
    body.extend_from_slice(&tree_size.to_be_bytes());
    body.extend_from_slice(note);
    put_path(body, path);
    statement(body);
}

/// Data of PEER_PROOF: an entry of another ledger under a checkpoint that the quorum cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProof<'a> {
    /// Index in the other ledger.
    pub index: u64,
    /// Leaf input of the entry.
    pub leaf: Hash,
    /// SHA-256 of the note, which stands in a PEER_NOTE before.
    pub note: Hash,
    /// Inclusion path.
    pub path: &'a [Hash],
}

impl<'a> PeerProof<'a> {
    /// From the data of a record.
    ///
    /// # Errors
    /// It is too short or too long, or the path is longer than any tree needs.
    pub fn parse(data: &'a [u8]) -> Result<Self, FrameError> {
        let mut fields = Fields(data);
        let read = (|| Some((fields.u64()?, fields.array()?, fields.array()?, path(&mut fields)?)))();
        let (index, leaf, note, path) = read
            .filter(|_| fields.0.is_empty())
            .ok_or(FrameError::Record("a PEER_PROOF is out of form"))?;
        Ok(Self {
            index,
            leaf,
            note,
            path,
        })
    }
}

/// Appends a PEER_PROOF record.
pub fn put_peer_proof(body: &mut Vec<u8>, index: u64, leaf: &Hash, note: &Hash, path: &[Hash]) {
    put(body, 5, |body| {
        body.extend_from_slice(&index.to_be_bytes());
        body.extend_from_slice(leaf);
        body.extend_from_slice(note);
        put_path(body, path);
    });
}

fn path<'a>(fields: &mut Fields<'a>) -> Option<&'a [Hash]> {
    let count = usize::from(fields.u8()?);
    if count > PROOF_HASHES_MAX {
        return None;
    }
    Some(fields.take(count * 32)?.as_chunks::<32>().0)
}

fn put_path(body: &mut Vec<u8>, path: &[Hash]) {
    body.push(u8::try_from(path.len()).expect("no path has more than 65 hashes"));
    body.extend_from_slice(path.as_flattened());
}

/// Data of PEER_CERTIFICATES: what binds another ledger's key to its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificates<'a> {
    /// Origin of that ledger.
    pub origin: &'a str,
    /// DER: seal certificate, issuing authority, root.
    pub certificates: Vec<&'a [u8]>,
}

impl<'a> PeerCertificates<'a> {
    /// From the data of a record.
    ///
    /// # Errors
    /// It is out of form or holds more than 8 certificates.
    pub fn parse(data: &'a [u8]) -> Result<Self, FrameError> {
        let bad = FrameError::Record("PEER_CERTIFICATES is out of form");
        let mut fields = Fields(data);
        let origin = fields.u16().and_then(|length| fields.take(usize::from(length)));
        let origin = origin
            .and_then(|bytes| str::from_utf8(bytes).ok())
            .ok_or_else(|| bad.clone())?;
        let mut certificates = Vec::new();
        while !fields.0.is_empty() && certificates.len() < 8 {
            certificates.push(fields.sized().ok_or_else(|| bad.clone())?);
        }
        if fields.0.is_empty() {
            Ok(Self { origin, certificates })
        } else {
            Err(bad)
        }
    }
}

/// Appends a PEER_CERTIFICATES record.
pub fn put_peer_certificates<C: AsRef<[u8]>>(body: &mut Vec<u8>, origin: &str, certificates: &[C]) {
    put(body, 6, |body| {
        let length = u16::try_from(origin.len()).expect("an origin is shorter than 64 KiB");
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(origin.as_bytes());
        for certificate in certificates {
            sized(body, |body| body.extend_from_slice(certificate.as_ref()));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_put_is_read() {
        let mut body = Vec::new();
        put_record(&mut body, Record::Statement(b"statement"));
        put_record(&mut body, Record::Checkpoint(b"note"));
        put_record(&mut body, Record::PeerNote(b""));
        put_peer_statement(&mut body, (5, 9), &[1; 32], &[[2; 32], [3; 32]], |body| {
            body.extend_from_slice(b"stored")
        });
        put_peer_proof(&mut body, 7, &[4; 32], &[5; 32], &[]);
        put_peer_certificates(
            &mut body,
            "jisr/JO/GOV/mol/node1/2026",
            &[b"one".as_slice(), b"", b"three"],
        );
        put_receipt(&mut body, (6, 8), &[6; 32], &[], |body| {
            body.extend_from_slice(b"receipt")
        });
        let records: Vec<_> = Records::new(&body).collect::<Result<_, _>>().expect("well formed");
        let [statement, checkpoint, note, peer, proof, certificates, receipt] = records[..] else {
            panic!("seven records")
        };
        assert!(matches!(receipt, Record::Receipt(_)));
        let receipt = PeerStatement::parse(receipt.data()).expect("well formed");
        assert_eq!((receipt.index, receipt.tree_size, receipt.note), (6, 8, [6; 32]));
        assert_eq!(receipt.statement, b"receipt");
        assert_eq!(statement, Record::Statement(b"statement"));
        assert_eq!(checkpoint, Record::Checkpoint(b"note"));
        assert_eq!(note, Record::PeerNote(b""));
        let peer = PeerStatement::parse(peer.data()).expect("well formed");
        assert_eq!(
            (peer.index, peer.tree_size, peer.note, peer.path.len()),
            (5, 9, [1; 32], 2)
        );
        assert_eq!(peer.statement, b"stored");
        let proof = PeerProof::parse(proof.data()).expect("well formed");
        assert_eq!(
            (proof.index, proof.leaf, proof.note, proof.path),
            (7, [4; 32], [5; 32], &[][..])
        );
        let certificates = PeerCertificates::parse(certificates.data()).expect("well formed");
        assert_eq!(certificates.certificates, [b"one".as_slice(), b"", b"three"]);
    }

    #[test]
    fn broken_records_are_refused_and_end_the_list() {
        for body in [
            &[1u8][..],
            &[1, 0, 0, 0, 5, 1],
            &[0, 0, 0, 0, 0],
            &[10, 0, 0, 0, 0],
            &[1, 255, 255, 255, 255],
        ] {
            let found: Vec<_> = Records::new(body).collect();
            assert!(matches!(found[..], [Err(_)]), "{body:?}");
        }
        let mut body = Vec::new();
        put_peer_proof(&mut body, 7, &[4; 32], &[5; 32], &[[0; 32]]);
        let data = body[5..].to_vec();
        assert!(PeerProof::parse(&data[..data.len() - 1]).is_err());
        assert!(PeerProof::parse(&[&data[..], &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            for record in Records::new(&body) { let _ = record; }
            let _ = PeerStatement::parse(&body);
            let _ = PeerProof::parse(&body);
            let _ = PeerCertificates::parse(&body);
        }
    }
}
