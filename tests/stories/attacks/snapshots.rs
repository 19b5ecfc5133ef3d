//! Snapshots that the registry, or somebody in its place, must not get away with.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_node::snapshots::{SnapshotError, verify};
use jisr_proto::snapshot::{SignedSnapshot, Snapshot};
use jisr_proto::{canonical, ident};
use prost::Message as _;

use super::{end, mol_turns};

fn digest_of(signed: &SignedSnapshot) -> digest::Hash {
    digest::domain("jisr.snapshot", &[&signed.snapshot])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_rolled_back_forked_expired_or_bent_is_refused() {
    let (world, rogue) = mol_turns().await;
    let (anchor, newest, now) = (&rogue.anchor, &rogue.signed, world.clock.now_us());
    let version = rogue.snapshot.version;
    let check = |signed: &SignedSnapshot, held| verify(anchor, signed.clone(), held, now).map(drop);
    assert!(check(newest, None).is_ok());
    assert!(
        check(newest, Some((version, digest_of(newest)))).is_ok(),
        "the same once more"
    );
    let rolled = check(newest, Some((version + 1, [0; 32])));
    assert!(matches!(rolled, Err(SnapshotError::RolledBack { .. })), "{rolled:?}");
    for held in [(version, [1; 32]), (version - 1, [1; 32])] {
        let forked = check(newest, Some(held));
        assert!(matches!(forked, Err(SnapshotError::Forked { .. })), "{forked:?}");
    }
    let expired = verify(anchor, newest.clone(), None, rogue.snapshot.expires_us).map(drop);
    assert!(matches!(expired, Err(SnapshotError::Expired { .. })), "{expired:?}");

    let bent = |change: fn(&mut Snapshot)| {
        let mut snapshot = Snapshot::decode(newest.snapshot.clone()).unwrap();
        change(&mut snapshot);
        SignedSnapshot {
            snapshot: canonical::encode(&snapshot),
            ..newest.clone()
        }
    };
    let changed = [
        bent(|snapshot| snapshot.expires_us += 1_000_000_000),
        bent(|snapshot| snapshot.version += 1),
        bent(|snapshot| drop(snapshot.nodes.pop())),
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
    let foreign = bent(|snapshot| snapshot.instance = "SY".parse::<ident::Instance>().unwrap().to_string());
    assert!(matches!(check(&foreign, None), Err(SnapshotError::Foreign(_))));
    end(world, rogue, "mol").await;
}
