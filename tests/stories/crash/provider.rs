//! The provider's node is killed. The method has effects.

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, Moment};

use super::{Crash, Outcome, crash_at_work, row};

fn crash(at: Kind, moment: Moment) -> Crash {
    Crash {
        method: "Write",
        node: "psd",
        at,
        moment,
    }
}

fn outcome_unknown(runs: u32) -> Outcome {
    Outcome {
        consumer: &[Kind::Asked, Kind::OutcomeUnknown],
        provider: &[Kind::Received, Kind::OutcomeUnknown],
        runs,
        again: Err(Reason::OutcomeUnknown),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_before_received_is_durable() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::NeverReceived],
        provider: &[Kind::NeverReceived],
        runs: 0,
        again: Err(Reason::NeverReceived),
    };
    row(crash(Kind::Received, Moment::Before), outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_after_received_before_the_backend() {
    row(crash(Kind::Received, Moment::After), outcome_unknown(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_during_the_backends_work() {
    crash_at_work("Write", "psd", Behaviour::Silent)
        .await
        .claim(outcome_unknown(1))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_after_the_backend_before_answered_is_durable() {
    row(crash(Kind::Answered, Moment::Before), outcome_unknown(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_after_answered_before_sending() {
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::AnswerGone],
        provider: &[Kind::Received, Kind::Answered, Kind::AnswerGone],
        runs: 1,
        again: Err(Reason::AnswerGone),
    };
    row(crash(Kind::Answered, Moment::After), outcome).await;
}
