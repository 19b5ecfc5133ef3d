//! What a caller without a certificate may do at the node door, decided before a byte of its body is read: enrol, in few bytes.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::Limited;
use jisr_proto::reason::Reason;
use jisr_proto::registry::registry_server::RegistryServer;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use crate::door::Peer;
use crate::office::Office;
use crate::refusal::Refusal;
use crate::service::{NodeService, status};

const ENROL: &str = "/jisr.registry.v1.Registry/Enrol";

/// The node service behind the gate.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) inner: RegistryServer<NodeService>,
    pub(crate) office: Arc<Office>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send>>;

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let peer = request.extensions().get::<Peer>();
        if request.uri().path() == ENROL {
            // Counted before the body is read, so that who asks too often costs no memory either.
            if let Err(refusal) = self.office.stranger(peer) {
                return Box::pin(ready(Ok(status(refusal).into_http())));
            }
            let limit = self.office.base.config.limits.enrol_bytes_max;
            return self
                .inner
                .call(request.map(|body| Body::new(Limited::new(body, limit))));
        }
        if peer.is_none_or(|peer| peer.identity.is_none()) {
            let refusal = Refusal::new(
                Reason::CallerUnauthenticated,
                "no client certificate came; only Enrol needs none",
            );
            return Box::pin(ready(Ok(status(refusal).into_http())));
        }
        self.inner.call(request)
    }
}

impl NamedService for Gate {
    const NAME: &'static str = <RegistryServer<NodeService> as NamedService>::NAME;
}
