//! What happened: the ledger's formats, its Merkle tree, seals, evidence, and the offline verifiers.
//!
//! The half that computes and checks is pure: no file, no clock, no network. `docs/formats.md` describes every byte.

pub mod clock;
pub mod tree;
pub mod note;
pub mod stamp;
pub mod statement;
pub mod seal;
pub mod frame;
pub mod anchor;
pub mod snapshot;
pub mod policy;
pub mod report;
pub mod verify;
pub mod archive;
pub mod compare;
pub mod erasure;
pub mod evidence;
pub mod files;
pub mod vault;
pub mod replay;
pub mod witness;
pub mod tlog;
pub mod ledger;

mod random;
mod verified;

pub use tree::Hash;
pub use verified::Verified;
