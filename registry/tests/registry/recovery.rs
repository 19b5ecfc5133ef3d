//! A registry that was started seals nothing before a node has shown what it holds of its ledger; one that was rolled back never does.

use bytes::Bytes;
use jisr_ledger::note;
use jisr_ledger::statement::{Act, Parsed};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::statement::{Finding, FindingKind, Kind};

use crate::crash::copy;
use crate::world::{Node, Nodes, World, admission, reason};

/// The acts of this kind in the registry's ledger.
pub(crate) async fn entries(registry: &mut Nodes, world: &World, kind: Kind) -> Vec<Act> {
    let size = world.status().await.size;
    let request = wire::EntriesRequest {
        indexes: (0..size).collect(),
    };
    let entries = registry.entries(request).await.unwrap().into_inner().entries;
    let parsed = entries
        .iter()
        .map(|sealed| Parsed::parse(sealed.statement.as_ref().unwrap()).unwrap());
    parsed
        .filter(|statement| statement.kind() == kind)
        .map(|statement| statement.act().unwrap().clone())
        .collect()
}

async fn hello(world: &World, node: &Node, yours: Bytes) -> wire::HelloResponse {
    let mut registry = world.call(Some(&node.identity)).await;
    registry.hello(node.hello(yours)).await.unwrap().into_inner()
}

async fn admits(world: &World, id: &str) -> Result<wire::AdministerResponse, tonic::Status> {
    world.does("rania", admission(id)).await
}

#[tokio::test]
async fn nothing_is_sealed_before_a_node_confirms() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let before = world.status().await;
    world.stop().await;
    world.start().await;
    let waiting = world.status().await;
    assert_eq!((waiting.state.as_str(), waiting.size), ("RECOVERING", before.size));
    assert_eq!(waiting.snapshot_version, before.snapshot_version);
    assert_eq!(reason(admits(&world, "JO/GOV/moh").await), Reason::Recovering);
    assert_eq!(
        reason(world.confirm("rania").await),
        Reason::Recovering,
        "a node knows better than an administrator"
    );

    // What it has it shows: the snapshot, its entries.
    let mut registry = world.call(Some(&mol.identity)).await;
    let followed = registry.follow(wire::FollowRequest::default()).await;
    let mut follow = followed.unwrap().into_inner();
    assert!(follow.message().await.unwrap().is_some());
    assert_eq!(entries(&mut registry, &world, Kind::NodeEnrolled).await.len(), 1);
    let silent = hello(&world, &mol, Bytes::new()).await;
    assert!(silent.recovering && silent.checkpoint.is_empty());
    assert_eq!(world.status().await.size, before.size, "nothing was appended");

    let answer = hello(&world, &mol, mol.held()).await;
    assert!(!answer.recovering);
    let held = note::open(&mol.held(), &world.anchor().registry_key).unwrap();
    let shown = note::open(&answer.checkpoint, &world.anchor().registry_key).unwrap();
    assert!(shown.size > before.size);
    let proof = jisr_ledger::seal::path(&answer.proof).unwrap();
    assert!(jisr_ledger::tree::verify_consistency(
        held.size,
        &held.root,
        shown.size,
        &shown.root,
        &proof
    ));
    assert!(
        follow.message().await.unwrap().is_some(),
        "a fresh snapshot follows at once"
    );
    admits(&world, "JO/GOV/moh").await.unwrap();
    let resumed = entries(&mut registry, &world, Kind::Resumed).await;
    let [Act::Resumed(resumed)] = resumed.as_slice() else {
        panic!("{resumed:?}")
    };
    assert_eq!(resumed.confirmed_by, "JO/GOV/mol/node/node1");
    assert_eq!(resumed.confirmed_size, held.size);
    assert_eq!(world.status().await.state, "RUNNING");
    world.finish((registry, follow)).await;
}

#[tokio::test]
async fn an_administrator_confirms_where_no_node_is_enrolled() {
    let mut world = World::new().await;
    assert_eq!(
        world.status().await.state,
        "RUNNING",
        "what has not begun needs no confirmation"
    );
    world.stop().await;
    world.start().await;
    assert_eq!(
        reason(world.confirm("laila").await),
        Reason::RoleMissing,
        "who looks does not vouch"
    );
    let status = world.status().await;
    let other = jisr_proto::snapshot::AdministrativeAct {
        confirmation: Some(jisr_proto::snapshot::Confirmation {
            size: status.size + 1,
            root: status.root,
        }),
        ..Default::default()
    };
    assert_eq!(reason(world.does("rania", other).await), Reason::RequestInvalid);
    assert_eq!(world.status().await.state, "RECOVERING");
    world.confirm("rania").await.unwrap();
    admits(&world, "JO/GOV/mol").await.unwrap();
    world.finish(()).await;
}

#[tokio::test]
async fn a_registry_restored_from_an_old_backup_is_quarantined_until_the_newest_is_back() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let (newest, backup) = (world.config.data.clone(), world.dir.path().join("backup"));
    copy(&newest, &backup);
    admits(&world, "JO/GOV/moh").await.unwrap();
    let seen = hello(&world, &mol, mol.held()).await.checkpoint;
    world.stop().await;

    world.config.data = backup;
    world.start().await;
    // Somebody who holds less confirms it: nobody can know yet.
    assert!(!hello(&world, &mol, mol.held()).await.recovering);
    let answer = hello(&world, &mol, seen.clone()).await;
    assert!(answer.recovering && answer.checkpoint.is_empty());
    for _ in 0..2 {
        let status = world.status().await;
        assert_eq!(status.state, "QUARANTINED");
        assert!(
            status.state_text.contains("JO/GOV/mol/node/node1"),
            "{}",
            status.state_text
        );
        assert_eq!(reason(admits(&world, "JO/GOV/psd").await), Reason::Quarantined);
        world.stop().await;
        world.start().await;
        assert!(hello(&world, &mol, mol.held()).await.recovering, "no restart lifts it");
    }
    world.stop().await;

    std::fs::copy(world.config.data.join("quarantine"), newest.join("quarantine")).unwrap();
    world.config.data = newest;
    world.start().await;
    assert_eq!(world.status().await.state, "RECOVERING", "what was shown is here again");
    assert!(!hello(&world, &mol, seen).await.recovering);
    admits(&world, "JO/GOV/psd").await.unwrap();
    world.finish(()).await;
}

#[tokio::test]
async fn whoever_confirms_first_may_know_least_so_others_are_heard() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let (newest, backup) = (world.config.data.clone(), world.dir.path().join("backup"));
    copy(&newest, &backup);
    admits(&world, "JO/GOV/moh").await.unwrap();
    let seen = hello(&world, &psd, psd.held()).await.checkpoint;
    world.stop().await;
    world.config.data = backup;
    world.start().await;
    let size = world.status().await.size;
    assert!(
        hello(&world, &mol, mol.held()).await.recovering,
        "others are heard first"
    );
    assert!(hello(&world, &psd, seen).await.recovering);
    let status = world.status().await;
    assert_eq!(
        (status.state.as_str(), status.size),
        ("QUARANTINED", size),
        "no second history was begun"
    );
    world.finish(()).await;
}

#[tokio::test]
async fn a_registry_goes_on_without_nodes_that_say_nothing() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let _silent = world.node("JO/GOV/psd/node/node1").await;
    world.stop().await;
    world.start().await;
    assert!(hello(&world, &mol, mol.held()).await.recovering);
    world.until_running().await;
    admits(&world, "JO/GOV/moh").await.unwrap();
    world.finish(()).await;
}

#[tokio::test]
async fn two_snapshots_of_one_disk_that_both_went_on_are_found() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let (first, second) = (world.config.data.clone(), world.dir.path().join("second"));
    copy(&first, &second);
    admits(&world, "JO/GOV/moh").await.unwrap();
    let seen = hello(&world, &mol, mol.held()).await.checkpoint;
    world.stop().await;
    world.config.data = second;
    world.restart(Some(&mol)).await;
    for id in ["JO/GOV/psd", "JO/GOV/gam", "JO/GOV/cspd"] {
        admits(&world, id).await.unwrap();
    }
    assert!(hello(&world, &mol, seen).await.recovering);
    let status = world.status().await;
    assert_eq!(status.state, "QUARANTINED");
    assert!(status.state_text.contains("differs"), "{}", status.state_text);
    world.finish(()).await;
}

#[tokio::test]
async fn a_ledger_that_is_gone_does_not_begin_anew() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.stop().await;
    std::fs::remove_dir_all(world.config.data.join("ledger")).unwrap();
    let error = world.try_start().await.unwrap_err();
    assert!(error.to_string().contains("restore the newest backup"), "{error}");
}

#[tokio::test]
async fn nodes_cosign_the_registry_s_ledger() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let shown = hello(&world, &mol, mol.held()).await.checkpoint;
    let mut registry = world.call(Some(&mol.identity)).await;
    let mut second = world.call(Some(&psd.identity)).await;
    let cosign = |note: Vec<u8>| wire::CosignRequest {
        checkpoint: note.into(),
    };
    let (of_mol, of_psd) = (mol.cosigned(&world, &shown), psd.cosigned(&world, &shown));
    for bad in [
        Vec::new(),
        shown.to_vec(),
        mol.ledger.checkpoint().note.to_vec(),
        of_psd.clone(),
    ] {
        assert_eq!(reason(registry.cosign(cosign(bad)).await), Reason::CheckpointInvalid);
    }
    registry.cosign(cosign(of_mol)).await.unwrap();
    second.cosign(cosign(of_psd)).await.unwrap();
    let size = note::open(&shown, &world.anchor().registry_key).unwrap().size;
    assert_eq!(world.status().await.cosigned_size, size);
    let request = wire::EntriesRequest { indexes: vec![0] };
    let entry = registry.entries(request).await.unwrap().into_inner().entries.remove(0);
    let checkpoint = entry.seal.unwrap().checkpoint;
    let keys = [mol.witness_vkey(&world), psd.witness_vkey(&world)];
    assert_eq!(note::cosignatures(&checkpoint, &keys).unwrap().len(), 2);
    let token = world.token("JO/GOV/mol/node/node2").await;
    assert_eq!(token.checkpoint, checkpoint);
    world.finish((registry, second)).await;
}

#[tokio::test]
async fn a_report_counts_where_its_notes_prove_it() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let shown = |size, seed| Bytes::from(psd.stolen(&world).checkpoint(size, &[seed; 32]));
    let report = |notes: Vec<Bytes>| wire::ReportRequest {
        finding: Some(Finding {
            kind: FindingKind::LedgerForked.into(),
            origin: psd.response.origin.clone(),
            notes,
            text: "it shows two histories".into(),
            ..Finding::default()
        }),
    };
    for (notes, proven) in [
        (vec![], false),
        (vec![shown(7, 1)], false),
        (vec![shown(7, 1), shown(8, 2)], false),
        (vec![shown(7, 1), shown(7, 1)], false),
        (vec![shown(7, 1), shown(8, 2), shown(7, 3)], true),
        (vec![shown(9, 1), shown(9, 2)], true),
    ] {
        let answer = registry.report(report(notes)).await.unwrap().into_inner();
        assert_eq!(answer.proven, proven);
    }
    let findings = entries(&mut registry, &world, Kind::Finding).await;
    let [Act::Finding(finding)] = findings.as_slice() else {
        panic!("one of each kind and ledger: {findings:?}")
    };
    assert_eq!(finding.reported_by, "JO/GOV/mol/node/node1");
    assert_eq!(finding.notes, [shown(7, 1), shown(7, 3)]);
    let of_mol = vec![mol.ledger.checkpoint().note.clone()];
    assert_eq!(reason(registry.report(report(of_mol)).await), Reason::CheckpointInvalid);
    let none = wire::ReportRequest { finding: None };
    assert_eq!(reason(registry.report(none).await), Reason::RequestInvalid);
    world.finish(registry).await;
}
