//! What keeps the registry from starting or makes it stop. What refuses one request is a [`crate::refusal::Refusal`].

use std::io;
use std::path::{Path, PathBuf};

use jisr_certs::CertError;

use crate::state::StateError;

/// Fatal for the registry's process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration; names key and line.
    #[error("registry configuration: {0}")]
    Config(String),
    /// A file or socket.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// With these administrators a registry is not founded.
    #[error("the founding administrators: {0}")]
    Founding(String),
    /// Keys or certificates.
    #[error(transparent)]
    Certificates(#[from] CertError),
    /// The ledger cannot be opened or written; nothing may be signed any more.
    #[error("the registry's ledger: {0}")]
    Ledger(String),
    /// An entry of the ledger breaks a rule of the registry.
    #[error("the registry's ledger, entry {index}: {cause}")]
    State {
        /// Index of the entry.
        index: u64,
        /// What is wrong with it.
        cause: StateError,
    },
    /// The directory holds something else than a registry of this configuration.
    #[error("{0}")]
    Directory(String),
    /// A server behind a door failed.
    #[error("the registry's server failed: {0}")]
    Serve(tonic::transport::Error),
    /// A task of the registry ended by a panic.
    #[error("the registry's {0} ended unexpectedly; restart it and report what it logged")]
    Task(&'static str),
}

impl Error {
    /// Adds what was tried to an [`io::Error`].
    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Error {
        Error::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }
}
