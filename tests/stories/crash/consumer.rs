//! The consumer's node is killed. The method has effects.

use std::time::Duration;

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, Moment, Question, until};

use super::{Crash, Outcome, PERSON, crash_at_work, row, told};

const ANSWERED: &[Kind] = &[Kind::Received, Kind::Answered];

fn crash(at: Kind, moment: Moment) -> Crash {
    Crash {
        method: "Write",
        node: "mol",
        at,
        moment,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_before_asked_is_durable() {
    let mut begun = crash(Kind::Asked, Moment::Before).begin().await;
    until(async || begun.world.party("mol").disk.stopped()).await;
    begun.world.crash_node("mol").await;
    begun.world.start_node("mol").await;
    let id = begun.id.to_string();
    assert!(
        begun.asking.await.unwrap().is_err(),
        "nothing was sent, and nobody was answered"
    );
    assert_eq!(begun.world.kinds("mol", &id), []);
    assert_eq!(begun.world.kinds("psd", &id), []);
    // The id was never used: the application may use it now.
    let answer = begun
        .world
        .caller()
        .with("jisr-exchange-id", &id)
        .ask("Write", &Question::about(PERSON))
        .await;
    assert_eq!(told(&answer), Ok(()));
    assert_eq!(begun.world.party("psd").backend.runs(&id), 1);
    begun.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_after_asked_before_sending() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::NeverReceived],
        provider: &[Kind::NeverReceived],
        runs: 0,
        again: Err(Reason::NeverReceived),
    };
    row(crash(Kind::Asked, Moment::After), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_after_sending() {
    let begun = crash_at_work("Write", "mol", Behaviour::Slow(Duration::from_millis(500))).await;
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Delivered],
        provider: ANSWERED,
        runs: 1,
        again: Ok(()),
    };
    begun.claim(outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_after_the_reply_before_delivered_is_durable() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Delivered],
        provider: ANSWERED,
        runs: 1,
        again: Ok(()),
    };
    row(crash(Kind::Delivered, Moment::Before), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_after_delivered() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Delivered],
        provider: ANSWERED,
        runs: 1,
        again: Ok(()),
    };
    row(crash(Kind::Delivered, Moment::After), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_before_delivered_and_the_provider_too() {
    let mut begun = crash(Kind::Delivered, Moment::Before).begin().await;
    until(async || begun.world.party("mol").disk.stopped()).await;
    for code in ["mol", "psd"] {
        begun.world.crash_node(code).await;
    }
    for code in ["psd", "mol"] {
        begun.world.start_node(code).await;
    }
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::AnswerGone],
        provider: &[Kind::Received, Kind::Answered, Kind::AnswerGone],
        runs: 1,
        again: Err(Reason::AnswerGone),
    };
    begun.claim(outcome).await;
}
