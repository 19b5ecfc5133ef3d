//! What C2SP asks of a witness and of a log, beside gRPC at the same door: `/add-checkpoint`, `/checkpoint`, `/tile/…`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use jisr_certs::stamp::{ANSWER_TYPE, QUERY_BYTES_MAX, QUERY_TYPE};
use jisr_ledger::tlog::{ADD_CHECKPOINT, Answer, BODY_BYTES_MAX, Resource, Served};
use jisr_proto::reason::Reason;
use tonic::body::Body;
use tower_service::Service;

use crate::door::Peer;
use crate::office::{Caller, Office};
use crate::refusal::Refusal;

/// How long a node may take to send a checkpoint.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// Where listed nodes ask for time-stamps.
const TIME_STAMP: &str = "/timestamp";

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
        let stamps = path == TIME_STAMP && *method == Method::POST && self.door == Door::Nodes;
        if stamps {
            let office = Arc::clone(&self.office);
            return Box::pin(async move { Ok(time_stamp(&office, request).await) });
        }
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
        (None, Some(caller)) => match read(request.into_body(), BODY_BYTES_MAX).await {
            Ok(body) => witness(&office.add_checkpoint(&caller, body).await),
            Err(answer) => witness(&answer),
        },
        (None, None) => witness(&Answer::refused(404, "there is nothing here")),
    }
}

/// A time-stamp (RFC 3161, section 3.4).
async fn time_stamp(office: &Arc<Office>, request: Request<Body>) -> Response<Body> {
    if let Err(refusal) = caller(office, &request) {
        return witness(&refused(refusal));
    }
    if request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != QUERY_TYPE)
    {
        return witness(&Answer::refused(
            415,
            format!("caller: the content type is not {QUERY_TYPE}"),
        ));
    }
    let body = match read(request.into_body(), QUERY_BYTES_MAX).await {
        Ok(body) => body,
        Err(answer) => return witness(&answer),
    };
    match office.time_stamp(body).await {
        None => witness(&Answer::refused(404, "this registry has no time-stamp authority")),
        Some(Ok(answer)) => respond(200, ANSWER_TYPE, answer.into()),
        Some(Err(text)) => {
            tracing::error!(text, "a time-stamp could not be made");
            witness(&Answer::refused(500, "the registry cannot make a time-stamp now"))
        }
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
async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Answer> {
    let read = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(REQUEST_WAIT, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Answer::refused(
            413,
            format!("caller: the body is longer than {bytes_max} bytes"),
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
