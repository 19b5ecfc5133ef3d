//! A node that comes back with an older disk seals nothing: whoever holds more of its ledger is asked first.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jisr_ledger::statement::Draft;
use jisr_node::quarantine::Quarantine;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Kind, Resumed};
use jisr_tests::{Question, Rogue, World, reason_of, refused, until};
use prost::Message as _;

use crate::quick;

fn question() -> Question {
    Question::about("9901234567")
}

async fn ask(world: &World) {
    world.caller().ask("Write", &question()).await.expect("it is allowed");
}

/// A copy of a directory as it lies there.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&path, &to);
        } else if kind.is_file() {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// A copy of a member's data directory beside it.
pub(crate) fn back_up(world: &World, code: &str) -> PathBuf {
    let to = world.dir.path().join(format!("{code}-backup"));
    copy(&world.party(code).dir, &to);
    // A clone of the machine has the secret of its keys too.
    std::fs::copy(
        world.party(code).dir.with_extension("secret"),
        to.with_extension("secret"),
    )
    .unwrap();
    to
}

/// The member's data directory becomes what the backup holds.
pub(crate) fn restore(world: &World, code: &str, backup: &Path) {
    let dir = &world.party(code).dir;
    std::fs::remove_dir_all(dir).unwrap();
    copy(backup, dir);
}

/// Starts the restored psd and waits for its quarantine. Nothing was appended, and whoever asks is told why. Returns how long it
/// took.
async fn quarantined(world: &mut World) -> Duration {
    let before = world.statements("psd").len();
    let begun = Instant::now();
    world.open_node("psd").await;
    until(async || world.party("psd").status().await.state == "QUARANTINED").await;
    let took = begun.elapsed();
    let status = world.party("psd").status().await;
    assert!(status.state_text.contains("rolled back"), "{}", status.state_text);
    let told = world
        .caller_of("psd", "JO/GOV/psd/residency")
        .ask("Read", &question())
        .await;
    assert_eq!(reason_of(&told.unwrap_err()), Reason::Quarantined);
    assert_eq!(world.statements("psd").len(), before, "nothing was sealed");
    let mark = Quarantine::read(&world.party("psd").dir)
        .unwrap()
        .expect("the mark is durable");
    assert!(mark.shown_size > mark.own_size);
    took
}

/// The restored psd stays in quarantine over a restart, also where nobody can be asked any more.
async fn stays_so(mut world: World) {
    world.stop_node("psd").await;
    world.open_node("psd").await;
    assert_eq!(world.party("psd").status().await.state, "QUARANTINED");
    world.stop_node("psd").await;
    // An older copy of a ledger is a ledger: what is wrong with it is only that others hold more.
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_backup_is_quarantined_where_only_a_peer_can_be_asked() {
    let mut world = World::of_two().await;
    ask(&world).await;
    world.stop_node("psd").await;
    let backup = back_up(&world, "psd");
    world.start_node("psd").await;
    ask(&world).await;
    world.stop_node("psd").await;
    restore(&world, "psd", &backup);
    world.stop_registry().await;
    // Found by the comparison of Hello: mol holds a seal that psd's disk does not know.
    let took = quarantined(&mut world).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    let told = refused(world.caller().ask("Read", &question()).await, Reason::Quarantined);
    assert_eq!(told.party, "PEER");
    world.start_registry().await;
    stays_so(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_backup_is_quarantined_where_only_the_registry_can_be_asked() {
    let mut world = World::of_two().await;
    ask(&world).await;
    world.stop_node("psd").await;
    let backup = back_up(&world, "psd");
    world.start_node("psd").await;
    ask(&world).await;
    let cosigned = async || {
        let status = world.party("psd").status().await;
        status.cosigned_size == status.ledger_size
    };
    until(cosigned).await;
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
    }
    restore(&world, "psd", &backup);
    // Found by the registry's Hello: as a witness it cosigned more.
    let took = quarantined(&mut world).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    stays_so(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_was_rolled_back_under_a_running_node_is_quarantined() {
    let mut world = World::of_two().await;
    ask(&world).await;
    // As a snapshot of a virtual machine takes it: no file is closed, some are half written.
    let snapshot = back_up(&world, "psd");
    ask(&world).await;
    world.crash_node("psd").await;
    restore(&world, "psd", &snapshot);
    let took = quarantined(&mut world).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    stays_so(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_of_the_machine_ends_in_quarantine() {
    let mut world = quick(World::of_two().await, 60).await;
    ask(&world).await;
    let copy = back_up(&world, "mol");
    // The copy goes on under the same keys, and a witness sees it first.
    let clone = Rogue::cloned(&copy).await;
    for _ in 0..20 {
        clone.sealed(Draft::new(clone.core())).await;
    }
    clone.cosigned_by(&world, "psd").await;
    let begun = Instant::now();
    // Found by the next Hello, or the next round of cosigning: psd shows mol's own signature on what its disk does not hold.
    until(async || world.party("mol").status().await.state == "QUARANTINED").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let told = world.caller().ask("Read", &question()).await.unwrap_err();
    assert_eq!(reason_of(&told), Reason::Quarantined);
    drop(clone);
    world.stop_node("mol").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_waits_until_somebody_confirms() {
    let mut world = World::of_two().await;
    ask(&world).await;
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
    }
    world.stop_registry().await;
    let before = world.statements("mol").len();
    world.open_node("mol").await;
    let waits = async || {
        let status = world.party("mol").status().await;
        status.state == "RECOVERING" && status.state_text.contains("0 answered")
    };
    until(waits).await;
    refused(world.caller().ask("Read", &question()).await, Reason::Recovering);
    assert_eq!(world.statements("mol").len(), before, "nothing was sealed");
    world.start_registry().await;
    until(async || world.party("mol").status().await.state == "RUNNING").await;
    assert_eq!(confirmed_by(&world, "mol"), "JO/registry");
    world.start_node("psd").await;
    ask(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_start_cold_confirm_each_other() {
    let mut world = World::of_two().await;
    ask(&world).await;
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
    }
    world.stop_registry().await;
    for code in ["mol", "psd"] {
        world.open_node(code).await;
    }
    for code in ["mol", "psd"] {
        until(async || world.party(code).status().await.state == "RUNNING").await;
    }
    ask(&world).await;
    assert_eq!(confirmed_by(&world, "mol"), "JO/GOV/psd/node/node1");
    assert_eq!(confirmed_by(&world, "psd"), "JO/GOV/mol/node/node1");
    world.start_registry().await;
    world.end().await;
}

/// Who confirmed the last start.
fn confirmed_by(world: &World, code: &str) -> String {
    let resumed = |stood: &jisr_tests::Stood| stood.core.kind() == Kind::Resumed;
    let last = world
        .statements(code)
        .into_iter()
        .rfind(resumed)
        .expect("it was started again");
    Resumed::decode(last.act).unwrap().confirmed_by
}
