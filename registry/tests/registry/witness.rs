//! The registry cosigns what continues what it cosigned before, of the caller's own ledger only.

use bytes::Bytes;
use jisr_ledger::note;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;

use crate::world::{NOON_US, Node, World, reason};

fn ask(node: &Node, old_size: u64) -> wire::AddCheckpointRequest {
    let checkpoint = node.ledger.checkpoint();
    let proof = node.ledger.consistency(old_size, checkpoint.size).unwrap_or_default();
    wire::AddCheckpointRequest {
        old_size,
        proof: proof.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
        checkpoint: checkpoint.note.clone(),
    }
}

#[tokio::test]
async fn a_growing_ledger_is_cosigned() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let first = registry.add_checkpoint(ask(&mol, 0)).await.unwrap().into_inner();
    let note = [mol.ledger.checkpoint().note.as_ref(), first.cosignatures.as_bytes()].concat();
    let keys: Vec<_> = world
        .anchor()
        .witnesses
        .into_iter()
        .map(|witness| witness.key)
        .collect();
    let found = note::cosignatures(&note, &keys).unwrap();
    assert_eq!(found[0].time_s, NOON_US / 1_000_000);

    let size = mol.ledger.size();
    mol.seal(&mol.agreed(b"x")).await;
    let behind = registry.add_checkpoint(ask(&mol, 0)).await.unwrap().into_inner();
    assert_eq!((behind.cosignatures.as_str(), behind.size), ("", size));
    let grown = registry.add_checkpoint(ask(&mol, size)).await.unwrap().into_inner();
    assert!(!grown.cosignatures.is_empty());

    let now = mol.ledger.size();
    drop(registry);
    world.stop().await;
    world.start().await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let remembered = registry.add_checkpoint(ask(&mol, 0)).await.unwrap().into_inner();
    assert_eq!(remembered.size, now, "a witness does not forget");
    world.finish(registry).await;
}

#[tokio::test]
async fn a_fork_or_somebody_else_s_checkpoint_is_not_cosigned() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&mol.identity)).await;
    assert_eq!(
        reason(registry.add_checkpoint(ask(&psd, 0)).await),
        Reason::CheckpointInvalid
    );
    registry.add_checkpoint(ask(&mol, 0)).await.unwrap();
    let size = mol.ledger.size();
    mol.seal(&mol.agreed(b"x")).await;
    let unproven = wire::AddCheckpointRequest {
        proof: vec![Bytes::from_static(&[9; 32])],
        ..ask(&mol, size)
    };
    assert_eq!(
        reason(registry.add_checkpoint(unproven).await),
        Reason::CheckpointForked
    );
    let garbage = wire::AddCheckpointRequest {
        checkpoint: Bytes::from_static(b"\xff"),
        ..ask(&mol, size)
    };
    assert_eq!(
        reason(registry.add_checkpoint(garbage).await),
        Reason::CheckpointInvalid
    );
    let short = wire::AddCheckpointRequest {
        proof: vec![Bytes::from_static(&[9; 31])],
        ..ask(&mol, size)
    };
    assert_eq!(reason(registry.add_checkpoint(short).await), Reason::CheckpointInvalid);
    let huge = wire::AddCheckpointRequest {
        proof: vec![Bytes::from_static(&[9; 32]); 10_000],
        ..ask(&mol, size)
    };
    assert_eq!(reason(registry.add_checkpoint(huge).await), Reason::CheckpointInvalid);
    registry.add_checkpoint(ask(&mol, size)).await.unwrap();
    world.finish(registry).await;
}
