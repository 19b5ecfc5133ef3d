//! A planned succession: how the old ledger ends, and what the others make of it.

use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::archive::{Archive, Item};
use jisr_ledger::note;
use jisr_node::succession;
use jisr_proto::ident::ExchangeId;
use jisr_proto::snapshot::CertificateRevocationAct;
use jisr_proto::statement::Kind;
use jisr_tests::{Moment, Question, World, statements_in, until};
use prost::Message as _;

/// RFC 5280, section 5.3.1: superseded.
const SUPERSEDED: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_cosigned_the_old_key_revoked_and_what_nobody_will_answer_closed() {
    let mut world = World::of_two().await;
    let caller = world.caller();
    caller.ask("Read", &Question::about("1")).await.unwrap();
    // psd stops before it has recorded the question, mol before it learns anything.
    let id = ExchangeId::new_v7(world.clock.now_us(), [5; 10]);
    let psd = &world.party("psd").disk;
    psd.stop_at_statement(Kind::Received, Some(&id), Moment::Before);
    let question = Question::about("2").bytes();
    let caller = caller.with("jisr-exchange-id", &id.to_string());
    let asking = tokio::spawn(async move {
        let asked = caller.call("/jisr.tests.v1.Probe/Write", question, Duration::from_secs(20));
        drop(asked.await);
    });
    until(async || world.party("psd").disk.stopped()).await;
    world.crash_node("mol").await;
    world.crash_node("psd").await;
    asking.await.unwrap();
    let id = id.to_string();
    assert_eq!(world.kinds("mol", &id), [Kind::Asked]);
    assert!(world.kinds("psd", &id).is_empty());

    let token = world.token("psd").await;
    let dir = world.party("psd").dir.clone();
    let succeeded = succession::succeed(&dir, &token, Arc::clone(&world.clock))
        .await
        .unwrap();
    assert!(succeeded.ended);
    let old = statements_in(&dir.join("ledgers/2026"));
    assert_eq!(old.last().map(|stood| stood.core.kind()), Some(Kind::Ended));
    let [head] = succeeded.heads.as_slice() else {
        panic!("one head is cited: {succeeded:?}");
    };
    assert_eq!(head.size, old.len() as u64);
    let anchor = world.anchor();
    let witnesses: Vec<_> = anchor.witnesses.iter().map(|witness| witness.key.clone()).collect();
    assert_eq!(note::cosignatures(&head.checkpoint, &witnesses).unwrap().len(), 1);

    let archive = Archive::open(&dir.join("ledgers/2026")).unwrap();
    let stamped = archive.items().filter_map(|item| match item.unwrap().1 {
        Item::Stamp { note, .. } => Some(note::SignedNote::parse(&note).unwrap().text.to_owned()),
        _ => None,
    });
    let end = format!("\n{}\n", old.len());
    assert!(
        stamped.last().is_some_and(|text| text.contains(&end)),
        "the end is stamped"
    );

    world.start_node("psd").await;
    world.open_node("mol").await;
    until(async || world.kinds("mol", &id) == [Kind::Asked, Kind::OutcomeUnknown]).await;
    let registry = statements_in(&world.registry_ledger());
    let revoked = registry
        .iter()
        .filter(|stood| stood.core.kind() == Kind::CertificateRevoked);
    let reasons: Vec<u32> = revoked
        .map(|stood| CertificateRevocationAct::decode(stood.act.clone()).unwrap().reason)
        .collect();
    assert_eq!(reasons, [SUPERSEDED]);
    world.end().await;
}
