//! The same exchange id again: the same answer, or what became of it; never a second run.

use std::collections::BTreeSet;
use std::time::Duration;

use jisr_ledger::anchor::Anchor;
use jisr_ledger::archive::{Archive, Role as Side};
use jisr_ledger::evidence;
use jisr_ledger::evidence::offline::{Choice, gather};
use jisr_ledger::policy::Policy;
use jisr_ledger::report::Verdict;
use jisr_proto::admin::{ExportEvidenceRequest, Role};
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_tests::{Behaviour, CONSUMER, Grant, PROVIDER, Question, Rogue, World, refused, until};

/// A fresh id, as an application would make it.
fn id(world: &World, nth: u8) -> String {
    ExchangeId::new_v7(world.clock.now_us(), [nth; 10]).to_string()
}

fn question() -> Question {
    Question::about("9901234567")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_question_gets_the_same_answer_and_another_one_none() {
    let world = World::of_two().await;
    let backend = &world.party("psd").backend;
    let exchange = id(&world, 1);
    let caller = world.caller().with("jisr-exchange-id", &exchange);
    for _ in 0..3 {
        let answer = caller.ask("Write", &question()).await.expect("it is allowed");
        assert_eq!(
            (answer.reply.text.as_str(), answer.exchange.as_str()),
            ("9901234567", exchange.as_str())
        );
    }
    refused(
        caller.ask("Write", &Question::about("2000000002")).await,
        Reason::ExchangeIdReused,
    );
    refused(caller.ask("Read", &question()).await, Reason::ExchangeIdReused);
    let told = refused(
        caller
            .clone()
            .with("jisr-purpose", "curiosity")
            .ask("Write", &question())
            .await,
        Reason::PurposeNotAgreed,
    );
    assert_eq!(told.exchange, exchange);
    assert_eq!(backend.calls(), 1);
    until(async || world.kinds("mol", &exchange).len() == 2).await;
    assert_eq!(
        world.kinds("mol", &exchange),
        [Kind::Asked, Kind::Delivered],
        "an exchange closes once"
    );
    assert_eq!(world.kinds("psd", &exchange), [Kind::Received, Kind::Answered]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_runs_is_not_asked_beside_itself() {
    let world = World::of_two().await;
    let backend = &world.party("psd").backend;
    backend.behave(Behaviour::Slow(Duration::from_millis(300)));
    let caller = world.caller().with("jisr-exchange-id", &id(&world, 2));
    let first = tokio::spawn({
        let caller = caller.clone();
        async move { caller.ask("Write", &question()).await }
    });
    until(async || backend.calls() == 1).await;
    refused(caller.ask("Write", &question()).await, Reason::ExchangeRunning);
    first.await.expect("it ran").expect("it is allowed");
    caller.ask("Write", &question()).await.expect("it has ended");
    assert_eq!(backend.calls(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_at_home_stays_refused_under_that_id() {
    let world = World::of_two().await;
    let exchange = id(&world, 3);
    let caller = world.caller().with("jisr-exchange-id", &exchange);
    let curious = caller.clone().with("jisr-purpose", "curiosity");
    refused(curious.ask("Read", &question()).await, Reason::PurposeNotAgreed);
    refused(curious.ask("Read", &question()).await, Reason::PurposeNotAgreed);
    refused(caller.ask("Read", &question()).await, Reason::PurposeNotAgreed);
    assert_eq!(
        world.kinds("mol", &exchange),
        [Kind::Refused],
        "an exchange closes once"
    );
    assert_eq!(world.kinds("psd", &exchange), []);
    world.end().await;
}

/// Both members answer the probe, and each may ask the other.
async fn both_ways() -> World {
    let world = World::of_two().await;
    world.publish("mol", "JO/GOV/mol/probe").await;
    let back = Grant {
        consumer: PROVIDER,
        provider: "JO/GOV/mol/probe",
        methods: &["Read", "Write"],
        valid_us: (0, u64::MAX >> 1),
        consent_required: false,
    };
    world.agree(&back).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_was_answered_here_is_not_asked_back() {
    let world = both_ways().await;
    let exchange = id(&world, 4);
    world
        .caller()
        .with("jisr-exchange-id", &exchange)
        .ask("Write", &question())
        .await
        .expect("it is allowed");
    let back = world.caller_of("psd", PROVIDER).with("jisr-exchange-id", &exchange);
    refused(back.ask("Write", &question()).await, Reason::ExchangeIdReused);
    assert_eq!(world.kinds("psd", &exchange), [Kind::Received, Kind::Answered]);
    assert_eq!(world.party("mol").backend.calls(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_back_under_a_used_id_spoils_no_evidence() {
    let mut world = both_ways().await;
    let exchange = id(&world, 5);
    let caller = world.caller().with("jisr-exchange-id", &exchange);
    caller.ask("Write", &question()).await.expect("it is allowed");
    let back = world.caller_of("psd", PROVIDER);
    back.ask("Write", &question()).await.expect("under an id of its own");
    let rogue = Rogue::takes_over(&mut world, "psd").await;
    let used: ExchangeId = exchange.parse().expect("an exchange id");
    let core = Core {
        exchange_id: used.as_bytes().to_vec().into(),
        ..rogue.core()
    };
    let asked = rogue.asked(core).await;
    let answered = rogue.greet(&world, "mol").await.exchange(&Rogue::request(asked)).await;
    assert_eq!(
        answered.expect("mol has not answered under it before").0,
        Kind::Answered
    );
    rogue.ledger.clone().close();
    drop(rogue);
    world.start_node("psd").await;
    caller
        .ask("Write", &question())
        .await
        .expect_err("it was run once, and psd has been started since");
    for code in ["mol", "psd"] {
        let export = async |role: Role| {
            let request = ExportEvidenceRequest {
                exchange_id: used.as_bytes().to_vec().into(),
                wait_ms: 15_000,
                role: role.into(),
                ..ExportEvidenceRequest::default()
            };
            world.party(code).admin().await.export_evidence(request).await
        };
        let refusal = export(Role::Unspecified).await.expect_err("there are two");
        for told in ["--role consumer", "--role provider", CONSUMER, PROVIDER] {
            assert!(refusal.message().contains(told), "{code}: {refusal:?}");
        }
        refused(Err::<(), _>(refusal), Reason::RequestInvalid);
        let mut asked = Vec::new();
        for role in [Role::Consumer, Role::Provider] {
            let made = export(role).await.expect("it is known").into_inner();
            let report = evidence::verify(&made.evidence, &world.anchor(), world.clock.now_us());
            assert_eq!(report.verdict, Verdict::Valid, "{code}: {:?} {report:#?}", made.lacks);
            let opened = evidence::open(&made.evidence).expect("it is whole");
            asked.push(opened.statements.first().expect("ASKED").origin.clone());
        }
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), 2, "{code}: each role is another exchange");
        let ledger = Archive::open(&jisr_node::Layout::new(&world.party(code).dir).ledger());
        both_offline(&ledger.expect("a ledger directory"), &world.anchor(), used);
    }
    world.end().await;
}

/// The directory alone tells the two exchanges apart too.
fn both_offline(ledger: &Archive, anchor: &Anchor, exchange: ExchangeId) {
    let exchanges = BTreeSet::from([exchange]);
    let of = |role| {
        let choice = Choice {
            case: None,
            subject: None,
            peer: None,
            time_us: 0..u64::MAX,
            exchanges: &exchanges,
            role,
            vault: None,
        };
        gather(ledger, &Policy::new(anchor), &choice, 10).expect("it can be read")
    };
    assert_eq!(of(None).twofold, [exchange]);
    let asked = [Side::Consumer, Side::Provider].map(|role| {
        let found = of(Some(role));
        assert!(found.twofold.is_empty());
        let pieces = found.exchanges.get(&exchange).expect("it stands there");
        let asked = pieces.iter().find(|piece| piece.statement.kind() == Kind::Asked);
        assert!(pieces.iter().any(|piece| piece.statement.kind() == Kind::Answered));
        asked.expect("the question is kept on both sides").statement.leaf()
    });
    assert_ne!(asked[0], asked[1]);
}
