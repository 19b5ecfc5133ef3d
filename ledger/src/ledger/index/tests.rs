//! What a query looks at does not grow with the index; what is damaged or of another program is begun anew.

use std::sync::atomic::Ordering;

use jisr_proto::statement::Kind;

use super::*;
use crate::ledger::fact::Fact;

const OWN: &str = "jisr/JO/GOV/mol/node1/2026";
const BEGUN_US: u64 = 1_795_000_000_000_000;

fn id(n: u64) -> ExchangeId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    ExchangeId::new_v7(BEGUN_US + n * 500_000, random)
}

fn hash(n: u64) -> Hash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    hash
}

/// One exchange a frame, about one of ten persons, with the peer's note and proof and a receipt.
fn frame(n: u64) -> Followed {
    let place = |n| Place {
        segment: 0,
        offset: n * 100,
    };
    Followed {
        place: place(n),
        end: place(n + 1),
        first: n,
        leaves: Vec::new(),
        facts: vec![Fact {
            kind: Some(Kind::Asked),
            created_us: BEGUN_US + n * 500_000,
            exchange: Some(id(n)),
            provider_origin: "jisr/JO/GOV/psd/node1/2026".into(),
            pseudonyms: vec![hash(n % 10)],
            ..Fact::default()
        }],
        notes: vec![hash(n)],
        proofs: vec![(n, hash(n))],
        receipts: vec![n],
        stamps: Vec::new(),
        root: [0; 32],
        note: bytes::Bytes::new(),
    }
}

/// An index of so many frames, each of which came alone.
fn index(directory: &Path, frames: u64) -> Index {
    let index = Index::open(directory, 1 << 20, OWN).unwrap();
    for n in 0..frames {
        let (end, size) = (frame(n).end, n + 1);
        let root = [0; 32];
        index.add([&frame(n)], &Reach { end, size, root }).unwrap();
    }
    index
}

/// All that the evidence of one exchange asks for, and who had one within ten seconds; rows looked at.
fn evidence(index: &Index, n: u64) -> u64 {
    let before = index.store.looked_at.load(Ordering::Relaxed);
    assert_eq!(index.exchange(id(n)).unwrap().len(), 1);
    assert_eq!(index.frame(n).unwrap().unwrap().1, n);
    assert!(index.note(&hash(n)).unwrap().is_some());
    assert!(index.proof(n, &hash(n)).unwrap().is_some());
    assert!(index.receipt(n).unwrap().is_some());
    let from = BEGUN_US + n * 500_000;
    let mut found = 0;
    let count = |_, _| {
        found += 1;
        true
    };
    index
        .began(&Selection::Pseudonym(&hash(n % 10)), &(from..from + 10_000_000), count)
        .unwrap();
    assert_eq!(found, 2);
    index.store.looked_at.load(Ordering::Relaxed) - before
}

#[test]
fn an_evidence_query_looks_at_as_few_rows_in_a_large_index_as_in_a_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let (small, large) = (dir.path().join("small"), dir.path().join("large"));
    let few = evidence(&index(&small, 100), 40);
    let index = index(&large, 3_000);
    for n in [40, 1_500, 2_900] {
        assert_eq!(evidence(&index, n), few);
    }
    assert!(few <= 10, "{few} rows");
}

#[test]
fn what_was_made_durable_is_found_again_and_a_damaged_file_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let made = index(dir.path(), 40);
    made.sync().unwrap();
    drop(made);
    let again = Index::open(dir.path(), 1 << 20, OWN).unwrap();
    assert_eq!(again.reach().unwrap().size, 40);
    evidence(&again, 10);
    drop(again);
    let file = dir.path().join("rows.redb");
    for damage in [vec![], vec![7; 5_000], std::fs::read(&file).unwrap().split_off(4_096)] {
        std::fs::write(&file, damage).unwrap();
        let anew = Index::open(dir.path(), 1 << 20, OWN).unwrap();
        assert_eq!(anew.reach(), None);
        anew.clear().unwrap();
    }
}

#[test]
fn the_files_of_an_older_program_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("db"), b"of another kind").unwrap();
    let index = Index::open(dir.path(), 1 << 20, OWN).unwrap();
    assert_eq!(index.reach(), None);
    assert!(!dir.path().join("db").exists());
}
