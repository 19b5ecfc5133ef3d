//! Snapshots that the registry, or somebody in its place, must not get away with.

use bytes::Bytes;
use jisr_ledger::snapshot::Header;
use jisr_node::snapshots::{Pieces, SnapshotError, Taken, check, take};
use jisr_proto::snapshot::{RowChange, SignedSnapshot, SnapshotUpdate};

use super::{end, mol_turns};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_rolled_back_forked_expired_or_bent_is_refused() {
    let (world, rogue) = mol_turns().await;
    let (anchor, now) = (&rogue.anchor, world.clock.now_us());
    let (newest, header) = (&rogue.snapshot.signed, &rogue.snapshot.header);
    let version = header.version;
    let check = |signed: &SignedSnapshot, held| check(anchor, signed, held, now).map(drop);
    assert!(check(newest, None).is_ok());
    assert!(
        check(newest, Some((version, header.digest))).is_ok(),
        "the same once more"
    );
    let rolled = check(newest, Some((version + 1, [0; 32])));
    assert!(matches!(rolled, Err(SnapshotError::RolledBack { .. })), "{rolled:?}");
    for held in [(version, [1; 32]), (version - 1, [1; 32])] {
        let forked = check(newest, Some(held));
        assert!(matches!(forked, Err(SnapshotError::Forked { .. })), "{forked:?}");
    }
    let expired = jisr_node::snapshots::check(anchor, newest, None, header.expires_us).map(drop);
    assert!(matches!(expired, Err(SnapshotError::Expired { .. })), "{expired:?}");

    let bent = |change: fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        SignedSnapshot {
            header: header.encode(),
            ..newest.clone()
        }
    };
    let changed = [
        bent(|header| header.expires_us += 1_000_000_000),
        bent(|header| header.version += 1),
        bent(|header| header.root = [7; 32]),
        bent(|header| header.rows += 1),
    ];
    for signed in changed {
        let told = check(&signed, None);
        assert!(matches!(told, Err(SnapshotError::Signature(_))), "{told:?}");
    }
    let unlogged = SignedSnapshot {
        entry: None,
        ..newest.clone()
    };
    assert!(matches!(check(&unlogged, None), Err(SnapshotError::Unlogged(_))));
    let unsigned = SignedSnapshot {
        note: Bytes::new(),
        ..newest.clone()
    };
    assert!(matches!(check(&unsigned, None), Err(SnapshotError::Signature(_))));
    let foreign = bent(|header| header.instance = "SY".to_owned());
    assert!(matches!(check(&foreign, None), Err(SnapshotError::Foreign(_))));
    end(world, rogue, "mol").await;
}

/// The snapshot as one that holds nothing is told it.
pub(super) fn whole(taken: &Taken) -> SnapshotUpdate {
    let change = |(key, known): (&std::sync::Arc<str>, &jisr_ledger::snapshot::Known)| RowChange {
        key: key.to_string(),
        row: known.row.clone().unwrap_or_default(),
        content: match known.row {
            Some(_) => Bytes::new(),
            None => Bytes::copy_from_slice(&known.content),
        },
        removed: false,
    };
    SnapshotUpdate {
        signed: Some(taken.signed.clone()),
        changes: taken.rows.iter().map(change).collect(),
        ..SnapshotUpdate::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_not_those_that_were_signed_are_refused() {
    let (world, rogue) = mol_turns().await;
    let (anchor, now, newest) = (&rogue.anchor, world.clock.now_us(), whole(&rogue.snapshot));
    assert!(take(anchor, &newest, None, now).unwrap().is_some());
    let lies: [fn(&mut SnapshotUpdate); 5] = [
        // A row withheld, a row too much, another row, one told by its digest alone and wrongly, out of order.
        |update| drop(update.changes.pop()),
        |update| {
            update.changes.push(RowChange {
                key: "witness/zzz".into(),
                content: vec![1; 32].into(),
                ..RowChange::default()
            });
        },
        |update| {
            let node = update.changes.iter_mut().find(|change| change.key.starts_with("node/"));
            let node = node.unwrap();
            node.row = node.row.iter().map(|byte| if *byte == 7 { 8 } else { *byte }).collect();
        },
        |update| {
            let revoked = update.changes.first_mut().unwrap();
            (revoked.row, revoked.content) = (Bytes::new(), vec![1; 32].into());
        },
        |update| update.changes.reverse(),
    ];
    for lie in lies {
        let mut update = newest.clone();
        lie(&mut update);
        let told = take(anchor, &update, None, now).map(drop);
        assert!(matches!(told, Err(SnapshotError::Rows(_))), "{told:?}");
    }
    let changes_to_nothing = SnapshotUpdate {
        base_version: 1,
        ..newest.clone()
    };
    let told = take(anchor, &changes_to_nothing, None, now).map(drop);
    assert!(matches!(told, Err(SnapshotError::Base { .. })), "{told:?}");
    let mut pieces = Pieces::default();
    let headless = SnapshotUpdate {
        signed: None,
        ..newest.clone()
    };
    assert!(pieces.push(headless).is_err());
    let begun = SnapshotUpdate {
        more: true,
        ..newest.clone()
    };
    assert!(matches!(pieces.push(begun), Ok(None)));
    assert!(pieces.push(newest).is_err(), "two beginnings");
    end(world, rogue, "mol").await;
}
