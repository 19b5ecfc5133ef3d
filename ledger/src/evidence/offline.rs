//! Statements of exchanges with their proofs, read from a ledger directory: live, copied, mirrored or archived.
//!
//! Of the other side there is what this ledger keeps of it: the statements that own ones cite and the receipts, each under the
//! final proof that was paid for it, else under the checkpoint with which it came.

mod choosing;
mod reading;
mod stamps;

pub use choosing::Choice;

use super::Piece;
use crate::{
    Hash,
    anchor::QuorumClass,
    archive::{Archive, ArchiveError},
    policy::{Parties, Policy},
    stamp::Renewal,
    tree::{Nodes, inclusion},
};
use bytes::Bytes;
use jisr_proto::ident::{ExchangeId, Origin};
use reading::{Read, Theirs};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
};

/// Why evidence cannot be made of a ledger directory.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The directory cannot be read.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    /// The ledger does not begin as one does.
    #[error(
        "the ledger does not begin with STARTED, so that nobody knows whose it is; jisr ledger verify tells what is wrong with it"
    )]
    NotStarted,
    /// A person or a case is asked for, and there are no keys.
    #[error(
        "persons and cases are found only with the node's keys; name its data directory with keys/, or choose by peer, time or id"
    )]
    NoKeys,
    /// More exchanges are meant than were allowed.
    #[error("more than {0} exchanges are meant; set --from and --until closer, or a higher --limit")]
    TooMany(usize),
}

/// What a ledger directory holds of exchanges.
#[derive(Debug)]
pub struct Gathered {
    /// Origin of the ledger.
    pub origin: Origin,
    /// Certificates that lead from its seal certificate to the root, DER, as its STARTED holds them.
    pub certificates: Vec<Bytes>,
    /// The statements that were found, by exchange.
    pub exchanges: BTreeMap<ExchangeId, Vec<Piece>>,
    /// Ids under which the owner asked and was asked, where no side was chosen; what was found is of the one that it asked.
    pub twofold: Vec<ExchangeId>,
    /// Time-stamps on the checkpoint of the own statements: its note, a token, and what renewed it.
    pub stamps: Vec<(Bytes, Bytes, Vec<Renewal>)>,
}

/// Reads the statements of the exchanges that are chosen, at most `limit` exchanges. Own statements are proven under the newest
/// checkpoint in the directory that has a quorum by `policy` for them, else under the newest one that covers them. Reads the
/// directory three times; memory grows with what is chosen, not with the ledger.
///
/// # Errors
/// [`OfflineError`].
pub fn gather(archive: &Archive, policy: &Policy, choice: &Choice<'_>, limit: usize) -> Result<Gathered, OfflineError> {
    let chosen = choosing::chosen(archive, choice, limit)?;
    let mut read = Read::statements(archive, &chosen)?;
    let twofold = read.one_side(choice.role);
    let size = read.newest(policy);
    let wanted = Wanted::default();
    for own in read.own.values().flatten() {
        if let Some((size, _)) = &size {
            // Only which nodes it asks for is wanted.
            drop(inclusion(&wanted, own.index, *size));
        }
    }
    let kept = reading::nodes_and_notes(
        archive,
        &read,
        wanted.0.into_inner(),
        size.as_ref().map_or(0, |(size, _)| *size),
    )?;
    let mut exchanges: BTreeMap<ExchangeId, Vec<Piece>> = BTreeMap::new();
    for (exchange, statements) in &read.own {
        let pieces = exchanges.entry(*exchange).or_default();
        for own in statements {
            if let Some((size, note)) = &size
                && let Some(path) = inclusion(&kept.nodes, own.index, *size)
            {
                pieces.push(Piece {
                    origin: read.origin.clone(),
                    index: own.index,
                    statement: own.statement.clone(),
                    path,
                    checkpoint: note.clone(),
                });
            }
        }
    }
    for (exchange, theirs) in &read.theirs {
        let pieces = exchanges.entry(*exchange).or_default();
        pieces.extend(theirs.iter().filter_map(|one| piece(one, &kept.notes)));
    }
    let stamps = size.map(|(size, note)| (note, read.stamps.on(size)));
    let stamps = stamps.into_iter().flat_map(|(note, tokens)| {
        let with_note = move |(token, renewals)| (note.clone(), token, renewals);
        tokens.into_iter().map(with_note)
    });
    let stamps = stamps.collect();
    Ok(Gathered {
        origin: read.origin,
        certificates: read.certificates,
        exchanges,
        twofold,
        stamps,
    })
}

/// A statement of the other side, under its final proof where there is one.
fn piece(one: &Theirs, notes: &HashMap<Hash, Bytes>) -> Option<Piece> {
    let under = |note: &Hash, path: &Vec<Hash>| {
        Some(Piece {
            origin: one.origin.clone(),
            index: one.index,
            statement: one.statement.clone(),
            path: path.clone(),
            checkpoint: notes.get(note)?.clone(),
        })
    };
    let paid = one.proof.as_ref().and_then(|(note, path)| under(note, path));
    paid.or_else(|| under(&one.note, &one.path))
}

/// Takes down which nodes a proof needs.
#[derive(Default)]
struct Wanted(RefCell<HashSet<(u8, u64)>>);

impl Nodes for Wanted {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.borrow_mut().insert((level, index));
        Some([0; 32])
    }
}

/// Nodes that were kept of a tree.
impl Nodes for HashMap<(u8, u64), Hash> {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.get(&(level, index)).copied()
    }
}

impl Read {
    /// The first stamped checkpoint with a quorum that covers all own statements, else the newest with one, else the newest that covers all own statements.
    fn newest(&self, policy: &Policy) -> Option<(u64, Bytes)> {
        let core = self.own.values().flatten().next().map(|own| own.statement.core());
        let parties = core.and_then(Parties::of);
        let last = self.own.values().flatten().map(|own| own.index).max()?;
        let covering: Vec<&(u64, Bytes)> = self.checkpoints.iter().filter(|(size, _)| *size > last).collect();
        let has = |class| {
            covering.iter().rev().copied().find(|(_, note)| {
                policy
                    .cosigned(note, &self.origin, class, parties.as_ref())
                    .is_ok_and(|cosigned| cosigned.is_quorum())
            })
        };
        let stamped = |class| {
            let found = self.stamps.covering(last).find(|(_, note)| {
                let cosigned = policy.cosigned(note, &self.origin, class, parties.as_ref());
                cosigned.is_ok_and(|cosigned| cosigned.is_quorum())
            });
            found.map(|(size, note)| (size, note.clone()))
        };
        if let Some(stamped) = stamped(QuorumClass::High).or_else(|| stamped(QuorumClass::Standard)) {
            return Some(stamped);
        }
        let best = has(QuorumClass::High).or_else(|| has(QuorumClass::Standard));
        best.or(covering.last().copied()).cloned()
    }
}
