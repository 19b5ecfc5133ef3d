//! What C2SP asks of a witness and of a log, beside gRPC at the same door: `/add-checkpoint`, `/checkpoint`, `/tile/…`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use jisr_ledger::tlog::{ADD_CHECKPOINT, Answer, BODY_BYTES_MAX, Resource, Served};
use jisr_proto::reason::Reason;
use tonic::body::Body;
use tower_service::Service;

use crate::door::Peer;
use crate::office::{Caller, Office};
use crate::refusal::Refusal;

/// How long a node may take to send a checkpoint.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// Who may ask: listed nodes, or whoever may open the socket of the administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The node door.
    Nodes,
    /// The administrators' socket.
    Administrators,
}

/// A door with this beside what it serves.
#[derive(Clone)]
pub(crate) struct Beside<S> {
    pub(crate) inner: S,
    pub(crate) office: Arc<Office>,
    pub(crate) door: Door,
}

type Reply<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Beside<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Reply<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (path, method) = (request.uri().path(), request.method());
        let resource = Resource::parse(path).filter(|_| *method == Method::GET);
        let adds = path == ADD_CHECKPOINT && *method == Method::POST && self.door == Door::Nodes;
        if resource.is_none() && !adds {
            return Box::pin(self.inner.call(request));
        }
        let (office, door) = (Arc::clone(&self.office), self.door);
        Box::pin(async move { Ok(answer(&office, door, request, resource).await) })
    }
}

async fn answer(
    office: &Arc<Office>,
    door: Door,
    request: Request<Body>,
    resource: Option<Resource>,
) -> Response<Body> {
    let caller = match door {
        Door::Administrators => None,
        Door::Nodes => match caller(office, &request) {
            Ok(caller) => Some(caller),
            Err(refusal) => return witness(&refused(refusal)),
        },
    };
    match (resource, caller) {
        (Some(resource), _) => served(office, resource).await,
        (None, Some(caller)) => match read(request.into_body()).await {
            Ok(body) => witness(&office.add_checkpoint(&caller, body).await),
            Err(answer) => witness(&answer),
        },
        (None, None) => witness(&Answer::refused(404, "there is nothing here")),
    }
}

/// The listed node that calls, within what it may ask for in a minute.
fn caller(office: &Office, request: &Request<Body>) -> Result<Caller, Refusal> {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.ok_or_else(|| Refusal::new(Reason::Internal, "the connection does not say who is there"))?;
    let caller = office.caller(peer)?;
    office.spend_proof(&caller)?;
    Ok(caller)
}

fn refused(refusal: Refusal) -> Answer {
    let status = match refusal.reason {
        Reason::ProofBudget | Reason::Overloaded => 429,
        Reason::Internal => 500,
        _ => 403,
    };
    Answer::refused(status, refusal.fault().message())
}

/// The body, bounded while it comes in.
async fn read(body: Body) -> Result<Bytes, Answer> {
    let read = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(REQUEST_WAIT, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Answer::refused(
            413,
            format!("caller: the body is longer than {BODY_BYTES_MAX} bytes"),
        )),
        Ok(Err(error)) => Err(Answer::refused(400, format!("caller: the body broke off: {error}"))),
        Err(_) => Err(Answer::refused(408, "caller: the request did not arrive in time")),
    }
}

fn witness(answer: &Answer) -> Response<Body> {
    respond(answer.status(), answer.content_type(), answer.body().into())
}

async fn served(office: &Office, resource: Resource) -> Response<Body> {
    let ledger = office.base.ledger.clone();
    let served = tokio::task::spawn_blocking(move || Served::of(&ledger, resource)).await;
    let served = served.unwrap_or(Served::Unreadable);
    let kept = HeaderValue::from_static(served.cache_control());
    let mut response = respond(served.status(), served.content_type(), served.body());
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

fn respond(status: u16, content_type: &'static str, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never: Infallible| match never {});
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("answers have constant statuses");
    let kind = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
