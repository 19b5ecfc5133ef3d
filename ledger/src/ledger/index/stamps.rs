//! Rows of time-stamps: `k` ‖ number → leaf ‖ place; `c` ‖ size of the checkpoint ‖ number → place; `v` ‖ number of a renewal → place.

use std::io;

use super::Index;
use super::rows::{key, place_bytes, place_of};
use crate::Hash;
use crate::ledger::tail::Place;

/// What a frame adds: the size of the checkpoint that is stamped, none for a renewal; and the token's leaf.
pub(crate) type StampRow = (Option<u64>, Hash);

/// A time-stamp's number in the ledger, and its frame.
pub(crate) type Numbered = (u64, Place);

/// Adds the rows of one time-stamp.
pub(super) fn put(rows: &mut sled::Batch, number: u64, place: Place, (size, leaf): &StampRow) {
    let (number, place) = (number.to_be_bytes(), place_bytes(place));
    rows.insert(key(b'k', &[&number]), [leaf.as_slice(), &place].concat());
    match size {
        Some(size) => rows.insert(key(b'c', &[&size.to_be_bytes(), &number]), &place),
        None => rows.insert(key(b'v', &[&number]), &place),
    };
}

impl Index {
    /// How many time-stamps there are.
    pub(super) fn stamps(&self) -> io::Result<u64> {
        let last = self
            .db
            .scan_prefix(b"k")
            .next_back()
            .transpose()
            .map_err(io::Error::other)?;
        Ok(last.and_then(|(key, _)| number(&key)).map_or(0, |last| last + 1))
    }

    /// The time-stamps on the first stamped checkpoint of at least this size.
    pub(crate) fn stamps_from(&self, size: u64) -> io::Result<Vec<Numbered>> {
        let mut found = Vec::new();
        let mut of = None;
        for row in self.db.range(key(b'c', &[&size.to_be_bytes()])..key(b'd', &[])) {
            let (key, place) = row.map_err(io::Error::other)?;
            let size = key.get(1..9).map(<[u8]>::to_vec);
            if of.is_some() && of != size {
                break;
            }
            of = size;
            found.extend(number(&key).zip(place_of(&place)));
        }
        Ok(found)
    }

    /// The newest time-stamp on a checkpoint.
    pub(crate) fn newest_stamp(&self) -> io::Result<Option<Numbered>> {
        let last = self
            .db
            .scan_prefix(b"c")
            .next_back()
            .transpose()
            .map_err(io::Error::other)?;
        Ok(last.and_then(|(key, place)| number(&key).zip(place_of(&place))))
    }

    /// The first time-stamp on a checkpoint from this number on.
    pub(crate) fn stamp_at_or_after(&self, first: u64) -> io::Result<Option<Numbered>> {
        for row in self.db.range(key(b'k', &[&first.to_be_bytes()])..key(b'l', &[])) {
            let (row_key, value) = row.map_err(io::Error::other)?;
            let Some(found) = number(&row_key) else { continue };
            let is_renewal = self
                .db
                .contains_key(key(b'v', &[&found.to_be_bytes()]))
                .map_err(io::Error::other)?;
            if !is_renewal {
                return Ok(value.get(32..).and_then(place_of).map(|place| (found, place)));
            }
        }
        Ok(None)
    }

    /// Renewals from this number on, in order.
    pub(crate) fn renewals(&self, first: u64) -> io::Result<Vec<Numbered>> {
        let rows = self.db.range(key(b'v', &[&first.to_be_bytes()])..key(b'w', &[]));
        rows.map(|row| row.map_err(io::Error::other))
            .filter_map(|row| row.map(|(key, place)| number(&key).zip(place_of(&place))).transpose())
            .collect()
    }

    /// Leaf inputs of the first time-stamps, at most so many.
    pub(crate) fn stamp_leaves(&self, count: u64) -> io::Result<Vec<Hash>> {
        let rows = self.db.range(key(b'k', &[&[]])..key(b'k', &[&count.to_be_bytes()]));
        rows.map(|row| leaf(&row.map_err(io::Error::other)?.1)).collect()
    }

    /// Leaf input of a time-stamp.
    pub(crate) fn stamp_leaf(&self, number: u64) -> io::Result<Hash> {
        let row = self
            .db
            .get(key(b'k', &[&number.to_be_bytes()]))
            .map_err(io::Error::other)?;
        leaf(&row.ok_or(io::ErrorKind::InvalidData)?)
    }
}

fn leaf(row: &[u8]) -> io::Result<Hash> {
    row.first_chunk()
        .copied()
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The number that a key ends with.
fn number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|number| u64::from_be_bytes(*number))
}
