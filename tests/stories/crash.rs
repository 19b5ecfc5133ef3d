//! The crash matrix (docs/threats.md): either node is killed at each durable write of an exchange, before it and after it.
//!
//! Each story is one row: the exchange is begun, a disk stops at the named statement, its node is crashed and started
//! again. Then it is claimed what stands in both ledgers, how often the backend ran, and what the application is told that
//! asks again with the same id.

mod consumer;
mod links;
mod provider;
mod reads;
mod settling;

use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Answer, Behaviour, Moment, Question, World, reason_of, until};
use tokio::task::JoinHandle;
use tonic::Status;

/// The person whom the stories ask about.
const PERSON: &str = "9901234567";

/// Which node's disk stops, at which write.
#[derive(Clone, Copy)]
struct Crash {
    method: &'static str,
    node: &'static str,
    at: Kind,
    moment: Moment,
}

/// What must have come of it in the end.
struct Outcome {
    /// In the consumer's ledger.
    consumer: &'static [Kind],
    /// In the provider's ledger.
    provider: &'static [Kind],
    /// How often the backend ran it.
    runs: u32,
    /// What the application is told that asks again: the answer, or why there is none.
    again: Result<(), Reason>,
}

/// An exchange that was begun.
struct Begun {
    world: World,
    id: ExchangeId,
    method: &'static str,
    asking: JoinHandle<Result<Answer, Status>>,
}

/// Plays a row from beginning to end.
async fn row(crash: Crash, outcome: Outcome) {
    let node = crash.node;
    let mut begun = crash.begin().await;
    until(async || begun.world.party(node).disk.stopped()).await;
    begun.world.crash_node(node).await;
    begun.world.start_node(node).await;
    begun.claim(outcome).await;
}

impl Crash {
    /// Asks, with the disk told where to stop.
    async fn begin(self) -> Begun {
        let world = World::of_two().await;
        let id = new_id(&world);
        world
            .party(self.node)
            .disk
            .stop_at_statement(self.at, Some(&id), self.moment);
        Begun::ask(world, id, self.method)
    }
}

/// An id as an application makes it.
fn new_id(world: &World) -> ExchangeId {
    let now = world.clock.now_us();
    ExchangeId::new_v7(
        now,
        [now.to_be_bytes().as_slice(), &[7; 2]]
            .concat()
            .try_into()
            .expect("ten bytes"),
    )
}

impl Begun {
    fn ask(world: World, id: ExchangeId, method: &'static str) -> Begun {
        let caller = world.caller().with("jisr-exchange-id", &id.to_string());
        let asking = tokio::spawn(async move { caller.ask(method, &Question::about(PERSON)).await });
        Begun {
            world,
            id,
            method,
            asking,
        }
    }

    /// Waits until both ledgers hold what they must, asks again, and looks once more: closed once, run at most once.
    async fn claim(self, outcome: Outcome) {
        let Begun {
            mut world,
            id,
            method,
            asking,
        } = self;
        // A consumer that was killed has told its application nothing; what a living one tells, `again` tells too.
        asking.abort();
        let id = id.to_string();
        let stand = |world: &World| (world.kinds("mol", &id), world.kinds("psd", &id));
        let wanted = (outcome.consumer.to_vec(), outcome.provider.to_vec());
        let settled = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while stand(&world) != wanted {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        settled
            .await
            .unwrap_or_else(|_| panic!("not settled: {:?}", stand(&world)));
        for _ in 0..2 {
            let again = world
                .caller()
                .with("jisr-exchange-id", &id)
                .ask(method, &Question::about(PERSON))
                .await;
            assert_eq!(told(&again), outcome.again, "{again:?}");
        }
        for code in ["mol", "psd"] {
            world.stop_node(code).await;
        }
        assert_eq!(stand(&world), wanted, "asking again changed a ledger");
        assert_eq!(world.party("psd").backend.runs(&id), outcome.runs);
        world.end().await;
    }
}

/// What the application was told: the right answer, or a reason.
fn told(answer: &Result<Answer, Status>) -> Result<(), Reason> {
    match answer {
        Ok(answer) => {
            assert_eq!(answer.reply.text, PERSON);
            Ok(())
        }
        Err(status) => Err(reason_of(status)),
    }
}

/// Crashes a node at a moment when its backend works on the exchange.
async fn crash_at_work(method: &'static str, node: &'static str, behaviour: Behaviour) -> Begun {
    let world = World::of_two().await;
    world.party("psd").backend.behave(behaviour);
    let id = new_id(&world);
    let mut begun = Begun::ask(world, id, method);
    until(async || begun.world.party("psd").backend.runs(&id.to_string()) == 1).await;
    begun.world.crash_node(node).await;
    begun.world.start_node(node).await;
    begun
}
