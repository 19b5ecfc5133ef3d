//! Making a node: its directory ([`Layout`]), its keys, its enrolment with a token, the credentials of its applications and officers.
//!
//! These run before the node does, or beside it; they touch files only, and the registry once.

mod attempt;
mod layout;
mod token;

pub(crate) use attempt::Attempt;
pub use layout::Layout;
pub use token::read_token;
pub(crate) use token::token_for;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::issue::{Credential, LocalCa};
use jisr_certs::keys::{KeyStore, RealFiles};
use jisr_certs::seal::{SealKey, WitnessKey};
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_certs::{CertError, csr, pem, profile, tls};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::files::{Disk as _, RealDisk, create_directory};
use jisr_ledger::snapshot::{ProvenRows, Standing, node_key};
use jisr_proto::ident::{OfficerId, Origin, SubsystemId};
use jisr_proto::registry::registry_client::RegistryClient;
use jisr_proto::registry::{EnrolRequest, EnrolResponse, FollowRequest, Token};
use jisr_proto::snapshot::SnapshotUpdate;
use jisr_proto::status::Fault;
use rustls::pki_types::CertificateDer;
use tokio_rustls::TlsConnector;

use crate::config::{Config, ConfigError};
use crate::registry_link::{MESSAGE_BYTES_MAX, channel};
use crate::snapshots::{self, Pieces};
use token::{check_continues, check_token, pinned};

/// Days for which credentials of applications, officers and the local door are issued.
const CREDENTIAL_DAYS: u64 = 365;

/// Why a node could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration is not right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key or certificate is not right.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// A file could not be read or written.
    #[error("own node: cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The token cannot be used.
    #[error("caller: the token {0}. Ask the registry's operator for a new one")]
    Token(String),
    /// The registry cannot be reached.
    #[error(
        "registry: {address} cannot be reached, or its answer was lost: {detail}. Check address, port and firewall, and that the \
         registry runs; then do the same once more: the token is as good as before"
    )]
    Unreachable {
        /// host:port.
        address: String,
        /// What was tried and failed.
        detail: String,
    },
    /// The registry refused.
    #[error("{0}")]
    Refused(Fault),
    /// The registry's answer does not hold.
    #[error("registry: its answer does not hold: {0}. Do not use it; tell the registry's operator")]
    Answer(String),
    /// The registry shows another history than the one that the token pins.
    #[error(
        "registry: its ledger does not continue the one that the token pins ({0}): this newcomer is led into a forked history, or the \
         registry was rolled back since. Nothing of its answer was kept. Show the token to the registry's operator and to another member, \
         whose node can compare; once they agree, enrol with a new token and new keys (move the directory `keys` away)"
    )]
    Forked(String),
    /// The node has not been enrolled, or has been already.
    #[error("own node: {0}")]
    State(String),
}

/// The error for a file of this machine.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SetupError + use<> {
    let path = path.to_owned();
    move |source| SetupError::Io { action, path, source }
}

/// Makes the keys and the local CA of a node whose configuration stands in `data`.
///
/// # Errors
/// The configuration is not right, or the directory is not the caller's own; what exists already is kept.
pub fn init(data: &Path, now_us: u64) -> Result<Config, SetupError> {
    let config = Config::load(data)?;
    let store = KeyStore::create_from(Layout::new(data).keys(), &config.secret_source(), Arc::new(RealFiles))?.0;
    TlsKey::load_or_make(&store, "tls")?;
    TlsKey::load_or_make(&store, "local-door")?;
    WitnessKey::of_node(&store, &config.node)?;
    if LocalCa::open(&store, &config.node.member(), now_us).is_err() {
        LocalCa::create(&store, &config.node.member(), now_us)?;
    }
    Ok(config)
}

/// Enrols the node: its keys were made here, the registry returns certificates, the origin, the anchor and the snapshot.
///
/// # Errors
/// The token, the registry or its answer; nothing is kept of an answer that does not hold.
pub async fn enrol(data: &Path, token: &str, now_us: u64) -> Result<Origin, SetupError> {
    let read = read_token(token)?;
    let config = init(data, now_us)?;
    let layout = Layout::new(data);
    check_token(&config, &read, now_us)?;
    if layout.ledger().join("segments").exists() {
        return Err(SetupError::State(format!(
            "{} holds a ledger already; a new origin begins in an empty directory, or in this one with `jisr node succeed`",
            data.display()
        )));
    }
    let attempt = Attempt::new(data, &config, &read);
    if layout.anchor().exists() && !attempt.is_begun()? {
        return Err(SetupError::State(format!(
            "{0} is enrolled already. Start it: jisr node run --dir {0}",
            data.display()
        )));
    }
    let store = config.open_keys()?;
    let enrolled = ask_for(&config, (&store, &store), (&attempt, &read), now_us).await?;
    create_directory(&layout.snapshot()).map_err(io("make", &layout.snapshot()))?;
    for (path, bytes) in enrolled.files(&layout) {
        RealDisk.replace(&path, &bytes).map_err(io("write", &path))?;
    }
    attempt.end(&store)?;
    Ok(enrolled.origin)
}

/// Enrols a node once more: for a new ledger, with a seal key and a witness key that are made in the key store `made`.
pub(crate) async fn enrol_anew(
    config: &Config,
    made: &Path,
    (attempt, token): (&Attempt, &Token),
    now_us: u64,
) -> Result<Enrolled, SetupError> {
    let store = config.open_keys()?;
    let made = KeyStore::open_from(made, &config.secret_source())?;
    ask_for(config, (&store, &made), (attempt, token), now_us).await
}

/// What the registry answered, checked.
pub(crate) struct Enrolled {
    /// Origin of the new ledger.
    pub(crate) origin: Origin,
    response: EnrolResponse,
    /// The snapshot, whole, where the registry told it at once; otherwise the node gets it when it runs.
    snapshot: Option<SnapshotUpdate>,
}

impl Enrolled {
    /// What is kept of it, and where.
    pub(crate) fn files(&self, layout: &Layout) -> Vec<(PathBuf, Vec<u8>)> {
        let response = &self.response;
        let chain =
            |leaf: &Bytes| pem::certificates_to_pem(std::iter::once(leaf).chain(&response.issuers).map(Bytes::as_ref));
        let snapshot = self.snapshot.as_ref().map(prost::Message::encode_to_vec);
        let snapshot = snapshot.map(|snapshot| (layout.snapshot_rows(), snapshot));
        let mut files = vec![
            (layout.tls_chain(), chain(&response.tls_certificate).into_bytes()),
            (layout.seal_chain(), chain(&response.seal_certificate).into_bytes()),
        ];
        files.extend(snapshot);
        // Last: a node with an anchor is enrolled.
        files.push((layout.anchor(), response.anchor.clone().into_bytes()));
        files
    }
}

/// Asks the registry, with the node's lasting keys in the first store and those of the ledger in the second.
async fn ask_for(
    config: &Config,
    (lasting, of_ledger): (&KeyStore, &KeyStore),
    (attempt, token): (&Attempt, &Token),
    now_us: u64,
) -> Result<Enrolled, SetupError> {
    attempt.begin(of_ledger)?;
    let response = ask(config, (lasting, of_ledger), &attempt.pending, token, now_us).await?;
    let origin = check(config, token, &response, now_us)?;
    attempt.name_key(of_ledger, &origin)?;
    let snapshot = follow_once(config, lasting, token, (&response, now_us)).await;
    let snapshot = snapshot.inspect_err(|error| {
        tracing::warn!(
            error,
            "the snapshot could not be fetched yet; the node does that when it runs"
        )
    });
    Ok(Enrolled {
        origin,
        response,
        snapshot: snapshot.ok(),
    })
}

/// Fetches the snapshot with the certificate that was just issued.
async fn follow_once(
    config: &Config,
    store: &KeyStore,
    token: &Token,
    (response, now_us): (&EnrolResponse, u64),
) -> Result<SnapshotUpdate, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let anchor: Anchor = response.anchor.parse().map_err(|error| text(&error))?;
    let chain = std::iter::once(&response.tls_certificate).chain(&response.issuers);
    let chain: Vec<CertificateDer<'static>> = chain.map(|der| CertificateDer::from(der.to_vec())).collect();
    let root = profile::root_by_fingerprint(&chain, &anchor.root, now_us).map_err(|error| text(&error))?;
    let key = TlsKey::load_or_make(store, "tls").map_err(|error| text(&error))?;
    let identity = tls::Identity::new(&key, chain).map_err(|error| text(&error))?;
    let clock: tls::Clock = Arc::new(move || now_us);
    let client = tls::registry_client(Some(&identity), &root, config.node.instance(), &clock);
    let client = TlsConnector::from(client.map_err(|error| text(&error))?);
    let channel = channel(&token.registry, client, tls::server_name()).map_err(|error| text(&error))?;
    let mut registry = RegistryClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let followed = registry.follow(FollowRequest::default()).await;
    let mut followed = followed.map_err(|status| causes(&status))?.into_inner();
    let mut pieces = Pieces::default();
    while let Some(piece) = followed.message().await.map_err(|status| causes(&status))? {
        if let Some(update) = pieces.push(piece).map_err(|error| text(&error))? {
            snapshots::take(&anchor, &update, None, now_us).map_err(|error| text(&error))?;
            return Ok(update);
        }
    }
    Err("the registry ended the call before all was told".to_owned())
}

/// Name of the file that holds the seal key of an origin.
pub(crate) fn key_file(origin: &Origin) -> String {
    format!("seal-{}.pem", origin.as_str().replace('/', "."))
}

async fn ask(
    config: &Config,
    (lasting, of_ledger): (&KeyStore, &KeyStore),
    pending: &Origin,
    token: &Token,
    now_us: u64,
) -> Result<EnrolResponse, SetupError> {
    let tls_key = TlsKey::load_or_make(lasting, "tls")?;
    let seal_key = SealKey::load_or_make(of_ledger, pending)?;
    let witness = WitnessKey::of_node(of_ledger, &config.node)?;
    let local_ca = LocalCa::open(lasting, &config.node.member(), now_us)?;
    let request = EnrolRequest {
        token: token.secret.clone(),
        node: config.node.to_string(),
        tls_csr: csr::tls_csr(&tls_key, &config.node)?.into(),
        seal_csr: csr::seal_csr(&seal_key)?.into(),
        witness_key: Bytes::copy_from_slice(witness.public().as_bytes()),
        address: config.peer_door.public.clone(),
        local_ca: Bytes::copy_from_slice(&local_ca.certificate().der),
        now_us,
        known_size: pinned(token)?.size,
    };
    let root = token
        .root
        .as_ref()
        .try_into()
        .map_err(|_| SetupError::Token("names no root".to_owned()))?;
    let clock: tls::Clock = Arc::new(move || now_us);
    let client = tls::registry_client_by_root_fingerprint(root, config.node.instance(), &clock)?;
    let unreachable = |detail: String| SetupError::Unreachable {
        address: token.registry.clone(),
        detail,
    };
    let channel = channel(&token.registry, TlsConnector::from(client), tls::server_name())
        .map_err(|error| unreachable(error.to_string()))?;
    let mut registry = RegistryClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    match registry.enrol(request).await {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(match Fault::from_tonic(&status) {
            Some(fault) => SetupError::Refused(fault),
            None => unreachable(causes(&status)),
        }),
    }
}

/// A status with everything that led to it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The answer must rest on what the token pins: root, registry key; and the snapshot must list this node.
fn check(config: &Config, token: &Token, response: &EnrolResponse, now_us: u64) -> Result<Origin, SetupError> {
    let wrong = |what: &str| SetupError::Answer(what.to_owned());
    let anchor: Anchor = response
        .anchor
        .parse()
        .map_err(|error| SetupError::Answer(format!("{error}")))?;
    if anchor.root.as_slice() != token.root || anchor.registry_key.to_string() != token.registry_key {
        return Err(wrong("its anchor is another one than the token pins"));
    }
    let origin: Origin = response
        .origin
        .parse()
        .map_err(|error| SetupError::Answer(format!("{error}")))?;
    let signed = response.snapshot.clone().ok_or_else(|| wrong("it holds no snapshot"))?;
    let header =
        snapshots::check(&anchor, &signed, None, now_us).map_err(|error| SetupError::Answer(error.to_string()))?;
    let header = header.ok_or_else(|| wrong("it holds no snapshot"))?;
    check_continues(&pinned(token)?, &signed, &anchor, &response.consistency)?;
    let shown = ProvenRows::check(response.row.as_slice(), &header);
    let shown = shown.map_err(|error| SetupError::Answer(error.to_string()))?;
    let unlisted = || wrong("its snapshot does not list this node with these certificates");
    let Standing::Listed(row) = shown.find(&node_key(config.node.as_str())) else {
        return Err(unlisted());
    };
    match &row.node {
        Some(row)
            if row.origin == response.origin
                && row.tls_certificates.contains(&response.tls_certificate)
                && row.seal_certificate == response.seal_certificate =>
        {
            Ok(origin)
        }
        _ => Err(unlisted()),
    }
}

/// Issues a credential for an application that may ask as `subsystem`.
///
/// # Errors
/// The subsystem is not of this member, or the local CA cannot be used.
pub fn client_credential(data: &Path, subsystem: &SubsystemId, now_us: u64) -> Result<Credential, SetupError> {
    let ca = local_ca(data, now_us)?;
    Ok(ca.issue_client(subsystem, Validity::days(now_us, CREDENTIAL_DAYS))?)
}

/// Issues a credential for an officer who may agree on behalf of the member.
///
/// # Errors
/// As [`client_credential`].
pub fn officer_credential(data: &Path, officer: &OfficerId, now_us: u64) -> Result<Credential, SetupError> {
    let ca = local_ca(data, now_us)?;
    Ok(ca.issue_officer(officer, Validity::days(now_us, CREDENTIAL_DAYS))?)
}

/// SHA-256 of the certificate of this member's local CA.
pub(crate) fn own_local_ca(data: &Path, now_us: u64) -> Result<jisr_certs::digest::Hash, SetupError> {
    Ok(local_ca(data, now_us)?.certificate().sha256)
}

fn local_ca(data: &Path, now_us: u64) -> Result<LocalCa, SetupError> {
    let config = Config::load(data)?;
    let store = config.open_keys()?;
    Ok(LocalCa::open(&store, &config.node.member(), now_us)?)
}
