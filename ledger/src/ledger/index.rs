//! The index: where an exchange's entries, peers' notes and final proofs stand. Derived, rebuilt when it does not fit.
//!
//! One sled tree. Keys are a letter and what is looked for, values the place of a frame:
//! `x` exchange id ‖ leaf index (value: leaf indexes of further statements, where several came at once) · `i` index of a frame's first statement · `n` note hash · `p` leaf input of a
//! final proof · `m` how far the index reaches.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use jisr_proto::ident::ExchangeId;

use super::follower::Followed;
use super::tail::Place;
use crate::Hash;

/// Milliseconds between sled's own flushes. Nothing rests on them.
const FLUSH_MS: u64 = 2_000;

/// How far the index reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The last frame in it.
    pub(crate) place: Place,
    /// Size and root of the tree after that frame.
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

pub(crate) struct Index {
    db: sled::Db,
    /// A write failed: what is not found may still be there, so nothing is answered any more.
    failed: AtomicBool,
}

impl Index {
    /// Opens the index, or begins an empty one where there is none or it is damaged.
    pub(crate) fn open(directory: &Path, cache_bytes: u64) -> io::Result<Self> {
        let open = || {
            sled::Config::new()
                .path(directory)
                .cache_capacity(cache_bytes)
                .flush_every_ms(Some(FLUSH_MS))
                .open()
        };
        let db = match open() {
            Ok(db) => db,
            Err(error) => {
                tracing::warn!(%error, "the ledger's index is damaged and is built anew");
                remove(directory)?;
                open().map_err(io::Error::other)?
            }
        };
        Ok(Self {
            db,
            failed: AtomicBool::new(false),
        })
    }

    /// How far it reaches; `None` where it is empty.
    pub(crate) fn reach(&self) -> Option<Reach> {
        let bytes = self.db.get(b"m").ok()??;
        let (place, rest) = bytes.split_at_checked(16)?;
        let (size, root) = rest.split_first_chunk::<8>()?;
        Some(Reach {
            place: place_of(place)?,
            size: u64::from_be_bytes(*size),
            root: root.try_into().ok()?,
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.db.clear().map_err(io::Error::other)
    }

    /// Adds frames in their order.
    pub(crate) fn add<'a>(&self, frames: impl Iterator<Item = &'a Followed>) {
        if self.whole().is_err() {
            // What follows a hole must not be in it either: the next start then adds all from the hole on.
            return;
        }
        let mut batch = sled::Batch::default();
        // Most exchanges bring several statements within one batch: one key for all of them.
        let mut exchanges: HashMap<ExchangeId, Vec<u64>> = HashMap::new();
        let mut last = None;
        for frame in frames {
            let place = place_bytes(frame.place);
            if !frame.leaves.is_empty() {
                batch.insert(key(b'i', &[&frame.first.to_be_bytes()]), &place);
            }
            for (id, index) in &frame.exchanges {
                exchanges.entry(*id).or_default().push(*index);
            }
            for note in &frame.notes {
                batch.insert(key(b'n', &[note]), &place);
            }
            for leaf in &frame.proofs {
                batch.insert(key(b'p', &[leaf]), &place);
            }
            last = Some(frame);
        }
        for (id, indexes) in &exchanges {
            if let Some((first, further)) = indexes.split_first() {
                let further: Vec<[u8; 8]> = further.iter().map(|index| index.to_be_bytes()).collect();
                batch.insert(
                    key(b'x', &[id.as_bytes(), &first.to_be_bytes()]),
                    further.as_flattened(),
                );
            }
        }
        let Some(last) = last else { return };
        let reach = [
            place_bytes(last.place).as_slice(),
            &last.size().to_be_bytes(),
            &last.root,
        ]
        .concat();
        batch.insert(b"m", reach);
        if let Err(error) = self.db.apply_batch(batch) {
            tracing::error!(%error, "the ledger's index could not be written: nothing is looked up before a restart");
            self.failed.store(true, Ordering::Release);
        }
    }

    fn whole(&self) -> io::Result<&sled::Db> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("a write to the index failed"));
        }
        Ok(&self.db)
    }

    /// Indexes of an exchange's statements, ascending.
    pub(crate) fn exchange(&self, id: ExchangeId) -> io::Result<Vec<u64>> {
        let mut indexes = Vec::new();
        for found in self.whole()?.scan_prefix(key(b'x', &[id.as_bytes()])) {
            let (key, further) = found.map_err(io::Error::other)?;
            let first = key.last_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
            let (further, rest) = further.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            indexes.extend(
                [first]
                    .into_iter()
                    .chain(further)
                    .map(|index| u64::from_be_bytes(*index)),
            );
        }
        Ok(indexes)
    }

    /// The frame in which the statement with this index stands, and the index of the frame's first.
    pub(crate) fn frame(&self, index: u64) -> io::Result<Option<(Place, u64)>> {
        let until = key(b'i', &[&index.to_be_bytes()]);
        let Some(found) = self.whole()?.range(vec![b'i']..=until).next_back() else {
            return Ok(None);
        };
        let (key, value) = found.map_err(io::Error::other)?;
        let first = key.last_chunk::<8>().map(|first| u64::from_be_bytes(*first));
        Ok(place_of(&value).zip(first))
    }

    /// The frame in which a peer's note stands.
    pub(crate) fn note(&self, hash: &Hash) -> io::Result<Option<Place>> {
        self.place(&key(b'n', &[hash]))
    }

    /// The frame in which the newest final proof of a peer's leaf stands.
    pub(crate) fn proof(&self, leaf: &Hash) -> io::Result<Option<Place>> {
        self.place(&key(b'p', &[leaf]))
    }

    fn place(&self, key: &[u8]) -> io::Result<Option<Place>> {
        let found = self.whole()?.get(key).map_err(io::Error::other)?;
        Ok(found.and_then(|value| place_of(&value)))
    }

    pub(crate) fn flush(&self) {
        if let Err(error) = self.db.flush() {
            tracing::warn!(%error, "the ledger's index could not be flushed");
        }
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn key(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![letter];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

fn place_bytes(place: Place) -> [u8; 16] {
    (u128::from(place.segment) << 64 | u128::from(place.offset)).to_be_bytes()
}

fn place_of(bytes: &[u8]) -> Option<Place> {
    let (segment, offset) = bytes.split_first_chunk::<8>()?;
    Some(Place {
        segment: u64::from_be_bytes(*segment),
        offset: u64::from_be_bytes(*offset.first_chunk()?),
    })
}
