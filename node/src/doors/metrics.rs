//! The numbers for a monitoring system: `GET /metrics` beside the admin door, and on a loopback address that serves nothing else.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jisr_proto::exposition;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tower::Layer;
use tower_service::Service;

use super::admin::Addresses;
use super::{Stopped, status};
use crate::closets::Closets;
use crate::metrics;

/// Connections at the loopback address; whoever comes beyond them waits.
const CONNECTIONS_MAX: usize = 8;
/// How long a request may take to arrive, and a connection may live.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// Puts the numbers beside what a gRPC server serves.
#[derive(Clone)]
pub(super) struct Beside(pub(super) Arc<Closets>, pub(super) Addresses);

impl<S> Layer<S> for Beside {
    type Service = Numbers<S>;

    fn layer(&self, inner: S) -> Numbers<S> {
        Numbers {
            inner,
            beside: self.clone(),
        }
    }
}

/// A server with the numbers beside it.
#[derive(Clone)]
pub(super) struct Numbers<S> {
    inner: S,
    beside: Beside,
}

impl<S> Service<Request<Body>> for Numbers<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != exposition::PATH {
            return Box::pin(self.inner.call(request));
        }
        let Beside(closets, addresses) = self.beside.clone();
        let method = request.method().clone();
        Box::pin(async move {
            let answer = answer(&closets, addresses, &method).await;
            Ok(answer.map(|bytes| Body::new(Full::new(bytes).map_err(|never: Infallible| match never {}))))
        })
    }
}

async fn answer(closets: &Arc<Closets>, addresses: Addresses, method: &Method) -> Response<Bytes> {
    if *method != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    let text = metrics::render(&status::of(closets, addresses).await);
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static(exposition::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response
}

/// Serves the loopback address until `stopped`.
pub(crate) async fn serve(closets: Arc<Closets>, listener: TcpListener, addresses: Addresses, mut stopped: Stopped) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles: it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let closets = Arc::clone(&closets);
        // Ends by itself within CONNECTION_LIFE.
        drop(tokio::spawn(async move {
            let _place = place;
            let served = tokio::time::timeout(CONNECTION_LIFE, connection(closets, addresses, stream));
            if let Ok(Err(error)) = served.await {
                tracing::debug!(%error, "a connection that asked for numbers broke");
            }
        }));
    }
}

async fn connection(closets: Arc<Closets>, addresses: Addresses, stream: TcpStream) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let closets = Arc::clone(&closets);
        async move {
            let answer = if request.uri().path() == exposition::PATH {
                answer(&closets, addresses, request.method()).await
            } else {
                plain(StatusCode::NOT_FOUND, "there is nothing here but /metrics\n")
            };
            Ok::<_, Infallible>(answer.map(Full::new))
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WAIT)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
