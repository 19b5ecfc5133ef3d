//! Our tree against an independent implementation of RFC 6962.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use jisr_ledger::tree::{Frontier, consistency, inclusion, leaf_hash, verify_consistency, verify_inclusion};
use sha2::Sha256;

use crate::Kept;

/// Both trees, grown together.
#[derive(Default)]
struct Pair {
    ours: Frontier,
    nodes: Kept,
    theirs: MemoryBackedTree<Sha256, Vec<u8>>,
}

impl Pair {
    fn push(&mut self) {
        let leaf = self.ours.size().to_be_bytes().to_vec();
        let nodes = &mut self.nodes.0;
        self.ours.push_with(leaf_hash(&leaf), |level, index, hash| {
            nodes.insert((level, index), *hash);
        });
        self.theirs.push(leaf);
    }
}

#[test]
fn roots_and_proofs_agree_for_all_sizes_to_300() {
    let mut pair = Pair::default();
    let mut roots = vec![pair.ours.root()];
    for size in 1..=300u64 {
        pair.push();
        let root = pair.ours.root();
        assert_eq!(root.as_slice(), pair.theirs.root().as_bytes().as_slice(), "size {size}");
        roots.push(root);
        for index in 0..size {
            let path = inclusion(&pair.nodes, index, size).expect("kept");
            let at = usize::try_from(index).expect("small");
            assert_eq!(
                path.as_flattened(),
                pair.theirs.prove_inclusion(at).as_bytes(),
                "{index} in {size}"
            );
            assert!(verify_inclusion(
                index,
                size,
                &leaf_hash(&index.to_be_bytes()),
                &path,
                &root
            ));
        }
        for from in 1..=size {
            let proof = consistency(&pair.nodes, from, size).expect("kept");
            let additions = usize::try_from(size - from).expect("small");
            // For equal sizes the other crate repeats the root; we ask for the empty proof of RFC 9162.
            if from < size {
                let theirs = pair.theirs.prove_consistency(additions);
                assert_eq!(proof.as_flattened(), theirs.as_bytes(), "{from} to {size}");
            }
            let old = &roots[usize::try_from(from).expect("small")];
            assert!(verify_consistency(from, old, size, &root, &proof));
        }
    }
}

#[test]
fn roots_agree_for_all_sizes_to_2049() {
    let mut pair = Pair::default();
    for size in 1..=2049u64 {
        pair.push();
        assert_eq!(
            pair.ours.root().as_slice(),
            pair.theirs.root().as_bytes().as_slice(),
            "size {size}"
        );
    }
}
