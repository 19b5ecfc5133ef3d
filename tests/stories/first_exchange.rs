//! An application asks, a backend answers, both ledgers know.

use jisr_tests::{Question, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered() {
    let world = World::of_two().await;
    let answer = world
        .caller()
        .ask("Read", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    assert_eq!(answer.reply.text, "9901234567");
    assert_eq!(answer.metadata.get("backend-initial").unwrap(), "first");
    assert_eq!(world.party("psd").backend.runs(&answer.exchange), 1);
    world.end().await;
}
