//! `jisr ledger index`: what is derived from a ledger, made anew.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jisr_certs::keys::KeyStore;
use jisr_ledger::ledger::{OpenError, RebuildError, rebuild};

use jisr_node::Layout;

use crate::failure::Failure;
use crate::output;

/// Make index, tiles and resume point of a ledger anew from its segments
///
/// For a ledger that no process has open: after tiles or index were damaged, or a copy was restored without them. Nothing else
/// is written. A node or registry does the same by itself at its next start, while it serves; here it is done before.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  jisr ledger index /var/lib/jisr/ledger --data /var/lib/jisr\n\n",
    "Exit codes: 0 done · 64 wrong usage · 66 an input cannot be read or is no ledger · 70 this program or machine failed",
))]
pub(crate) struct Index {
    /// Ledger directory: the one that holds segments/
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Data directory of the node or registry whose ledger it is: its keys open what the index needs
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
}

impl Index {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let source = if self.data.join("registry.toml").exists() {
            let config = jisr_registry::Config::load(&self.data.join("registry.toml"));
            config
                .map_err(|error| Failure::unreadable(&self.data, error))?
                .secret_source()
        } else {
            Layout::new(&self.data).secret_source()
        };
        let keys = KeyStore::open_from(self.data.join("keys"), &source);
        let keys = keys.map_err(|error| Failure::unreadable(&self.data, error))?;
        let size = rebuild(&self.dir, &self.data, &keys).map_err(|error| self.failed(&error))?;
        output::result(format!("{size} statements are in index and tiles"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn failed(&self, error: &RebuildError) -> Failure {
        match error {
            RebuildError::NoKey(_) | RebuildError::Keys(_) | RebuildError::Vault(_) => {
                Failure::unreadable(&self.data, error)
            }
            RebuildError::Remove { .. } => Failure::unwritable(&self.dir, error),
            RebuildError::NoLedger(_) | RebuildError::Open(OpenError::Corrupt { .. }) => {
                Failure::unreadable(&self.dir, error)
            }
            RebuildError::Open(OpenError::Locked(_)) => {
                Failure::usage(error.to_string(), "stop the process, or let it make the index itself")
            }
            RebuildError::Open(_) | RebuildError::Read(_) | RebuildError::Erase(_) => {
                Failure::fault(error.to_string(), "see what it says, then try again")
            }
        }
    }
}
