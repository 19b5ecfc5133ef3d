//! Receipts: the provider's ledger holds how the consumer closed what it answered, within seconds, whoever stops in between.

use std::time::Duration;

use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::{Receipt, ReceiptsRequest, ReceiptsResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{FindingKind, Kind, Sealed};
use jisr_tests::{Behaviour, PROVIDER, Question, Rogue, World, until};

const PERSON: &str = "9901234567";

/// mol and psd, with nodes that are configured so.
async fn world(extra: &str) -> World {
    let mut world = World::new().await;
    for code in ["mol", "psd"] {
        world.admit(code).await;
        world.prepare(code, extra).await;
        let token = world.token(code).await;
        world.enrol(code, &token).await.unwrap();
        world.start_node(code).await;
    }
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    world
}

/// Receipts of one exchange in psd's ledger, by kind.
fn kinds(world: &World, exchange: &str) -> Vec<Kind> {
    let exchange: ExchangeId = exchange.parse().unwrap();
    let receipts = world.receipts("psd").into_iter();
    receipts
        .filter(|receipt| receipt.core.exchange_id == exchange.as_bytes().as_slice())
        .map(|receipt| receipt.core.kind())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_stand_in_the_providers_ledger_within_seconds() {
    let world = world("[receipts]\nsend_ms = 50\n").await;
    let mut exchanges = Vec::new();
    for method in ["Read", "Write", "Read"] {
        let answer = world.caller().ask(method, &Question::about(PERSON)).await.unwrap();
        exchanges.push(answer.exchange);
    }
    let asked = std::time::Instant::now();
    for exchange in &exchanges {
        until(async || kinds(&world, exchange) == [Kind::Delivered]).await;
    }
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    until(async || world.party("psd").status().await.receipts_owed == 0).await;
    assert!(world.findings("psd").is_empty());
    // What a receipt must be is checked there.
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_failure_has_a_receipt_too() {
    let world = world("[receipts]\nsend_ms = 50\n").await;
    world.party("psd").backend.behave(Behaviour::Garbage);
    let refused = world.caller().ask("Read", &Question::about(PERSON)).await.unwrap_err();
    let exchange = refused
        .metadata()
        .get("jisr-exchange-id")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    until(async || kinds(&world, &exchange) == [Kind::Failed]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_told_before_a_crash_is_told_after_it() {
    for crashed in ["mol", "psd"] {
        let mut world = world("[receipts]\nsend_ms = 2000\n").await;
        let answer = world.caller().ask("Write", &Question::about(PERSON)).await.unwrap();
        until(async || world.kinds("mol", &answer.exchange) == [Kind::Asked, Kind::Delivered]).await;
        world.crash_node(crashed).await;
        assert_eq!(kinds(&world, &answer.exchange), [], "{crashed}");
        world.start_node(crashed).await;
        until(async || kinds(&world, &answer.exchange) == [Kind::Delivered]).await;
        until(async || world.party("psd").status().await.receipts_owed == 0).await;
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_came_after_the_consumer_gave_up_is_recorded_even_if_it_crashed() {
    let mut world = world("[receipts]\nsend_ms = 50\n").await;
    let first = world.caller().ask("Write", &Question::about(PERSON)).await.unwrap();
    until(async || kinds(&world, &first.exchange).len() == 1).await;
    let id = ExchangeId::new_v7(world.clock.now_us(), [3; 10]);
    world.party("psd").disk.hold_at_statement(Kind::Answered, Some(&id));
    let caller = world.caller().with("jisr-exchange-id", &id.to_string());
    let asked = caller.call(
        "/jisr.tests.v1.Probe/Write",
        Question::about(PERSON).bytes(),
        Duration::from_millis(400),
    );
    assert!(asked.await.is_err());
    let id = id.to_string();
    until(async || world.kinds("mol", &id).len() == 2).await;
    world.crash_node("mol").await;
    world.party("psd").disk.release();
    world.start_node("mol").await;
    until(async || world.kinds("mol", &id).last() == Some(&Kind::LateAnswer)).await;
    until(async || kinds(&world, &id) == [Kind::LateAnswer]).await;
    world.end().await;
}

/// Shows statements of the rogue's own ledger.
async fn show(rogue: &Rogue, world: &World, sealed: &[Sealed]) -> Result<ReceiptsResponse, Reason> {
    let checkpoint = rogue.ledger.checkpoint();
    let receipts = sealed.iter().map(|sealed| {
        let index = sealed.seal.as_ref().unwrap().index;
        let path = rogue.ledger.prove(index, checkpoint.size).unwrap();
        Receipt {
            index,
            path: path.iter().map(|hash| bytes::Bytes::copy_from_slice(hash)).collect(),
            statement: sealed.statement.clone(),
        }
    });
    let request = ReceiptsRequest {
        checkpoint: checkpoint.note.clone(),
        receipts: receipts.collect(),
    };
    rogue.greet(world, "psd").await.call("Receipts", &request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_sends_none_is_found_and_refused_until_it_does() {
    let mut world =
        world("[receipts]\nsend_ms = 50\nmissing_s = 4\n\n[limits]\nthreads = 1\nreceipts_owed_max = 2\n").await;
    let answer = world.caller().ask("Write", &Question::about(PERSON)).await.unwrap();
    until(async || kinds(&world, &answer.exchange).len() == 1).await;
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    let mut line = rogue.greet(&world, "psd").await;
    let mut delivered = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let core = rogue.core();
        ids.push(core.exchange_id.clone());
        let asked = rogue.asked(core.clone()).await;
        let answered = line.answered(&Rogue::request(asked)).await;
        delivered.push(rogue.delivers(&core, &answered, "psd"));
    }
    let asked = Rogue::request(rogue.asked(rogue.core()).await);
    assert_eq!(line.exchange(&asked).await.unwrap_err(), Reason::ReceiptsOwed);
    let status = world.party("psd").status().await;
    assert_eq!(
        (status.receipts_owed, status.peers[0].refused.as_str()),
        (2, "RECEIPTS_OWED")
    );
    until(async || !world.findings("psd").is_empty()).await;
    let mut named = world.findings("psd").into_iter().flat_map(|finding| {
        assert_eq!(finding.kind(), FindingKind::ReceiptsMissing);
        assert_eq!(finding.origin, "jisr/JO/GOV/mol/node1/2026");
        finding.exchanges
    });
    assert!(named.all(|id| ids.contains(&id)));

    let mut sealed = Vec::new();
    for draft in delivered {
        sealed.push(rogue.sealed(draft).await);
    }
    let told = show(&rogue, &world, &sealed).await.unwrap();
    assert_eq!(told.recorded, 2);
    assert_eq!(world.party("psd").status().await.receipts_owed, 0);
    let asked = Rogue::request(rogue.asked(rogue.core()).await);
    assert_eq!(line.exchange(&asked).await.unwrap().0, Kind::Answered);
    // Shown again they are known.
    let before = world.receipts("psd").len();
    assert_eq!(show(&rogue, &world, &sealed).await.unwrap().recorded, 2);
    assert_eq!(world.receipts("psd").len(), before);
    drop(rogue);
    world.parties.remove("mol");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_receipt_is_refused_or_left_out() {
    let mut world = world("").await;
    let answer = world.caller().ask("Write", &Question::about(PERSON)).await.unwrap();
    until(async || kinds(&world, &answer.exchange).len() == 1).await;
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    let mut line = rogue.greet(&world, "psd").await;
    let core = rogue.core();
    let asked = rogue.asked(core.clone()).await;
    let answered = line.answered(&Rogue::request(asked.clone())).await;
    let good = rogue.sealed(rogue.delivers(&core, &answered, "psd")).await;
    let before = world.receipts("psd").len();

    // A question closes nothing.
    assert_eq!(show(&rogue, &world, &[asked]).await, Err(Reason::MalformedStatement));
    // Not in the tree that the checkpoint signs.
    let mut moved = good.clone();
    moved.seal.as_mut().unwrap().index -= 1;
    assert_eq!(show(&rogue, &world, &[moved]).await, Err(Reason::SealInvalid));
    // Too many, and no checkpoint at all.
    let many = ReceiptsRequest {
        receipts: vec![Receipt::default(); 1025],
        ..Default::default()
    };
    assert_eq!(
        line.call::<_, ReceiptsResponse>("Receipts", &many).await,
        Err(Reason::MalformedFrame)
    );
    let none = ReceiptsRequest {
        receipts: vec![Receipt::default()],
        ..Default::default()
    };
    assert_eq!(
        line.call::<_, ReceiptsResponse>("Receipts", &none).await,
        Err(Reason::SealInvalid)
    );
    // For a statement that psd never made: left out, so that the rest goes on.
    let foreign = rogue.sealed(rogue.delivers_invented(&core)).await;
    assert_eq!(show(&rogue, &world, &[foreign]).await.unwrap().recorded, 1);
    assert_eq!(world.receipts("psd").len(), before);
    assert_eq!(show(&rogue, &world, &[good]).await.unwrap().recorded, 1);
    assert_eq!(world.receipts("psd").len(), before + 1);
    drop(rogue);
    world.parties.remove("mol");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_receipts_the_provider_proves_an_exchange_alone() {
    let mut world = world("[receipts]\nsend_ms = 50\n").await;
    let answer = world.caller().ask("Write", &Question::about(PERSON)).await.unwrap();
    until(async || kinds(&world, &answer.exchange) == [Kind::Delivered]).await;
    until(async || world.party("psd").status().await.proofs_owed == 0).await;
    world.crash_node("mol").await;
    let id: ExchangeId = answer.exchange.parse().unwrap();
    let request = jisr_proto::admin::ExportEvidenceRequest {
        exchange_id: id.as_bytes().to_vec().into(),
        wait_ms: 15_000,
        ..jisr_proto::admin::ExportEvidenceRequest::default()
    };
    let exported = world.party("psd").admin().await.export_evidence(request).await;
    let exported = exported.unwrap().into_inner();
    assert_eq!(exported.lacks, Vec::<String>::new());
    let report = jisr_ledger::evidence::verify(&exported.evidence, &world.anchor(), world.clock.now_us());
    assert_eq!(report.verdict, jisr_ledger::report::Verdict::Valid, "{report:#?}");
    world.end().await;
}
