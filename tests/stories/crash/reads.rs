//! Either node is killed while a method without effects is asked. What the application named stays under that name; what
//! it did not name is asked again by the node itself.

use std::time::Duration;

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, Moment, Question, World, until};

use super::{Crash, Outcome, PERSON, crash_at_work, row};

fn crash(node: &'static str, at: Kind, moment: Moment) -> Crash {
    Crash {
        method: "Read",
        node,
        at,
        moment,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_consumer_after_asked_before_sending() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::NeverReceived],
        provider: &[Kind::NeverReceived],
        runs: 0,
        again: Err(Reason::NeverReceived),
    };
    row(crash("mol", Kind::Asked, Moment::After), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_consumer_after_sending() {
    let begun = crash_at_work("Read", "mol", Behaviour::Slow(Duration::from_secs(5))).await;
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Cancelled],
        provider: &[Kind::Received, Kind::Cancelled],
        runs: 1,
        again: Err(Reason::Cancelled),
    };
    begun.claim(outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_consumer_before_delivered_is_durable() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::AnswerGone],
        provider: &[Kind::Received, Kind::Answered, Kind::AnswerGone],
        runs: 1,
        again: Err(Reason::AnswerGone),
    };
    row(crash("mol", Kind::Delivered, Moment::Before), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_provider_before_received_is_durable() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::NeverReceived],
        provider: &[Kind::NeverReceived],
        // A read asks the backend first: it has no effects, and nothing was said.
        runs: 1,
        again: Err(Reason::NeverReceived),
    };
    row(crash("psd", Kind::Received, Moment::Before), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_provider_after_answered_before_sending() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::AnswerGone],
        provider: &[Kind::Received, Kind::Answered, Kind::AnswerGone],
        runs: 1,
        again: Err(Reason::AnswerGone),
    };
    row(crash("psd", Kind::Answered, Moment::After), outcome).await;
}

/// The provider's node is killed at the one commit of a read that the application did not name: it gets its answer all the
/// same, under a new id whose ASKED cites the first.
async fn asked_again(moment: Moment, first_ends: Kind) {
    let mut world = World::of_two().await;
    world.party("psd").disk.stop_at_statement(Kind::Received, None, moment);
    let caller = world.caller();
    let asking = tokio::spawn(async move { caller.ask("Read", &Question::about(PERSON)).await });
    until(async || world.party("psd").disk.stopped()).await;
    world.crash_node("psd").await;
    world.start_node("psd").await;
    let answer = asking.await.unwrap().expect("the node asks again");
    assert_eq!(answer.reply.text, PERSON);
    until(async || world.kinds("mol", &answer.exchange) == [Kind::Asked, Kind::Delivered]).await;
    let statements = world.statements("mol");
    let id: jisr_proto::ident::ExchangeId = answer.exchange.parse().unwrap();
    let second = statements
        .iter()
        .find(|stood| stood.core.exchange_id == id.as_bytes().as_slice())
        .unwrap();
    let of_first: Vec<Kind> = statements
        .iter()
        .filter(|stood| !second.core.repeats.is_empty() && stood.core.exchange_id == second.core.repeats)
        .map(|stood| stood.core.kind())
        .collect();
    assert_eq!(of_first, [Kind::Asked, first_ends]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_provider_crashes_is_asked_again() {
    asked_again(Moment::Before, Kind::NeverReceived).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_answer_is_lost_is_asked_again() {
    asked_again(Moment::After, Kind::AnswerGone).await;
}
