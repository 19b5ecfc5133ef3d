//! What a mirror needs of the place where it lies. Two implementations: a directory, and S3-compatible storage.

use std::collections::BTreeMap;
use std::path::Path;

use super::MirrorError;

/// A place that holds the files of a data directory under their names, and the segments of ledgers that grow. All calls block.
pub(crate) trait Store: Send {
    /// Where it is, for people; without credentials.
    fn place(&self) -> String;

    /// The names below `folder` (empty: all), with `/` between, and their lengths. Segments that are stored in pieces
    /// show as their pieces.
    fn names(&mut self, folder: &str) -> Result<BTreeMap<String, u64>, MirrorError>;

    /// The whole content of a file; `None` where there is none.
    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, MirrorError>;

    /// Puts a file in place of the one that may be there, whole or not at all. Durable when it returns.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), MirrorError>;

    /// Removes a file that may be there.
    fn delete(&mut self, name: &str) -> Result<(), MirrorError>;

    /// The segments of the ledger in `folder`, by number, with the bytes that are there.
    fn segments(&mut self, folder: &str) -> Result<BTreeMap<u64, u64>, MirrorError>;

    /// Bytes of a segment from `offset` on: `bytes` of them, fewer only where the segment ends.
    fn read(&mut self, folder: &str, segment: u64, offset: u64, bytes: usize) -> Result<Vec<u8>, MirrorError>;

    /// Puts bytes at `offset` of a segment, where what is already there ends or before: what stood behind it is gone. Durable when
    /// it returns.
    fn append(&mut self, folder: &str, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), MirrorError>;

    /// The segment grows no more; `live` is the file it was copied from, of which the first `bytes` count.
    fn close(&mut self, folder: &str, segment: u64, live: &Path, bytes: u64) -> Result<(), MirrorError>;

    /// Overwrites bytes within a segment, in place. Durable when it returns.
    fn overwrite(&mut self, folder: &str, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), MirrorError>;

    /// Moves everything below a folder to one that does not exist yet.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), MirrorError>;
}
