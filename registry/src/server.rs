//! The running registry: its tasks, from the first snapshot to the last checkpoint.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::clock::Clock;
use jisr_ledger::ledger::{Ledger, Storage};
use jisr_proto::catalogue::catalogue_server::CatalogueServer;
use jisr_proto::registry::registry_admin_server::RegistryAdminServer;
use jisr_proto::registry::registry_server::RegistryServer;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tower::Layer;
use tower::layer::layer_fn;

use crate::admin::{AdminService, AdminSocket};
use crate::beside::{self, Beside};
use crate::catalogue::CatalogueService;
use crate::config::Config;
use crate::desk;
use crate::door::{self, Door};
use crate::error::Error;
use crate::gate::Gate;
use crate::init::{Layout, Opened};
use crate::office::Office;
use crate::service::NodeService;

/// How long calls may go on when the registry is told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Silence on a connection after which it is asked whether it still lives, and how long the answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Largest answer of the catalogue: a schema and the text of its files.
const CATALOGUE_BYTES_MAX: usize = 64 << 20;

/// Headers of one request, bytes.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// A running registry.
pub struct Registry {
    address: SocketAddr,
    anchor: PathBuf,
    /// The doors and the servers behind them, and what waits for the shutdown.
    doors: JoinSet<Result<(), Error>>,
    clerk: JoinHandle<Result<(), Error>>,
    /// Closes the doors.
    stop: watch::Sender<bool>,
    /// Closes the desk, when the doors are closed.
    last: watch::Sender<bool>,
    ledger: Ledger,
    socket: AdminSocket,
}

impl Registry {
    /// Opens the directory, recovers the ledger, publishes a snapshot, and serves nodes on `listener` and administrators on
    /// `<data>/admin.sock` until `shutdown` resolves. It serves when this returns; the caller waits for
    /// [`Registry::finished`].
    ///
    /// # Errors
    /// Whatever keeps it from starting.
    pub async fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Registry, Error> {
        Registry::start_on(config, clock, listener, Storage::default(), shutdown).await
    }

    /// The same with another storage under the ledger and all else that is durable.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub async fn start_on(
        config: Config,
        clock: Arc<dyn Clock>,
        listener: TcpListener,
        storage: Storage,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Registry, Error> {
        let layout = Layout::of(&config);
        let address = listener
            .local_addr()
            .map_err(|e| Error::io("listen for", &layout.data, e))?;
        let opened = tokio::task::spawn_blocking(move || Opened::open(config, clock, address, storage));
        let opened = opened.await.unwrap_or(Err(Error::Task("start")))?;
        let ledger = opened.ledger.clone();
        let (settings, root) = (opened.settings, opened.root);
        let refresh = opened.base.config.snapshot_refresh;
        let (desk, clerk) = desk::open(opened.book, refresh, opened.standing.watch(), opened.kept).await?;
        let office = Arc::new(Office::new(desk, opened.base, Arc::new(opened.standing)));
        office
            .forget_settled()
            .await
            .map_err(|e| Error::Directory(e.to_string()))?;
        let (socket, admin) = AdminSocket::bind(&layout.admin_socket())?;
        let (stop, stopping) = watch::channel(false);
        let (last, closing) = watch::channel(false);
        let door = Door {
            listener,
            settings,
            root,
            clock: Arc::clone(&office.base.clock),
            limits: office.base.config.limits.clone(),
        };
        let clerk = tokio::spawn(clerk.run(closing));
        let mut doors = JoinSet::new();
        serve_nodes(&mut doors, door, &office, &stopping);
        serve_administrators(&mut doors, admin, &office, &stopping);
        doors.spawn(hear_nodes(Arc::clone(&office), stopping.clone()));
        doors.spawn(stamp_ledger(Arc::clone(&office), stopping.clone()));
        doors.spawn(wait(shutdown, stop.clone()));
        tracing::info!(%address, "the registry serves");
        Ok(Registry {
            address,
            anchor: layout.anchor(),
            doors,
            clerk,
            stop,
            last,
            ledger,
            socket,
        })
    }

    /// Where it listens for nodes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket for administrators.
    pub fn admin_socket(&self) -> &Path {
        self.socket.path()
    }

    /// The anchor file.
    pub fn anchor(&self) -> &Path {
        &self.anchor
    }

    /// Waits until it has stopped: because it was told to, or because it cannot go on. Calls in flight get a few seconds to
    /// end; what reached the desk is done; the ledger's last checkpoint is stored.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn finished(mut self) -> Result<(), Error> {
        let mut first = Ok(());
        let mut clerk_ended = false;
        let mut stopping = self.stop.subscribe();
        while !*stopping.borrow_and_update() {
            let ended = tokio::select! {
                _ = stopping.changed() => continue,
                ended = &mut self.clerk => {
                    clerk_ended = true;
                    outcome(ended, "desk")
                }
                Some(ended) = self.doors.join_next() => outcome(ended, "door"),
            };
            // Whatever ends before it was told to takes the rest along.
            first = first.and(ended);
            self.stop.send_replace(true);
        }
        if tokio::time::timeout(DRAIN, drain(&mut self.doors, &mut first))
            .await
            .is_err()
        {
            tracing::warn!("calls were still going on when the registry stopped");
            self.doors.shutdown().await;
        }
        self.last.send_replace(true);
        if !clerk_ended {
            first = first.and(outcome(self.clerk.await, "desk"));
        }
        let ledger = self.ledger;
        let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
        tracing::info!("the registry has stopped");
        first.and(closed.map_err(|_| Error::Task("ledger")))
    }
}

async fn hear_nodes(office: Arc<Office>, stopping: watch::Receiver<bool>) -> Result<(), Error> {
    office.hear_nodes(stopping).await;
    Ok(())
}

async fn stamp_ledger(office: Arc<Office>, stopping: watch::Receiver<bool>) -> Result<(), Error> {
    office.stamp_ledger(stopping).await;
    Ok(())
}

async fn drain(doors: &mut JoinSet<Result<(), Error>>, first: &mut Result<(), Error>) {
    while let Some(ended) = doors.join_next().await {
        let ended = outcome(ended, "door");
        if first.is_ok() {
            *first = ended;
        }
    }
}

fn outcome(ended: Result<Result<(), Error>, JoinError>, task: &'static str) -> Result<(), Error> {
    ended.unwrap_or(Err(Error::Task(task)))
}

async fn wait(shutdown: impl Future<Output = ()>, stop: watch::Sender<bool>) -> Result<(), Error> {
    let mut stopping = stop.subscribe();
    tokio::select! {
        () = shutdown => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    stop.send_replace(true);
    Ok(())
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender outlives the doors; were it gone, stopping would be right.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn serve_nodes(
    doors: &mut JoinSet<Result<(), Error>>,
    door: Door,
    office: &Arc<Office>,
    stopping: &watch::Receiver<bool>,
) {
    let limits = &office.base.config.limits;
    let service = NodeService {
        office: Arc::clone(office),
        stop: stopping.clone(),
    };
    let gate = Gate {
        inner: RegistryServer::new(service).max_decoding_message_size(limits.body_bytes_max),
        office: Arc::clone(office),
    };
    let (ready, connections) = door::ready();
    let server = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .layer(beside(office, beside::Door::Nodes))
        .add_service(gate)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stopped(stopping.clone()));
    doors.spawn(async move { server.await.map_err(Error::Serve) });
    let stop = stopping.clone();
    doors.spawn(async move {
        door.run(ready, stop).await;
        Ok(())
    });
}

/// Puts what C2SP asks of a witness and a log beside what a door serves.
fn beside<S>(office: &Arc<Office>, door: beside::Door) -> impl Layer<S, Service = Beside<S>> + Clone + use<S> {
    let office = Arc::clone(office);
    layer_fn(move |inner| Beside {
        inner,
        office: Arc::clone(&office),
        door,
    })
}

fn serve_administrators(
    doors: &mut JoinSet<Result<(), Error>>,
    admin: UnixListener,
    office: &Arc<Office>,
    stopping: &watch::Receiver<bool>,
) {
    let service = RegistryAdminServer::new(AdminService {
        office: Arc::clone(office),
    });
    let catalogue = CatalogueServer::new(CatalogueService {
        office: Arc::clone(office),
    })
    .max_encoding_message_size(CATALOGUE_BYTES_MAX);
    let server = Server::builder()
        .layer(beside(office, beside::Door::Administrators))
        .add_service(service)
        .add_service(catalogue)
        .serve_with_incoming_shutdown(UnixListenerStream::new(admin), stopped(stopping.clone()));
    doors.spawn(async move { server.await.map_err(Error::Serve) });
}
