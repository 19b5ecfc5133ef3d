//! The mark of a quarantine in the registry's directory: a node holds a newer or another history of its ledger than the disk. It
//! outlasts restarts, and falls when the ledger is restored.

use std::io;
use std::path::Path;

use jisr_ledger::files::Disk;
use jisr_ledger::note::{Checkpoint, SignedNote};
use serde::{Deserialize, Serialize};

use crate::state::Hash;

/// Name of the file in the data directory.
const FILE: &str = "quarantine";

/// Who showed what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quarantine {
    /// The node that showed it.
    pub(crate) shown_by: String,
    /// What does not fit, in words.
    pub(crate) text: String,
    /// Size of the checkpoint that was shown.
    pub(crate) size: u64,
    /// That checkpoint, a C2SP signed note by the own key.
    pub(crate) checkpoint: String,
}

impl Quarantine {
    /// The mark in the data directory; `None` where there is none.
    ///
    /// # Errors
    /// The file cannot be read or is not of this form: whoever put it there meant it.
    pub(crate) fn read(data: &Path) -> io::Result<Option<Quarantine>> {
        match std::fs::read_to_string(data.join(FILE)) {
            Ok(text) => toml::from_str(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the mark. Durable when it returns.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn write(&self, data: &Path, disk: &dyn Disk) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        disk.replace(&data.join(FILE), text.as_bytes())
    }

    /// Removes the mark.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn lift(data: &Path, disk: &dyn Disk) -> io::Result<()> {
        disk.remove(&data.join(FILE)).map(drop)
    }

    /// The root that was shown; `None` where the checkpoint does not parse.
    pub(crate) fn root(&self) -> Option<Hash> {
        let note = SignedNote::parse(self.checkpoint.as_bytes()).ok()?;
        Checkpoint::parse(note.text).ok().map(|checkpoint| checkpoint.root)
    }
}
