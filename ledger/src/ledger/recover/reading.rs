//! One pass over the frames of a ledger.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_certs::seal::SealKey;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Kind, Started};
use prost::Message;

use super::{End, Recovered};
use crate::Hash;
use crate::frame::{Next, PeerProof, Record, Records, ScanError, SegmentScan};
use crate::ledger::commit::Grower;
use crate::ledger::error::OpenError;
use crate::ledger::follower::Followed;
use crate::ledger::history::{Clear, History};
use crate::ledger::index::{Index, Reach};
use crate::ledger::job::Signed;
use crate::ledger::known::Known;
use crate::ledger::tail::Place;
use crate::ledger::tiles::Tiles;
use crate::ledger::writer::Sizes;
use crate::note::{self, Checkpoint, SignedNote, VerifierKey};
use crate::tree::leaf_hash;

/// Frames are put into the index this many at a time.
const INDEX_AT_ONCE: usize = 1_024;

/// A ledger that is being read, frame by frame.
pub(super) struct Reading<'a> {
    key: &'a SealKey,
    tiles: &'a Tiles,
    index: &'a Index,
    /// How far the index reached at start, until the scan has come there.
    reach: Option<Reach>,
    stale: bool,
    pending: Vec<Followed>,
    grower: Grower,
    known: Known,
    /// Sizes and roots after the last frames.
    roots: VecDeque<(u64, Hash)>,
    newest: Option<Signed>,
    cosigned: Option<Signed>,
    history: History,
    end: Option<End>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(key: &'a SealKey, history: History, tiles: &'a Tiles, index: &'a Index) -> Self {
        Self {
            key,
            tiles,
            index,
            reach: index.reach(),
            stale: false,
            pending: Vec::new(),
            grower: Grower::new(),
            known: Known::default(),
            roots: VecDeque::new(),
            newest: None,
            cosigned: None,
            history,
            end: None,
        }
    }

    pub(super) fn segment(&mut self, number: u64, path: &Path, is_last: bool) -> Result<(), OpenError> {
        let corrupt = |offset, what: String| OpenError::Corrupt {
            segment: number,
            offset,
            what,
        };
        let failed = |error| OpenError::Io {
            path: path.to_owned(),
            error,
        };
        let scanned = |e| match e {
            ScanError::Broken { offset, source } => corrupt(offset, source.to_string()),
            ScanError::Unreadable(error) => failed(error),
        };
        let file = File::open(path).map_err(failed)?;
        let mut scan = SegmentScan::open(BufReader::with_capacity(1 << 18, file)).map_err(scanned)?;
        let header = scan.header();
        if (header.number, header.first_index, header.root) != (number, self.grower.size(), self.grower.root()) {
            return Err(corrupt(0, "its header does not continue the segment before".into()));
        }
        loop {
            let (offset, torn) = match scan.read_next().map_err(scanned)? {
                Next::Frame { offset, body } => {
                    self.frame(
                        Place {
                            segment: number,
                            offset,
                        },
                        &body,
                    )?;
                    continue;
                }
                Next::End { offset } => (offset, None),
                Next::Torn(tear) if is_last => (tear.offset, Some(tear)),
                Next::Torn(tear) => return Err(corrupt(tear.offset, "a frame is torn, but segments follow".into())),
            };
            self.end = Some(End {
                segment: number,
                first_index: header.first_index,
                offset,
                torn,
            });
            return Ok(());
        }
    }

    fn frame(&mut self, place: Place, body: &Bytes) -> Result<(), OpenError> {
        let mut followed = Followed {
            place,
            first: self.grower.size(),
            leaves: Vec::new(),
            exchanges: Vec::new(),
            notes: Vec::new(),
            proofs: Vec::new(),
            root: [0; 32],
        };
        let mut records = Records::new(body).peekable();
        while let Some(record) = records.next() {
            match record.map_err(|e| corrupt(place, &e))? {
                Record::Statement(stored) => {
                    let peer = match records.peek() {
                        Some(Ok(Record::PeerStatement(data))) => Some(*data),
                        _ => None,
                    };
                    self.statement(&mut followed, stored, peer)?;
                }
                Record::Checkpoint(note) => {
                    self.checkpoint(body.slice_ref(note), followed.first)
                        .map_err(|what| corrupt(place, &what))?;
                }
                Record::PeerNote(note) => followed.notes.push(sha256(&[note])),
                Record::PeerProof(data) => {
                    followed
                        .proofs
                        .push(PeerProof::parse(data).map_err(|e| corrupt(place, &e))?.leaf);
                }
                Record::PeerStatement(_) | Record::PeerCertificates(_) | Record::Receipt(_) | Record::Payload(_) => {}
            }
        }
        followed.notes.iter().for_each(|hash| self.known.learn(*hash));
        followed.root = self.grower.root();
        if self.roots.len() >= Sizes::KEPT {
            self.roots.pop_front();
        }
        self.roots.push_back((followed.size(), followed.root));
        self.follow(followed);
        Ok(())
    }

    fn statement(&mut self, followed: &mut Followed, stored: &[u8], peer: Option<&[u8]>) -> Result<(), OpenError> {
        let clear = Clear::read(stored).map_err(|e| corrupt(followed.place, &e))?;
        let index = followed.size();
        if index == 0 {
            self.started(&clear)?;
        }
        self.history
            .add(index, &clear, peer)
            .map_err(|e| corrupt(followed.place, &e))?;
        let leaf = leaf_hash(&clear.leaf);
        self.grower.recover(leaf);
        self.tiles.push(leaf);
        followed.leaves.push(leaf);
        if let Ok(id) = ExchangeId::try_from(clear.core.exchange_id.as_ref()) {
            followed.exchanges.push((id, index));
        }
        Ok(())
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
            .map(|(_, root)| *root);
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

    /// What the index does not have yet is added.
    fn follow(&mut self, followed: Followed) {
        match self.reach {
            None => {
                self.pending.push(followed);
                if self.pending.len() >= INDEX_AT_ONCE {
                    self.index.add(self.pending.iter());
                    self.pending.clear();
                }
            }
            Some(reach) if followed.place < reach.place => {}
            Some(reach) => {
                let here = Reach {
                    place: followed.place,
                    size: followed.size(),
                    root: followed.root,
                };
                self.stale |= here != reach;
                self.reach = None;
            }
        }
    }

    pub(super) fn finish(self) -> Result<Option<Recovered>, OpenError> {
        if self.stale || self.reach.is_some() {
            let cleared = self.index.clear().map_err(|error| OpenError::Io {
                path: "index".into(),
                error,
            });
            return cleared.map(|()| None);
        }
        self.index.add(self.pending.iter());
        let mut stored = 0;
        if let Some(newest) = &self.newest {
            self.signed(&newest.note)?;
            stored = newest.size;
        }
        let mut sizes = Sizes::default();
        self.roots.iter().for_each(|(size, _)| sizes.push(*size));
        Ok(Some(Recovered {
            end: self.end,
            grower: self.grower,
            known: self.known,
            sizes,
            stored,
            signed: self.newest,
            cosigned: self.cosigned,
            history: self.history,
        }))
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

fn corrupt(place: Place, what: &impl ToString) -> OpenError {
    OpenError::Corrupt {
        segment: place.segment,
        offset: place.offset,
        what: what.to_string(),
    }
}
