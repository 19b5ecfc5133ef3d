//! What is not allowed is refused by name, and the ledgers say so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_proto::canonical;
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{AdministrativeAct, RevocationOrder};
use jisr_proto::statement::{Agreement, Kind};
use jisr_tests::{Behaviour, CONSUMER, Caller, Grant, PROVIDER, Question, Relay, World, refused, until};

/// The person whom the stories ask about.
const PERSON: &str = "9901234567";
/// An hour.
const HOUR_US: u64 = 3_600_000_000;

fn question() -> Question {
    Question::about(PERSON)
}

fn grant<'a>(consumer: &'a str, provider: &'a str, methods: &'a [&'a str]) -> Grant<'a> {
    Grant {
        consumer,
        provider,
        methods,
        valid_us: (0, u64::MAX >> 1),
        consent_required: false,
    }
}

async fn two(methods: &[&str]) -> World {
    let mut world = World::new().await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    world.agree(&grant(CONSUMER, PROVIDER, methods)).await;
    world
}

/// A question of the consumer that its own node refuses with a statement, and nobody else hears of.
async fn refused_at_home(world: &World, caller: Caller, method: &str, reason: Reason) {
    let told = refused(caller.ask(method, &question()).await, reason);
    assert!(!told.party.is_empty());
    let stood = world.of_exchange("mol", &told.exchange);
    let said: Vec<_> = stood
        .iter()
        .map(|stood| (stood.core.kind(), stood.core.rule.as_str()))
        .collect();
    assert_eq!(said, [(Kind::Refused, reason.as_str())]);
    assert_eq!(world.kinds("psd", &told.exchange), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_agreement_allows_stands_in_the_home_ledger() {
    let world = two(&["Read", "Watch"]).await;
    let caller = world.caller();
    refused_at_home(
        &world,
        caller.clone().without("jisr-purpose"),
        "Read",
        Reason::PurposeMissing,
    )
    .await;
    refused_at_home(
        &world,
        caller.clone().with("jisr-purpose", "curiosity"),
        "Read",
        Reason::PurposeNotAgreed,
    )
    .await;
    refused_at_home(&world, caller.clone().without("jisr-duty"), "Read", Reason::DutyMissing).await;
    refused_at_home(&world, caller.clone(), "Write", Reason::MethodNotAgreed).await;
    refused_at_home(&world, caller.clone(), "Erase", Reason::UnknownMethod).await;
    refused_at_home(&world, caller.clone(), "Watch", Reason::MethodNotUnary).await;
    let stranger = world.caller_of("mol", "JO/GOV/mol/canteen");
    refused_at_home(&world, stranger, "Read", Reason::NoAgreement).await;
    assert_eq!(world.party("psd").backend.calls(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_question_at_all_is_counted_and_summed_up() {
    let mut world = two(&["Read"]).await;
    let caller = world.caller();
    let asked = caller
        .call("/jo.nowhere.v1.Nothing/Ask", Bytes::new(), Duration::from_secs(5))
        .await;
    refused(asked, Reason::UnknownService);
    let elsewhere = caller.clone().with("jisr-provider", "JO/GOV/psd/visas");
    refused(elsewhere.ask("Read", &question()).await, Reason::UnknownProvider);
    let nowhere = caller.clone().with("jisr-provider", "JO/GOV/atlantis/visas");
    refused(nowhere.ask("Read", &question()).await, Reason::UnknownMember);
    let other = caller.clone().with("jisr-client", "JO/GOV/mol/canteen");
    let told = refused(other.ask("Read", &question()).await, Reason::SubsystemNotYours);
    assert_eq!(told.party, "CALLER");
    assert_eq!(world.kinds("mol", &told.exchange), []);
    refused(other.ask("Read", &question()).await, Reason::SubsystemNotYours);
    assert_eq!(world.party("psd").backend.calls(), 0);
    world.stop_node("mol").await;
    assert_eq!(world.summed("mol", CONSUMER, Reason::UnknownService), 1);
    assert_eq!(world.summed("mol", CONSUMER, Reason::UnknownProvider), 1);
    assert_eq!(world.summed("mol", CONSUMER, Reason::SubsystemNotYours), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_is_asked_for_where_the_agreement_or_the_class_wants_it() {
    let mut world = two(&["Read"]).await;
    world.join("CHM/amman").await;
    let (checks, chamber) = ("JO/GOV/mol/checks", "JO/CHM/amman/permits");
    world
        .agree(&Grant {
            consent_required: true,
            ..grant(checks, PROVIDER, &["Read"])
        })
        .await;
    world.agree(&grant(chamber, PROVIDER, &["Read"])).await;
    for (code, consumer) in [("mol", checks), ("CHM/amman", chamber)] {
        let caller = world.caller_of(code, consumer);
        refused(caller.ask("Read", &question()).await, Reason::ConsentMissing);
        let agreed = caller.with("jisr-consent", "رقم-77");
        agreed.ask("Read", &question()).await.expect("the person agreed");
    }
    let caller = world
        .caller_of("CHM/amman", chamber)
        .with("jisr-consent", "77")
        .without("jisr-duty");
    caller
        .ask("Read", &question())
        .await
        .expect("a chamber has no legal duty to cite");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_holds_from_its_first_instant_to_its_last() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_lifetime(clock.clone(), Duration::from_secs(72 * 3600)).await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    let now = clock.now_us();
    let valid_us = (now + HOUR_US, now + 2 * HOUR_US);
    world
        .agree(&Grant {
            valid_us,
            ..grant(CONSUMER, PROVIDER, &["Read"])
        })
        .await;
    refused_at_home(&world, world.caller(), "Read", Reason::AgreementNotYetValid).await;
    clock.advance(HOUR_US + HOUR_US / 2);
    world.caller().ask("Read", &question()).await.expect("it is valid now");
    clock.advance(HOUR_US);
    refused_at_home(&world, world.caller(), "Read", Reason::AgreementExpired).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_providers_one_is_named_or_agreed_with() {
    let mut world = two(&["Read"]).await;
    world.join("moh").await;
    world.publish("moh", "JO/GOV/moh/probe").await;
    world
        .caller()
        .ask("Read", &question())
        .await
        .expect("there is an agreement with one of both");
    assert_eq!(
        (world.party("psd").backend.calls(), world.party("moh").backend.calls()),
        (1, 0)
    );
    world.agree(&grant(CONSUMER, "JO/GOV/moh/probe", &["Read"])).await;
    let told = refused(world.caller().ask("Read", &question()).await, Reason::ProviderAmbiguous);
    assert!(told.detail.contains("JO/GOV/moh/probe"), "{told:?}");
    let named = world.caller().with("jisr-provider", "JO/GOV/moh/probe");
    named.ask("Read", &question()).await.expect("it is named");
    assert_eq!(
        (world.party("psd").backend.calls(), world.party("moh").backend.calls()),
        (1, 1)
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_nodes_do_not_enforce_is_refused_at_registration() {
    let mut world = World::new().await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    let document = world.document(&grant(CONSUMER, PROVIDER, &["Read"])).await;
    let mut masked = document.clone();
    masked.methods[0].mask = "text".to_owned();
    let rated = Agreement {
        rate_per_minute: 60,
        ..document.clone()
    };
    let counted = Agreement {
        subjects_per_case: 1,
        ..document
    };
    let party = world.party("mol");
    for (document, reason) in [
        (masked, Reason::MaskUnsupported),
        (rated, Reason::AgreementInvalid),
        (counted, Reason::AgreementInvalid),
    ] {
        let request = party.sign(&canonical::encode(&document), world.clock.now_us());
        refused(party.admin().await.agree(request).await, reason);
    }
    refused_at_home(&world, world.caller(), "Read", Reason::NoAgreement).await;
    world.end().await;
}

/// A consumer whose line to the registry can be cut.
async fn cut_off() -> (World, Relay, Bytes) {
    let mut world = World::new().await;
    let relay = Relay::to(world.registry_address()).await;
    world.admit("mol").await;
    world.prepare("mol", "").await;
    let token = world.token("mol").await;
    world.enrol("mol", &token).await.expect("the token is good");
    let (direct, through) = (world.registry_address().to_string(), relay.address().to_string());
    world.reconfigure("mol", &direct, &through);
    world.start_node("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    let agreement = world.agree(&grant(CONSUMER, PROVIDER, &["Read", "Write"])).await;
    world.caller().ask("Read", &question()).await.expect("it is agreed");
    relay.cut(true);
    (world, relay, agreement)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_agreement_counts_no_more_even_for_a_consumer_that_has_not_heard() {
    let (world, relay, agreement) = cut_off().await;
    let caller = world.caller();
    world.revoke_agreement("psd", &agreement).await;
    for method in ["Read", "Write"] {
        let told = refused(caller.ask(method, &question()).await, Reason::AgreementRevoked);
        until(async || world.kinds("mol", &told.exchange).len() == 2).await;
        assert_eq!(world.kinds("mol", &told.exchange), [Kind::Asked, Kind::Refused]);
        let theirs = world.of_exchange("psd", &told.exchange);
        let said: Vec<_> = theirs
            .iter()
            .map(|stood| (stood.core.kind(), stood.core.rule.as_str()))
            .collect();
        assert_eq!(said, [(Kind::Refused, "AGREEMENT_REVOKED")]);
    }
    assert_eq!(world.party("psd").backend.calls(), 1, "only before it was revoked");
    let version = world.party("psd").status().await.snapshot_version;
    relay.cut(false);
    world.until_all_hold(version).await;
    refused_at_home(&world, caller, "Read", Reason::NoAgreement).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_node_is_told_so_on_the_call_under_way_and_its_connection_is_cut() {
    let (mut world, _relay, _) = cut_off().await;
    let caller = world.caller();
    world.party("psd").backend.behave(Behaviour::Silent);
    let under_way = tokio::spawn(async move { caller.ask("Read", &question()).await });
    until(async || world.party("psd").backend.calls() == 2).await;
    let version = world.party("psd").status().await.snapshot_version;
    let node = "JO/GOV/mol/node/node1";
    let order = RevocationOrder {
        node: node.to_owned(),
        certificates: Vec::new(),
        reason: 1,
    };
    let revoke = AdministrativeAct {
        revocation: Some(order),
        ..AdministrativeAct::default()
    };
    world.does("first", revoke).await.expect("the node is listed");
    until(async || world.party("psd").status().await.snapshot_version > version).await;
    let told = refused(under_way.await.expect("it ends"), Reason::CertificateRevoked);
    until(async || world.kinds("mol", &told.exchange) == [Kind::Asked, Kind::Failed]).await;
    until(async || world.kinds("psd", &told.exchange) == [Kind::Received, Kind::Cancelled]).await;
    until(async || {
        !world
            .party("mol")
            .status()
            .await
            .peers
            .iter()
            .any(|peer| peer.connected)
    })
    .await;
    refused(world.caller().ask("Write", &question()).await, Reason::NotSent);
    assert_eq!(world.party("psd").backend.calls(), 2, "only before it was revoked");
    world.stop_node("psd").await;
    assert!(world.summed("psd", node, Reason::CertificateRevoked) >= 1);
    world.end().await;
}
