//! The files of a witness: one for each ledger that it knows, and one beside its key that says how many there must be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_proto::ident::Origin;

use super::{Known, WitnessError};
use crate::files::{Disk, create_directory};
use crate::note::{Checkpoint, SignedNote, decimal};

/// In front of a note that was cosigned.
const COSIGNED: &[u8; 8] = b"JISRWIT\x01";
/// In front of a note that was found consistent, but not cosigned.
const OBSERVED: &[u8; 8] = b"JISRWIT\x02";
/// What the file beside the key says of a witness that was shown that it forgot.
const LOST: &[u8] = b"lost\n";

pub(super) struct Memory {
    directory: PathBuf,
    begun: PathBuf,
    disk: Arc<dyn Disk>,
    count: Mutex<Count>,
}

/// How many ledgers there must be files of.
struct Count {
    ledgers: u64,
    lost: Option<String>,
}

impl Memory {
    /// Opens the directory; returns what is in it. One that lacks a ledger is lost.
    pub(super) fn open(
        directory: &Path,
        begun: PathBuf,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Vec<(Origin, Known)>), WitnessError> {
        create_directory(directory).map_err(failed(directory))?;
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let path = entry.map_err(failed(directory))?.path();
            // What a crash left of a replacement that was never finished is not a state.
            if path.extension().is_some_and(|extension| extension == "state") {
                found.push(read(&path)?);
            }
        }
        let here = found.len() as u64;
        let lost = match expected(&begun)? {
            None => Some("it was shown its own cosignature on what it does not remember".to_owned()),
            Some(there) if there > here => Some(format!(
                "it remembered {there} ledgers and finds {here} in {}",
                directory.display()
            )),
            Some(there) => {
                // A crash between file and count, or a new key that took the files over: what is here must be missed when it goes.
                if there < here {
                    disk.replace(&begun, format!("{here}\n").as_bytes())
                        .map_err(failed(&begun))?;
                }
                None
            }
        };
        if let Some(why) = &lost {
            tracing::error!("the witness lost its memory: {why}; it cosigns nothing");
        }
        let memory = Self {
            directory: directory.to_owned(),
            begun,
            disk,
            count: Mutex::new(Count { ledgers: here, lost }),
        };
        Ok((memory, found))
    }

    /// Why it is lost, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        self.count().lost.clone()
    }

    /// It forgot: it stays lost after a restart.
    pub(super) fn lose(&self, why: String) -> Result<(), WitnessError> {
        let mut count = self.count();
        if count.lost.is_none() {
            count.lost = Some(why.clone());
            self.disk.replace(&self.begun, LOST).map_err(failed(&self.begun))?;
        }
        Err(WitnessError::Lost(why))
    }

    /// Puts down what is known of a ledger; durable when it returns. A lost memory is left as it is, for whoever restores it.
    pub(super) fn keep(&self, origin: &Origin, known: &Known, first: bool) -> Result<(), WitnessError> {
        if self.count().lost.is_some() {
            return Ok(());
        }
        let magic = if known.cosigned { COSIGNED } else { OBSERVED };
        let path = self.directory.join(file(origin));
        self.disk
            .replace(&path, &[magic.as_slice(), &known.note].concat())
            .map_err(failed(&path))?;
        if !first {
            return Ok(());
        }
        // Only after the file: a count above the files means that some were lost. A crash in between leaves one below, which the
        // next start or new ledger makes good.
        let mut count = self.count();
        let text = format!("{}\n", count.ledgers + 1);
        self.disk
            .replace(&self.begun, text.as_bytes())
            .map_err(failed(&self.begun))?;
        count.ledgers += 1;
        Ok(())
    }

    fn count(&self) -> std::sync::MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> WitnessError {
    let path = path.to_owned();
    move |error| WitnessError::Io {
        path: path.clone(),
        error,
    }
}

/// Says beside a key that the witness is lost; durable when it returns.
pub(super) fn lose(begun: &Path, disk: &dyn Disk) -> io::Result<()> {
    disk.replace(begun, LOST)
}

/// How many ledgers the file beside the key speaks of: 0 where there is none yet, `None` where it says that the witness is lost.
fn expected(begun: &Path) -> Result<Option<u64>, WitnessError> {
    match fs::read(begun) {
        Ok(bytes) if bytes == LOST => Ok(None),
        Ok(bytes) => {
            let count = str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.strip_suffix('\n'))
                .and_then(decimal);
            count.map(Some).ok_or_else(|| WitnessError::Damaged(begun.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(0)),
        Err(error) => Err(failed(begun)(error)),
    }
}

/// An origin has no underscore, so this is one to one.
pub(super) fn file(origin: &Origin) -> String {
    format!("{}.state", origin.as_str().replace('/', "_"))
}

fn read(path: &Path) -> Result<(Origin, Known), WitnessError> {
    let bytes = fs::read(path).map_err(failed(path))?;
    let damaged = || WitnessError::Damaged(path.to_owned());
    let (magic, note) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    let cosigned = magic == COSIGNED;
    if !cosigned && magic != OBSERVED {
        return Err(damaged());
    }
    let text = SignedNote::parse(note).map_err(|_| damaged())?.text;
    let checkpoint = Checkpoint::parse(text).map_err(|_| damaged())?;
    let origin: Origin = checkpoint.origin.parse().map_err(|_| damaged())?;
    if path.file_name().is_none_or(|name| name != file(&origin).as_str()) {
        return Err(damaged());
    }
    let note = Bytes::copy_from_slice(note);
    Ok((
        origin,
        Known {
            checkpoint,
            note,
            cosigned,
        },
    ))
}
