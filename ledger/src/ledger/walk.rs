//! Reads frames back from the segments, for an index that is behind.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use super::entry::{ReadError, Reader};
use super::fact::{Clear, Fact};
use super::follower::Followed;
use super::index::StampRow;
use super::tail::Place;
use crate::Hash;
use crate::frame::{
    FrameError, Next, PeerProof, PeerStatement, Record, Records, SEGMENT_HEADER_BYTES, ScanError, SegmentScan,
    StoredStamp, segment_name,
};
use crate::note::{Checkpoint, SignedNote};
use crate::stamp;
use jisr_certs::digest::sha256;

/// Segments are read in steps of this many bytes.
const READ_BYTES: usize = 1 << 18;

impl Place {
    /// Where the first frame of a ledger begins.
    pub(crate) const FIRST: Self = Self {
        segment: 0,
        offset: SEGMENT_HEADER_BYTES as u64,
    };
}

/// Frames from one place to another, each with the index of its first statement.
pub(crate) struct Walk<'a> {
    reader: &'a Reader,
    segments: &'a Path,
    scan: Option<SegmentScan<BufReader<File>>>,
    at: Place,
    until: Place,
    size: u64,
}

impl<'a> Walk<'a> {
    /// From the frame that begins at `at`, before which stand `size` statements, up to the end of a frame at `until`.
    pub(crate) fn new(reader: &'a Reader, segments: &'a Path, (at, size): (Place, u64), until: Place) -> Self {
        Self {
            reader,
            segments,
            scan: None,
            at,
            until,
            size,
        }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Result<Option<Followed>, ReadError> {
        while self.at < self.until {
            let scan = match &mut self.scan {
                Some(scan) => scan,
                none => none.insert(open(self.segments, self.at)?),
            };
            match scan.read_next().map_err(unreadable)? {
                Next::Frame { offset, body } => {
                    let place = Place { offset, ..self.at };
                    self.at.offset = scan.offset();
                    let followed = self.frame(place, &body)?;
                    self.size = followed.size();
                    return Ok(Some(followed));
                }
                _ => {
                    self.scan = None;
                    self.at = Place {
                        segment: self.at.segment + 1,
                        ..Place::FIRST
                    };
                }
            }
        }
        Ok(None)
    }

    fn frame(&self, place: Place, body: &Bytes) -> Result<Followed, ReadError> {
        let mut followed = Followed {
            place,
            end: self.at,
            first: self.size,
            leaves: Vec::new(),
            facts: Vec::new(),
            notes: Vec::new(),
            proofs: Vec::new(),
            receipts: Vec::new(),
            stamps: Vec::new(),
            root: Hash::default(),
            note: Bytes::new(),
        };
        let mut records = Records::new(body).peekable();
        while let Some(record) = records.next() {
            match record? {
                Record::Statement(stored) => {
                    let peer = match records.peek() {
                        Some(Ok(Record::PeerStatement(data))) => Some(*data),
                        _ => None,
                    };
                    followed.facts.push(self.fact(body, stored, peer)?);
                }
                Record::PeerNote(note) => followed.notes.push(sha256(&[note])),
                Record::PeerProof(data) => {
                    let proof = PeerProof::parse(data)?;
                    followed.proofs.push((proof.index, proof.leaf));
                }
                Record::Receipt(data) => {
                    let receipt = Clear::read(PeerStatement::parse(data)?.statement)?;
                    followed.receipts.extend(receipt.cited_index());
                }
                Record::Stamp(data) => followed.stamps.push(stamp_row(data)?),
                Record::Checkpoint(_) | Record::PeerStatement(_) | Record::PeerCertificates(_) | Record::Payload(_) => {
                }
            }
        }
        Ok(followed)
    }

    /// With the pseudonyms of whom it names, as far as the keys are there.
    fn fact(&self, body: &Bytes, stored: &[u8], peer: Option<&[u8]>) -> Result<Fact, ReadError> {
        let mut fact = Fact::scan(&Clear::read(stored)?, peer)?;
        if fact.begins() {
            fact.pseudonyms = self.reader.pseudonyms(body, stored, |_| true)?;
            if let Some(data) = peer {
                let question = PeerStatement::parse(data)?;
                fact.pseudonyms
                    .extend(self.reader.pseudonyms(body, question.statement, |_| true)?);
            }
        }
        Ok(fact)
    }
}

fn stamp_row(data: &[u8]) -> Result<StampRow, ReadError> {
    let stored = StoredStamp::parse(data)?;
    let size = match stored {
        StoredStamp::Renewal { .. } => None,
        StoredStamp::Checkpoint { note, .. } => {
            let checkpoint = SignedNote::parse(note).and_then(|note| Checkpoint::parse(note.text));
            Some(
                checkpoint
                    .map_err(|_| FrameError::Record("a STAMP is on no checkpoint"))?
                    .size,
            )
        }
    };
    Ok((size, stamp::leaf(stored.token())))
}

/// A segment, read from a frame's beginning.
fn open(segments: &Path, at: Place) -> Result<SegmentScan<BufReader<File>>, ReadError> {
    let mut file = File::open(segments.join(segment_name(at.segment)))?;
    let header = SegmentScan::open(&mut file).map_err(unreadable)?.header();
    file.seek(SeekFrom::Start(at.offset))?;
    let reader = BufReader::with_capacity(READ_BYTES, file);
    Ok(SegmentScan::resume(reader, header, at.offset))
}

fn unreadable(error: ScanError) -> ReadError {
    match error {
        ScanError::Broken { source, .. } => ReadError::Frame(source),
        ScanError::Unreadable(error) => ReadError::Io(error),
    }
}
