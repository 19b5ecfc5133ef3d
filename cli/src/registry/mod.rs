//! `jisr registry`: the central server and its administration.

mod confirm;
mod init;
mod members;
mod serve;
mod status;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jisr_proto::registry::registry_admin_client::RegistryAdminClient;
use tonic::transport::Channel;

use crate::admin::{self, Server};
use crate::failure::Failure;

/// Commands of a registry.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Box<init::Init>),
    Run(serve::Run),
    Admit(members::Admit),
    Approve(members::Approve),
    Token(members::Token),
    Revoke(members::Revoke),
    Status(status::Status),
    Confirm(confirm::Confirm),
    Anchor(serve::Anchor),
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
        Command::Approve(approve) => approve.run(),
        Command::Token(token) => token.run(),
        Command::Revoke(revoke) => revoke.run(),
        Command::Status(status) => status.run(),
        Command::Confirm(confirm) => confirm.run(),
        Command::Anchor(anchor) => anchor.run(),
    }
}

impl Command {
    /// Whether the command is a server.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Command::Run(_))
    }
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
        error => Failure::fault(error.to_string(), ""),
    }
}
