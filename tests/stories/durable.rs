//! Every durable write of a registry and of a node, beside the ledger too, fails once before it reaches the disk and once after. After
//! the restart everything that was acknowledged stands, and nothing is half.
//!
//! Which writes there are is not listed here: a first run on a disk that counts tells.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use std::time::Duration;

use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::ledger::Fatal;
use jisr_proto::admin::PublishServiceRequest;
use jisr_proto::registry::RegistryStatusRequest;
use jisr_proto::snapshot::{ActApproval, AdministrativeAct};
use jisr_proto::statement::Kind;
use jisr_registry::{Registry, Storage};
use jisr_tests::{FaultyDisk, Moment, PROBE, PROVIDER, Question, World, admission, found, probe_schema, until};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::recovering::{back_up, restore};

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

/// The different writes among those that a disk took.
fn different(log: &[String]) -> BTreeSet<String> {
    log.iter().cloned().collect()
}

/// Each of the writes with each moment.
fn each(writes: BTreeSet<String>) -> impl Iterator<Item = (String, Moment)> {
    writes
        .into_iter()
        .flat_map(|write| MOMENTS.map(|moment| (write.clone(), moment)))
}

fn lacks<'a>(writes: &BTreeSet<String>, wanted: &[&'a str]) -> Vec<&'a str> {
    let has = |part: &&str| !writes.iter().any(|write| write.contains(*part));
    wanted.iter().copied().filter(has).collect()
}

async fn start_and_stop(config: &jisr_registry::Config, disk: &FaultyDisk) -> Result<(), jisr_registry::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let storage = Storage {
        disk: Arc::new(disk.clone()),
        fatal: Fatal::dangerous_hook(|error| eprintln!("fatal: {error}")),
    };
    let clock = Arc::new(SystemClock);
    let registry = Registry::start_on(config.clone(), clock, listener, storage, std::future::ready(())).await?;
    registry.finished().await
}

fn new_registry() -> (tempfile::TempDir, jisr_registry::Config) {
    let dir = tempfile::tempdir().unwrap();
    let (instance, epoch) = ("JO".parse().unwrap(), "2026".parse().unwrap());
    let (data, listen) = (dir.path().join("registry"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut config = jisr_registry::Config::new(instance, epoch, data, listen, vec!["127.0.0.1".to_owned()]);
    config.segment_bytes = 1 << 20;
    (dir, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_was_half_made_is_finished() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ((_dir, config), disk) = (new_registry(), FaultyDisk::default());
    found(&config, &clock, &disk).unwrap();
    let writes = different(&disk.log());
    let wanted = [
        "registry.secret",
        "keystore.toml",
        "ca-root.pem",
        "ca-issuing.crt",
        "founding",
        "anchor",
    ];
    assert!(lacks(&writes, &wanted).is_empty(), "{writes:#?}");
    for (write, moment) in each(writes) {
        let ((_dir, config), disk) = (new_registry(), FaultyDisk::default());
        disk.fail_at(&write, moment);
        let failed = found(&config, &clock, &disk);
        assert!(failed.is_err() && disk.stopped(), "{write} {moment:?}");
        let finished = found(&config, &clock, &FaultyDisk::default());
        // Where the last write reached the disk there is a registry, and whoever would make it is told so.
        let is_there = write.contains("anchor") && moment == Moment::After;
        assert_eq!(finished.is_err(), is_there, "{write} {moment:?}: {:?}", finished.err());
        start_and_stop(&config, &FaultyDisk::default()).await.unwrap();
    }
}

/// What the registry acknowledged.
#[derive(Default)]
struct Acknowledged {
    members: Vec<String>,
    version: u64,
}

impl Acknowledged {
    /// A member is admitted, and a service is published under a schema that the registry does not have.
    async fn more(&mut self, world: &World, member: &str) -> Option<()> {
        let proposed = world.does("first", admission(member)).await.ok()?;
        let approval = AdministrativeAct {
            approval: Some(ActApproval { act: proposed.act }),
            ..AdministrativeAct::default()
        };
        world.does("second", approval).await.ok()?;
        self.members.push(format!("JO/GOV/{member}"));
        let request = PublishServiceRequest {
            provider: PROVIDER.to_owned(),
            service: PROBE.to_owned(),
            schema: probe_schema(),
            ..PublishServiceRequest::default()
        };
        let published = world.party("psd").admin().await.publish(request).await.ok()?;
        self.version = published.into_inner().snapshot_version;
        Some(())
    }

    async fn stand(&self, world: &World, at: &str) {
        let status = world.registry_admin().await.status(RegistryStatusRequest {}).await;
        let status = status.unwrap().into_inner();
        for member in &self.members {
            assert!(status.members.contains(member), "{at}: {member}");
        }
        assert!(status.snapshot_version >= self.version, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_durable_write_of_a_registry_at_work_fails_before_and_after() {
    let mut world = World::of_two().await;
    world.registry_config().confirm_wait = Duration::from_millis(300);
    let schemas = world.registry_config().data.join("schemas");
    // As if nobody had published it yet.
    let forget_schema = || {
        for schema in std::fs::read_dir(&schemas).unwrap() {
            std::fs::remove_file(schema.unwrap().path()).unwrap();
        }
    };
    let mut acknowledged = Acknowledged::default();
    world.crash_registry().await;
    world.start_registry().await;
    until(async || world.registry_state().await == "RUNNING").await;
    forget_schema();
    acknowledged.more(&world, "m").await.unwrap();
    let writes = different(&world.registry_disk.log());
    let wanted = ["write segment", "replace schemas/#.fds", "replace registry/snapshot"];
    assert!(lacks(&writes, &wanted).is_empty(), "{writes:#?}");
    let mut failed = BTreeSet::new();
    for (number, (write, moment)) in each(writes).enumerate() {
        forget_schema();
        world.registry_disk.fail_at(&write, moment);
        let member = format!("m{number}");
        let more = acknowledged.more(&world, &member);
        drop(timeout(Duration::from_secs(5), more).await);
        if world.registry_disk.stopped() {
            failed.insert(write.clone());
        }
        world.crash_registry().await;
        world.start_registry().await;
        until(async || world.registry_state().await == "RUNNING").await;
        acknowledged.stand(&world, &format!("{write} {moment:?}")).await;
        for schema in std::fs::read_dir(&schemas).unwrap() {
            let path = schema.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "fds") {
                assert_eq!(std::fs::read(path).unwrap(), probe_schema(), "it is whole");
            }
        }
    }
    assert!(lacks(&failed, &wanted).is_empty(), "{failed:#?}");
    world.end().await;
}

/// Two nodes, one of which is to fail; both follow each other closely, and what that one holds is mirrored.
async fn two_of_whom_fails(code: &str) -> World {
    let mut world = World::of_two().await;
    let mirror = world.dir.path().join("mirror");
    world.stop_node(code).await;
    let settings = format!(
        "[receipts]\nsend_ms = 50\n\n[reconcile]\nwindow_s = 1\ngrace_s = 0\n\n[[mirror]]\nurl = \"file://{}\"\ninterval_ms = 50\n\n\
         [ledger]\n",
        mirror.display()
    );
    world.reconfigure(code, "[ledger]\n", &settings);
    world
}

/// Exchanges, and a change of the snapshot, until the disk of `code` has stopped or for some seconds. Returns the exchanges that
/// were answered.
async fn work(world: &World, code: &str, member: &str) -> Vec<String> {
    let mut answered = Vec::new();
    let working = async {
        drop(
            timeout(
                Duration::from_secs(10),
                world.party(code).node.as_ref().unwrap().taking_part(),
            )
            .await,
        );
        let caller = world.caller();
        for method in ["Write", "Read"] {
            answered.extend(
                caller
                    .ask(method, &Question::about("9901234567"))
                    .await
                    .map(|a| a.exchange),
            );
        }
        world.admit(member).await;
        // Receipts, proofs, a closed window, the mirror.
        tokio::time::sleep(Duration::from_millis(2500)).await;
    };
    let stopped = async {
        while !world.party(code).disk.stopped() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = working => {}
        () = stopped => {}
    }
    answered
}

/// Each durable write of a node at work fails, from its start on; `wanted` must be among them.
async fn fails(code: &str, wanted: &[&str]) {
    let mut world = two_of_whom_fails(code).await;
    world.start_node(code).await;
    let mut answered = work(&world, code, "a").await;
    assert_eq!(answered.len(), 2);
    let writes = different(&world.party(code).disk.log());
    assert!(lacks(&writes, wanted).is_empty(), "{writes:#?}");
    world.stop_node(code).await;
    let mut failed = BTreeSet::new();
    for (number, (write, moment)) in each(writes).enumerate() {
        let disk = FaultyDisk::default();
        disk.fail_at(&write, moment);
        if world.open_node_on(code, disk.clone()).await.is_ok() {
            answered.extend(work(&world, code, &format!("a{number}")).await);
        }
        if disk.stopped() {
            failed.insert(write.clone());
        }
        disk.release();
        world.crash_node(code).await;
        world.start_node(code).await;
        for exchange in &answered {
            let closed = world.kinds("mol", exchange).contains(&Kind::Delivered);
            assert!(closed, "{write} {moment:?}: mol lacks {exchange}");
            let closed = world.kinds("psd", exchange).contains(&Kind::Answered);
            assert!(closed, "{write} {moment:?}: psd lacks {exchange}");
        }
        until(async || {
            world
                .caller()
                .ask("Write", &Question::about("9901234567"))
                .await
                .is_ok()
        })
        .await;
        world.stop_node(code).await;
    }
    assert!(lacks(&failed, wanted).is_empty(), "{failed:#?}");
    world.start_node(code).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_durable_write_of_a_provider_fails_before_and_after() {
    let wanted = [
        "write segment",
        "replace snapshots/#",
        "replace snapshot/changes",
        "witness/",
        "extend segments/#.seg",
    ];
    fails("psd", &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_whose_mark_is_lost_is_found_again() {
    let mut world = World::of_two().await;
    let ask = async |world: &World| world.caller().ask("Write", &Question::about("9901234567")).await;
    ask(&world).await.unwrap();
    world.stop_node("psd").await;
    let backup = back_up(&world, "psd");
    world.start_node("psd").await;
    ask(&world).await.unwrap();
    world.stop_node("psd").await;
    for moment in MOMENTS {
        restore(&world, "psd", &backup);
        let disk = FaultyDisk::default();
        disk.fail_at("replace psd/quarantine", moment);
        world.open_node_on("psd", disk.clone()).await.unwrap();
        until(async || disk.stopped()).await;
        disk.release();
        world.crash_node("psd").await;
        world.open_node("psd").await;
        until(async || world.party("psd").status().await.state == "QUARANTINED").await;
        world.stop_node("psd").await;
    }
    world.end().await;
}
