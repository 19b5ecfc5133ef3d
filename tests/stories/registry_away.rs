//! No central party stands on the path of an exchange, but nobody works from a picture that has expired.

use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_proto::reason::Reason;
use jisr_tests::{PROVIDER, Question, Relay, World, refused, until};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn question() -> Question {
    Question::about("9901234567")
}

async fn health(world: &World) -> ServingStatus {
    let mut client = HealthClient::new(world.caller().channel());
    let told = client
        .check(HealthCheckRequest::default())
        .await
        .expect("the door is open");
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
    world
        .caller()
        .ask("Read", &question())
        .await
        .expect("the registry is not on the path");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_says_how_long_the_snapshot_holds_while_the_registry_is_away() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_lifetime(clock.clone(), Duration::from_secs(72 * 3600)).await;
    world.join("mol").await;
    let alarm = async |world: &World| world.party("mol").status().await.snapshot_alarm;
    until(async || alarm(&world).await == "OK").await;
    world.stop_registry().await;
    for (hours, told) in [(25, "48H"), (36, "12H"), (10, "1H"), (2, "EXPIRED")] {
        clock.advance(hours * 3_600_000_000);
        until(async || alarm(&world).await == told).await;
    }
    world.start_registry().await;
    until(async || alarm(&world).await == "OK").await;
    let status = world.party("mol").status().await;
    let named: Vec<_> = status.certificates.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(named, ["tls", "seal", "issuing", "root"]);
    assert!(
        status.disk_free_bytes > 0 && status.disk_reserve_bytes > 0,
        "{status:?}"
    );
    world.end().await;
}

/// A network in which psd's line to the registry can be cut.
async fn provider_cut_off(clock: Arc<ManualClock>) -> (World, Relay) {
    let mut world = World::with_lifetime(clock, Duration::from_secs(3600)).await;
    let relay = Relay::to(world.registry_address()).await;
    world.join("mol").await;
    world.admit("psd").await;
    world.prepare("psd", "").await;
    let token = world.token("psd").await;
    world.enrol("psd", &token).await.expect("the token is good");
    let (direct, through) = (world.registry_address().to_string(), relay.address().to_string());
    world.reconfigure("psd", &direct, &through);
    world.start_node("psd").await;
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    relay.cut(true);
    (world, relay)
}

/// Something changes, and the members that can hear of it do.
async fn news(world: &World) {
    let before = world.party("mol").status().await.snapshot_version;
    world.admit("moh").await;
    until(async || world.party("mol").status().await.snapshot_version > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_holds_an_older_snapshot_fetches_the_newer_one_or_refuses() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let (world, relay) = provider_cut_off(clock).await;
    news(&world).await;
    let told = refused(world.caller().ask("Read", &question()).await, Reason::SnapshotBehind);
    assert_eq!(told.party, "PEER", "not this node, the other one");
    assert_eq!(world.kinds("psd", &told.exchange), []);
    assert_eq!(world.party("psd").backend.calls(), 0);
    relay.cut(false);
    until(async || world.caller().ask("Read", &question()).await.is_ok()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_snapshot_has_expired_refuses_on_its_own() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let (world, relay) = provider_cut_off(clock.clone()).await;
    clock.advance(3_000_000_000);
    news(&world).await;
    clock.advance(1_200_000_000);
    let told = refused(world.caller().ask("Write", &question()).await, Reason::SnapshotExpired);
    assert_eq!(told.party, "REGISTRY");
    assert_eq!(world.kinds("psd", &told.exchange), []);
    relay.cut(false);
    until(async || world.caller().ask("Write", &question()).await.is_ok()).await;
    assert_eq!(world.party("psd").backend.calls(), 1);
    world.end().await;
}
