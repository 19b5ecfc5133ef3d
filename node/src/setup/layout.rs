//! Where the files of a node lie.

use std::path::{Path, PathBuf};

use jisr_certs::keys::{SecretPlaces, SecretSource};

use crate::config::Config;

/// Files of a node's data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directory.
    pub data: PathBuf,
}

impl Layout {
    /// The layout below `data`.
    #[must_use]
    pub fn new(data: &Path) -> Layout {
        Layout { data: data.to_owned() }
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.data.join("node.toml")
    }

    /// Private keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// Where the secret of the key store lies: as `node.toml` has it, where it is there and right.
    #[must_use]
    pub fn secret_source(&self) -> SecretSource {
        let places = Config::load(&self.data).map(|config| config.secret);
        places
            .unwrap_or_else(|_| SecretPlaces::with_environment(None))
            .source(&self.data)
    }

    /// What this node's witness remembers of other ledgers.
    #[must_use]
    pub fn witness(&self) -> PathBuf {
        self.data.join("witness")
    }

    /// Beside the witness key: of how many ledgers the witness must have a memory.
    #[must_use]
    pub fn witness_begun(&self) -> PathBuf {
        self.keys().join("witness.begun")
    }

    /// TLS certificate of the node, with its issuers (PEM).
    #[must_use]
    pub fn tls_chain(&self) -> PathBuf {
        self.data.join("tls.pem")
    }

    /// The TLS certificate that takes its place next, with its issuers (PEM).
    #[must_use]
    pub fn tls_chain_next(&self) -> PathBuf {
        self.data.join("tls.next.pem")
    }

    /// Seal certificate, with its issuers (PEM).
    #[must_use]
    pub fn seal_chain(&self) -> PathBuf {
        self.data.join("seal.pem")
    }

    /// What the node trusts.
    #[must_use]
    pub fn anchor(&self) -> PathBuf {
        self.data.join("anchor")
    }

    /// Directory of the newest snapshot taken up.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.data.join("snapshot")
    }

    /// The file in there that holds a whole snapshot.
    #[must_use]
    pub fn snapshot_rows(&self) -> PathBuf {
        self.snapshot().join("rows")
    }

    /// Snapshots that statements cite: headers by version, rows by root.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.data.join("snapshots")
    }

    /// Entries of the registry's ledger, by index, kept so that evidence can be made without the registry.
    #[must_use]
    pub fn registry_entries(&self) -> PathBuf {
        self.data.join("registry-entries")
    }

    /// The ledgers that the present one succeeds, oldest first.
    #[must_use]
    pub fn older_ledgers(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.data.join("ledgers")).into_iter().flatten();
        let mut found: Vec<PathBuf> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.sort();
        found
    }

    /// The admin door.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.data.join("admin.sock")
    }

    /// The ledger directory of docs/formats.md.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.data.join("ledger")
    }
}
