//! A member's own server, whose behaviour the story sets.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::messages::{Question, Reply};

/// What the backend does with a call.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers with the personal number as text and the same filling.
    Echo,
    /// The same after a while.
    Slow(Duration),
    /// Never answers.
    Silent,
    /// Answers a gRPC status with a message and metadata.
    Status(u32, &'static str),
    /// Answers bytes that are no gRPC message.
    Garbage,
    /// Answers with this HTTP status.
    Http(u16),
    /// Answers with a filling of so many bytes.
    Huge(usize),
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    runs: Mutex<HashMap<String, u32>>,
    headers: Mutex<Option<HeaderMap>>,
    dropped: AtomicU32,
}

/// A running backend.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Backend {
    /// Starts one that echoes.
    pub async fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour::Echo),
            runs: Mutex::default(),
            headers: Mutex::default(),
            dropped: AtomicU32::new(0),
        });
        let inner = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&inner);
                let service = hyper::service::service_fn(move |request| answer(Arc::clone(&shared), request));
                connections.spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Backend { address, shared, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what it does from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// How often it ran this exchange.
    #[must_use]
    pub fn runs(&self, exchange: &str) -> u32 {
        self.shared
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(exchange)
            .copied()
            .unwrap_or(0)
    }

    /// How many calls reached it in all.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.shared
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .sum()
    }

    /// How many calls were given up by the node before they were answered.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.shared.dropped.load(Ordering::SeqCst)
    }

    /// Goes away, with all its connections.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// Headers of the newest call.
    #[must_use]
    pub fn headers(&self) -> Option<HeaderMap> {
        self.shared
            .headers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a call whose caller went away.
struct Unanswered(Option<Arc<Shared>>);

impl Unanswered {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

type Frames = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    // What the node asks of its own accord is no call.
    if request.uri().path().starts_with("/grpc.health.v1.") {
        return Ok(status(12, "no%20health%20service"));
    }
    let headers = request.headers().clone();
    let exchange = headers
        .get("jisr-exchange-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    *shared.headers.lock().unwrap_or_else(PoisonError::into_inner) = Some(headers);
    *shared
        .runs
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(exchange)
        .or_default() += 1;
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let question = body
        .get(5..)
        .and_then(|message| Question::decode(message).ok())
        .unwrap_or_default();
    let behaviour = shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let unanswered = Unanswered(Some(Arc::clone(&shared)));
    let echo = Reply {
        text: question.personal_number,
        filling: question.filling,
    };
    let response = match behaviour {
        Behaviour::Echo => reply(&echo),
        Behaviour::Slow(pause) => {
            tokio::time::sleep(pause).await;
            reply(&echo)
        }
        Behaviour::Silent => std::future::pending().await,
        Behaviour::Status(code, message) => status(code, message),
        Behaviour::Garbage => respond(vec![Frame::data(Bytes::from_static(b"\0\0\0\x01\0not a message"))]),
        Behaviour::Http(code) => {
            let mut response = respond(vec![]);
            *response.status_mut() = http::StatusCode::from_u16(code).expect("a story names a real status");
            response
        }
        Behaviour::Huge(size) => reply(&Reply {
            text: String::new(),
            filling: Bytes::from(vec![7; size]),
        }),
    };
    unanswered.answered();
    Ok(response)
}

fn respond(frames: Vec<Frame<Bytes>>) -> Response<Frames> {
    let frames: Vec<Result<_, Infallible>> = frames.into_iter().map(Ok).collect();
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    response
        .headers_mut()
        .insert("backend-initial", HeaderValue::from_static("first"));
    response
        .headers_mut()
        .insert("jisr-forged", HeaderValue::from_static("reserved"));
    response
}

fn reply(message: &Reply) -> Response<Frames> {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).expect("stories stay below 4 GiB"));
    message.encode(&mut framed).expect("the buffer grows");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("backend-trailing-bin", HeaderValue::from_static("AAEC"));
    respond(vec![Frame::data(framed.freeze()), Frame::trailers(trailers)])
}

fn status(code: u32, message: &'static str) -> Response<Frames> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    trailers.insert("grpc-message", HeaderValue::from_static(message));
    trailers.insert("grpc-status-details-bin", HeaderValue::from_static("CAkSBXdvcmRz"));
    trailers.insert("backend-trailing-bin", HeaderValue::from_static("AAEC"));
    respond(vec![Frame::trailers(trailers)])
}
