//! gRPC reflection, v1 and v1alpha: shows a caller exactly the services that its agreements let it ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use jisr_proto::ident::SubsystemId;
use tonic::service::Routes;
use tower_service::Service as _;

use crate::closets::Closets;
use crate::schemas::Schema;

/// Answers one reflection call.
pub(super) async fn answer(
    closets: &Closets,
    callers: &[SubsystemId],
    request: Request<Incoming>,
) -> Response<tonic::body::Body> {
    let agreed = agreed(closets, callers);
    match routes(&agreed) {
        Ok(routes) => call(routes, request).await,
        Err(error) => {
            tracing::error!(%error, "reflection: schemas of agreed services do not fit together");
            tonic::Status::internal("the schemas of the agreed services do not fit together; see the node's log")
                .into_http()
        }
    }
}

/// Calls a standard service.
pub(super) async fn call(mut routes: Routes, request: Request<Incoming>) -> Response<tonic::body::Body> {
    match routes.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn agreed(closets: &Closets, callers: &[SubsystemId]) -> BTreeMap<String, Arc<Schema>> {
    let now = closets.now_us();
    let Ok(view) = closets.directory.current(now) else {
        return BTreeMap::new();
    };
    let mut services = BTreeMap::new();
    for agreement in callers.iter().flat_map(|caller| view.agreements_of(caller)) {
        let document = &agreement.document;
        if !(document.valid_from_us..=document.valid_until_us).contains(&now) {
            continue;
        }
        for method in &document.methods {
            let digest = method.schema.as_ref().try_into().ok();
            if let Some(schema) = digest.and_then(|digest| closets.schemas.find(&digest)) {
                services.insert(method.service.clone(), schema);
            }
        }
    }
    services
}

fn routes(agreed: &BTreeMap<String, Arc<Schema>>) -> Result<Routes, tonic_reflection::server::Error> {
    let builder = || {
        let mut builder = tonic_reflection::server::Builder::configure().include_reflection_service(false);
        for (name, schema) in agreed {
            builder = builder
                .register_encoded_file_descriptor_set(&schema.bytes)
                .with_service_name(name);
        }
        builder
    };
    Ok(Routes::new(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}
