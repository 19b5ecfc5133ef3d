//! Header of the newest snapshot on disk, so that a registry that waits to be confirmed has one to show. Derived: what cannot be read is made
//! anew as soon as the registry runs.

use std::path::PathBuf;
use std::sync::Arc;

use jisr_ledger::files::Disk;
use jisr_ledger::note::{self, VerifierKey};
use jisr_ledger::snapshot::Header;
use jisr_proto::snapshot::SignedSnapshot;
use prost::Message as _;

use crate::history::History;
use crate::snapshot::{Picture, Published};
use crate::state::SnapshotAct;

/// The file.
#[derive(Clone)]
pub(crate) struct Kept {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Kept {
    /// Below the data directory, on `disk`.
    pub(crate) fn at(path: PathBuf, disk: Arc<dyn Disk>) -> Kept {
        Kept { path, disk }
    }

    /// Puts a snapshot down before anybody is shown it: nobody holds a newer one than this file. Blocks on disk.
    pub(crate) fn keep(&self, signed: &SignedSnapshot) {
        if let Err(error) = self.disk.replace(&self.path, &signed.encode_to_vec()) {
            tracing::warn!(path = %self.path.display(), %error, "the snapshot could not be kept on disk; after a start nodes get one later");
        }
    }

    /// What is there, if its note is by `key`. Blocks on disk.
    pub(crate) fn read(&self, key: &VerifierKey) -> Option<Found> {
        let bytes = std::fs::read(&self.path).ok()?;
        let signed = SignedSnapshot::decode(bytes.as_slice()).ok()?;
        let text = note::open_snapshot(&signed.note, key).ok()?.into_inner();
        let header = Header::parse(&signed.header).ok()?;
        let same = text.version == header.version && text.digest == header.digest;
        same.then_some(Found { signed, header })
    }
}

/// A header that was kept. Its rows are found in the ledger: they are what the state was when it was published.
#[derive(Debug)]
pub(crate) struct Found {
    signed: SignedSnapshot,
    header: Header,
}

impl Found {
    /// Whether this act published it.
    pub(crate) fn is_published_by(&self, act: &SnapshotAct) -> bool {
        act.version == self.header.version && act.digest == self.header.digest
    }

    /// The snapshot, where these are its rows.
    pub(crate) fn with(self, picture: Picture) -> Option<Published> {
        let Header {
            version,
            digest,
            expires_us,
            ..
        } = self.header;
        if let Err(error) = picture.rows.check(&self.header) {
            tracing::warn!(version, %error, "the snapshot kept on disk is not the one of this ledger");
            return None;
        }
        Some(Published {
            version,
            digest,
            expires_us,
            signed: Arc::new(self.signed),
            history: Arc::new(History::default().with(version, digest, &Picture::default(), Vec::new())),
            picture: Arc::new(picture),
        })
    }
}
