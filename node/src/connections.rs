//! HTTP/2 client connections, one per target and worker thread.
//!
//! A task stays on the thread it began on, so each thread keeps its own connections and no message crosses threads.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::grpc::Chunks;
use crate::workers::{self, BoxedTasks};

/// Window that one stream may fill before the reader catches up.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Window of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Largest HTTP/2 frame we take.
const FRAME_BYTES_MAX: u32 = 128 << 10;

/// Why a request got no response.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Provably nothing of it left this node.
    Unsent(String),
    /// It may have arrived.
    Broken(String),
}

/// Connections by target.
pub(crate) struct Connections<K> {
    threads: Vec<Mutex<HashMap<K, Arc<Slot>>>>,
}

/// A connection.
#[derive(Clone)]
pub(crate) struct Line {
    /// Sends requests on it.
    pub(crate) sender: SendRequest<Chunks>,
    /// Ends it before its time.
    pub(crate) cut: Cut,
}

/// Ends a connection with all calls on it.
#[derive(Clone)]
pub(crate) struct Cut {
    asked: Arc<Notify>,
    task: AbortHandle,
}

impl Cut {
    /// At once.
    pub(crate) fn now(&self) {
        self.asked.notify_one();
    }

    /// Whether the connection has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

#[derive(Default)]
struct Slot {
    current: Mutex<Option<Line>>,
    connecting: tokio::sync::Mutex<()>,
}

impl Slot {
    fn usable(&self) -> Option<SendRequest<Chunks>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .map(|line| &line.sender)
            .filter(|sender| !sender.is_closed())
            .cloned()
    }
}

impl<K: Hash + Eq + Clone> Connections<K> {
    /// No connections yet.
    pub(crate) fn new() -> Connections<K> {
        Connections {
            threads: (0..workers::THREADS_MAX).map(|_| Mutex::default()).collect(),
        }
    }

    fn slot(&self, key: &K) -> Arc<Slot> {
        let thread = self
            .threads
            .get(workers::current_index())
            .expect("a worker's index is below THREADS_MAX");
        let mut slots = thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    /// The live connection to `key`, or a new one made by `connect`. Concurrent callers share one attempt.
    pub(crate) async fn sender<F, E>(&self, key: &K, connect: F) -> Result<SendRequest<Chunks>, E>
    where
        F: AsyncFnOnce() -> Result<Line, E>,
    {
        let slot = self.slot(key);
        if let Some(sender) = slot.usable() {
            return Ok(sender);
        }
        let _connecting = slot.connecting.lock().await;
        if let Some(sender) = slot.usable() {
            return Ok(sender);
        }
        let line = Box::pin(connect()).await?;
        let sender = line.sender.clone();
        *slot.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        Ok(sender)
    }

    /// Whether this thread or another one holds a live connection to `key`.
    pub(crate) fn connected(&self, key: &K) -> bool {
        self.threads.iter().any(|thread| {
            let slots = thread.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(key).is_some_and(|slot| slot.usable().is_some())
        })
    }

    /// Forgets every connection to targets that `keep` refuses; calls in flight on them go on, new ones connect anew.
    pub(crate) fn retain(&self, keep: impl Fn(&K) -> bool) {
        for thread in &self.threads {
            thread
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|key, _| keep(key));
        }
    }
}

/// HTTP/2 over a transport that is connected already. `socket` is what lies under it, where the connection may have to be cut: the
/// calls on it have tasks of their own, which end when nothing comes any more.
pub(crate) async fn handshake<T>(transport: T, socket: Option<std::net::TcpStream>) -> Result<Line, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http2::Builder::new(BoxedTasks)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .keep_alive_interval(std::time::Duration::from_secs(20))
        .keep_alive_timeout(std::time::Duration::from_secs(10))
        .handshake(TokioIo::new(transport))
        .await
        .map_err(|error| error.to_string())?;
    let asked = Arc::new(Notify::new());
    let cut = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = cut.notified() => {
                // One that is closed already is what was wanted.
                let _ = socket.map(|socket| socket.shutdown(std::net::Shutdown::Both));
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a client connection ended");
        }
    });
    let task = task.abort_handle();
    Ok(Line {
        sender,
        cut: Cut { asked, task },
    })
}

/// Sends one request on a connection and waits for the head of the response.
pub(crate) async fn send(
    sender: &mut SendRequest<Chunks>,
    request: Request<Chunks>,
) -> Result<Response<Incoming>, CallError> {
    sender
        .ready()
        .await
        .map_err(|error| CallError::Unsent(error.to_string()))?;
    sender.try_send_request(request).await.map_err(|mut error| {
        let unsent = error.take_message().is_some();
        let text = error.into_error().to_string();
        if unsent {
            CallError::Unsent(text)
        } else {
            CallError::Broken(text)
        }
    })
}
