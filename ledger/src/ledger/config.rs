//! Where a ledger lies and what bounds it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_proto::ident::Origin;

use super::error::{FatalError, OpenError};
use crate::files::{Disk, PAGE, RealDisk};
use crate::frame::SEGMENT_BYTES_MAX;

/// Smallest segment that is of use.
const SEGMENT_BYTES_MIN: u64 = 4 * PAGE as u64;

/// What a commit needs besides its jobs: headers, and the checkpoint of the commit before.
const COMMIT_OVERHEAD: usize = 1024;

/// Called once when the writer can no longer know what is on disk; the process must end. After it returns (in tests) the
/// writer does nothing more.
#[derive(Clone)]
pub struct Fatal(Arc<dyn Fn(&FatalError) + Send + Sync>);

impl Fatal {
    /// Calls `hook` instead of ending the process: for tests.
    #[must_use]
    pub fn dangerous_hook(hook: impl Fn(&FatalError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, error: &FatalError) {
        (self.0)(error);
    }
}

impl Default for Fatal {
    /// Logs and aborts: no destructor may write anything more.
    fn default() -> Self {
        Self(Arc::new(|error| {
            tracing::error!(%error, "the ledger cannot go on");
            std::process::abort();
        }))
    }
}

impl fmt::Debug for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fatal")
    }
}

/// What lies under a node or a registry: the real disk, and the end of the process when it fails.
#[derive(Clone)]
pub struct Storage {
    /// Where durable writes go: those of the ledger, and those beside it.
    pub disk: Arc<dyn Disk>,
    /// What happens when it is not known what is on disk.
    pub fatal: Fatal,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            disk: Arc::new(RealDisk),
            fatal: Fatal::default(),
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

/// Where a ledger lies and what bounds it.
#[derive(Clone)]
pub struct Config {
    /// Origin of the ledger.
    pub origin: Origin,
    /// The directory of docs/formats.md: `segments/` and `index/`, nothing else.
    pub dir: PathBuf,
    /// Where the next segment file is prepared; on the same file system.
    pub reserve_dir: PathBuf,
    /// File that is locked while the ledger is open.
    pub lock: PathBuf,
    /// Bytes of a segment file, a multiple of 4096.
    pub segment_bytes: u64,
    /// Most bytes that wait to be written.
    pub queue_bytes: usize,
    /// Most calls that wait to be written.
    pub queue_items: usize,
    /// Most bytes of one commit.
    pub commit_bytes: usize,
    /// Memory of the index, bytes.
    pub index_cache_bytes: u64,
    /// Milliseconds without a commit after which the newest checkpoint is stored.
    pub idle_checkpoint_ms: u64,
    /// Microseconds after its expiry for which a question still counts for the replay set: twice the permitted skew.
    pub replay_grace_us: u64,
    /// Where durable writes go.
    pub disk: Arc<dyn Disk>,
    /// What happens when the writer cannot go on.
    pub fatal: Fatal,
}

impl Config {
    /// The layout of a data directory: `<data>/ledger`, `<data>/reserve`, `<data>/lock`, and default limits.
    #[must_use]
    pub fn in_data_directory(data: &Path, origin: Origin) -> Self {
        Self {
            origin,
            dir: data.join("ledger"),
            reserve_dir: data.join("reserve"),
            lock: data.join("lock"),
            segment_bytes: 32 << 20,
            queue_bytes: 32 << 20,
            queue_items: 16_384,
            commit_bytes: 8 << 20,
            index_cache_bytes: 8 << 20,
            idle_checkpoint_ms: 200,
            replay_grace_us: 120_000_000,
            disk: Arc::new(RealDisk),
            fatal: Fatal::default(),
        }
    }

    /// Most bytes of one commit that also fit a fresh segment.
    pub(crate) fn commit_limit(&self) -> usize {
        let segment = usize::try_from(self.segment_bytes).unwrap_or(usize::MAX);
        self.commit_bytes.min(segment.saturating_sub(COMMIT_OVERHEAD))
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if !self.segment_bytes.is_multiple_of(PAGE as u64)
            || !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
        {
            return Err(OpenError::Limits(
                "segment_bytes must be a multiple of 4096 from 16 KiB to 1 GiB",
            ));
        }
        if self.commit_limit() > crate::frame::BODY_BYTES_MAX - COMMIT_OVERHEAD {
            return Err(OpenError::Limits("commit_bytes must be below 64 MiB"));
        }
        if self.queue_items == 0 || self.queue_bytes < self.commit_limit() {
            return Err(OpenError::Limits("the queue must hold at least one commit"));
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({} in {})", self.origin, self.dir.display())
    }
}
