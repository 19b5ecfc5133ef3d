//! Where durable writes of key stores go, so that a test can make any single one fail, before it reaches the disk or after.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::access::{self, OPEN_FLAGS, io};
use crate::error::CertError;

/// Durable writes of files that only their owner may read. Two implementations: [`RealFiles`], and the one of the fault tests.
pub trait KeyFiles: Send + Sync + 'static {
    /// Writes a file (mode 0600), whole or not at all, in place of the one that may be there.
    ///
    /// # Errors
    /// [`CertError::Io`].
    fn write_key(&self, path: &Path, content: &[u8]) -> Result<(), CertError>;

    /// The same, unless there is one: then that one stays.
    ///
    /// # Errors
    /// [`CertError::Io`].
    fn write_key_once(&self, path: &Path, content: &[u8]) -> Result<(), CertError>;

    /// Overwrites the first `bytes` of a file with zeros, and removes it.
    ///
    /// # Errors
    /// [`CertError::Io`].
    fn destroy_key(&self, path: &Path, bytes: usize) -> Result<(), CertError>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

impl KeyFiles for RealFiles {
    fn write_key(&self, path: &Path, content: &[u8]) -> Result<(), CertError> {
        access::replace(path, content)
    }

    fn write_key_once(&self, path: &Path, content: &[u8]) -> Result<(), CertError> {
        access::write_once(path, content)
    }

    fn destroy_key(&self, path: &Path, bytes: usize) -> Result<(), CertError> {
        let mut file = OpenOptions::new()
            .write(true)
            .custom_flags(OPEN_FLAGS.bits().cast_signed())
            .open(path)
            .map_err(io("open", path))?;
        file.write_all(&vec![0; bytes]).map_err(io("overwrite", path))?;
        file.sync_all().map_err(io("sync", path))?;
        std::fs::remove_file(path).map_err(io("remove", path))?;
        access::sync_parent(path)
    }
}
