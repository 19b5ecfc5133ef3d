//! Hash tiles (C2SP tlog-tiles, height 8): the tree's nodes, derived, under `index/tile/`. Full tiles lie on disk, the right
//! edge in memory; what is needed again soon is cached.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::Hash;
use crate::tree::{Nodes, node_hash};

/// Hashes of a full tile.
const WIDTH: usize = 256;
/// Levels of the tree in a tile.
const HEIGHT: u8 = 8;
/// Tiles in memory: 1 MiB.
const CACHED: usize = 64;

/// Level and number of a tile.
type Name = (u8, u64);

pub(crate) struct Tiles {
    directory: PathBuf,
    levels: RwLock<Vec<Level>>,
    cache: Mutex<VecDeque<(Name, Arc<Tile>)>>,
}

/// A tile with the nodes that its hashes complete: each is computed once, and read by every proof that needs it.
#[derive(Default)]
struct Tile {
    /// The tile's own hashes, then the nodes of each level above them; last the tile's root, once it is full.
    rows: [Vec<Hash>; HEIGHT as usize + 1],
}

impl Tile {
    fn of(hashes: &[Hash]) -> Self {
        let mut tile = Self::default();
        hashes.iter().for_each(|hash| tile.push(*hash));
        tile
    }

    /// Adds a hash and every node that it completes.
    fn push(&mut self, hash: Hash) {
        let mut hash = hash;
        for row in &mut self.rows {
            row.push(hash);
            let (pairs, single) = row.as_chunks::<2>();
            match (pairs.last(), single) {
                (Some([left, right]), []) => hash = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// What lies on disk: the nodes follow from it.
    fn hashes(&self) -> &[Hash] {
        let [hashes, ..] = &self.rows;
        hashes
    }

    /// The root, if the tile is full.
    fn root(&self) -> Option<Hash> {
        let [.., root] = &self.rows;
        root.first().copied()
    }

    /// The node over `2^level` of its hashes, of which the first is `first`.
    fn node(&self, level: u8, first: usize) -> Option<Hash> {
        self.rows.get(usize::from(level))?.get(first >> level).copied()
    }
}

/// The right edge of one level of tiles.
#[derive(Default)]
struct Level {
    /// Full tiles, which lie on disk.
    full: u64,
    partial: Tile,
}

impl Tiles {
    /// Tiles under `directory`, of a tree without leaves. The leaves are pushed anew at each start: tiles that are on disk
    /// and right stay untouched, all others are written.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            levels: RwLock::default(),
            cache: Mutex::default(),
        }
    }

    /// Adds a leaf hash.
    pub(crate) fn push(&self, leaf: Hash) {
        let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
        let mut hash = leaf;
        for at in 0u8.. {
            let at_level = usize::from(at);
            if levels.len() <= at_level {
                levels.push(Level::default());
            }
            let Some(level) = levels.get_mut(at_level) else { return };
            level.partial.push(hash);
            let Some(root) = level.partial.root() else { return };
            let tile = std::mem::take(&mut level.partial);
            let name = (at, level.full);
            level.full += 1;
            hash = root;
            self.keep(name, Arc::new(tile));
        }
    }

    /// Puts a full tile on disk and into the cache. A tile that cannot be written is missed only when it is asked for again
    /// after it left the cache; the next start writes it.
    fn keep(&self, name: Name, tile: Arc<Tile>) {
        let path = self.path(name);
        let bytes = tile.hashes().as_flattened();
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return;
        }
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            tracing::error!(path = %path.display(), %error, "a tile could not be written: old proofs may be missing until a restart");
        }
        self.cache(name, tile);
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

    fn full_tile(&self, name: Name) -> Option<Arc<Tile>> {
        if let Some(tile) = self.cached(name) {
            return Some(tile);
        }
        let bytes = fs::read(self.path(name)).ok()?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() != WIDTH || !rest.is_empty() {
            return None;
        }
        let tile = Arc::new(Tile::of(hashes));
        self.cache(name, Arc::clone(&tile));
        Some(tile)
    }

    fn path(&self, (level, number): Name) -> PathBuf {
        self.directory.join(level.to_string()).join(tile_path(number))
    }
}

/// The number of a tile as a path: groups of three digits, all but the last with an `x` before them.
fn tile_path(number: u64) -> PathBuf {
    let mut path = Path::new(&format!("{:03}", number % 1000)).to_owned();
    let mut rest = number / 1000;
    while rest > 0 {
        path = Path::new(&format!("x{:03}", rest % 1000)).join(path);
        rest /= 1000;
    }
    path
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
            let level = levels.get(usize::from(row))?;
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

    #[test]
    fn every_node_of_a_large_tree_is_found_also_when_rebuilt_over_damage() {
        let dir = tempfile::tempdir().unwrap();
        let leaves: Vec<Hash> = (0..70_000u64).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        for round in 0..2 {
            let tiles = Tiles::new(dir.path().to_owned());
            let mut frontier = Frontier::new();
            for leaf in &leaves {
                tiles.push(*leaf);
                frontier.push(*leaf);
            }
            assert_eq!(tree::root(&tiles, 70_000), Some(frontier.root()));
            for (index, size) in [
                (0, 70_000),
                (255, 256),
                (256, 65_537),
                (69_999, 70_000),
                (300, 66_000),
                (7, 8),
            ] {
                let path = tree::inclusion(&tiles, index, size).unwrap();
                let leaf = leaves[usize::try_from(index).unwrap()];
                assert!(tree::verify_inclusion(
                    index,
                    size,
                    &leaf,
                    &path,
                    &tree::root(&tiles, size).unwrap()
                ));
            }
            assert_eq!(tree::root(&tiles, 70_001), None);
            if round == 0 {
                fs::write(dir.path().join("0/001"), b"damaged").unwrap();
                fs::remove_file(dir.path().join("1/000")).unwrap();
            }
        }
    }
}
