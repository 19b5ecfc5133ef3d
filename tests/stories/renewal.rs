//! TLS certificates are renewed by the nodes themselves, while exchanges go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_proto::snapshot::CertificateAct;
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, PROVIDER, Question, World, statements_in, until};
use prost::Message as _;
use tokio::sync::RwLock;

const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 86_400 * SECOND_US;
/// From issuance until less than a third of a week is left.
const THIRD_LEFT_US: u64 = 4 * DAY_US + DAY_US * 3 / 4;
/// From there until less than a sixth is left.
const LATER_US: u64 = DAY_US + DAY_US / 8;
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const NODES: [&str; 2] = ["mol", "psd"];

fn question() -> Question {
    Question::about("9901234567")
}

/// Two members whose TLS certificates live for a week, on a clock that the story moves.
async fn of_a_week() -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_tls_days(clock.clone(), YEAR, 7).await;
    for code in NODES {
        world.join(code).await;
    }
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    (world, clock)
}

async fn ends_us(world: &World, code: &str) -> u64 {
    world.party(code).status().await.tls_certificate_expires_us
}

/// What the registry's ledger says of certificates after enrolment.
fn acts(world: &World) -> Vec<CertificateAct> {
    let all = statements_in(&world.registry_ledger()).into_iter();
    let acts = all.filter(|stood| stood.core.kind() == Kind::CertificateIssued);
    acts.map(|stood| CertificateAct::decode(stood.act).expect("an act of its kind"))
        .collect()
}

fn issued(world: &World) -> usize {
    acts(world).iter().filter(|act| !act.certificate.is_empty()).count()
}

fn retired(world: &World) -> usize {
    acts(world).iter().filter(|act| act.certificate.is_empty()).count()
}

/// Asks without a pause from several tasks until told to stop; while `gate` is held nothing is under way, so that a jump of the clock
/// by days meets no exchange, which would be days old.
struct Load {
    gate: Arc<RwLock<()>>,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(world: &World) -> Load {
        let (gate, stop, asked) = (
            Arc::default(),
            Arc::<AtomicBool>::default(),
            Arc::<AtomicU64>::default(),
        );
        let task = |method: &'static str| {
            let caller = world.caller();
            let (gate, stop, asked) = (Arc::<RwLock<()>>::clone(&gate), Arc::clone(&stop), Arc::clone(&asked));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let _under_way = gate.read().await;
                    let answer = caller.ask(method, &question()).await;
                    answer.unwrap_or_else(|status| panic!("no exchange fails: {status:?}"));
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = ["Read", "Write", "Read", "Write"].map(task).into();
        Load {
            gate,
            stop,
            asked,
            tasks,
        }
    }

    async fn advance(&self, clock: &ManualClock, us: u64) {
        let _nothing_under_way = self.gate.write().await;
        clock.advance(us);
    }

    /// Waits until some more exchanges went through.
    async fn some(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        until(async || {
            self.tasks.iter().all(|task| !task.is_finished()) && self.asked.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no exchange failed");
        }
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_again_and_again_and_no_exchange_fails() {
    let (mut world, clock) = of_a_week().await;
    let load = Load::start(&world);
    for round in 1..=3 {
        let mut before = Vec::new();
        for code in NODES {
            before.push(ends_us(&world, code).await);
        }
        // A certificate is issued when the one before has a third left, and used a day later.
        let since_us = if round == 1 { 0 } else { LATER_US + 11 * SECOND_US };
        load.advance(&clock, THIRD_LEFT_US - since_us).await;
        until(async || issued(&world) == 2 * round).await;
        load.some().await;
        for (code, before) in NODES.iter().zip(&before) {
            assert_eq!(
                ends_us(&world, code).await,
                *before,
                "listed, and not used before a sixth is left"
            );
        }
        load.advance(&clock, LATER_US).await;
        for (code, before) in NODES.iter().zip(&before) {
            until(async || ends_us(&world, code).await > *before).await;
        }
        load.some().await;
        assert_eq!(
            retired(&world),
            2 * (round - 1),
            "the old ones are listed on for a moment"
        );
        load.advance(&clock, 11 * SECOND_US).await;
        until(async || retired(&world) == 2 * round).await;
        load.some().await;
    }
    let asked = load.end().await;
    assert!(asked > 180, "{asked}");
    for code in NODES {
        let keys = world.party(code).dir.join("keys");
        assert!(!keys.join("tls-next.pem").exists(), "the key took the other's place");
        world.stop_node(code).await;
        world.start_node(code).await;
    }
    // Callers of the stories live by the system's clock, and take no local door whose certificate begins weeks later.
    until(async || {
        world
            .party("mol")
            .status()
            .await
            .peers
            .iter()
            .any(|peer| peer.connected)
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_ends_on_the_connection_on_which_it_began() {
    let (world, clock) = of_a_week().await;
    let caller = world.caller();
    caller.ask("Write", &question()).await.expect("the network runs");
    clock.advance(THIRD_LEFT_US);
    until(async || issued(&world) == 2).await;
    let before = [ends_us(&world, "mol").await, ends_us(&world, "psd").await];
    clock.advance(LATER_US);
    world
        .party("psd")
        .backend
        .behave(Behaviour::Slow(Duration::from_secs(4)));
    let slow = tokio::spawn(async move { caller.ask("Write", &question()).await });
    until(async || world.party("psd").backend.calls() == 2).await;
    for (code, before) in NODES.iter().zip(before) {
        until(async || ends_us(&world, code).await > before).await;
    }
    slow.await.expect("it runs").expect("the old connection lives on");
    world.end().await;
}
