//! Hash tiles and entry bundles (C2SP tlog-tiles, height 8): the tree's nodes and leaf inputs, derived, under `index/tile/`.
//! Full ones lie on disk, the right edge in memory; what is needed again soon is cached.

mod layout;
mod tile;

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::Hash;
use crate::files::Disk;
use crate::tree::{Nodes, leaf_hash};

pub(crate) use layout::{bundle_bytes, tile_path};

use layout::parse_bundle;
use tile::{HEIGHT, Tile, WIDTH};

/// Tiles in memory: 1 MiB.
const CACHED: usize = 64;
/// Bundles in memory: 128 KiB. Who asks for one leaf input mostly asks for its neighbours next.
const BUNDLES_CACHED: usize = 16;

/// Level and number of a tile.
type Name = (u8, u64);

pub(crate) struct Tiles {
    directory: PathBuf,
    levels: RwLock<Levels>,
    cache: Mutex<VecDeque<(Name, Arc<Tile>)>>,
    /// Leaf inputs of full bundles, by number, as they were found to be right.
    bundles: Mutex<VecDeque<(u64, Arc<[Hash]>)>>,
    /// Full tiles and bundles that are not on disk yet; what cannot be written stays here and is tried again.
    unwritten: Mutex<HashMap<PathBuf, Unwritten>>,
    /// Files written since the last [`Tiles::sync`].
    unsynced: Mutex<Vec<PathBuf>>,
    /// A stored tile did not fit into the tree: the next start reads the ledger whole.
    damaged: AtomicBool,
}

/// The right edge of the tree.
#[derive(Default)]
struct Levels {
    levels: Vec<Level>,
    /// Leaf inputs of the last, partial bundle.
    inputs: Vec<Hash>,
}

/// A full tile or bundle that goes to disk.
struct Unwritten {
    bytes: Vec<u8>,
    tile: Option<(Name, Arc<Tile>)>,
}

/// The right edge as a resume point keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    /// Leaf inputs of the last, partial bundle.
    pub(crate) inputs: Vec<Hash>,
    /// Hashes of the last, partial tile of each level above the leaves.
    pub(crate) above: Vec<Vec<Hash>>,
}

/// The right edge of one level of tiles.
#[derive(Default)]
struct Level {
    /// Full tiles, which lie on disk.
    full: u64,
    partial: Tile,
}

impl Tiles {
    /// Tiles under `directory`, of a tree without leaves. Tiles that are on disk and right stay untouched as the leaves are
    /// pushed anew, all others are written.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            levels: RwLock::default(),
            cache: Mutex::default(),
            bundles: Mutex::default(),
            unwritten: Mutex::default(),
            unsynced: Mutex::default(),
            damaged: AtomicBool::new(false),
        }
    }

    /// Tiles under `directory` of a tree of `size` leaves with this right edge; `None` where size and edge contradict one
    /// another.
    pub(crate) fn resume(directory: PathBuf, size: u64, edges: &Edges) -> Option<Self> {
        let mut levels = Vec::new();
        let mut full = size;
        let leaves: Vec<Hash> = edges.inputs.iter().map(|input| leaf_hash(input)).collect();
        for hashes in std::iter::once(&leaves).chain(&edges.above) {
            if hashes.len() as u64 != full % WIDTH as u64 {
                return None;
            }
            full /= WIDTH as u64;
            levels.push(Level {
                full,
                partial: Tile::of(hashes),
            });
        }
        if full != 0 {
            return None;
        }
        let tiles = Self::new(directory);
        *tiles.levels.write().unwrap_or_else(PoisonError::into_inner) = Levels {
            levels,
            inputs: edges.inputs.clone(),
        };
        Some(tiles)
    }

    /// The right edge as it stands.
    pub(crate) fn edges(&self) -> Edges {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        let above = levels.levels.iter().skip(1);
        Edges {
            inputs: levels.inputs.clone(),
            above: above.map(|level| level.partial.hashes().to_vec()).collect(),
        }
    }

    /// Adds leaves: leaf hash and leaf input of each. What they complete is put on disk.
    pub(crate) fn push(&self, leaves: impl IntoIterator<Item = (Hash, Hash)>) {
        let mut completed = Vec::new();
        {
            let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
            for (leaf, input) in leaves {
                levels.push(leaf, input, &mut completed);
            }
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            for done in completed {
                let (path, waiting) = self.encoded(done);
                unwritten.insert(path, waiting);
            }
        }
        self.write();
    }

    fn encoded(&self, done: Completed) -> (PathBuf, Unwritten) {
        match done {
            Completed::Tile(name, tile) => {
                let bytes = tile.hashes().as_flattened().to_vec();
                let tile = Some((name, tile));
                (self.path(name), Unwritten { bytes, tile })
            }
            Completed::Bundle(number, inputs) => {
                let bytes = bundle_bytes(&inputs);
                (self.bundle_path(number), Unwritten { bytes, tile: None })
            }
        }
    }

    /// Puts on disk what is not there. What cannot be written is served from memory and tried again with the next.
    fn write(&self) {
        let paths: Vec<PathBuf> = {
            let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            unwritten.keys().cloned().collect()
        };
        for path in paths {
            // Nobody else takes anything out, so the bytes stay while they are written.
            let bytes = {
                let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
                unwritten
                    .get(&path)
                    .map(|waiting| waiting.bytes.clone())
                    .unwrap_or_default()
            };
            match put(&path, &bytes) {
                Ok(written) => self.written(path, written),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a tile cannot be written now; it is tried again");
                    return;
                }
            }
        }
    }

    fn written(&self, path: PathBuf, is_new: bool) {
        let done = {
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            unwritten.remove(&path)
        };
        if let Some((name, tile)) = done.and_then(|done| done.tile) {
            self.cache(name, tile);
        }
        if is_new {
            let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
            unsynced.push(path);
        }
    }

    /// Makes durable all that was written; fails where something could not be written.
    pub(crate) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        let waiting = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).len();
        if waiting > 0 {
            return Err(io::Error::other(format!("{waiting} tiles are not on disk")));
        }
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        disk.sync_files(&unsynced)?;
        unsynced.clear();
        Ok(())
    }

    /// A stored tile did not fit into the tree.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// The first `width` hashes of a tile, as they are served.
    pub(crate) fn tile_bytes(&self, level: u8, number: u64, width: usize) -> Option<Vec<u8>> {
        let known = {
            let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
            let level = levels.levels.get(usize::from(level))?;
            match number.cmp(&level.full) {
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Equal => Some(level.partial.hashes().get(..width)?.as_flattened().to_vec()),
                std::cmp::Ordering::Less => None,
            }
        };
        if known.is_some() {
            return known;
        }
        let tile = self.full_tile((level, number))?;
        Some(tile.hashes().get(..width)?.as_flattened().to_vec())
    }

    /// The first `width` leaf inputs of a bundle.
    pub(crate) fn inputs(&self, number: u64, width: usize) -> Option<Vec<Hash>> {
        let full = {
            let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
            let full = levels.levels.first()?.full;
            if number == full {
                return levels.inputs.get(..width).map(<[Hash]>::to_vec);
            }
            full
        };
        if number > full {
            return None;
        }
        self.full_bundle(number)?.get(..width).map(<[Hash]>::to_vec)
    }

    /// The leaf inputs of a full bundle, read from disk and checked once as long as it is asked for.
    fn full_bundle(&self, number: u64) -> Option<Arc<[Hash]>> {
        let known = |bundles: &VecDeque<(u64, Arc<[Hash]>)>| {
            let found = bundles.iter().rfind(|(known, _)| *known == number);
            found.map(|(_, inputs)| Arc::clone(inputs))
        };
        if let Some(inputs) = known(&self.bundles.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(inputs);
        }
        let inputs: Arc<[Hash]> = self.read_bundle(number)?.into();
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        if bundles.len() >= BUNDLES_CACHED {
            bundles.pop_front();
        }
        bundles.push_back((number, Arc::clone(&inputs)));
        Some(inputs)
    }

    fn read_bundle(&self, number: u64) -> Option<Vec<Hash>> {
        let path = self.bundle_path(number);
        let bytes = self.unwritten_bytes(&path).or_else(|| fs::read(&path).ok())?;
        let inputs = parse_bundle(&bytes)?;
        // The leaves decide: what lies there must be what the tree was made of.
        let tile = self.full_tile((0, number))?;
        if inputs.len() != WIDTH
            || !inputs
                .iter()
                .zip(tile.hashes())
                .all(|(input, leaf)| leaf_hash(input) == *leaf)
        {
            self.damaged(&path);
            return None;
        }
        Some(inputs)
    }

    /// Leaf input of an entry.
    pub(crate) fn input(&self, index: u64) -> Option<Hash> {
        let at = usize::try_from(index % WIDTH as u64).ok()?;
        self.inputs(index / WIDTH as u64, at + 1)?.pop()
    }

    fn unwritten_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.get(path).map(|waiting| waiting.bytes.clone())
    }

    fn damaged(&self, path: &Path) {
        self.damaged.store(true, Ordering::Release);
        tracing::error!(path = %path.display(), "a stored tile is missing or damaged: the next start reads the ledger whole");
    }

    fn cache(&self, name: Name, tile: Arc<Tile>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|(known, _)| *known != name);
        if cache.len() >= CACHED {
            cache.pop_front();
        }
        cache.push_back((name, tile));
    }

    /// A tile in memory. One that is about to leave it is put back among the newest.
    fn cached(&self, name: Name) -> Option<Arc<Tile>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cache.iter().rposition(|(known, _)| *known == name)?;
        if at < CACHED / 2
            && let Some(entry) = cache.remove(at)
        {
            cache.push_back(entry);
            return cache.back().map(|(_, tile)| Arc::clone(tile));
        }
        cache.get(at).map(|(_, tile)| Arc::clone(tile))
    }

    /// A tile that lies on disk. It counts only if its root is the node that the tile above has for it.
    fn full_tile(&self, name: Name) -> Option<Arc<Tile>> {
        if let Some(tile) = self.cached(name).or_else(|| self.waiting(name)) {
            return Some(tile);
        }
        let path = self.path(name);
        let tile = fs::read(&path).ok().and_then(|bytes| {
            let (hashes, rest) = bytes.as_chunks::<32>();
            (hashes.len() == WIDTH && rest.is_empty()).then(|| Arc::new(Tile::of(hashes)))
        });
        let (level, number) = name;
        let above = self.node((level + 1) * HEIGHT, number);
        match tile.filter(|tile| tile.root() == above) {
            Some(tile) => {
                self.cache(name, Arc::clone(&tile));
                Some(tile)
            }
            None => {
                self.damaged(&path);
                None
            }
        }
    }

    /// A full tile that is not on disk yet.
    fn waiting(&self, name: Name) -> Option<Arc<Tile>> {
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = unwritten.get(&self.path(name))?;
        waiting.tile.as_ref().map(|(_, tile)| Arc::clone(tile))
    }

    fn path(&self, (level, number): Name) -> PathBuf {
        self.directory.join(level.to_string()).join(tile_path(number))
    }

    fn bundle_path(&self, number: u64) -> PathBuf {
        self.directory.join("entries").join(tile_path(number))
    }
}

impl Levels {
    fn push(&mut self, leaf: Hash, input: Hash, completed: &mut Vec<Completed>) {
        self.inputs.push(input);
        let mut hash = leaf;
        for at in 0u8.. {
            let at_level = usize::from(at);
            if self.levels.len() <= at_level {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(at_level) else {
                return;
            };
            level.partial.push(hash);
            let Some(root) = level.partial.root() else { return };
            let tile = std::mem::take(&mut level.partial);
            let number = level.full;
            level.full += 1;
            hash = root;
            if at == 0 {
                completed.push(Completed::Bundle(number, std::mem::take(&mut self.inputs)));
            }
            completed.push(Completed::Tile((at, number), Arc::new(tile)));
        }
    }
}

/// What leaves completed.
enum Completed {
    Tile(Name, Arc<Tile>),
    Bundle(u64, Vec<Hash>),
}

/// Puts a file where it is not there already as it must be; says whether it was written.
fn put(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(false);
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, bytes)?;
    Ok(true)
}

impl Nodes for Tiles {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        let (row, below) = (level / HEIGHT, level % HEIGHT);
        let first = index
            .checked_shl(below.into())
            .filter(|first| first >> below == index)?;
        let number = first / WIDTH as u64;
        let first = usize::try_from(first % WIDTH as u64).ok()?;
        {
            let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
            let level = levels.levels.get(usize::from(row))?;
            if number == level.full {
                return level.partial.node(below, first);
            }
            if number > level.full {
                return None;
            }
        }
        self.full_tile((row, number))?.node(below, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{self, Frontier, leaf_hash};

    #[test]
    fn paths_are_those_of_the_standard() {
        for (number, path) in [
            (0, "000"),
            (999, "999"),
            (1000, "x001/000"),
            (1_234_067, "x001/x234/067"),
        ] {
            assert_eq!(tile_path(number), Path::new(path));
        }
    }

    const SIZE: u64 = 70_000;

    fn input(index: u64) -> Hash {
        leaf_hash(&index.to_be_bytes())
    }

    /// Tiles and the tree of so many leaves.
    fn grown(directory: &Path, size: u64) -> (Tiles, Frontier) {
        let tiles = Tiles::new(directory.to_owned());
        let mut frontier = Frontier::new();
        tiles.push((0..size).map(|index| (leaf_hash(&input(index)), input(index))));
        (0..size).for_each(|index| frontier.push(leaf_hash(&input(index))));
        (tiles, frontier)
    }

    fn proves(tiles: &Tiles, frontier: &Frontier) {
        assert_eq!(tree::root(tiles, SIZE), Some(frontier.root()));
        for (index, size) in [
            (0, SIZE),
            (255, 256),
            (256, 65_537),
            (SIZE - 1, SIZE),
            (300, 66_000),
            (7, 8),
        ] {
            let path = tree::inclusion(tiles, index, size).unwrap();
            let root = tree::root(tiles, size).unwrap();
            assert!(tree::verify_inclusion(
                index,
                size,
                &leaf_hash(&input(index)),
                &path,
                &root
            ));
            assert_eq!(tiles.input(index), Some(input(index)));
        }
        assert_eq!((tree::root(tiles, SIZE + 1), tiles.input(SIZE)), (None, None));
    }

    #[test]
    fn every_node_of_a_large_tree_is_found_also_when_rebuilt_over_damage() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..2 {
            let (tiles, frontier) = grown(dir.path(), SIZE);
            proves(&tiles, &frontier);
            if round == 0 {
                fs::write(dir.path().join("0/001"), b"damaged").unwrap();
                fs::write(dir.path().join("entries/000"), b"damaged").unwrap();
                fs::remove_file(dir.path().join("1/000")).unwrap();
            }
        }
    }

    #[test]
    fn tiles_go_on_from_their_edge() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 255, 256, 257, 65_535, 65_536, 66_000] {
            let (tiles, _) = grown(dir.path(), size);
            let edges = tiles.edges();
            let resumed = Tiles::resume(dir.path().to_owned(), size, &edges).unwrap();
            assert_eq!(resumed.edges(), edges, "{size}");
            resumed.push((size..SIZE).map(|index| (leaf_hash(&input(index)), input(index))));
            let (_, frontier) = grown(dir.path(), SIZE);
            proves(&resumed, &frontier);
            assert!(!resumed.is_damaged());
            assert!(Tiles::resume(dir.path().to_owned(), size + 1, &edges).is_none());
        }
    }

    #[test]
    fn a_tile_that_does_not_fit_the_one_above_it_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (tiles, _) = grown(dir.path(), SIZE);
        let edges = tiles.edges();
        let path = dir.path().join("0/002");
        let mut tile = fs::read(&path).unwrap();
        tile[40] ^= 1;
        fs::write(&path, tile).unwrap();
        let resumed = Tiles::resume(dir.path().to_owned(), SIZE, &edges).unwrap();
        assert_eq!(tree::inclusion(&resumed, 600, SIZE), None);
        assert!(resumed.is_damaged());
        assert!(tree::inclusion(&resumed, 300, SIZE).is_some());
        assert_eq!(resumed.input(600), None, "its leaves are not those of the tree");
        assert_eq!(resumed.inputs(3, 257), None);
        let bundle = dir.path().join("entries/001");
        let mut inputs = fs::read(&bundle).unwrap();
        inputs[40] ^= 1;
        fs::write(&bundle, inputs).unwrap();
        assert_eq!(resumed.input(300), None);
        assert_eq!(resumed.tile_bytes(0, 1, 256).unwrap().len(), 8192);
        assert_eq!(resumed.tile_bytes(1, 0, 7).unwrap().len(), 7 * 32);
    }

    #[test]
    fn what_cannot_be_written_is_served_and_written_later() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("0"), b"in the way").unwrap();
        fs::write(dir.path().join("1"), b"in the way").unwrap();
        let (tiles, frontier) = grown(dir.path(), SIZE);
        proves(&tiles, &frontier);
        assert!(tiles.sync(&crate::files::RealDisk).is_err());
        fs::remove_file(dir.path().join("0")).unwrap();
        fs::remove_file(dir.path().join("1")).unwrap();
        tiles.push([]);
        tiles.sync(&crate::files::RealDisk).unwrap();
        assert_eq!(fs::read(dir.path().join("0/000")).unwrap().len(), 8192);
    }
}
