//! What can go wrong with a ledger, by whose fault and how bad.

use std::io;
use std::path::PathBuf;

use jisr_certs::CertError;

use crate::files;
use crate::vault::VaultError;

/// Why a ledger does not open. Nothing was changed on disk, except where a torn tail had been cut before.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("own node: another process has the ledger open (lock {0}); stop it, a ledger has one writer")]
    Locked(PathBuf),
    /// A file or directory cannot be used.
    #[error(
        "own node: {path} cannot be used ({error}); check owner, permissions, space and that it is on the ledger's file system"
    )]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Bytes that were acknowledged are damaged.
    #[error(
        "own node: segment {segment} of the ledger is corrupt at byte {offset}: {what}; this is no torn write, do not repair it by hand: restore \
         the directory from the mirror, or begin a new origin that cites both heads"
    )]
    Corrupt {
        /// Number of the segment.
        segment: u64,
        /// Byte offset in its file.
        offset: u64,
        /// What does not hold.
        what: String,
    },
    /// The directory holds another ledger, or one signed by another key.
    #[error("own node: the directory holds the ledger {found} and not {expected}; point the node at its own directory")]
    WrongLedger {
        /// What STARTED says.
        found: String,
        /// What was configured.
        expected: String,
    },
    /// Limits that cannot work.
    #[error("own node: the ledger's limits do not fit together: {0}")]
    Limits(&'static str),
    /// The first statement could not be written.
    #[error("own node: the ledger cannot be written: {0}")]
    Append(#[from] AppendError),
    /// The disk failed at the first write.
    #[error(transparent)]
    Fatal(#[from] FatalError),
}

/// Why statements did not get into the ledger. None of the statements of the call stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More waits than the limits allow.
    #[error("own node: the ledger has more to write than its limits allow; try again in a moment")]
    Overloaded,
    /// No room on disk. Clears by itself when there is room again.
    #[error("own node: the ledger's disk is full; free space or move the ledger")]
    Full,
    /// One call asks for more than one commit may hold.
    #[error("own node: {bytes} bytes are more than one commit may hold ({limit}); configure larger segments")]
    TooLarge {
        /// Bytes asked for.
        bytes: usize,
        /// Most bytes of a commit.
        limit: usize,
    },
    /// A personal part could not be encrypted.
    #[error("{0}")]
    Vault(String),
    /// What was to be recorded contradicts the ledger or its format.
    #[error("own node: {0}; it is not recorded")]
    Unsound(&'static str),
    /// Nobody outside has confirmed yet that nothing newer is known of this ledger, or somebody said that something is.
    #[error(
        "own node: the ledger is not confirmed yet by any outside party; the registry or a peer must be reached; see the status"
    )]
    Recovering,
    /// The ledger was closed, or its writer stopped after a failure that only a restart can settle.
    #[error("own node: the ledger is closed; restart the node")]
    Stopped,
}

impl From<VaultError> for AppendError {
    fn from(e: VaultError) -> Self {
        match e {
            // A new month begins with a new key.
            VaultError::Store(CertError::Io { source, .. }) if files::is_full(&source) => Self::Full,
            e => Self::Vault(e.to_string()),
        }
    }
}

/// Why a ledger is not written to after a start.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Outside more of this ledger is known than stands here: its disk was rolled back.
    #[error(
        "own node: a checkpoint of this ledger with {theirs} entries is known outside, here are {ours}: the disk was rolled back; restore it \
         from the mirror, or begin a new origin that cites both heads"
    )]
    Ahead {
        /// Size of the checkpoint that is known outside.
        theirs: u64,
        /// Entries here.
        ours: u64,
    },
    /// Outside another history of this ledger is known.
    #[error(
        "own node: what is known of this ledger outside differs from it within its first {size} entries: it was continued elsewhere or altered; \
         restore it from the mirror, or begin a new origin that cites both heads"
    )]
    Differs {
        /// Size of the checkpoint that is known outside.
        size: u64,
    },
    /// A checkpoint of another ledger was shown.
    #[error("own node: what was shown is a checkpoint of {0}, which is not this ledger")]
    WrongOrigin(String),
    /// The ledger was refused before: [`super::Ledger::refuse`].
    #[error("own node: the ledger is in quarantine; see the status for what is known of it outside")]
    Refused,
    /// A stored node of the tree cannot be read.
    #[error("own node: the root of the first {0} entries cannot be computed; rebuild it with `jisr ledger index`")]
    Unreadable(u64),
    /// RESUMED could not be written; somebody may confirm again when the cause is gone.
    #[error(transparent)]
    Write(#[from] Box<OpenError>),
    /// The disk failed while RESUMED was written: the process ends.
    #[error("own node: the ledger's disk failed at its first write; see the log")]
    Fatal,
}

/// After this the state of the disk or of the process is not known: nothing more may be signed, the process must end.
#[derive(Debug, thiserror::Error)]
pub enum FatalError {
    /// A write or sync failed in a way that leaves open what is on disk.
    #[error(
        "own node: the ledger's disk failed in segment {segment} at byte {offset}: {what}; check the disk, then start again"
    )]
    Disk {
        /// Number of the segment.
        segment: u64,
        /// Where the frame would have stood.
        offset: u64,
        /// What the system said.
        what: String,
    },
    /// The writer itself failed.
    #[error("own node: the ledger's writer failed ({0}); start again and report it")]
    Writer(String),
}
