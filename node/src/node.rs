//! The node as a whole: opens the ledger, settles what a crash left, opens the doors, and closes all of it in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::SealKey;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_certs::{issue::LocalCa, pem, profile, tls};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::Clock;
use jisr_ledger::files::{Disk, RealDisk};
use jisr_ledger::ledger::{Fatal, Ledger, Opened};
use jisr_ledger::replay::ReplaySet;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Draft;
use jisr_ledger::vault::Vault;
use jisr_proto::ident::Origin;
use jisr_proto::snapshot::SignedSnapshot;
use jisr_proto::statement::{Configured, Core, Kind, Started};
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::answers::Answers;
use crate::archive::Archive;
use crate::backends::Backends;
use crate::closets::{Closets, Places};
use crate::config::Config;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::doors::local::Callers;
use crate::doors::{Door, Stopped, admin, local, peer};
use crate::error::StartError;
use crate::identity::Identity;
use crate::peers::Peers;
use crate::proofs::{self, Owed};
use crate::refusals::Refusals;
use crate::registry_link::{self, RegistryLink};
use crate::running::RunningIds;
use crate::schemas::Schemas;
use crate::settling;
use crate::setup::Layout;
use crate::workers::Workers;

/// Exchanges remembered so that none runs twice.
const REPLAY_MAX: usize = 4_000_000;
/// How long exchanges in flight may take to end once the node stops.
const DRAIN: Duration = Duration::from_secs(15);

/// What lies under the ledger: the real disk, and the end of the process when it fails.
pub struct Storage {
    /// Where durable writes go.
    pub disk: Arc<dyn Disk>,
    /// What happens when it is not known what is on disk.
    pub fatal: Fatal,
}

impl Default for Storage {
    fn default() -> Storage {
        Storage {
            disk: Arc::new(RealDisk),
            fatal: Fatal::default(),
        }
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

/// A running node.
pub struct Node {
    closets: Arc<Closets>,
    workers: Arc<Workers>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    local_address: SocketAddr,
    peer_address: SocketAddr,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.closets.node)
    }
}

impl Node {
    /// Starts a node that has been enrolled. When this returns, its doors are open.
    ///
    /// # Errors
    /// The configuration, a key, a certificate, the ledger or an address cannot be used.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Node, StartError> {
        Node::start_on(config, clock, Storage::default()).await
    }

    /// The same with another storage under the ledger.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_on(config: Config, clock: Arc<dyn Clock>, storage: Storage) -> Result<Node, StartError> {
        let local_listener = bind(config.local_door.listen).await?;
        let peer_listener = bind(config.peer_door.listen).await?;
        let (local_address, peer_address) = (local_listener.local_addr()?, peer_listener.local_addr()?);
        let material = Material::read(&config, &clock)?;
        let callers = material.callers(&config, &clock)?;
        let (closets, opened, acceptor) = open(config, material, clock, storage)?;
        settling::close_received(&closets, &opened.open)
            .await
            .map_err(StartError::Settling)?;
        configured(&closets).await?;
        let workers = Arc::new(Workers::start(closets.config.limits.threads)?);
        let stop = watch::Sender::new(false);
        let (health, _) = tonic_health::server::health_reporter();
        let admin = admin::bind(&Layout::new(&closets.config.data).admin_socket())?;
        let mut node = Node {
            closets,
            workers,
            tasks: JoinSet::new(),
            stop,
            local_address,
            peer_address,
        };
        node.open_local_door(local_listener, callers, health.clone());
        node.open_peer_door(peer_listener, acceptor);
        let stopped = node.stop.subscribe();
        let addresses = admin::Addresses {
            local: local_address,
            peer: peer_address,
        };
        node.tasks
            .spawn(admin::serve(Arc::clone(&node.closets), admin, addresses, stopped));
        node.keep_house(opened, health);
        tracing::info!(node = %node.closets.node, origin = %node.closets.origin, local = %local_address, peer = %peer_address, "node is open");
        Ok(node)
    }

    /// Address of the local door.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Address of the peer door.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Stops accepting, lets what is in flight end, closes the ledger with its last checkpoint.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let places = &self.closets.places;
        let all = u32::try_from(self.closets.config.limits.exchanges_max).unwrap_or(u32::MAX);
        let drained = async {
            let _asked = places.asked.acquire_many(all).await;
            let _answered = places.answered.acquire_many(all).await;
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("exchanges were still open when the node stopped; they are settled at the next start");
        }
        if let Some(workers) = Arc::into_inner(self.workers) {
            workers.stop();
        }
        sum_up(&self.closets);
        self.closets.ledger.clone().close();
        tracing::info!("node is closed");
    }

    /// Ends the node as a crash would: nothing more is written, nobody is told. For tests, on a storage that writes
    /// nothing any more. `silent` is called once nothing of the node can be heard any more, before the ledger's threads
    /// are waited for: a storage that held them lets them go then.
    pub async fn dangerous_crash(mut self, silent: impl FnOnce()) {
        self.stop.send_replace(true);
        self.tasks.shutdown().await;
        if let Some(workers) = Arc::into_inner(self.workers) {
            workers.stop();
        }
        silent();
    }

    fn open_local_door(&mut self, listener: TcpListener, callers: Callers, health: HealthReporter) {
        let door = Door::new(listener, &self.closets.config.limits);
        let (closets, workers, stopped) = (
            Arc::clone(&self.closets),
            Arc::clone(&self.workers),
            self.stop.subscribe(),
        );
        self.tasks.spawn(async move {
            let inner = stopped.clone();
            door.serve(&workers, stopped, move |stream| {
                local::serve(
                    Arc::clone(&closets),
                    callers.clone(),
                    health.clone(),
                    stream,
                    inner.clone(),
                )
            })
            .await;
        });
    }

    fn open_peer_door(&mut self, listener: TcpListener, acceptor: TlsAcceptor) {
        let door = Door::new(listener, &self.closets.config.limits);
        let (closets, workers, stopped) = (
            Arc::clone(&self.closets),
            Arc::clone(&self.workers),
            self.stop.subscribe(),
        );
        self.tasks.spawn(async move {
            let inner = stopped.clone();
            door.serve(&workers, stopped, move |stream| {
                peer::serve(Arc::clone(&closets), acceptor.clone(), stream, inner.clone())
            })
            .await;
        });
    }

    /// What goes on beside the exchanges.
    fn keep_house(&mut self, opened: Opened, health: HealthReporter) {
        let closets = || Arc::clone(&self.closets);
        self.tasks
            .spawn(registry_link::follow(closets(), self.stop.subscribe()));
        self.tasks
            .spawn(registry_link::cosign(closets(), self.stop.subscribe()));
        let (owing, summing, minding, settling) = (closets(), closets(), closets(), closets());
        self.tasks
            .spawn(every(Duration::from_secs(1), self.stop.subscribe(), async move || {
                proofs::collect(&owing).await;
            }));
        self.tasks
            .spawn(every(Duration::from_secs(60), self.stop.subscribe(), async move || {
                sum_up(&summing)
            }));
        self.tasks
            .spawn(every(Duration::from_secs(2), self.stop.subscribe(), async move || {
                mind(&minding, &health).await;
            }));
        let mut stopped = self.stop.subscribe();
        self.tasks.spawn(async move {
            tokio::select! {
                () = settling::settle_asked(settling, opened.open) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// Runs `work` now and then every `period`, until `stopped`.
async fn every<W: AsyncFn()>(period: Duration, mut stopped: Stopped, work: W) {
    loop {
        tokio::select! {
            () = work() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// One statement a peer and minute for what was refused without one.
fn sum_up(closets: &Closets) {
    let until_us = closets.now_us();
    for act in closets.refusals.sum_up(until_us) {
        closets.append_later(Draft::new(administrative(closets, Kind::RefusalsSummed)).act(&act));
    }
}

/// Missing schemas, and what the health service says.
async fn mind(closets: &Closets, health: &HealthReporter) {
    let current = closets.directory.current(closets.now_us());
    if let Ok(view) = &current {
        registry_link::fetch_schemas(closets, view).await;
    }
    let serving = if current.is_ok() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    health.set_service_status("", serving).await;
}

/// Core of an administrative act of this node.
pub(crate) fn administrative(closets: &Closets, kind: Kind) -> Core {
    let view = closets.directory.newest();
    Core {
        format: 1,
        kind: kind as i32,
        instance: closets.node.instance().to_string(),
        created_us: closets.now_us(),
        snapshot_version: view.as_ref().map_or(0, |view| view.version),
        snapshot: view
            .map(|view| Bytes::copy_from_slice(&view.digest))
            .unwrap_or_default(),
        ..Core::default()
    }
}

async fn configured(closets: &Closets) -> Result<(), StartError> {
    let act = Configured {
        digest: Bytes::copy_from_slice(&closets.config.digest),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let statement = Draft::new(administrative(closets, Kind::Configured)).act(&act).close();
    closets
        .append(vec![statement])
        .await
        .map(drop)
        .map_err(StartError::Settling)
}

/// Keys and certificates as they lie in the data directory.
struct Material {
    store: KeyStore,
    anchor: Anchor,
    origin: Origin,
    tls_chain: Vec<CertificateDer<'static>>,
    seal_chain: Vec<CertificateDer<'static>>,
    root: jisr_certs::Verified<profile::Authority>,
}

impl Material {
    fn read(config: &Config, clock: &Arc<dyn Clock>) -> Result<Material, StartError> {
        let layout = Layout::new(&config.data);
        let now = clock.now_us();
        let read =
            |path: std::path::PathBuf| std::fs::read(&path).map_err(|source| StartError::NotEnrolled { path, source });
        let anchor: Anchor = String::from_utf8_lossy(&read(layout.anchor())?)
            .parse()
            .map_err(|error| StartError::Anchor(format!("{error}")))?;
        let tls_chain = pem::certificates_from_pem(&read(layout.tls_chain())?)?;
        let seal_chain = pem::certificates_from_pem(&read(layout.seal_chain())?)?;
        let root = profile::root_by_fingerprint(&tls_chain, &anchor.root, now)?;
        let origin = profile::check_seal(&seal_chain, &root, now)?.origin.clone();
        Ok(Material {
            store: KeyStore::open(layout.keys())?,
            anchor,
            origin,
            tls_chain,
            seal_chain,
            root,
        })
    }

    fn callers(&self, config: &Config, clock: &Arc<dyn Clock>) -> Result<Callers, StartError> {
        if let Some(subsystems) = &config.local_door.dangerous_plain_loopback {
            tracing::warn!(
                "the local door takes every caller on this machine for {} subsystems",
                subsystems.len()
            );
            return Ok(Callers::DangerousPlain(subsystems.clone().into()));
        }
        let now = clock.now_us();
        let ca = LocalCa::open(&self.store, &config.node.member(), now)?;
        let key = TlsKey::load_or_make(&self.store, "local-door")?;
        let certificate = ca.issue_local_door(&key, &config.local_door.names, Validity::days(now, LOCAL_DOOR_DAYS))?;
        let identity = tls::Identity::new(&key, vec![certificate])?;
        let config = tls::local_server(&identity, ca.certificate(), &tls_clock(clock))?;
        Ok(Callers::Certificate(TlsAcceptor::from(config)))
    }
}

/// The clock as TLS settings take it.
fn tls_clock(clock: &Arc<dyn Clock>) -> tls::Clock {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now_us())
}

/// Days for which the certificate of the local door is issued at each start.
const LOCAL_DOOR_DAYS: u64 = 365;

fn open(
    config: Config,
    material: Material,
    clock: Arc<dyn Clock>,
    storage: Storage,
) -> Result<(Arc<Closets>, Opened, TlsAcceptor), StartError> {
    let layout = Layout::new(&config.data);
    let directory = Arc::new(Directory::new(material.anchor.clone()));
    let schemas = Schemas::new(config.data.join("schemas"))?;
    let archive = Archive::new(config.data.join("snapshots"))?;
    restore_snapshot(&directory, &archive, &schemas, &layout);
    let tls_key = TlsKey::load_or_make(&material.store, "tls")?;
    let identity = tls::Identity::new(&tls_key, material.tls_chain)?;
    let identity = Arc::new(Identity::new(identity, material.root, &directory, Arc::clone(&clock)));
    let acceptor = identity.acceptor()?;
    let (connector, name) = identity.registry_connector(config.node.instance())?;
    let registry = registry_link::channel(&config.registry, connector, name)
        .map_err(|error| StartError::Anchor(error.to_string()))?;
    let seal_key = SealKey::load_or_make(&material.store, &material.origin)?;
    let started = Started {
        origin: material.origin.to_string(),
        certificates: material
            .seal_chain
            .iter()
            .map(|der| Bytes::copy_from_slice(der))
            .collect(),
        seal_key: Bytes::copy_from_slice(seal_key.public().as_bytes()),
    };
    let mut ledger_config = jisr_ledger::ledger::Config::in_data_directory(&config.data, material.origin.clone());
    ledger_config.segment_bytes = config.segment_bytes;
    ledger_config.replay_grace_us = 2 * config.limits.skew_us;
    ledger_config.disk = storage.disk;
    ledger_config.fatal = storage.fatal;
    let vault = Vault::open(&material.store)?;
    let (ledger, opened) = Ledger::open(ledger_config, seal_key, vault, Arc::clone(&clock), started)?;
    let replay = ReplaySet::new(REPLAY_MAX);
    for entry in &opened.replay {
        replay
            .remember(entry, clock.now_us())
            .map_err(|error| StartError::Replay(error.to_string()))?;
    }
    let limits = &config.limits;
    let closets = Closets {
        node: config.node.clone(),
        origin: material.origin,
        directory,
        archive,
        schemas,
        ledger,
        seals: SealVerifier::new(),
        replay,
        asking: RunningIds::default(),
        closing: RunningIds::default(),
        telling: RunningIds::default(),
        answers: Answers::new(limits.replies_kept_bytes_max),
        peers: Peers::new(Arc::clone(&identity), limits.connect_timeout, limits.body_bytes_max),
        identity,
        backends: Backends::new(&config, &tls_clock(&clock)).map_err(StartError::Backend)?,
        owed: Owed::default(),
        registry: RegistryLink::new(registry),
        counters: Counters::default(),
        refusals: Refusals::new(clock.now_us()),
        places: Places {
            asked: Arc::new(Semaphore::new(limits.exchanges_max)),
            answered: Arc::new(Semaphore::new(limits.exchanges_max)),
        },
        newest_us: AtomicU64::new(opened.newest_us),
        issuers: material
            .seal_chain
            .iter()
            .skip(1)
            .map(|der| Bytes::copy_from_slice(der))
            .collect(),
        random: ring::rand::SystemRandom::new(),
        clock,
        config,
    };
    Ok((Arc::new(closets), opened, acceptor))
}

/// Takes up the snapshot kept on disk, so that the node works before, and without, the registry. One that has expired is
/// kept as what is known: it says what a rolled-back registry must not contradict.
fn restore_snapshot(directory: &Directory, archive: &Archive, schemas: &Schemas, layout: &Layout) {
    let Ok(bytes) = std::fs::read(layout.snapshot()) else {
        return;
    };
    let restored = SignedSnapshot::decode(bytes.as_slice())
        .map_err(|error| error.to_string())
        .and_then(|signed| directory.verify(signed, 0).map_err(|error| error.to_string()));
    match restored {
        Ok(Some(view)) => {
            for (service, row) in view.services() {
                schemas.load(&row.schema, service.as_str());
            }
            archive.keep(view.version, &view.signed);
            directory.adopt(view);
        }
        Ok(None) => {}
        Err(error) => tracing::error!(
            error,
            "the snapshot kept on disk cannot be used; waiting for the registry"
        ),
    }
}
