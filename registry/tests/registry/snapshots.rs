//! The snapshot: signed, logged, pushed, and the same after a restart.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_ledger::note::{self, VerifierKey};
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Act;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot::{SignedSnapshot, Snapshot};
use jisr_proto::status::Fault;

use crate::world::{World, reason};

const MOL: &str = "JO/GOV/mol/node/node1";
const PSD: &str = "JO/GOV/psd/node/node1";

/// Verifies a snapshot as a node does.
fn verified(world: &World, signed: &SignedSnapshot) -> Snapshot {
    let anchor = world.anchor();
    let text = note::open_snapshot(&signed.note, &anchor.snapshot_key).unwrap();
    assert_eq!(text.digest, digest::domain("jisr.snapshot", &[&signed.snapshot]));
    let snapshot: Snapshot = jisr_proto::canonical::decode(&signed.snapshot).unwrap();
    assert_eq!(
        (snapshot.version, snapshot.expires_us),
        (text.version, text.expires_s * 1_000_000)
    );
    let entry = SealVerifier::new()
        .verify(signed.entry.as_ref().unwrap(), &anchor.registry_key)
        .unwrap();
    let Some(Act::Snapshot(act)) = entry.statement.act() else {
        panic!("{:?}", entry.statement)
    };
    assert_eq!(
        (act.version, act.digest.as_ref()),
        (text.version, text.digest.as_slice())
    );
    assert!(snapshot.members.is_sorted_by(|one, next| one.id < next.id));
    assert!(snapshot.nodes.is_sorted_by(|one, next| one.id < next.id));
    snapshot
}

/// What does not differ between two versions of the same state.
fn rows(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        version: 0,
        created_us: 0,
        expires_us: 0,
        previous: Bytes::new(),
        ..snapshot
    }
}

#[tokio::test]
async fn each_version_is_signed_and_stands_in_the_ledger() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    world.member("JO/GOV/mol").await;
    let first = world.node(PSD).await.response.snapshot.unwrap();
    let second = world.node(MOL).await.response.snapshot.unwrap();
    let (before, after) = (verified(&world, &first), verified(&world, &second));
    assert_eq!(after.version, before.version + 1);
    assert_eq!(
        after.previous.as_ref(),
        digest::domain("jisr.snapshot", &[&first.snapshot])
    );
    assert_eq!(after.members.len(), 2);
    let ids: Vec<_> = after.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, [MOL, PSD]);
    assert_eq!(after.witnesses.len(), 1);
    let witness = VerifierKey::new_witness(
        &after.witnesses[0].name,
        after.witnesses[0].key.as_ref().try_into().unwrap(),
    );
    assert_eq!(witness.unwrap(), world.anchor().witnesses[0].key);
    assert_eq!(after.quorum, [1, 1, 1]);
    world.finish(()).await;
}

#[tokio::test]
async fn rows_name_the_entries_that_made_them() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let node = world.node(MOL).await;
    let snapshot = verified(&world, node.response.snapshot.as_ref().unwrap());
    let indexes = vec![snapshot.members[0].entry, snapshot.nodes[0].entry];
    let mut registry = world.call(Some(&node.identity)).await;
    let entries = registry
        .entries(wire::EntriesRequest { indexes })
        .await
        .unwrap()
        .into_inner()
        .entries;
    let key = world.anchor().registry_key;
    let verifier = SealVerifier::new();
    let member = verifier.verify(&entries[0], &key).unwrap();
    assert!(
        matches!(member.statement.act(), Some(Act::Member(act)) if act.id == "JO/GOV/mol" && act.administrator == "omar")
    );
    let enrolled = verifier.verify(&entries[1], &key).unwrap();
    let Some(Act::Node(act)) = enrolled.statement.act() else {
        panic!("{:?}", enrolled.statement)
    };
    let listed = jisr_proto::snapshot::Node {
        entry: 0,
        ..snapshot.nodes[0].clone()
    };
    assert_eq!(act.node.as_ref(), Some(&listed));
    assert_eq!(
        entries[0].seal.as_ref().unwrap().checkpoint,
        entries[1].seal.as_ref().unwrap().checkpoint
    );
    let beyond = wire::EntriesRequest {
        indexes: vec![1_000_000],
    };
    assert_eq!(reason(registry.entries(beyond).await), Reason::UnknownEntry);
    let many = wire::EntriesRequest { indexes: vec![0; 257] };
    assert_eq!(reason(registry.entries(many).await), Reason::RequestInvalid);
    world.finish(registry).await;
}

#[tokio::test]
async fn changes_are_pushed_and_a_revoked_node_is_cut_off() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node(MOL).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let mut follow = registry
        .follow(wire::FollowRequest { version: 0 })
        .await
        .unwrap()
        .into_inner();
    let newest = verified(&world, &follow.message().await.unwrap().unwrap());
    assert_eq!(newest.nodes.len(), 1);
    let psd = world.node(PSD).await;
    let pushed = verified(&world, &follow.message().await.unwrap().unwrap());
    assert_eq!(pushed.nodes.len(), 2);

    let held = wire::FollowRequest {
        version: pushed.version,
    };
    let mut other = world.call(Some(&psd.identity)).await;
    let mut psd_follows = other.follow(held).await.unwrap().into_inner();
    let revoke = wire::RevokeNodeRequest {
        node: MOL.into(),
        reason: 1,
        administrator: "rania".into(),
    };
    let mut admin = world.admin().await;
    admin.revoke_node(revoke.clone()).await.unwrap();
    let ended = follow
        .message()
        .await
        .expect_err("the stream of a revoked node must end");
    assert_eq!(Fault::from_tonic(&ended).unwrap().reason, Reason::CertificateRevoked);
    let told = verified(&world, &psd_follows.message().await.unwrap().unwrap());
    assert_eq!(told.nodes.len(), 1);
    assert_eq!(told.revoked.len(), 2);
    assert!(
        told.revoked
            .iter()
            .any(|hash| hash.as_ref() == digest::sha256(&[&mol.response.tls_certificate]))
    );
    assert_eq!(
        reason(registry.proposals(wire::ProposalsRequest {}).await),
        Reason::CertificateRevoked
    );
    let again = world
        .call(Some(&mol.identity))
        .await
        .proposals(wire::ProposalsRequest {})
        .await;
    assert_eq!(reason(again), Reason::CertificateRevoked);
    assert_eq!(reason(admin.revoke_node(revoke).await), Reason::UnknownNode);
    world.finish((registry, other, admin)).await;
}

#[tokio::test]
async fn a_node_that_is_ahead_is_told_that_somebody_went_back() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node(MOL).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let ahead = wire::FollowRequest { version: 1000 };
    assert_eq!(reason(registry.follow(ahead).await), Reason::SnapshotBehind);
    world.finish(registry).await;
}

#[tokio::test]
async fn the_state_is_the_same_after_a_restart() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node(MOL).await;
    let psd = world.node(PSD).await;
    let revoke = wire::RevokeNodeRequest {
        node: PSD.into(),
        reason: 4,
        administrator: "rania".into(),
    };
    let mut admin = world.admin().await;
    admin.revoke_node(revoke).await.unwrap();
    admin.admit(crate::world::admission("JO/GOV/moh")).await.unwrap();
    let unused = world.token("JO/GOV/mol/node/node2").await;
    drop(admin);
    let before = newest(&world, &mol).await;
    for _ in 0..2 {
        world.stop().await;
        world.restart(Some(&mol)).await;
    }
    let after = newest(&world, &mol).await;
    assert!(after.version > before.version);
    assert_eq!(rows(after), rows(before));
    let mut admin = world.admin().await;
    assert_eq!(
        reason(admin.approve(crate::world::approval("JO/GOV/moh", "rania")).await),
        Reason::FourEyes
    );
    let draft = crate::world::NodeDraft::new(world.dir.path(), "JO/GOV/mol/node/node2");
    let mut nobody = world.call(None).await;
    nobody.enrol(draft.request(&unused)).await.unwrap();
    assert_eq!(reason(nobody.enrol(draft.request(&unused)).await), Reason::TokenUsed);
    let cut = world
        .call(Some(&psd.identity))
        .await
        .proposals(wire::ProposalsRequest {})
        .await;
    assert_eq!(reason(cut), Reason::CertificateRevoked);
    world.finish((admin, nobody)).await;
}

async fn newest(world: &World, node: &crate::world::Node) -> Snapshot {
    let mut registry = world.call(Some(&node.identity)).await;
    let mut follow = registry
        .follow(wire::FollowRequest { version: 0 })
        .await
        .unwrap()
        .into_inner();
    verified(world, &follow.message().await.unwrap().unwrap())
}

#[tokio::test]
async fn stopping_ends_open_streams() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node(MOL).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let mut follow = registry
        .follow(wire::FollowRequest { version: 0 })
        .await
        .unwrap()
        .into_inner();
    follow.message().await.unwrap();
    world.stop().await;
    assert!(follow.message().await.is_err());
}
