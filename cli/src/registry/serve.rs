//! `jisr registry run`, and the anchor that it goes by.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jisr_ledger::clock::SystemClock;
use jisr_registry::{Config, Registry};
use tokio::net::TcpListener;

use super::{Dir, failure};
use crate::failure::Failure;
use crate::{anchor, output, runtime};

/// Run the registry until SIGINT or SIGTERM
///
/// Calls in flight end, and the ledger is closed with its last checkpoint.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Run {
    /// Configuration file
    #[arg(long, value_name = "FILE", required_unless_present = "dir", conflicts_with = "dir")]
    config: Option<PathBuf>,
    /// Directory with registry.toml
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const HELP: &str = "\
Example:
  jisr registry run --dir /var/lib/jisr-registry

Exit codes: 0 stopped by a signal · 64 wrong usage · 66 the configuration cannot be used · 70 it cannot start or cannot \
go on; an operator must look before it is started again";

/// Print the anchor: what an auditor needs to verify evidence and ledgers of this network
///
/// It must reach auditors on a way that they trust. The registry need not run.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_ANCHOR)]
pub(crate) struct Anchor {
    #[command(flatten)]
    registry: Dir,
}

const HELP_ANCHOR: &str = "\
Example:
  jisr registry anchor --dir /var/lib/jisr-registry > anchor

Exit codes: 0 printed · 64 wrong usage · 66 there is none, or it is damaged";

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = match (self.config, self.dir) {
            (Some(file), _) => file,
            (None, dir) => dir.unwrap_or_default().join("registry.toml"),
        };
        let config = Config::load(&path).map_err(failure)?;
        runtime::block_on_all_cores(serve(config))
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    let shutdown = runtime::shutdown()?;
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::fault(
            format!("cannot listen at {listen}: {error}"),
            "choose another address in registry.toml, or end what uses this one",
        )
    })?;
    let registry = Registry::start(config, Arc::new(SystemClock), listener, shutdown)
        .await
        .map_err(failure)?;
    registry.finished().await.map_err(failure)
}

impl Anchor {
    pub(super) fn run(self) -> Result<(), Failure> {
        let anchor = anchor::read(&self.registry.dir.join("anchor"))?;
        output::line(anchor.to_string().trim_end());
        Ok(())
    }
}
