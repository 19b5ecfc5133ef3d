//! What the registry lost with its disk, and its nodes give back.
//!
//! Nodes keep the newest entries of the registry's ledger, each under the registry's own seal. A registry that was restored from an
//! old backup seals nothing, and says in its answer to Hello what it lacks. What comes back lies in `DATA/returned/INDEX` until all of
//! it is there; at the next start it is written behind what the backup holds, if the tree is then the one that the registry signed
//! before. So nothing is sealed that was not sealed before.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jisr_ledger::archive::{Archive, Item};
use jisr_ledger::files::{Disk, create_directory};
use jisr_ledger::ledger::Ledger;
use jisr_ledger::statement::{Closed, Parsed};
use jisr_ledger::tree::{self, Frontier};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{GiveBackRequest, GiveBackResponse};
use jisr_proto::statement::Sealed;
use prost::Message as _;

use crate::error::Error;
use crate::office::{Caller, Office};
use crate::quarantine::Quarantine;
use crate::refusal::Refusal;

/// Entries that one call may bring.
const ENTRIES_MAX: usize = 256;
/// Statements that are written in one commit.
const AT_ONCE: usize = 64;

/// The directory in which they wait.
pub(crate) struct Returned(PathBuf);

impl Returned {
    /// Below the data directory.
    pub(crate) fn below(data: &Path) -> Returned {
        Returned(data.join("returned"))
    }

    /// The first of these that is not there. Blocks on disk.
    pub(crate) fn first_lacking(&self, lost: Range<u64>) -> Option<u64> {
        lost.into_iter().find(|index| !self.path(*index).exists())
    }

    fn path(&self, index: u64) -> PathBuf {
        self.0.join(index.to_string())
    }

    fn keep(&self, entries: &[(u64, Bytes)], disk: &dyn Disk) -> io::Result<()> {
        create_directory(&self.0)?;
        for (index, sealed) in entries.iter().filter(|(index, _)| !self.path(*index).exists()) {
            disk.replace(&self.path(*index), sealed)?;
        }
        Ok(())
    }

    fn read(&self, index: u64) -> Result<Closed, Error> {
        let path = self.path(index);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let damaged =
            |e: &dyn std::fmt::Display| Error::Directory(format!("{} is damaged: {e}; remove it", path.display()));
        let sealed = Sealed::decode(bytes.as_slice()).map_err(|e| damaged(&e))?;
        let statement = Parsed::parse(&sealed.statement.unwrap_or_default()).map_err(|e| damaged(&e))?;
        Closed::again(&statement).ok_or_else(|| damaged(&"a part is withheld"))
    }

    /// Writes behind the ledger in `dir` what the mark of a quarantine says is lost, where all of it is here. Blocks on disk.
    ///
    /// # Errors
    /// The disk; or what came back does not make the tree that was shown.
    pub(crate) fn take_back(&self, ledger: &Ledger, dir: &Path, mark: &Quarantine) -> Result<(), Error> {
        let lost = ledger.size()..mark.size;
        if lost.is_empty() || self.first_lacking(lost.clone()).is_some() {
            return Ok(());
        }
        let statements: Vec<Closed> = lost.clone().map(|index| self.read(index)).collect::<Result<_, _>>()?;
        let mut frontier = frontier(dir, ledger.size())?;
        for statement in &statements {
            frontier.push(tree::leaf_hash(&statement.leaf()));
        }
        if Some(frontier.root()) != mark.root() {
            let rule = format!(
                "what nodes gave back in {} does not make the ledger of {} entries that {} showed; nothing of it is taken. Restore a newer backup",
                self.0.display(),
                mark.size,
                mark.shown_by
            );
            return Err(Error::Directory(rule));
        }
        for some in statements.chunks(AT_ONCE) {
            ledger.take_back(some).map_err(|e| Error::Ledger(e.to_string()))?;
        }
        tracing::warn!(
            from = lost.start,
            until = lost.end,
            "the ledger holds again what nodes gave back"
        );
        std::fs::remove_dir_all(&self.0).map_err(|e| Error::io("remove", &self.0, e))
    }
}

/// The tree over what a ledger directory holds.
fn frontier(dir: &Path, size: u64) -> Result<Frontier, Error> {
    let failed = |e: String| Error::Ledger(e);
    let archive = Archive::open(dir).map_err(|e| failed(e.to_string()))?;
    let mut frontier = Frontier::new();
    let mut items = archive.items();
    while frontier.size() < size {
        let (_, item) = items
            .next()
            .ok_or_else(|| failed(format!("{} of its {size} entries can be read", frontier.size())))?
            .map_err(|e| failed(e.to_string()))?;
        if let Item::Statement { entry, .. } = item {
            frontier.push(tree::leaf_hash(&entry.statement.leaf()));
        }
    }
    Ok(frontier)
}

impl Office {
    /// The entries that are lost and did not come back; none where nothing is.
    ///
    /// # Errors
    /// INTERNAL.
    pub(crate) async fn lacking(&self) -> Result<Range<u64>, Refusal> {
        let Some(lost) = self.standing.lost() else {
            return Ok(0..0);
        };
        let (returned, end) = (Returned::below(&self.base.config.data), lost.end);
        let first = self.blocking(move || returned.first_lacking(lost)).await?;
        Ok(first.map_or(0..0, |first| first..end))
    }

    /// Takes entries that this registry lost.
    ///
    /// # Errors
    /// REQUEST_INVALID where nothing is lost, or one does not stand under the own seal.
    pub(crate) async fn give_back(
        &self,
        caller: &Caller,
        request: GiveBackRequest,
    ) -> Result<GiveBackResponse, Refusal> {
        let lost = self
            .standing
            .lost()
            .ok_or_else(|| Refusal::invalid("this registry lacks no entries"))?;
        if request.entries.len() > ENTRIES_MAX {
            return Err(Refusal::invalid(format!("at most {ENTRIES_MAX} entries come at once")));
        }
        let mut entries = Vec::with_capacity(request.entries.len());
        for sealed in &request.entries {
            let verified = self.verifier.verify(sealed, &self.base.own_key);
            verified.map_err(|e| Refusal::new(Reason::SealInvalid, e.to_string()))?;
            let index = sealed.seal.as_ref().map(|seal| seal.index);
            let index = index.filter(|index| lost.contains(index));
            entries.extend(index.map(|index| (index, Bytes::from(sealed.encode_to_vec()))));
        }
        let returned = Returned::below(&self.base.config.data);
        let disk = Arc::clone(&self.base.disk);
        let kept = self
            .blocking(move || {
                returned.keep(&entries, &*disk)?;
                Ok::<_, io::Error>(returned.first_lacking(lost).is_none())
            })
            .await?;
        let is_whole = kept.map_err(|e| Refusal::new(Reason::LedgerUnavailable, e.to_string()))?;
        tracing::info!(node = %caller.node, is_whole, "a node gives back entries of this ledger");
        if is_whole {
            self.standing.is_whole();
        }
        Ok(GiveBackResponse {})
    }
}
