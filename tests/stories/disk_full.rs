//! Nothing is exchanged that cannot be logged.

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Question, World, refused, until};

fn question() -> Question {
    Question::about("9901234567")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_disk_is_full_asks_nothing() {
    let world = World::of_two().await;
    world.party("mol").disk.set_full(true);
    for method in ["Read", "Write"] {
        let told = refused(world.caller().ask(method, &question()).await, Reason::LedgerFull);
        assert_eq!(told.party, "OWN_NODE");
        assert_eq!(world.kinds("psd", &told.exchange), []);
    }
    assert_eq!(world.party("psd").backend.calls(), 0);
    world.party("mol").disk.set_full(false);
    until(async || world.caller().ask("Write", &question()).await.is_ok()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_disk_is_full_runs_nothing() {
    let world = World::of_two().await;
    world.party("psd").disk.set_full(true);
    let told = refused(world.caller().ask("Write", &question()).await, Reason::LedgerFull);
    assert_eq!(told.party, "PEER", "not this node's disk");
    until(async || world.kinds("mol", &told.exchange) == [Kind::Asked, Kind::Failed]).await;
    assert_eq!(world.kinds("psd", &told.exchange), []);
    assert_eq!(world.party("psd").backend.calls(), 0);
    let read = refused(world.caller().ask("Read", &question()).await, Reason::LedgerFull);
    assert_eq!(
        world.kinds("psd", &read.exchange),
        [],
        "what cannot be logged is not shown"
    );
    world.party("psd").disk.set_full(false);
    until(async || world.caller().ask("Write", &question()).await.is_ok()).await;
    world.end().await;
}
