//! Snapshots as they come from the registry, a peer or a file: headers, changes of rows, rows with proofs.
#![no_main]

use bytes::Bytes;
use jisr_ledger::snapshot::{Header, ProvenRows, Rows, Standing};
use jisr_ledger::tree;
use jisr_proto::snapshot::{ShownRows, SnapshotUpdate};
use prost::Message as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(header) = Header::parse(&bytes) {
        // What is not known and not critical is not written again; what is known has one form.
        let known = Bytes::from(header.encode());
        assert!(known.len() <= bytes.len(), "one header has one form");
        let again = Header::parse(&known).expect("what was taken is taken again");
        assert_eq!(again.encode(), known, "one header has one form");
    }
    if let Ok(update) = SnapshotUpdate::decode(bytes.clone()) {
        changes(&update);
    }
    if let Ok(shown) = ShownRows::decode(bytes) {
        proofs(&shown);
    }
});

/// Changes that are taken are taken again, and lead to the same rows.
fn changes(update: &SnapshotUpdate) {
    if let Some(header) = update.signed.as_ref().and_then(|signed| Header::parse(&signed.header).ok()) {
        let _ = Rows::default().with(&update.changes).map(|rows| rows.check(&header));
    }
    let Ok(rows) = Rows::default().with(&update.changes) else {
        return;
    };
    let again = rows.with(&rows.known_of(&update.changes)).expect("what was taken is taken again");
    assert_eq!(again, rows);
    assert_eq!(again.root(), rows.root());
}

/// A row that stands alone under a root that it leads to is found there, and no other.
fn proofs(shown: &ShownRows) {
    let mut header = Header {
        instance: "JO".into(),
        version: 1,
        created_us: 0,
        expires_us: 0,
        previous: None,
        rows: shown.rows.last().map_or(0, |row| row.index.saturating_add(1)),
        root: shown.root.as_ref().try_into().unwrap_or_else(|_| tree::empty_root()),
        digest: [0; 32],
    };
    for rows in [header.rows, u64::MAX] {
        header.rows = rows;
        if let Ok(proven) = ProvenRows::check(&shown.rows, &header) {
            for row in &shown.rows {
                assert!(!matches!(proven.find(&row.key), Standing::Absent | Standing::Unknown));
            }
        }
    }
}
