//! The registry too may come back with an older disk: its nodes know, and exchanges go on without it.

use std::path::Path;

use jisr_proto::reason::Reason;
use jisr_proto::registry::{RegistryStatusRequest, RegistryStatusResponse};
use jisr_proto::status::Fault;
use jisr_tests::{Question, World, admission, until};

use crate::quick;
use crate::recovering::copy;

async fn status(world: &World) -> RegistryStatusResponse {
    let status = world.registry_admin().await.status(RegistryStatusRequest {}).await;
    status.unwrap().into_inner()
}

async fn admit(world: &World, code: &str) -> Result<(), Reason> {
    let admitted = world.does("first", admission(code)).await;
    admitted
        .map(drop)
        .map_err(|status| Fault::from_tonic(&status).unwrap().reason)
}

/// The registry's data directory.
fn data(world: &World) -> std::path::PathBuf {
    world.registry_ledger().parent().unwrap().to_owned()
}

fn restore(world: &World, backup: &Path) {
    std::fs::remove_dir_all(data(world)).unwrap();
    copy(backup, &data(world));
}

async fn cosigned(world: &World) {
    until(async || {
        let status = status(world).await;
        status.cosigned_size == status.size
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_goes_on_when_its_nodes_have_compared() {
    let mut world = quick(World::of_two().await, 10).await;
    cosigned(&world).await;
    for _ in 0..2 {
        world.stop_registry().await;
        world.start_registry().await;
        until(async || status(&world).await.state == "RUNNING").await;
        cosigned(&world).await;
    }
    admit(&world, "moh").await.unwrap();
    let question = Question::about("9901234567");
    world.caller().ask("Write", &question).await.expect("it is allowed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_was_rolled_back_seals_nothing_and_stops_no_exchange() {
    let mut world = quick(World::of_two().await, 10).await;
    cosigned(&world).await;
    let backup = world.dir.path().join("registry-backup");
    copy(&data(&world), &backup);
    admit(&world, "moh").await.unwrap();
    cosigned(&world).await;
    world.stop_registry().await;
    restore(&world, &backup);
    world.start_registry().await;
    until(async || status(&world).await.state == "QUARANTINED").await;
    let told = status(&world).await;
    assert!(told.state_text.contains("rolled back"), "{}", told.state_text);
    assert_eq!(admit(&world, "psd2").await, Err(Reason::Quarantined));
    let question = Question::about("9901234567");
    world
        .caller()
        .ask("Write", &question)
        .await
        .expect("no exchange needs the registry");
    world.stop_registry().await;
    world.start_registry().await;
    assert_eq!(status(&world).await.state, "QUARANTINED");
    world.end().await;
}
