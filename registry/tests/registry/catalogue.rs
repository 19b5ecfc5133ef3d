//! Publication of services.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::FILE_DESCRIPTOR_SET;
use jisr_proto::catalogue::catalogue_client::CatalogueClient;
use jisr_proto::catalogue::{self, Serving};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot::Listing;

use crate::world::{NOON_US, World, reason};

pub(crate) const SERVICE: &str = "jisr.registry.v1.RegistryAdmin";

/// A publication that is accepted; the contracts of this program serve as a schema.
pub(crate) fn publication(provider: &str) -> wire::PublishRequest {
    wire::PublishRequest {
        provider: provider.into(),
        service: SERVICE.into(),
        schema: Bytes::from_static(FILE_DESCRIPTOR_SET),
        title_ar: "تصاريح الإقامة".into(),
        title_en: "Residence permits".into(),
        ..wire::PublishRequest::default()
    }
}

#[tokio::test]
async fn a_service_is_published_and_withdrawn() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let published = registry
        .publish(publication("JO/GOV/psd/residency"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        published.schema.as_ref(),
        digest::domain("jisr.schema", &[FILE_DESCRIPTOR_SET])
    );
    let request = wire::SchemaRequest {
        digest: published.schema.clone(),
    };
    assert_eq!(
        registry.schema(request).await.unwrap().into_inner().schema,
        FILE_DESCRIPTOR_SET
    );
    let unknown = wire::SchemaRequest {
        digest: Bytes::from_static(&[1; 32]),
    };
    assert_eq!(reason(registry.schema(unknown).await), Reason::UnknownSchema);
    let mut admin = world.admin().await;
    let status = admin.status(wire::RegistryStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.services, [format!("{SERVICE} JO/GOV/psd/residency")]);
    assert!(published.snapshot_version <= status.snapshot_version);
    let withdraw = wire::PublishRequest {
        withdraw: true,
        ..publication("JO/GOV/psd/residency")
    };
    registry.publish(withdraw.clone()).await.unwrap();
    assert_eq!(reason(registry.publish(withdraw).await), Reason::UnknownService);
    world.finish((registry, admin)).await;
}

#[tokio::test]
async fn a_publication_without_titles_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let breaks: [fn(&mut wire::PublishRequest); 4] = [
        |request| request.title_ar.clear(),
        |request| request.title_en.clear(),
        |request| request.title_ar = "Residence permits".into(),
        |request| request.title_ar.push('\u{202E}'),
    ];
    for (at, break_it) in breaks.iter().enumerate() {
        let mut request = publication("JO/GOV/psd/residency");
        break_it(&mut request);
        assert_eq!(
            reason(registry.publish(request).await),
            Reason::TitleMissing,
            "rule {at}"
        );
    }
    let kept = std::fs::read_dir(world.config.data.join("schemas")).unwrap().count();
    assert_eq!(kept, 0);
    world.finish(registry).await;
}

#[tokio::test]
async fn what_is_listed_is_checked_and_what_is_left_open_is_added() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let listed = |listing: Listing| wire::PublishRequest {
        listing: Some(listing),
        ..publication("JO/GOV/psd/residency")
    };
    let breaks: [Breaking; 9] = [
        (|listing| listing.version = "1.0".into(), Reason::RequestInvalid),
        (|listing| listing.classification = 9, Reason::RequestInvalid),
        (|listing| listing.text_en = "Only English".into(), Reason::TitleMissing),
        (|listing| listing.text_ar = "Not Arabic".into(), Reason::RequestInvalid),
        (|listing| listing.text_ar = "نص\u{202e}".into(), Reason::RequestInvalid),
        (|listing| listing.text_ar = "ن".repeat(2000), Reason::RequestInvalid),
        (|listing| listing.contact = "a\u{2066}b".into(), Reason::RequestInvalid),
        (|listing| listing.availability = "x".repeat(300), Reason::RequestInvalid),
        (|listing| listing.availability_target = 100_001, Reason::RequestInvalid),
    ];
    for (at, (break_it, expected)) in breaks.iter().enumerate() {
        let mut listing = Listing::default();
        break_it(&mut listing);
        assert_eq!(reason(registry.publish(listed(listing)).await), *expected, "rule {at}");
    }
    let said = Listing {
        text_ar: "يبيّن حالة إذن الإقامة".into(),
        text_en: "Says how a residence permit stands".into(),
        availability: "at all hours".into(),
        availability_target: 99_900,
        contact: "residency@psd.example.jo, +962 6 000 0000".into(),
        ..Listing::default()
    };
    let published = registry.publish(listed(said.clone())).await.unwrap().into_inner();
    assert_eq!(published.version, "1.0.0");
    let mut catalogue = CatalogueClient::new(world.socket().await);
    let shown = catalogue.show(show(SERVICE)).await.unwrap().into_inner();
    let row = shown.entry.unwrap().service.unwrap();
    let expected = Listing {
        version: "1.0.0".into(),
        classification: 1,
        ..said
    };
    assert_eq!(row.listing, Some(expected));
    assert_eq!(shown.schema, FILE_DESCRIPTOR_SET);
    assert!(
        shown
            .files
            .iter()
            .any(|file| file.text.contains("service RegistryAdmin {")),
        "{}",
        shown.no_text
    );
    world.finish((registry, catalogue)).await;
}

/// What is done to a listing, and why it is refused then.
type Breaking = (fn(&mut Listing), Reason);

fn show(service: &str) -> catalogue::ShowRequest {
    catalogue::ShowRequest {
        service: service.into(),
        provider: String::new(),
    }
}

#[tokio::test]
async fn services_are_found_in_both_languages_and_say_whether_they_answer() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    world.member("JO/GOV/mol").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let mut other = world.call(Some(&mol.identity)).await;
    registry.publish(publication("JO/GOV/psd/residency")).await.unwrap();
    let backend = |provider: &str, serving| wire::ReportHealthRequest {
        backends: vec![wire::BackendHealth {
            service: SERVICE.into(),
            provider: provider.into(),
            serving,
        }],
    };
    let mut catalogue = CatalogueClient::new(world.socket().await);
    let mut serving = async |query: &str| {
        let query = query.to_owned();
        let found = catalogue
            .search(catalogue::SearchRequest { query, limit: 0 })
            .await
            .unwrap()
            .into_inner();
        found.entries.first().map(|entry| (entry.serving(), entry.since_us))
    };
    assert_eq!(serving("خدمة").await, None);
    assert_eq!(serving("تصاريح الاقامه").await, Some((Serving::Unknown, 0)));
    registry
        .report_health(backend("JO/GOV/psd/residency", true))
        .await
        .unwrap();
    assert_eq!(serving("RESIDENCE").await, Some((Serving::Yes, NOON_US)));
    // Nobody speaks for another member's services.
    let forged = other.report_health(backend("JO/GOV/psd/residency", false)).await;
    assert_eq!(reason(forged), Reason::SubsystemNotYours);
    other
        .report_health(backend("JO/GOV/mol/residency", true))
        .await
        .unwrap();
    world.clock.advance(1_000_000);
    registry
        .report_health(backend("JO/GOV/psd/residency", false))
        .await
        .unwrap();
    assert_eq!(serving("psd").await, Some((Serving::No, NOON_US + 1_000_000)));
    // Silence is no answer.
    world.clock.advance(91_000_000);
    assert_eq!(serving("").await, Some((Serving::Unknown, NOON_US + 91_000_000)));
    world.finish((registry, other, catalogue)).await;
}

#[tokio::test]
async fn a_schema_is_shown_while_something_public_or_own_names_it() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let published = registry
        .publish(publication("JO/GOV/psd/residency"))
        .await
        .unwrap()
        .into_inner();
    let withdraw = wire::PublishRequest {
        withdraw: true,
        ..publication("JO/GOV/psd/residency")
    };
    registry.publish(withdraw).await.unwrap();
    let gone = wire::SchemaRequest {
        digest: published.schema,
    };
    assert_eq!(reason(registry.schema(gone).await), Reason::UnknownSchema);
    world.finish(registry).await;
}

#[tokio::test]
async fn schemas_and_subsystems_must_be_the_publisher_s() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let others = publication("JO/GOV/mol/permits");
    assert_eq!(reason(registry.publish(others).await), Reason::SubsystemNotYours);
    let garbage = wire::PublishRequest {
        schema: Bytes::from_static(b"\xff\xff"),
        ..publication("JO/GOV/psd/residency")
    };
    assert_eq!(reason(registry.publish(garbage).await), Reason::SchemaInvalid);
    let missing = wire::PublishRequest {
        service: "jo.nothing.v1.Here".into(),
        ..publication("JO/GOV/psd/residency")
    };
    assert_eq!(reason(registry.publish(missing).await), Reason::SchemaInvalid);
    let node = publication("JO/GOV/psd/node");
    assert_eq!(reason(registry.publish(node).await), Reason::RequestInvalid);
    world.finish(registry).await;
}
