//! What a query looks at grows no more than with the logarithm of the index; what is damaged or of another program is begun anew.

use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use jisr_proto::statement::Kind;

use super::*;
use crate::ledger::fact::Fact;

const OWN: &str = "jisr/JO/GOV/mol/node1/2026";
const BEGUN_US: u64 = 1_795_000_000_000_000;
/// Between two exchanges, so that no two share a row by their time.
const APART_US: u64 = 2 * SPAN_US;
const PERSONS: u64 = 10;
const CACHE_BYTES: u64 = 1 << 20;

fn id(n: u64) -> ExchangeId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    ExchangeId::new_v7(BEGUN_US + n * APART_US, random)
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
            created_us: BEGUN_US + n * APART_US,
            exchange: Some(id(n)),
            provider_origin: "jisr/JO/GOV/psd/node1/2026".into(),
            pseudonyms: vec![hash(n % PERSONS)],
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

/// Adds the frames up to `until`, so many at once.
fn extend(index: &Index, until: u64, at_once: usize) {
    let from = index.reach().unwrap().map_or(0, |reach| reach.size);
    let frames: Vec<Followed> = (from..until).map(frame).collect();
    for some in frames.chunks(at_once) {
        let last = some.last().unwrap();
        let reach = Reach {
            end: last.end,
            size: last.size(),
            root: [0; 32],
        };
        index.add(some, &reach).unwrap();
    }
}

fn open(directory: &Path) -> Index {
    Index::open(directory, CACHE_BYTES, OWN).unwrap()
}

/// All that the evidence of one exchange asks for, and who asked about the person around that time; rows looked at.
fn evidence(index: &Index, n: u64) -> u64 {
    let before = index.store.looked_at.load(Ordering::Relaxed);
    assert_eq!(index.exchange(id(n)).unwrap().len(), 1);
    assert_eq!(index.frame(n).unwrap().unwrap().1, n);
    assert!(index.note(&hash(n)).unwrap().is_some());
    assert!(index.proof(n, &hash(n)).unwrap().is_some());
    assert!(index.receipt(n).unwrap().is_some());
    let from = BEGUN_US + n * APART_US;
    let mut found = Vec::new();
    let take = |us, exchange| {
        found.push((us, exchange));
        true
    };
    let person = hash(n % PERSONS);
    index
        .began(&Selection::Pseudonym(&person), &(from..from + APART_US), take)
        .unwrap();
    assert_eq!(found, [(from, id(n))]);
    index.store.looked_at.load(Ordering::Relaxed) - before
}

/// Each row that is found costs a page for each level of the tree.
#[test]
fn an_evidence_query_reads_no_more_than_the_logarithm_of_the_index_in_rows_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut read = Vec::new();
    for (size, at_once) in [(1_000, 1), (10_000, 20), (100_000, 100)] {
        extend(&index, size, at_once);
        let rows = [0, size / 3, size / 2, size - 1].map(|n| evidence(&index, n));
        let rows = rows.into_iter().max().unwrap();
        read.push((size, rows, rows * u64::from(index.store.height())));
    }
    for (size, rows, pages) in &read {
        // Six questions, and of two the row behind the last.
        assert!(*rows <= 8, "{rows} rows of {size}: {read:?}");
        assert!(
            *pages <= 8 * u64::from(size.ilog2()) / 2,
            "{pages} pages of {size}: {read:?}"
        );
    }
    // Ten times the entries: at most one level more.
    for two in read.windows(2) {
        assert!(two[1].2 <= two[0].2 + 8, "{read:?}");
    }
}

#[test]
fn what_was_made_durable_is_found_again_and_a_damaged_file_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let made = open(dir.path());
    extend(&made, 400, 10);
    made.sync().unwrap();
    drop(made);
    let again = open(dir.path());
    assert_eq!(again.reach().unwrap().unwrap().size, 400);
    evidence(&again, 10);
    drop(again);
    let file = dir.path().join("rows.redb");
    let whole = fs::read(&file).unwrap();
    let cut = |at: usize| whole[..at].to_vec();
    for damage in [
        vec![],
        vec![7; 5_000],
        whole[4_096..].to_vec(),
        cut(64),
        cut(4_096),
        cut(20_000),
    ] {
        fs::write(&file, damage).unwrap();
        let anew = open(dir.path());
        assert_eq!(anew.reach().unwrap(), None);
        extend(&anew, 20, 10);
        evidence(&anew, 10);
    }
}

/// What a power cut leaves: the file as it was last made durable, and behind that whatever had been written.
#[test]
fn what_was_not_made_durable_is_gone_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    extend(&index, 300, 10);
    index.sync().unwrap();
    extend(&index, 5_000, 10);
    let left = tempfile::tempdir().unwrap();
    fs::copy(dir.path().join("rows.redb"), left.path().join("rows.redb")).unwrap();
    let found = open(left.path());
    assert_eq!(found.reach().unwrap().unwrap().size, 300);
    evidence(&found, 299);
    assert!(found.note(&hash(300)).unwrap().is_none());
    extend(&found, 5_000, 100);
    evidence(&found, 4_999);
}

/// Each page in turn is not what was written: a query finds what is right, or says that the index is damaged, which is then
/// begun anew.
#[test]
fn no_damaged_page_makes_an_answer_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let made = open(dir.path());
    extend(&made, 300, 10);
    drop(made);
    let file = dir.path().join("rows.redb");
    let whole = fs::read(&file).unwrap();
    let mut found_out = 0;
    for page in 1..whole.len() / 4_096 {
        let mut damaged = whole.clone();
        for at in (page * 4_096..).step_by(64).take(64) {
            damaged[at + 17] ^= 0x55;
        }
        fs::write(&file, damaged).unwrap();
        let Ok(index) = Index::open(dir.path(), CACHE_BYTES, OWN) else {
            continue;
        };
        let is_whole = index.reach().is_ok_and(|reach| reach.is_some());
        let is_found = (0..300).try_for_each(|n| {
            let statements = index.exchange(id(n))?;
            if let [one] = statements.as_slice() {
                assert_eq!((one.index, one.exchange), (n, id(n)));
            }
            if let Some(place) = index.receipt(n)? {
                assert_eq!(place, frame(n).place);
            }
            io::Result::Ok(())
        });
        if let Err(error) = is_found {
            found_out += 1;
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert!(is_whole && !file.exists());
            assert!(
                index
                    .add(
                        &[frame(300)],
                        &Reach {
                            end: frame(300).end,
                            size: 301,
                            root: [0; 32]
                        }
                    )
                    .is_err()
            );
            drop(index);
            assert_eq!(open(dir.path()).reach().unwrap(), None);
        }
    }
    assert!(found_out > 0);
}

#[test]
fn the_files_of_an_older_program_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), b"of another kind").unwrap();
    assert_eq!(open(dir.path()).reach().unwrap(), None);
    assert!(!dir.path().join("db").exists());
    let store = Store::open(dir.path(), CACHE_BYTES).unwrap();
    let mut rows = store::Changes::default();
    rows.insert(*b"m3", [7; 56]);
    store.apply(&rows).unwrap();
    drop(store);
    let index = open(dir.path());
    assert_eq!(index.reach().unwrap(), None);
    assert!(index.store.last(..).unwrap().is_none());
}

/// Reading goes on from what stood when it began while rows are added and removed.
#[test]
fn who_reads_is_not_disturbed_by_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    extend(&index, 500, 50);
    let mut seen = 0;
    let all = 0..=u64::MAX;
    index
        .began(&Selection::Time, &(*all.start()..*all.end()), |_, _| {
            if seen % 100 == 0 {
                extend(&index, 600 + seen, 50);
                index.sync().unwrap();
            }
            seen += 1;
            true
        })
        .unwrap();
    assert_eq!(seen, 500);
    index.forget(&hash(3), BEGUN_US + 3 * APART_US, id(3)).unwrap();
    let mut left = 0;
    let count = |_, _| {
        left += 1;
        true
    };
    index
        .began(&Selection::Pseudonym(&hash(3)), &(0..u64::MAX), count)
        .unwrap();
    assert_eq!(left, 1_000 / PERSONS - 1);
}

/// Pages that nobody reads any more are used again, also between what is made durable.
#[test]
fn the_file_does_not_grow_with_the_number_of_changes() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    extend(&index, 2_000, 100);
    index.sync().unwrap();
    let bytes = || fs::metadata(dir.path().join("rows.redb")).unwrap().len();
    let before = bytes();
    let reach = index.reach().unwrap().unwrap();
    for n in 0..1_000 {
        index.add(&[frame(n % 2_000)], &reach).unwrap();
    }
    assert!(bytes() <= 2 * before, "{} bytes after {before}", bytes());
}
