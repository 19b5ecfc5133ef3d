//! Configuration: one TOML file, read into `RawConfig`, checked into [`Config`].

mod admin;
mod backend;
mod doors;
mod ledger;
mod limits;
mod mirror;
mod reconcile;
mod stamp;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jisr_certs::CertError;
use jisr_certs::keys::{KeyStore, SecretPlaces, SecretSource};
use jisr_proto::ident::{IdentError, NodeId, ServiceName, SubsystemId};
use serde::Deserialize;

pub use backend::Backend;
pub use doors::{LocalDoor, PeerDoor};
pub use limits::Limits;
pub use reconcile::{ReceiptTimes, Reconcile};
pub use stamp::{Stamping, Way};
pub use watch::{Away, Watch};

use admin::AdminRaw;
use backend::BackendRaw;
use doors::{LocalDoorRaw, PeerDoorRaw};
use ledger::LedgerRaw;
use limits::LimitsRaw;
use mirror::MirrorRaw;
use reconcile::{ReceiptsRaw, ReconcileRaw};
use stamp::StampRaw;
use watch::{WatchRaw, WitnessRaw};

/// What may be wrong with a configuration file. Every text names the key and says what to write.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist. The text names the line.
    #[error("{path}: {source}")]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// What the parser said, with line and column.
        source: Box<toml::de::Error>,
    },
    /// A value breaks a rule.
    #[error("{path}: key `{key}`: {rule}")]
    Value {
        /// Path of the file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The rule and the remedy.
        rule: String,
    },
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    node: String,
    registry: String,
    local_door: LocalDoorRaw,
    peer_door: PeerDoorRaw,
    #[serde(default)]
    backend: Vec<BackendRaw>,
    #[serde(default)]
    limits: LimitsRaw,
    #[serde(default)]
    ledger: LedgerRaw,
    #[serde(default)]
    watch: WatchRaw,
    #[serde(default)]
    witness: WitnessRaw,
    #[serde(default)]
    receipts: ReceiptsRaw,
    #[serde(default)]
    reconcile: ReconcileRaw,
    #[serde(default)]
    mirror: Vec<MirrorRaw>,
    #[serde(default)]
    admin: AdminRaw,
    #[serde(default)]
    keys: KeysRaw,
    #[serde(default)]
    timestamp: StampRaw,
}

/// `[keys]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysRaw {
    secret_file: Option<PathBuf>,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's data directory: the one the file lies in.
    pub data: PathBuf,
    /// Who this node is.
    pub node: NodeId,
    /// host:port of the registry.
    pub registry: String,
    /// Where the agency's own applications call.
    pub local_door: LocalDoor,
    /// Where other nodes call.
    pub peer_door: PeerDoor,
    /// The member's services and where they run.
    pub backends: BTreeMap<ServiceName, Backend>,
    /// What is bounded, and by how much.
    pub limits: Limits,
    /// Bytes of a ledger segment, preallocated.
    pub segment_bytes: u64,
    /// Time in which the whole ledger is read again; `None`: never.
    pub reread: Option<Duration>,
    /// How often ledgers are compared.
    pub watch: Watch,
    /// For how long witnesses may be away.
    pub away: Away,
    /// When receipts are sent and missed.
    pub receipts: ReceiptTimes,
    /// When nodes compare what they hold about each other.
    pub reconcile: Reconcile,
    /// Where the numbers for monitoring are served, besides the admin socket: a loopback address.
    pub metrics: Option<SocketAddr>,
    /// Where the ledger is mirrored.
    pub mirrors: Vec<crate::mirroring::Mirror>,
    /// Where the secret of the key store is looked for.
    pub secret: SecretPlaces,
    /// Who stamps the own checkpoints.
    pub stamping: Stamping,
    /// SHA-256 of the file's bytes; stands in the CONFIGURED statement.
    pub digest: [u8; 32],
}

impl Config {
    /// Reads and checks `node.toml` in the data directory `data`.
    pub fn load(data: &Path) -> Result<Config, ConfigError> {
        let path = data.join("node.toml");
        let bytes = std::fs::read(&path).map_err(|source| ConfigError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let text = String::from_utf8_lossy(&bytes);
        let raw: RawConfig = toml::from_str(&text).map_err(|source| ConfigError::Syntax {
            path: path.clone(),
            source: Box::new(source),
        })?;
        Reader { path: &path }.check(raw, data, jisr_certs::digest::sha256(&[&bytes]))
    }
}

impl Config {
    /// Where the secret of the key store lies.
    #[must_use]
    pub fn secret_source(&self) -> SecretSource {
        self.secret.source(&self.data)
    }

    /// Opens the node's key store, `keys/` in the data directory.
    ///
    /// # Errors
    /// As [`KeyStore::open_from`].
    pub fn open_keys(&self) -> Result<KeyStore, CertError> {
        KeyStore::open_from(self.data.join("keys"), &self.secret_source())
    }

    /// Files in the data directory that this configuration names, relative to it.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let of_backends = self.backends.values().filter_map(|backend| backend.tls_ca.as_deref());
        let of_mirrors = self.mirrors.iter().filter_map(|mirror| match &mirror.location {
            crate::mirroring::Location::Bucket(s3) => s3.access.ca.as_deref(),
            crate::mirroring::Location::Directory(_) => None,
        });
        let within = |path: &Path| path.strip_prefix(&self.data).ok()?.to_str().map(str::to_owned);
        let of_stamps = self.stamping.files.iter().map(|file| self.data.join(file));
        let of_stamps = of_stamps.filter_map(|path| within(&path)).collect::<Vec<_>>();
        of_backends
            .chain(of_mirrors)
            .filter_map(within)
            .chain(of_stamps)
            .collect()
    }
}

/// Key and rule of a value that breaks one.
type Wrong = (&'static str, String);

/// Turns raw values into checked ones; knows the file for its error texts.
struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn wrong(&self, key: &str, rule: impl ToString) -> ConfigError {
        ConfigError::Value {
            path: self.path.to_owned(),
            key: key.to_owned(),
            rule: rule.to_string(),
        }
    }

    /// `checked`, or what is wrong with it, with the file's name.
    fn value<T, R: ToString>(&self, checked: Result<T, (&'static str, R)>) -> Result<T, ConfigError> {
        checked.map_err(|(key, rule)| self.wrong(key, rule))
    }

    fn check(&self, raw: RawConfig, data: &Path, digest: [u8; 32]) -> Result<Config, ConfigError> {
        let node: NodeId = raw.node.parse().map_err(|e| self.wrong("node", e))?;
        let ledger = self.value(raw.ledger.check())?;
        Ok(Config {
            data: data.to_owned(),
            registry: self.value(host_port("registry", raw.registry))?,
            local_door: self.value(raw.local_door.check(&node))?,
            peer_door: self.value(raw.peer_door.check())?,
            backends: self.value(backend::check(raw.backend, &node, data))?,
            limits: self.value(raw.limits.check())?,
            segment_bytes: ledger.segment_bytes,
            reread: ledger.reread,
            watch: self.value(raw.watch.check())?,
            away: self.value(raw.witness.check())?,
            receipts: self.value(raw.receipts.check())?,
            reconcile: self.value(raw.reconcile.check())?,
            mirrors: self.value(mirror::check(raw.mirror, data))?,
            metrics: self.value(raw.admin.check())?,
            secret: SecretPlaces::with_environment(raw.keys.secret_file.map(|file| data.join(file))),
            stamping: self.value(raw.timestamp.check(data))?,
            node,
            digest,
        })
    }
}

fn host_port(key: &'static str, value: String) -> Result<String, Wrong> {
    let well_formed = value
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
    if well_formed {
        Ok(value)
    } else {
        Err((key, format!("`{value}` is not host:port")))
    }
}

fn own_subsystem(key: &'static str, value: &str, node: &NodeId) -> Result<SubsystemId, Wrong> {
    let subsystem: SubsystemId = value.parse().map_err(|e: IdentError| (key, e.to_string()))?;
    if subsystem.member() != node.member() {
        return Err((key, format!("`{subsystem}` is not a subsystem of this node's member")));
    }
    Ok(subsystem)
}
