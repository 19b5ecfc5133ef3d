//! The closet that calls the member's own servers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use jisr_certs::tls::Clock;
use jisr_proto::ident::{ExchangeId, MethodPath, ServiceName, SubsystemId};
use jisr_proto::peer::Metadata;
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::config;
use crate::connections::{self, CallError, Connections, Line};
use crate::grpc::{self, Chunks, FrameError, Status};

/// What a backend answered: a message or a status.
#[derive(Debug)]
pub(crate) struct BackendReply {
    /// Metadata before the message.
    pub initial: Vec<Metadata>,
    /// The message; empty where the status is not OK.
    pub payload: Bytes,
    /// Metadata after the message.
    pub trailing: Vec<Metadata>,
    /// Its status.
    pub status: Status,
}

/// What goes to a backend.
pub(crate) struct BackendCall<'a> {
    /// Service and method.
    pub path: &'a MethodPath,
    /// Exchange id, handed over as `jisr-exchange-id`.
    pub exchange: ExchangeId,
    /// Consumer subsystem, handed over as `jisr-consumer`.
    pub consumer: &'a SubsystemId,
    /// Purpose, handed over as `jisr-purpose`.
    pub purpose: &'a str,
    /// Metadata that passes through.
    pub metadata: &'a [Metadata],
    /// Time left.
    pub timeout: Duration,
    /// The application's message.
    pub payload: Bytes,
}

/// Longest answer of a health service.
const HEALTH_BYTES_MAX: usize = 1024;

struct Target {
    authority: String,
    subsystem: SubsystemId,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Connections to backends.
pub(crate) struct Backends {
    targets: BTreeMap<ServiceName, Target>,
    connections: Connections<String>,
    connect_timeout: Duration,
    body_bytes_max: usize,
}

impl Backends {
    /// Prepares the targets; reads the certificates that are trusted for TLS ones.
    pub(crate) fn new(config: &config::Config, clock: &Clock) -> Result<Backends, String> {
        let mut targets = BTreeMap::new();
        for (service, backend) in &config.backends {
            let tls = match &backend.tls_ca {
                None => None,
                Some(ca) => {
                    Some(tls(ca, &backend.authority, clock).map_err(|error| format!("backend of {service}: {error}"))?)
                }
            };
            let target = Target {
                authority: backend.authority.clone(),
                subsystem: backend.subsystem.clone(),
                tls,
            };
            targets.insert(service.clone(), target);
        }
        Ok(Backends {
            targets,
            connections: Connections::new(),
            connect_timeout: config.limits.connect_timeout,
            body_bytes_max: config.limits.body_bytes_max,
        })
    }

    /// Whether this node runs the service for that subsystem.
    pub(crate) fn serves(&self, service: &ServiceName, subsystem: &SubsystemId) -> bool {
        self.targets
            .get(service)
            .is_some_and(|target| target.subsystem == *subsystem)
    }

    /// Calls the backend of the service. A fault means that no well-formed gRPC answer came.
    pub(crate) async fn call(&self, call: BackendCall<'_>) -> Result<BackendReply, Fault> {
        let unreachable = |text: String| Fault::new(Reason::BackendUnreachable, text);
        let target = self
            .targets
            .get(&call.path.service)
            .ok_or_else(|| unreachable(format!("no backend is configured for {}", &call.path.service)))?;
        let request = request(target, &call);
        let mut sender = self
            .connections
            .sender(&target.authority, async || Box::pin(self.connect(target)).await)
            .await
            .map_err(unreachable)?;
        let response = connections::send(&mut sender, request)
            .await
            .map_err(|error| match error {
                CallError::Unsent(text) | CallError::Broken(text) => unreachable(text),
            })?;
        let received = grpc::read_response(response, self.body_bytes_max)
            .await
            .map_err(|error| garbage(&error))?;
        let status = Status::read(&received.trailing).map_err(|error| garbage(&error))?;
        let payload = match (status.code, received.message) {
            (0, Some(message)) => message,
            (0, None) => return Err(garbage(&FrameError::Malformed("status OK without a message"))),
            _ => Bytes::new(),
        };
        Ok(BackendReply {
            initial: grpc::metadata(&received.initial),
            payload,
            trailing: grpc::metadata(&received.trailing),
            status,
        })
    }

    /// Whether the backend of the service answers: its health service says so, or it has none and answers all the same.
    pub(crate) async fn answers(&self, service: &ServiceName) -> bool {
        let Some(target) = self.targets.get(service) else {
            return false;
        };
        let asking = async {
            // A connection of its own: what an exchange finds on the others is none of this question's making.
            let mut sender = self.connect(target).await.ok()?;
            let asked = HealthCheckRequest {
                service: service.to_string(),
            };
            let request = health(target, asked.encode_to_vec().into());
            let response = connections::send(&mut sender.sender, request).await.ok()?;
            let received = grpc::read_response(response, HEALTH_BYTES_MAX).await.ok()?;
            let status = Status::read(&received.trailing).ok()?;
            let said = received
                .message
                .and_then(|message| HealthCheckResponse::decode(message).ok());
            Some(match status.code {
                0 => said.is_some_and(|said| said.status() == ServingStatus::Serving),
                code => code == tonic::Code::Unimplemented as u32 || code == tonic::Code::NotFound as u32,
            })
        };
        let answered = tokio::time::timeout(self.connect_timeout, asking).await;
        answered.ok().flatten().unwrap_or(false)
    }

    async fn connect(&self, target: &Target) -> Result<Line, String> {
        let connecting = async {
            let stream = TcpStream::connect(&target.authority)
                .await
                .map_err(|error| format!("cannot connect to the backend at {}: {error}", target.authority))?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            match &target.tls {
                None => connections::handshake(stream, None).await,
                Some((connector, name)) => {
                    let stream = connector
                        .connect(name.clone(), stream)
                        .await
                        .map_err(|error| format!("TLS with the backend at {} failed: {error}", target.authority))?;
                    connections::handshake(stream, None).await
                }
            }
        };
        tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(format!("the backend at {} did not answer in time", target.authority)))
    }
}

fn garbage(error: &FrameError) -> Fault {
    match error {
        FrameError::TooLarge { .. } => Fault::new(Reason::BackendTooLarge, error.to_string()),
        FrameError::Broken(_) => Fault::new(Reason::BackendUnreachable, error.to_string()),
        FrameError::Malformed(_) | FrameError::Compressed => Fault::new(Reason::BackendGarbage, error.to_string()),
    }
}

fn tls(ca: &std::path::Path, authority: &str, clock: &Clock) -> Result<(TlsConnector, ServerName<'static>), String> {
    let pem = std::fs::read(ca).map_err(|error| format!("cannot read {}: {error}", ca.display()))?;
    let config = jisr_certs::tls::backend_client(&pem, clock).map_err(|error| error.to_string())?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| error.to_string())?;
    Ok((TlsConnector::from(config), name))
}

/// A question to the backend's own health service, grpc.health.v1.
fn health(target: &Target, message: Bytes) -> Request<Chunks> {
    let mut request = Request::new(Chunks::message(Bytes::new(), message));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::builder()
        .scheme(if target.tls.is_some() { "https" } else { "http" })
        .authority(target.authority.as_str())
        .path_and_query("/grpc.health.v1.Health/Check")
        .build()
        .expect("an authority that was checked makes a URI");
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    request
}

fn request(target: &Target, call: &BackendCall<'_>) -> Request<Chunks> {
    let mut request = Request::new(Chunks::message(Bytes::new(), call.payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::builder()
        .scheme(if target.tls.is_some() { "https" } else { "http" })
        .authority(target.authority.as_str())
        .path_and_query(call.path.to_string())
        .build()
        .expect("an authority and a method path that were checked make a URI");
    let headers = request.headers_mut();
    grpc::append_metadata(headers, call.metadata);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-timeout", grpc::timeout_value(call.timeout));
    let purpose = percent_encoding::utf8_percent_encode(call.purpose, percent_encoding::NON_ALPHANUMERIC).to_string();
    for (name, value) in [
        ("jisr-exchange-id", call.exchange.to_string()),
        ("jisr-consumer", call.consumer.to_string()),
        ("jisr-purpose", purpose),
    ] {
        headers.insert(
            name,
            HeaderValue::from_str(&value).expect("ids and percent-encoded text are header values"),
        );
    }
    request
}
