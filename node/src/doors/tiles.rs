//! The node's ledger as a log of C2SP tlog-tiles: checkpoint, hash tiles and bundles of leaf inputs, to listed nodes at the peer
//! door and to whoever may open the admin socket.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jisr_ledger::ledger::Ledger;
use jisr_ledger::tlog::{Resource, Served};
use jisr_proto::ident::NodeId;
use tonic::body::Body;
use tower::ServiceExt as _;

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
