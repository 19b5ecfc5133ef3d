//! Both nodes run as processes under load and are killed with SIGKILL, or paused with SIGSTOP, at random, again and again.
//! Nothing that was acknowledged is lost, everything is closed once on each side, nothing runs twice.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;
use jisr_tests::{CONSUMER, Caller, PURPOSE, Question, World};
use tokio::net::TcpStream;

/// Kills and pauses in one run.
const KILLS: u32 = 16;
/// Applications that ask at the same time.
const ASKERS: u64 = 6;
/// Runs differ by this number only, and by what the machine makes of it.
const SEED: u64 = 0x6a69_7372;

/// Random enough to choose whom to kill, and when (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A node as a process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(world: &World, code: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jisr"));
        command.args(["node", "run", "--dir"]).arg(&world.party(code).dir);
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Nothing of it runs for a while; then it goes on where it was.
    async fn pause(&self, pause: Duration) {
        self.signal(rustix::process::Signal::STOP);
        tokio::time::sleep(pause).await;
        self.signal(rustix::process::Signal::CONT);
    }

    async fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let ended = tokio::task::spawn_blocking(move || self.0.wait().unwrap())
            .await
            .unwrap();
        assert!(ended.success(), "a node that is told to stop ends well: {ended}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Where a node's applications call.
fn local_door(world: &World, code: &str) -> std::net::SocketAddr {
    let toml = std::fs::read_to_string(world.party(code).dir.join("node.toml")).unwrap();
    let (_, door) = toml.split_once("[local_door]\nlisten = \"").unwrap();
    door.split('"').next().unwrap().parse().unwrap()
}

async fn open(door: std::net::SocketAddr) {
    while TcpStream::connect(door).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks until it is told to stop; returns the ids whose answer it got.
async fn asker(caller: Caller, number: u64, stop: Arc<AtomicBool>) -> Vec<ExchangeId> {
    let mut answered = Vec::new();
    let mut random = [0; 10];
    random[0] = u8::try_from(number).unwrap();
    for turn in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        random[2..].copy_from_slice(&turn.to_be_bytes());
        let now = jisr_ledger::clock::Clock::now_us(&jisr_ledger::clock::SystemClock);
        let id = ExchangeId::new_v7(now, random);
        let method = if turn.is_multiple_of(3) { "Read" } else { "Write" };
        let path = format!("/jisr.tests.v1.Probe/{method}");
        let caller = caller.clone().with("jisr-exchange-id", &id.to_string());
        let question = Question::about("9901234567").bytes();
        match caller.call(&path, question, Duration::from_secs(4)).await {
            Ok(answer) => {
                assert_eq!(answer.reply.text, "9901234567");
                answered.push(id);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    answered
}

/// Kinds of the statements of each exchange in a member's ledger, in order.
fn exchanges(world: &World, code: &str) -> BTreeMap<ExchangeId, Vec<(Kind, bool)>> {
    let mut found: BTreeMap<ExchangeId, Vec<(Kind, bool)>> = BTreeMap::new();
    for stood in world.statements(code) {
        if let Ok(id) = ExchangeId::try_from(stood.core.exchange_id.as_ref()) {
            found
                .entry(id)
                .or_default()
                .push((stood.core.kind(), stood.core.no_side_effects));
        }
    }
    found
}

/// How often an exchange is closed: a late answer follows a closing, and so does word that an answer is gone.
fn closings(statements: &[(Kind, bool)], side: Kind) -> usize {
    let closes = |kind: Kind| match kind {
        Kind::Asked | Kind::Received | Kind::LateAnswer => false,
        Kind::AnswerGone => side == Kind::Asked,
        _ => true,
    };
    statements.iter().filter(|(kind, _)| closes(*kind)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_lose_nothing_and_run_nothing_twice() {
    let mut world = World::of_two().await;
    let mut processes = BTreeMap::new();
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
        processes.insert(code, Process::start(&world, code));
        open(local_door(&world, code)).await;
    }
    let credential = world.party("mol").credential(CONSUMER);
    let caller = Caller::new(local_door(&world, "mol"), Some(&credential))
        .with("jisr-purpose", PURPOSE)
        .with("jisr-duty", "law-24-2023-art-5");
    let stop = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..ASKERS)
        .map(|number| tokio::spawn(asker(caller.clone(), number, Arc::clone(&stop))))
        .collect();

    let mut dice = Dice(SEED);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(150 + dice.below(500))).await;
        let code = ["mol", "psd"][usize::try_from(dice.below(2)).unwrap()];
        if dice.below(4) == 0 {
            processes[code].pause(Duration::from_millis(dice.below(1500))).await;
            continue;
        }
        processes.get_mut(code).unwrap().kill();
        tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
        processes.insert(code, Process::start(&world, code));
        open(local_door(&world, code)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = Vec::new();
    for asker in askers {
        acknowledged.extend(asker.await.unwrap());
    }

    let is_settled = |world: &World| {
        let asked = exchanges(world, "mol")
            .values()
            .all(|statements| closings(statements, Kind::Asked) > 0);
        asked
            && exchanges(world, "psd")
                .values()
                .all(|statements| closings(statements, Kind::Received) > 0)
    };
    let settled = tokio::time::timeout(Duration::from_secs(30), async {
        while !is_settled(&world) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    settled.await.expect("every exchange is closed on both sides");
    for process in std::mem::take(&mut processes).into_values() {
        process.stop().await;
    }
    judge(&world, &acknowledged);
    world.end().await;
}

fn judge(world: &World, acknowledged: &[ExchangeId]) {
    let (consumer, provider) = (exchanges(world, "mol"), exchanges(world, "psd"));
    for (ledger, side) in [(&consumer, Kind::Asked), (&provider, Kind::Received)] {
        for (id, statements) in ledger {
            assert_eq!(closings(statements, side), 1, "{id}: {statements:?}");
        }
    }
    for id in provider.keys() {
        assert!(consumer.contains_key(id), "{id} was answered, but never asked");
    }
    assert!(
        acknowledged.len() > 50,
        "only {} exchanges were answered",
        acknowledged.len()
    );
    for id in acknowledged {
        let (asked, answered) = (&consumer[id], &provider[id]);
        // The answer may have reached the application before DELIVERED was durable, and be gone since.
        assert!(
            matches!(asked[1].0, Kind::Delivered | Kind::AnswerGone),
            "{id}: {asked:?}"
        );
        assert!(
            answered.iter().any(|(kind, _)| *kind == Kind::Answered),
            "{id}: {answered:?}"
        );
    }
    for (id, statements) in &consumer {
        let runs = world.party("psd").backend.runs(&id.to_string());
        assert!(runs <= 1, "{id} ran {runs} times: {statements:?}");
    }
    eprintln!("{} exchanges, {} answered", consumer.len(), acknowledged.len());
}
