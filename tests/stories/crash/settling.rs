//! A second crash, while both sides settle what the first one left.

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Moment, until};

use super::{Crash, Outcome};

/// After the first crash another node stops, at the statement with which it settles; it is started again, too.
async fn settled(first: Crash, second: &'static str, at: Kind, outcome: fn() -> Outcome) {
    for moment in [Moment::Before, Moment::After] {
        let node = first.node;
        let mut begun = first.begin().await;
        until(async || begun.world.party(node).disk.stopped()).await;
        begun
            .world
            .party(second)
            .disk
            .stop_at_statement(at, Some(&begun.id), moment);
        begun.world.crash_node(node).await;
        begun.world.start_node(node).await;
        until(async || begun.world.party(second).disk.stopped()).await;
        begun.world.crash_node(second).await;
        begun.world.start_node(second).await;
        begun.claim(outcome()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_stops_at_never_received() {
    let first = Crash {
        method: "Write",
        node: "mol",
        at: Kind::Asked,
        moment: Moment::After,
    };
    let outcome = || Outcome {
        consumer: &[Kind::Asked, Kind::NeverReceived],
        provider: &[Kind::NeverReceived],
        runs: 0,
        again: Err(Reason::NeverReceived),
    };
    settled(first, "psd", Kind::NeverReceived, outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_stops_at_answer_gone() {
    let first = Crash {
        method: "Read",
        node: "mol",
        at: Kind::Delivered,
        moment: Moment::Before,
    };
    let outcome = || Outcome {
        consumer: &[Kind::Asked, Kind::AnswerGone],
        provider: &[Kind::Received, Kind::Answered, Kind::AnswerGone],
        runs: 1,
        again: Err(Reason::AnswerGone),
    };
    settled(first, "psd", Kind::AnswerGone, outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_stops_at_never_received() {
    let first = Crash {
        method: "Write",
        node: "psd",
        at: Kind::Received,
        moment: Moment::Before,
    };
    let outcome = || Outcome {
        consumer: &[Kind::Asked, Kind::NeverReceived],
        provider: &[Kind::NeverReceived],
        runs: 0,
        again: Err(Reason::NeverReceived),
    };
    settled(first, "mol", Kind::NeverReceived, outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_stops_at_outcome_unknown() {
    let first = Crash {
        method: "Write",
        node: "psd",
        at: Kind::Answered,
        moment: Moment::Before,
    };
    let outcome = || Outcome {
        consumer: &[Kind::Asked, Kind::OutcomeUnknown],
        provider: &[Kind::Received, Kind::OutcomeUnknown],
        runs: 1,
        again: Err(Reason::OutcomeUnknown),
    };
    settled(first, "mol", Kind::OutcomeUnknown, outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_stops_at_answer_gone() {
    let first = Crash {
        method: "Write",
        node: "psd",
        at: Kind::Answered,
        moment: Moment::After,
    };
    let outcome = || Outcome {
        consumer: &[Kind::Asked, Kind::AnswerGone],
        provider: &[Kind::Received, Kind::Answered, Kind::AnswerGone],
        runs: 1,
        again: Err(Reason::AnswerGone),
    };
    settled(first, "mol", Kind::AnswerGone, outcome).await;
}
