//! Erasing in place, so that a crash leaves each part whole or gone, and what was begun is finished.
//!
//! The order: the plan is durable before ERASED is appended, ERASED before the first byte is overwritten. Each frame is
//! rewritten from a journal: torn by a crash, it is written again before the ledger is read. `index/erasing` holds the plan,
//! `index/erasing.frame` the journal; both hold nothing that is to be erased, and are empty otherwise. The plan only saves
//! reading: each ERASED that a start comes across is looked after too ([`Owed`]), and no resume point is set behind one before that.
//!
//! Who asks the index for a person or a case does not find by it what was erased: its rows go before the bytes do.

mod owed;
mod places;

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use jisr_proto::canonical;
use jisr_proto::statement::{ErasedParts, Erasure};

use super::entry::ReadError;
use super::error::{AppendError, FatalError};
use super::fact::{Clear, Fact};
use super::index::Index;
use super::job::Job;
use super::tail::Place;
use super::{Ledger, Stands};
use crate::erasure::Approved;
use crate::files::PAGE;
use crate::frame::{self, FrameHeader, PeerStatement, Record, Records};
use crate::statement::{Act, Closed, Tag};

pub(crate) use owed::Owed;
pub(crate) use places::Eraser;

/// Why nothing, or not everything, was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// ERASED could not be appended: nothing was erased.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed. What was begun is finished at the next start.
    #[error("own node: erasing failed ({0}); check the disk, then restart the node: it goes on where it stopped")]
    Disk(#[from] io::Error),
    /// There is no such entry.
    #[error("caller: the ledger has no entry {0}; name entries that `jisr node erase` lists")]
    UnknownEntry(u64),
}

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasedEntry {
    /// Index of ERASED.
    pub index: u64,
    /// Parts and stored payloads that were overwritten.
    pub parts: u32,
}

/// What is to be erased: the tags by index.
struct Named<'a>(BTreeMap<u64, &'a [u8]>);

impl<'a> Named<'a> {
    fn new(parts: &'a [ErasedParts]) -> Self {
        Self(parts.iter().map(|part| (part.index, part.tags.as_ref())).collect())
    }

    fn tags(&self, index: u64) -> Option<&'a [u8]> {
        self.0.get(&index).copied()
    }
}

/// A frame with something in it that is to be erased.
struct Overwritten {
    place: Place,
    /// As it stands.
    body: Bytes,
    /// Index of its first statement.
    first: u64,
    /// As it is to be, header and all.
    frame: Vec<u8>,
    /// Parts that go.
    parts: u32,
}

impl Ledger {
    /// Appends ERASED (`statement`) and then overwrites what its document names, in place. Blocks on disk; not to be called on a
    /// runtime's thread. One erasure runs at a time. Whether a hold forbids it is for the caller to see.
    ///
    /// # Errors
    /// [`EraseError`]. After [`EraseError::Disk`] with ERASED in the ledger the process ends; the next one goes on.
    pub fn erase(&self, statement: Closed, approved: &Approved<Erasure>) -> Result<ErasedEntry, EraseError> {
        let eraser = &self.0.eraser;
        let _running = eraser.alone();
        // There is room for one plan, and what a start came across is forgotten once an erasure is carried out: what the process
        // before left is finished first.
        self.resume()?;
        let size = self.size();
        let parts = &approved.document().parts;
        if let Some(beyond) = parts.iter().find(|part| part.index >= size) {
            return Err(EraseError::UnknownEntry(beyond.index));
        }
        eraser.plan(size, &canonical::encode(approved.document()))?;
        let index = match self.append_blocking(statement) {
            Ok(stands) => stands.index,
            Err(error) => {
                // After a failed write nobody knows whether ERASED is on disk: the plan stays for the next start.
                if !matches!(error, AppendError::Stopped) {
                    eraser.give_up()?;
                }
                return Err(error.into());
            }
        };
        let parts = self.carry_out([parts.as_slice()])?;
        Ok(ErasedEntry { index, parts })
    }

    /// Finishes the erasures whose ERASED stands in the ledger, where the process before did not; says the newest of them, and
    /// how many parts went in all. To be called once the ledger is confirmed. Blocks on disk.
    ///
    /// # Errors
    /// As [`Ledger::erase`].
    pub fn resume_erasure(&self) -> Result<Option<ErasedEntry>, EraseError> {
        let _running = self.0.eraser.alone();
        self.resume()
    }

    fn resume(&self) -> Result<Option<ErasedEntry>, EraseError> {
        let eraser = &self.0.eraser;
        let mut found = BTreeMap::new();
        for index in eraser.owed.all() {
            found.extend(self.erased_by(index)?.map(|parts| (index, parts)));
        }
        if let Some((from, document)) = eraser.planned()? {
            for index in from..self.size() {
                found.extend(
                    self.erasure_at(index, |erasure| *erasure == document)?
                        .map(|parts| (index, parts)),
                );
            }
        }
        let Some(newest) = found.last_key_value().map(|(index, _)| *index) else {
            // ERASED did not reach the ledger: whoever asked for it was told so, or nothing at all.
            if eraser.is_begun()? || eraser.owed.is_any() {
                eraser.finished()?;
            }
            return Ok(None);
        };
        let parts = self.carry_out(found.values().map(Vec::as_slice))?;
        Ok((parts > 0).then_some(ErasedEntry { index: newest, parts }))
    }

    /// Forgets the ERASED that a start came across as far as they are carried out. Writes nothing, and so needs nobody to
    /// confirm the ledger. Blocks on disk.
    pub(super) fn look_after_erasures(&self) -> Result<(), EraseError> {
        for index in self.0.eraser.owed.all() {
            let parts = self.erased_by(index)?.unwrap_or_default();
            let mut is_left = false;
            self.each_overwritten(&Named::new(&parts), &*self.index()?, |_| {
                is_left = true;
                Ok(())
            })?;
            if !is_left {
                self.0.eraser.owed.paid(index);
            }
        }
        Ok(())
    }

    fn erased_by(&self, index: u64) -> Result<Option<Vec<ErasedParts>>, EraseError> {
        self.erasure_at(index, |_| true)
    }

    /// What the ERASED with this index names, where it is one and its document is the one that is looked for.
    fn erasure_at(
        &self,
        index: u64,
        is_it: impl FnOnce(&Bytes) -> bool,
    ) -> Result<Option<Vec<ErasedParts>>, EraseError> {
        let Some(entry) = self.entry(index)? else {
            return Ok(None);
        };
        let Some(Act::Erased(act)) = entry.statement.act() else {
            return Ok(None);
        };
        if !is_it(&act.erasure) {
            return Ok(None);
        }
        let erasure: Erasure = canonical::decode(&act.erasure).map_err(io::Error::other)?;
        Ok(Some(erasure.parts))
    }

    /// ERASED stands: from here on a failure ends the process, and the next one goes on.
    fn carry_out<'a>(&self, erasures: impl IntoIterator<Item = &'a [ErasedParts]>) -> Result<u32, EraseError> {
        let eraser = &self.0.eraser;
        let mut erased = 0;
        let done = erasures
            .into_iter()
            .try_for_each(|parts| self.overwrite(parts).map(|count| erased += count))
            .and_then(|()| eraser.finished().map_err(EraseError::from));
        if let Err(error) = &done {
            eraser.fatal.call(&FatalError::Writer(format!("erasing: {error}")));
        }
        done.map(|()| erased)
    }

    fn overwrite(&self, parts: &[ErasedParts]) -> Result<u32, EraseError> {
        let named = Named::new(parts);
        let by = self.index()?;
        let mut erased = 0;
        self.each_overwritten(&named, &by, |found| {
            self.forget(&by, &named, &found)?;
            self.behind_the_tail(found.place.segment, found.place.offset + found.frame.len() as u64)?;
            self.0.eraser.overwrite(&found.place, &found.frame)?;
            erased += found.parts;
            Ok(())
        })?;
        Ok(erased)
    }

    /// Shows the frames in which something is named that is not erased yet.
    fn each_overwritten(
        &self,
        named: &Named<'_>,
        by: &Index,
        mut show: impl FnMut(Overwritten) -> Result<(), EraseError>,
    ) -> Result<(), EraseError> {
        let mut frames = BTreeMap::new();
        for index in named.0.keys() {
            let found = by.frame(*index).map_err(ReadError::from)?;
            let (place, first) = found.ok_or(EraseError::UnknownEntry(*index))?;
            frames.insert(place, first);
        }
        for (place, first) in frames {
            let body = self.0.reader.frame(place)?;
            let mut erased = body.to_vec();
            let parts = frame::erase(&mut erased, first, |index| named.tags(index)).map_err(ReadError::from)?;
            if parts == 0 {
                continue;
            }
            let header = FrameHeader::of(&erased).ok_or(frame::FrameError::Body("it is empty or too long"));
            show(Overwritten {
                place,
                body,
                first,
                frame: [&header.map_err(ReadError::from)?.encode()[..], &erased].concat(),
                parts,
            })?;
        }
        Ok(())
    }

    /// Takes out of the index whom the parts name that are about to be erased.
    fn forget(&self, by: &Index, named: &Named<'_>, found: &Overwritten) -> Result<(), ReadError> {
        let mut next = found.first;
        let mut newest = None;
        let mut is_any = false;
        for record in Records::new(&found.body) {
            let stored = match record? {
                Record::Statement(stored) => {
                    let fact = Fact::scan(&Clear::read(stored)?, None)?;
                    newest = named.tags(next).filter(|_| fact.begins()).map(|tags| (fact, tags));
                    next += 1;
                    stored
                }
                Record::PeerStatement(data) => PeerStatement::parse(data)?.statement,
                _ => continue,
            };
            let Some((fact, tags)) = &newest else { continue };
            let goes = |tag: Tag| tags.contains(&tag.number());
            for pseudonym in self.0.reader.pseudonyms(&found.body, stored, goes)? {
                let Some(exchange) = fact.exchange else { continue };
                by.forget(&pseudonym, fact.created_us, exchange)?;
                is_any = true;
            }
        }
        if is_any {
            by.sync()?;
        }
        Ok(())
    }

    /// The writer keeps the last page and writes it again with the next commit: waits until `end` lies in a page before that.
    /// Each round is a commit of a checkpoint's length, so there are few.
    fn behind_the_tail(&self, segment: u64, end: u64) -> Result<(), EraseError> {
        let page = |offset: u64| offset / PAGE as u64;
        loop {
            let durable = self.durable();
            if durable.segment > segment || page(durable.offset) > page(end.saturating_sub(1)) {
                return Ok(());
            }
            self.blocking(Job::default())?;
        }
    }

    fn append_blocking(&self, statement: Closed) -> Result<Stands, AppendError> {
        self.0.gate.passes()?;
        let job = self.job(&[statement])?;
        self.blocking(job)
    }

    fn blocking(&self, job: Job) -> Result<Stands, AppendError> {
        let (job, landed) = job.awaited();
        self.0.queue.push(job)?;
        let (commit, index) = landed.blocking_recv().map_err(|_| AppendError::Stopped)??;
        Ok(Stands { index, commit })
    }
}
