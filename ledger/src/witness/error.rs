//! Why a checkpoint is not cosigned, or not taken up.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::note::NoteError;

/// Why a checkpoint is not cosigned, or not taken up. The HTTP status of each is that of C2SP tlog-witness.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The note is not a checkpoint of this ledger, signed by its seal key (403; 400 where it is no checkpoint at all).
    #[error("caller: the checkpoint is refused: {0}")]
    Note(#[from] NoteError),
    /// The old size is larger than the checkpoint's (400).
    #[error(
        "caller: the old size {old} is larger than the checkpoint's {new}; name the size of the last cosigned checkpoint"
    )]
    OldSize {
        /// Old size as asked.
        old: u64,
        /// Size of the checkpoint.
        new: u64,
    },
    /// The witness knows another size than the caller believes, or another root of the same size (409).
    #[error("caller: this witness knows {origin} at size {size}; prove consistency from there")]
    Conflict {
        /// The ledger.
        origin: String,
        /// Size that the witness knows.
        size: u64,
        /// Newest checkpoint that the witness holds; empty if none. With the one refused it may be proof of a fork.
        note: Bytes,
    },
    /// The proof does not lead from the known root to the new one (422).
    #[error("caller: the tree of {origin} at size {new} is not shown to continue that of size {old}")]
    Inconsistent {
        /// The ledger.
        origin: String,
        /// Known size.
        old: u64,
        /// Size of the refused checkpoint.
        new: u64,
        /// Newest checkpoint that the witness holds; empty if none.
        note: Bytes,
    },
    /// What its owner shows as the newest is older than what it showed before.
    #[error("caller: {origin} shows size {shown}, and showed size {size} before: it was rolled back")]
    RolledBack {
        /// The ledger.
        origin: String,
        /// Size that is shown now.
        shown: u64,
        /// Size that was shown before.
        size: u64,
        /// The checkpoint that was shown before.
        note: Bytes,
    },
    /// The witness lost its memory, or a part of it, and must not begin anew under the same key (503).
    #[error(
        "own node: this witness lost its memory and cosigns nothing ({0}); restore its directory as it was, or have the instance list a new witness key"
    )]
    Lost(String),
    /// The state could not be made durable: nothing was cosigned (503).
    #[error("own node: the witness state {path} cannot be read or written ({error}); nothing is cosigned until it can")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A state file does not parse. Starting anew would forget what was cosigned (503).
    #[error("own node: the witness state {0} is damaged; restore it, or ask the instance to list a new witness key")]
    Damaged(PathBuf),
}
