//! A registry on loopback, and nodes that talk to it as real ones do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use jisr_certs::administrator::AdministratorKey;
use jisr_certs::csr;
use jisr_certs::issue::{Credential, LocalCa};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::officer::OfficerKey;
use jisr_certs::profile;
use jisr_certs::seal::{SealKey, WitnessKey};
use jisr_certs::tls::{self, Identity};
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::{Clock, ManualClock};
use jisr_ledger::ledger::{self, Fatal, Ledger};
use jisr_ledger::note::{Checkpoint, SignedNote, VerifierKey};
use jisr_ledger::report::Verdict;
use jisr_ledger::statement::Draft;
use jisr_ledger::vault::Vault;
use jisr_ledger::verify;
use jisr_proto::ident::{NodeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::registry::registry_admin_client::RegistryAdminClient;
use jisr_proto::registry::registry_client::RegistryClient;
use jisr_proto::snapshot as rows;
use jisr_proto::snapshot::AdministrativeAct;
use jisr_proto::statement::{Agreed, Core, Kind, Sealed, Started};
use jisr_proto::status::Fault;
use jisr_registry::administration;
use jisr_registry::{Config, Founder, Founding, Limits, Registry};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// 1 June 2026, noon.
pub(crate) const NOON_US: u64 = 1_780_315_200_000_000;

/// Small, so that a test does not write tens of megabytes of zeros.
const SEGMENT_BYTES: u64 = 1 << 20;

pub(crate) type Nodes = RegistryClient<Channel>;

/// A registry that runs in this process.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: Config,
    pub(crate) administrators: BTreeMap<String, administration::Credential>,
    running: Option<(Registry, oneshot::Sender<()>)>,
}

impl World {
    /// A fresh registry of the instance JO, running.
    pub(crate) async fn new() -> World {
        World::limited(Limits::default()).await
    }

    /// A fresh registry that bears so much.
    pub(crate) async fn limited(limits: Limits) -> World {
        let mut world = World::unfounded();
        world.config.limits = limits;
        let (founding, keys) = founding(&FOUNDERS);
        let made = jisr_registry::init(&world.config, &founding, world.clock.clone()).unwrap();
        world.administrators = credentials(&founding, &keys, &made.certificates);
        world.start().await;
        world
    }

    /// A directory in which no registry is yet.
    pub(crate) fn unfounded() -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOON_US));
        let listen = "127.0.0.1:0".parse().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let data = dir.path().join("registry");
        let mut config = Config::new("JO".parse().unwrap(), "2026".parse().unwrap(), data, listen, names);
        config.segment_bytes = SEGMENT_BYTES;
        config.confirm_wait = std::time::Duration::from_millis(300);
        World {
            dir,
            clock,
            config,
            administrators: BTreeMap::new(),
            running: None,
        }
    }

    pub(crate) async fn start(&mut self) {
        self.try_start().await.unwrap();
    }

    pub(crate) async fn try_start(&mut self) -> Result<(), jisr_registry::Error> {
        let listener = TcpListener::bind(self.config.listen).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let registry = Registry::start(self.config.clone(), self.clock.clone(), listener, shutdown).await?;
        self.running = Some((registry, stop));
        Ok(())
    }

    pub(crate) async fn stop(&mut self) {
        let (registry, stop) = self.running.take().unwrap();
        stop.send(()).unwrap();
        let anchor = std::fs::read_to_string(registry.anchor()).unwrap().parse().unwrap();
        registry.finished().await.unwrap();
        let report = verify::directory(&self.config.data.join("ledger"), &anchor, &verify::Options::default()).unwrap();
        assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
    }

    /// Ends the story: what still calls hangs up, the registry stops cleanly, and its ledger verifies.
    pub(crate) async fn finish(mut self, callers: impl Sized) {
        drop(callers);
        self.stop().await;
    }

    /// Starts again; a node shows what it holds of the registry's ledger, or where there is none an administrator confirms it.
    pub(crate) async fn restart(&mut self, node: Option<&Node>) {
        self.start().await;
        let before = self.status().await.snapshot_version;
        match node {
            Some(node) => {
                let mut registry = self.call(Some(&node.identity)).await;
                registry.hello(node.hello(node.held())).await.unwrap();
                self.until_running().await;
            }
            None => {
                self.confirm("rania").await.unwrap();
            }
        }
        // What it publishes when it runs again is there.
        let published = async {
            while self.status().await.snapshot_version <= before {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), published)
            .await
            .unwrap();
    }

    pub(crate) async fn until_running(&self) {
        let running = async {
            while self.status().await.state != "RUNNING" {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), running)
            .await
            .unwrap();
    }

    pub(crate) async fn status(&self) -> wire::RegistryStatusResponse {
        let request = wire::RegistryStatusRequest {};
        self.admin().await.status(request).await.unwrap().into_inner()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.running.as_ref().unwrap().0
    }

    pub(crate) fn anchor(&self) -> Anchor {
        std::fs::read_to_string(self.registry().anchor())
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) async fn admin(&self) -> RegistryAdminClient<Channel> {
        RegistryAdminClient::new(self.socket().await)
    }

    /// Calls the node door, as a node or as nobody.
    pub(crate) async fn call(&self, identity: Option<&Identity>) -> Nodes {
        RegistryClient::new(self.channel(identity).await).max_decoding_message_size(16 << 20)
    }

    /// A connection to the node door.
    pub(crate) async fn channel(&self, identity: Option<&Identity>) -> Channel {
        let connector = self.connector(identity);
        let address = self.registry().address();
        let connect = service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let stream = connector.connect(tls::server_name(), stream).await?;
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        Endpoint::from_static("http://registry")
            .connect_with_connector(connect)
            .await
            .unwrap()
    }

    /// The socket of the administrators.
    pub(crate) async fn socket(&self) -> Channel {
        let path = self.registry().admin_socket().to_owned();
        let connector = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://registry")
            .connect_with_connector(connector)
            .await
            .unwrap()
    }

    /// TLS to the node door.
    pub(crate) fn connector(&self, identity: Option<&Identity>) -> TlsConnector {
        let clock = self.clock.clone();
        let clock: tls::Clock = Arc::new(move || clock.now_us());
        let settings = match identity {
            None => tls::registry_client_by_root_fingerprint(self.anchor().root, self.config.instance.clone(), &clock),
            Some(_) => {
                let roots = profile::check_root(&self.root(), clock()).unwrap();
                tls::registry_client(identity, &roots, self.config.instance.clone(), &clock)
            }
        };
        TlsConnector::from(settings.unwrap())
    }

    fn root(&self) -> Vec<u8> {
        let keys = self.config.open_keys().unwrap();
        let text = keys.read("ca-root.crt").unwrap().unwrap();
        jisr_certs::pem::certificates_from_pem(&text)
            .unwrap()
            .remove(0)
            .to_vec()
    }

    /// An administrator signs an act and hands it in.
    pub(crate) async fn does(
        &self,
        name: &str,
        act: AdministrativeAct,
    ) -> Result<wire::AdministerResponse, tonic::Status> {
        let signed = self
            .administrators
            .get(name)
            .unwrap()
            .sign(act, self.clock.now_us())
            .unwrap();
        self.submits(signed).await
    }

    /// Somebody hands in what was signed, if it was.
    pub(crate) async fn submits(&self, signed: rows::SignedAct) -> Result<wire::AdministerResponse, tonic::Status> {
        let request = wire::AdministerRequest { act: Some(signed) };
        self.admin()
            .await
            .administer(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Admits a member: one proposes it, another approves it.
    pub(crate) async fn member(&self, id: &str) {
        let proposed = self.does("rania", admission(id)).await.unwrap();
        assert!(proposed.pending);
        self.does("omar", approval(&proposed.act)).await.unwrap();
    }

    /// Vouches for the ledger as it is.
    pub(crate) async fn confirm(&self, name: &str) -> Result<wire::AdministerResponse, tonic::Status> {
        let status = self.status().await;
        let confirmation = rows::Confirmation {
            size: status.size,
            root: status.root,
        };
        let act = AdministrativeAct {
            confirmation: Some(confirmation),
            ..AdministrativeAct::default()
        };
        self.does(name, act).await
    }

    /// Revokes the certificates of a node.
    pub(crate) async fn revoke(&self, node: &str, reason: u32) -> Result<wire::AdministerResponse, tonic::Status> {
        self.does("rania", revocation(node, reason)).await
    }

    /// Orders a token and takes it apart.
    pub(crate) async fn token(&self, node: &str) -> wire::Token {
        let (secret, digest) = administration::draw_secret().unwrap();
        let ordered = self.does("rania", token_order(node, &digest)).await.unwrap();
        take_apart(&administration::token_text(ordered.token.unwrap(), secret))
    }

    /// A node that is enrolled.
    pub(crate) async fn node(&self, id: &str) -> Node {
        let token = self.token(id).await;
        let draft = NodeDraft::new(self.dir.path(), id);
        let response = self
            .call(None)
            .await
            .enrol(draft.request(&token))
            .await
            .unwrap()
            .into_inner();
        draft.enrolled(response)
    }
}

/// Who the registry is founded with, and with which roles.
const FOUNDERS: [(&str, &str); 3] = [
    ("omar", "admit,certify,publish"),
    ("rania", "admit,certify,publish"),
    ("laila", "audit"),
];

/// Keys and requests of founders.
pub(crate) fn founding(who: &[(&str, &str)]) -> (Founding, Vec<AdministratorKey>) {
    let keys: Vec<_> = who.iter().map(|_| AdministratorKey::generate().unwrap()).collect();
    let founder = |((name, roles), key): (&(&str, &str), &AdministratorKey)| {
        let name = name.parse().unwrap();
        Founder {
            request: key.request(&"JO".parse().unwrap(), &name).unwrap(),
            roles: roles.parse().unwrap(),
            name,
        }
    };
    let founding = Founding {
        founders: who.iter().zip(&keys).map(founder).collect(),
        dangerous_single_administrator: false,
    };
    (founding, keys)
}

/// Founders' credentials by name.
pub(crate) fn credentials(
    founding: &Founding,
    keys: &[AdministratorKey],
    certificates: &[Vec<Bytes>],
) -> BTreeMap<String, administration::Credential> {
    let each = founding.founders.iter().zip(keys).zip(certificates);
    each.map(|((founder, key), chain)| (founder.name.to_string(), credential(key, chain)))
        .collect()
}

/// A key with the certificates that the registry issued for it.
pub(crate) fn credential(key: &AdministratorKey, chain: &[Bytes]) -> administration::Credential {
    let chain = jisr_certs::pem::certificates_to_pem(chain.iter().map(Bytes::as_ref));
    administration::Credential::new(key.pem().as_bytes(), chain.as_bytes()).unwrap()
}

pub(crate) fn row(id: &str) -> rows::Member {
    rows::Member {
        id: id.into(),
        name_ar: "وزارة العمل".into(),
        name_en: "Ministry of Labour".into(),
        ..rows::Member::default()
    }
}

pub(crate) fn admission(id: &str) -> AdministrativeAct {
    AdministrativeAct {
        admission: Some(rows::Admission { members: vec![row(id)] }),
        ..AdministrativeAct::default()
    }
}

pub(crate) fn approval(act: &Bytes) -> AdministrativeAct {
    AdministrativeAct {
        approval: Some(rows::ActApproval { act: act.clone() }),
        ..AdministrativeAct::default()
    }
}

pub(crate) fn revocation(node: &str, reason: u32) -> AdministrativeAct {
    let order = rows::RevocationOrder {
        node: node.into(),
        certificates: Vec::new(),
        reason,
    };
    AdministrativeAct {
        revocation: Some(order),
        ..AdministrativeAct::default()
    }
}

pub(crate) fn token_order(node: &str, digest: &[u8; 32]) -> AdministrativeAct {
    let order = rows::TokenOrder {
        node: node.into(),
        token: Bytes::copy_from_slice(digest),
        expires_us: NOON_US + 24 * 3600 * 1_000_000,
    };
    AdministrativeAct {
        token: Some(order),
        ..AdministrativeAct::default()
    }
}

/// Reads a token as docs/formats.md says.
pub(crate) fn take_apart(text: &str) -> wire::Token {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text.strip_prefix("jisr1-").unwrap())
        .unwrap();
    let (message, check) = bytes.split_at(bytes.len() - 4);
    assert_eq!(check, &jisr_certs::digest::sha256(&[message])[..4]);
    jisr_proto::canonical::decode(&Bytes::copy_from_slice(message)).unwrap()
}

impl Drop for World {
    /// A story that failed leaves a registry that runs: its directory stays, so that the failure is told rather than the end of a
    /// ledger that was removed under its process.
    fn drop(&mut self) {
        self.dir.disable_cleanup(self.running.is_some());
    }
}

/// The reason in a status.
pub(crate) fn reason<T: std::fmt::Debug>(outcome: Result<T, tonic::Status>) -> Reason {
    let status = outcome.expect_err("must be refused");
    Fault::from_tonic(&status)
        .unwrap_or_else(|| panic!("no reason in {status:?}"))
        .reason
}

/// A node before its enrolment: keys and local authority.
pub(crate) struct NodeDraft {
    pub(crate) id: NodeId,
    pub(crate) dir: PathBuf,
    pub(crate) store: KeyStore,
    pub(crate) tls: TlsKey,
    pub(crate) seal: SealKey,
    pub(crate) witness: WitnessKey,
    pub(crate) local: LocalCa,
}

impl NodeDraft {
    pub(crate) fn new(world: &Path, id: &str) -> NodeDraft {
        NodeDraft::with_epoch(world, id, "2026")
    }

    pub(crate) fn with_epoch(world: &Path, id: &str, epoch: &str) -> NodeDraft {
        let dir = world.join(format!("{}.{epoch}", id.replace('/', ".")));
        let id: NodeId = id.parse().unwrap();
        let store = KeyStore::create(dir.join("keys"), &KeySecret::from_bytes(&[7; 32], "a test's secret")).unwrap();
        NodeDraft {
            tls: TlsKey::load_or_make(&store, "node").unwrap(),
            seal: SealKey::load_or_make(&store, &id.origin(&epoch.parse().unwrap())).unwrap(),
            witness: WitnessKey::of_node(&store, &id).unwrap(),
            local: LocalCa::create(&store, &id.member(), NOON_US).unwrap(),
            store,
            dir,
            id,
        }
    }

    pub(crate) fn request(&self, token: &wire::Token) -> wire::EnrolRequest {
        wire::EnrolRequest {
            token: token.secret.clone(),
            node: self.id.to_string(),
            tls_csr: csr::tls_csr(&self.tls, &self.id).unwrap().into(),
            seal_csr: csr::seal_csr(&self.seal).unwrap().into(),
            witness_key: Bytes::copy_from_slice(self.witness.public().as_bytes()),
            address: "127.0.0.1:7000".into(),
            local_ca: Bytes::copy_from_slice(&self.local.certificate().der),
            now_us: NOON_US,
            known_size: 0,
        }
    }

    pub(crate) fn enrolled(self, response: wire::EnrolResponse) -> Node {
        let chain = [&response.tls_certificate, response.issuers.first().unwrap()];
        let chain = chain.iter().map(|der| der.to_vec().into()).collect();
        let identity = Identity::new(&self.tls, chain).unwrap();
        let officer = self.id.member().officer(&"samir".parse().unwrap());
        let officer = self.local.issue_officer(&officer, Validity::days(NOON_US, 30)).unwrap();
        let origin: Origin = response.origin.parse().unwrap();
        let config = ledger::Config {
            segment_bytes: SEGMENT_BYTES,
            // The world's directory may go before the node does; what it would still write nobody reads.
            fatal: Fatal::dangerous_hook(|_| {}),
            ..ledger::Config::in_data_directory(&self.dir, origin.clone())
        };
        let started = Started {
            origin: origin.to_string(),
            certificates: std::iter::once(response.seal_certificate.clone())
                .chain(response.issuers.clone())
                .collect(),
            seal_key: Bytes::copy_from_slice(self.seal.public().as_bytes()),
            succeeds: Vec::new(),
        };
        let vault = Vault::open(&self.store).unwrap();
        let clock = Arc::new(ManualClock::new(NOON_US));
        let (ledger, _) = Ledger::open(config, self.seal, vault, clock, started).unwrap();
        ledger.confirm("JO/GOV/mol/node/node1", None).unwrap();
        Node {
            id: self.id,
            identity,
            officer,
            ledger,
            response,
        }
    }
}

/// An enrolled node.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) identity: Identity,
    pub(crate) officer: Credential,
    pub(crate) ledger: Ledger,
    pub(crate) response: wire::EnrolResponse,
}

impl Node {
    /// An officer's signature over a document.
    pub(crate) fn signature(&self, document: &[u8]) -> Bytes {
        let key = OfficerKey::from_pem(self.officer.key_pem().as_bytes()).unwrap();
        key.sign_agreement(document).unwrap().into()
    }

    /// The act by which this node's officer agrees.
    pub(crate) fn agreed(&self, document: &[u8]) -> Agreed {
        Agreed {
            agreement: Bytes::copy_from_slice(&jisr_certs::digest::domain("jisr.agreement", &[document])),
            member: self.id.member().to_string(),
            certificates: [&self.officer.certificate, &self.officer.authority]
                .map(|der| Bytes::copy_from_slice(der))
                .to_vec(),
            signature: self.signature(document),
        }
    }

    /// The checkpoint of the registry's ledger that it got when it enrolled.
    pub(crate) fn held(&self) -> Bytes {
        let entry = self.response.snapshot.as_ref().unwrap().entry.as_ref().unwrap();
        entry.seal.as_ref().unwrap().checkpoint.clone()
    }

    /// Shows what it holds of the registry's ledger, and the newest of its own.
    pub(crate) fn hello(&self, yours: Bytes) -> wire::HelloRequest {
        wire::HelloRequest {
            origin: self.response.origin.clone(),
            checkpoint: self.ledger.checkpoint().note.clone(),
            yours,
            recovering: false,
        }
    }

    /// A checkpoint of the registry's ledger with this node's cosignature, whatever it says.
    pub(crate) fn cosigned(&self, world: &World, note: &[u8]) -> Vec<u8> {
        let text = SignedNote::parse(note).unwrap().text;
        let checkpoint = Checkpoint::parse(text).unwrap();
        let origin = checkpoint.origin.parse().unwrap();
        let key = WitnessKey::of_node(&self.keys(world), &self.id).unwrap();
        let line = key.cosign(NOON_US / 1_000_000, &origin, checkpoint.size, &checkpoint.root);
        [note, line.as_bytes()].concat()
    }

    /// The key with which it witnesses others.
    pub(crate) fn witness_vkey(&self, world: &World) -> VerifierKey {
        let key = WitnessKey::of_node(&self.keys(world), &self.id).unwrap();
        key.vkey().parse().unwrap()
    }

    /// Its seal key, as somebody has it who took it: it signs whatever it is told.
    pub(crate) fn stolen(&self, world: &World) -> SealKey {
        SealKey::load_or_make(&self.keys(world), &self.response.origin.parse().unwrap()).unwrap()
    }

    fn keys(&self, world: &World) -> KeyStore {
        let name = self.id.to_string().replace('/', ".");
        KeyStore::open(
            world.dir.path().join(format!("{name}.2026")).join("keys"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap()
    }

    /// Seals an AGREED in the node's ledger.
    pub(crate) async fn seal(&self, act: &Agreed) -> Sealed {
        let core = Core {
            kind: Kind::Agreed.into(),
            instance: "JO".into(),
            created_us: NOON_US,
            ..Core::default()
        };
        let closed = Draft::new(core).act(act).close();
        let stands = self.ledger.append(vec![closed.clone()]).await.unwrap();
        stands.first().unwrap().sealed(&closed)
    }
}
