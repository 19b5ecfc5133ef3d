//! One file proves one exchange.

use jisr_ledger::evidence;
use jisr_ledger::report::Verdict;
use jisr_proto::admin::ExportEvidenceRequest;
use jisr_proto::ident::ExchangeId;
use jisr_tests::{Question, World};

async fn export(world: &World, code: &str, exchange: &str, withhold: &[u32]) -> Vec<u8> {
    let id: ExchangeId = exchange.parse().expect("the node named the exchange");
    let request = ExportEvidenceRequest {
        exchange_id: id.as_bytes().to_vec().into(),
        wait_ms: 15_000,
        withhold: withhold.to_vec(),
    };
    let response = world
        .party(code)
        .admin()
        .await
        .export_evidence(request)
        .await
        .expect("it is known")
        .into_inner();
    assert_eq!(response.lacks, Vec::<String>::new());
    response.evidence.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_side_can_prove_it_and_a_flipped_byte_shows() {
    let world = World::of_two().await;
    let answer = world
        .caller()
        .ask("Read", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    let anchor = world.anchor();
    let now = world.clock.now_us();
    for code in ["mol", "psd"] {
        let file = export(&world, code, &answer.exchange, &[]).await;
        let report = evidence::verify(&file, &anchor, now);
        assert_eq!(report.verdict, Verdict::Valid, "{code}: {report:#?}");
        let mut flipped = file.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        assert_eq!(evidence::verify(&flipped, &anchor, now).verdict, Verdict::Invalid);
    }
    let withheld = export(&world, "mol", &answer.exchange, &[3, 7]).await;
    let report = evidence::verify(&withheld, &anchor, now);
    assert_eq!(report.verdict, Verdict::Valid, "without case and subject: {report:#?}");
    let refused = world
        .caller()
        .with("jisr-purpose", "curiosity")
        .ask("Read", &Question::about("1"))
        .await;
    let refused = refused.expect_err("nobody agreed to that");
    let exchange = refused
        .metadata()
        .get("jisr-exchange-id")
        .expect("it has an id")
        .to_str()
        .unwrap()
        .to_owned();
    let file = export(&world, "mol", &exchange, &[]).await;
    assert_eq!(
        evidence::verify(&file, &anchor, now).verdict,
        Verdict::Valid,
        "a refusal at home is proven too"
    );
    world.end().await;
}
