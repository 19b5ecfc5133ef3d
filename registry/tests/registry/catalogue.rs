//! Publication of services.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::FILE_DESCRIPTOR_SET;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;

use crate::world::{World, reason};

pub(crate) const SERVICE: &str = "jisr.registry.v1.RegistryAdmin";

/// A publication that is accepted; the contracts of this program serve as a schema.
pub(crate) fn publication(provider: &str) -> wire::PublishRequest {
    wire::PublishRequest {
        provider: provider.into(),
        service: SERVICE.into(),
        schema: Bytes::from_static(FILE_DESCRIPTOR_SET),
        title_ar: "تصاريح الإقامة".into(),
        title_en: "Residence permits".into(),
        withdraw: false,
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
