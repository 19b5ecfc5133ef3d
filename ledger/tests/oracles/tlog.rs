//! Trees, proofs and checkpoints against an independent implementation of C2SP tlog-tiles and tlog-checkpoint, for all tree
//! sizes up to 2 049.

use jisr_ledger::note::Checkpoint;
use jisr_ledger::tree::{Frontier, consistency, inclusion, leaf_hash};
use tlog_tiles::{Error, Hash, HashReader};

use crate::Kept;

/// Sizes up to here: past eight whole tiles.
const SIZE_MAX: u64 = 2049;

/// Reads our nodes by the other crate's numbers.
struct Reader<'a>(&'a Kept);

impl HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let node = self.0.0[&tlog_tiles::split_stored_hash_index(*index)];
            Hash(node)
        };
        Ok(indexes.iter().map(read).collect())
    }
}

/// The first, the last, those around whole tiles, and some between.
fn samples(size: u64) -> impl Iterator<Item = u64> {
    let edges = [
        0,
        1,
        254,
        255,
        256,
        257,
        size / 2,
        size.wrapping_sub(2),
        size.wrapping_sub(1),
    ];
    let between = (0..3).map(move |nth| (size * 2_654_435_761 + nth * 40_503) % size);
    edges.into_iter().filter(move |index| *index < size).chain(between)
}

#[test]
fn what_we_prove_the_other_implementation_verifies() {
    let mut ours = Frontier::default();
    let mut kept = Kept::default();
    let mut roots = vec![ours.root()];
    for size in 1..=SIZE_MAX {
        let leaf = leaf_hash(&(size - 1).to_be_bytes());
        ours.push_with(leaf, |level, index, hash| {
            kept.0.insert((level, index), *hash);
        });
        let root = ours.root();
        roots.push(root);
        let theirs = tlog_tiles::tree_hash(size, &Reader(&kept)).expect("every node is kept");
        assert_eq!(theirs.0, root, "size {size}");
        for index in samples(size) {
            let path = inclusion(&kept, index, size).expect("kept");
            let proof = path.iter().map(|hash| Hash(*hash)).collect();
            let leaf = Hash(leaf_hash(&index.to_be_bytes()));
            tlog_tiles::check_record(&proof, size, Hash(root), index, leaf)
                .unwrap_or_else(|error| panic!("{index} in {size}: {error}"));
        }
        for old in samples(size).filter(|old| *old > 0) {
            let proof = consistency(&kept, old, size).expect("kept");
            let proof = proof.iter().map(|hash| Hash(*hash)).collect();
            let old_root = roots[usize::try_from(old).expect("small")];
            tlog_tiles::check_tree(&proof, size, Hash(root), old, Hash(old_root))
                .unwrap_or_else(|error| panic!("{old} to {size}: {error}"));
        }
    }
}

#[test]
fn a_checkpoint_reads_the_same_on_both_sides() {
    for size in [0, 1, 255, 256, 10_000_000_000, u64::from(u32::MAX)] {
        let ours = Checkpoint {
            origin: "jisr/JO/GOV/mol/node1/2026".into(),
            size,
            root: [7; 32],
        };
        let text = ours.text();
        let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).expect("it is a checkpoint");
        assert_eq!((theirs.origin(), theirs.size()), (ours.origin.as_str(), size));
        assert_eq!((theirs.hash().0, theirs.extension()), (ours.root, ""));
        assert_eq!(theirs.to_bytes(), text.as_bytes());
        assert_eq!(Checkpoint::parse(&text), Ok(ours));
    }
}
