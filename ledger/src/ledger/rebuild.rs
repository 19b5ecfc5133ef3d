//! Makes anew what is derived from the segments of a ledger that nobody has open.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_certs::error::CertError;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::SealKey;
use jisr_proto::ident::Origin;
use jisr_proto::statement::Started;
use prost::Message;

use super::config::Config;
use super::entry::ReadError;
use super::erase::EraseError;
use super::error::OpenError;
use super::fact::Clear;
use super::recover::RESUME_POINT;
use super::{Ledger, open};
use crate::clock::SystemClock;
use crate::frame::{Next, Record, Records, SegmentScan, segment_name};
use crate::vault::{Vault, VaultError};

/// Why what is derived from a ledger could not be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The directory holds no ledger.
    #[error("{0} holds no ledger that begins with STARTED; name the directory in which segments/ lies")]
    NoLedger(PathBuf),
    /// The data directory has no seal key.
    #[error("{0} holds no seal key; name the data directory of the node, or of the registry, whose ledger it is")]
    NoKey(PathBuf),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] CertError),
    /// The data keys cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What is derived cannot be removed.
    #[error("{path} cannot be removed ({error}); check owner and permissions")]
    Remove {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The ledger does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be told whether what is to be erased is.
    #[error(transparent)]
    Erase(#[from] EraseError),
}

/// Makes index, tiles, resume point and static files of the ledger in `dir` anew, with the `keys` of the data directory `data`;
/// how many statements it has. Nothing else is written. Blocks for as long as it takes to read the whole ledger twice.
///
/// # Errors
/// [`RebuildError`]; also where another process has the ledger open.
pub fn rebuild(dir: &Path, data: &Path, keys: &KeyStore) -> Result<u64, RebuildError> {
    let started = started(dir).ok_or_else(|| RebuildError::NoLedger(dir.to_owned()))?;
    let origin: Result<Origin, _> = started.origin.parse();
    let origin = origin.map_err(|_| RebuildError::NoLedger(dir.to_owned()))?;
    // A key that lacks must not be made here: it would be another ledger's.
    let file = format!("seal-{}.pem", origin.as_str().replace('/', "."));
    if !keys.names()?.contains(&file) {
        return Err(RebuildError::NoKey(data.to_owned()));
    }
    let key = SealKey::load_or_make(keys, &origin)?;
    let vault = Vault::open(keys)?;
    let config = Config {
        dir: dir.to_owned(),
        ..Config::in_data_directory(data, origin)
    };
    {
        let _lock = open::lock(&config.lock)?;
        remove(&dir.join("index"))?;
    }
    let (ledger, _) = Ledger::open(config, key, vault, Arc::new(SystemClock), started)?;
    let size = ledger.size();
    // The index is the last to be there.
    let indexed = ledger.index().map(drop);
    let looked = indexed
        .map_err(EraseError::from)
        .and_then(|()| ledger.look_after_erasures());
    ledger.close();
    looked?;
    Ok(size)
}

/// What of `index/` is made again. What is being erased lies there too and stays.
fn remove(derived: &Path) -> Result<(), RebuildError> {
    for name in [RESUME_POINT, "checkpoint", "tile", "exchanges"] {
        let path = derived.join(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RebuildError::Remove { path, error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The first statement of a ledger.
fn started(dir: &Path) -> Option<Started> {
    let file = File::open(dir.join("segments").join(segment_name(0))).ok()?;
    let mut scan = SegmentScan::open(BufReader::new(file)).ok()?;
    let Ok(Next::Frame { body, .. }) = scan.read_next() else {
        return None;
    };
    let stored = Records::new(&body).find_map(|record| match record {
        Ok(Record::Statement(stored)) => Some(stored),
        _ => None,
    })?;
    Started::decode(Clear::read(stored).ok()?.act?).ok()
}
