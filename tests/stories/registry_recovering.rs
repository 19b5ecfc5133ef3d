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

/// How many entries of the registry's ledger a node has read.
fn read_by(world: &World, code: &str) -> u64 {
    let next = std::fs::read_to_string(world.party(code).dir.join("registry-ledger/next"));
    next.map_or(0, |next| next.split(' ').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_restored_from_an_old_backup_gets_back_what_its_nodes_read() {
    let mut world = quick(World::of_two().await, 10).await;
    cosigned(&world).await;
    let backup = world.dir.path().join("registry-backup");
    copy(&data(&world), &backup);
    for code in ["moh", "moi"] {
        world.admit(code).await;
    }
    let token = world.token("moh").await;
    cosigned(&world).await;
    let size = status(&world).await.size;
    until(async || read_by(&world, "mol") >= size && read_by(&world, "psd") >= size).await;
    world.stop_registry().await;
    restore(&world, &backup);
    let question = Question::about("9901234567");
    world.caller().ask("Write", &question).await.expect("it is away");
    world.start_registry().await;
    until(async || status(&world).await.state_text.contains("restart the registry")).await;
    assert_eq!(status(&world).await.state, "QUARANTINED");
    world
        .caller()
        .ask("Write", &question)
        .await
        .expect("no exchange needs it");
    world.stop_registry().await;
    world.start_registry().await;
    until(async || status(&world).await.state == "RUNNING").await;
    assert!(status(&world).await.size > size, "and RESUMED behind it");
    assert_eq!(admit(&world, "moh").await, Err(Reason::AlreadyAdmitted));
    // The token that the backup did not know is good, and the newcomer joins the same history.
    world.prepare("moh", "").await;
    world.enrol("moh", &token).await.expect("nothing is lost");
    world.start_node("moh").await;
    let version = world.party("moh").status().await.snapshot_version;
    world.until_all_hold(version).await;
    world.caller().ask("Write", &question).await.expect("and it goes on");
    for code in ["mol", "psd"] {
        let forked = |finding: &jisr_proto::statement::Finding| {
            use jisr_proto::statement::FindingKind as Kind;
            matches!(
                finding.kind(),
                Kind::LedgerForked | Kind::LedgerRolledBack | Kind::SnapshotForked
            )
        };
        assert!(
            !world.findings(code).iter().any(forked),
            "{code}: {:?}",
            world.findings(code)
        );
    }
    world.end().await;
}
