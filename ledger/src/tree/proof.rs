//! Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2; checked as RFC 9162, section 2.1, does).

use super::{Hash, Nodes, PROOF_HASHES_MAX, empty_root, fold, node_hash};

/// The largest power of two below `leaves`, which is at least 2.
fn split(leaves: u64) -> u64 {
    1u64 << (63 - (leaves - 1).leading_zeros())
}

/// Root over the leaves `start..end` of stored nodes, where `start` is a multiple of the smallest power of two that is
/// not below their number, as it always is in a proof.
fn range(nodes: &impl Nodes, start: u64, end: u64) -> Option<Hash> {
    let mut peaks = [[0u8; 32]; 64];
    let mut count = 0;
    let mut at = start;
    for level in (0..64u8).rev().filter(|level| (end - start) >> level & 1 == 1) {
        *peaks.get_mut(count)? = nodes.node(level, at >> level)?;
        count += 1;
        at += 1u64 << level;
    }
    fold(peaks.get(..count)?)
}

/// Root of the tree of the first `size` leaves over stored nodes; `None` where a node lacks.
#[must_use]
pub fn root(nodes: &impl Nodes, size: u64) -> Option<Hash> {
    if size == 0 {
        Some(empty_root())
    } else {
        range(nodes, 0, size)
    }
}

/// The path that shows the leaf `index` in the tree of `size` leaves, from the leaf upwards; `None` where the leaf is not
/// in the tree or a node lacks.
#[must_use]
pub fn inclusion(nodes: &impl Nodes, index: u64, size: u64) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::with_capacity(64);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The proof that the tree of `to` leaves begins with the tree of `from` leaves; `None` where `from` is larger or a node
/// lacks. Empty where `from` is 0 or equals `to`.
#[must_use]
pub fn consistency(nodes: &impl Nodes, from: u64, to: u64) -> Option<Vec<Hash>> {
    if from > to {
        return None;
    }
    if from == 0 || from == to {
        return Some(Vec::new());
    }
    let (mut start, mut end) = (0, to);
    let mut proof = Vec::with_capacity(64);
    while end != from {
        let middle = start + split(end - start);
        if from <= middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    // The old tree is a whole subtree of the new one: the verifier has its root already.
    if start != 0 {
        proof.push(range(nodes, start, end)?);
    }
    proof.reverse();
    Some(proof)
}

/// The root that a path leads to from a leaf hash; `None` where the path has not exactly the length that index and size
/// demand.
#[must_use]
pub fn root_from_path(index: u64, size: u64, leaf: &Hash, path: &[Hash]) -> Option<Hash> {
    if index >= size || path.len() > PROOF_HASHES_MAX {
        return None;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // On the right edge, levels at which the node has no sibling do not appear in the path.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Whether the path shows the leaf hash at `index` in the tree of `size` leaves with this root.
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> bool {
    root_from_path(index, size, leaf, path).is_some_and(|found| found == *root)
}

/// Whether the proof shows that the tree of `new_size` leaves with `new_root` begins with the tree of `old_size` leaves
/// with `old_root`. For an empty old tree and for equal sizes the proof must be empty.
#[must_use]
pub fn verify_consistency(old_size: u64, old_root: &Hash, new_size: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old_size > new_size || proof.len() > PROOF_HASHES_MAX {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let mut rest = proof.iter();
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // Where the old size is a power of two its root is the seed and is not repeated in the proof.
    let seed = if old_size.is_power_of_two() {
        Some(old_root)
    } else {
        rest.next()
    };
    let Some(seed) = seed else { return false };
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == *old_root && new == *new_root
}

#[cfg(test)]
mod tests {
    use super::super::{leaf_hash, tests::Kept};
    use super::*;
    use proptest::prelude::*;

    fn tree(size: u64) -> Kept {
        let mut kept = Kept::default();
        for i in 0..size {
            kept.push(leaf_hash(&i.to_be_bytes()));
        }
        kept
    }

    #[test]
    fn every_proof_of_small_trees_holds_and_no_shorter_or_longer_one() {
        let kept = tree(70);
        for size in 1..=70 {
            let whole = root(&kept, size).expect("nodes are kept");
            for index in 0..size {
                let leaf = leaf_hash(&index.to_be_bytes());
                let path = inclusion(&kept, index, size).expect("nodes are kept");
                assert!(verify_inclusion(index, size, &leaf, &path, &whole));
                let mut longer = path.clone();
                longer.push([0; 32]);
                assert_eq!(root_from_path(index, size, &leaf, &longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(root_from_path(index, size, &leaf, shorter), None);
                }
            }
            for from in 0..=size {
                let old = root(&kept, from).expect("nodes are kept");
                let proof = consistency(&kept, from, size).expect("nodes are kept");
                assert!(verify_consistency(from, &old, size, &whole, &proof));
                let mut longer = proof.clone();
                longer.push([0; 32]);
                assert!(!verify_consistency(from, &old, size, &whole, &longer));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_consistency(from, &old, size, &whole, shorter));
                }
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(root_from_path(0, 0, &[0; 32], &[]), None);
        assert_eq!(root_from_path(u64::MAX, u64::MAX, &[0; 32], &[[0; 32]; 64]), None);
        assert_eq!(root_from_path(0, 4, &[0; 32], &vec![[0; 32]; 1000]), None);
        assert!(!verify_consistency(5, &[0; 32], 4, &[0; 32], &[]));
        assert!(!verify_consistency(0, &[0; 32], 4, &[0; 32], &[]));
        assert!(!verify_consistency(3, &[0; 32], u64::MAX, &[0; 32], &[]));
        let kept = tree(4);
        assert_eq!(inclusion(&kept, 4, 4), None);
        assert_eq!(inclusion(&kept, 0, 5), None);
        assert_eq!(consistency(&kept, 3, 2), None);
    }

    proptest! {
        #[test]
        fn proofs_never_panic(
            index: u64, size: u64, old: u64, leaf: [u8; 32],
            path in proptest::collection::vec(any::<[u8; 32]>(), 0..80),
        ) {
            let _ = root_from_path(index, size, &leaf, &path);
            prop_assert!(!verify_consistency(old, &leaf, size, &[1; 32], &path) || old == 0);
        }

        #[test]
        fn a_changed_proof_never_holds(size in 2u64..200, index: u64, from: u64, bit in 0usize..256, which: usize) {
            let kept = tree(size);
            let whole = root(&kept, size).expect("nodes are kept");
            let index = index % size;
            let mut path = inclusion(&kept, index, size).expect("nodes are kept");
            let at = which % path.len();
            path[at][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_inclusion(index, size, &leaf_hash(&index.to_be_bytes()), &path, &whole));

            let from = 1 + from % (size - 1);
            let old = root(&kept, from).expect("nodes are kept");
            let mut proof = consistency(&kept, from, size).expect("nodes are kept");
            if !proof.is_empty() {
                let at = which % proof.len();
                proof[at][bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!verify_consistency(from, &old, size, &whole, &proof));
            }
        }
    }
}
