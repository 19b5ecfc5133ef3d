//! `jisr registry`: the central server and its administration.

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
    /// Write the configuration of a new registry, make its keys, and write the anchor that auditors need
    Init(Box<init::Init>),
    /// Run the registry until SIGINT or SIGTERM
    Run(serve::Run),
    /// Admit a member; a second administrator must approve it
    Admit(members::Admit),
    /// Approve a member that another administrator admitted
    Approve(members::Approve),
    /// Make a one-time token with which a node of an approved member enrols
    Token(members::Token),
    /// Revoke a node: its certificates end with the next snapshot
    Revoke(members::Revoke),
    /// What the running registry says of itself
    Status(status::Status),
    /// Print the anchor: what an auditor needs to verify evidence and ledgers of this network
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
