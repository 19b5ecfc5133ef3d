//! Rows of time-stamps: `k` ‖ number → leaf ‖ place; `c` ‖ size of the checkpoint ‖ number → place; `v` ‖ number of a renewal → place.

use std::io;

use super::Index;
use super::rows::{key, place_bytes, place_of};
use super::store::Changes;
use crate::Hash;
use crate::ledger::tail::Place;

/// What a frame adds: the size of the checkpoint that is stamped, none for a renewal; and the token's leaf.
pub(crate) type StampRow = (Option<u64>, Hash);

/// A time-stamp's number in the ledger, and its frame.
pub(crate) type Numbered = (u64, Place);

/// Adds the rows of one time-stamp.
pub(super) fn put(rows: &mut Changes, number: u64, place: Place, (size, leaf): &StampRow) {
    let (number, place) = (number.to_be_bytes(), place_bytes(place));
    rows.insert(key(b'k', &[&number]), [leaf.as_slice(), &place].concat());
    match size {
        Some(size) => rows.insert(key(b'c', &[&size.to_be_bytes(), &number]), place),
        None => rows.insert(key(b'v', &[&number]), place),
    }
}

impl Index {
    /// How many time-stamps there are.
    pub(super) fn stamps(&self) -> io::Result<u64> {
        let last = self.store.last(b"k".as_slice()..b"l".as_slice())?;
        Ok(last.and_then(|(key, _)| number(&key)).map_or(0, |last| last + 1))
    }

    /// The time-stamps on the first stamped checkpoint of at least this size.
    pub(crate) fn stamps_from(&self, size: u64) -> io::Result<Vec<Numbered>> {
        let mut found = Vec::new();
        let mut of = None;
        let first = key(b'c', &[&size.to_be_bytes()]);
        self.store.each(first.as_slice()..b"d".as_slice(), |key, place| {
            let size = key.get(1..9).map(<[u8]>::to_vec);
            let is_same = of.is_none() || of == size;
            if is_same {
                of = size;
                found.extend(number(key).zip(place_of(place)));
            }
            Ok(is_same)
        })?;
        Ok(found)
    }

    /// The newest time-stamp on a checkpoint.
    pub(crate) fn newest_stamp(&self) -> io::Result<Option<Numbered>> {
        let last = self.store.last(b"c".as_slice()..b"d".as_slice())?;
        Ok(last.and_then(|(key, place)| number(&key).zip(place_of(&place))))
    }

    /// The first time-stamp on a checkpoint from this number on.
    pub(crate) fn stamp_at_or_after(&self, first: u64) -> io::Result<Option<Numbered>> {
        let first = key(b'k', &[&first.to_be_bytes()]);
        let mut stamp = None;
        self.store.each(first.as_slice()..b"l".as_slice(), |row_key, row| {
            let Some(found) = number(row_key) else { return Ok(true) };
            let is_renewal = self.store.get(&key(b'v', &[&found.to_be_bytes()]))?.is_some();
            if !is_renewal {
                stamp = row.get(32..).and_then(place_of).map(|place| (found, place));
            }
            Ok(is_renewal)
        })?;
        Ok(stamp)
    }

    /// Renewals from this number on, in order.
    pub(crate) fn renewals(&self, first: u64) -> io::Result<Vec<Numbered>> {
        let first = key(b'v', &[&first.to_be_bytes()]);
        let mut found = Vec::new();
        self.store.each(first.as_slice()..b"w".as_slice(), |key, place| {
            found.extend(number(key).zip(place_of(place)));
            Ok(true)
        })?;
        Ok(found)
    }

    /// Leaf inputs of the first time-stamps, at most so many.
    pub(crate) fn stamp_leaves(&self, count: u64) -> io::Result<Vec<Hash>> {
        let last = key(b'k', &[&count.to_be_bytes()]);
        let mut leaves = Vec::new();
        self.store.each(b"k".as_slice()..last.as_slice(), |_, row| {
            leaves.push(leaf(row)?);
            Ok(true)
        })?;
        Ok(leaves)
    }

    /// Leaf input of a time-stamp.
    pub(crate) fn stamp_leaf(&self, number: u64) -> io::Result<Hash> {
        let row = self.store.get(&key(b'k', &[&number.to_be_bytes()]))?;
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
