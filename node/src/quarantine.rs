//! The mark of a quarantine: others hold a newer or another history of this node's ledger than its disk.
//!
//! It is durable, so that no restart lifts it. `jisr node recover` and `jisr node succeed` do: the first once the ledger was
//! restored, the second because a new ledger cites both heads.

use std::io;
use std::path::Path;

use jisr_ledger::files::Disk;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
const FILE: &str = "quarantine";

/// Who showed what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// Who showed it: a node, or `JO/registry`.
    pub shown_by: String,
    /// When, microseconds since 1970 by this machine's clock.
    pub found_us: u64,
    /// What does not fit, in words.
    pub text: String,
    /// Size of the own ledger on disk.
    pub own_size: u64,
    /// Its newest checkpoint, a C2SP signed note; empty where none is signed.
    pub own_checkpoint: String,
    /// Size of the checkpoint that was shown.
    pub shown_size: u64,
    /// That checkpoint, a C2SP signed note by the own key.
    pub shown_checkpoint: String,
}

impl Quarantine {
    /// The mark in the data directory `data`; `None` where there is none.
    ///
    /// # Errors
    /// The file cannot be read or is not of this form. Then too the node is quarantined: whoever put it there meant it.
    pub fn read(data: &Path) -> io::Result<Option<Quarantine>> {
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
    pub fn write(&self, data: &Path, disk: &dyn Disk) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        disk.replace(&data.join(FILE), text.as_bytes())
    }

    /// Removes the mark: the ledger was restored, or another one begins.
    ///
    /// # Errors
    /// The disk.
    pub fn lift(data: &Path, disk: &dyn Disk) -> io::Result<()> {
        disk.remove(&data.join(FILE)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_ledger::files::RealDisk;

    #[test]
    fn the_mark_stays_until_it_is_lifted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Quarantine::read(dir.path()).unwrap(), None);
        let mark = Quarantine {
            shown_by: "JO/registry".to_owned(),
            found_us: 7,
            text: "it is ahead".to_owned(),
            own_size: 3,
            own_checkpoint: String::new(),
            shown_size: 9,
            shown_checkpoint: "origin\n9\nroot\n\n\u{2014} origin AAAA\n".to_owned(),
        };
        mark.write(dir.path(), &RealDisk).unwrap();
        assert_eq!(Quarantine::read(dir.path()).unwrap(), Some(mark));
        Quarantine::lift(dir.path(), &RealDisk).unwrap();
        Quarantine::lift(dir.path(), &RealDisk).unwrap();
        assert_eq!(Quarantine::read(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_mark_that_does_not_parse_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "").unwrap();
        assert!(Quarantine::read(dir.path()).is_err());
    }
}
