//! What a comparison reports.

use std::fmt;

use jisr_proto::ident::ExchangeId;

use super::Side;
use crate::tree::Hash;

/// The result in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// What each ledger says of the other stands there.
    Same,
    /// Nothing contradicts, but a directory ends before what the other side holds of it.
    Indeterminate,
    /// The ledgers contradict each other.
    Differs,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "SAME",
            Self::Indeterminate => "INDETERMINATE",
            Self::Differs => "DIFFERS",
        })
    }
}

/// What kind of difference it is; as far as they are the same, the names are those of `jisr.statement.v1.FindingKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Its key signed a checkpoint that is no stage of the tree in the directory.
    LedgerForked,
    /// The directory ends before a checkpoint that its key signed. Not a difference: it may be an older copy.
    LedgerShorter,
    /// A statement that it sealed for the other side is not in it.
    ExchangeLacking,
    /// It cites the other side's statement, which is not there, and shows no seal of it.
    ExchangeInvented,
    /// Both hold the exchange, with different statements; or one side's statements of it contradict each other.
    ExchangeDiffers,
}

impl Difference {
    /// Its stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LedgerForked => "LEDGER_FORKED",
            Self::LedgerShorter => "LEDGER_SHORTER",
            Self::ExchangeLacking => "EXCHANGE_LACKING",
            Self::ExchangeInvented => "EXCHANGE_INVENTED",
            Self::ExchangeDiffers => "EXCHANGE_DIFFERS",
        }
    }
}

/// Which exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its id.
    pub id: ExchangeId,
    /// Who asked.
    pub asker: Side,
    /// When the first statement of it was made, by either ledger, microseconds.
    pub at_us: u64,
    /// Full name of the service.
    pub service: String,
    /// Name of the method.
    pub method: String,
}

/// What shows a difference, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// In whose ledger it stands.
    pub holder: Side,
    /// Index of the statement that it belongs to; for what stands between statements, of the next one.
    pub entry: u64,
    /// Which record it is: `PEER_STATEMENT`, `RECEIPT`, `PEER_PROOF`, `PEER_NOTE`, or `PEER`, a citation by itself.
    pub record: &'static str,
    /// Index and leaf input in the other ledger; `None` for a checkpoint alone.
    pub leaf: Option<(u64, Hash)>,
    /// Size of the tree of the checkpoint.
    pub tree_size: u64,
    /// Its root.
    pub root: Hash,
    /// Whether the checkpoint's note stands there, signed by the other ledger's key.
    pub is_signed: bool,
    /// Names of the anchor's witnesses that cosigned it.
    pub cosigned_by: Vec<String>,
    /// SHA-256 of the note, until it is looked up.
    pub(super) note: Option<Hash>,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of difference.
    pub kind: Difference,
    /// In whose ledger something lacks, is too much or is different.
    pub side: Side,
    /// Which exchange; `None` where it is about a ledger.
    pub exchange: Option<About>,
    /// What is missing or different, one sentence each.
    pub what: Vec<String>,
    /// What proves it.
    pub proofs: Vec<Proof>,
}

/// An exchange that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which.
    pub exchange: About,
    /// Who has not closed it, or whose directory is older than what closes it.
    pub side: Side,
    /// Why it counts as open.
    pub why: &'static str,
}
