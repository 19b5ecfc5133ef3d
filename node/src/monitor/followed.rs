//! The registry's ledger as this node follows it: every entry that it is shown, in order, each under its seal.
//!
//! Kept under `DATA/registry-ledger/`: `ground/INDEX`, what all else rests on, for good; `tail/INDEX`, the rest, as long as it is
//! among the newest [`TAIL`]; each a canonical `jisr.statement.v1.Sealed`. `next` is the index of the entry to be read next.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use jisr_ledger::files::{Disk as _, RealDisk};
use jisr_ledger::statement::Parsed;
use jisr_proto::statement::Sealed;
use prost::Message as _;
use tokio::sync::Mutex;

use super::entries;
use super::founded::Founded;
use crate::closets::Closets;

/// Entries that are kept although nothing rests on them: those of some days. They are what a registry that lost its disk gets back.
const TAIL: u64 = 8192;
/// Entries read at once.
const AT_ONCE: u64 = 64;

/// The closet.
pub(crate) struct Followed {
    dir: PathBuf,
    following: Mutex<Following>,
}

/// How far it was read, and what that says.
pub(super) struct Following {
    /// Index of the next entry.
    pub(super) next: u64,
    /// What administrators made true, as of the newest snapshot that was judged.
    pub(super) founded: Founded,
    /// Entries before this one are in there.
    pub(super) judged: u64,
    /// What was read of it beyond.
    waiting: VecDeque<(u64, Parsed)>,
    /// What nobody signed, in words, until it is told.
    pub(super) invented: Vec<String>,
}

impl Followed {
    /// Takes up what is kept in a data directory.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn open(data: &Path, founded: Founded) -> io::Result<Followed> {
        let dir = data.join("registry-ledger");
        for part in ["ground", "tail"] {
            std::fs::create_dir_all(dir.join(part))?;
        }
        let mut following = Following {
            next: 0,
            founded,
            judged: 0,
            waiting: VecDeque::new(),
            invented: Vec::new(),
        };
        following.take_up(&dir)?;
        Ok(Followed {
            dir,
            following: Mutex::new(following),
        })
    }

    /// The entry at `index`, if it is kept: not if it was not shown to this member. `None` where the ledger was not read that far.
    pub(super) async fn kept(&self, index: u64) -> Option<Option<Sealed>> {
        if index >= self.following.lock().await.next {
            return None;
        }
        let parts = ["ground", "tail"].map(|part| self.dir.join(part).join(index.to_string()));
        let read = tokio::task::spawn_blocking(move || parts.iter().find_map(|path| std::fs::read(path).ok())).await;
        let bytes = read.ok().flatten();
        Some(bytes.and_then(|bytes| Sealed::decode(bytes.as_slice()).ok()))
    }

    /// What is known now. Whoever holds it keeps others from reading on.
    pub(super) async fn look(&self) -> tokio::sync::MutexGuard<'_, Following> {
        self.following.lock().await
    }

    /// Reads some entries on, as far as `until`. Whether that is reached.
    ///
    /// # Errors
    /// The registry does not show them, or they cannot be kept, in words.
    pub(super) async fn read_on(
        &self,
        following: &mut Following,
        closets: &Closets,
        until: u64,
    ) -> Result<bool, String> {
        if following.next >= until {
            return Ok(true);
        }
        let most = until.min(following.next + AT_ONCE);
        let mut indexes: Vec<u64> = (following.next..most).collect();
        let shown = match entries::read(closets, &indexes).await {
            Some(shown) => shown,
            // Together they may be longer than an answer may be.
            None => {
                indexes.truncate(1);
                let alone = entries::read(closets, &indexes).await;
                alone.ok_or("the registry does not show the entries of its ledger")?
            }
        };
        let next = following.next + indexes.len() as u64;
        let kept = shown.iter().map(|(index, entry)| {
            let is_ground = entry.statement.act().is_some_and(Founded::is_ground);
            (*index, is_ground, entry.sealed.encode_to_vec())
        });
        let (dir, kept) = (self.dir.clone(), kept.collect());
        let kept = tokio::task::spawn_blocking(move || keep(&dir, kept, next)).await;
        kept.map_err(io::Error::other)
            .flatten()
            .map_err(|error| format!("entries of the registry's ledger cannot be kept: {error}"))?;
        following.next = next;
        let ground = shown.into_iter().map(|(index, entry)| (index, entry.statement));
        let is_ground = |(_, statement): &(u64, Parsed)| statement.act().is_some_and(Founded::is_ground);
        following.waiting.extend(ground.filter(is_ground));
        Ok(following.next >= until)
    }
}

/// Writes entries down, each with whether all else rests on it, and then how far that is.
fn keep(dir: &Path, entries: Vec<(u64, bool, Vec<u8>)>, next: u64) -> io::Result<()> {
    for (index, is_ground, sealed) in entries {
        let part = if is_ground { "ground" } else { "tail" };
        RealDisk.replace(&dir.join(part).join(index.to_string()), &sealed)?;
        let Some(old) = index.checked_sub(TAIL) else {
            continue;
        };
        match std::fs::remove_file(dir.join("tail").join(old.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    RealDisk.replace(&dir.join("next"), next.to_string().as_bytes())
}

impl Following {
    /// Judges what was read, up to the entry before `until`: what a snapshot follows from, and nothing that came after it.
    pub(super) fn judge(&mut self, until: u64) {
        while self.waiting.front().is_some_and(|(index, _)| *index < until) {
            let Some((index, statement)) = self.waiting.pop_front() else {
                break;
            };
            if let Err(text) = self.founded.take(index, &statement) {
                let kind = statement.kind().as_str_name();
                self.invented.push(format!("entry {index}, {kind}: {text}"));
            }
        }
        self.judged = self.judged.max(until);
    }

    /// Reads what was kept, as far as `next` says.
    fn take_up(&mut self, dir: &Path) -> io::Result<()> {
        let next = match std::fs::read_to_string(dir.join("next")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let next: u64 = next.trim().parse().map_err(io::Error::other)?;
        let mut indexes = Vec::new();
        for file in std::fs::read_dir(dir.join("ground"))? {
            let index = file?.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            indexes.extend(index.filter(|index| *index < next));
        }
        indexes.sort_unstable();
        for index in indexes {
            let bytes = std::fs::read(dir.join("ground").join(index.to_string()))?;
            let sealed = Sealed::decode(bytes.as_slice()).map_err(io::Error::other)?;
            let statement = sealed.statement.unwrap_or_default();
            let statement = Parsed::parse(&statement).map_err(io::Error::other)?;
            self.waiting.push_back((index, statement));
        }
        self.next = next;
        Ok(())
    }
}
