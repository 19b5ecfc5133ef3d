use super::*;
use crate::Hash;
use crate::tree::{leaf_hash, root_of};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::snapshot::{Member, Revoked, Row, RowChange, ShownRow};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn member(id: &str, name: &str) -> (String, Bytes) {
    row_bytes(State::Member(Member {
        id: id.into(),
        name_en: name.into(),
        ..Member::default()
    }))
}

fn rows(ids: impl IntoIterator<Item = String>) -> Rows {
    Rows::default().next(ids.into_iter().map(|id| member(&id, "x"))).0
}

fn header(rows: &Rows) -> Header {
    let header = Header {
        instance: "JO".into(),
        version: 1,
        created_us: 1,
        expires_us: 2_000_000,
        previous: None,
        rows: rows.len(),
        root: rows.root(),
        digest: [0; 32],
    };
    Header::parse(&header.encode()).unwrap()
}

/// The tree as docs/formats.md writes it.
fn by_the_book(rows: &Rows) -> Hash {
    let leaf = |(key, known): (&std::sync::Arc<str>, &Known)| {
        let content = domain("jisr.row", &[known.row.as_ref().unwrap()]);
        leaf_hash(&domain("jisr.listed", &[&content, key.as_bytes()]))
    };
    root_of(&rows.iter().map(leaf).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn roots_changes_and_proofs_agree_with_the_plain_way(
        old in proptest::collection::btree_set("[a-z]{1,4}", 0..40),
        new in proptest::collection::btree_set("[a-z]{1,4}", 0..40),
        asked in proptest::collection::vec("[a-z]{1,4}", 0..20),
    ) {
        let before = rows(old.clone());
        let (after, changed) = before.next(new.iter().map(|id| member(id, "x")));
        prop_assert_eq!(after.root(), by_the_book(&after));
        let differ: BTreeSet<String> = old.symmetric_difference(&new).map(|id| format!("member/{id}")).collect();
        prop_assert_eq!(changed.iter().map(|key| key.to_string()).collect::<BTreeSet<_>>(), differ.clone());
        let changes: Vec<RowChange> = differ.iter().map(|key| match after.get(key) {
            Some(known) => RowChange { key: key.clone(), row: known.row.clone().unwrap(), ..RowChange::default() },
            None => RowChange { key: key.clone(), removed: true, ..RowChange::default() },
        }).collect();
        prop_assert_eq!(&before.with(&changes).unwrap(), &after);
        let mut showing = Showing::new(&after);
        asked.iter().for_each(|id| showing.row(&format!("member/{id}")));
        let shown = ProvenRows::check(&showing.finish().rows, &header(&after)).unwrap();
        for id in &asked {
            let is_listed = new.contains(id);
            match shown.find(&format!("member/{id}")) {
                Standing::Listed(row) => {
                    prop_assert!(is_listed);
                    prop_assert_eq!(&row.key, &format!("member/{id}"));
                }
                Standing::Absent => prop_assert!(!is_listed),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        for id in new.iter().filter(|id| !asked.contains(id)) {
            let key = format!("member/{id}");
            prop_assert!(matches!(shown.find(&key), Standing::Withheld | Standing::Unknown));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, key: String) {
        let bytes = Bytes::from(bytes);
        let _ = Header::parse(&bytes);
        let change = RowChange { key, row: bytes, ..RowChange::default() };
        let _ = Rows::default().with(&[change]);
    }
}

fn ten() -> Rows {
    rows((0..10).map(|id| id.to_string()))
}

fn shown_of(rows: &Rows, keys: &[&str]) -> Vec<ShownRow> {
    let mut showing = Showing::new(rows);
    keys.iter().for_each(|key| showing.row(key));
    showing.finish().rows
}

#[test]
fn proofs_that_were_bent_are_refused() {
    let rows = ten();
    let header = header(&rows);
    let good = shown_of(&rows, &["member/3", "member/55"]);
    assert!(ProvenRows::check(&good, &header).is_ok());
    let bent: [fn(&mut Vec<ShownRow>); 9] = [
        |shown| shown.swap(0, 1),
        |shown| shown.insert(1, shown[0].clone()),
        |shown| shown[0].index += 1,
        |shown| drop(shown[0].path.pop()),
        |shown| shown[0].path[0] = vec![0; 32].into(),
        |shown| shown[0].path[0] = vec![0; 31].into(),
        |shown| shown[0].row = member("3", "another").1,
        |shown| shown[0].key = "member/30".into(),
        |shown| shown[1].content = vec![7; 32].into(),
    ];
    for bend in bent {
        let mut shown = good.clone();
        bend(&mut shown);
        assert!(ProvenRows::check(&shown, &header).is_err(), "{shown:?}");
    }
    let fewer = Header {
        rows: 5,
        ..header.clone()
    };
    assert!(ProvenRows::check(&good, &fewer).is_err());
}

#[test]
fn what_is_not_proven_absent_is_unknown() {
    let rows = ten();
    let header = header(&rows);
    let mut shown = shown_of(&rows, &["member/55"]);
    assert_eq!(
        ProvenRows::check(&shown, &header).unwrap().find("member/55"),
        Standing::Absent
    );
    shown.pop();
    assert_eq!(
        ProvenRows::check(&shown, &header).unwrap().find("member/55"),
        Standing::Unknown
    );
    let ends = ProvenRows::check(&shown_of(&rows, &["a", "z"]), &header).unwrap();
    assert_eq!((ends.find("a"), ends.find("z")), (Standing::Absent, Standing::Absent));
    assert_eq!(ends.find("member/4"), Standing::Unknown);
    let none = ProvenRows::check(&[], &header_of_nothing()).unwrap();
    assert_eq!(none.find("a"), Standing::Absent);
}

fn header_of_nothing() -> Header {
    header(&Rows::default())
}

#[test]
fn a_range_leaves_no_gap() {
    let rows = rows(["a/1", "a/2", "b"].map(str::to_owned));
    let mut showing = Showing::new(&rows);
    showing.all("member/a/");
    let shown = ProvenRows::check(&showing.finish().rows, &header(&rows)).unwrap();
    assert!(matches!(shown.find("member/a/2"), Standing::Listed(_)));
    assert_eq!(shown.find("member/a/3"), Standing::Absent);
    assert_eq!(shown.find("member/b"), Standing::Withheld);
}

#[test]
fn a_row_that_is_withheld_counts_and_stays_known_where_it_was() {
    let rows = ten();
    let hide = |key: &str| RowChange {
        key: key.into(),
        content: Bytes::copy_from_slice(&rows.get(key).unwrap().content),
        ..RowChange::default()
    };
    let keys: Vec<String> = rows.iter().map(|(key, _)| key.to_string()).collect();
    let hidden: Vec<RowChange> = keys.iter().map(|key| hide(key)).collect();
    let blind = Rows::default().with(&hidden).unwrap();
    assert_eq!(blind.root(), rows.root());
    assert_eq!(blind.read().count(), 0);
    assert_eq!(rows.with(&hidden).unwrap(), rows);
}

#[test]
fn changes_out_of_form_are_refused() {
    let rows = ten();
    let shown = |key: &str, row: Bytes| RowChange {
        key: key.into(),
        row,
        ..RowChange::default()
    };
    let removed = |key: &str| RowChange {
        key: key.into(),
        removed: true,
        ..RowChange::default()
    };
    let (key, row) = member("5", "y");
    let two_things = {
        let revoked = Row {
            revoked: Some(Revoked {
                certificate: vec![1; 32].into(),
            }),
            ..Row::default()
        };
        Bytes::from([row.as_ref(), &jisr_proto::canonical::encode(&revoked)].concat())
    };
    for bad in [
        vec![removed("member/99")],
        vec![removed("member/2"), removed("member/1")],
        vec![removed("member/1"), removed("member/1")],
        vec![shown("member/6", row.clone())],
        vec![shown(&key, two_things)],
        vec![shown(&key, Bytes::from_static(b"\xff"))],
        vec![shown(&key, Bytes::new())],
        vec![RowChange {
            content: vec![1; 31].into(),
            ..shown(&key, Bytes::new())
        }],
        vec![RowChange {
            content: vec![1; 32].into(),
            ..shown(&key, row.clone())
        }],
        vec![RowChange {
            removed: true,
            ..shown(&key, row.clone())
        }],
    ] {
        assert!(rows.with(&bad).is_err(), "{bad:?}");
    }
    let lying = rows.with(&[shown(&key, row)]).unwrap();
    assert!(lying.check(&header(&rows)).is_err());
    assert!(rows.check(&header(&rows)).is_ok());
}

#[test]
fn headers_have_one_form() {
    let good = header(&ten());
    let change = |change: fn(&mut Header)| {
        let mut header = good.clone();
        change(&mut header);
        Header::parse(&header.encode())
    };
    assert_eq!(change(|_| ()), Ok(good.clone()));
    assert!(change(|header| header.version = 0).is_err());
    assert!(change(|header| header.version = 2).is_err());
    assert!(change(|header| header.previous = Some([1; 32])).is_err());
    let older = [&[8u8, 1], &good.encode()[2..]].concat();
    assert!(Header::parse(&older.into()).is_err());
}
