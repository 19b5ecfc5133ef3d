//! The newest snapshot on disk, so that a registry that waits to be confirmed has one to show. Derived: what cannot be read is made
//! anew as soon as the registry runs.

use std::path::PathBuf;
use std::sync::Arc;

use jisr_ledger::files::{Disk as _, RealDisk};
use jisr_ledger::note::{self, VerifierKey};
use jisr_proto::snapshot::SignedSnapshot;
use prost::Message as _;

use crate::snapshot::{Published, digest_of};

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct Kept(PathBuf);

impl Kept {
    /// Below the data directory.
    pub(crate) fn at(path: PathBuf) -> Kept {
        Kept(path)
    }

    /// Puts a snapshot down before anybody is shown it: nobody holds a newer one than this file. Blocks on disk.
    pub(crate) fn keep(&self, signed: &SignedSnapshot) {
        if let Err(error) = RealDisk.replace(&self.0, &signed.encode_to_vec()) {
            tracing::warn!(path = %self.0.display(), %error, "the snapshot could not be kept on disk; after a start nodes get one later");
        }
    }

    /// What is there, if it is a snapshot by `key` and no newer than `newest`, which the ledger says. Blocks on disk.
    pub(crate) fn read(&self, key: &VerifierKey, newest: u64) -> Option<Published> {
        let bytes = std::fs::read(&self.0).ok()?;
        let signed = SignedSnapshot::decode(bytes.as_slice()).ok()?;
        let text = note::open_snapshot(&signed.note, key).ok()?.into_inner();
        if text.version > newest || text.digest != digest_of(&signed.snapshot) {
            tracing::warn!(
                version = text.version,
                newest,
                "the snapshot kept on disk is not one of this ledger"
            );
            return None;
        }
        Some(Published {
            version: text.version,
            expires_us: text.expires_s.saturating_mul(1_000_000),
            signed: Arc::new(signed),
        })
    }
}
