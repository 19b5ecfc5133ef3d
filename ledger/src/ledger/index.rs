//! The index: where an exchange's entries, peers' notes, proofs and receipts stand, and which exchanges there were with whom,
//! when, and about whom. Derived, rebuilt when it does not fit.
//!
//! One table of redb ([`store`], which says why not of sled); numbers are big-endian. What comes in one batch shares rows, so that a
//! busy ledger has few of them:
//!
//! | key | value |
//! | --- | --- |
//! | `i` index of a first statement | frames: index of the first statement ‖ place |
//! | `n` note hash | place of the frame |
//! | `p` index in the other ledger ‖ first 8 bytes of the leaf input | place of the frame with its newest final proof |
//! | `r` own index | place of the frame with the receipt for it |
//! | `x` time in the exchange ids, 64 ms ‖ their lowest index | statements ([`rows::Statement`]), by id |
//! | `t` ‖ time ‖ an index, `q` number of an origin ‖ .., `s` pseudonym ‖ .. | exchanges ([`rows::Began`]), by time |
//! | `k`, `c`, `v` | time-stamps ([`stamps`]) |
//! | `o` number | origin |
//! | `m` and the version of these rows | how far the index reaches |

mod batch;
mod forgetting;
mod rows;
mod stamps;
mod store;

use std::collections::HashMap;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jisr_proto::ident::ExchangeId;

use super::follower::Followed;
use super::tail::Place;
use crate::Hash;

use batch::Batch;
use rows::{Began, FRAME_BYTES, SPAN_US, bucket, key, place_bytes, place_of};
use store::Store;

pub(crate) use rows::Statement;
pub(crate) use stamps::StampRow;

/// Key of how far it reaches. An index of other rows has none, and is built anew.
const REACH: &[u8] = b"m4";

/// How far the index reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Where the last frame in it ends.
    pub(crate) end: Place,
    /// Size of the tree after that frame, and its root, which tells one past from another.
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Reach {
    fn of(row: &[u8]) -> Option<Self> {
        let (place, rest) = row.split_at_checked(16)?;
        let (size, root) = rest.split_first_chunk::<8>()?;
        Some(Self {
            end: place_of(place)?,
            size: u64::from_be_bytes(*size),
            root: root.try_into().ok()?,
        })
    }
}

pub(crate) struct Index {
    store: Store,
    /// Origin of this ledger.
    own: String,
    /// Numbers of the other ledgers' origins.
    origins: Mutex<HashMap<String, u32>>,
}

/// Which exchanges are asked for.
pub(crate) enum Selection<'a> {
    Time,
    Peer(u32),
    Pseudonym(&'a Hash),
}

impl Selection<'_> {
    fn prefix(&self) -> Vec<u8> {
        match self {
            Self::Time => key(b't', &[]),
            Self::Peer(number) => key(b'q', &[&number.to_be_bytes()]),
            Self::Pseudonym(pseudonym) => rows::pseudonym_key(pseudonym),
        }
    }
}

impl Index {
    /// Opens the index, or begins an empty one where there is none, it is damaged or its rows are of another version.
    pub(crate) fn open(directory: &Path, cache_bytes: u64, own: &str) -> io::Result<Self> {
        match Self::found(directory, cache_bytes, own) {
            // What was found is removed: now there is none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Self::found(directory, cache_bytes, own),
            found => found,
        }
    }

    fn found(directory: &Path, cache_bytes: u64, own: &str) -> io::Result<Self> {
        let index = Self {
            store: Store::open(directory, cache_bytes)?,
            own: own.to_owned(),
            origins: Mutex::default(),
        };
        if index.reach()?.is_none() && index.store.last(..)?.is_some() {
            tracing::info!("the ledger's index is of another version and is built anew");
            index.discard();
            return Err(io::ErrorKind::InvalidData.into());
        }
        index.read_origins()?;
        Ok(index)
    }

    fn read_origins(&self) -> io::Result<()> {
        let mut origins = HashMap::new();
        self.store.each_with(b"o", |key, origin| {
            let number = key.get(1..).and_then(|number| number.try_into().ok());
            let origin = str::from_utf8(origin).map_err(io::Error::other)?;
            let number = u32::from_be_bytes(number.ok_or(io::ErrorKind::InvalidData)?);
            origins.insert(origin.to_owned(), number);
            Ok(())
        })?;
        *self.origins.lock().unwrap_or_else(PoisonError::into_inner) = origins;
        Ok(())
    }

    /// How far it reaches; `None` where it is empty.
    pub(crate) fn reach(&self) -> io::Result<Option<Reach>> {
        let row = self.store.get(REACH)?;
        row.map(|row| Reach::of(&row).ok_or_else(|| io::ErrorKind::InvalidData.into()))
            .transpose()
    }

    /// Not used any more: who opens the index next begins an empty one.
    pub(crate) fn discard(&self) {
        self.store.discard();
    }

    /// Adds frames in their order, after which it reaches so far.
    pub(crate) fn add<'a>(&self, frames: impl IntoIterator<Item = &'a Followed>, reach: &Reach) -> io::Result<()> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::new(&self.own, &mut origins, self.stamps()?);
        frames.into_iter().for_each(|frame| batch.frame(frame));
        let mut rows = batch.finish();
        let end = place_bytes(reach.end);
        let reach = [end.as_slice(), &reach.size.to_be_bytes(), &reach.root].concat();
        rows.insert(REACH, reach);
        self.store.apply(&rows)
    }

    /// Statements of an exchange, by index.
    pub(crate) fn exchange(&self, id: ExchangeId) -> io::Result<Vec<Statement>> {
        let mut found = Vec::new();
        self.store.each_with(&key(b'x', &[&bucket(id.time_ms())]), |key, row| {
            let statements = Statement::row(key, row)?;
            found.extend(statements.into_iter().filter(|statement| statement.exchange == id));
            Ok(())
        })?;
        found.sort_unstable_by_key(|statement| statement.index);
        Ok(found)
    }

    /// Statements of the exchanges whose id was made in this time, milliseconds, and lies between the two; in no order.
    pub(crate) fn exchanges(
        &self,
        time_ms: &Range<u64>,
        ids: &RangeInclusive<ExchangeId>,
        mut take: impl FnMut(Statement),
    ) -> io::Result<()> {
        let from = time_ms.start.max(ids.start().time_ms());
        let until = time_ms.end.min(ids.end().time_ms().saturating_add(1));
        if from >= until {
            return Ok(());
        }
        let first = key(b'x', &[&bucket(from)]);
        let last = key(b'x', &[&bucket(until - 1), &[u8::MAX; 9]]);
        self.store.each(first.as_slice()..last.as_slice(), |key, row| {
            let wanted = |one: &Statement| time_ms.contains(&one.exchange.time_ms()) && ids.contains(&one.exchange);
            Statement::row(key, row)?.into_iter().filter(wanted).for_each(&mut take);
            Ok(true)
        })
    }

    /// Exchanges of a selection that began in this time, microseconds: time and id, about in the order of their time. Ends when
    /// `take` says so.
    pub(crate) fn began(
        &self,
        selection: &Selection<'_>,
        time_us: &Range<u64>,
        mut take: impl FnMut(u64, ExchangeId) -> bool,
    ) -> io::Result<()> {
        let prefix = selection.prefix();
        // A row holds no more than this time behind the one it is named for.
        let first = [prefix.as_slice(), &time_us.start.saturating_sub(SPAN_US).to_be_bytes()].concat();
        let last = [prefix.as_slice(), &time_us.end.to_be_bytes()].concat();
        if first >= last {
            return Ok(());
        }
        self.store.each(first.as_slice()..last.as_slice(), |key, row| {
            let began = Began::row(key, prefix.len(), row)?;
            Ok(began.into_iter().all(|(us, id)| !time_us.contains(&us) || take(us, id)))
        })
    }

    /// Numbers of the origins that are so.
    pub(crate) fn origins(&self, is_so: impl Fn(&str) -> bool) -> Vec<u32> {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = origins.iter().filter(|(origin, _)| is_so(origin));
        wanted.map(|(_, number)| *number).collect()
    }

    /// Origins by their numbers.
    pub(crate) fn numbered(&self) -> HashMap<u32, String> {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins
            .iter()
            .map(|(origin, number)| (*number, origin.clone()))
            .collect()
    }

    /// The frame in which the statement with this index stands, and the index of the frame's first.
    pub(crate) fn frame(&self, index: u64) -> io::Result<Option<(Place, u64)>> {
        let until = key(b'i', &[&index.to_be_bytes()]);
        let Some((_, row)) = self.store.last(b"i".as_slice()..=until.as_slice())? else {
            return Ok(None);
        };
        let (frames, _) = row.as_chunks::<FRAME_BYTES>();
        let first_of = |frame: &[u8; FRAME_BYTES]| frame.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        let at = frames.partition_point(|frame| first_of(frame) <= index);
        let frame = at.checked_sub(1).and_then(|at| frames.get(at));
        Ok(frame.and_then(|frame| Some((place_of(frame.get(8..)?)?, first_of(frame)))))
    }

    /// The frame in which a peer's note stands.
    pub(crate) fn note(&self, hash: &Hash) -> io::Result<Option<Place>> {
        self.place(&key(b'n', &[hash]))
    }

    /// The frame in which the newest final proof of a peer's leaf stands.
    pub(crate) fn proof(&self, index: u64, leaf: &Hash) -> io::Result<Option<Place>> {
        self.place(&rows::proof_key(index, leaf))
    }

    /// The frame in which the receipt for an own statement stands.
    pub(crate) fn receipt(&self, index: u64) -> io::Result<Option<Place>> {
        self.place(&key(b'r', &[&index.to_be_bytes()]))
    }

    fn place(&self, key: &[u8]) -> io::Result<Option<Place>> {
        let found = self.store.get(key)?;
        Ok(found.and_then(|value| place_of(&value)))
    }

    /// What was changed is durable when it returns.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.store.sync()
    }

    pub(crate) fn flush(&self) {
        if let Err(error) = self.sync() {
            tracing::warn!(%error, "the ledger's index could not be flushed");
        }
    }
}

#[cfg(test)]
mod tests;
