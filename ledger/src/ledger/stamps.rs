//! Time-stamps on this ledger, read back.

use bytes::Bytes;

use super::Ledger;
use super::entry::{ReadError, Reader};
use super::index::Index;
use super::tail::Place;
use crate::Hash;
use crate::frame::{Record, Records, StoredStamp};
use crate::note::{Checkpoint, SignedNote};
use crate::stamp::{self, Renewal};
use crate::tree::Kept;

/// A time-stamp on a checkpoint of this ledger, with its renewals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedCheckpoint {
    /// Size of the tree.
    pub size: u64,
    /// The checkpoint, a C2SP signed note.
    pub note: Bytes,
    /// RFC 3161 TimeStampToken, DER.
    pub token: Bytes,
    /// Later tokens over it, oldest first.
    pub renewals: Vec<Renewal>,
}

/// What is to be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewable {
    /// How many time-stamps there are.
    pub size: u64,
    /// What the token that renews them is over.
    pub imprint: Hash,
    /// The oldest on a checkpoint that no renewal covers, note and token: its time says whether it is time.
    pub oldest: (Bytes, Bytes),
}

impl Ledger {
    /// The tokens on the first checkpoint with one that covers the entry with this index. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn stamps_covering(&self, index: u64) -> Result<Vec<StampedCheckpoint>, ReadError> {
        let by = self.index()?;
        let found = by.stamps_from(index.saturating_add(1))?;
        found
            .into_iter()
            .map(|(ordinal, place)| self.stamped(ordinal, place, &by))
            .collect()
    }

    /// The newest time-stamp on a checkpoint. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn newest_stamp(&self) -> Result<Option<StampedCheckpoint>, ReadError> {
        let by = self.index()?;
        let newest = by.newest_stamp()?;
        newest
            .map(|(ordinal, place)| self.stamped(ordinal, place, &by))
            .transpose()
    }

    /// All time-stamps, where one of them is not renewed yet. Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn renewable(&self) -> Result<Option<Renewable>, ReadError> {
        let by = self.index()?;
        let renewed = match by.renewals(0)?.last() {
            Some((_, place)) => self.renewal(*place)?.0,
            None => 0,
        };
        let leaves = by.stamp_leaves(u64::MAX)?;
        let size = leaves.len() as u64;
        let Some((_, place)) = by.stamp_at_or_after(renewed)? else {
            return Ok(None);
        };
        let oldest = self.0.reader.checkpoint_stamp(place)?;
        Ok(Some(Renewable {
            size,
            imprint: stamp::renewal_imprint(size, &Kept::of(&leaves).frontier.root()),
            oldest,
        }))
    }

    fn stamped(&self, ordinal: u64, place: Place, by: &Index) -> Result<StampedCheckpoint, ReadError> {
        let (note, token) = self.0.reader.checkpoint_stamp_of(place, &by.stamp_leaf(ordinal)?)?;
        let size = SignedNote::parse(&note)
            .and_then(|note| Checkpoint::parse(note.text))
            .map_err(|_| ReadError::Index("a time-stamp"))?
            .size;
        let mut later = Vec::new();
        for (number, place) in by.renewals(ordinal.saturating_add(1))? {
            let (size, token) = self.renewal(place)?;
            later.push((number, size, token));
        }
        let renewals = match later.is_empty() {
            true => Vec::new(),
            false => stamp::renewals(ordinal, &later, &by.stamp_leaves(u64::MAX)?),
        };
        Ok(StampedCheckpoint {
            size,
            note,
            token,
            renewals,
        })
    }

    fn renewal(&self, place: Place) -> Result<(u64, Bytes), ReadError> {
        let body = self.0.reader.frame(place)?;
        for record in Records::new(&body) {
            let Record::Stamp(data) = record? else { continue };
            if let StoredStamp::Renewal { size, token } = StoredStamp::parse(data)? {
                return Ok((size, body.slice_ref(token)));
            }
        }
        Err(ReadError::Index("a renewal"))
    }
}

impl Reader {
    /// Note and token of a time-stamp with this leaf in a frame.
    fn checkpoint_stamp_of(&self, place: Place, leaf: &Hash) -> Result<(Bytes, Bytes), ReadError> {
        self.stamp_where(place, |token| stamp::leaf(token) == *leaf)
    }

    /// Note and token of the first time-stamp on a checkpoint in a frame.
    fn checkpoint_stamp(&self, place: Place) -> Result<(Bytes, Bytes), ReadError> {
        self.stamp_where(place, |_| true)
    }

    fn stamp_where(&self, place: Place, is_it: impl Fn(&[u8]) -> bool) -> Result<(Bytes, Bytes), ReadError> {
        let body = self.frame(place)?;
        for record in Records::new(&body) {
            let Record::Stamp(data) = record? else { continue };
            if let StoredStamp::Checkpoint { note, token } = StoredStamp::parse(data)?
                && is_it(token)
            {
                return Ok((body.slice_ref(note), body.slice_ref(token)));
            }
        }
        Err(ReadError::Index("a time-stamp"))
    }
}
