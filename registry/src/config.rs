//! The registry's configuration: one TOML file, read once, checked completely before anything starts.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jisr_certs::CertError;
use jisr_certs::keys::{KeyStore, SecretPlaces, SecretSource};
use jisr_certs::validity::NODE_TLS_DAYS;
use jisr_proto::ident::{Epoch, Instance, Origin};
use serde::Deserialize;
use toml::Spanned;

use crate::error::Error;

/// What a registry runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The network it governs.
    pub instance: Instance,
    /// Epoch of its own ledger and of the ledgers it lists (docs/formats.md, identifiers).
    pub epoch: Epoch,
    /// Its directory: keys, ledger, schemas, witness state, admin socket, anchor.
    pub data: PathBuf,
    /// Where it listens for nodes.
    pub listen: SocketAddr,
    /// host:port that is put into tokens; without it the address that is really bound.
    pub public: Option<String>,
    /// DNS names and IP addresses of its TLS certificate.
    pub names: Vec<String>,
    /// How long a snapshot is valid.
    pub snapshot_lifetime: Duration,
    /// How often a snapshot is made when nothing changes.
    pub snapshot_refresh: Duration,
    /// For how long a registry that was started hears further nodes, once the first has shown that its ledger is right.
    pub confirm_wait: Duration,
    /// Bytes of a segment file of the ledger, a multiple of 4096.
    pub segment_bytes: u64,
    /// Days that a node's TLS certificate is valid.
    pub tls_days: u64,
    /// Days that a node's seal certificate is valid.
    pub seal_days: u64,
    /// Whether it stamps what listed nodes ask it to (RFC 3161), and its own ledger.
    pub stamp_authority: bool,
    /// Between two time-stamps on its own ledger while that grows.
    pub stamp_every: Duration,
    /// Where the secret of the key store is looked for.
    pub secret: SecretPlaces,
    /// Sizes and rates.
    pub limits: Limits,
}

/// What the registry bears at most; beyond it there is a clear refusal.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections, handshakes included.
    pub connections: usize,
    /// Calls at once on one connection.
    pub streams_per_connection: u32,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Open connections without a certificate.
    pub strangers: usize,
    /// Connections of one IPv4 address or /64 of IPv6 that have shown no certificate, or not yet.
    pub strangers_per_address: usize,
    /// Age at which a connection without a certificate is closed.
    pub stranger_age: Duration,
    /// Bytes of one request of an enrolled node.
    pub body_bytes_max: usize,
    /// Bytes of one request without a certificate.
    pub enrol_bytes_max: usize,
    /// Calls a minute without a certificate, by IPv4 address or /64 of IPv6.
    pub enrolments_per_minute: u32,
    /// Calls a minute without a certificate, by whomever.
    pub enrolments_per_minute_all: u32,
    /// Calls a minute of one node.
    pub requests_per_minute: u32,
    /// Proofs, tiles and cosignatures a minute of one node.
    pub proofs_per_minute: u32,
    /// Comparisons of ledgers (`Hello`) a minute of one node.
    pub hellos_per_minute: u32,
    /// Reports of findings a minute of one node.
    pub reports_per_minute: u32,
    /// Proposed agreements of one member that wait for the other party.
    pub proposals_per_member: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4096,
            streams_per_connection: 64,
            handshake: Duration::from_secs(10),
            strangers: 1024,
            strangers_per_address: 128,
            stranger_age: Duration::from_secs(30),
            body_bytes_max: 4 << 20,
            enrol_bytes_max: 64 << 10,
            enrolments_per_minute: 60,
            enrolments_per_minute_all: 6000,
            requests_per_minute: 6000,
            proofs_per_minute: 6000,
            hellos_per_minute: 600,
            reports_per_minute: 60,
            proposals_per_member: 256,
        }
    }
}

impl Config {
    /// A configuration with the defaults for everything that has one.
    pub fn new(instance: Instance, epoch: Epoch, data: PathBuf, listen: SocketAddr, names: Vec<String>) -> Config {
        Config {
            instance,
            epoch,
            data,
            listen,
            public: None,
            names,
            snapshot_lifetime: Duration::from_secs(72 * 3600),
            snapshot_refresh: Duration::from_secs(60),
            confirm_wait: Duration::from_secs(10),
            segment_bytes: 32 << 20,
            tls_days: NODE_TLS_DAYS,
            seal_days: 400,
            stamp_authority: true,
            stamp_every: Duration::from_secs(600),
            secret: SecretPlaces::default(),
            limits: Limits::default(),
        }
    }

    /// Where the secret of the key store lies.
    pub fn secret_source(&self) -> SecretSource {
        self.secret.source(&self.data)
    }

    /// Opens the registry's key store, `keys/` in the data directory.
    ///
    /// # Errors
    /// As [`KeyStore::open_from`].
    pub fn open_keys(&self) -> Result<KeyStore, CertError> {
        KeyStore::open_from(self.data.join("keys"), &self.secret_source())
    }

    /// Reads a file. A relative `data` is taken from the file's own directory.
    ///
    /// # Errors
    /// [`Error::Config`], naming key and line.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let mut config = Config::parse(&text)?;
        if let Some(folder) = path.parent() {
            config.data = folder.join(&config.data);
            config.secret.file = config.secret.file.map(|file| folder.join(file));
        }
        Ok(config)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`Error::Config`], naming key and line.
    pub fn parse(text: &str) -> Result<Config, Error> {
        let raw: RawConfig = toml::from_str(text).map_err(|e| Error::Config(e.to_string().trim_end().to_owned()))?;
        raw.check(&Lines(text))
    }

    /// Origin of the registry's ledger.
    pub fn origin(&self) -> Origin {
        Origin::registry(&self.instance, &self.epoch)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    instance: Spanned<String>,
    epoch: Spanned<String>,
    data: PathBuf,
    listen: Spanned<String>,
    public: Option<Spanned<String>>,
    names: Spanned<Vec<String>>,
    #[serde(default)]
    snapshot: RawSnapshot,
    #[serde(default)]
    ledger: RawLedger,
    #[serde(default)]
    certificates: RawCertificates,
    #[serde(default)]
    timestamp: RawTimeStamp,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    keys: RawKeys,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawTimeStamp {
    authority: Option<bool>,
    every_s: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawKeys {
    secret_file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawSnapshot {
    lifetime_s: Option<Spanned<u64>>,
    refresh_s: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLedger {
    segment_mib: Option<Spanned<u64>>,
    confirm_wait_s: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawCertificates {
    tls_days: Option<Spanned<u64>>,
    seal_days: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    connections: Option<Spanned<u64>>,
    streams_per_connection: Option<Spanned<u64>>,
    handshake_s: Option<Spanned<u64>>,
    strangers: Option<Spanned<u64>>,
    strangers_per_address: Option<Spanned<u64>>,
    stranger_age_s: Option<Spanned<u64>>,
    body_bytes_max: Option<Spanned<u64>>,
    enrol_bytes_max: Option<Spanned<u64>>,
    enrolments_per_minute: Option<Spanned<u64>>,
    enrolments_per_minute_all: Option<Spanned<u64>>,
    requests_per_minute: Option<Spanned<u64>>,
    proofs_per_minute: Option<Spanned<u64>>,
    hellos_per_minute: Option<Spanned<u64>>,
    reports_per_minute: Option<Spanned<u64>>,
    proposals_per_member: Option<Spanned<u64>>,
}

impl RawConfig {
    fn check(self, lines: &Lines<'_>) -> Result<Config, Error> {
        let instance: Instance = lines.parse("instance", &self.instance)?;
        let listen: SocketAddr = lines.parse("listen", &self.listen)?;
        let public = match self.public {
            Some(public) => Some(lines.address("public", &public)?),
            None => None,
        };
        if self.names.get_ref().is_empty() {
            return Err(lines.fault(
                "names",
                self.names.span().start,
                "at least one DNS name or IP address is needed",
            ));
        }
        let epoch: Epoch = lines.parse("epoch", &self.epoch)?;
        let mut config = Config::new(instance, epoch, self.data, listen, self.names.into_inner());
        config.public = public;
        self.snapshot.fill(&mut config, lines)?;
        let segment_mib = lines.within("ledger.segment_mib", self.ledger.segment_mib.as_ref(), 8, 1024)?;
        config.segment_bytes = segment_mib.map_or(config.segment_bytes, |mib| mib << 20);
        let wait = lines.within("ledger.confirm_wait_s", self.ledger.confirm_wait_s.as_ref(), 0, 3600)?;
        config.confirm_wait = wait.map_or(config.confirm_wait, Duration::from_secs);
        self.certificates.fill(&mut config, lines)?;
        config.stamp_authority = self.timestamp.authority.unwrap_or(config.stamp_authority);
        let every = lines.within("timestamp.every_s", self.timestamp.every_s.as_ref(), 1, 86_400)?;
        config.stamp_every = every.map_or(config.stamp_every, Duration::from_secs);
        config.limits = self.limits.check(lines)?;
        config.secret = SecretPlaces::with_environment(self.keys.secret_file);
        Ok(config)
    }
}

impl RawSnapshot {
    fn fill(self, config: &mut Config, lines: &Lines<'_>) -> Result<(), Error> {
        let lifetime = lines.within("snapshot.lifetime_s", self.lifetime_s.as_ref(), 60, 30 * 86_400)?;
        let refresh = lines.within("snapshot.refresh_s", self.refresh_s.as_ref(), 1, 86_400)?;
        config.snapshot_lifetime = lifetime.map_or(config.snapshot_lifetime, Duration::from_secs);
        config.snapshot_refresh = refresh.map_or(config.snapshot_refresh, Duration::from_secs);
        if config.snapshot_refresh >= config.snapshot_lifetime {
            let at = self.refresh_s.map_or(0, |value| value.span().start);
            return Err(lines.fault("snapshot.refresh_s", at, "must be shorter than snapshot.lifetime_s"));
        }
        Ok(())
    }
}

impl RawCertificates {
    fn fill(self, config: &mut Config, lines: &Lines<'_>) -> Result<(), Error> {
        let tls = lines.within("certificates.tls_days", self.tls_days.as_ref(), 1, 398)?;
        let seal = lines.within("certificates.seal_days", self.seal_days.as_ref(), 1, 800)?;
        config.tls_days = tls.unwrap_or(config.tls_days);
        config.seal_days = seal.unwrap_or(config.seal_days);
        Ok(())
    }
}

impl RawLimits {
    fn check(self, lines: &Lines<'_>) -> Result<Limits, Error> {
        let standard = Limits::default();
        let size = |key, value: &Option<Spanned<u64>>, (least, most), otherwise: usize| {
            let found = lines.within(key, value.as_ref(), least, most)?;
            Ok::<usize, Error>(found.and_then(|n| usize::try_from(n).ok()).unwrap_or(otherwise))
        };
        let seconds = |key, value: &Option<Spanned<u64>>, most, otherwise: Duration| {
            let found = lines.within(key, value.as_ref(), 1, most)?;
            Ok::<Duration, Error>(found.map_or(otherwise, Duration::from_secs))
        };
        let places = (1, 100_000);
        let body = (64 << 10, 64 << 20);
        let enrolment = (8 << 10, 1 << 20);
        let each = "limits.strangers_per_address";
        let proposals = "limits.proposals_per_member";
        Ok(Limits {
            connections: size("limits.connections", &self.connections, places, standard.connections)?,
            handshake: seconds("limits.handshake_s", &self.handshake_s, 60, standard.handshake)?,
            strangers: size("limits.strangers", &self.strangers, places, standard.strangers)?,
            strangers_per_address: size(
                each,
                &self.strangers_per_address,
                places,
                standard.strangers_per_address,
            )?,
            stranger_age: seconds(
                "limits.stranger_age_s",
                &self.stranger_age_s,
                600,
                standard.stranger_age,
            )?,
            body_bytes_max: size(
                "limits.body_bytes_max",
                &self.body_bytes_max,
                body,
                standard.body_bytes_max,
            )?,
            enrol_bytes_max: size(
                "limits.enrol_bytes_max",
                &self.enrol_bytes_max,
                enrolment,
                standard.enrol_bytes_max,
            )?,
            proposals_per_member: size(
                proposals,
                &self.proposals_per_member,
                places,
                standard.proposals_per_member,
            )?,
            ..self.rates(standard, lines)?
        })
    }

    /// What is counted by minute, and the calls at once on a connection.
    fn rates(&self, standard: Limits, lines: &Lines<'_>) -> Result<Limits, Error> {
        let count = |key, value: &Option<Spanned<u64>>, most, otherwise: u32| {
            let found = lines.within(key, value.as_ref(), 1, most)?;
            Ok::<u32, Error>(found.and_then(|n| u32::try_from(n).ok()).unwrap_or(otherwise))
        };
        let streams = "limits.streams_per_connection";
        let enrolments = "limits.enrolments_per_minute";
        let all = "limits.enrolments_per_minute_all";
        let requests = "limits.requests_per_minute";
        let proofs = "limits.proofs_per_minute";
        let hellos = "limits.hellos_per_minute";
        let reports = "limits.reports_per_minute";
        Ok(Limits {
            streams_per_connection: count(
                streams,
                &self.streams_per_connection,
                10_000,
                standard.streams_per_connection,
            )?,
            enrolments_per_minute: count(
                enrolments,
                &self.enrolments_per_minute,
                1_000_000,
                standard.enrolments_per_minute,
            )?,
            enrolments_per_minute_all: count(
                all,
                &self.enrolments_per_minute_all,
                1_000_000,
                standard.enrolments_per_minute_all,
            )?,
            requests_per_minute: count(
                requests,
                &self.requests_per_minute,
                10_000_000,
                standard.requests_per_minute,
            )?,
            proofs_per_minute: count(proofs, &self.proofs_per_minute, 10_000_000, standard.proofs_per_minute)?,
            hellos_per_minute: count(hellos, &self.hellos_per_minute, 1_000_000, standard.hellos_per_minute)?,
            reports_per_minute: count(
                reports,
                &self.reports_per_minute,
                1_000_000,
                standard.reports_per_minute,
            )?,
            ..standard
        })
    }
}

/// The text of the file, to say in which line a value stands.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn fault(&self, key: &str, offset: usize, rule: impl Display) -> Error {
        let before = self.0.get(..offset).unwrap_or_default();
        Error::Config(format!(
            "key `{key}`, line {}: {rule}",
            before.matches('\n').count() + 1
        ))
    }

    fn parse<T>(&self, key: &str, value: &Spanned<String>) -> Result<T, Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        value
            .get_ref()
            .parse()
            .map_err(|e: T::Err| self.fault(key, value.span().start, e))
    }

    fn address(&self, key: &str, value: &Spanned<String>) -> Result<String, Error> {
        crate::text::address(value.get_ref()).map_err(|e| self.fault(key, value.span().start, e))
    }

    fn within(&self, key: &str, value: Option<&Spanned<u64>>, least: u64, most: u64) -> Result<Option<u64>, Error> {
        match value {
            None => Ok(None),
            Some(value) if (least..=most).contains(value.get_ref()) => Ok(Some(*value.get_ref())),
            Some(value) => {
                let rule = format!("{} is not from {least} to {most}", value.get_ref());
                Err(self.fault(key, value.span().start, rule))
            }
        }
    }
}

#[cfg(test)]
mod tests;
