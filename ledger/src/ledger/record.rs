//! What is recorded besides statements, without anybody waiting for it.

use bytes::Bytes;
use jisr_certs::stamp::TOKEN_BYTES_MAX;

use super::error::AppendError;
use super::job::Job;
use crate::Hash;
use crate::note::NOTE_BYTES_MAX;
use crate::seal::Sealed;
use crate::tree::PROOF_HASHES_MAX;
use crate::vault::Vault;
use crate::verified::Verified;

/// A record that is not a statement (docs/formats.md, the table of records).
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A checkpoint of this ledger with the cosignatures of the quorum, a C2SP signed note.
    Cosigned(Bytes),
    /// A checkpoint of another ledger, a C2SP signed note whose signature was verified.
    PeerNote(Bytes),
    /// A final proof for an entry of another ledger, verified.
    PeerProof {
        /// Index there.
        index: u64,
        /// Leaf input of the entry.
        leaf: Hash,
        /// Its checkpoint with the cosignatures of the quorum, a C2SP signed note.
        note: Bytes,
        /// Inclusion path.
        path: Vec<Hash>,
    },
    /// A receipt: the closing statement of a consumer that cites a statement of this ledger, sealed and verified.
    PeerReceipt(Box<Verified<Sealed>>),
    /// The certificates that bind another ledger's key to its origin, DER: seal certificate, issuing authority, root.
    /// Written anew only where they were not written lately.
    PeerCertificates {
        /// Origin of that ledger.
        origin: String,
        /// At most 8.
        certificates: Vec<Bytes>,
    },
    /// A time-stamp on a checkpoint of this ledger, verified.
    Stamp {
        /// The checkpoint, a C2SP signed note.
        note: Bytes,
        /// RFC 3161 TimeStampToken, DER.
        token: Bytes,
    },
    /// A time-stamp that renews the first ones of this ledger ([`super::Renewable`]), verified.
    StampRenewal {
        /// How many.
        size: u64,
        /// RFC 3161 TimeStampToken, DER.
        token: Bytes,
    },
}

impl Record {
    /// Everything but an own checkpoint, which must be compared with the tree first.
    pub(crate) fn into_job(self, vault: &Vault) -> Result<Job, AppendError> {
        match self {
            Self::PeerReceipt(receipt) => Job::receipt(&receipt, vault),
            Self::PeerNote(note) if note.len() <= NOTE_BYTES_MAX => Ok(Job::peer_note(note)),
            Self::PeerProof {
                index,
                leaf,
                note,
                path,
            } if note.len() <= NOTE_BYTES_MAX && path.len() <= PROOF_HASHES_MAX => {
                Ok(Job::peer_proof(index, leaf, note, &path))
            }
            Self::PeerCertificates { origin, certificates } if certificates.len() <= 8 && origin.len() <= 256 => {
                Ok(Job::peer_certificates(&origin, &certificates))
            }
            Self::StampRenewal { size, token } if token.len() <= TOKEN_BYTES_MAX => Ok(Job::renewal(size, &token)),
            _ => Err(AppendError::Unsound("a record is longer than its format permits")),
        }
    }
}
