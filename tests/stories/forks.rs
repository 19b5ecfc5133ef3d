//! A member that shows two histories, or an older one than before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jisr_proto::peer::{HelloResponse, ProveResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{FindingKind, Kind};
use jisr_tests::{Door, Question, Rogue, World, refused, until};

use crate::quick;

/// mol asked psd as it should, and turns rogue; its peer door goes on answering.
async fn mol_turns() -> (World, Arc<Rogue>, Door) {
    let mut world = quick(World::of_two().await, 60).await;
    world
        .caller()
        .ask("Write", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    let address = world.party("mol").node.as_ref().unwrap().peer_address();
    let rogue = Arc::new(Rogue::takes_over(&mut world, "mol").await);
    let door = Arc::clone(&rogue)
        .serve(address, |_, _| async { ProveResponse::default() })
        .await;
    (world, rogue, door)
}

/// The one FINDING of psd about mol's ledger.
async fn found(world: &World, kind: FindingKind) {
    until(async || !world.findings("psd").is_empty()).await;
    let findings = world.findings("psd");
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!(finding.kind(), kind);
    assert_eq!(finding.origin, "jisr/JO/GOV/mol/node1/2026");
    assert_eq!(finding.notes.len(), 2, "both checkpoints prove it");
}

/// Neither side of an exchange with mol goes on at psd, and what is refused outlasts a restart.
async fn end(mut world: World, rogue: Arc<Rogue>, door: Door) {
    let mut line = rogue.connect(&world, "psd").await.unwrap();
    let greeted = line.call::<_, HelloResponse>("Hello", &rogue.hello()).await;
    if greeted.is_ok() {
        let asked = Rogue::request(rogue.asked(rogue.core()).await);
        assert_eq!(line.exchange(&asked).await.unwrap_err(), Reason::PeerLedgerForked);
    }
    let status = world.party("psd").status().await;
    let peer = status
        .peers
        .iter()
        .find(|peer| peer.node == "JO/GOV/mol/node/node1")
        .unwrap();
    assert_eq!((peer.refused.as_str(), status.findings), ("PEER_LEDGER_FORKED", 1));
    world.stop_node("psd").await;
    world.start_node("psd").await;
    let status = world.party("psd").status().await;
    assert!(status.peers.first().unwrap().refused == "PEER_LEDGER_FORKED");
    drop((door, rogue));
    world.parties.remove("mol");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_trees_of_one_size_are_found_at_once() {
    let (world, rogue, door) = mol_turns().await;
    rogue.greet(&world, "psd").await;
    // psd has checked this size: the next Hello with another root is the proof.
    let size = rogue.ledger.size();
    until(async || checked(&world).await == size).await;
    rogue.show(rogue.another_tree(size));
    let mut line = rogue.connect(&world, "psd").await.unwrap();
    let told = line.call::<_, HelloResponse>("Hello", &rogue.hello()).await;
    assert_eq!(told.unwrap_err(), Reason::PeerLedgerForked);
    found(&world, FindingKind::LedgerForked).await;
    end(world, rogue, door).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_found_by_the_next_comparison() {
    let (world, rogue, door) = mol_turns().await;
    until(async || checked(&world).await == rogue.ledger.size()).await;
    rogue.show(rogue.another_tree(rogue.ledger.size() + 5));
    let begun = Instant::now();
    until(async || world.party("psd").status().await.findings > 0).await;
    // psd asks by itself: every second under traffic here, two seconds idle.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    found(&world, FindingKind::LedgerForked).await;
    end(world, rogue, door).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_became_shorter_is_found_by_the_next_comparison() {
    let (world, rogue, door) = mol_turns().await;
    until(async || checked(&world).await == rogue.ledger.size()).await;
    rogue.show(rogue.another_tree(rogue.ledger.size() - 1));
    found(&world, FindingKind::LedgerRolledBack).await;
    end(world, rogue, door).await;
}

/// Size at which psd checked mol's ledger last.
async fn checked(world: &World) -> u64 {
    let status = world.party("psd").status().await;
    let peer = status.peers.iter().find(|peer| peer.node == "JO/GOV/mol/node/node1");
    peer.map_or(0, |peer| peer.checked_size)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_asks_no_provider_whose_ledger_is_forked() {
    let mut world = quick(World::of_two().await, 60).await;
    let ask = async |world: &World| world.caller().ask("Write", &Question::about("9901234567")).await;
    ask(&world).await.expect("it is allowed");
    let address = world.party("psd").node.as_ref().unwrap().peer_address();
    let rogue = Arc::new(Rogue::takes_over(&mut world, "psd").await);
    let door = Arc::clone(&rogue)
        .serve(address, |_, _| async { ProveResponse::default() })
        .await;
    rogue.show(rogue.another_tree(rogue.ledger.size() + 1));
    until(async || !world.findings("mol").is_empty()).await;
    let asked = |world: &World| {
        let statements = world.statements("mol").into_iter();
        statements.filter(|stood| stood.core.kind() == Kind::Asked).count()
    };
    let before = asked(&world);
    refused(ask(&world).await, Reason::PeerLedgerForked);
    assert_eq!(asked(&world), before, "nothing was asked");
    drop((door, rogue));
    world.parties.remove("psd");
    world.end().await;
}
