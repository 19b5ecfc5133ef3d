//! Where to call and as whom: the local door of the caller's own node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jisr_certs::profile::check_local_ca;
use jisr_certs::tls::{self, Identity};
use jisr_certs::tls_key::TlsKey;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_node::Config;
use jisr_proto::ident::SubsystemId;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;

use super::connection::Opened;
use crate::failure::Failure;
use crate::pem::{self, PEM_BYTES_MAX};
use crate::{node, output};

/// Where to call and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where, and as whom")]
pub(super) struct Door {
    /// Data directory of a node on this machine: its address and, for the --client, a credential of ten
    /// minutes, which is written nowhere, are taken from there
    #[arg(long, value_name = "DIR", required_unless_present = "address")]
    dir: Option<PathBuf>,
    /// Address of the node's local door
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Directory with ca.pem, cert.pem and key.pem, as `jisr node client add` writes it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["ca", "cert", "key"])]
    identity: Option<PathBuf>,
    /// Certificate of the local CA that the door's certificate must come from
    #[arg(long, value_name = "PEM", requires_all = ["cert", "key"])]
    ca: Option<PathBuf>,
    /// The caller's certificate
    #[arg(long, value_name = "PEM", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,
    /// The caller's private key
    #[arg(long, value_name = "PEM", requires_all = ["ca", "cert"])]
    key: Option<PathBuf>,
    /// Speak plain HTTP/2: for a node that has dangerous_plain_loopback set
    #[arg(long, conflicts_with_all = ["ca", "identity"])]
    dangerous_plain: bool,
}

impl Door {
    /// Finds address and credential. `client` is the subsystem to call as where only `--dir` is given.
    pub(super) fn open(&self, client: Option<&SubsystemId>) -> Result<Opened, Failure> {
        let config = self.dir.as_deref().map(node::config).transpose()?;
        let address = match (&self.address, &config) {
            (Some(address), _) => address.clone(),
            (None, Some(config)) => node::local_address(config),
            (None, None) => return Err(no_address()),
        };
        let plain = config
            .as_ref()
            .is_some_and(|config| config.local_door.dangerous_plain_loopback.is_some());
        let tls = match (self.files(), &config) {
            (Some([ca, cert, key]), _) => Some(from_files(&ca, &cert, &key)?),
            (None, _) if self.dangerous_plain || plain => None,
            (None, Some(config)) => Some(from_node(config, client)?),
            (None, None) => return Err(no_credential()),
        };
        Ok(Opened::new(address, tls))
    }

    fn files(&self) -> Option<[PathBuf; 3]> {
        match (&self.identity, &self.ca, &self.cert, &self.key) {
            (Some(dir), ..) => Some(["ca.pem", "cert.pem", "key.pem"].map(|name| dir.join(name))),
            (None, Some(ca), Some(cert), Some(key)) => Some([ca.clone(), cert.clone(), key.clone()]),
            _ => None,
        }
    }
}

fn no_address() -> Failure {
    Failure::usage(
        "no node is named",
        "name its data directory with --dir, or its local door with --address",
    )
}

fn no_credential() -> Failure {
    Failure::usage(
        "no credential is named",
        "name a directory that `jisr node client add` wrote with --identity, or files with --ca, --cert and --key",
    )
}

/// The credential in three files.
pub(super) fn from_files(ca: &Path, cert: &Path, key: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let secret = output::read(key, PEM_BYTES_MAX)?;
    let chain = pem::certificates(cert)?;
    settings(&secret, chain, &pem::certificate(ca)?).map_err(|error| {
        Failure::unusable(
            cert,
            error,
            "name cert.pem, key.pem and ca.pem of one client, not expired",
        )
    })
}

/// A credential made by the node's own local CA, for this call.
fn from_node(config: &Config, client: Option<&SubsystemId>) -> Result<Arc<ClientConfig>, Failure> {
    let client = client.ok_or_else(|| {
        Failure::usage(
            "the subsystem that asks is not named",
            "name it with --client, for example JO/GOV/mol/permits",
        )
    })?;
    let made = node::passing_client(config, client)?;
    settings(
        made.key_pem().as_bytes(),
        vec![made.certificate.clone()],
        &made.authority,
    )
    .map_err(|error| {
        Failure::fault(
            format!("the credential that was just made cannot be used: {error}"),
            "report this as a defect",
        )
    })
}

fn settings(
    key: &[u8],
    chain: Vec<CertificateDer<'static>>,
    authority: &CertificateDer<'static>,
) -> Result<Arc<ClientConfig>, jisr_certs::CertError> {
    let authority = check_local_ca(authority, SystemClock.now_us())?;
    let identity = Identity::new(&TlsKey::from_pem(key)?, chain)?;
    let clock: tls::Clock = Arc::new(|| SystemClock.now_us());
    tls::local_client(&identity, &authority, &clock)
}
