//! Entries read back from the segments, opened with the vault as far as its keys go.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::digest::sha256;

use super::fact::Clear;
use super::index::Index;
use super::tail::Place;
use crate::Hash;
use crate::frame::{
    FRAME_HEADER_BYTES, Form, FrameError, FrameHeader, PeerProof, PeerStatement, Record, Records, StoredPart,
    StoredParts, segment_name,
};
use crate::statement::{Opened, Parsed, Part, StatementError, Tag, part_hash};
use crate::vault::{KeyName, Vault, VaultError};

/// An own statement, and what it cites.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Index of the leaf.
    pub index: u64,
    /// The statement; parts whose key is destroyed, and erased ones, are withheld.
    pub statement: Parsed,
    /// The other side's statement that it cites, where it was stored.
    pub peer: Option<PeerEntry>,
}

/// A statement of another ledger as it was stored with the own one that cites it.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerEntry {
    /// Index in the other ledger.
    pub index: u64,
    /// Size of the tree under whose root it was shown.
    pub tree_size: u64,
    /// Inclusion path.
    pub path: Vec<Hash>,
    /// The checkpoint, a C2SP signed note.
    pub note: Bytes,
    /// The statement, as far as it opens.
    pub statement: Parsed,
    /// The final proof, once the other side paid it.
    pub proof: Option<FinalProof>,
}

/// A path under a checkpoint that the quorum cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalProof {
    /// Index in the other ledger.
    pub index: u64,
    /// Inclusion path.
    pub path: Vec<Hash>,
    /// The cosigned checkpoint, a C2SP signed note.
    pub note: Bytes,
}

/// Why an entry could not be read. The ledger is not fit to answer until this is settled.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A segment or the index cannot be read.
    #[error("own node: the ledger cannot be read ({0}); check the disk, then start again")]
    Io(#[from] io::Error),
    /// The bytes are not what was written.
    #[error("own node: {0}")]
    Frame(#[from] FrameError),
    /// A stored statement is not what was written.
    #[error("own node: a stored statement does not hold: {0}")]
    Statement(#[from] StatementError),
    /// A personal part does not open.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// What the index says and what the segments hold differ.
    #[error(
        "own node: the ledger's index is wrong about {0}; stop the node, remove the directory `index`, start again"
    )]
    Index(&'static str),
    /// The ledger was closed.
    #[error("own node: the ledger is closed; restart the node")]
    Stopped,
}

/// How often a frame that does not hold is looked at again, and how long is waited before each time.
const FRAME_LOOKS: u32 = 20;
const FRAME_PAUSE: Duration = Duration::from_millis(5);

/// Reads frames by place.
pub(crate) struct Reader {
    segments: PathBuf,
    pub(super) vault: Vault,
}

impl Reader {
    pub(crate) fn new(segments: &Path, vault: Vault) -> Self {
        Self {
            segments: segments.to_owned(),
            vault,
        }
    }

    /// Directory of the segments.
    pub(super) fn segments(&self) -> &Path {
        &self.segments
    }

    /// Body of a frame whose checksum holds. Where it does not, the frame may be in the middle of being erased in its place.
    pub(crate) fn frame(&self, place: Place) -> Result<Bytes, ReadError> {
        for _ in 0..FRAME_LOOKS {
            match self.frame_once(place) {
                Err(ReadError::Frame(_)) => std::thread::sleep(FRAME_PAUSE),
                read => return read,
            }
        }
        self.frame_once(place)
    }

    fn frame_once(&self, place: Place) -> Result<Bytes, ReadError> {
        let file = File::open(self.segments.join(segment_name(place.segment)))?;
        let mut header = [0; FRAME_HEADER_BYTES];
        file.read_exact_at(&mut header, place.offset)?;
        let header = FrameHeader::parse(&header)?;
        let mut body = vec![0; usize::try_from(header.body_bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut body, place.offset + FRAME_HEADER_BYTES as u64)?;
        if FrameHeader::of(&body) != Some(header) {
            return Err(FrameError::Body("its checksum does not hold").into());
        }
        Ok(body.into())
    }

    /// The entry with this index.
    pub(crate) fn entry(&self, index: u64, by: &Index) -> Result<Entry, ReadError> {
        let (place, first) = by.frame(index)?.ok_or(ReadError::Index("a statement"))?;
        let body = self.frame(place)?;
        let mut at = first;
        let mut records = Records::new(&body);
        while let Some(record) = records.next() {
            let Record::Statement(stored) = record? else { continue };
            if at == index {
                let statement = self.statement(&body, stored)?;
                let peer = match records.next() {
                    Some(Ok(Record::PeerStatement(data))) => Some(self.peer(&body, data, by)?),
                    _ => None,
                };
                return Ok(Entry { index, statement, peer });
            }
            at += 1;
        }
        Err(ReadError::Index("a statement"))
    }

    /// A stored statement, opened with the vault as far as its keys go.
    pub(crate) fn statement(&self, body: &Bytes, stored: &[u8]) -> Result<Parsed, ReadError> {
        let parts: Result<Vec<Part>, ReadError> =
            StoredParts::new(stored)?.map(|part| self.part(body, &part?)).collect();
        Ok(Parsed::from_parts(parts?)?)
    }

    /// Pseudonyms of the persons and the case that a stored statement names in the parts that are wanted. What does not open
    /// names nobody.
    pub(crate) fn pseudonyms(
        &self,
        body: &Bytes,
        stored: &[u8],
        wanted: impl Fn(Tag) -> bool,
    ) -> Result<Vec<Hash>, ReadError> {
        let mut named = Vec::new();
        for part in StoredParts::new(stored)? {
            let part = part?;
            if !matches!(part.tag, Tag::Case | Tag::Subject) || !wanted(part.tag) {
                continue;
            }
            match self.part(body, &part) {
                Ok(part) => named.push(part),
                Err(ReadError::Vault(error)) => {
                    tracing::warn!(%error, "a part does not open; the index is without whom it names");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.vault.pseudonyms(&named))
    }

    fn part(&self, body: &Bytes, stored: &StoredPart<'_>) -> Result<Part, ReadError> {
        let Form::Encrypted {
            hash,
            month,
            class,
            nonce,
            sealed,
        } = stored.form
        else {
            return Ok(stored.part(body));
        };
        let name = KeyName { month, class };
        let opened = match self.vault.unseal(name, hash, *nonce, sealed)? {
            None => None,
            Some(plain) => {
                let (salt, content) = plain
                    .split_first_chunk::<32>()
                    .ok_or(VaultError::Changed { month, class })?;
                if part_hash(stored.tag, salt, content) != *hash {
                    return Err(VaultError::Changed { month, class }.into());
                }
                Some(Opened {
                    salt: *salt,
                    content: Bytes::copy_from_slice(content),
                })
            }
        };
        Ok(Part {
            tag: stored.tag,
            hash: *hash,
            opened,
            erased: false,
        })
    }

    fn peer(&self, body: &Bytes, data: &[u8], by: &Index) -> Result<PeerEntry, ReadError> {
        let stored = PeerStatement::parse(data)?;
        let statement = self.statement(body, stored.statement)?;
        let proof = match by.proof(stored.index, &statement.leaf())? {
            Some(place) => Some(self.proof(place, &statement.leaf(), by)?),
            None => None,
        };
        Ok(PeerEntry {
            index: stored.index,
            tree_size: stored.tree_size,
            path: stored.path.to_vec(),
            note: self.note(&stored.note, by)?,
            statement,
            proof,
        })
    }

    /// The receipt for the own statement with this index.
    pub(crate) fn receipt(&self, index: u64, by: &Index) -> Result<Option<PeerEntry>, ReadError> {
        let Some(place) = by.receipt(index)? else {
            return Ok(None);
        };
        let body = self.frame(place)?;
        for record in Records::new(&body) {
            let Record::Receipt(data) = record? else { continue };
            if Clear::read(PeerStatement::parse(data)?.statement)?.cited_index() == Some(index) {
                return self.peer(&body, data, by).map(Some);
            }
        }
        Err(ReadError::Index("a receipt"))
    }

    fn proof(&self, place: Place, leaf: &Hash, by: &Index) -> Result<FinalProof, ReadError> {
        let body = self.frame(place)?;
        for record in Records::new(&body) {
            let Record::PeerProof(data) = record? else { continue };
            let proof = PeerProof::parse(data)?;
            if proof.leaf == *leaf {
                let note = self.note(&proof.note, by)?;
                return Ok(FinalProof {
                    index: proof.index,
                    path: proof.path.to_vec(),
                    note,
                });
            }
        }
        Err(ReadError::Index("a final proof"))
    }

    fn note(&self, hash: &Hash, by: &Index) -> Result<Bytes, ReadError> {
        let place = by.note(hash)?.ok_or(ReadError::Index("a peer's note"))?;
        let body = self.frame(place)?;
        for record in Records::new(&body) {
            let record = record?;
            if matches!(record, Record::PeerNote(note) if sha256(&[note]) == *hash) {
                return Ok(body.slice_ref(record.data()));
            }
        }
        Err(ReadError::Index("a peer's note"))
    }
}
