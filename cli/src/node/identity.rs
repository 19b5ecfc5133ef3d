//! Credentials of the member's local CA: for applications that call the node, and for officers who sign agreements.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jisr_certs::CertError;
use jisr_certs::issue::{Credential, LocalCa};
use jisr_certs::validity::Validity;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_node::Config;
use jisr_proto::ident::{Code, SubsystemId};

use super::Dir;
use crate::failure::Failure;
use crate::output;

/// Credentials of applications.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    Add(AddClient),
}

/// Credentials of officers.
#[derive(Debug, Subcommand)]
pub(crate) enum Officer {
    Add(AddOfficer),
}

/// Make a key and a certificate for an application
///
/// Writes ca.pem, cert.pem and key.pem, with which an application calls this node's local door as SUBSYSTEM.
///
/// Whoever holds key.pem asks in the name of the subsystem; hand it over accordingly. The node need not run.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_CLIENT)]
pub(crate) struct AddClient {
    /// `JO/GOV/mol/permits`; any subsystem of the node's own member
    #[arg(value_name = "SUBSYSTEM")]
    subsystem: SubsystemId,
    #[command(flatten)]
    node: Dir,
    /// Directory for the three files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=1825))]
    valid_days: u64,
}

const HELP_CLIENT: &str = "\
Example:
  jisr node client add JO/GOV/mol/permits --dir /var/lib/jisr --out ./permits

Exit codes: 0 written · 64 wrong usage, or files are there already · 66 node.toml cannot be used · 70 this program, its \
keys or this machine failed";

/// Make a key and a certificate for an officer
///
/// Writes ca.pem, cert.pem (the officer's certificate, then the local CA's) and key.pem, with which an officer signs
/// agreements of this member.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_OFFICER)]
pub(crate) struct AddOfficer {
    /// Name of the officer as a code: lower-case letters, digits and -
    #[arg(value_name = "NAME")]
    name: Code,
    #[command(flatten)]
    node: Dir,
    /// Directory for the three files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=1825))]
    valid_days: u64,
}

const HELP_OFFICER: &str = "\
Example:
  jisr node officer add rania --dir /var/lib/jisr --out ./rania

Exit codes: 0 written · 64 wrong usage, or files are there already · 66 node.toml cannot be used · 70 this program, its \
keys or this machine failed";

/// How long the credential for one `jisr call` is valid.
const PASSING_US: u64 = 10 * 60 * 1_000_000;

impl Client {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Client::Add(add) = self;
        let config = super::config(&add.node.dir)?;
        let (ca, now_us) = open(&config)?;
        let validity = Validity::days(now_us, add.valid_days);
        let credential = ca.issue_client(&add.subsystem, validity).map_err(failure)?;
        write(&add.out, &credential, credential.certificate_pem())
    }
}

impl Officer {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Officer::Add(add) = self;
        let config = super::config(&add.node.dir)?;
        let officer = config.node.member().officer(&add.name);
        let (ca, now_us) = open(&config)?;
        let validity = Validity::days(now_us, add.valid_days);
        let credential = ca.issue_officer(&officer, validity).map_err(failure)?;
        let chain = credential.certificate_pem() + &credential.authority_pem();
        write(&add.out, &credential, chain)
    }
}

/// A credential that is used once and written nowhere.
pub(crate) fn passing_client(config: &Config, subsystem: &SubsystemId) -> Result<Credential, Failure> {
    let (ca, now_us) = open(config)?;
    let validity = Validity {
        not_after_us: now_us.saturating_add(PASSING_US),
        ..Validity::days(now_us, 1)
    };
    ca.issue_client(subsystem, validity).map_err(failure)
}

/// Opens the local CA; also tells the time by which it was checked.
fn open(config: &Config) -> Result<(LocalCa, u64), Failure> {
    let now_us = SystemClock.now_us();
    let store = config.open_keys().map_err(not_enrolled)?;
    LocalCa::open(&store, &config.node.member(), now_us)
        .map(|ca| (ca, now_us))
        .map_err(not_enrolled)
}

fn not_enrolled(error: CertError) -> Failure {
    match error {
        CertError::Io { .. } => Failure::fault(
            error.to_string(),
            "run this as the node's own user; `jisr node init` and `jisr node enrol` make the local CA",
        ),
        error => failure(error),
    }
}

/// Errors of the certificate crate say what to do themselves.
fn failure(error: CertError) -> Failure {
    match error {
        CertError::Authority { rule, remedy } => Failure::usage(rule, remedy),
        CertError::KeyStore { path, rule, remedy } => Failure::fault(format!("{}: {rule}", path.display()), remedy),
        error => Failure::fault(error.to_string(), ""),
    }
}

fn write(dir: &Path, credential: &Credential, certificates: String) -> Result<(), Failure> {
    output::private_dir(dir)?;
    output::write_secret(&dir.join("key.pem"), credential.key_pem().as_bytes())?;
    output::write_new(&dir.join("cert.pem"), certificates.as_bytes())?;
    output::write_new(&dir.join("ca.pem"), credential.authority_pem().as_bytes())?;
    output::line(dir.display());
    Ok(())
}
