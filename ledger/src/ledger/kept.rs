//! Messages that are stored with the statements that commit to them, where the method asks for it.

use bytes::Bytes;

use super::Ledger;
use super::entry::{ReadError, Reader};
use super::index::Index;
use crate::Hash;
use crate::frame::{Form, PAYLOAD_CLASS, PeerStatement, Record, Records, StoredParts, StoredPayload};
use crate::statement::{PayloadHasher, Tag, part_hash};
use crate::vault::{KeyName, VaultError};

/// What became of a stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is there, and the one to which the statement commits.
    Message(Bytes),
    /// It was erased.
    Erased,
    /// The key under which it was encrypted is not there.
    Sealed,
}

impl Ledger {
    /// The message that is stored with an entry; `None` where none was stored. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn kept(&self, index: u64) -> Result<Option<Kept>, ReadError> {
        if index >= self.size() {
            return Ok(None);
        }
        self.0.reader.kept(index, &*self.index()?)
    }
}

impl Reader {
    fn kept(&self, index: u64, by: &Index) -> Result<Option<Kept>, ReadError> {
        let (place, first) = by.frame(index)?.ok_or(ReadError::Index("a statement"))?;
        let body = self.frame(place)?;
        let (mut next, mut committed) = (first, None);
        for record in Records::new(&body) {
            match record? {
                Record::Statement(stored) => {
                    committed = if next == index { commitment(stored)? } else { None };
                    if next > index {
                        return Ok(None);
                    }
                    next += 1;
                }
                Record::PeerStatement(data) if next == index + 1 && committed.is_none() => {
                    committed = commitment(PeerStatement::parse(data)?.statement)?;
                }
                Record::Payload(data) if next == index + 1 => {
                    let part = committed.ok_or(ReadError::Index("a stored message"))?;
                    return self.opened(&part, StoredPayload::parse(data)?).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn opened(&self, part: &Hash, stored: StoredPayload<'_>) -> Result<Kept, ReadError> {
        let StoredPayload::Encrypted { month, nonce, sealed } = stored else {
            return Ok(Kept::Erased);
        };
        let name = KeyName {
            month,
            class: PAYLOAD_CLASS,
        };
        let Some(plain) = self.vault.unseal(name, part, *nonce, sealed)? else {
            return Ok(Kept::Sealed);
        };
        let changed = VaultError::Changed {
            month,
            class: PAYLOAD_CLASS,
        };
        let Some((salt, message)) = plain.split_first_chunk::<32>() else {
            return Err(changed.into());
        };
        let mut hasher = PayloadHasher::with_salt(*salt);
        hasher.update(message);
        if part_hash(Tag::Payload, salt, &hasher.finish().content()) != *part {
            return Err(changed.into());
        }
        Ok(Kept::Message(Bytes::copy_from_slice(message)))
    }
}

/// Hash of the PAYLOAD part of a stored statement.
fn commitment(stored: &[u8]) -> Result<Option<Hash>, ReadError> {
    for part in StoredParts::new(stored)? {
        let part = part?;
        match part.form {
            Form::Encrypted { hash, .. } | Form::Erased { hash } if part.tag == Tag::Payload => return Ok(Some(*hash)),
            _ => {}
        }
    }
    Ok(None)
}
