//! A witness cosigns a checkpoint only if it extends everything that it saw of that ledger before.
//!
//! The rules are those of C2SP tlog-witness (add-checkpoint). What is remembered of a ledger is one file, replaced whole
//! and durable before the cosignature leaves: a witness that forgot could be shown two histories. A witness that finds that
//! it forgot cosigns nothing more ([`WitnessError::Lost`]).

mod error;
mod memory;

pub use error::WitnessError;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_certs::seal::WitnessKey;
use jisr_proto::ident::Origin;

use crate::Hash;
use crate::files::Disk;
use crate::note::{self, Checkpoint, NoteError, SignedNote, VerifierKey};
use crate::tlog::{AddCheckpoint, Answer};
use crate::tree;

use memory::Memory;

/// The newest checkpoint of a ledger that was found to continue those before it.
#[derive(Clone, Debug)]
struct Known {
    checkpoint: Checkpoint,
    note: Bytes,
    /// Cosigned or only observed.
    cosigned: bool,
}

type Slot = Arc<Mutex<Option<Known>>>;

/// The durable memory of one witness, and its key.
pub struct WitnessState {
    key: WitnessKey,
    vkey: VerifierKey,
    memory: Memory,
    /// One lock per ledger: ledgers do not wait for each other's disk writes.
    ledgers: Mutex<HashMap<Origin, Slot>>,
}

impl WitnessState {
    /// Reads what is in `directory` (made if absent). `begun` is a file beside the witness key, in the key store, that says
    /// of how many ledgers there must be a memory: where fewer are found the witness is lost, and says so, but opens.
    ///
    /// # Errors
    /// [`WitnessError::Io`], [`WitnessError::Damaged`].
    pub fn open(directory: &Path, begun: PathBuf, key: WitnessKey, disk: Arc<dyn Disk>) -> Result<Self, WitnessError> {
        let (memory, found) = Memory::open(directory, begun, disk)?;
        let slot = |known| Arc::new(Mutex::new(Some(known)));
        Ok(Self {
            vkey: key.vkey().parse()?,
            key,
            memory,
            ledgers: Mutex::new(found.into_iter().map(|(origin, known)| (origin, slot(known))).collect()),
        })
    }

    /// The key it cosigns with.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Why it cosigns nothing, if it lost its memory.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        self.memory.lost()
    }

    /// Answers the body of an add-checkpoint request as C2SP tlog-witness says. `key_of` gives the seal key that is listed for
    /// an origin, `time_s` is POSIX seconds. Blocks on disk.
    pub fn answer(&self, body: &[u8], key_of: impl Fn(&Origin) -> Option<VerifierKey>, time_s: u64) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return error.into(),
        };
        let origin = match SignedNote::parse(&request.checkpoint).and_then(|note| Checkpoint::parse(note.text)) {
            Ok(checkpoint) => checkpoint.origin,
            Err(error) => return Answer::refused(400, error),
        };
        let Some(key) = origin.parse().ok().and_then(|origin| key_of(&origin)) else {
            return Answer::refused(404, format!("caller: {origin} is no ledger that this witness knows"));
        };
        match self.add_checkpoint(request.old_size, &request.proof, &request.checkpoint, &key, time_s) {
            Ok(lines) => Answer::Cosigned(lines),
            Err(error) => error.into(),
        }
    }

    /// Checks a checkpoint against what is known of its ledger, remembers it durably, and returns the cosignature line
    /// with its newline. `key` is the seal key that the snapshot lists for the origin, `time_s` POSIX seconds. A checkpoint
    /// that is known is cosigned again with the new time.
    ///
    /// # Errors
    /// As the variants of [`WitnessError`] say; after any error nothing was cosigned and the memory is as it was, or, where
    /// the write failed, possibly one checkpoint ahead, which is safe.
    pub fn add_checkpoint(
        &self,
        old_size: u64,
        proof: &[Hash],
        note: &[u8],
        key: &VerifierKey,
        time_s: u64,
    ) -> Result<String, WitnessError> {
        let (origin, new) = open(note, key)?;
        if old_size > new.size {
            return Err(WitnessError::OldSize {
                old: old_size,
                new: new.size,
            });
        }
        let slot = self.slot(&origin);
        let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        self.recognise(note, &new, known.as_ref())?;
        if let Some(why) = self.lost() {
            return Err(WitnessError::Lost(why));
        }
        extends(known.as_ref(), old_size, &new, proof)?;
        if known
            .as_ref()
            .is_none_or(|known| known.checkpoint != new || !known.cosigned)
        {
            self.remember(&origin, &mut known, &new, note, true)?;
        }
        Ok(self.key.cosign(time_s, &origin, new.size, &new.root))
    }

    /// Takes up a checkpoint that its owner showed, with the proof from the newest that is known here, without cosigning it.
    /// Durable when it returns, except in a lost witness. An equal one changes nothing. Returns the size that is known then.
    ///
    /// # Errors
    /// [`WitnessError::Note`], [`WitnessError::RolledBack`] where it is smaller than the known one, [`WitnessError::Conflict`]
    /// where it has another root at the same size, [`WitnessError::Inconsistent`], [`WitnessError::Io`].
    pub fn observe(&self, note: &[u8], proof: &[Hash], key: &VerifierKey) -> Result<u64, WitnessError> {
        let (origin, new) = open(note, key)?;
        let slot = self.slot(&origin);
        let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| new.size < known.checkpoint.size) {
            return Err(WitnessError::RolledBack {
                origin: new.origin,
                shown: new.size,
                size: known.checkpoint.size,
                note: known.note.clone(),
            });
        }
        let size = known.as_ref().map_or(0, |known| known.checkpoint.size);
        // Of equal sizes there is nothing to show; whatever came along is not looked at.
        let proof = if new.size == size { &[] } else { proof };
        extends(known.as_ref(), size, &new, proof)?;
        if known.as_ref().is_none_or(|known| known.checkpoint != new) {
            self.remember(&origin, &mut known, &new, note, false)?;
        }
        Ok(new.size)
    }

    /// The newest checkpoint of that ledger that was found consistent here, cosigned or observed, as it was signed.
    #[must_use]
    pub fn newest(&self, origin: &Origin) -> Option<(Checkpoint, Bytes)> {
        let slot = self
            .ledgers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(origin)
            .cloned()?;
        let known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .map(|known| (known.checkpoint.clone(), known.note.clone()))
    }

    /// A note with this witness's own cosignature on what it does not know any more: the memory was rolled back.
    fn recognise(&self, note: &[u8], new: &Checkpoint, known: Option<&Known>) -> Result<(), WitnessError> {
        let remembered = known.is_some_and(|known| new.size < known.checkpoint.size || known.checkpoint == *new);
        if remembered || note::cosignatures(note, std::slice::from_ref(&self.vkey))?.is_empty() {
            return Ok(());
        }
        let size = known.map_or(0, |known| known.checkpoint.size);
        let why = format!(
            "{} shows this witness's own cosignature at size {}, of which it remembers only size {size}",
            new.origin, new.size
        );
        tracing::error!("{why}; nothing more is cosigned");
        self.memory.lose(why)
    }

    fn remember(
        &self,
        origin: &Origin,
        slot: &mut Option<Known>,
        new: &Checkpoint,
        note: &[u8],
        cosigned: bool,
    ) -> Result<(), WitnessError> {
        let known = Known {
            checkpoint: new.clone(),
            note: Bytes::copy_from_slice(note),
            cosigned,
        };
        self.memory.keep(origin, &known, slot.is_none())?;
        *slot = Some(known);
        Ok(())
    }

    fn slot(&self, origin: &Origin) -> Slot {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(ledgers.entry(origin.clone()).or_default())
    }
}

fn open(note: &[u8], key: &VerifierKey) -> Result<(Origin, Checkpoint), WitnessError> {
    let new = note::open(note, key)?.into_inner();
    let origin = new.origin.parse().map_err(|_| NoteError::Text {
        what: "checkpoint",
        why: "the first line is no origin of this network",
    })?;
    Ok((origin, new))
}

/// The rules of C2SP tlog-witness: the caller must name what the witness knows, and prove from there.
fn extends(known: Option<&Known>, old_size: u64, new: &Checkpoint, proof: &[Hash]) -> Result<(), WitnessError> {
    let (size, root) = known.map_or((0, tree::empty_root()), |known| {
        (known.checkpoint.size, known.checkpoint.root)
    });
    let conflict = || WitnessError::Conflict {
        origin: new.origin.clone(),
        size,
        note: known.map(|known| known.note.clone()).unwrap_or_default(),
    };
    if old_size != size || (new.size == size && new.root != root) {
        return Err(conflict());
    }
    if !tree::verify_consistency(size, &root, new.size, &new.root, proof) {
        return Err(WitnessError::Inconsistent {
            origin: new.origin.clone(),
            old: size,
            new: new.size,
            note: known.map(|known| known.note.clone()).unwrap_or_default(),
        });
    }
    Ok(())
}

/// Says in `begun`, the file beside a witness key, that the memory which belongs to it is lost: for whoever restores a key without
/// what was signed with it. A witness that is opened with it cosigns nothing. Durable when it returns.
///
/// # Errors
/// The disk.
pub fn mark_lost(begun: &Path, disk: &dyn Disk) -> std::io::Result<()> {
    memory::lose(begun, disk)
}

#[cfg(test)]
mod tests;
