//! Accepting connections: bounded, handed to the workers in turn, drained at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};

use crate::config::Limits;
use crate::workers::{BoxedTasks, Workers};

/// Turns true once the node stops.
pub(crate) type Stopped = watch::Receiver<bool>;

/// Pause after a failed accept, for example when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may finish their calls after the node was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What a door needs to serve.
pub(crate) struct Door {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    count: u32,
}

impl Door {
    /// A door at this listener.
    pub(crate) fn new(listener: TcpListener, limits: &Limits) -> Door {
        let count = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
        Door {
            listener,
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            count,
        }
    }

    /// Accepts until `stopped`, then waits until every connection has ended. `serve` runs on a worker's thread.
    pub(crate) async fn serve<F, R>(self, workers: &Workers, mut stopped: Stopped, serve: F)
    where
        F: Fn(TcpStream) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        loop {
            let Ok(place) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopped.wait_for(|stop| *stop) => break,
            };
            match accepted.and_then(|(stream, _)| detach(stream)) {
                Ok(stream) => {
                    let serve = serve.clone();
                    workers.run(move || async move {
                        match TcpStream::from_std(stream) {
                            Ok(stream) => serve(stream).await,
                            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // All places free again means that every connection has ended.
        let _ = tokio::time::timeout(DRAIN, self.connections.acquire_many(self.count)).await;
    }
}

/// Takes the stream off the accepting runtime, so that a worker's runtime can have it.
fn detach(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}

/// Serves HTTP/2 on one connection until its end, or until the node stops and its calls are done.
pub(crate) async fn serve_connection<T, S, R, B>(transport: T, limits: &Limits, mut stopped: Stopped, service: S)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let asked = Arc::new(Notify::new());
    let first = Arc::clone(&asked);
    let service = hyper::service::service_fn(move |request| {
        first.notify_one();
        let response = Box::pin(service(request));
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = hyper::server::conn::http2::Builder::new(BoxedTasks)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_header_list_size(limits.header_bytes_max)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .max_frame_size(128 << 10)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15))
        .serve_connection(TokioIo::new(transport), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.wait_for(|stop| *stop) => None,
        // Whoever was let in and asks nothing holds a place that others wait for.
        () = silent(&asked, limits.handshake_timeout) => return,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(DRAIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Returns if nothing was asked within this time, and else never.
async fn silent(asked: &Notify, wait: Duration) {
    if tokio::time::timeout(wait, asked.notified()).await.is_ok() {
        std::future::pending().await
    }
}
