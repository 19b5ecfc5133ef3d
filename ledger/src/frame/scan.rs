//! Reads a segment frame by frame and tells a torn tail from corruption, by exactly one rule.
//!
//! A write that was never acknowledged may leave less than its frame behind: the file ends early, or its last sector is
//! still zero. Only that, and only at the very end, is a tear; anything else that does not parse was done to the file.

use super::{FRAME_HEADER_BYTES, FrameError, FrameHeader, SECTOR_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use bytes::Bytes;
use std::io::{self, Read};

/// Why a segment cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The bytes are not those of a segment.
    #[error("at byte {offset}: {source}")]
    Broken {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        source: FrameError,
    },
    /// The file could not be read.
    #[error("the segment cannot be read: {0}; check the disk and the file's permissions")]
    Unreadable(#[from] io::Error),
}

/// Where a write was torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tear {
    /// Where the torn frame begins in the file.
    pub offset: u64,
    /// How much of it is there, up to where the file or the frame ends.
    pub bytes: u64,
}

/// What comes next in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame whose checksums hold.
    Frame {
        /// Where its header begins in the file.
        offset: u64,
        /// Its body.
        body: Bytes,
    },
    /// No more frames; nothing but zero bytes follows.
    End {
        /// Where the next frame would begin.
        offset: u64,
    },
    /// A torn frame, after which nothing follows. Corruption, unless this is the ledger's last segment.
    Torn(Tear),
}

/// A segment that is being read.
#[derive(Debug)]
pub struct SegmentScan<R> {
    reader: R,
    header: SegmentHeader,
    offset: u64,
}

impl<R: Read> SegmentScan<R> {
    /// Reads the segment's header.
    ///
    /// # Errors
    /// The header is broken or the file cannot be read.
    pub fn open(mut reader: R) -> Result<Self, ScanError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let broken = |source| ScanError::Broken { offset: 0, source };
        if fill(&mut reader, &mut bytes)? < bytes.len() {
            return Err(broken(FrameError::SegmentHeader("the file is shorter than a header")));
        }
        let header = SegmentHeader::parse(&bytes).map_err(broken)?;
        Ok(Self {
            reader,
            header,
            offset: SEGMENT_HEADER_BYTES as u64,
        })
    }

    /// Reads on in a segment whose header is known, from a frame's beginning, at which `reader` stands.
    #[must_use]
    pub fn resume(reader: R, header: SegmentHeader, offset: u64) -> Self {
        Self { reader, header, offset }
    }

    /// Where the next frame begins in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The segment's header.
    #[must_use]
    pub fn header(&self) -> SegmentHeader {
        self.header
    }

    /// Reads on. After [`Next::End`], [`Next::Torn`] or an error there is nothing more to read.
    ///
    /// # Errors
    /// What stands there is neither a frame, nor zeros to the end, nor a tear; or the file cannot be read.
    pub fn read_next(&mut self) -> Result<Next, ScanError> {
        let offset = self.offset;
        let broken = |source| ScanError::Broken { offset, source };
        let mut header = [0; FRAME_HEADER_BYTES];
        let got = fill(&mut self.reader, &mut header)?;
        if header == [0; FRAME_HEADER_BYTES] {
            return match self.rest_is_zero()? {
                true => Ok(Next::End { offset }),
                false => Err(broken(FrameError::FrameHeader(
                    "bytes follow after the zeros that end the segment",
                ))),
            };
        }
        if got < FRAME_HEADER_BYTES {
            return Ok(Next::Torn(Tear {
                offset,
                bytes: got as u64,
            }));
        }
        let header = FrameHeader::parse(&header).map_err(broken)?;
        let mut body = Vec::new();
        self.reader
            .by_ref()
            .take(u64::from(header.body_bytes))
            .read_to_end(&mut body)?;
        let bytes = FRAME_HEADER_BYTES as u64 + body.len() as u64;
        if (body.len() as u64) < u64::from(header.body_bytes) {
            return Ok(Next::Torn(Tear { offset, bytes }));
        }
        if crc32c::crc32c(&body) == header.body_crc {
            self.offset = offset + bytes;
            return Ok(Next::Frame {
                offset,
                body: body.into(),
            });
        }
        if last_sector(&body, offset + FRAME_HEADER_BYTES as u64)
            .iter()
            .all(|byte| *byte == 0)
            && self.rest_is_zero()?
        {
            return Ok(Next::Torn(Tear { offset, bytes }));
        }
        Err(broken(FrameError::Body("its checksum does not hold")))
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        // Compared as a whole: a preallocated segment is read to its end at every start.
        const ZEROS: [u8; 8192] = [0; 8192];
        let mut buffer = [0u8; ZEROS.len()];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(got) if buffer.get(..got) != ZEROS.get(..got) => return Ok(false),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }
}

/// What of the body lies in the last sector that it reaches, where `start` is its place in the file.
fn last_sector(body: &[u8], start: u64) -> &[u8] {
    let end = start + body.len() as u64;
    let sector = end.saturating_sub(1) / SECTOR_BYTES * SECTOR_BYTES;
    let before = usize::try_from(sector.saturating_sub(start)).unwrap_or(usize::MAX);
    body.get(before..).unwrap_or_default()
}

/// Fills the buffer as far as the file goes; says how far.
fn fill(reader: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match reader.read(buffer) {
            Ok(0) => break,
            Ok(got) => buffer = buffer.get_mut(got..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buffer.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(bodies: &[&[u8]], zeros: usize) -> Vec<u8> {
        let mut file = SegmentHeader {
            number: 0,
            first_index: 0,
            root: [0; 32],
        }
        .encode()
        .to_vec();
        for body in bodies {
            file.extend_from_slice(&FrameHeader::of(body).expect("not empty").encode());
            file.extend_from_slice(body);
        }
        file.resize(file.len() + zeros, 0);
        file
    }

    /// How many frames come before the end, and how it ends.
    fn read(file: &[u8]) -> (usize, Result<Next, ScanError>) {
        let mut scan = match SegmentScan::open(file) {
            Ok(scan) => scan,
            Err(error) => return (0, Err(error)),
        };
        let mut frames = 0;
        loop {
            match scan.read_next() {
                Ok(Next::Frame { .. }) => frames += 1,
                end => return (frames, end),
            }
        }
    }

    #[test]
    fn frames_then_zeros_then_nothing() {
        for zeros in [0, 1, 15, 16, 17, 10_000] {
            let (frames, end) = read(&segment(&[b"one", b"two", &[7; 3000]], zeros));
            assert_eq!(frames, 3);
            assert!(matches!(end, Ok(Next::End { .. })), "{zeros}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_in_its_last_frame_is_torn() {
        let whole = segment(&[b"one", &[7; 700]], 0);
        let last = segment(&[b"one"], 0).len();
        for cut in last + 1..whole.len() {
            let (frames, end) = read(&whole[..cut]);
            assert_eq!(frames, 1);
            let Ok(Next::Torn(tear)) = end else {
                panic!("cut at {cut}: {end:?}")
            };
            assert_eq!((tear.offset, tear.bytes), (last as u64, (cut - last) as u64));
        }
    }

    #[test]
    fn zeroed_sectors_at_the_end_are_a_tear_and_fewer_zeros_are_not() {
        let whole = segment(&[b"one", &[7; 3000]], 5000);
        let end = segment(&[b"one", &[7; 3000]], 0).len();
        let sector = (end - 1) / 512 * 512;
        for from in [sector, sector - 512, sector - 100, sector - 1024] {
            let mut torn = whole.clone();
            torn[from..end].fill(0);
            assert!(matches!(read(&torn), (1, Ok(Next::Torn(_)))), "{from}");
        }
        for from in [sector + 1, end - 1] {
            let mut altered = whole.clone();
            altered[from..end].fill(0);
            assert!(matches!(read(&altered), (1, Err(ScanError::Broken { .. }))), "{from}");
        }
    }

    #[test]
    fn a_broken_frame_before_anything_else_is_no_tear() {
        let mut file = segment(&[&[7; 3000], b"two"], 5000);
        let end = segment(&[&[7; 3000]], 0).len();
        file[64 + 16..end].fill(0);
        assert!(matches!(read(&file), (0, Err(ScanError::Broken { .. }))));
        let mut file = segment(&[b"one"], 5000);
        let last = file.len() - 1;
        file[last] = 1;
        assert!(matches!(read(&file), (1, Err(ScanError::Broken { .. }))));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let file = segment(&[b"one", b"two"], 40);
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x40;
            assert!(matches!(read(&changed).1, Err(ScanError::Broken { .. })), "byte {at}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_or_refused(tail: Vec<u8>) {
            let mut file = segment(&[b"one"], 0);
            file.extend_from_slice(&tail);
            let _ = read(&file);
            let _ = read(&tail);
        }
    }
}
