//! `jisr node`: an agency's server, from the first configuration to its daily administration.

mod agree;
mod erase;
mod identity;
mod init;
mod publish;
mod recover;
mod serve;
mod status;
mod succeed;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jisr_node::Config;

pub(crate) use identity::passing_client;

use crate::failure::Failure;
use crate::output;
use crate::rekey::Rekey;

/// Commands of a node.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Box<init::Init>),
    Enrol(serve::Enrol),
    Run(serve::Run),
    Publish(publish::Publish),
    /// Propose, read, accept and revoke agreements
    #[command(subcommand)]
    Agree(agree::Command),
    /// Credentials with which the agency's applications call this node
    #[command(subcommand)]
    Client(identity::Client),
    /// Credentials with which the agency's officers sign agreements
    #[command(subcommand)]
    Officer(identity::Officer),
    Status(status::Status),
    /// Destroy parts of what was kept of exchanges, with the approval of two officers
    #[command(subcommand)]
    Erase(erase::Erase),
    Hold(erase::Hold),
    Holds(erase::Holds),
    /// End a hold, with the approval of two officers
    #[command(subcommand)]
    Release(erase::Release),
    Payload(erase::Payload),
    MirrorSecret(recover::MirrorSecret),
    Recover(recover::Recover),
    Succeed(succeed::Succeed),
    Rekey(Rekey),
}

/// The data directory of the node.
#[derive(Debug, Args)]
pub(crate) struct Dir {
    /// Data directory of the node
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run(),
        Command::Enrol(enrol) => enrol.run(),
        Command::Run(run) => run.run(),
        Command::Publish(publish) => publish.run(),
        Command::Agree(command) => agree::run(command),
        Command::Client(command) => command.run(),
        Command::Officer(command) => command.run(),
        Command::Status(status) => status.run(),
        Command::Erase(command) => command.run(),
        Command::Hold(hold) => hold.run(),
        Command::Holds(holds) => holds.run(),
        Command::Release(command) => command.run(),
        Command::Payload(payload) => payload.run(),
        Command::MirrorSecret(secret) => secret.run(),
        Command::Recover(recover) => recover.run(),
        Command::Succeed(succeed) => succeed.run(),
        Command::Rekey(rekey) => {
            let source = config(rekey.dir())?.secret_source();
            rekey.run(&source)
        }
    }
}

impl Command {
    /// Whether the command is a server.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Command::Run(_))
    }
}

/// The configuration in the data directory `dir`.
pub(crate) fn config(dir: &Path) -> Result<Config, Failure> {
    Config::load(dir).map_err(|error| {
        Failure::unusable(
            &dir.join("node.toml"),
            error,
            "correct the key that is named, or write a file: jisr node init",
        )
    })
}

/// Where a program on this machine reaches the local door: by its address where the door's certificate carries that,
/// else by its first name.
pub(crate) fn local_address(config: &Config) -> String {
    let (door, listen) = (&config.local_door, config.local_door.listen);
    let by_address = listen.ip().to_string();
    let plain = door.dangerous_plain_loopback.is_some();
    match door.names.first() {
        Some(name) if !plain && !door.names.contains(&by_address) => format!("{name}:{}", listen.port()),
        _ => listen.to_string(),
    }
}

/// Says where the secret of the keys lies, and what to do with it.
fn say_secret(source: &jisr_certs::keys::SecretSource) {
    output::say(format!(
        "the private keys lie encrypted under a secret: {source}. Keep a copy of it apart from every copy of the data directory: without \
         it nobody opens the keys, and whoever has both has them"
    ));
}
