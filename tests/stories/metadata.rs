//! What goes beside the message: asserted values are checked, the rest passes through.

use jisr_proto::admin::ExportEvidenceRequest;
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_tests::{CONSUMER, Line, PROVIDER, PURPOSE, Question, World, framed, refused};
use tonic::metadata::MetadataValue;

const READ: &str = "/jisr.tests.v1.Probe/Read";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_values_are_refused_by_name() {
    let mut world = World::of_two().await;
    let door = world.party("mol").node.as_ref().expect("it runs").local_address();
    let credential = world.party("mol").credential(CONSUMER);
    let mut line = Line::with(door, &credential, &credential)
        .await
        .expect("the door is open");
    let long = "a".repeat(257);
    let bad = [
        ("jisr-case", "%E2%80%AE1234"),
        ("jisr-case", "1234%0A"),
        ("jisr-case", "%C3%28"),
        ("jisr-case", "100%zz"),
        ("jisr-officer", long.as_str()),
        ("jisr-officer", ""),
        ("jisr-purpos", "misspelt"),
        ("jisr-purpose", "given-twice"),
        ("jisr-provider", "psd"),
        ("jisr-client", "JO/GOV"),
    ];
    let question = framed(&Question::about("9901234567").bytes());
    for (name, value) in bad {
        let headers = [("jisr-purpose", PURPOSE), ("jisr-duty", "law-24"), (name, value)];
        let told = line.post(READ, &headers, question.clone()).await.expect("an answer");
        let told = refused(Err::<(), _>(told.status()), Reason::MetadataInvalid);
        assert!(told.detail.contains(name), "{told:?}");
    }
    for value in [
        "not-an-id",
        "01932b5e-7c00-4abc-8def-0123456789ab",
        "01932B5E-7C00-7ABC-8DEF-0123456789AB",
    ] {
        let headers = [
            ("jisr-purpose", PURPOSE),
            ("jisr-duty", "law-24"),
            ("jisr-exchange-id", value),
        ];
        let told = line.post(READ, &headers, question.clone()).await.expect("an answer");
        refused(Err::<(), _>(told.status()), Reason::ExchangeIdInvalid);
    }
    let headers = [("jisr-purpose", PURPOSE), ("jisr-duty", "law-24")];
    let told = line.post(READ, &headers, question).await.expect("an answer");
    assert_eq!(told.status().code(), tonic::Code::Ok, "the same line still serves");
    assert_eq!(world.party("psd").backend.calls(), 1);
    world.stop_node("mol").await;
    assert_eq!(world.summed("mol", CONSUMER, Reason::MetadataInvalid), 10);
    assert_eq!(world.summed("mol", CONSUMER, Reason::ExchangeIdInvalid), 3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arabic_case_number_arrives_at_the_provider() {
    let world = World::of_two().await;
    let case = "ق-1234/2026";
    let answer = world
        .caller()
        .with("jisr-case", case)
        .ask("Read", &Question::about("1"))
        .await
        .expect("it is allowed");
    let id: ExchangeId = answer.exchange.parse().expect("an exchange id");
    let request = ExportEvidenceRequest {
        exchange_id: id.as_bytes().to_vec().into(),
        wait_ms: 15_000,
        ..ExportEvidenceRequest::default()
    };
    let export = world
        .party("psd")
        .admin()
        .await
        .export_evidence(request)
        .await
        .expect("it is known")
        .into_inner();
    assert!(
        export
            .evidence
            .windows(case.len())
            .any(|bytes| bytes == case.as_bytes())
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_s_metadata_passes_and_reserved_metadata_does_not() {
    let world = World::of_two().await;
    let mut caller = world.caller();
    caller.metadata.insert("x-trace", "00-4bf9".parse().expect("a value"));
    caller
        .metadata
        .append_bin("thing-bin", MetadataValue::from_bytes(&[0, 1, 255]));
    caller.metadata.append_bin("thing-bin", MetadataValue::from_bytes(&[7]));
    let answer = caller.ask("Read", &Question::about("1")).await.expect("it is allowed");
    let headers = world.party("psd").backend.headers().expect("it was called");
    let seen = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(seen("x-trace"), "00-4bf9");
    let things: Vec<_> = headers
        .get_all("thing-bin")
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    assert_eq!(things, ["AAH/", "Bw"]);
    assert_eq!(seen("jisr-exchange-id"), answer.exchange);
    assert_eq!(seen("jisr-consumer"), CONSUMER);
    assert_eq!(seen("jisr-purpose").replace("%2D", "-"), PURPOSE);
    for reserved in ["jisr-case", "jisr-duty", "user-agent"] {
        assert!(
            !headers.contains_key(reserved),
            "{reserved} is not the backend's business"
        );
    }
    assert_eq!(
        answer.metadata.get("backend-initial").expect("before the message"),
        "first"
    );
    let trailing = answer
        .metadata
        .get_bin("backend-trailing-bin")
        .expect("after the message");
    assert_eq!(trailing.to_bytes().expect("base64").as_ref(), [0, 1, 2]);
    assert!(
        !answer.metadata.contains_key("jisr-forged"),
        "{PROVIDER} cannot speak in the node's name"
    );
    world.end().await;
}
