//! Two nodes compare closed windows: whatever one side invented is found, with its id, by both; honest differences are not.

use std::time::Duration;

use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::{ReconcileRequest, ReconcileResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Finding, FindingKind, Kind};
use jisr_tests::{Behaviour, PROVIDER, Question, Rogue, World, another, until};

const PERSON: &str = "9901234567";
const MOL: &str = "jisr/JO/GOV/mol/node1/2026";
const PSD: &str = "jisr/JO/GOV/psd/node1/2026";
/// Windows of a second, compared a second after their end.
const QUICK: &str = "[reconcile]\nwindow_s = 1\ngrace_s = 1\n\n[receipts]\nsend_ms = 50\n";

/// mol and psd that compare quickly, after one exchange.
async fn world() -> World {
    let mut world = World::new().await;
    for code in ["mol", "psd"] {
        world.admit(code).await;
        world.prepare(code, QUICK).await;
        let token = world.token(code).await;
        world.enrol(code, &token).await.unwrap();
        world.start_node(code).await;
    }
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    ask(&world).await;
    world
}

async fn ask(world: &World) -> String {
    let asked = world.caller().ask("Write", &Question::about(PERSON)).await;
    asked.unwrap().exchange
}

/// CORE of the last question in mol's ledger.
fn asked(world: &World) -> Core {
    let mut all = world.statements("mol").into_iter();
    all.rfind(|stood| stood.core.kind() == Kind::Asked).unwrap().core
}

/// What a node found of exchanges.
fn found(world: &World, code: &str) -> Vec<Finding> {
    world.findings(code)
}

/// Both sides found this exchange and nothing else: psd the one, mol the other.
async fn both_find(world: &World, exchange: &Core, (psd, mol): (FindingKind, FindingKind)) {
    for (code, kind, about) in [("psd", psd, MOL), ("mol", mol, PSD)] {
        until(async || !found(world, code).is_empty()).await;
        let findings = found(world, code);
        let [finding] = findings.as_slice() else {
            panic!("{code}: {findings:#?}");
        };
        assert_eq!((finding.kind(), finding.origin.as_str()), (kind, about), "{finding:#?}");
        assert_eq!(
            finding.exchanges.as_slice(),
            std::slice::from_ref(&exchange.exchange_id)
        );
        let made_us = ExchangeId::try_from(exchange.exchange_id.as_ref()).unwrap().time_ms() * 1_000;
        assert!((finding.from_us..finding.until_us).contains(&made_us));
    }
}

/// Once it is found it is not found again, not after a restart either.
async fn found_once(mut world: World) {
    for code in ["mol", "psd"] {
        // At once after the finding stands: what was put down beside the ledger may not say so yet.
        world.crash_node(code).await;
        world.start_node(code).await;
    }
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
        world.start_node(code).await;
    }
    ask(&world).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    for code in ["mol", "psd"] {
        assert_eq!(found(&world, code).len(), 1, "{code}: {:#?}", found(&world, code));
    }
    world.end().await;
}

/// psd says of itself that it closed an exchange in this way, which nobody asked.
async fn the_provider_invents(kind: Kind) -> World {
    let mut world = world().await;
    let exchange = another(&asked(&world), 1);
    let rogue = Rogue::takes_over(&mut world, "psd").await;
    rogue.invents_as_provider(&exchange, MOL, kind).await;
    rogue.leaves();
    world.start_node("psd").await;
    let kinds = (FindingKind::ExchangeLacking, FindingKind::ExchangeInvented);
    both_find(&world, &exchange, kinds).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_the_provider_invented_is_found_by_both() {
    found_once(the_provider_invents(Kind::Answered).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_the_provider_invented_is_found_by_both() {
    the_provider_invents(Kind::Failed).await.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_the_consumer_invented_is_found_by_both() {
    let mut world = world().await;
    let exchange = another(&asked(&world), 1);
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    rogue.invents_as_consumer(&exchange).await;
    rogue.leaves();
    world.start_node("mol").await;
    let kinds = (FindingKind::ExchangeInvented, FindingKind::ExchangeLacking);
    both_find(&world, &exchange, kinds).await;
    found_once(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_invented_among_hundreds_is_found_alone_while_one_side_restarts() {
    let mut world = world().await;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let caller = world.caller();
            tokio::spawn(async move {
                for _ in 0..25 {
                    caller.ask("Read", &Question::about(PERSON)).await.unwrap();
                }
            })
        })
        .collect();
    for asker in asking {
        asker.await.unwrap();
    }
    let exchange = another(&asked(&world), 1);
    let rogue = Rogue::takes_over(&mut world, "psd").await;
    rogue.invents_as_provider(&exchange, MOL, Kind::Answered).await;
    rogue.leaves();
    world.start_node("psd").await;
    world.crash_node("mol").await;
    world.start_node("mol").await;
    both_find(
        &world,
        &exchange,
        (FindingKind::ExchangeLacking, FindingKind::ExchangeInvented),
    )
    .await;
    world.end().await;
}

/// Everything that goes wrong honestly, then one lie: whoever finds only the lie has compared all the rest before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_differences_are_not_found() {
    let mut world = world().await;
    // Refused at home, and refused by the provider without and with a seal.
    let other = world
        .caller()
        .without("jisr-purpose")
        .with("jisr-purpose", "another-purpose");
    other.ask("Read", &Question::about(PERSON)).await.unwrap_err();
    world.party("psd").backend.behave(Behaviour::Garbage);
    world.caller().ask("Read", &Question::about(PERSON)).await.unwrap_err();
    // The application gives up; the provider answers later, or notes that it was cancelled.
    world
        .party("psd")
        .backend
        .behave(Behaviour::Slow(Duration::from_millis(700)));
    for method in ["Read", "Write"] {
        let path = format!("/jisr.tests.v1.Probe/{method}");
        let gave_up = world.caller();
        let question = Question::about(PERSON).bytes();
        gave_up
            .call(&path, question, Duration::from_millis(200))
            .await
            .unwrap_err();
    }
    // The provider crashes at work; the consumer crashes before it learns of it.
    world.party("psd").backend.behave(Behaviour::Silent);
    let caller = world.caller();
    tokio::spawn(async move { caller.ask("Write", &Question::about(PERSON)).await });
    let calls = world.party("psd").backend.calls();
    until(async || world.party("psd").backend.calls() > calls || open_at(&world, "psd") > 0).await;
    world.crash_node("psd").await;
    world.crash_node("mol").await;
    world.start_node("psd").await;
    world.start_node("mol").await;
    world.party("psd").backend.behave(Behaviour::Echo);
    // The provider is away.
    world.stop_node("psd").await;
    let path = "/jisr.tests.v1.Probe/Write";
    let question = Question::about(PERSON).bytes();
    let unsent = world.caller().call(path, question, Duration::from_secs(3)).await;
    unsent.unwrap_err();
    world.start_node("psd").await;
    ask(&world).await;
    // An id made some minutes ago, as an application that tries again uses it.
    let old = ExchangeId::new_v7(world.clock.now_us() - 300_000_000, [4; 10]);
    let caller = world.caller().with("jisr-exchange-id", &old.to_string());
    caller.ask("Write", &Question::about(PERSON)).await.unwrap();

    let exchange = another(&asked(&world), 1);
    let exchange = Core {
        consumer: asked(&world).consumer,
        ..exchange
    };
    let rogue = Rogue::takes_over(&mut world, "psd").await;
    rogue.invents_as_provider(&exchange, MOL, Kind::Answered).await;
    rogue.leaves();
    world.start_node("psd").await;
    both_find(
        &world,
        &exchange,
        (FindingKind::ExchangeLacking, FindingKind::ExchangeInvented),
    )
    .await;
    world.end().await;
}

/// Exchanges that a node has begun to answer and not closed.
fn open_at(world: &World, code: &str) -> usize {
    let count = |kind: Kind| {
        let all = world.statements(code).into_iter();
        all.filter(|stood| stood.core.kind() == kind).count()
    };
    let closed = [Kind::Answered, Kind::Failed, Kind::Cancelled].map(count);
    count(Kind::Received).saturating_sub(closed.iter().sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_far_from_the_time_of_its_question_is_refused_by_both() {
    let mut world = world().await;
    let hour = 3_600_000_000;
    let old = ExchangeId::new_v7(world.clock.now_us() - hour, [5; 10]);
    let caller = world.caller().with("jisr-exchange-id", &old.to_string());
    let refused = caller.ask("Write", &Question::about(PERSON)).await;
    assert_eq!(jisr_tests::reason_of(&refused.unwrap_err()), Reason::ExchangeIdInvalid);
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    let mut line = rogue.greet(&world, "psd").await;
    for made_us in [world.clock.now_us() - hour, world.clock.now_us() + hour] {
        let id = ExchangeId::new_v7(made_us, [6; 10]);
        let core = Core {
            exchange_id: bytes::Bytes::copy_from_slice(id.as_bytes()),
            ..rogue.core()
        };
        let asked = rogue.asked(core).await;
        let refused = line.exchange(&Rogue::request(asked.clone())).await;
        assert_eq!(refused.unwrap_err(), Reason::ExchangeIdInvalid);
        assert_eq!(line.settle(&asked).await.unwrap_err(), Reason::ExchangeIdInvalid);
    }
    drop(rogue);
    world.parties.remove("mol");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_window_is_refused_and_only_own_exchanges_are_shown() {
    let mut world = world().await;
    let id = ask(&world).await;
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    let mut line = rogue.greet(&world, "psd").await;
    let now_ms = world.clock.now_us() / 1000;
    let window = ReconcileRequest {
        from_ms: now_ms - 600_000,
        until_ms: now_ms,
        asked_by_caller: true,
        ..Default::default()
    };
    let held: ReconcileResponse = line.call("Reconcile", &window).await.unwrap();
    let exchange: ExchangeId = id.parse().unwrap();
    assert!(
        held.items
            .iter()
            .any(|item| item.exchange_id == exchange.as_bytes().as_slice())
    );
    assert_eq!(held.count, held.items.len() as u64);
    let asked_by_psd = ReconcileRequest {
        asked_by_caller: false,
        ..window.clone()
    };
    let held: ReconcileResponse = line.call("Reconcile", &asked_by_psd).await.unwrap();
    assert_eq!((held.count, held.items.len()), (0, 0));
    let breaks: [fn(&mut ReconcileRequest); 4] = [
        |window| window.until_ms = window.from_ms,
        |window| window.until_ms += 3_600_000,
        |window| window.from_ms = 0,
        |window| window.low = bytes::Bytes::from_static(b"low"),
    ];
    for break_it in breaks {
        let mut broken = window.clone();
        break_it(&mut broken);
        let told = line.call::<_, ReconcileResponse>("Reconcile", &broken).await;
        assert_eq!(told.unwrap_err(), Reason::MalformedFrame);
    }
    drop(rogue);
    world.parties.remove("mol");
    world.end().await;
}
