//! Which keys this node asked certificates for: what the registry lists for another one, nobody here wanted. Durable, so that a
//! certificate that was asked for before a stop raises no alarm after it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jisr_certs::digest::{self, Hash};
use jisr_ledger::files::Disk;

/// Name of the file in the data directory: one SHA-256 of a public key a line, in hexadecimal.
const FILE: &str = "asked-keys";

/// The memory.
pub(crate) struct Asked {
    file: PathBuf,
    disk: Arc<dyn Disk>,
    keys: Mutex<BTreeSet<Hash>>,
}

impl Asked {
    /// What is remembered in a data directory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(data: &Path, disk: Arc<dyn Disk>) -> io::Result<Asked> {
        let file = data.join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let line = |line: &str| {
            let wrong = || {
                io::Error::other(format!(
                    "own node: {} holds a line that is no digest; remove the file: at worst a certificate that is under way is reported",
                    file.display()
                ))
            };
            read(line).ok_or_else(wrong)
        };
        Ok(Asked {
            keys: Mutex::new(text.lines().map(line).collect::<io::Result<_>>()?),
            file,
            disk,
        })
    }

    /// A certificate is about to be asked for, or is in use, whose public key these bytes are (of a P-256 key the point, uncompressed).
    /// To be called before it is asked for; durable when it returns. Blocks on disk.
    ///
    /// # Errors
    /// The disk: then it must not be asked for.
    pub(crate) fn asked(&self, public_key: &[u8]) -> io::Result<()> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(digest::sha256(&[public_key])) {
            return Ok(());
        }
        let line = |key: &Hash| {
            key.iter()
                .map(|byte| format!("{byte:02x}"))
                .chain(["\n".to_owned()])
                .collect()
        };
        let text: Vec<String> = keys.iter().map(line).collect();
        self.disk.replace(&self.file, text.concat().as_bytes())
    }

    /// Whether a certificate for this public key was asked for.
    pub(crate) fn is_asked(&self, public_key: &[u8]) -> bool {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.contains(&digest::sha256(&[public_key]))
    }
}

fn read(line: &str) -> Option<Hash> {
    let byte = |at: usize| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_ledger::files::RealDisk;

    #[test]
    fn what_was_asked_for_is_known_after_a_stop() {
        let dir = tempfile::tempdir().unwrap();
        let asked = Asked::open(dir.path(), Arc::new(RealDisk)).unwrap();
        asked.asked(b"one").unwrap();
        asked.asked(b"two").unwrap();
        asked.asked(b"one").unwrap();
        let again = Asked::open(dir.path(), Arc::new(RealDisk)).unwrap();
        assert!(again.is_asked(b"one") && again.is_asked(b"two") && !again.is_asked(b"three"));
        std::fs::write(dir.path().join(FILE), "no digest\n").unwrap();
        assert!(Asked::open(dir.path(), Arc::new(RealDisk)).is_err());
    }
}
