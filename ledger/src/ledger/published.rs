//! The ledger as static files, in the paths of C2SP tlog-tiles below `index/`: `checkpoint`, and `tile/` with the partial tiles
//! of that checkpoint. Any web server can serve them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::head::Head;
use super::job::Signed;
use super::tiles::{Tiles, bundle_bytes, tile_path};
use crate::files::replace_derived;
use crate::note::{Checkpoint, SignedNote};

const WIDTH: u64 = 256;

/// What was published last.
pub(crate) struct Published {
    directory: PathBuf,
    size: u64,
    /// Partial tiles of that size.
    partial: BTreeSet<PathBuf>,
    at: Option<Instant>,
}

impl Published {
    /// Time between two checkpoints.
    pub(crate) const PAUSE: Duration = Duration::from_secs(5);

    /// As a former process left it below `directory`.
    pub(crate) fn found(directory: PathBuf) -> Self {
        let note = fs::read(directory.join("checkpoint")).unwrap_or_default();
        let checkpoint = SignedNote::parse(&note).and_then(|note| Checkpoint::parse(note.text));
        let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let tiles = directory.join("tile");
        Self {
            partial: partial(size).map(|tile| tile.path(&tiles)).collect(),
            directory,
            size,
            at: None,
        }
    }

    /// Publishes the newest checkpoint with cosignatures, or the newest own one as long as none has any. At most every
    /// [`Published::PAUSE`], unless it is the last time.
    pub(crate) fn publish(&mut self, tiles: &Tiles, head: &Head, last: bool) {
        let cosigned = head.cosigned();
        let Some(newest) = cosigned
            .or_else(|| head.signed())
            .filter(|newest| newest.size != self.size)
        else {
            return;
        };
        if !last && self.at.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return;
        }
        self.at = Some(Instant::now());
        if let Err(error) = self.put(tiles, &newest) {
            tracing::warn!(%error, "the ledger's static checkpoint could not be written; it is tried again");
        }
    }

    /// The tiles first, the checkpoint that needs them last, then what nobody needs any more goes.
    fn put(&mut self, tiles: &Tiles, newest: &Signed) -> io::Result<()> {
        let directory = self.directory.join("tile");
        let mut written = BTreeSet::new();
        for tile in partial(newest.size) {
            let bytes = tile.bytes(tiles).ok_or_else(|| io::Error::other("a tile is missing"))?;
            let path = tile.path(&directory);
            replace(&path, &bytes)?;
            written.insert(path);
        }
        replace(&self.directory.join("checkpoint"), &newest.note)?;
        for gone in self.partial.difference(&written) {
            // What is left behind does no harm: it is a part of the full tile.
            let _ = fs::remove_file(gone);
            let _ = gone.parent().map(fs::remove_dir);
        }
        self.partial = written;
        self.size = newest.size;
        Ok(())
    }
}

/// A partial tile.
struct Partial {
    /// `None`: a bundle of leaf inputs.
    level: Option<u8>,
    number: u64,
    width: usize,
}

/// The partial tiles of a tree of that size.
fn partial(size: u64) -> impl Iterator<Item = Partial> {
    let level = move |level: u8| {
        let hashes = size >> (8 * u32::from(level));
        (Some(level), hashes)
    };
    let levels = (0..8).map(level).take_while(|(_, hashes)| *hashes > 0);
    let partial = std::iter::once((None, size))
        .chain(levels)
        .map(|(level, hashes)| Partial {
            level,
            number: hashes / WIDTH,
            width: usize::try_from(hashes % WIDTH).unwrap_or(0),
        });
    partial.filter(|partial| partial.width > 0)
}

impl Partial {
    fn path(&self, directory: &Path) -> PathBuf {
        let kind = self
            .level
            .map_or_else(|| "entries".to_owned(), |level| level.to_string());
        let mut path = directory.join(kind).join(tile_path(self.number)).into_os_string();
        path.push(".p");
        PathBuf::from(path).join(self.width.to_string())
    }

    fn bytes(&self, tiles: &Tiles) -> Option<Vec<u8>> {
        match self.level {
            Some(level) => tiles.tile_bytes(level, self.number, self.width),
            None => tiles
                .inputs(self.number, self.width)
                .map(|inputs| bundle_bytes(&inputs)),
        }
    }
}

/// Not durable: it is derived.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    replace_derived(path, bytes)
}
