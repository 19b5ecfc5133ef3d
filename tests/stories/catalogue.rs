//! Services change under agreements that rest on them, and say whether they answer.

use bytes::Bytes;
use jisr_ledger::evidence;
use jisr_ledger::report::Verdict;
use jisr_proto::admin::{ExportEvidenceRequest, PublishServiceRequest};
use jisr_proto::catalogue::{SearchRequest, Serving, ShowRequest};
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::Listing;
use jisr_tests::{CONSUMER, PROBE, PROVIDER, Question, World, probe_schema, probe_schema_with, reason_of, until};

fn publication(schema: Bytes) -> PublishServiceRequest {
    PublishServiceRequest {
        provider: PROVIDER.to_owned(),
        service: PROBE.to_owned(),
        schema,
        ..PublishServiceRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_breaks_nothing_is_called_and_proven_under_the_old_agreement() {
    let world = World::of_two().await;
    let wider = probe_schema_with(
        "string text = 1",
        "string remark = 9 [(jisr.v1.classification) = PUBLIC]; string text = 1",
    );
    let mut psd = world.party("psd").admin().await;
    let published = psd
        .publish(publication(wider.clone()))
        .await
        .expect("it breaks nothing")
        .into_inner();
    assert_eq!(published.version, "1.1.0");
    world.until_all_hold(published.snapshot_version).await;
    let answer = world
        .caller()
        .ask("Read", &Question::about("9901234567"))
        .await
        .expect("the agreement holds");
    let id: ExchangeId = answer.exchange.parse().expect("the node named the exchange");
    for code in ["mol", "psd"] {
        let request = ExportEvidenceRequest {
            exchange_id: id.as_bytes().to_vec().into(),
            wait_ms: 15_000,
            ..ExportEvidenceRequest::default()
        };
        let exported = world.party(code).admin().await.export_evidence(request).await;
        let file = exported.expect("it is known").into_inner();
        let report = evidence::verify(&file.evidence, &world.anchor(), world.clock.now_us());
        assert_eq!(report.verdict, Verdict::Valid, "{code}: {report:#?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agreement_rests_on_is_not_broken_under_any_name() {
    let world = World::of_two().await;
    let mut psd = world.party("psd").admin().await;
    let breaking = [
        (
            "number = 1 [(jisr.v1.classification) = PERSONAL",
            "number = 1 [(jisr.v1.classification) = PUBLIC",
        ),
        ("string text = 1", "bytes text = 1"),
        ("string text = 1 [(jisr.v1.classification) = PUBLIC];", ""),
        ("rpc Read(Question)", "rpc Read(stream Question)"),
    ];
    for (from, to) in breaking {
        let changed = publication(probe_schema_with(from, to));
        let refused = psd.publish(changed).await.expect_err("it breaks what is agreed");
        assert_eq!(reason_of(&refused), Reason::BreakingChange, "{to}: {refused}");
        assert!(refused.message().contains(CONSUMER), "{refused}");
    }
    let withdraw = PublishServiceRequest {
        withdraw: true,
        ..publication(Bytes::new())
    };
    let refused = psd.publish(withdraw).await.expect_err("somebody rests on it");
    assert_eq!(reason_of(&refused), Reason::BreakingChange);
    let moved = PublishServiceRequest {
        provider: CONSUMER.to_owned(),
        ..publication(probe_schema())
    };
    let refused = psd.publish(moved).await.expect_err("it is another member's");
    assert_eq!(reason_of(&refused), Reason::SubsystemNotYours);
    world
        .caller()
        .ask("Read", &Question::about("9901234567"))
        .await
        .expect("nothing changed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_tells_what_a_service_is_and_whether_it_answers() {
    let world = World::of_two().await;
    let mut psd = world.party("psd").admin().await;
    let described = PublishServiceRequest {
        listing: Some(Listing {
            text_ar: "يجيب بما تقوله القصة".to_owned(),
            contact: "probe@psd.example.jo".to_owned(),
            ..Listing::default()
        }),
        ..publication(probe_schema())
    };
    let published = psd.publish(described).await.expect("it is described").into_inner();
    world.until_all_hold(published.snapshot_version).await;
    let mut catalogue = world.party("mol").catalogue().await;
    let serving = async |serving: Serving| {
        until(async || {
            let mut catalogue = world.party("mol").catalogue().await;
            let query = "القصه".to_owned();
            let found = catalogue
                .search(SearchRequest { query, limit: 1 })
                .await
                .expect("it is asked")
                .into_inner();
            found.entries.first().is_some_and(|entry| entry.serving() == serving)
        })
        .await;
    };
    serving(Serving::Yes).await;
    world.party("psd").backend.stop();
    serving(Serving::No).await;
    let request = ShowRequest {
        service: PROBE.to_owned(),
        provider: String::new(),
    };
    let shown = catalogue.show(request).await.expect("it is published").into_inner();
    assert_eq!(shown.schema, probe_schema());
    let text = shown
        .files
        .iter()
        .find(|file| file.name == "probe.proto")
        .expect("it has a text");
    assert!(text.text.contains("service Probe {"), "{}", text.text);
    world.end().await;
}
