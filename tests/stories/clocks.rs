//! Nodes whose clocks differ by more than is allowed do not exchange, and are told both times.

use std::sync::Arc;

use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Question, World, refused, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_or_behind_is_named() {
    let common = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_clock(common.clone()).await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", jisr_tests::PROVIDER).await;
    world.agree_usual().await;
    let question = Question::about("9901234567");
    world.stop_node("mol").await;
    let other = Arc::new(ManualClock::new(common.now_us()));
    world.start_node_by("mol", other.clone()).await;
    world.caller().ask("Read", &question).await.expect("the clocks agree");
    other.advance(59_000_000);
    world
        .caller()
        .ask("Read", &question)
        .await
        .expect("within what is allowed");
    other.advance(2_000_000);
    let ahead = refused(world.caller().ask("Read", &question).await, Reason::ClockSkew);
    assert!(ahead.detail.contains(&common.now_us().to_string()), "{ahead:?}");
    assert!(ahead.detail.contains(&other.now_us().to_string()), "{ahead:?}");
    // Now the provider's clock runs away: the question has expired before it comes.
    common.advance(300_000_000);
    let behind = refused(world.caller().ask("Write", &question).await, Reason::Expired);
    assert!(behind.detail.contains(&common.now_us().to_string()), "{behind:?}");
    for told in [ahead, behind] {
        assert_eq!(
            world.kinds("psd", &told.exchange),
            [],
            "an expired question could come again and again"
        );
        until(async || world.kinds("mol", &told.exchange) == [Kind::Asked, Kind::Failed]).await;
    }
    assert_eq!(world.party("psd").backend.calls(), 2);
    world.end().await;
}
