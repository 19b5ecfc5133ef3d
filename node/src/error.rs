//! Why a node does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use jisr_certs::CertError;
use jisr_ledger::ledger::{ConfirmError, OpenError};
use jisr_ledger::vault::VaultError;
use jisr_ledger::witness::WitnessError;
use jisr_proto::status::Fault;

/// Why a node does not start. Each text names who has to act and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something of the enrolment is missing.
    #[error("own node: cannot read {path}: {source}. If this node was never enrolled, run `jisr node enrol TOKEN`")]
    NotEnrolled {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The anchor cannot be used.
    #[error("own node: the anchor cannot be used: {0}. Restore it, or enrol anew")]
    Anchor(String),
    /// A key or certificate cannot be used.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The ledger cannot be written to.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// The memory of this node's witness cannot be used.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The keys of personal parts cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// More exchanges within one lifetime than can be remembered.
    #[error("own node: the replay set cannot be rebuilt: {0}")]
    Replay(String),
    /// A backend is configured wrongly.
    #[error("own node: {0}")]
    Backend(String),
    /// What a crash left open could not be closed.
    #[error("own node: what the last run left open could not be closed: {0}")]
    Settling(Fault),
    /// An address is taken or not this machine's.
    #[error("own node: cannot listen at {address}: {source}. Choose another address in node.toml, or end what uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A new ledger was prepared and is not in place.
    #[error("own node: a succession was begun and did not come to its end; run `jisr node succeed` again")]
    Succession,
    /// Files or threads.
    #[error("own node: {0}")]
    Io(#[from] std::io::Error),
}
