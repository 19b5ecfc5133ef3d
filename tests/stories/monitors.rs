//! Every node watches what the registry says of its own member.

use jisr_node::setup;
use jisr_tests::{PROVIDER, World, until};

/// Lets the registry list another node of mol, in a directory of its own.
async fn another_node(world: &World, name: &str) {
    let dir = world.dir.path().join(name);
    std::fs::create_dir(&dir).unwrap();
    let toml = std::fs::read_to_string(world.party("mol").dir.join("node.toml")).unwrap();
    std::fs::write(
        dir.join("node.toml"),
        toml.replace("/node/node1", &format!("/node/{name}")),
    )
    .unwrap();
    let token = world.token_for(format!("JO/GOV/mol/node/{name}")).await;
    setup::enrol(&dir, &token, world.clock.now_us()).await.unwrap();
}

async fn findings(world: &World, code: &str) -> u64 {
    world.party(code).status().await.findings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_its_member_did_not_ask_for_is_found_by_the_member_alone() {
    let mut world = World::of_two().await;
    world.stop_node("mol").await;
    world.reconfigure("mol", "[ledger]\n", "[watch]\nnodes = [\"node2\"]\n\n[ledger]\n");
    world.start_node("mol").await;
    another_node(&world, "node2").await;
    let version = world.party("mol").status().await.snapshot_version;
    world.until_all_hold(version).await;
    assert_eq!(findings(&world, "mol").await, 0, "this one was announced");
    another_node(&world, "node3").await;
    until(async || findings(&world, "mol").await == 1).await;
    // Further snapshots say nothing new.
    world.publish("mol", "JO/GOV/mol/probe").await;
    assert_eq!(findings(&world, "mol").await, 1, "said once");
    assert_eq!(findings(&world, "psd").await, 0, "it is no matter of psd's");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_member_asked_for_is_no_finding() {
    let mut world = World::new().await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    let agreement = world.agree_usual().await;
    world.revoke_agreement("mol", &agreement).await;
    world.agree_usual().await;
    world.publish("mol", "JO/GOV/mol/probe").await;
    for code in ["mol", "psd"] {
        assert_eq!(findings(&world, code).await, 0, "{code}");
    }
    world.end().await;
}
