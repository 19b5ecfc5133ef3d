//! No central party stands on the path of an exchange, but nobody works from a picture that has expired.

use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_proto::reason::Reason;
use jisr_tests::{PROVIDER, Question, World, refused, until};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn question() -> Question {
    Question::about("9901234567")
}

async fn health(world: &World) -> ServingStatus {
    let mut client = HealthClient::new(world.caller().channel());
    let told = client.check(HealthCheckRequest::default()).await.expect("the door is open");
    told.into_inner().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_go_on_until_the_snapshot_expires_and_resume_with_the_registry() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_lifetime(clock.clone(), Duration::from_secs(3600)).await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    until(async || health(&world).await == ServingStatus::Serving).await;
    world.stop_registry().await;
    world.caller().ask("Read", &question()).await.expect("the registry is not on the path");
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
        world.start_node(code).await;
    }
    world.caller().ask("Write", &question()).await.expect("nor at a start");
    clock.advance(3_600_000_000);
    let told = refused(world.caller().ask("Read", &question()).await, Reason::SnapshotExpired);
    assert_eq!(told.party, "REGISTRY");
    assert!(told.detail.contains("expired"), "{told:?}");
    assert_eq!(world.party("psd").backend.calls(), 2);
    until(async || health(&world).await == ServingStatus::NotServing).await;
    world.start_registry().await;
    until(async || world.caller().ask("Read", &question()).await.is_ok()).await;
    until(async || health(&world).await == ServingStatus::Serving).await;
    world.end().await;
}
