//! One record after the other.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::time::Duration;

use bytes::Bytes;

use super::{Archive, ArchiveError, Entry, Place};
use crate::frame::{
    Next, PeerCertificates, PeerProof, PeerStatement, Record, Records, ScanError, SegmentScan, StoredStamp,
    segment_name,
};
use crate::tree::Hash;

/// How often the end of a live ledger is looked at again, and how long is waited before each time.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// One record of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An own statement.
    Statement {
        /// Index of the leaf.
        index: u64,
        /// What it says.
        entry: Box<Entry>,
    },
    /// A checkpoint of this ledger, a C2SP signed note.
    Checkpoint(Bytes),
    /// A checkpoint of another ledger, a C2SP signed note.
    PeerNote(Bytes),
    /// The other side's statement that the own one before it cites.
    PeerStatement(Box<Shown>),
    /// The other side's closing statement that cites one of this ledger.
    Receipt(Box<Shown>),
    /// An entry of another ledger under a checkpoint that the quorum cosigned.
    PeerProof {
        /// Index in the other ledger.
        index: u64,
        /// Leaf input of the entry.
        leaf: Hash,
        /// SHA-256 of the checkpoint's note.
        note: Hash,
        /// Inclusion path.
        path: Vec<Hash>,
    },
    /// What binds another ledger's key to its origin: DER, seal certificate first.
    PeerCertificates {
        /// Origin of that ledger.
        origin: String,
        /// Its certificates.
        certificates: Vec<Bytes>,
    },
    /// A message that a statement commits to, as it is stored.
    Payload(Bytes),
    /// A time-stamp on a checkpoint of this ledger.
    Stamp {
        /// The checkpoint, a C2SP signed note.
        note: Bytes,
        /// RFC 3161 TimeStampToken, DER.
        token: Bytes,
    },
    /// A time-stamp on the first ones of this ledger.
    StampRenewal {
        /// How many.
        size: u64,
        /// RFC 3161 TimeStampToken, DER.
        token: Bytes,
    },
}

/// A statement of another ledger, and where it stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Index in the other ledger.
    pub index: u64,
    /// Size of the tree under whose root it was shown.
    pub tree_size: u64,
    /// SHA-256 of the checkpoint's note.
    pub note: Hash,
    /// Inclusion path.
    pub path: Vec<Hash>,
    /// The statement.
    pub entry: Entry,
}

/// The records of a ledger, in order, each with its place. After an error there are no more.
#[derive(Debug)]
pub struct Items<'a> {
    archive: &'a Archive,
    /// The segment that is being read.
    segment: usize,
    scan: Option<SegmentScan<BufReader<File>>>,
    queue: VecDeque<(Place, Item)>,
    index: u64,
    looks: u32,
    is_over: bool,
}

impl Iterator for Items<'_> {
    type Item = Result<(Place, Item), ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.queue.is_empty() && !self.is_over {
            if let Err(error) = self.advance() {
                self.is_over = true;
                return Some(Err(error));
            }
        }
        self.queue.pop_front().map(Ok)
    }
}

impl<'a> Items<'a> {
    pub(super) fn new(archive: &'a Archive) -> Self {
        Self {
            archive,
            segment: 0,
            scan: None,
            queue: VecDeque::new(),
            index: 0,
            looks: LOOKS,
            is_over: false,
        }
    }

    /// Where reading goes on: at the end, where the next frame would begin.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            segment: self.segment as u64,
            offset: self.scan.as_ref().map_or(0, SegmentScan::offset),
            index: self.index,
        }
    }

    /// Reads the next frame, or steps to the next segment.
    fn advance(&mut self) -> Result<(), ArchiveError> {
        let Some(number) = self.archive.numbers.get(self.segment).copied() else {
            self.is_over = true;
            return Ok(());
        };
        let is_last = self.segment + 1 == self.archive.numbers.len();
        let mut scan = match self.scan.take() {
            Some(scan) => scan,
            None => self.begin(number)?,
        };
        let next = scan.read_next();
        let offset = scan.offset();
        let header = scan.header();
        match next {
            Ok(Next::Frame { offset, body }) => {
                let place = Place {
                    segment: number,
                    offset,
                    index: self.index,
                };
                if self
                    .archive
                    .end
                    .is_some_and(|end| (number, offset) >= (end.segment, end.offset))
                {
                    self.is_over = true;
                    return Ok(());
                }
                self.scan = Some(scan);
                self.frame(place, &body)
            }
            // Of a ledger that is being written, the last frame may lie there in part just now.
            Ok(Next::Torn(_)) | Err(ScanError::Broken { .. }) if is_last && self.looks > 0 => {
                self.looks -= 1;
                std::thread::sleep(PAUSE);
                self.scan = Some(SegmentScan::resume(self.file(number, offset)?, header, offset));
                Ok(())
            }
            Ok(Next::End { .. } | Next::Torn(_)) if is_last => {
                self.scan = Some(scan);
                self.is_over = true;
                Ok(())
            }
            Ok(Next::End { .. }) => {
                self.segment += 1;
                Ok(())
            }
            Ok(Next::Torn(_)) => Err(self.broken(number, offset, "a frame is cut off, yet another segment follows")),
            Err(error) => Err(self.failed(number, offset, error)),
        }
    }

    fn begin(&self, number: u64) -> Result<SegmentScan<BufReader<File>>, ArchiveError> {
        let scan = SegmentScan::open(self.file(number, 0)?).map_err(|error| self.failed(number, 0, error))?;
        let header = scan.header();
        if header.number != number || header.first_index != self.index {
            return Err(self.broken(number, 0, "it does not begin where the segment before it ends"));
        }
        Ok(scan)
    }

    fn file(&self, number: u64, offset: u64) -> Result<BufReader<File>, ArchiveError> {
        let path = self.archive.segments.join(segment_name(number));
        let opened = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        });
        match opened {
            Ok(file) => Ok(BufReader::with_capacity(256 * 1024, file)),
            Err(source) => Err(ArchiveError::Unreadable { path, source }),
        }
    }

    fn frame(&mut self, place: Place, body: &Bytes) -> Result<(), ArchiveError> {
        for record in Records::new(body) {
            let here = Place {
                index: self.index,
                ..place
            };
            let path = self.archive.segments.join(segment_name(here.segment));
            let broken = |why: String| ArchiveError::Broken {
                path: path.clone(),
                place: here,
                why,
            };
            let record = record.map_err(|error| broken(error.to_string()))?;
            let item = self.item(record, body).map_err(broken)?;
            if matches!(item, Item::Statement { .. }) {
                self.index += 1;
            }
            self.queue.push_back((here, item));
        }
        Ok(())
    }

    fn item(&self, record: Record<'_>, body: &Bytes) -> Result<Item, String> {
        let vault = self.archive.vault.as_ref();
        Ok(match record {
            Record::Statement(data) => Item::Statement {
                index: self.index,
                entry: Box::new(Entry::read(body, data, vault)?),
            },
            Record::Checkpoint(note) => Item::Checkpoint(body.slice_ref(note)),
            Record::PeerNote(note) => Item::PeerNote(body.slice_ref(note)),
            Record::PeerStatement(data) => Item::PeerStatement(Box::new(self.shown(data, body)?)),
            Record::Receipt(data) => Item::Receipt(Box::new(self.shown(data, body)?)),
            Record::PeerProof(data) => {
                let proof = PeerProof::parse(data).map_err(|error| error.to_string())?;
                Item::PeerProof {
                    index: proof.index,
                    leaf: proof.leaf,
                    note: proof.note,
                    path: proof.path.to_vec(),
                }
            }
            Record::PeerCertificates(data) => {
                let read = PeerCertificates::parse(data).map_err(|error| error.to_string())?;
                Item::PeerCertificates {
                    origin: read.origin.to_owned(),
                    certificates: read.certificates.iter().map(|der| body.slice_ref(der)).collect(),
                }
            }
            Record::Payload(data) => Item::Payload(body.slice_ref(data)),
            Record::Stamp(data) => match StoredStamp::parse(data).map_err(|error| error.to_string())? {
                StoredStamp::Checkpoint { note, token } => Item::Stamp {
                    note: body.slice_ref(note),
                    token: body.slice_ref(token),
                },
                StoredStamp::Renewal { size, token } => Item::StampRenewal {
                    size,
                    token: body.slice_ref(token),
                },
            },
        })
    }

    fn shown(&self, data: &[u8], body: &Bytes) -> Result<Shown, String> {
        let read = PeerStatement::parse(data).map_err(|error| error.to_string())?;
        Ok(Shown {
            index: read.index,
            tree_size: read.tree_size,
            note: read.note,
            path: read.path.to_vec(),
            entry: Entry::read(body, read.statement, self.archive.vault.as_ref())?,
        })
    }

    fn broken(&self, segment: u64, offset: u64, why: &str) -> ArchiveError {
        ArchiveError::Broken {
            path: self.archive.segments.join(segment_name(segment)),
            place: Place {
                segment,
                offset,
                index: self.index,
            },
            why: why.to_owned(),
        }
    }

    fn failed(&self, segment: u64, offset: u64, error: ScanError) -> ArchiveError {
        match error {
            ScanError::Broken { source, .. } => self.broken(segment, offset, &source.to_string()),
            ScanError::Unreadable(source) => ArchiveError::Unreadable {
                path: self.archive.segments.join(segment_name(segment)),
                source,
            },
        }
    }
}
