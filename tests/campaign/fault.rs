//! What goes wrong, and how it is done to a node.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jisr_ledger::clock::{Clock, SystemClock};
use jisr_tests::{Moment, World, until};

use crate::dice::Dice;

/// The members of the network.
pub(crate) const MEMBERS: [&str; 3] = ["mol", "psd", "ssc"];

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The process ends at once.
    Killed,
    /// Of a write only its first sectors reach the disk, and the machine loses power.
    Torn { nth: u64, sectors: u64 },
    /// A write reports that it failed; it did, or it did not.
    FailedSync { nth: u64, reached: bool },
    /// The disk stops around a write, and the process ends.
    Stopped { nth: u64, reached: bool },
    /// The disk takes nothing for a while.
    Full { ms: u64 },
    /// The clock jumps, and later back.
    ClockStep { seconds: i64, ms: u64 },
    /// A write hangs for a while, as in a process that is paused.
    Paused { nth: u64, ms: u64 },
    /// The data directory is put back to what it was some time before, and later to its newest state.
    RolledBack { ms: u64 },
    /// The registry is away for a while, and a node is killed meanwhile.
    RegistryAway { ms: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Fault {
    /// Any of them.
    pub(crate) fn any(dice: &mut Dice) -> Fault {
        let nth = dice.below(12);
        let ms = 100 + dice.below(500);
        let reached = dice.below(2) == 1;
        match dice.below(12) {
            0 | 1 => Fault::Killed,
            2 | 3 => Fault::Torn {
                nth,
                sectors: dice.below(16),
            },
            4 => Fault::FailedSync { nth, reached },
            5 | 6 => Fault::Stopped { nth, reached },
            7 => Fault::Full { ms },
            8 => Fault::ClockStep {
                seconds: dice.one(&[-3600, -90, -30, 30, 90]),
                ms,
            },
            9 => Fault::Paused { nth, ms },
            10 => Fault::RolledBack { ms },
            _ => Fault::RegistryAway { ms },
        }
    }
}

/// A clock that can be set wrong.
#[derive(Debug, Default)]
pub(crate) struct WrongClock(AtomicI64);

impl WrongClock {
    fn step(&self, by_s: i64) {
        self.0.fetch_add(by_s * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for WrongClock {
    fn now_us(&self) -> u64 {
        SystemClock
            .now_us()
            .saturating_add_signed(self.0.load(Ordering::SeqCst))
    }
}

/// Does it to this node. When it returns, the node runs again.
pub(crate) async fn strike(world: &mut World, code: &str, clock: &Arc<WrongClock>, fault: Fault) {
    match fault {
        Fault::Killed => restart(world, code, clock).await,
        Fault::Torn { nth, sectors } => {
            let sectors = usize::try_from(sectors).expect("a small number");
            world.party(code).disk.tear_at(number(nth), sectors);
            stopped(world, code).await;
            restart(world, code, clock).await;
        }
        Fault::FailedSync { nth, reached } => {
            world.party(code).disk.fail_at_nth(number(nth), moment(reached));
            stopped(world, code).await;
            restart(world, code, clock).await;
        }
        Fault::Stopped { nth, reached } => {
            world.party(code).disk.stop_at(number(nth), moment(reached));
            stopped(world, code).await;
            restart(world, code, clock).await;
        }
        Fault::Full { ms } => {
            world.party(code).disk.set_full(true);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            world.party(code).disk.set_full(false);
        }
        Fault::ClockStep { seconds, ms } => {
            clock.step(seconds);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            clock.step(-seconds);
        }
        Fault::Paused { nth, ms } => {
            world.party(code).disk.hold_at(number(nth));
            tokio::time::sleep(Duration::from_millis(ms)).await;
            world.party(code).disk.release();
        }
        Fault::RolledBack { ms } => roll_back(world, code, clock, ms).await,
        Fault::RegistryAway { ms } => {
            world.stop_registry().await;
            restart(world, code, clock).await;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            world.start_registry().await;
        }
    }
}

fn number(nth: u64) -> i64 {
    i64::try_from(nth).expect("a small number")
}

fn moment(reached: bool) -> Moment {
    if reached { Moment::After } else { Moment::Before }
}

/// Waits until the planned write came; under load it comes soon, and at the latest with the next checkpoint.
async fn stopped(world: &World, code: &str) {
    let disk = &world.party(code).disk;
    let came = tokio::time::timeout(Duration::from_secs(5), async {
        while !disk.stopped() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    // A node that writes nothing for so long is simply killed.
    drop(came.await);
}

async fn restart(world: &mut World, code: &str, clock: &Arc<WrongClock>) {
    world.crash_node(code).await;
    world.start_node_by(code, Arc::clone(clock) as Arc<dyn Clock>).await;
}

/// An old copy of the data directory is started: it must seal nothing. Then the newest state comes back.
async fn roll_back(world: &mut World, code: &str, clock: &Arc<WrongClock>, ms: u64) {
    let data = world.party(code).dir.clone();
    let (old, newest) = (data.with_extension("old"), data.with_extension("newest"));
    world.stop_node(code).await;
    copy(&data, &old);
    world.start_node_by(code, Arc::clone(clock) as Arc<dyn Clock>).await;
    running(world, code).await;
    // What happens now is not in the old copy.
    tokio::time::sleep(Duration::from_millis(ms)).await;
    world.stop_node(code).await;
    std::fs::rename(&data, &newest).expect("a directory can be renamed");
    std::fs::rename(&old, &data).expect("a directory can be renamed");
    let restored = jisr_tests::statements_in(&data.join("ledger")).len();
    world.open_node(code).await;
    until(async || world.party(code).status().await.state == "QUARANTINED").await;
    world.stop_node(code).await;
    let after = jisr_tests::statements_in(&data.join("ledger")).len();
    assert_eq!(after, restored, "{code}: a rolled-back ledger sealed something");
    let rolled = data.with_extension(format!("rolled-{}", SystemClock.now_us()));
    std::fs::rename(&data, &rolled).expect("a directory can be renamed");
    std::fs::rename(&newest, &data).expect("a directory can be renamed");
    world.start_node_by(code, Arc::clone(clock) as Arc<dyn Clock>).await;
}

/// Waits until a node has been confirmed by somebody.
pub(crate) async fn running(world: &World, code: &str) {
    until(async || world.party(code).status().await.state == "RUNNING").await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    let permissions = std::fs::metadata(from).expect("it is there").permissions();
    std::fs::set_permissions(to, permissions).expect("it is ours");
    for entry in std::fs::read_dir(from).expect("a directory can be read") {
        let entry = entry.expect("a directory can be read");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("a file has a type");
        if kind.is_dir() {
            copy(&path, &to);
        } else if kind.is_file() {
            std::fs::copy(&path, &to).expect("a file can be copied");
        }
    }
}
