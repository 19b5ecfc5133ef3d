//! The snapshot: signed, logged, pushed, and the same after a restart.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_ledger::note::{self, VerifierKey};
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::snapshot::{Header, Listed, ProvenRows, Rows, Standing, node_key};
use jisr_ledger::statement::Act;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot::{SignedSnapshot, SnapshotUpdate};
use jisr_proto::status::Fault;

use crate::world::{World, reason};

const MOL: &str = "JO/GOV/mol/node/node1";
const PSD: &str = "JO/GOV/psd/node/node1";

/// A snapshot as a node has it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    header: Header,
    rows: Rows,
    pub(crate) listed: Listed,
}

/// Verifies a header as a node does.
fn verified(world: &World, signed: &SignedSnapshot) -> Header {
    let anchor = world.anchor();
    let text = note::open_snapshot(&signed.note, &anchor.snapshot_key).unwrap();
    let header = Header::parse(&signed.header).unwrap();
    assert_eq!(text.digest, header.digest);
    assert_eq!(
        (header.version, header.expires_us),
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
    header
}

/// The next snapshot of a stream, and how many changes told it.
async fn next(
    world: &World,
    follow: &mut tonic::Streaming<SnapshotUpdate>,
    held: Option<&Snapshot>,
) -> Result<(Snapshot, usize), tonic::Status> {
    let first = follow.message().await?.unwrap();
    let header = verified(world, first.signed.as_ref().unwrap());
    let (mut changes, mut more) = (first.changes, first.more);
    while more {
        let piece = follow.message().await?.unwrap();
        assert!(piece.signed.is_none() && piece.base_version == first.base_version);
        changes.extend(piece.changes);
        more = piece.more;
    }
    let base = match held {
        _ if first.base_version == 0 => Rows::default(),
        Some(held) => {
            assert_eq!(held.header.version, first.base_version);
            held.rows.clone()
        }
        None => panic!("changes to snapshot {}, and none is held", first.base_version),
    };
    let rows = base.with(&changes).unwrap();
    rows.check(&header).unwrap();
    let listed = rows.read().collect();
    Ok((Snapshot { header, rows, listed }, changes.len()))
}

fn holding(held: &Snapshot) -> wire::FollowRequest {
    wire::FollowRequest {
        version: held.header.version,
        digest: Bytes::copy_from_slice(&held.header.digest),
    }
}

#[tokio::test]
async fn each_version_is_signed_and_stands_in_the_ledger() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    world.member("JO/GOV/mol").await;
    let psd = world.node(PSD).await;
    let first = newest(&world, &psd).await;
    assert_eq!(first.header, verified(&world, psd.response.snapshot.as_ref().unwrap()));
    let second = world.node(MOL).await.response;
    let after = newest(&world, &psd).await;
    assert_eq!(after.header, verified(&world, second.snapshot.as_ref().unwrap()));
    assert_eq!(after.header.version, first.header.version + 1);
    assert_eq!(after.header.previous, Some(first.header.digest));
    let shown = ProvenRows::check(second.row.as_slice(), &after.header).unwrap();
    assert!(matches!(shown.find(&node_key(MOL)), Standing::Listed(_)));
    let listed = after.listed;
    assert_eq!(listed.members.len(), 2);
    let ids: Vec<_> = listed.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, [MOL, PSD]);
    assert_eq!(listed.witnesses.len(), 1);
    let witness = VerifierKey::new_witness(
        &listed.witnesses[0].name,
        listed.witnesses[0].key.as_ref().try_into().unwrap(),
    );
    assert_eq!(witness.unwrap(), world.anchor().witnesses[0].key);
    let quorum = listed.quorum.unwrap();
    assert_eq!((quorum.routine, quorum.standard, quorum.high), (1, 1, 1));
    assert_eq!(listed.authorities.len(), 1);
    world.finish(()).await;
}

#[tokio::test]
async fn rows_name_the_entries_that_made_them() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let node = world.node(MOL).await;
    let snapshot = newest(&world, &node).await.listed;
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
        matches!(member.statement.act(), Some(Act::Member(act)) if act.member.as_ref().is_some_and(|row| row.id == "JO/GOV/mol"))
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
    let followed = registry.follow(wire::FollowRequest::default()).await;
    let mut follow = followed.unwrap().into_inner();
    let (newest, _) = next(&world, &mut follow, None).await.unwrap();
    assert_eq!(newest.listed.nodes.len(), 1);
    let psd = world.node(PSD).await;
    let (pushed, changes) = next(&world, &mut follow, Some(&newest)).await.unwrap();
    assert_eq!((pushed.listed.nodes.len(), changes), (2, 1));

    let mut other = world.call(Some(&psd.identity)).await;
    let mut psd_follows = other.follow(holding(&pushed)).await.unwrap().into_inner();
    world.revoke(MOL, 1).await.unwrap();
    let ended = follow
        .message()
        .await
        .expect_err("the stream of a revoked node must end");
    assert_eq!(Fault::from_tonic(&ended).unwrap().reason, Reason::CertificateRevoked);
    let (told, changes) = next(&world, &mut psd_follows, Some(&pushed)).await.unwrap();
    assert_eq!(changes, 3, "a node that went and two certificates that are revoked");
    let told = told.listed;
    assert_eq!(told.nodes.len(), 1);
    assert_eq!(told.revoked.len(), 2);
    assert!(
        told.revoked
            .iter()
            .any(|row| row.certificate.as_ref() == digest::sha256(&[&mol.response.tls_certificate]))
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
    assert_eq!(reason(world.revoke(MOL, 1).await), Reason::UnknownNode);
    world.finish((registry, other)).await;
}

#[tokio::test]
async fn a_node_that_is_ahead_is_told_that_somebody_went_back() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node(MOL).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let ahead = wire::FollowRequest {
        version: 1000,
        digest: Bytes::new(),
    };
    assert_eq!(reason(registry.follow(ahead).await), Reason::SnapshotBehind);
    let forked = wire::FollowRequest {
        digest: vec![7; 32].into(),
        ..holding(&newest(&world, &mol).await)
    };
    assert_eq!(reason(registry.follow(forked).await), Reason::SnapshotBehind);
    let bent = wire::FollowRequest {
        version: 1,
        digest: vec![7; 31].into(),
    };
    assert_eq!(reason(registry.follow(bent).await), Reason::RequestInvalid);
    world.finish(registry).await;
}

#[tokio::test]
async fn the_state_is_the_same_after_a_restart() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node(MOL).await;
    let psd = world.node(PSD).await;
    world.revoke(PSD, 4).await.unwrap();
    let pending = world
        .does("rania", crate::world::admission("JO/GOV/moh"))
        .await
        .unwrap();
    let unused = world.token("JO/GOV/mol/node/node2").await;
    let before = newest(&world, &mol).await;
    for _ in 0..2 {
        world.stop().await;
        world.restart(Some(&mol)).await;
    }
    let after = newest(&world, &mol).await;
    assert!(after.header.version > before.header.version);
    assert!(after.rows == before.rows);
    // Whoever held the one before a restart is told that nothing changed.
    world.stop().await;
    world.restart(Some(&mol)).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let mut follow = registry.follow(holding(&after)).await.unwrap().into_inner();
    let (told, changes) = next(&world, &mut follow, Some(&after)).await.unwrap();
    assert!(told.rows == before.rows && changes == 0);
    drop((follow, registry));
    let approval = crate::world::approval(&pending.act);
    assert_eq!(reason(world.does("rania", approval.clone()).await), Reason::FourEyes);
    world.does("omar", approval).await.unwrap();
    let draft = crate::world::NodeDraft::new(world.dir.path(), "JO/GOV/mol/node/node2");
    let mut nobody = world.call(None).await;
    nobody.enrol(draft.request(&unused)).await.unwrap();
    let other = crate::world::NodeDraft::with_epoch(world.dir.path(), "JO/GOV/mol/node/node2", "2027");
    assert_eq!(reason(nobody.enrol(other.request(&unused)).await), Reason::TokenUsed);
    let cut = world
        .call(Some(&psd.identity))
        .await
        .proposals(wire::ProposalsRequest {})
        .await;
    assert_eq!(reason(cut), Reason::CertificateRevoked);
    world.finish(nobody).await;
}

pub(crate) async fn newest(world: &World, node: &crate::world::Node) -> Snapshot {
    let mut registry = world.call(Some(&node.identity)).await;
    let followed = registry.follow(wire::FollowRequest::default()).await;
    next(world, &mut followed.unwrap().into_inner(), None).await.unwrap().0
}

#[tokio::test]
async fn stopping_ends_open_streams() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node(MOL).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let followed = registry.follow(wire::FollowRequest::default()).await;
    let mut follow = followed.unwrap().into_inner();
    follow.message().await.unwrap();
    world.stop().await;
    assert!(follow.message().await.is_err());
}
