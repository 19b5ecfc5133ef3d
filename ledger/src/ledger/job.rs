//! What a caller hands to the writer: bytes that are ready to be written. Encrypting, encoding and hashing are done by the
//! caller, so the one writer only copies.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::digest::sha256;
use tokio::sync::oneshot;

use super::commit::Commit;
use super::error::AppendError;
use super::fact::Fact;
use super::index::StampRow;
use super::waiter::{Landed, Telling, Waiter};
use crate::Hash;
use crate::frame::{self, Record, StoredStamp};
use crate::seal::Sealed;
use crate::statement::{Closed, Opened, Part};
use crate::tree::leaf_hash;
use crate::vault::{KeyName, Vault};

/// Length of an AES-256-GCM nonce.
const NONCE: usize = 12;

/// Bytes of a record before its data.
const RECORD_HEADER: usize = 5;

/// A record that later ones refer to by hash, or that says the same each time: written unless it was lately.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hash: Hash,
    pub(crate) record: SharedRecord,
}

#[derive(Debug)]
pub(crate) enum SharedRecord {
    /// A checkpoint of another ledger.
    Note(Bytes),
    /// A whole PEER_CERTIFICATES record.
    Certificates(Vec<u8>),
}

/// Bytes for one commit. All of it is written, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Job {
    /// Goes before the body where it is not known.
    pub(crate) shared: Vec<Shared>,
    /// Records, encoded.
    pub(crate) body: Vec<u8>,
    /// Leaf hashes of the STATEMENT records in the body.
    pub(crate) leaves: Vec<Hash>,
    /// What the derived data keep of those statements, in the same order.
    pub(crate) facts: Vec<Fact>,
    /// Indexes in the other ledgers and leaf inputs that PEER_PROOF records in the body prove.
    pub(crate) proofs: Vec<(u64, Hash)>,
    /// Own indexes that RECEIPT records in the body acknowledge.
    pub(crate) receipts: Vec<u64>,
    /// A checkpoint of this ledger with cosignatures; its record is made by the writer, which knows the frames.
    pub(crate) cosigned: Option<Signed>,
    /// A time-stamp; the writer drops it where its checkpoint is too old to be stored.
    pub(crate) stamp: Option<StampJob>,
    waiter: Option<Waiter>,
    /// The waiter does not hurry: the job is written when it would be without.
    patient: bool,
}

/// A checkpoint of this ledger, signed at least by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) size: u64,
    pub(crate) note: Bytes,
}

/// A time-stamp that is to be written.
#[derive(Debug)]
pub(crate) struct StampJob {
    /// The whole record.
    pub(crate) record: Vec<u8>,
    pub(crate) row: StampRow,
}

impl Job {
    /// Encrypts, encodes and hashes own statements, each with what it cites.
    pub(crate) fn statements(statements: &[Closed], vault: &Vault) -> Result<Self, AppendError> {
        let mut job = Self::default();
        let mut stored = Vec::new();
        for statement in statements {
            let core = statement.core();
            stored.clear();
            store(&mut stored, statement.parts(), core.created_us, vault)?;
            frame::put_record(&mut job.body, Record::Statement(&stored));
            job.leaves.push(leaf_hash(&statement.leaf()));
            job.facts.push(Fact::of(statement, vault));
            if let Some(cited) = statement.attached() {
                let created_us = cited.statement.core().created_us;
                stored.clear();
                store(&mut stored, cited.statement.parts(), created_us, vault)?;
                frame::put_peer_statement(
                    &mut job.body,
                    (cited.index, cited.tree_size),
                    &cited.note_hash,
                    &cited.path,
                    |body| body.extend_from_slice(&stored),
                );
                job.note(cited.note_hash, cited.note().clone());
            }
            if let Some((message, part, created_us)) = statement.kept() {
                keep(&mut job.body, message, part, created_us, vault)?;
            }
        }
        Ok(job)
    }

    /// A checkpoint of another ledger.
    pub(crate) fn peer_note(note: Bytes) -> Self {
        let mut job = Self::default();
        job.note(sha256(&[&note]), note);
        job
    }

    /// A final proof, with the note that it rests on.
    pub(crate) fn peer_proof(index: u64, leaf: Hash, note: Bytes, path: &[Hash]) -> Self {
        let mut job = Self {
            proofs: vec![(index, leaf)],
            ..Self::default()
        };
        let hash = sha256(&[&note]);
        frame::put_peer_proof(&mut job.body, index, &leaf, &hash, path);
        job.note(hash, note);
        job
    }

    /// A receipt: the other side's closing statement that cites one of this ledger.
    pub(crate) fn receipt(receipt: &Sealed, vault: &Vault) -> Result<Self, AppendError> {
        let cited = receipt.statement.citation();
        let cited = cited.ok_or(AppendError::Unsound("a receipt cites nothing"))?;
        let mut stored = Vec::new();
        let created_us = receipt.statement.core().created_us;
        store(&mut stored, receipt.statement.parts(), created_us, vault)?;
        let mut job = Self {
            receipts: vec![cited.index],
            ..Self::default()
        };
        let place = (receipt.index, receipt.tree_size);
        frame::put_receipt(&mut job.body, place, &receipt.note_hash, &receipt.path, |body| {
            body.extend_from_slice(&stored);
        });
        job.note(receipt.note_hash, receipt.note().clone());
        Ok(job)
    }

    /// What binds another ledger's key to its origin.
    pub(crate) fn peer_certificates(origin: &str, certificates: &[Bytes]) -> Self {
        let mut record = Vec::new();
        frame::put_peer_certificates(&mut record, origin, certificates);
        let shared = Shared {
            hash: sha256(&[&record]),
            record: SharedRecord::Certificates(record),
        };
        Self {
            shared: vec![shared],
            ..Self::default()
        }
    }

    /// An own checkpoint with cosignatures.
    pub(crate) fn cosigned(size: u64, note: Bytes) -> Self {
        Self {
            cosigned: Some(Signed { size, note }),
            ..Self::default()
        }
    }

    /// A time-stamp on an own checkpoint of this size.
    pub(crate) fn stamp(size: u64, note: &[u8], token: &[u8]) -> Self {
        Self::stamped(StoredStamp::Checkpoint { note, token }, Some(size))
    }

    /// A time-stamp on the first `size` time-stamps.
    pub(crate) fn renewal(size: u64, token: &[u8]) -> Self {
        Self::stamped(StoredStamp::Renewal { size, token }, None)
    }

    fn stamped(stamp: StoredStamp<'_>, size: Option<u64>) -> Self {
        let mut record = Vec::new();
        frame::put_stamp(&mut record, stamp);
        let row = (size, crate::stamp::leaf(stamp.token()));
        Self {
            stamp: Some(StampJob { record, row }),
            ..Self::default()
        }
    }

    /// Lets the caller wait for what comes of it.
    pub(crate) fn awaited(mut self) -> (Self, oneshot::Receiver<Landed>) {
        let (waiter, receiver) = Waiter::new();
        self.waiter = Some(waiter);
        (self, receiver)
    }

    /// Lets the caller look later at what came of it, without being waited for.
    pub(crate) fn patient(mut self) -> (Self, oneshot::Receiver<Landed>) {
        let (waiter, receiver) = Waiter::without_desk();
        self.waiter = Some(waiter);
        self.patient = true;
        (self, receiver)
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.waiter.is_some() && !self.patient
    }

    /// Most bytes it can take in a frame.
    pub(crate) fn bytes(&self) -> usize {
        let shared: usize = self.shared.iter().map(Shared::bytes).sum();
        let cosigned = self
            .cosigned
            .as_ref()
            .map_or(0, |cosigned| RECORD_HEADER + cosigned.note.len());
        let stamp = self.stamp.as_ref().map_or(0, |stamp| stamp.record.len());
        self.body.len() + shared + cosigned + stamp
    }

    /// Tells the caller that it stands.
    pub(crate) fn land(self, commit: &Arc<Commit>, first: u64, telling: &mut Telling) {
        if let Some(waiter) = self.waiter {
            telling.tell(waiter, Ok((Arc::clone(commit), first)));
        }
    }

    /// Tells the caller that nothing of it stands.
    pub(crate) fn refuse(self, error: &AppendError) {
        if let Some(waiter) = self.waiter {
            waiter.tell(Err(error.clone()));
        }
    }

    fn note(&mut self, hash: Hash, note: Bytes) {
        self.shared.push(Shared {
            hash,
            record: SharedRecord::Note(note),
        });
    }
}

impl Shared {
    /// Bytes of the record.
    fn bytes(&self) -> usize {
        match &self.record {
            SharedRecord::Note(note) => RECORD_HEADER + note.len(),
            SharedRecord::Certificates(record) => record.len(),
        }
    }

    /// Appends the record.
    pub(crate) fn put(&self, body: &mut Vec<u8>) {
        match &self.record {
            SharedRecord::Note(note) => frame::put_record(body, Record::PeerNote(note)),
            SharedRecord::Certificates(record) => body.extend_from_slice(record),
        }
    }
}

/// Appends the message to which a part commits, encrypted under the key for messages of its month.
fn keep(body: &mut Vec<u8>, message: &[u8], part: &Part, created_us: u64, vault: &Vault) -> Result<(), AppendError> {
    let salt = part.opened.as_ref().map(|opened| opened.salt);
    let salt = salt.ok_or(AppendError::Unsound(
        "a message is to be kept whose commitment is withheld",
    ))?;
    let mut nonce = [0; NONCE];
    vault.nonces(&mut nonce)?;
    let name = KeyName::at(created_us, frame::PAYLOAD_CLASS);
    let sealed = vault.seal(name, &part.hash, nonce, [&salt[..], message].concat())?;
    frame::put_payload(body, name.month, &nonce, &sealed);
    Ok(())
}

/// Appends a stored statement: clear parts as they are, personal ones encrypted under the key of their month and class.
fn store(body: &mut Vec<u8>, parts: &[Part], created_us: u64, vault: &Vault) -> Result<(), AppendError> {
    let personal = parts
        .iter()
        .filter(|part| part.tag.data_class().is_some() && part.opened.is_some())
        .count();
    // One draw for all nonces of the statement.
    let mut drawn = [0u8; NONCE * crate::statement::PARTS_MAX];
    if personal > 0 {
        vault.nonces(drawn.get_mut(..NONCE * personal).unwrap_or_default())?;
    }
    let mut nonces = drawn.as_chunks::<NONCE>().0.iter();
    body.push(u8::try_from(parts.len()).map_err(|_| AppendError::Unsound("a statement has too many parts"))?);
    for part in parts {
        match (&part.opened, part.tag.data_class()) {
            (None, _) => frame::put_erased(body, part.tag, &part.hash),
            (Some(opened), None) => frame::put_clear(body, part.tag, &opened.salt, &opened.content),
            (Some(opened), Some(class)) => {
                let nonce = nonces
                    .next()
                    .ok_or(AppendError::Unsound("a statement has too many parts"))?;
                let name = KeyName::at(created_us, class);
                let sealed = vault.seal(name, &part.hash, *nonce, plain(opened))?;
                frame::put_encrypted(body, part.tag, &part.hash, (name.month, class), nonce, &sealed);
            }
        }
    }
    Ok(())
}

/// salt ‖ content, with room for the tag.
fn plain(opened: &Opened) -> Vec<u8> {
    let mut plain = Vec::with_capacity(opened.salt.len() + opened.content.len() + 16);
    plain.extend_from_slice(&opened.salt);
    plain.extend_from_slice(&opened.content);
    plain
}
