//! A network in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use jisr_certs::administrator::AdministratorKey;
use jisr_certs::issue::{Credential, Issuing, Root};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::ledger::Fatal;
use jisr_node::{Config, Layout, Node, StartError, Storage, setup};
use jisr_proto::admin::StatusResponse;
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::catalogue::catalogue_client::CatalogueClient;
use jisr_proto::ident::{MemberId, SubsystemId};
use jisr_proto::registry::registry_admin_client::RegistryAdminClient;
use jisr_proto::registry::{AdministerRequest, AdministerResponse};
use jisr_proto::snapshot::{ActApproval, AdministrativeAct, Admission, Member, RevocationOrder, TokenOrder};
use jisr_registry::administration;
use jisr_registry::{Founder, Founding, Registry};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::backend::Backend;
use crate::caller::Caller;
use crate::disk::FaultyDisk;

/// The probe service.
pub const PROBE: &str = "jisr.tests.v1.Probe";
/// The consumer of most stories.
pub const CONSUMER: &str = "JO/GOV/mol/permits";
/// The provider of most stories.
pub const PROVIDER: &str = "JO/GOV/psd/residency";
/// The purpose that agreements name.
pub const PURPOSE: &str = "work-permit-renewal";

/// A member with its node and its backend.
pub struct Party {
    /// Data directory of the node.
    pub dir: PathBuf,
    /// The server behind the node.
    pub backend: Backend,
    /// The disk under its ledger.
    pub disk: FaultyDisk,
    /// The running node.
    pub node: Option<Node>,
    pub(crate) code: String,
}

/// A storage that says of a failure what happened, and lets the story end the process.
fn storage(disk: &FaultyDisk) -> Storage {
    Storage {
        disk: Arc::new(disk.clone()),
        fatal: Fatal::dangerous_hook(|error| eprintln!("fatal: {error}")),
    }
}

/// The member that a story means: `mol` is `JO/GOV/mol`, `CHM/amman` is `JO/CHM/amman`; of `psd@node2` it is psd.
pub(crate) fn member(name: &str) -> MemberId {
    let name = name.split('@').next().unwrap_or(name);
    let name = if name.contains('/') {
        format!("JO/{name}")
    } else {
        format!("JO/GOV/{name}")
    };
    name.parse().expect("a story names a member")
}

/// The node that a story means: `psd` is its first, `psd@node2` the second.
fn node_of(name: &str) -> String {
    let node = name.split_once('@').map_or("node1", |(_, node)| node);
    format!("{}/node/{node}", member(name))
}

/// The admission of that member.
#[must_use]
pub fn admission(name: &str) -> AdministrativeAct {
    let row = Member {
        id: member(name).to_string(),
        name_ar: "جهة حكومية".to_owned(),
        name_en: name.to_uppercase(),
        ..Member::default()
    };
    AdministrativeAct {
        admission: Some(Admission { members: vec![row] }),
        ..AdministrativeAct::default()
    }
}

/// Makes the registry's directory on a disk, with two administrators who may do everything.
///
/// # Errors
/// What the registry says.
pub fn found(
    config: &jisr_registry::Config,
    clock: &Arc<dyn Clock>,
    disk: &FaultyDisk,
) -> Result<BTreeMap<String, administration::Credential>, jisr_registry::Error> {
    let keys = ["first", "second"].map(|name| (name, AdministratorKey::generate().expect("a key can be made")));
    let founder = |(name, key): &(&str, AdministratorKey)| {
        let name = name.parse().expect("a code");
        Founder {
            request: key.request(&config.instance, &name).expect("a key signs"),
            roles: "admit,certify,publish".parse().expect("roles"),
            name,
        }
    };
    let founding = Founding {
        founders: keys.iter().map(founder).collect(),
        dangerous_single_administrator: false,
    };
    let made = jisr_registry::init_on(config, &founding, Arc::clone(clock), Arc::new(disk.clone()))?;
    let credential = |((name, key), chain): (&(&str, AdministratorKey), &Vec<bytes::Bytes>)| {
        let chain = jisr_certs::pem::certificates_to_pem(chain.iter().map(AsRef::as_ref));
        let credential = administration::Credential::new(key.pem().as_bytes(), chain.as_bytes());
        ((*name).to_owned(), credential.expect("the registry issued it"))
    };
    Ok(keys.iter().zip(&made.certificates).map(credential).collect())
}

/// Registry, nodes, backends. Members are named as `mol`, or with their class as `CHM/amman`; a second node of one as `psd@node2`.
pub struct World {
    /// Everything lies in here.
    pub dir: TempDir,
    /// Time of all nodes and of the registry.
    pub clock: Arc<dyn Clock>,
    /// Members by code.
    pub parties: BTreeMap<String, Party>,
    /// The registry's administrators by name: `first` and `second`, who may do everything.
    pub administrators: BTreeMap<String, administration::Credential>,
    /// The disk under the registry.
    pub registry_disk: FaultyDisk,
    registry: Option<(Registry, watch::Sender<bool>)>,
    registry_config: jisr_registry::Config,
}

impl World {
    /// A registry and nobody else, on the system's clock.
    pub async fn new() -> World {
        World::with_clock(Arc::new(SystemClock)).await
    }

    /// The same on another clock.
    pub async fn with_clock(clock: Arc<dyn Clock>) -> World {
        World::with_lifetime(clock, Duration::from_secs(3600)).await
    }

    /// The same with another lifetime of snapshots. TLS certificates live for long: stories whose clock jumps mean something else.
    pub async fn with_lifetime(clock: Arc<dyn Clock>, lifetime: Duration) -> World {
        World::with_tls_days(clock, lifetime, 90).await
    }

    /// The same with another life of the nodes' TLS certificates, days.
    pub async fn with_tls_days(clock: Arc<dyn Clock>, lifetime: Duration, days: u64) -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("registry");
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port().await));
        let instance = "JO".parse().expect("an instance");
        let epoch = "2026".parse().expect("an epoch");
        let names = vec!["127.0.0.1".to_owned()];
        let mut config = jisr_registry::Config::new(instance, epoch, data, listen, names);
        config.snapshot_lifetime = lifetime;
        config.segment_bytes = 1 << 20;
        config.tls_days = days;
        config.confirm_wait = Duration::from_secs(2);
        config.limits.enrolments_per_minute = 10_000;
        config.limits.enrolments_per_minute_all = 10_000;
        let administrators = found(&config, &clock, &FaultyDisk::default()).expect("a registry can be made");
        let mut world = World {
            dir,
            clock,
            parties: BTreeMap::new(),
            administrators,
            registry_disk: FaultyDisk::default(),
            registry: None,
            registry_config: config,
        };
        world.start_registry().await;
        world
    }

    /// Two members, mol and psd; psd publishes the probe, mol may read and write it.
    pub async fn of_two() -> World {
        let mut world = World::new().await;
        world.join("mol").await;
        world.join("psd").await;
        world.publish("psd", PROVIDER).await;
        world.agree_usual().await;
        world
    }

    /// Starts the registry at the address it had.
    pub async fn start_registry(&mut self) {
        let listener = TcpListener::bind(self.registry_config.listen)
            .await
            .expect("the registry's port is free");
        self.registry_config.listen = listener.local_addr().expect("an address");
        self.registry_config.public = Some(self.registry_config.listen.to_string());
        let (stop, mut stopped) = watch::channel(false);
        let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
        self.registry_disk = FaultyDisk::default();
        let registry = Registry::start_on(
            self.registry_config.clone(),
            Arc::clone(&self.clock),
            listener,
            storage(&self.registry_disk),
            shutdown,
        )
        .await;
        self.registry = Some((registry.expect("the registry starts"), stop));
    }

    /// Stops the registry.
    pub async fn stop_registry(&mut self) {
        if let Some((registry, stop)) = self.registry.take() {
            stop.send_replace(true);
            registry.finished().await.expect("the registry ends cleanly");
        }
    }

    /// Ends the registry once its disk has stopped; it writes nothing more.
    pub async fn crash_registry(&mut self) {
        self.registry_disk.stop();
        self.registry_disk.release();
        if let Some((registry, stop)) = self.registry.take() {
            stop.send_replace(true);
            // Why it could not go on is what the story asked for.
            drop(registry.finished().await);
        }
    }

    /// Its configuration; changes count from the next start.
    pub fn registry_config(&mut self) -> &mut jisr_registry::Config {
        &mut self.registry_config
    }

    /// The anchor.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        let text = std::fs::read_to_string(self.registry_config.data.join("anchor")).expect("init wrote the anchor");
        text.parse().expect("the anchor parses")
    }

    /// Path of the registry's ledger directory.
    #[must_use]
    pub fn registry_ledger(&self) -> PathBuf {
        self.registry_config.data.join("ledger")
    }

    /// The registry's admin door.
    pub async fn registry_admin(&self) -> RegistryAdminClient<Channel> {
        RegistryAdminClient::new(unix(&self.registry_config.data.join("admin.sock")).await)
    }

    /// Whether the registry takes part, as its operator reads it.
    pub async fn registry_state(&self) -> String {
        let mut admin = self.registry_admin().await;
        let told = admin.status(jisr_proto::registry::RegistryStatusRequest {}).await;
        told.expect("a running registry says how it is").into_inner().state
    }

    /// Admits a member, enrols a node, starts it.
    pub async fn join(&mut self, code: &str) {
        self.admit(code).await;
        self.prepare(code, "").await;
        let token = self.token(code).await;
        self.enrol(code, &token).await.expect("the token is good");
        self.start_node(code).await;
    }

    /// An administrator signs an act, and the registry does or proposes it.
    ///
    /// # Errors
    /// What the registry refuses.
    pub async fn does(&self, name: &str, act: AdministrativeAct) -> Result<AdministerResponse, tonic::Status> {
        let by = self.administrators.get(name).expect("an administrator of the story");
        let signed = by.sign(act, self.clock.now_us()).expect("a key signs");
        let request = AdministerRequest { act: Some(signed) };
        let mut admin = self.registry_admin().await;
        admin.administer(request).await.map(tonic::Response::into_inner)
    }

    /// The first administrator proposes an act, the second approves it.
    ///
    /// # Errors
    /// What the registry refuses.
    pub async fn both(&self, act: AdministrativeAct) -> Result<AdministerResponse, tonic::Status> {
        let proposed = self.does("first", act).await?;
        let approval = AdministrativeAct {
            approval: Some(ActApproval { act: proposed.act }),
            ..AdministrativeAct::default()
        };
        self.does("second", approval).await
    }

    /// Admits a member.
    pub async fn admit(&self, code: &str) {
        self.both(admission(code)).await.expect("the member is new");
    }

    /// A one-time token for the member's node.
    pub async fn token(&self, code: &str) -> String {
        self.token_for(node_of(code)).await
    }

    /// A one-time token for a node.
    pub async fn token_for(&self, node: String) -> String {
        let (secret, digest) = administration::draw_secret().expect("random bytes");
        let order = TokenOrder {
            node,
            token: digest.to_vec().into(),
            expires_us: self.clock.now_us() + 3_600_000_000,
        };
        let act = AdministrativeAct {
            token: Some(order),
            ..AdministrativeAct::default()
        };
        let ordered = self.does("first", act).await.expect("the member is admitted");
        administration::token_text(ordered.token.expect("a token"), secret)
    }

    /// Writes the node's directory and configuration; `extra` is added to the TOML.
    pub async fn prepare(&mut self, code: &str, extra: &str) {
        let dir = self.dir.path().join(code);
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        let backend = Backend::start().await;
        let (local, peer) = (free_port().await, free_port().await);
        let subsystem = if code.split('@').next() == Some("psd") {
            PROVIDER.to_owned()
        } else {
            format!("{}/probe", member(code))
        };
        let toml = format!(
            "node = \"{}\"\nregistry = \"{}\"\n\n\
             [local_door]\nlisten = \"127.0.0.1:{local}\"\nnames = [\"127.0.0.1\"]\n\n\
             [peer_door]\nlisten = \"127.0.0.1:{peer}\"\npublic = \"127.0.0.1:{peer}\"\n\n\
             [ledger]\nsegment_bytes = 1048576\n\n\
             [[backend]]\nservice = \"{PROBE}\"\nsubsystem = \"{subsystem}\"\nurl = \"http://{}\"\n\n\
             {extra}\n",
            node_of(code),
            self.registry_config.listen,
            backend.address(),
        );
        let limits = if extra.contains("[limits]") {
            ""
        } else {
            "[limits]\nthreads = 1\n"
        };
        std::fs::write(dir.join("node.toml"), toml + limits).expect("the configuration can be written");
        let party = Party {
            dir,
            backend,
            disk: FaultyDisk::default(),
            node: None,
            code: code.to_owned(),
        };
        self.parties.insert(code.to_owned(), party);
    }

    /// Enrols a prepared node.
    ///
    /// # Errors
    /// What the node says.
    pub async fn enrol(&self, code: &str, token: &str) -> Result<(), setup::SetupError> {
        setup::enrol(&self.party(code).dir, token, self.clock.now_us())
            .await
            .map(drop)
    }

    /// Starts an enrolled node and waits until somebody has confirmed its ledger.
    pub async fn start_node(&mut self, code: &str) {
        self.start_node_by(code, Arc::clone(&self.clock)).await;
    }

    /// Starts an enrolled node whose clock is its own, and waits as [`World::start_node`].
    pub async fn start_node_by(&mut self, code: &str, clock: Arc<dyn Clock>) {
        self.open_node_by(code, clock).await;
        let node = self.party(code).node.as_ref().expect("it was started");
        tokio::time::timeout(Duration::from_secs(20), node.taking_part())
            .await
            .expect("somebody confirms its ledger");
    }

    /// Starts an enrolled node that nobody may confirm yet.
    pub async fn open_node(&mut self, code: &str) {
        self.open_node_by(code, Arc::clone(&self.clock)).await;
    }

    async fn open_node_by(&mut self, code: &str, clock: Arc<dyn Clock>) {
        let party = self.parties.get_mut(code).expect("a party of the story");
        party.disk = FaultyDisk::default();
        let opened = World::try_open(party, clock).await;
        opened.expect("the node starts");
    }

    /// Starts an enrolled node on a disk that may stop while it does.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn open_node_on(&mut self, code: &str, disk: FaultyDisk) -> Result<(), StartError> {
        let clock = Arc::clone(&self.clock);
        let party = self.parties.get_mut(code).expect("a party of the story");
        party.disk = disk;
        World::try_open(party, clock).await
    }

    async fn try_open(party: &mut Party, clock: Arc<dyn Clock>) -> Result<(), StartError> {
        let config = Config::load(&party.dir).expect("the configuration is right");
        unlocked(&party.dir.join("lock")).await;
        party.node = Some(Node::start_on(config, clock, storage(&party.disk)).await?);
        Ok(())
    }

    /// Stops a node cleanly.
    pub async fn stop_node(&mut self, code: &str) {
        let party = self.parties.get_mut(code).expect("a party of the story");
        if let Some(node) = party.node.take() {
            node.stop().await;
        }
    }

    /// Ends a node as a crash would: from now on nothing is written, and nobody is told.
    pub async fn crash_node(&mut self, code: &str) {
        let party = self.parties.get_mut(code).expect("a party of the story");
        party.disk.stop();
        let disk = party.disk.clone();
        if let Some(node) = party.node.take() {
            node.dangerous_crash(move || disk.release()).await;
        }
    }

    /// A member of the story.
    #[must_use]
    pub fn party(&self, code: &str) -> &Party {
        self.parties.get(code).expect("a party of the story")
    }

    /// The member of the story whom a subsystem belongs to.
    pub(crate) fn party_of(&self, subsystem: &SubsystemId) -> &Party {
        let found = self
            .parties
            .values()
            .find(|party| member(&party.code) == subsystem.member());
        found.expect("a party of the story")
    }

    /// Replaces a text in a node's configuration; it counts from the next start.
    pub fn reconfigure(&self, code: &str, old: &str, new: &str) {
        let path = Layout::new(&self.party(code).dir).config();
        let toml = std::fs::read_to_string(&path).expect("the configuration can be read");
        assert!(toml.contains(old), "{toml}");
        std::fs::write(path, toml.replace(old, new)).expect("the configuration can be written");
    }

    /// Address of the registry.
    #[must_use]
    pub fn registry_address(&self) -> SocketAddr {
        self.registry_config.listen
    }

    /// Waits until every running node holds this snapshot or a newer one.
    pub async fn until_all_hold(&self, version: u64) {
        for party in self.parties.values().filter(|party| party.node.is_some()) {
            until(async || party.status().await.snapshot_version >= version).await;
        }
    }

    /// An application of the consumer that states the usual purpose, duty and case.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.caller_of("mol", CONSUMER)
    }

    /// An application of any member.
    #[must_use]
    pub fn caller_of(&self, code: &str, subsystem: &str) -> Caller {
        let party = self.party(code);
        let credential = party.credential(subsystem);
        let node = party.node.as_ref().expect("the node runs");
        Caller::new(node.local_address(), Some(&credential))
            .with("jisr-purpose", PURPOSE)
            .with("jisr-duty", "law-24-2023-art-5")
            .with("jisr-case", "ق-1234/2026")
    }

    /// Revokes a node's certificates.
    pub async fn revoke(&self, code: &str) {
        let order = RevocationOrder {
            node: node_of(code),
            certificates: Vec::new(),
            reason: 1,
        };
        let act = AdministrativeAct {
            revocation: Some(order),
            ..AdministrativeAct::default()
        };
        let revoked = self.does("first", act).await.expect("the node is listed");
        self.until_all_hold(revoked.snapshot_version).await;
    }

    /// The registry's issuing authority, in hands that write nothing into the ledger.
    #[must_use]
    pub fn issuing(&self) -> Issuing {
        let (store, now_us) = (self.registry_config.open_keys(), self.clock.now_us());
        let (store, instance) = (store.expect("the keys open"), &self.registry_config.instance);
        let root = Root::open(&store, instance, now_us).expect("init made it");
        Issuing::open(&store, instance, root.certificate(), now_us).expect("init made it")
    }

    /// Stops everything and verifies every ledger offline.
    pub async fn end(mut self) {
        let codes: Vec<String> = self.parties.keys().cloned().collect();
        for code in &codes {
            self.stop_node(code).await;
        }
        self.stop_registry().await;
        let anchor = self.anchor();
        for code in &codes {
            verify_ledger(&Layout::new(&self.party(code).dir).ledger(), &anchor);
        }
        verify_ledger(&self.registry_ledger(), &anchor);
    }
}

/// A crashed node's last tasks end a moment after it, as those of a process would not: they hold its lock that long.
async fn unlocked(path: &Path) {
    until(async || {
        let Ok(file) = std::fs::File::open(path) else {
            return true;
        };
        file.try_lock().is_ok()
    })
    .await;
}

/// Verifies a ledger directory offline.
fn verify_ledger(dir: &Path, anchor: &Anchor) {
    let report = jisr_ledger::verify::directory(dir, anchor, &jisr_ledger::verify::Options::default());
    let report = report.unwrap_or_else(|error| panic!("{} cannot be read: {error}", dir.display()));
    assert_eq!(
        report.verdict,
        jisr_ledger::report::Verdict::Valid,
        "{}: {report:#?}",
        dir.display()
    );
}

impl Party {
    /// The node's admin door.
    pub async fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(unix(&Layout::new(&self.dir).admin_socket()).await).max_decoding_message_size(64 << 20)
    }

    /// The catalogue at that door.
    pub async fn catalogue(&self) -> CatalogueClient<Channel> {
        CatalogueClient::new(unix(&Layout::new(&self.dir).admin_socket()).await).max_decoding_message_size(64 << 20)
    }

    /// What the node says of itself.
    pub async fn status(&self) -> StatusResponse {
        let status = self.admin().await.status(jisr_proto::admin::StatusRequest {}).await;
        status.expect("a running node says how it is").into_inner()
    }

    /// A credential for an application.
    #[must_use]
    pub fn credential(&self, subsystem: &str) -> Credential {
        let subsystem = subsystem.parse().expect("a subsystem");
        setup::client_credential(&self.dir, &subsystem, SystemClock.now_us()).expect("the local CA issues it")
    }
}

async fn unix(path: &Path) -> Channel {
    let path = path.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://admin")
        .connect_with_connector(connect)
        .await
        .expect("the admin door is open")
}

/// Ports that the system gives nobody of itself, neither to a listener on port 0 nor to a connection: a node that is
/// stopped finds its own again.
const PORTS: std::ops::Range<u32> = 10_000..30_000;

/// A free port that no other world of this process was given.
async fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes beside each other begin at different ports.
    let first = std::process::id().wrapping_mul(97);
    loop {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + nth % (PORTS.end - PORTS.start)).expect("the range lies below 65536");
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

/// Waits until something holds; a story that waits longer than 20 s has failed.
pub async fn until(holds: impl AsyncFn() -> bool) {
    let looked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looked)
        .await
        .expect("it came to hold within 20 s");
}
