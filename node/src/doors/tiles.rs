//! The node's ledger as a log of C2SP tlog-tiles: checkpoint, hash tiles and bundles of leaf inputs, to listed nodes at the peer
//! door and to whoever may open the admin socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use jisr_ledger::ledger::Ledger;
use jisr_ledger::tlog::{Resource, Served};
use jisr_proto::ident::NodeId;
use tonic::body::Body;
use tower::Layer;
use tower_service::Service;

use super::witness;
use crate::closets::Closets;
use crate::grpc::Chunks;

/// Answers a peer, within its budget.
pub(super) async fn fetch(closets: &Arc<Closets>, peer: &NodeId, resource: Resource) -> Response<Chunks> {
    if let Err(fault) = closets.budget.spend(peer, closets.clock.now_us()) {
        closets.refusals.count(peer.as_str(), fault.reason);
        return witness::refused(&fault);
    }
    served(&closets.ledger, resource).await.map(Chunks::text)
}

async fn served(ledger: &Ledger, resource: Resource) -> Response<Bytes> {
    let ledger = ledger.clone();
    let served = tokio::task::spawn_blocking(move || Served::of(&ledger, resource)).await;
    let served = served.unwrap_or(Served::Unreadable);
    let headers = [
        (header::CONTENT_TYPE, served.content_type()),
        (header::CACHE_CONTROL, served.cache_control()),
    ];
    let status = StatusCode::from_u16(served.status()).expect("answers have constant statuses");
    let mut response = Response::new(served.body());
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Puts the ledger's resources beside what a gRPC server serves, for callers who may see all of it anyway.
#[derive(Clone)]
pub(super) struct Beside(pub(super) Ledger);

impl<S> Layer<S> for Beside {
    type Service = Log<S>;

    fn layer(&self, inner: S) -> Log<S> {
        Log {
            inner,
            ledger: self.0.clone(),
        }
    }
}

/// A server with a log beside it.
#[derive(Clone)]
pub(super) struct Log<S> {
    inner: S,
    ledger: Ledger,
}

impl<S> Service<Request<Body>> for Log<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match Resource::parse(request.uri().path()).filter(|_| *request.method() == Method::GET) {
            Some(resource) => {
                let ledger = self.ledger.clone();
                Box::pin(async move { Ok(served(&ledger, resource).await.map(whole)) })
            }
            None => Box::pin(self.inner.call(request)),
        }
    }
}

fn whole(bytes: Bytes) -> Body {
    Body::new(Full::new(bytes).map_err(|never: Infallible| match never {}))
}
