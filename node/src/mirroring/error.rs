//! Why a mirror cannot be written, read or restored.

use std::path::{Path, PathBuf};

use jisr_certs::CertError;

/// What went wrong with a mirror. Each text names who has to act and what to do.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The address of a mirror, or what goes with it, is wrong.
    #[error("{0}")]
    Location(String),
    /// A file of this machine could not be read or written.
    #[error(
        "own node: cannot {action} {path}: {source}. Check that the path is right, its owner and modes, and that the disk has room"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The object storage did not do what was asked.
    #[error(
        "object storage: cannot {action} {name}: {source}. Check endpoint, bucket and credentials, and that the storage runs"
    )]
    Storage {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// What the storage said.
        source: Box<object_store::Error>,
    },
    /// The mirror holds more than the ledger that is to be mirrored.
    #[error(
        "mirror: it is ahead of this ledger ({0}): this node's disk was set back. Nothing there is overwritten; stop the node and \
         restore it from this mirror (jisr node recover)"
    )]
    Ahead(String),
    /// The mirror holds another past than the ledger that is to be mirrored.
    #[error(
        "mirror: what it holds is not a stage of this ledger ({0}). Nothing there is overwritten; name an empty place for this \
         ledger, and verify both (jisr ledger verify)"
    )]
    Differs(String),
    /// The live ledger could not be read just now.
    #[error(
        "own node: the ledger cannot be read for the mirror: {0}. It is tried again; if it stays so, run jisr ledger verify"
    )]
    Ledger(String),
    /// There is nothing that could be restored.
    #[error("mirror: {0}")]
    Unusable(String),
    /// The place to restore to cannot be taken.
    #[error("own node: {0}")]
    Target(String),
    /// A key, or the secret that seals the keys, cannot be used.
    #[error(transparent)]
    Certs(#[from] CertError),
}

/// The error for a file of this machine.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> MirrorError + use<> {
    let path = path.to_owned();
    move |source| MirrorError::Io { action, path, source }
}
