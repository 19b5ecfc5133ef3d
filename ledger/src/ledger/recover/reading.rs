//! One pass over the frames of a ledger.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_certs::seal::SealKey;
use jisr_proto::statement::{Kind, Started};
use prost::Message;

use super::{End, Recovered};
use crate::Hash;
use crate::frame::{Next, Record, Records, ScanError, SegmentScan};
use crate::ledger::commit::Grower;
use crate::ledger::error::OpenError;
use crate::ledger::fact::{Clear, Fact};
use crate::ledger::history::History;
use crate::ledger::job::Signed;
use crate::ledger::known::Known;
use crate::ledger::resume::ResumePoint;
use crate::ledger::tail::Place;
use crate::ledger::tiles::Tiles;
use crate::ledger::writer::Sizes;
use crate::note::{self, Checkpoint, SignedNote, VerifierKey};
use crate::tree::{self, Nodes, leaf_hash};

/// Segments are read in steps of this many bytes.
const READ_BYTES: usize = 1 << 18;

/// A ledger that is being read, frame by frame.
pub(super) struct Reading<'a> {
    key: &'a SealKey,
    tiles: Tiles,
    grower: Grower,
    known: Known,
    /// Size at the resume point from which the reading goes on.
    base: u64,
    /// Sizes and roots after the last frames.
    roots: VecDeque<(u64, Hash)>,
    newest: Option<Signed>,
    cosigned: Option<Signed>,
    history: History,
    /// Indexes of the ERASED that were read.
    erased: Vec<u64>,
    end: Option<End>,
    last: Option<Place>,
    read_bytes: u64,
}

impl<'a> Reading<'a> {
    pub(super) fn new(key: &'a SealKey, history: History, tiles: Tiles, grower: Grower) -> Self {
        Self {
            key,
            tiles,
            base: grower.size(),
            roots: VecDeque::from([(grower.size(), grower.root())]),
            grower,
            known: Known::default(),
            newest: None,
            cosigned: None,
            history,
            erased: Vec::new(),
            end: None,
            last: None,
            read_bytes: 0,
        }
    }

    /// What a resume point says besides its tree, which the tiles have.
    pub(super) fn adopt(&mut self, point: &ResumePoint) {
        self.last = Some(point.place);
        self.newest = Some(Signed {
            size: point.size,
            note: point.note.clone(),
        });
        let is_own = |signed: &Signed| {
            let key: VerifierKey = self.key.vkey().parse().ok()?;
            let checkpoint = note::open(&signed.note, &key).ok()?;
            let root = tree::root(&self.tiles, checkpoint.size)?;
            (checkpoint.size == signed.size && root == checkpoint.root).then(|| signed.clone())
        };
        self.cosigned = point.cosigned.as_ref().and_then(is_own);
    }

    /// Goes on in a segment behind the frame at `place`; false where another frame, or none, stands there.
    pub(super) fn resume(&mut self, place: Place, path: &Path, is_last: bool) -> Result<bool, OpenError> {
        let failed = |error| OpenError::Io {
            path: path.to_owned(),
            error,
        };
        let mut file = File::open(path).map_err(failed)?;
        let Ok(scan) = SegmentScan::open(&mut file) else {
            return Ok(false);
        };
        let header = scan.header();
        if header.number != place.segment || tree::root(&self.tiles, header.first_index) != Some(header.root) {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        let mut scan = SegmentScan::resume(reader, header, place.offset);
        match scan.read_next() {
            Ok(Next::Frame { body, .. }) if self.ends_in(&body) => self.frames(scan, path, is_last).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Whether this frame is the last of the tree: its statements are, and what its checkpoints say is.
    fn ends_in(&self, body: &Bytes) -> bool {
        let mut leaves = Vec::new();
        let mut is_bound = false;
        for record in Records::new(body) {
            match record {
                Ok(Record::Statement(stored)) => match Clear::read(stored) {
                    Ok(clear) => leaves.push(leaf_hash(&clear.leaf)),
                    Err(_) => return false,
                },
                Ok(Record::Checkpoint(note)) => {
                    let checkpoint = SignedNote::parse(note).and_then(|note| Checkpoint::parse(note.text));
                    if !checkpoint.is_ok_and(|said| tree::root(&self.tiles, said.size) == Some(said.root)) {
                        return false;
                    }
                    is_bound = true;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        let Some(first) = self.grower.size().checked_sub(leaves.len() as u64) else {
            return false;
        };
        is_bound |= !leaves.is_empty();
        is_bound
            && (first..)
                .zip(leaves)
                .all(|(index, leaf)| self.tiles.node(0, index) == Some(leaf))
    }

    pub(super) fn segment(&mut self, number: u64, path: &Path, is_last: bool) -> Result<(), OpenError> {
        let failed = |error| OpenError::Io {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(failed)?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        let scan = SegmentScan::open(reader).map_err(|e| unreadable(number, path, e))?;
        let header = scan.header();
        if (header.number, header.first_index, header.root) != (number, self.grower.size(), self.grower.root()) {
            let what = "its header does not continue the segment before";
            return Err(corrupt(
                Place {
                    segment: number,
                    offset: 0,
                },
                &what,
            ));
        }
        self.frames(scan, path, is_last)
    }

    /// All frames to the end of a segment.
    fn frames<R: Read>(&mut self, mut scan: SegmentScan<R>, path: &Path, is_last: bool) -> Result<(), OpenError> {
        let header = scan.header();
        let segment = header.number;
        loop {
            let next = scan.read_next().map_err(|e| unreadable(segment, path, e))?;
            let (offset, torn) = match next {
                Next::Frame { offset, body } => {
                    self.frame(Place { segment, offset }, &body)?;
                    continue;
                }
                Next::End { offset } => (offset, None),
                Next::Torn(tear) if is_last => (tear.offset, Some(tear)),
                Next::Torn(tear) => {
                    let offset = tear.offset;
                    return Err(corrupt(
                        Place { segment, offset },
                        &"a frame is torn, but segments follow",
                    ));
                }
            };
            self.end = Some(End {
                segment,
                first_index: header.first_index,
                offset,
                torn,
            });
            return Ok(());
        }
    }

    fn frame(&mut self, place: Place, body: &Bytes) -> Result<(), OpenError> {
        let first = self.grower.size();
        let mut leaves = Vec::new();
        let mut records = Records::new(body).peekable();
        while let Some(record) = records.next() {
            match record.map_err(|e| corrupt(place, &e))? {
                Record::Statement(stored) => {
                    let peer = match records.peek() {
                        Some(Ok(Record::PeerStatement(data))) => Some(*data),
                        _ => None,
                    };
                    leaves.push(self.statement(place, stored, peer)?);
                }
                Record::Checkpoint(note) => {
                    self.checkpoint(body.slice_ref(note), first)
                        .map_err(|what| corrupt(place, &what))?;
                }
                Record::PeerNote(note) => self.known.learn(sha256(&[note])),
                Record::PeerStatement(_)
                | Record::PeerProof(_)
                | Record::PeerCertificates(_)
                | Record::Receipt(_)
                | Record::Payload(_)
                | Record::Stamp(_) => {}
            }
        }
        self.tiles.push(leaves);
        if self.roots.len() >= Sizes::KEPT {
            self.roots.pop_front();
        }
        self.roots.push_back((self.grower.size(), self.grower.root()));
        self.last = Some(place);
        self.read_bytes += body.len() as u64;
        Ok(())
    }

    /// Leaf hash and leaf input of the next statement.
    fn statement(&mut self, place: Place, stored: &[u8], peer: Option<&[u8]>) -> Result<(Hash, Hash), OpenError> {
        let clear = Clear::read(stored).map_err(|e| corrupt(place, &e))?;
        let fact = Fact::scan(&clear, peer).map_err(|e| corrupt(place, &e))?;
        let index = self.grower.size();
        if index == 0 {
            self.started(&clear)?;
        }
        self.history.add(index, &fact);
        if fact.kind == Some(Kind::Erased) {
            self.erased.push(index);
        }
        let leaf = leaf_hash(&fact.leaf);
        self.grower.recover(leaf);
        Ok((leaf, fact.leaf))
    }

    /// The first leaf names the ledger and its key.
    fn started(&self, first: &Clear) -> Result<(), OpenError> {
        let expected = self.key.origin().as_str();
        let wrong = |found: &str| OpenError::WrongLedger {
            found: found.into(),
            expected: expected.into(),
        };
        let act = first.act.as_ref().filter(|_| first.core.kind == Kind::Started as i32);
        let started = act.and_then(|act| Started::decode(act.clone()).ok());
        let started = started.ok_or_else(|| wrong("one that does not begin with STARTED"))?;
        if started.origin != expected {
            return Err(wrong(&started.origin));
        }
        if started.seal_key != self.key.public().as_bytes().as_slice() {
            return Err(wrong("one of that name, but under another seal key"));
        }
        Ok(())
    }

    /// A checkpoint must be one of a tree that the statements before its frame gave.
    fn checkpoint(&mut self, note: Bytes, before: u64) -> Result<(), String> {
        let parsed = SignedNote::parse(&note).map_err(|e| e.to_string())?;
        let checkpoint = Checkpoint::parse(parsed.text).map_err(|e| e.to_string())?;
        let at = self.roots.partition_point(|(size, _)| *size < checkpoint.size);
        let root = self
            .roots
            .get(at)
            .filter(|(size, _)| *size == checkpoint.size)
            .map(|(_, root)| *root)
            .or_else(|| self.before(checkpoint.size));
        if checkpoint.origin != self.key.origin().as_str() || checkpoint.size > before || root != Some(checkpoint.root)
        {
            return Err(format!(
                "a stored checkpoint of size {} contradicts the statements before it",
                checkpoint.size
            ));
        }
        let cosigned = parsed.signatures.len() > 1;
        if cosigned && self.cosigned.as_ref().is_none_or(|known| known.size <= checkpoint.size) {
            self.cosigned = Some(Signed {
                size: checkpoint.size,
                note: note.clone(),
            });
        }
        if self.newest.as_ref().is_none_or(|known| known.size <= checkpoint.size) {
            self.newest = Some(Signed {
                size: checkpoint.size,
                note,
            });
        }
        Ok(())
    }

    /// Root of a tree before the resume point.
    fn before(&self, size: u64) -> Option<Hash> {
        let is_before = (1..self.base).contains(&size);
        is_before.then(|| tree::root(&self.tiles, size)).flatten()
    }

    pub(super) fn finish(self) -> Result<Recovered, OpenError> {
        let mut stored = 0;
        if let Some(newest) = &self.newest {
            self.signed(&newest.note)?;
            stored = newest.size;
        }
        let mut sizes = Sizes::default();
        let seen = self.roots.iter().filter(|(size, _)| *size > 0);
        seen.for_each(|(size, _)| sizes.push(*size));
        Ok(Recovered {
            end: self.end,
            grower: self.grower,
            known: self.known,
            sizes,
            stored,
            signed: self.newest,
            cosigned: self.cosigned,
            history: self.history,
            erased: self.erased,
            tiles: self.tiles,
            last: self.last,
            read_bytes: self.read_bytes,
        })
    }

    /// The newest stored checkpoint must be signed by the key that will sign the next.
    fn signed(&self, note: &[u8]) -> Result<(), OpenError> {
        let wrong = |found: String| OpenError::WrongLedger {
            found,
            expected: self.key.origin().to_string(),
        };
        let key: VerifierKey = self
            .key
            .vkey()
            .parse()
            .map_err(|e: note::NoteError| wrong(e.to_string()))?;
        note::open(note, &key).map(|_| ()).map_err(|e| wrong(e.to_string()))
    }
}

fn unreadable(segment: u64, path: &Path, error: ScanError) -> OpenError {
    match error {
        ScanError::Broken { offset, source } => corrupt(Place { segment, offset }, &source),
        ScanError::Unreadable(error) => OpenError::Io {
            path: path.to_owned(),
            error,
        },
    }
}

fn corrupt(place: Place, what: &impl ToString) -> OpenError {
    OpenError::Corrupt {
        segment: place.segment,
        offset: place.offset,
        what: what.to_string(),
    }
}
