//! A provider that lies to an honest consumer.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Draft;
use jisr_node::form::ENVELOPE_BYTES_MAX;
use jisr_proto::peer::{ExchangeRequest, ExchangeResponse, Metadata};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind, Sealed};
use jisr_tests::{Question, Reply, Rogue, World, reason_of, until};
use prost::Message as _;

/// The message of every answer.
fn reply() -> Bytes {
    Reply {
        text: "invented".to_owned(),
        filling: Bytes::new(),
    }
    .encode_to_vec()
    .into()
}

/// A right answer to this question, of this core.
async fn answered(rogue: &Rogue, asked: &Sealed, change: fn(&mut Core)) -> ExchangeResponse {
    let asked = SealVerifier::new()
        .verify(asked, &rogue.key_of("mol"))
        .expect("an honest seal");
    let mut core = asked.statement.core().clone();
    core.kind = Kind::Answered as i32;
    core.expires_us = 0;
    core.payload_bytes = 0;
    core.tags = Bytes::new();
    change(&mut core);
    let draft = Draft::new(core).payload(&reply()).peer(&asked.citation());
    ExchangeResponse {
        closing: Some(rogue.sealed(draft).await),
        payload: reply(),
        ..Default::default()
    }
}

type Lie = fn(ExchangeResponse, Option<ExchangeResponse>) -> ExchangeResponse;

/// psd answers a first question rightly and the second with `lie`, which may use what it answered first. Returns what the
/// application is told, and how the honest consumer closed it.
async fn told(change: fn(&mut Core), lie: Lie) -> (Result<Reply, Reason>, Vec<Kind>) {
    let mut world = World::of_two().await;
    world
        .caller()
        .ask("Write", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    let address = world.party("psd").node.as_ref().unwrap().peer_address();
    let rogue = Arc::new(Rogue::takes_over(&mut world, "psd").await);
    let first: Arc<Mutex<Option<ExchangeResponse>>> = Arc::default();
    let inner = Arc::clone(&rogue);
    let door = Arc::clone(&rogue)
        .serve(address, move |method, message| {
            let (rogue, first) = (Arc::clone(&inner), Arc::clone(&first));
            async move {
                if method != "Exchange" {
                    return ExchangeResponse::default();
                }
                let request = ExchangeRequest::decode(message).expect("an honest request");
                let asked = request.asked.expect("an honest ASKED");
                let earlier = first.lock().unwrap().clone();
                match earlier {
                    None => {
                        let right = answered(&rogue, &asked, |_| {}).await;
                        *first.lock().unwrap() = Some(right.clone());
                        right
                    }
                    earlier => lie(answered(&rogue, &asked, change).await, earlier),
                }
            }
        })
        .await;
    let right = world
        .caller()
        .ask("Write", &Question::about("9901234567"))
        .await
        .expect("a right answer is taken");
    assert_eq!(right.reply.text, "invented");
    let second = world.caller().ask("Write", &Question::about("9901234567")).await;
    let newest = || {
        world
            .statements("mol")
            .into_iter()
            .rfind(|stood| stood.core.kind() == Kind::Asked)
            .unwrap()
            .core
    };
    let exchange = jisr_proto::ident::ExchangeId::try_from(newest().exchange_id.as_ref())
        .unwrap()
        .to_string();
    until(async || world.kinds("mol", &exchange).len() == 2).await;
    let kinds = world.kinds("mol", &exchange);
    drop(door);
    drop(rogue);
    world.parties.remove("psd");
    world.end().await;
    (
        second.map(|answer| answer.reply).map_err(|status| reason_of(&status)),
        kinds,
    )
}

/// The lie is refused and stands as FAILED.
async fn refused(change: fn(&mut Core), lie: Lie, reason: Reason) {
    let (told, kinds) = told(change, lie).await;
    assert_eq!(told, Err(reason));
    assert_eq!(kinds, [Kind::Asked, Kind::Failed]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_another_request_is_refused() {
    refused(|_| {}, |_, earlier| earlier.unwrap(), Reason::AnswerMismatch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_of_nothing_beside_an_answer_is_refused() {
    let lie: Lie = |right, _| ExchangeResponse {
        initial_metadata: vec![Metadata::default(); ENVELOPE_BYTES_MAX / 2 + 1],
        ..right
    };
    refused(|_| {}, lie, Reason::BodyTooLarge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_about_another_subsystem_is_refused() {
    refused(
        |core| core.consumer = "JO/GOV/mol/other".to_owned(),
        |right, _| right,
        Reason::AnswerMismatch,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_statement_is_refused() {
    refused(
        |_| {},
        |right, _| ExchangeResponse { closing: None, ..right },
        Reason::PeerMisbehaved,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_seal_is_swapped_is_refused() {
    let lie: Lie = |mut right, earlier| {
        let other = earlier
            .and_then(|earlier| earlier.closing)
            .and_then(|closing| closing.seal);
        right.closing.as_mut().unwrap().seal = other;
        right
    };
    refused(|_| {}, lie, Reason::SealInvalid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_message_than_was_sealed_is_refused() {
    let lie: Lie = |right, _| ExchangeResponse {
        payload: Bytes::from_static(b"\x0a\x03odd"),
        ..right
    };
    refused(|_| {}, lie, Reason::PayloadMismatch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_closes_nothing_is_refused() {
    // RECEIVED commits to no message: with a PAYLOAD it is no statement.
    refused(
        |core| core.kind = Kind::Received as i32,
        |right, _| right,
        Reason::SealInvalid,
    )
    .await;
}
