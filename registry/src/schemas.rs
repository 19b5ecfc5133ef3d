//! The schemas of published services, by digest, one file each. A schema is durable before the act that names it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_certs::digest;
use jisr_ledger::files::{Disk, create_directory};
use jisr_proto::reason::Reason;

use crate::error::Error;
use crate::refusal::Refusal;
use crate::state::Hash;
use crate::text::hex;

/// The digest that names a schema.
pub(crate) fn digest_of(schema: &[u8]) -> Hash {
    digest::domain("jisr.schema", &[schema])
}

/// A directory of FileDescriptorSets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Schemas {
    dir: Arc<Path>,
    disk: Arc<dyn Disk>,
    /// One writer: replacing a file goes through a second name.
    writing: Arc<Mutex<()>>,
}

impl Schemas {
    /// Opens the directory on `disk`, and makes it where there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn open(dir: PathBuf, disk: Arc<dyn Disk>) -> Result<Schemas, Error> {
        create_directory(&dir).map_err(|e| Error::io("make", &dir, e))?;
        Ok(Schemas {
            dir: dir.into(),
            disk,
            writing: Arc::new(Mutex::new(())),
        })
    }

    /// Stores a schema; durable when it resolves.
    ///
    /// # Errors
    /// LEDGER_UNAVAILABLE where the disk refuses.
    pub(crate) async fn put(&self, schema: Bytes) -> Result<Hash, Refusal> {
        let digest = digest_of(&schema);
        let (path, writing, disk) = (self.path(&digest), Arc::clone(&self.writing), Arc::clone(&self.disk));
        blocking(move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            if path.exists() {
                Ok(())
            } else {
                disk.replace(&path, &schema)
            }
        })
        .await?;
        Ok(digest)
    }

    /// A stored schema.
    ///
    /// # Errors
    /// UNKNOWN_SCHEMA where there is none, LEDGER_UNAVAILABLE where the disk refuses or the file is damaged.
    pub(crate) async fn find(&self, digest: Hash) -> Result<Bytes, Refusal> {
        let path = self.path(&digest);
        let found = blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await?;
        let schema =
            found.ok_or_else(|| Refusal::new(Reason::UnknownSchema, format!("there is no schema {}", hex(&digest))))?;
        if digest_of(&schema) != digest {
            tracing::error!(
                digest = hex(&digest),
                "a stored schema is damaged; restore its file from the backup"
            );
            return Err(Refusal::new(
                Reason::Internal,
                "the registry's copy of this schema is damaged",
            ));
        }
        Ok(schema)
    }

    fn path(&self, digest: &Hash) -> PathBuf {
        self.dir.join(format!("{}.fds", hex(digest)))
    }
}

/// Runs a file operation where it may wait for the disk. It runs to its end even if the caller hangs up.
pub(crate) async fn blocking<R, F>(work: F) -> Result<R, Refusal>
where
    R: Send + 'static,
    F: FnOnce() -> std::io::Result<R> + Send + 'static,
{
    let failed = |cause: String| {
        tracing::error!(cause, "a file of the registry could not be read or written");
        Refusal::new(Reason::LedgerUnavailable, "the registry cannot use its disk")
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
