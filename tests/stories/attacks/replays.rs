//! The same question twice: to the same node, to others, under the same id with other content.

use jisr_proto::peer::ExchangeResponse;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_tests::{PURPOSE, Question, Rogue};

use super::{end, mol_turns, size};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_to_the_same_provider_gets_the_same_sealed_answer() {
    let (world, rogue) = mol_turns().await;
    let mut line = rogue.greet(&world, "psd").await;
    let request = Rogue::request(rogue.asked(rogue.core()).await);
    let first: ExchangeResponse = line.call("Exchange", &request).await.unwrap();
    let before = size(&world);
    for _ in 0..3 {
        let again: ExchangeResponse = line.call("Exchange", &request).await.unwrap();
        assert_eq!(again, first);
    }
    assert_eq!(size(&world), before);
    assert_eq!(world.party("psd").backend.calls(), 2, "the honest call and this one");
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_after_a_restart_runs_nothing() {
    let (mut world, rogue) = mol_turns().await;
    let request = Rogue::request(rogue.asked(rogue.core()).await);
    rogue.greet(&world, "psd").await.exchange(&request).await.unwrap();
    world.crash_node("psd").await;
    world.start_node("psd").await;
    let told = rogue.greet(&world, "psd").await.exchange(&request).await.unwrap();
    assert_eq!(told.0, Kind::AnswerGone);
    assert_eq!(world.party("psd").backend.calls(), 2);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_to_another_provider_is_refused() {
    let (mut world, rogue) = mol_turns().await;
    world.join("moh").await;
    let request = Rogue::request(rogue.asked(rogue.core()).await);
    let mut line = rogue.greet(&world, "moh").await;
    assert_eq!(line.exchange(&request).await, Err(Reason::WrongProvider));
    assert_eq!(world.party("moh").backend.calls(), 0);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_asked_to_a_second_node_of_the_provider_is_refused() {
    let (world, rogue) = mol_turns().await;
    let before = size(&world);
    // What psd's node1 hears when a question that names node2 is brought to it.
    let core = Core {
        provider_origin: "jisr/JO/GOV/psd/node2/2026".to_owned(),
        ..rogue.core()
    };
    let asked = rogue.asked(core).await;
    let mut line = rogue.greet(&world, "psd").await;
    assert_eq!(
        line.exchange(&Rogue::request(asked.clone())).await,
        Err(Reason::WrongNode)
    );
    assert_eq!(line.settle(&asked).await, Err(Reason::WrongNode));
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_exchange_id_with_other_content_is_refused() {
    let (world, rogue) = mol_turns().await;
    let core = rogue.core();
    let mut line = rogue.greet(&world, "psd").await;
    line.exchange(&Rogue::request(rogue.asked(core.clone()).await))
        .await
        .unwrap();
    let before = size(&world);
    let other = Question::about("9907654321").bytes();
    let draft = jisr_ledger::statement::Draft::new(core)
        .purpose(PURPOSE)
        .duty("law")
        .payload(&other);
    let mut request = Rogue::request(rogue.sealed(draft).await);
    request.payload = other;
    assert_eq!(line.exchange(&request).await, Err(Reason::ExchangeIdReused));
    assert_eq!(
        line.settle(request.asked.as_ref().unwrap()).await,
        Err(Reason::ExchangeIdReused)
    );
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_as_never_received_is_not_run_when_the_queued_copy_arrives() {
    let (mut world, rogue) = mol_turns().await;
    let request = Rogue::request(rogue.asked(rogue.core()).await);
    let mut line = rogue.greet(&world, "psd").await;
    assert_eq!(
        line.settle(request.asked.as_ref().unwrap()).await.unwrap().0,
        Kind::NeverReceived
    );
    assert_eq!(line.exchange(&request).await.unwrap().0, Kind::NeverReceived);
    world.crash_node("psd").await;
    world.start_node("psd").await;
    assert_eq!(
        rogue.greet(&world, "psd").await.exchange(&request).await.unwrap().0,
        Kind::NeverReceived
    );
    assert_eq!(world.party("psd").backend.calls(), 1, "the honest call");
    end(world, rogue, "mol").await;
}
