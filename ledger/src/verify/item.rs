//! What one frame says, as far as it can be checked without the frames before it.

use super::{Fault, own::Own};
use crate::{
    note::{Checkpoint, VerifierKey},
    statement::{Act, Tag},
    tree::Hash,
};
use bytes::Bytes;
use jisr_certs::stamp::Stamped;
use std::sync::Arc;

/// A frame whose checksums hold, taken apart.
pub(super) struct Examined {
    /// Where it begins in its segment.
    pub(super) offset: u64,
    /// What its records say, in order.
    pub(super) items: Vec<Item>,
    /// The rule that the record after these breaks; the frame was not read on.
    pub(super) fault: Option<Fault>,
}

/// What a record says.
pub(super) enum Item {
    /// The statement that begins the ledger.
    Begins(Box<(Arc<Own>, Statement)>),
    /// Another statement.
    Statement(Statement),
    /// The statement of another ledger that the one before it cites: it has been compared with the citation.
    Cited(Shown),
    /// A receipt, and what it cites of this ledger.
    Receipt(Shown, Receipted),
    /// A stored message.
    Payload {
        /// It is erased.
        is_erased: bool,
    },
    /// A checkpoint of this ledger.
    Checkpoint(Checked),
    /// A checkpoint of another ledger.
    Note(Note),
    /// A final proof.
    Proof(Bytes),
    /// Certificates of another ledger's key.
    Certificates(Bytes),
    /// A time-stamp.
    Stamp(Stamp),
}

/// A time-stamp of this ledger.
pub(super) enum Stamp {
    /// On a checkpoint.
    Checkpoint {
        checked: Checked,
        /// What it says; none where nobody who is trusted vouches for its authority.
        judged: Option<Stamped>,
        /// Leaf input in the tree of time-stamps.
        leaf: Hash,
    },
    /// On the first ones of this ledger, judged in its turn.
    Renewal { size: u64, token: Bytes },
}

/// A statement of this ledger.
#[derive(Default)]
pub(super) struct Statement {
    pub(super) created_us: u64,
    /// Leaf input and its hash.
    pub(super) leaf: Hash,
    pub(super) leaf_hash: Hash,
    /// ENDED.
    pub(super) is_end: bool,
    /// Made after the seal certificate had ended.
    pub(super) is_late: bool,
    /// Closes an exchange here, so that whoever asked can give a receipt for it.
    pub(super) can_be_receipted: bool,
    pub(super) encrypted: u64,
    pub(super) erased: Vec<Tag>,
    /// ERASED, HELD or RELEASED.
    pub(super) act: Option<Box<Act>>,
}

/// A statement of another ledger, under the root that its path leads to.
pub(super) struct Shown {
    /// SHA-256 of its note.
    pub(super) note: Hash,
    pub(super) index: u64,
    pub(super) tree_size: u64,
    /// Root of the tree of that size; `None` where the path fits none.
    pub(super) root: Option<Hash>,
    /// Whose ledger it must be in.
    pub(super) whose: Whose,
    pub(super) erased: Vec<Tag>,
}

/// Where a statement of another ledger must stand.
pub(super) enum Whose {
    /// In the ledger with this origin.
    Origin(Bytes),
    /// In one of the member to which this subsystem belongs.
    Consumer(Bytes),
}

/// What a receipt cites.
pub(super) struct Receipted {
    pub(super) index: u64,
    pub(super) leaf: Hash,
}

/// A checkpoint of this ledger whose signature holds.
pub(super) struct Checked {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// Whether the quorum cosigned it, or what is wrong with a cosignature.
    pub(super) cosigned: Result<bool, Fault>,
}

/// A checkpoint of another ledger.
pub(super) struct Note {
    pub(super) note: Bytes,
    pub(super) hash: Hash,
    pub(super) checkpoint: Checkpoint,
    /// The key with which all was verified ahead of its turn, where one was known.
    pub(super) verified: Option<VerifierKey>,
}
