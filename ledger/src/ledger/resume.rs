//! The resume point: where in the segments the derived data stood when it was last written, and all that a start needs to go
//! on from there without reading what lies before. Derived; one that does not fit costs a reading of the whole ledger.
//!
//! `index/resume`: `"JISRRES" ‖ 0x01` ‖ `u16` length ‖ origin ‖ `u64` segment ‖ `u64` offset of the last frame ‖ `u64` size ‖ `u64` newest
//! time ‖ `u32` length ‖ own checkpoint of that size ‖ `u64` size ‖ `u32` length ‖ newest own checkpoint with cosignatures, or nothing ‖ `u16`
//! count ‖ leaf inputs of the partial bundle ‖ `u8` count ‖ for each level of tiles above the leaves `u16` count ‖ hashes of its
//! partial tile ‖ `u32` count ‖ open exchanges ‖ `u32` count ‖ questions not to be taken on again ‖ `u32` CRC-32C of all before.

use bytes::Bytes;
use jisr_certs::seal::SealKey;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

use super::history::{Open, Side};
use super::job::Signed;
use super::tail::Place;
use super::tiles::Edges;
use crate::Hash;
use crate::frame::Fields;
use crate::note::{self, VerifierKey};
use crate::replay::{ReplayEntry, Seen, State};

const MAGIC: &[u8; 8] = b"JISRRES\x01";

/// What a resume point says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResumePoint {
    pub(crate) origin: String,
    /// Where the last frame begins that is in it.
    pub(crate) place: Place,
    /// Statements up to and with that frame.
    pub(crate) size: u64,
    pub(crate) newest_us: u64,
    /// Own checkpoint of that size, signed.
    pub(crate) note: Bytes,
    pub(crate) cosigned: Option<Signed>,
    pub(crate) edges: Edges,
    pub(crate) open: Vec<Open>,
    pub(crate) replay: Vec<ReplayEntry>,
}

impl ResumePoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&length16(self.origin.len()));
        out.extend_from_slice(self.origin.as_bytes());
        for number in [self.place.segment, self.place.offset, self.size, self.newest_us] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        put_sized(&mut out, &self.note);
        let cosigned = self.cosigned.as_ref();
        out.extend_from_slice(&cosigned.map_or(0, |signed| signed.size).to_be_bytes());
        put_sized(&mut out, cosigned.map_or(&[], |signed| &signed.note));
        put_hashes(&mut out, &self.edges.inputs);
        out.push(u8::try_from(self.edges.above.len()).unwrap_or(u8::MAX));
        self.edges.above.iter().for_each(|hashes| put_hashes(&mut out, hashes));
        out.extend_from_slice(&length32(self.open.len()));
        self.open.iter().for_each(|open| put_open(&mut out, open));
        out.extend_from_slice(&length32(self.replay.len()));
        self.replay.iter().for_each(|entry| put_replay(&mut out, entry));
        out.extend_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        out
    }

    /// The resume point in these bytes, if it is whole and of this very ledger; with the root of its size that the ledger's
    /// key signed.
    pub(crate) fn parse(bytes: &[u8], key: &SealKey) -> Option<(Self, Hash)> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(covered) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut fields = Fields(covered.strip_prefix(MAGIC)?);
        let point = parse(&mut fields).filter(|_| fields.0.is_empty())?;
        let verifier: VerifierKey = key.vkey().parse().ok()?;
        let signed = note::open(&point.note, &verifier).ok()?;
        (point.origin == verifier.name() && signed.size == point.size).then_some((point, signed.root))
    }
}

fn parse(fields: &mut Fields<'_>) -> Option<ResumePoint> {
    let length = fields.u16()?;
    let origin = str::from_utf8(fields.take(length.into())?).ok()?.to_owned();
    let place = Place {
        segment: fields.u64()?,
        offset: fields.u64()?,
    };
    let (size, newest_us) = (fields.u64()?, fields.u64()?);
    let note = Bytes::copy_from_slice(fields.sized()?);
    let (cosigned_size, cosigned) = (fields.u64()?, Bytes::copy_from_slice(fields.sized()?));
    let inputs = hashes(fields)?;
    let levels = fields.u8()?;
    let above = (0..levels).map(|_| hashes(fields)).collect::<Option<_>>()?;
    Some(ResumePoint {
        origin,
        place,
        size,
        newest_us,
        note,
        cosigned: (!cosigned.is_empty()).then_some(Signed {
            size: cosigned_size,
            note: cosigned,
        }),
        edges: Edges { inputs, above },
        open: (0..fields.u32()?).map(|_| open(fields)).collect::<Option<_>>()?,
        replay: (0..fields.u32()?).map(|_| replay(fields)).collect::<Option<_>>()?,
    })
}

fn put_open(out: &mut Vec<u8>, open: &Open) {
    out.push(match open.side {
        Side::Consumer => 1,
        Side::Provider => 2,
    });
    out.extend_from_slice(open.exchange.as_bytes());
    out.extend_from_slice(&open.index.to_be_bytes());
    out.extend_from_slice(&open.asked);
}

fn open(fields: &mut Fields<'_>) -> Option<Open> {
    let side = match fields.u8()? {
        1 => Side::Consumer,
        2 => Side::Provider,
        _ => return None,
    };
    Some(Open {
        side,
        exchange: exchange(fields)?,
        index: fields.u64()?,
        asked: fields.array()?,
    })
}

fn put_replay(out: &mut Vec<u8>, entry: &ReplayEntry) {
    out.extend_from_slice(entry.id.as_bytes());
    out.extend_from_slice(&entry.seen.asked);
    out.extend_from_slice(&entry.seen.until_us.to_be_bytes());
    let (kind, index) = match entry.seen.state {
        State::Running => (0, 0),
        State::Closed { kind, index } => (kind as u32, index),
    };
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&index.to_be_bytes());
}

fn replay(fields: &mut Fields<'_>) -> Option<ReplayEntry> {
    let (id, asked, until_us) = (exchange(fields)?, fields.array()?, fields.u64()?);
    let (kind, index) = (fields.u32()?, fields.u64()?);
    let state = match kind {
        0 => State::Running,
        kind => State::Closed {
            kind: Kind::try_from(i32::try_from(kind).ok()?).ok()?,
            index,
        },
    };
    let seen = Seen { asked, until_us, state };
    Some(ReplayEntry { id, seen })
}

fn exchange(fields: &mut Fields<'_>) -> Option<ExchangeId> {
    ExchangeId::try_from(fields.take(16)?).ok()
}

fn put_hashes(out: &mut Vec<u8>, hashes: &[Hash]) {
    out.extend_from_slice(&length16(hashes.len()));
    out.extend_from_slice(hashes.as_flattened());
}

fn hashes(fields: &mut Fields<'_>) -> Option<Vec<Hash>> {
    let count = usize::from(fields.u16()?);
    Some(fields.take(count * 32)?.as_chunks::<32>().0.to_vec())
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length32(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Saturated: a resume point with a length that is not the true one does not parse, and is not used.
fn length16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

fn length32(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_certs::keys::{KeySecret, KeyStore};

    fn key(dir: &tempfile::TempDir, name: &str) -> SealKey {
        let store = KeyStore::create(
            dir.path().join(name),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap();
        SealKey::load_or_make(&store, &"jisr/JO/GOV/mol/node1/2026".parse().unwrap()).unwrap()
    }

    fn point(key: &SealKey) -> ResumePoint {
        let exchange = ExchangeId::new_v7(1_795_000_000_000_000, [7; 10]);
        let seen = |state| Seen {
            asked: [8; 32],
            until_us: 9,
            state,
        };
        ResumePoint {
            origin: key.origin().to_string(),
            place: Place {
                segment: 3,
                offset: 4096,
            },
            size: 258,
            newest_us: 11,
            note: Bytes::from(key.checkpoint(258, &[1; 32])),
            cosigned: Some(Signed {
                size: 5,
                note: Bytes::from_static(b"note"),
            }),
            edges: Edges {
                inputs: vec![[2; 32], [3; 32]],
                above: vec![vec![[4; 32]]],
            },
            open: vec![
                Open {
                    side: Side::Consumer,
                    exchange,
                    index: 4,
                    asked: [5; 32],
                },
                Open {
                    side: Side::Provider,
                    exchange,
                    index: 6,
                    asked: [6; 32],
                },
            ],
            replay: [
                State::Running,
                State::Closed {
                    kind: Kind::Answered,
                    index: 12,
                },
            ]
            .map(|state| ReplayEntry {
                id: exchange,
                seen: seen(state),
            })
            .to_vec(),
        }
    }

    #[test]
    fn a_resume_point_is_read_back_whole_by_its_own_key_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (key(&dir, "own"), key(&dir, "other"));
        let point = point(&own);
        let bytes = point.encode();
        assert_eq!(ResumePoint::parse(&bytes, &own), Some((point.clone(), [1; 32])));
        assert_eq!(ResumePoint::parse(&bytes, &other), None);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(ResumePoint::parse(&changed, &own), None, "byte {at}");
            assert_eq!(ResumePoint::parse(&bytes[..at], &own), None, "cut at {at}");
        }
        let wrong = ResumePoint { size: 259, ..point };
        assert_eq!(ResumePoint::parse(&wrong.encode(), &own), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_with_a_right_checksum_are_read_or_refused(body: Vec<u8>) {
            let dir = tempfile::tempdir().unwrap();
            let own = key(&dir, "own");
            let mut bytes = [MAGIC.as_slice(), &body].concat();
            bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
            proptest::prop_assert_eq!(ResumePoint::parse(&bytes, &own), None);
        }
    }
}
