//! One file proves one exchange, or many.

use jisr_ledger::evidence::{self, SetReport, Verifier};
use jisr_ledger::report::Verdict;
use jisr_ledger::statement::Tag;
use jisr_proto::admin::{ExchangeFilter, ExportEvidenceRequest, ExportEvidenceSetRequest};
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::SubjectIdentifier;
use jisr_tests::{Question, World};

async fn export(world: &World, code: &str, exchange: &str, withhold: &[u32]) -> Vec<u8> {
    let id: ExchangeId = exchange.parse().expect("the node named the exchange");
    let request = ExportEvidenceRequest {
        exchange_id: id.as_bytes().to_vec().into(),
        wait_ms: 15_000,
        withhold: withhold.to_vec(),
        ..ExportEvidenceRequest::default()
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

async fn export_set(world: &World, code: &str, filter: ExchangeFilter) -> Result<Vec<u8>, tonic::Status> {
    let request = ExportEvidenceSetRequest {
        filter: Some(filter),
        wait_ms: 15_000,
        ..ExportEvidenceSetRequest::default()
    };
    let mut chunks = world
        .party(code)
        .admin()
        .await
        .export_evidence_set(request)
        .await?
        .into_inner();
    let (mut file, mut lacks) = (Vec::new(), Vec::new());
    while let Some(chunk) = chunks.message().await? {
        file.extend_from_slice(&chunk.data);
        lacks = chunk.lacks;
    }
    assert_eq!(lacks, Vec::<String>::new());
    Ok(file)
}

fn ids(report: &SetReport) -> Vec<&str> {
    report.exchanges.iter().map(|one| one.exchange_id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_proves_all_exchanges_about_a_person_and_one_of_them_can_be_taken_out() {
    let world = World::of_two().await;
    let mut about_her = Vec::new();
    for person in ["9901234567", "9909999999", "9901234567", "9901234567"] {
        let caller = world.caller().with("jisr-case", "2026/77");
        let answer = caller
            .ask("Read", &Question::about(person))
            .await
            .expect("it is allowed");
        if person == "9901234567" {
            about_her.push(answer.exchange);
        }
    }
    about_her.sort();
    let person = ExchangeFilter {
        subject: Some(SubjectIdentifier {
            kind: 1,
            value: "9901234567".into(),
        }),
        ..ExchangeFilter::default()
    };
    let verifier = Verifier::new(world.anchor());
    let now = world.clock.now_us();
    for code in ["mol", "psd"] {
        let file = export_set(&world, code, person.clone()).await.expect("they are known");
        let report = verifier.verify_set(&file, now);
        assert_eq!(report.report.verdict, Verdict::Valid, "{code}: {report:#?}");
        assert_eq!(ids(&report), about_her, "{code}");
    }

    let case = ExchangeFilter {
        case_reference: "2026/77".into(),
        peer: "JO/GOV/psd".into(),
        ..ExchangeFilter::default()
    };
    let file = export_set(&world, "mol", case).await.expect("they are known");
    let report = verifier.verify_set(&file, now);
    assert_eq!((report.report.verdict, report.exchanges.len()), (Verdict::Valid, 4));
    let set = evidence::open_set(&file).expect("it is whole");
    let one: ExchangeId = about_her.first().expect("there are three").parse().expect("an id");
    let mut alone = evidence::extract(&set, &one).expect("the set has it");
    evidence::withhold(&mut alone, &[Tag::Case, Tag::Subject]).expect("it is in form");
    let alone = evidence::encode(&alone).expect("it is short");
    let report = verifier.verify(&alone, now);
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    assert!(alone.len() < 25_000, "{} bytes", alone.len());

    let nobody = ExchangeFilter {
        case_reference: "2026/78".into(),
        ..ExchangeFilter::default()
    };
    let refused = export_set(&world, "mol", nobody)
        .await
        .expect_err("there is no such case");
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let everything = export_set(&world, "mol", ExchangeFilter::default()).await;
    assert_eq!(
        everything.expect_err("nothing is chosen").code(),
        tonic::Code::InvalidArgument
    );
    world.end().await;
}
