//! Keys and rows of the index, byte for byte.

use std::io;

use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

use crate::Hash;
use crate::frame::Fields;
use crate::ledger::fact::Fact;
use crate::ledger::tail::Place;

/// Bytes of a frame in its row: index of its first statement ‖ place.
pub(super) const FRAME_BYTES: usize = 24;
/// Bytes of an exchange in its row.
const BEGAN_BYTES: usize = 19;
/// Most entries of a row.
pub(super) const ROW_ENTRIES: usize = 256;
/// Most time between the first and the last exchange of a row, microseconds.
pub(super) const SPAN_US: u64 = 1_000_000;
/// Ids of one bucket were made within so many milliseconds, as a power of two.
const BUCKET_BITS: u32 = 6;

/// A statement of an exchange, as it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) exchange: ExchangeId,
    pub(crate) index: u64,
    pub(crate) kind: Kind,
    pub(crate) asked_by_us: bool,
    /// Number of the other side's origin, 0 for none.
    pub(crate) peer: u32,
    /// Leaf input of what it cites, or zeros.
    pub(crate) cited: Hash,
}

/// What stands in the second byte of a statement in its row.
mod flag {
    pub(super) const ASKED_BY_US: u8 = 1;
    /// The exchange is that of the one before: no id.
    pub(super) const SAME_EXCHANGE: u8 = 2;
    /// The peer is that of the one before: no number.
    pub(super) const SAME_PEER: u8 = 4;
    /// Something is cited.
    pub(super) const CITES: u8 = 8;
    /// What is cited is what the one before cites: no leaf.
    pub(super) const SAME_CITED: u8 = 16;
}

/// Bytes of an id that its bucket tells.
const ID_SHARED: usize = 5;

impl Statement {
    pub(super) fn of(index: u64, fact: &Fact, own: &str, peer: u32) -> Option<Self> {
        Some(Self {
            exchange: fact.exchange?,
            index,
            kind: fact.kind?,
            asked_by_us: fact.asked_by(own),
            peer,
            cited: fact.cited_leaf().unwrap_or_default(),
        })
    }

    /// Statements of one bucket in the order of their ids, with the index in the row's key, which is the lowest of theirs. Each is
    /// `u8` kind ‖ `u8` flags ‖ `u32` index above the lowest ‖ the id but for its first bytes ‖ `u32` peer ‖ leaf input cited,
    /// without what the flags say is that of the one before.
    pub(super) fn encode(statements: &[Self]) -> (u64, Vec<u8>) {
        let lowest = statements.iter().map(|one| one.index).min().unwrap_or(0);
        let mut row = Vec::new();
        let mut before: Option<&Self> = None;
        for one in statements {
            let is_same = |same: fn(&Self, &Self) -> bool| before.is_some_and(|before| same(before, one));
            let cites = one.cited != Hash::default();
            let flags = [
                (flag::ASKED_BY_US, one.asked_by_us),
                (flag::SAME_EXCHANGE, is_same(|a, b| a.exchange == b.exchange)),
                (flag::SAME_PEER, is_same(|a, b| a.peer == b.peer)),
                (flag::CITES, cites),
                (flag::SAME_CITED, cites && is_same(|a, b| a.cited == b.cited)),
            ];
            let flags = flags
                .iter()
                .fold(0, |all, (flag, is_set)| all | if *is_set { *flag } else { 0 });
            row.extend([u8::try_from(one.kind as i32).unwrap_or(0), flags]);
            // Statements of one batch lie close together: the writer waits before there are this many.
            let above = u32::try_from(one.index - lowest).unwrap_or(u32::MAX);
            row.extend(above.to_be_bytes());
            if flags & flag::SAME_EXCHANGE == 0 {
                row.extend(one.exchange.as_bytes().iter().skip(ID_SHARED));
            }
            if flags & flag::SAME_PEER == 0 {
                row.extend(one.peer.to_be_bytes());
            }
            if flags & (flag::CITES | flag::SAME_CITED) == flag::CITES {
                row.extend(one.cited);
            }
            before = Some(one);
        }
        (lowest, row)
    }

    /// The statements of a row with this key.
    pub(super) fn row(key: &[u8], row: &[u8]) -> io::Result<Vec<Self>> {
        let mut key = Fields(key.get(1..).unwrap_or_default());
        let start = key.u64().zip(key.u64());
        let statements = start.and_then(|(bucket, lowest)| Self::parse(bucket, lowest, &mut Fields(row)));
        statements.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(bucket: u64, lowest: u64, row: &mut Fields<'_>) -> Option<Vec<Self>> {
        let shared = ((bucket << BUCKET_BITS) << 16).to_be_bytes();
        let mut statements: Vec<Self> = Vec::new();
        while !row.0.is_empty() {
            let (kind, flags, above) = (row.u8()?, row.u8()?, row.u32()?);
            let before = statements.last();
            let has = |flag| flags & flag != 0;
            let exchange = if has(flag::SAME_EXCHANGE) {
                before?.exchange
            } else {
                let mut id = [0; 16];
                let (start, rest) = id.split_at_mut(ID_SHARED);
                start.copy_from_slice(shared.get(..ID_SHARED)?);
                rest.copy_from_slice(row.take(16 - ID_SHARED)?);
                ExchangeId::try_from(id.as_slice()).ok()?
            };
            let peer = if has(flag::SAME_PEER) { before?.peer } else { row.u32()? };
            let cited = match (has(flag::CITES), has(flag::SAME_CITED)) {
                (false, _) => Hash::default(),
                (true, true) => before?.cited,
                (true, false) => row.array()?,
            };
            statements.push(Self {
                exchange,
                index: lowest.checked_add(u64::from(above))?,
                kind: Kind::try_from(i32::from(kind)).ok()?,
                asked_by_us: has(flag::ASKED_BY_US),
                peer,
                cited,
            });
        }
        Some(statements)
    }
}

/// Exchanges that began, in the order of their time, the first at the time in the row's key. Each is `u24` microseconds after
/// that ‖ id.
pub(super) struct Began;

impl Began {
    pub(super) fn encode(first_us: u64, us: u64, id: ExchangeId) -> [u8; BEGAN_BYTES] {
        let mut bytes = [0; BEGAN_BYTES];
        let (to_us, to_id) = bytes.split_at_mut(3);
        let after = us.saturating_sub(first_us).min(SPAN_US).to_be_bytes();
        to_us.copy_from_slice(after.last_chunk::<3>().unwrap_or(&[0; 3]));
        to_id.copy_from_slice(id.as_bytes());
        bytes
    }

    /// The exchanges of a row with this key, whose prefix is so long.
    pub(super) fn row(key: &[u8], prefix: usize, row: &[u8]) -> io::Result<Vec<(u64, ExchangeId)>> {
        let first_us = Fields(key.get(prefix..).unwrap_or_default()).u64();
        let began = match (first_us, row.as_chunks::<BEGAN_BYTES>()) {
            (Some(first_us), (began, [])) => began.iter().map(|began| Self::parse(first_us, began)).collect(),
            _ => None,
        };
        began.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The row without one of its exchanges. Its key may stay: that only tells from when its times are counted.
    pub(super) fn without(key: &[u8], prefix: usize, row: &[u8], gone: (u64, ExchangeId)) -> io::Result<Vec<u8>> {
        let began = Self::row(key, prefix, row)?;
        let left = row.chunks(BEGAN_BYTES).zip(began).filter(|(_, one)| *one != gone);
        Ok(left.flat_map(|(bytes, _)| bytes).copied().collect())
    }

    fn parse(first_us: u64, bytes: &[u8; BEGAN_BYTES]) -> Option<(u64, ExchangeId)> {
        let (after, id) = bytes.split_first_chunk::<3>()?;
        let [high, middle, low] = *after;
        let us = first_us.checked_add(u64::from(u32::from_be_bytes([0, high, middle, low])))?;
        Some((us, ExchangeId::try_from(id).ok()?))
    }
}

pub(super) fn key(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![letter];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(super) fn bucket(time_ms: u64) -> [u8; 8] {
    (time_ms >> BUCKET_BITS).to_be_bytes()
}

pub(super) fn pseudonym_key(pseudonym: &Hash) -> Vec<u8> {
    key(b's', &[pseudonym.first_chunk::<16>().map_or(&[][..], |half| half)])
}

pub(super) fn proof_key(index: u64, leaf: &Hash) -> Vec<u8> {
    let short = leaf.first_chunk::<8>().map_or(&[][..], |short| short);
    key(b'p', &[&index.to_be_bytes(), short])
}

pub(super) fn place_bytes(place: Place) -> [u8; 16] {
    (u128::from(place.segment) << 64 | u128::from(place.offset)).to_be_bytes()
}

pub(super) fn place_of(bytes: &[u8]) -> Option<Place> {
    let (segment, offset) = bytes.split_first_chunk::<8>()?;
    Some(Place {
        segment: u64::from_be_bytes(*segment),
        offset: u64::from_be_bytes(*offset.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statement() -> impl Strategy<Value = Statement> {
        let leaf = prop_oneof![Just([0; 32]), Just([1; 32]), any::<Hash>()];
        // Few exchanges and peers, so that some are those of the one before.
        (0u64..64, 0u8..4, 5u64..400, 1i32..5, any::<bool>(), 0u32..3, leaf).prop_map(
            |(ms, random, index, kind, asked_by_us, peer, cited)| Statement {
                exchange: ExchangeId::new_v7((0x0197_0000_0000 + ms) * 1_000, [random; 10]),
                index,
                kind: Kind::try_from(kind).unwrap(),
                asked_by_us,
                peer,
                cited,
            },
        )
    }

    proptest! {
        #[test]
        fn statements_of_a_row_are_read_as_they_were_written(mut statements in prop::collection::vec(statement(), 1..40)) {
            statements.sort_unstable_by_key(|one| (one.exchange, one.index));
            let (lowest, row) = Statement::encode(&statements);
            let first = statements.iter().map(|one| one.exchange.time_ms()).min().unwrap();
            let key = key(b'x', &[&bucket(first), &lowest.to_be_bytes()]);
            prop_assert_eq!(Statement::row(&key, &row).unwrap(), statements);
        }

        #[test]
        fn exchanges_of_a_row_are_read_as_they_were_written(first_us in 0u64..1 << 50, after in prop::collection::vec(0..=SPAN_US, 0..20)) {
            let id = |us: u64| ExchangeId::new_v7(us, [7; 10]);
            let began: Vec<_> = after.iter().map(|after| (first_us + after, id(first_us + after))).collect();
            let row: Vec<u8> = began.iter().flat_map(|(us, id)| Began::encode(first_us, *us, *id)).collect();
            let key = key(b't', &[&first_us.to_be_bytes(), &[0; 8]]);
            prop_assert_eq!(&Began::row(&key, 1, &row).unwrap(), &began);
            if let Some(gone) = began.first() {
                let rest: Vec<_> = began.iter().copied().filter(|one| one != gone).collect();
                let row = Began::without(&key, 1, &row, *gone).unwrap();
                prop_assert_eq!(Began::row(&key, 1, &row).unwrap(), rest);
            }
        }

        #[test]
        fn no_damaged_row_panics(key in prop::collection::vec(any::<u8>(), 0..30), row in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Statement::row(&key, &row), Began::row(&key, 5, &row));
        }
    }
}
