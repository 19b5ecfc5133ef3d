//! `jisr registry`: the central server and its administration.

mod acts;
mod administrator;
mod confirm;
mod csv;
mod init;
mod members;
mod nodes;
mod serve;
mod signing;
mod status;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jisr_proto::registry::AdministerResponse;
use jisr_proto::registry::registry_admin_client::RegistryAdminClient;
use tonic::transport::Channel;

use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::rekey::Rekey;
use crate::{output, pem};

/// Commands of a registry.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Box<init::Init>),
    Run(serve::Run),
    Admit(Box<members::Admit>),
    Change(Box<members::Change>),
    Remove(members::Remove),
    Members(members::Members),
    Acts(acts::Acts),
    Approve(acts::Approve),
    Reject(acts::Reject),
    Token(nodes::Token),
    Revoke(nodes::Revoke),
    #[command(subcommand)]
    Administrator(administrator::Command),
    Status(status::Status),
    Confirm(confirm::Confirm),
    Anchor(serve::Anchor),
    Rekey(Rekey),
}

/// The data directory of the registry.
#[derive(Debug, Args)]
struct Dir {
    /// Data directory of the registry
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run(),
        Command::Run(run) => run.run(),
        Command::Admit(admit) => admit.run(),
        Command::Change(change) => change.run(),
        Command::Remove(remove) => remove.run(),
        Command::Members(members) => members.run(),
        Command::Acts(acts) => acts.run(),
        Command::Approve(approve) => approve.run(),
        Command::Reject(reject) => reject.run(),
        Command::Token(token) => token.run(),
        Command::Revoke(revoke) => revoke.run(),
        Command::Administrator(command) => command.run(),
        Command::Status(status) => status.run(),
        Command::Confirm(confirm) => confirm.run(),
        Command::Anchor(anchor) => anchor.run(),
        Command::Rekey(rekey) => {
            let config = jisr_registry::Config::load(&rekey.dir().join("registry.toml")).map_err(failure)?;
            rekey.run(&config.secret_source())
        }
    }
}

impl Command {
    /// Whether the command is a server.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Command::Run(_))
    }
}

/// Prints the id of an act that waits, and what is due.
fn tell_pending(answer: &AdministerResponse) {
    let id = output::hex(&answer.act);
    output::line(&id);
    let short: String = id.chars().take(12).collect();
    output::say(format!(
        "it awaits a second administrator: jisr registry approve {short}, or reject {short} --reason TEXT"
    ));
}

/// Reads a request for a certificate (PEM) as DER.
fn request(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = output::read(path, pem::PEM_BYTES_MAX)?;
    jisr_certs::pem::request_from_pem(&text).map_err(|error| {
        Failure::unusable(
            path,
            error,
            "name request.csr as `jisr registry administrator new` wrote it",
        )
    })
}

async fn client(registry: &Dir) -> Result<RegistryAdminClient<Channel>, Failure> {
    admin::connect(&registry.dir, Server::Registry)
        .await
        .map(RegistryAdminClient::new)
}

/// Exit codes of the administrators' commands.
const EXIT_CODES: &str = "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · \
70 this program or machine failed";

/// Errors of the registry name the remedy themselves.
fn failure(error: jisr_registry::Error) -> Failure {
    match error {
        jisr_registry::Error::Config(_) => Failure::Unreadable {
            what: error.to_string(),
            remedy: String::new(),
        },
        jisr_registry::Error::Founding(_) => Failure::usage(error.to_string(), ""),
        error => Failure::fault(error.to_string(), ""),
    }
}
