//! The bytes of a ledger directory: segment header, frame, records, stored statements (docs/formats.md, Ledger directory).
//!
//! Writer and verifier share this module, so what one writes the other reads. Nothing here opens a file.

mod erase;
mod payload;
mod record;
mod scan;
mod stamp;
mod stored;

pub use erase::erase;
pub use payload::{PAYLOAD_CLASS, StoredPayload, put_payload};
pub use record::{
    PeerCertificates, PeerProof, PeerStatement, Record, Records, put_peer_certificates, put_peer_proof,
    put_peer_statement, put_receipt, put_record,
};
pub use scan::{Next, ScanError, SegmentScan, Tear};
pub use stamp::{StoredStamp, put_stamp};
pub use stored::{Form, StoredPart, StoredParts, month_of, put_clear, put_encrypted, put_erased};

use crate::tree::Hash;

/// Bytes of a segment header.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 16;
/// Longest body of a frame, bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest segment file, bytes: room for the longest bodies, and a place in it still fits 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a disk sector: what the smallest write leaves whole.
pub const SECTOR_BYTES: u64 = 512;
/// A CHECKPOINT's size is the number of statements after one of this many frames before it.
pub const CHECKPOINT_FRAMES_MAX: usize = 1 << 18;
/// A note that a record refers to is one of this many PEER_NOTE records before it; an older one is written again.
pub const PEER_NOTES_MAX: usize = 1 << 18;
/// A RECEIPT cites one of this many statements before it that a receipt can be for.
pub const RECEIPTS_BACK_MAX: usize = 1 << 20;
/// `"JISRSEG" ‖ 0x01`.
const MAGIC: &[u8; 8] = b"JISRSEG\x01";
/// Type of a frame that holds records.
const FRAME_TYPE: u8 = 1;

/// Why bytes are not what a ledger directory holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A segment's header.
    #[error("the segment's header is broken: {0}; restore the segment from the archive or a mirror")]
    SegmentHeader(&'static str),
    /// A frame's header.
    #[error("a frame's header is broken: {0}; restore the segment from the archive or a mirror")]
    FrameHeader(&'static str),
    /// A frame's body.
    #[error("a frame's body is broken: {0}; restore the segment from the archive or a mirror")]
    Body(&'static str),
    /// A record.
    #[error("a record is broken: {0}; restore the segment from the archive or a mirror")]
    Record(&'static str),
    /// A name that no segment has.
    #[error("a segment's name is its number in 20 digits and .seg; move what else lies there out of the ledger")]
    Name,
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number of the segment, from 0 without gaps.
    pub number: u64,
    /// Index of the first statement in it.
    pub first_index: u64,
    /// Root of the tree of that size.
    pub root: Hash,
}

impl SegmentHeader {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.first_index.to_be_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes.try_into().expect("the fields are 64 bytes long")
    }

    /// From bytes.
    ///
    /// # Errors
    /// The checksum, the magic or the zero field does not hold.
    pub fn parse(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, FrameError> {
        let mut fields = Fields(bytes);
        let read = (|| {
            let magic: [u8; 8] = fields.array()?;
            let header = Self {
                number: fields.u64()?,
                first_index: fields.u64()?,
                root: fields.array()?,
            };
            Some((magic, header, fields.u32()?, fields.u32()?))
        })();
        let (magic, header, zero, crc) = read.ok_or(FrameError::SegmentHeader("it is too short"))?;
        if magic != *MAGIC {
            return Err(FrameError::SegmentHeader(
                "it does not begin with the magic of version 1",
            ));
        }
        if zero != 0
            || bytes
                .split_last_chunk::<4>()
                .is_none_or(|(covered, _)| crc32c::crc32c(covered) != crc)
        {
            return Err(FrameError::SegmentHeader("its checksum does not hold"));
        }
        Ok(header)
    }
}

/// File name of a segment.
#[must_use]
pub fn segment_name(number: u64) -> String {
    format!("{number:020}.seg")
}

/// Number of the segment with this file name.
///
/// # Errors
/// The name is not 20 digits and `.seg`.
pub fn segment_number(name: &str) -> Result<u64, FrameError> {
    let digits = name
        .strip_suffix(".seg")
        .filter(|digits| digits.len() == 20)
        .ok_or(FrameError::Name)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FrameError::Name);
    }
    digits.parse().map_err(|_| FrameError::Name)
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Length of the body, 1 to 64 MiB.
    pub body_bytes: u32,
    /// CRC-32C of the body.
    pub body_crc: u32,
}

impl FrameHeader {
    /// Header for a body; `None` where that is empty or too long.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        let body_bytes = u32::try_from(body.len())
            .ok()
            .filter(|_| (1..=BODY_BYTES_MAX).contains(&body.len()))?;
        Some(Self {
            body_bytes,
            body_crc: crc32c::crc32c(body),
        })
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES);
        bytes.extend_from_slice(&[FRAME_TYPE, 0, 0, 0]);
        bytes.extend_from_slice(&self.body_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.body_crc.to_be_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes.try_into().expect("the fields are 16 bytes long")
    }

    /// From bytes.
    ///
    /// # Errors
    /// The checksum, the type, a zero field or the length does not hold.
    pub fn parse(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let mut fields = Fields(bytes);
        let read = (|| Some((fields.array::<4>()?, fields.u32()?, fields.u32()?, fields.u32()?)))();
        let (start, body_bytes, body_crc, crc) = read.ok_or(FrameError::FrameHeader("it is too short"))?;
        if bytes
            .split_last_chunk::<4>()
            .is_none_or(|(covered, _)| crc32c::crc32c(covered) != crc)
        {
            return Err(FrameError::FrameHeader("its checksum does not hold"));
        }
        if start != [FRAME_TYPE, 0, 0, 0] {
            return Err(FrameError::FrameHeader("its type is not 1 or a zero field is not zero"));
        }
        if !usize::try_from(body_bytes).is_ok_and(|length| (1..=BODY_BYTES_MAX).contains(&length)) {
            return Err(FrameError::FrameHeader("its body would be empty or longer than 64 MiB"));
        }
        Ok(Self { body_bytes, body_crc })
    }
}

/// Reads big-endian fields from the front; `None` at the first that is not wholly there.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A field whose length stands before it as `u32`.
    pub(crate) fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_and_every_changed_bit_is_found() {
        let segment = SegmentHeader {
            number: 3,
            first_index: 77,
            root: [5; 32],
        };
        let bytes = segment.encode();
        assert_eq!(SegmentHeader::parse(&bytes), Ok(segment));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::parse(&changed).is_err());
        }
        let frame = FrameHeader::of(b"body").expect("not empty");
        let bytes = frame.encode();
        assert_eq!(FrameHeader::parse(&bytes), Ok(frame));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::parse(&changed).is_err());
        }
    }

    #[test]
    fn a_frame_is_neither_empty_nor_huge() {
        assert_eq!(FrameHeader::of(b""), None);
        let huge = FrameHeader {
            body_bytes: 64 * 1024 * 1024 + 1,
            body_crc: 0,
        };
        assert!(FrameHeader::parse(&huge.encode()).is_err());
        let empty = FrameHeader {
            body_bytes: 0,
            body_crc: 0,
        };
        assert!(FrameHeader::parse(&empty.encode()).is_err());
    }

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(segment_name(12), "00000000000000000012.seg");
        assert_eq!(segment_number("00000000000000000012.seg"), Ok(12));
        for bad in [
            "12.seg",
            "0000000000000000001x.seg",
            "00000000000000000012",
            "99999999999999999999.seg",
            "",
        ] {
            assert!(segment_number(bad).is_err());
        }
    }
}
