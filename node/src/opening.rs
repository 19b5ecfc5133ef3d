//! From a data directory to the closets of a node: keys and certificates, the ledger, the snapshot kept on disk.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::{SealKey, WitnessKey};
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_certs::{csr, issue::LocalCa, pem, profile, tls};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::Clock;
use jisr_ledger::files::Disk;
use jisr_ledger::ledger::{Ledger, Opened, Storage};
use jisr_ledger::note::VerifierKey;
use jisr_ledger::replay::ReplaySet;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::vault::Vault;
use jisr_ledger::witness::WitnessState;
use jisr_proto::ident::{MemberId, Origin};
use jisr_proto::statement::Started;
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::answers::Answers;
use crate::archive::Archive;
use crate::away::Away;
use crate::backends::Backends;
use crate::budget::Budget;
use crate::cache::Cache;
use crate::closets::{Closets, Places};
use crate::config::Config;
use crate::cosigning::Cosigning;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::doors::local::Callers;
use crate::erasing::Erasing;
use crate::error::StartError;
use crate::findings::Findings;
use crate::identity::Identity;
use crate::mirroring::Mirrors;
use crate::monitor::{Asked, Followed, Founded};
use crate::peers::Peers;
use crate::proofs::Owed;
use crate::quarantine::Quarantine;
use crate::receipts::{Outbox, OwedReceipts};
use crate::reconciling::Reconciling;
use crate::refusals::Refusals;
use crate::registry_link::{self, RegistryLink};
use crate::renewing::{self, Renewing};
use crate::rereading::Rereading;
use crate::running::RunningIds;
use crate::schemas::Schemas;
use crate::setup::Layout;
use crate::stamping::Stamping;
use crate::standing::Standing;
use crate::succession;
use crate::trust::Trust;
use crate::watching::Watching;

/// Look-ups that one peer may cause in a minute by receipts nobody awaits and by questions about windows.
const LOOKUPS_PER_MINUTE: u32 = 6_000;
/// Exchanges that are read at one time to be shown to peers.
const SHOWN_AT_ONCE: usize = 8;
/// Exchanges remembered so that none runs twice.
const REPLAY_MAX: usize = 4_000_000;
/// Keys and certificates as they lie in the data directory.
pub(crate) struct Material {
    store: KeyStore,
    anchor: Anchor,
    origin: Origin,
    tls_chain: Vec<CertificateDer<'static>>,
    seal_chain: Vec<CertificateDer<'static>>,
    root: jisr_certs::Verified<profile::Authority>,
}

impl Material {
    pub(crate) fn read(config: &Config, clock: &Arc<dyn Clock>, storage: &Storage) -> Result<Material, StartError> {
        let layout = Layout::new(&config.data);
        if succession::is_unfinished(&config.data) {
            return Err(StartError::Succession);
        }
        let now = clock.now_us();
        let read =
            |path: std::path::PathBuf| std::fs::read(&path).map_err(|source| StartError::NotEnrolled { path, source });
        let anchor: Anchor = String::from_utf8_lossy(&read(layout.anchor())?)
            .parse()
            .map_err(|error| StartError::Anchor(format!("{error}")))?;
        let store = config.open_keys()?.on(storage.disk.clone());
        renewing::finish(&layout, &store)?;
        let tls_chain = pem::certificates_from_pem(&read(layout.tls_chain())?)?;
        let seal_chain = pem::certificates_from_pem(&read(layout.seal_chain())?)?;
        let root = profile::root_by_fingerprint(&tls_chain, &anchor.root, now)?;
        let origin = profile::check_seal(&seal_chain, &root, now)?.origin.clone();
        Ok(Material {
            store,
            anchor,
            origin,
            tls_chain,
            seal_chain,
            root,
        })
    }

    pub(crate) fn callers(&self, config: &Config, clock: &Arc<dyn Clock>) -> Result<Callers, StartError> {
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

pub(crate) fn open(
    config: Config,
    material: Material,
    clock: Arc<dyn Clock>,
    storage: Storage,
) -> Result<(Arc<Closets>, Opened), StartError> {
    let layout = Layout::new(&config.data);
    let disk = Arc::clone(&storage.disk);
    let Book {
        ledger,
        opened,
        replay,
        watching,
    } = Book::open(&config, &material, &clock, storage)?;
    let directory = Arc::new(Directory::new(material.anchor.clone()));
    let schemas = Schemas::new(config.data.join("schemas"))?;
    let archive = Archive::new(layout.snapshots(), config.node.member(), Arc::clone(&disk))?;
    let cache = Cache::new(layout.snapshot(), Arc::clone(&disk))?;
    restore_snapshot(&directory, &archive, (&schemas, &config.node.member()), &cache);
    let tls_key = TlsKey::load_or_make(&material.store, "tls")?;
    let (asked, followed) = monitored(&config, &material, &disk)?;
    let identity = tls::Identity::new(&tls_key, material.tls_chain)?;
    let identity = Identity::new(identity, material.root, &directory, Arc::clone(&clock))?;
    let identity = Arc::new(identity);
    let registry = RegistryLink::new(registry_link::to_registry(&config, &identity).map_err(StartError::Anchor)?);
    let limits = &config.limits;
    let watching = Arc::new(watching);
    let mirrors = mirrors(&config, &material.store, (&ledger, &disk), &clock)?;
    let closets = Closets {
        disk,
        mirrors,
        asked,
        followed,
        stamping: Stamping::default(),
        node: config.node.clone(),
        origin: material.origin,
        directory,
        archive,
        cache,
        schemas,
        cosigning: Cosigning::new(ledger.cosigned()),
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
        away: Away::default(),
        standing: Arc::clone(&watching.standing),
        erasing: Erasing::default(),
        findings: Arc::clone(&watching.findings),
        trust: Arc::clone(&watching.trust),
        watching,
        outbox: Outbox::default(),
        rereading: Rereading::default(),
        receipts_owed: OwedReceipts::new(limits.receipts_owed_max),
        reconciling: Reconciling::default(),
        lookups: Budget::new(LOOKUPS_PER_MINUTE),
        registry,
        renewing: Renewing::new(material.store),
        counters: Counters::default(),
        refusals: Refusals::new(clock.now_us()),
        budget: Budget::new(limits.proofs_per_minute),
        places: Places {
            asked: Arc::new(Semaphore::new(limits.exchanges_max)),
            answered: Arc::new(Semaphore::new(limits.exchanges_max)),
            shown: Semaphore::new(SHOWN_AT_ONCE),
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
    Ok((Arc::new(closets), opened))
}

/// What the monitor of the registry knows from before: keys that certificates were asked for, and the registry's ledger.
fn monitored(config: &Config, material: &Material, disk: &Arc<dyn Disk>) -> Result<(Asked, Followed), StartError> {
    let asked = Asked::open(&config.data, Arc::clone(disk))?;
    if let Some(key) = material.tls_chain.first().and_then(|leaf| csr::tls_key_in(leaf)) {
        asked.asked(&key)?;
    }
    let founded = Founded::new(config.node.instance(), material.root.clone());
    Ok((asked, Followed::open(&config.data, founded, Arc::clone(disk))?))
}

fn mirrors(
    config: &Config,
    store: &KeyStore,
    (ledger, disk): (&Ledger, &Arc<dyn Disk>),
    clock: &Arc<dyn Clock>,
) -> Result<Mirrors, StartError> {
    let files = config.files();
    Ok(Mirrors::start(
        &config.mirrors,
        (&config.data, &files, store),
        (ledger, disk),
        clock,
    )?)
}

/// The own ledger, and what this node remembers of others.
struct Book {
    ledger: Ledger,
    opened: Opened,
    replay: ReplaySet,
    watching: Watching,
}

impl Book {
    fn open(
        config: &Config,
        material: &Material,
        clock: &Arc<dyn Clock>,
        storage: Storage,
    ) -> Result<Book, StartError> {
        let seal_key = SealKey::load_or_make(&material.store, &material.origin)?;
        let own_key = VerifierKey::new_seal(material.origin.as_str(), *seal_key.public().as_bytes())
            .map_err(|error| StartError::Anchor(error.to_string()))?;
        let started = Started {
            origin: material.origin.to_string(),
            certificates: material
                .seal_chain
                .iter()
                .map(|der| Bytes::copy_from_slice(der))
                .collect(),
            seal_key: Bytes::copy_from_slice(seal_key.public().as_bytes()),
            succeeds: succession::heads(&config.data)?,
        };
        let mut at = jisr_ledger::ledger::Config::in_data_directory(&config.data, material.origin.clone());
        at.segment_bytes = config.segment_bytes;
        at.replay_grace_us = 2 * config.limits.skew_us;
        let disk = storage.disk;
        at.disk = Arc::clone(&disk);
        at.fatal = storage.fatal;
        let vault = Vault::open(&material.store)?;
        let witness = open_witness(&material.store, config, Arc::clone(&disk))?;
        let (ledger, opened) = Ledger::open(at, seal_key, vault, Arc::clone(clock), started)?;
        let replay = ReplaySet::new(REPLAY_MAX);
        for entry in &opened.replay {
            replay
                .remember(entry, clock.now_us())
                .map_err(|error| StartError::Replay(error.to_string()))?;
        }
        let watching = watching(config, witness, &ledger, (own_key, clock), disk)?;
        Ok(Book {
            ledger,
            opened,
            replay,
            watching,
        })
    }
}

/// The memory of this node's witness, with its key.
fn open_witness(store: &KeyStore, config: &Config, disk: Arc<dyn Disk>) -> Result<WitnessState, StartError> {
    let layout = Layout::new(&config.data);
    let key = WitnessKey::of_node(store, &config.node)?;
    Ok(WitnessState::open(
        &layout.witness(),
        layout.witness_begun(),
        key,
        disk,
    )?)
}

/// What compares ledgers. A node with the mark of a quarantine is quarantined from the start.
fn watching(
    config: &Config,
    witness: WitnessState,
    ledger: &Ledger,
    (own_key, clock): (VerifierKey, &Arc<dyn Clock>),
    disk: Arc<dyn Disk>,
) -> Result<Watching, StartError> {
    let standing = Standing::recovering();
    let mark = Quarantine::read(&config.data);
    if let Some(text) = mark.map_or_else(|error| Some(error.to_string()), |mark| mark.map(|mark| mark.text)) {
        ledger.refuse();
        standing.quarantine(text);
    }
    Ok(Watching {
        ledger: ledger.clone(),
        own_key,
        witness: Arc::new(witness),
        standing: Arc::new(standing),
        findings: Arc::new(Findings::default()),
        trust: Arc::new(Trust::open(&config.data, Arc::clone(&disk))?),
        data: config.data.clone(),
        disk,
        clock: Arc::clone(clock),
        registry_doubted: AtomicBool::new(false),
        silent: Mutex::default(),
        checked: Mutex::default(),
    })
}

/// Takes up the snapshot kept on disk, so that the node works before, and without, the registry. One that has expired is
/// kept as what is known: it says what a rolled-back registry must not contradict.
fn restore_snapshot(directory: &Directory, archive: &Archive, (schemas, own): (&Schemas, &MemberId), cache: &Cache) {
    let restored = cache.read(directory.anchor());
    match restored.and_then(|taken| taken.map(|taken| directory.restore(taken)).transpose()) {
        Ok(Some(view)) => {
            for (service, schema) in view.schemas_of(own) {
                schemas.load(&schema, service.as_str());
            }
            archive.keep(&view);
            directory.adopt(view);
        }
        Ok(None) => {}
        Err(error) => tracing::error!(
            %error,
            "the snapshot kept on disk cannot be used; waiting for the registry"
        ),
    }
}
