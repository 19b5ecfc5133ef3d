//! The registry's ledger as this node follows it: every entry that it is shown, in order, each under its seal.
//!
//! Kept under `DATA/registry-ledger/`: `ground/INDEX`, what all else rests on, for good; `tail/INDEX`, the rest, as long as it is
//! among the newest [`TAIL`]; each a canonical `jisr.statement.v1.Sealed`. `next` is the index of the entry to be read next, and how
//! many there are of the former. What does not fit together is read anew from the registry.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_ledger::files::{Disk, create_directory};
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
    disk: Arc<dyn Disk>,
    following: Mutex<Following>,
}

/// How far it was read, and what that says.
pub(super) struct Following {
    /// Index of the next entry.
    pub(super) next: u64,
    /// How many of the entries before it all else rests on.
    grounds: u64,
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
    pub(crate) fn open(data: &Path, founded: Founded, disk: Arc<dyn Disk>) -> io::Result<Followed> {
        let dir = data.join("registry-ledger");
        for part in ["ground", "tail"] {
            create_directory(&dir.join(part))?;
        }
        let mut following = Following {
            next: 0,
            grounds: 0,
            founded,
            judged: 0,
            waiting: VecDeque::new(),
            invented: Vec::new(),
        };
        if let Some((next, ground)) = kept(&dir)? {
            following.next = next;
            following.grounds = ground.len() as u64;
            following.waiting = ground;
        }
        Ok(Followed {
            dir,
            disk,
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
        let (dir, kept): (_, Vec<_>) = (self.dir.clone(), kept.collect());
        let grounds = following.grounds + kept.iter().filter(|(_, is_ground, _)| *is_ground).count() as u64;
        let disk = Arc::clone(&self.disk);
        let kept = tokio::task::spawn_blocking(move || keep(&*disk, &dir, kept, (next, grounds))).await;
        kept.map_err(io::Error::other)
            .flatten()
            .map_err(|error| format!("entries of the registry's ledger cannot be kept: {error}"))?;
        following.next = next;
        following.grounds = grounds;
        let ground = shown.into_iter().map(|(index, entry)| (index, entry.statement));
        let is_ground = |(_, statement): &(u64, Parsed)| statement.act().is_some_and(Founded::is_ground);
        following.waiting.extend(ground.filter(is_ground));
        Ok(following.next >= until)
    }
}

/// Writes entries down, each with whether all else rests on it, and then how far that is.
fn keep(
    disk: &dyn Disk,
    dir: &Path,
    entries: Vec<(u64, bool, Vec<u8>)>,
    (next, grounds): (u64, u64),
) -> io::Result<()> {
    for (index, is_ground, sealed) in entries {
        let part = if is_ground { "ground" } else { "tail" };
        disk.replace(&dir.join(part).join(index.to_string()), &sealed)?;
        let Some(old) = index.checked_sub(TAIL) else {
            continue;
        };
        disk.remove(&dir.join("tail").join(old.to_string()))?;
    }
    disk.replace(&dir.join("next"), format!("{next} {grounds}").as_bytes())
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
}

type Ground = VecDeque<(u64, Parsed)>;

/// What was kept, as far as `next` says; `None` where nothing was, or not all of it is there: then it is read anew, and what stands
/// there is written over. A gap would make what rests on it look invented.
fn kept(dir: &Path) -> io::Result<Option<(u64, Ground)>> {
    let next = match std::fs::read_to_string(dir.join("next")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let ground = grounds(&next).and_then(|(next, grounds)| {
        let ground = ground(&dir.join("ground"), next)?;
        (ground.len() as u64 == grounds).then_some((next, ground))
    });
    if ground.is_none() {
        tracing::warn!(
            directory = %dir.display(),
            "what was kept of the registry's ledger does not fit together; it is read anew from the registry"
        );
    }
    Ok(ground)
}

fn grounds(next: &str) -> Option<(u64, u64)> {
    let (next, grounds) = next.trim_end().split_once(' ')?;
    Some((next.parse().ok()?, grounds.parse().ok()?))
}

/// The entries before `next` on which all else rests, by index; `None` where one cannot be read.
fn ground(dir: &Path, next: u64) -> Option<Ground> {
    let mut indexes = Vec::new();
    for file in std::fs::read_dir(dir).ok()? {
        let index = file
            .ok()?
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u64>().ok());
        indexes.extend(index.filter(|index| *index < next));
    }
    indexes.sort_unstable();
    let read = |index: u64| {
        let bytes = std::fs::read(dir.join(index.to_string())).ok()?;
        let statement = Sealed::decode(bytes.as_slice()).ok()?.statement?;
        Some((index, Parsed::parse(&statement).ok()?))
    };
    indexes.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use jisr_ledger::files::RealDisk;
    use jisr_ledger::statement::Draft;
    use jisr_proto::statement::{Core, Kind};

    use super::*;

    fn entry(index: u64, is_ground: bool) -> (u64, bool, Vec<u8>) {
        let core = Core {
            kind: Kind::Ended.into(),
            instance: "JO".into(),
            created_us: 1_800_000_000_000_000 + index,
            ..Core::default()
        };
        let sealed = Sealed {
            statement: Some(Draft::new(core).close().statement()),
            ..Sealed::default()
        };
        (index, is_ground, sealed.encode_to_vec())
    }

    fn indexes(dir: &Path) -> Option<(u64, Vec<u64>)> {
        let (next, ground) = kept(dir).unwrap()?;
        Some((next, ground.into_iter().map(|(index, _)| index).collect()))
    }

    #[test]
    fn what_was_kept_is_taken_up_whole_or_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for part in ["ground", "tail"] {
            create_directory(&dir.join(part)).unwrap();
        }
        assert_eq!(indexes(dir), None);
        let entries = vec![entry(0, true), entry(1, false), entry(2, true)];
        keep(&RealDisk, dir, entries, (3, 2)).unwrap();
        assert_eq!(indexes(dir), Some((3, vec![0, 2])));
        // Of a round that was cut off nothing counts.
        keep(&RealDisk, dir, vec![entry(3, true)], (4, 3)).unwrap();
        std::fs::write(dir.join("next"), "3 2").unwrap();
        assert_eq!(indexes(dir), Some((3, vec![0, 2])));
        for broken in ["", "3", "3 3", "x 2", "3 2 1"] {
            std::fs::write(dir.join("next"), broken).unwrap();
            assert_eq!(indexes(dir), None, "{broken:?}");
        }
        std::fs::write(dir.join("next"), "3 2").unwrap();
        std::fs::write(dir.join("ground/2"), b"cut").unwrap();
        assert_eq!(indexes(dir), None);
        std::fs::remove_file(dir.join("ground/2")).unwrap();
        assert_eq!(indexes(dir), None);
    }
}
