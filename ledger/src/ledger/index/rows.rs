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
/// Bytes of a statement in its row.
pub(super) const STATEMENT_BYTES: usize = 62;
/// Bytes of an exchange in its row: id ‖ time.
pub(super) const BEGAN_BYTES: usize = 24;
/// Most entries of a row.
pub(super) const ROW_ENTRIES: usize = 256;
/// Most time between the first and the last exchange of a row, microseconds.
pub(super) const SPAN_US: u64 = 1_000_000;

/// A statement of an exchange: id ‖ `u64` index ‖ `u8` kind ‖ `u8` 1 where the owner asked ‖ `u32` number of the other side's
/// origin, 0 for none ‖ leaf input of what it cites, or zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) exchange: ExchangeId,
    pub(crate) index: u64,
    pub(crate) kind: Kind,
    pub(crate) asked_by_us: bool,
    pub(crate) peer: u32,
    pub(crate) cited: Hash,
}

impl Statement {
    pub(super) fn encode(index: u64, fact: &Fact, own: &str, peer: u32) -> Option<[u8; STATEMENT_BYTES]> {
        let kind = u8::try_from(fact.kind? as i32).ok()?;
        let exchange = fact.exchange?;
        let cited = fact.cited_leaf().unwrap_or_default();
        let (index, peer) = (index.to_be_bytes(), peer.to_be_bytes());
        let how = [kind, u8::from(fact.asked_by(own))];
        let bytes = [exchange.as_bytes().as_slice(), &index, &how, &peer, &cited];
        bytes.concat().try_into().ok()
    }

    pub(super) fn parse(bytes: &[u8; STATEMENT_BYTES]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            exchange: ExchangeId::try_from(fields.take(16)?).ok()?,
            index: fields.u64()?,
            kind: Kind::try_from(i32::from(fields.u8()?)).ok()?,
            asked_by_us: fields.u8()? == 1,
            peer: fields.u32()?,
            cited: fields.array()?,
        })
    }
}

/// The id of a statement in its row.
pub(super) fn id_of(statement: &[u8; STATEMENT_BYTES]) -> &[u8; 16] {
    statement.first_chunk().expect("a statement's row is longer than an id")
}

/// An exchange that began: id ‖ `u64` time.
pub(super) struct Began;

impl Began {
    pub(super) fn encode(us: u64, id: ExchangeId) -> [u8; BEGAN_BYTES] {
        let mut bytes = [0; BEGAN_BYTES];
        let (to_id, to_us) = bytes.split_at_mut(16);
        to_id.copy_from_slice(id.as_bytes());
        to_us.copy_from_slice(&us.to_be_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8; BEGAN_BYTES]) -> Option<(u64, ExchangeId)> {
        let mut fields = Fields(bytes);
        let id = ExchangeId::try_from(fields.take(16)?).ok()?;
        Some((fields.u64()?, id))
    }
}

pub(super) fn statements(row: &[u8]) -> io::Result<&[[u8; STATEMENT_BYTES]]> {
    entries(row)
}

pub(super) fn began(row: &[u8]) -> io::Result<&[[u8; BEGAN_BYTES]]> {
    entries(row)
}

fn entries<const N: usize>(row: &[u8]) -> io::Result<&[[u8; N]]> {
    match row.as_chunks::<N>() {
        (entries, []) => Ok(entries),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

pub(super) fn key(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![letter];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// Ids of one bucket were made within 16 ms.
pub(super) fn bucket(time_ms: u64) -> [u8; 8] {
    (time_ms >> 4).to_be_bytes()
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
