//! An enrolment that may have succeeded although no answer came: its keys are kept, so that the same token can be used again.
//!
//! The registry answers the same request again and refuses other keys, so the keys that were made for a token live as long as the
//! token may. With another token there is nothing to repeat: its ledger begins with new keys, since the old ones may be listed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jisr_certs::digest;
use jisr_certs::keys::KeyStore;
use jisr_ledger::files::{Disk as _, RealDisk};
use jisr_proto::ident::{Epoch, Origin};
use jisr_proto::registry::Token;

use super::{SetupError, io, key_file};
use crate::config::Config;

/// Epoch under which a seal key waits for its origin: no ledger has it.
const PENDING_EPOCH: &str = "0000";
/// File of the digest of the token for which the waiting keys were made.
const ENROLLING: &str = "enrolling";
/// How the names of witness keys begin in a key store.
const WITNESS: &str = "witness-";

/// An enrolment with one token.
pub(crate) struct Attempt {
    path: PathBuf,
    token: String,
    /// Where the seal key waits.
    pub(super) pending: Origin,
}

impl Attempt {
    /// The enrolment of this node with `token`, noted in `dir`.
    pub(crate) fn new(dir: &Path, config: &Config, token: &Token) -> Attempt {
        let epoch: Epoch = PENDING_EPOCH.parse().expect("four digits are an epoch");
        let digest = digest::domain("jisr.token", &[&token.secret]);
        Attempt {
            path: dir.join(ENROLLING),
            token: digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n",
            pending: config.node.origin(&epoch),
        }
    }

    /// Whether it was begun before with this very token.
    pub(crate) fn is_begun(&self) -> Result<bool, SetupError> {
        Ok(self.noted()?.is_some_and(|noted| noted == self.token))
    }

    /// Begins it, or goes on with it. Keys that were made for another token in this store are destroyed: they may be listed.
    pub(super) fn begin(&self, store: &KeyStore) -> Result<(), SetupError> {
        let noted = self.noted()?;
        if noted.as_ref() == Some(&self.token) {
            return Ok(());
        }
        store.destroy(&key_file(&self.pending))?;
        if noted.is_some() {
            for name in store.names()?.iter().filter(|name| name.starts_with(WITNESS)) {
                store.destroy(name)?;
            }
        }
        RealDisk
            .replace(&self.path, self.token.as_bytes())
            .map_err(io("write", &self.path))
    }

    /// Gives the seal key its origin.
    pub(super) fn name_key(&self, store: &KeyStore, origin: &Origin) -> Result<(), SetupError> {
        let key = store.read(&key_file(&self.pending))?;
        let key = key.ok_or_else(|| SetupError::State("the seal key vanished".to_owned()))?;
        Ok(store.write(&key_file(origin), &key)?)
    }

    /// Everything that was answered is kept: there is nothing to repeat.
    pub(super) fn end(&self, store: &KeyStore) -> Result<(), SetupError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io("remove", &self.path)(error)),
            _ => {}
        }
        store.destroy(&key_file(&self.pending))?;
        Ok(())
    }

    fn noted(&self) -> Result<Option<String>, SetupError> {
        match fs::read_to_string(&self.path) {
            Ok(noted) => Ok(Some(noted)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read", &self.path)(error)),
        }
    }
}
