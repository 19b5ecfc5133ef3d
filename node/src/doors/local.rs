//! The local door: the agency's own applications call services of other members as if they were here.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Either;
use hyper::body::Incoming;
use jisr_proto::ident::{ExchangeId, MethodPath, SubsystemId};
use jisr_proto::metadata::Asserted;
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tonic_health::server::HealthReporter;

use super::accept::{Stopped, serve_connection};
use super::{body_fault, not_grpc, reflection, refuse};
use crate::cancelled::Cancelled;
use crate::closets::Closets;
use crate::consumer::{self, Answer, Call};
use crate::grpc::{self, Chunks, FrameError};

/// A response of the corridor or of one of the standard services beside it.
type Reply = Response<Either<Chunks, tonic::body::Body>>;

/// How callers are told apart.
#[derive(Clone)]
pub(crate) enum Callers {
    /// By client certificate of the node's own local CA.
    Certificate(TlsAcceptor),
    /// Not at all: whoever reaches the loopback address counts as these.
    DangerousPlain(Arc<[SubsystemId]>),
}

/// Serves one connection.
pub(crate) async fn serve(
    closets: Arc<Closets>,
    callers: Callers,
    health: HealthReporter,
    stream: TcpStream,
    stopped: Stopped,
) {
    let limits = closets.config.limits.clone();
    match callers {
        Callers::DangerousPlain(callers) => {
            serve_connection(stream, &limits, stopped, move |request| {
                handle(Arc::clone(&closets), Arc::clone(&callers), health.clone(), request)
            })
            .await;
        }
        Callers::Certificate(acceptor) => {
            let accepted = tokio::time::timeout(limits.handshake_timeout, acceptor.accept(stream)).await;
            let stream = match accepted {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "local door: a caller failed the TLS handshake");
                    return closets.refusals.count("", Reason::CallerUnauthenticated);
                }
                Err(_) => return closets.refusals.count("", Reason::CallerUnauthenticated),
            };
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let Ok(caller) = jisr_certs::tls::client_identity(chain) else {
                return;
            };
            let callers: Arc<[SubsystemId]> = Arc::from([caller]);
            serve_connection(stream, &limits, stopped, move |request| {
                handle(Arc::clone(&closets), Arc::clone(&callers), health.clone(), request)
            })
            .await;
        }
    }
}

async fn handle(
    closets: Arc<Closets>,
    callers: Arc<[SubsystemId]>,
    health: HealthReporter,
    request: Request<Incoming>,
) -> Reply {
    let path = request.uri().path();
    if path.starts_with("/grpc.reflection.") {
        return Box::pin(reflection::answer(&closets, &callers, request))
            .await
            .map(Either::Right);
    }
    if path.starts_with("/grpc.health.v1.Health/") {
        let service = tonic_health::server::HealthService::from_health_reporter(health);
        let service = tonic_health::pb::health_server::HealthServer::new(service);
        return Box::pin(reflection::call(tonic::service::Routes::new(service), request))
            .await
            .map(Either::Right);
    }
    exchange(closets, callers, request).await.map(Either::Left)
}

async fn exchange(closets: Arc<Closets>, callers: Arc<[SubsystemId]>, request: Request<Incoming>) -> Response<Chunks> {
    if request.method() != Method::POST {
        return not_grpc(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !grpc::is_grpc(request.headers()) {
        return not_grpc(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let caller = callers.first().map(ToString::to_string).unwrap_or_default();
    let refused = |fault: Fault| {
        closets.refusals.count(&caller, fault.reason);
        closets.counters.refused.up();
        let mut headers = grpc::response_headers();
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
        refuse(&fault, headers)
    };
    if let Err(fault) = closets.standing.admits() {
        return refused(fault);
    }
    let Ok(place) = Arc::clone(&closets.places.asked).try_acquire_owned() else {
        return refused(Fault::new(
            Reason::Overloaded,
            "all places for exchanges at the local door are taken",
        ));
    };
    match read(&closets, callers, request).await {
        Ok(call) => run(Arc::clone(&closets), call, place).await,
        Err(fault) => refused(fault),
    }
}

/// Reads the request into a call: path, metadata, body.
async fn read(closets: &Closets, callers: Arc<[SubsystemId]>, request: Request<Incoming>) -> Result<Call, Fault> {
    let (parts, body) = request.into_parts();
    let path: MethodPath = parts
        .uri
        .path()
        .parse()
        .map_err(|error| Fault::new(Reason::UnknownMethod, format!("{error}")))?;
    if parts
        .headers
        .get("grpc-encoding")
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(call_fault(&FrameError::Compressed));
    }
    let timeout = grpc::timeout(&parts.headers).map_err(|error| call_fault(&error))?;
    let deadline = Instant::now() + timeout.unwrap_or(closets.config.limits.default_deadline).min(MAX_WAIT);
    let asserted = Asserted::parse(
        parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
    .map_err(Fault::from)?;
    let payload = tokio::time::timeout_at(deadline, grpc::read_message(body, closets.config.limits.body_bytes_max))
        .await
        .map_err(|_| {
            Fault::new(
                Reason::DeadlineExceeded,
                "the request did not arrive before its deadline",
            )
        })?
        .map_err(|error| call_fault(&error))?;
    Ok(Call {
        callers,
        path,
        asserted,
        metadata: grpc::metadata(&parts.headers),
        deadline,
        payload,
    })
}

fn call_fault(error: &FrameError) -> Fault {
    body_fault(error, Reason::RequestInvalid)
}

/// Longest wait of a caller; a longer `grpc-timeout` is cut to it.
const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Runs the exchange in a task of its own: a caller that goes away cancels it, but does not drop it between two
/// statements. The place is given back when the exchange is closed.
async fn run(closets: Arc<Closets>, call: Call, place: OwnedSemaphorePermit) -> Response<Chunks> {
    let (guard, cancelled) = Cancelled::pair();
    let task = tokio::spawn(Box::pin(async move {
        closets.counters.open.up();
        let asked = consumer::ask(Arc::clone(&closets), call, cancelled).await;
        closets.counters.open.down();
        drop(place);
        asked
    }));
    let outcome = task.await;
    drop(guard);
    match outcome {
        Ok((exchange, Ok(answer))) => respond(exchange, answer),
        Ok((exchange, Err(fault))) => refuse(&fault, headers(exchange)),
        Err(error) => {
            tracing::error!(%error, "an exchange ended in a defect of this program");
            refuse(
                &Fault::new(Reason::Internal, "see the node's log"),
                grpc::response_headers(),
            )
        }
    }
}

fn headers(exchange: Option<ExchangeId>) -> http::HeaderMap {
    let mut headers = grpc::response_headers();
    if let Some(exchange) = exchange {
        let id = HeaderValue::from_str(&exchange.to_string()).expect("an exchange id is a header value");
        headers.insert("jisr-exchange-id", id);
    }
    headers
}

fn respond(exchange: Option<ExchangeId>, answer: Answer) -> Response<Chunks> {
    let mut headers = headers(exchange);
    grpc::append_metadata(&mut headers, &answer.initial);
    let mut trailers = http::HeaderMap::with_capacity(4);
    grpc::append_metadata(&mut trailers, &answer.trailing);
    answer.status.write(&mut trailers);
    if answer.status.code == 0 {
        grpc::respond(headers, Chunks::reply(bytes::Bytes::new(), answer.payload, trailers))
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        grpc::respond(headers, Chunks::trailers(trailers))
    }
}
