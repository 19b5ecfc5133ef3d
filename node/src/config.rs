//! Configuration: one TOML file, read into `RawConfig`, checked into [`Config`].

mod admin;
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
use jisr_proto::ident::{NodeId, ServiceName, SubsystemId};
use serde::Deserialize;

pub use reconcile::{ReceiptTimes, Reconcile};
pub use stamp::{Stamping, Way};
pub use watch::{Away, Watch};

use admin::AdminRaw;
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysRaw {
    secret_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalDoorRaw {
    listen: SocketAddr,
    #[serde(default)]
    names: Vec<String>,
    dangerous_plain_loopback: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerDoorRaw {
    listen: SocketAddr,
    public: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackendRaw {
    service: String,
    subsystem: String,
    url: String,
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsRaw {
    body_bytes_max: usize,
    header_bytes_max: u32,
    connections_max: usize,
    streams_per_connection_max: u32,
    exchanges_max: usize,
    handshake_timeout_ms: u64,
    connect_timeout_ms: u64,
    default_deadline_ms: u64,
    lifetime_max_s: u64,
    skew_s: u64,
    replies_kept_bytes_max: usize,
    receipts_owed_max: u64,
    proofs_per_minute: u32,
    threads: usize,
}

impl Default for LimitsRaw {
    fn default() -> Self {
        LimitsRaw {
            body_bytes_max: 16 << 20,
            header_bytes_max: 64 << 10,
            connections_max: 1024,
            streams_per_connection_max: 1024,
            exchanges_max: 8192,
            handshake_timeout_ms: 10_000,
            connect_timeout_ms: 5_000,
            default_deadline_ms: 60_000,
            lifetime_max_s: 300,
            skew_s: 60,
            replies_kept_bytes_max: 64 << 20,
            receipts_owed_max: 65_536,
            proofs_per_minute: 6_000,
            threads: 0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LedgerRaw {
    segment_bytes: u64,
}

impl Default for LedgerRaw {
    fn default() -> Self {
        LedgerRaw {
            segment_bytes: 16 << 20,
        }
    }
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

/// Settings of the local door.
#[derive(Debug, Clone)]
pub struct LocalDoor {
    /// Address to listen at.
    pub listen: SocketAddr,
    /// DNS names and IP addresses that the door's certificate carries.
    pub names: Vec<String>,
    /// If set, the door speaks plain HTTP/2 on loopback and takes every caller for these subsystems.
    pub dangerous_plain_loopback: Option<Vec<SubsystemId>>,
}

/// Settings of the peer door.
#[derive(Debug, Clone)]
pub struct PeerDoor {
    /// Address to listen at.
    pub listen: SocketAddr,
    /// host:port under which other nodes reach it.
    pub public: String,
}

/// A service of the member's own and the server that runs it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Subsystem that publishes it.
    pub subsystem: SubsystemId,
    /// host:port.
    pub authority: String,
    /// TLS, with the certificates (PEM file) that are trusted for it; without: HTTP/2 in the clear (h2c).
    pub tls_ca: Option<PathBuf>,
}

/// Bounds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message of an application or backend, bytes.
    pub body_bytes_max: usize,
    /// Largest header block, bytes.
    pub header_bytes_max: u32,
    /// Connections at each door.
    pub connections_max: usize,
    /// Streams in flight on one connection.
    pub streams_per_connection_max: u32,
    /// Exchanges in flight at each door.
    pub exchanges_max: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time to connect to a peer or backend.
    pub connect_timeout: Duration,
    /// Deadline of a call that brings none.
    pub default_deadline: Duration,
    /// Longest lifetime of an ASKED, microseconds.
    pub lifetime_max_us: u64,
    /// Difference of clocks that is tolerated, microseconds.
    pub skew_us: u64,
    /// Bytes of replies kept for calls with effects.
    pub replies_kept_bytes_max: usize,
    /// Receipts that one consumer's node may owe before its questions are refused; 0: no limit.
    pub receipts_owed_max: u64,
    /// Proofs, tiles and cosignatures that one peer may ask for in a minute.
    pub proofs_per_minute: u32,
    /// Worker threads; 0 in the file means one per core.
    pub threads: usize,
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

    fn check(&self, raw: RawConfig, data: &Path, digest: [u8; 32]) -> Result<Config, ConfigError> {
        let node: NodeId = raw.node.parse().map_err(|e| self.wrong("node", e))?;
        let mut backends = BTreeMap::new();
        for row in raw.backend {
            let (service, backend) = self.backend(row, &node, data)?;
            if backends.insert(service.clone(), backend).is_some() {
                return Err(self.wrong("backend.service", format!("`{service}` stands twice; leave one")));
            }
        }
        Ok(Config {
            data: data.to_owned(),
            registry: self.host_port("registry", raw.registry)?,
            local_door: self.local_door(raw.local_door, &node)?,
            peer_door: PeerDoor {
                listen: raw.peer_door.listen,
                public: self.host_port("peer_door.public", raw.peer_door.public)?,
            },
            backends,
            limits: self.limits(raw.limits)?,
            segment_bytes: self.segment_bytes(raw.ledger.segment_bytes)?,
            watch: raw.watch.check().map_err(|(key, rule)| self.wrong(key, rule))?,
            away: raw.witness.check().map_err(|(key, rule)| self.wrong(key, rule))?,
            receipts: raw.receipts.check().map_err(|(key, rule)| self.wrong(key, rule))?,
            reconcile: raw.reconcile.check().map_err(|(key, rule)| self.wrong(key, rule))?,
            mirrors: self.mirrors(raw.mirror, data)?,
            metrics: raw.admin.check().map_err(|(key, rule)| self.wrong(key, rule))?,
            secret: SecretPlaces::with_environment(raw.keys.secret_file.map(|file| data.join(file))),
            stamping: raw.timestamp.check(data).map_err(|(key, rule)| self.wrong(key, rule))?,
            node,
            digest,
        })
    }

    fn mirrors(&self, rows: Vec<MirrorRaw>, data: &Path) -> Result<Vec<crate::mirroring::Mirror>, ConfigError> {
        let check = |row: MirrorRaw| row.check(data).map_err(|(key, rule)| self.wrong(key, rule));
        let mirrors: Vec<_> = rows.into_iter().map(check).collect::<Result<_, _>>()?;
        for (at, mirror) in mirrors.iter().enumerate() {
            if mirrors
                .iter()
                .skip(at + 1)
                .any(|other| other.location == mirror.location)
            {
                return Err(self.wrong("mirror.url", format!("`{}` stands twice; leave one", mirror.location)));
            }
        }
        Ok(mirrors)
    }

    fn host_port(&self, key: &str, value: String) -> Result<String, ConfigError> {
        let well_formed = value
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
        if well_formed {
            Ok(value)
        } else {
            Err(self.wrong(key, format!("`{value}` is not host:port")))
        }
    }

    fn own_subsystem(&self, key: &str, value: &str, node: &NodeId) -> Result<SubsystemId, ConfigError> {
        let subsystem: SubsystemId = value.parse().map_err(|e| self.wrong(key, e))?;
        if subsystem.member() != node.member() {
            return Err(self.wrong(key, format!("`{subsystem}` is not a subsystem of this node's member")));
        }
        Ok(subsystem)
    }

    fn local_door(&self, raw: LocalDoorRaw, node: &NodeId) -> Result<LocalDoor, ConfigError> {
        let dangerous_plain_loopback = match raw.dangerous_plain_loopback {
            None => None,
            Some(_) if !raw.listen.ip().is_loopback() => {
                let rule = "is only allowed while local_door.listen is a loopback address";
                return Err(self.wrong("local_door.dangerous_plain_loopback", rule));
            }
            Some(names) => Some(
                names
                    .iter()
                    .map(|name| self.own_subsystem("local_door.dangerous_plain_loopback", name, node))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
        };
        if raw.names.is_empty() && dangerous_plain_loopback.is_none() {
            return Err(self.wrong(
                "local_door.names",
                "needs at least one name or address that applications call",
            ));
        }
        Ok(LocalDoor {
            listen: raw.listen,
            names: raw.names,
            dangerous_plain_loopback,
        })
    }

    fn backend(&self, raw: BackendRaw, node: &NodeId, data: &Path) -> Result<(ServiceName, Backend), ConfigError> {
        let service: ServiceName = raw.service.parse().map_err(|e| self.wrong("backend.service", e))?;
        let subsystem = self.own_subsystem("backend.subsystem", &raw.subsystem, node)?;
        let (tls, authority) = match (raw.url.strip_prefix("http://"), raw.url.strip_prefix("https://")) {
            (Some(authority), _) => (false, authority),
            (_, Some(authority)) => (true, authority),
            _ => return Err(self.wrong("backend.url", "begins with http:// (h2c) or https:// (TLS)")),
        };
        let authority = self.host_port("backend.url", authority.trim_end_matches('/').to_owned())?;
        let tls_ca = match (tls, raw.ca) {
            (true, Some(ca)) => Some(data.join(ca)),
            (false, None) => None,
            (true, None) => {
                return Err(self.wrong(
                    "backend.ca",
                    "is needed with https://: a PEM file of trusted certificates",
                ));
            }
            (false, Some(_)) => {
                return Err(self.wrong("backend.ca", "has no meaning with http://; remove it or use https://"));
            }
        };
        Ok((
            service,
            Backend {
                subsystem,
                authority,
                tls_ca,
            },
        ))
    }

    fn limits(&self, raw: LimitsRaw) -> Result<Limits, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if raw.body_bytes_max == 0 || raw.body_bytes_max > 1 << 30 {
            return Err(self.wrong("limits.body_bytes_max", "lies between 1 and 1073741824"));
        }
        if raw.lifetime_max_s == 0 || raw.lifetime_max_s > 3600 {
            return Err(self.wrong("limits.lifetime_max_s", "lies between 1 and 3600 seconds"));
        }
        if raw.exchanges_max == 0 || raw.connections_max == 0 || raw.streams_per_connection_max == 0 {
            return Err(self.wrong(
                "limits",
                "connections_max, streams_per_connection_max and exchanges_max are at least 1",
            ));
        }
        Ok(Limits {
            body_bytes_max: raw.body_bytes_max,
            header_bytes_max: raw.header_bytes_max,
            connections_max: raw.connections_max,
            streams_per_connection_max: raw.streams_per_connection_max,
            exchanges_max: raw.exchanges_max,
            handshake_timeout: Duration::from_millis(raw.handshake_timeout_ms),
            connect_timeout: Duration::from_millis(raw.connect_timeout_ms),
            default_deadline: Duration::from_millis(raw.default_deadline_ms),
            lifetime_max_us: raw.lifetime_max_s * 1_000_000,
            skew_us: raw.skew_s.saturating_mul(1_000_000),
            replies_kept_bytes_max: raw.replies_kept_bytes_max,
            receipts_owed_max: raw.receipts_owed_max,
            proofs_per_minute: raw.proofs_per_minute,
            threads: if raw.threads == 0 { cores } else { raw.threads.min(256) },
        })
    }

    fn segment_bytes(&self, bytes: u64) -> Result<u64, ConfigError> {
        if (1 << 20..=1 << 30).contains(&bytes) && bytes.is_multiple_of(4096) {
            Ok(bytes)
        } else {
            Err(self.wrong(
                "ledger.segment_bytes",
                "lies between 1048576 and 1073741824 and is a multiple of 4096",
            ))
        }
    }
}
