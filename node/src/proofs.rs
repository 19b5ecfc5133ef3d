//! The closet that remembers what peers owe: each seal is provisional until its leaf is shown under a checkpoint that
//! the quorum cosigned.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::anchor::{Anchor, QuorumClass};
use jisr_ledger::ledger::{AppendError, Record};
use jisr_ledger::seal::{self, Sealed};
use jisr_ledger::tree::{self, Hash};
use jisr_ledger::{Verified, note};
use jisr_proto::ident::{NodeId, Origin};
use jisr_proto::peer::{ProveRequest, ProveResponse};

use crate::closets::Closets;
use crate::directory::NodeRow;

/// Seals remembered for one peer; older ones are proven when evidence is made.
const OWED_MAX: usize = 65_536;
/// Indexes asked for in one call.
pub(crate) const INDEXES_MAX: usize = 1024;

/// A seal whose final proof is owed.
#[derive(Debug, Clone, Copy)]
struct Due {
    index: u64,
    leaf: Hash,
}

#[derive(Debug)]
struct Account {
    row: Arc<NodeRow>,
    due: VecDeque<Due>,
    newest: (u64, Bytes),
}

/// What peers owe.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    accounts: Mutex<HashMap<Origin, Account>>,
}

impl Owed {
    /// Notes a provisional seal of this node. Before the first one of a ledger is noted, `introduce` puts the certificates
    /// of that ledger into the own one; nobody else can note a seal of it meanwhile, so they stand before everything that
    /// rests on them.
    pub(crate) fn note(
        &self,
        row: &Arc<NodeRow>,
        sealed: &Verified<Sealed>,
        introduce: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if !accounts.contains_key(&row.origin) {
            introduce()?;
        }
        let account = accounts.entry(row.origin.clone()).or_insert_with(|| Account {
            row: Arc::clone(row),
            due: VecDeque::new(),
            newest: (0, Bytes::new()),
        });
        if sealed.tree_size > account.newest.0 {
            account.newest = (sealed.tree_size, sealed.note().clone());
        }
        if account.due.len() < OWED_MAX {
            account.due.push_back(Due {
                index: sealed.index,
                leaf: sealed.statement.leaf(),
            });
        }
        Ok(())
    }

    /// The newest checkpoint seen of this ledger; empty if none.
    pub(crate) fn newest_checkpoint(&self, origin: &Origin) -> Bytes {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.get(origin);
        account.map(|account| account.newest.1.clone()).unwrap_or_default()
    }

    /// How many proofs each peer owes.
    pub(crate) fn counts(&self) -> Vec<(NodeId, u64)> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts
            .values()
            .map(|account| (account.row.id.clone(), account.due.len() as u64))
            .collect()
    }

    /// Who owes something.
    fn debtors(&self) -> Vec<Arc<NodeRow>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let owing = accounts.values().filter(|account| !account.due.is_empty());
        owing.map(|account| Arc::clone(&account.row)).collect()
    }

    /// The oldest of what is due, ascending by index.
    fn next(&self, origin: &Origin) -> Vec<Due> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(account) = accounts.get_mut(origin) else {
            return Vec::new();
        };
        // Nearly in order already, which a stable sort makes use of.
        account.due.make_contiguous().sort_by_key(|due| due.index);
        account.due.iter().take(INDEXES_MAX).copied().collect()
    }

    fn paid(&self, origin: &Origin, paid: &HashSet<u64>) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get_mut(origin) {
            account.due.retain(|due| !paid.contains(&due.index));
        }
    }
}

/// Asks every debtor for what it owes and records what it pays, until all is paid that its cosigned checkpoint covers.
pub(crate) async fn collect(closets: &Closets) {
    for row in closets.owed.debtors() {
        while collect_from(closets, &row).await {}
    }
}

/// One round with one debtor. Returns whether it paid a full round, so that another one is worth the while.
async fn collect_from(closets: &Closets, row: &NodeRow) -> bool {
    let due = closets.owed.next(&row.origin);
    let mut indexes: Vec<u64> = due.iter().map(|due| due.index).collect();
    indexes.dedup();
    let response = match closets.peers.prove(closets, row, &ProveRequest { indexes }).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(peer = %row.id, ?error, "a peer did not show its proofs");
            return false;
        }
    };
    match record(closets, row, &due, &response) {
        Ok(paid) => {
            closets.owed.paid(&row.origin, &paid);
            paid.len() == INDEXES_MAX
        }
        Err(error) => {
            tracing::error!(peer = %row.id, error, "a peer's ledger does not hold what it sealed");
            false
        }
    }
}

/// Verifies proofs and stores them. Returns the indexes that are paid.
fn record(closets: &Closets, row: &NodeRow, due: &[Due], response: &ProveResponse) -> Result<HashSet<u64>, String> {
    if response.checkpoint.is_empty() {
        return Ok(HashSet::new());
    }
    let checkpoint = note::open(&response.checkpoint, &row.seal_key).map_err(|error| error.to_string())?;
    if !cosigned(closets.directory.anchor(), &response.checkpoint, &row.origin) {
        return Ok(HashSet::new());
    }
    let covered: Vec<&Due> = due.iter().filter(|due| due.index < checkpoint.size).collect();
    let mut proofs = Vec::with_capacity(covered.len());
    for due in covered {
        let at = response.paths.binary_search_by_key(&due.index, |path| path.index);
        let path = at.ok().and_then(|at| response.paths.get(at));
        let path = path.ok_or_else(|| format!("no path for entry {} came", due.index))?;
        let path = seal::path(&path.hashes).map_err(|error| error.to_string())?;
        if !tree::verify_inclusion(
            due.index,
            checkpoint.size,
            &tree::leaf_hash(&due.leaf),
            &path,
            &checkpoint.root,
        ) {
            return Err(format!(
                "entry {} is not in the tree of size {}",
                due.index, checkpoint.size
            ));
        }
        proofs.push((due.index, due.leaf, path));
    }
    let paid = proofs
        .iter()
        .map(|(index, ..): &(u64, Hash, Vec<Hash>)| *index)
        .collect();
    for (index, leaf, path) in proofs {
        let proof = Record::PeerProof {
            index,
            leaf,
            note: response.checkpoint.clone(),
            path,
        };
        closets.ledger.note_later(proof).map_err(|error| error.to_string())?;
    }
    Ok(paid)
}

/// Whether the quorum for the highest class cosigned this checkpoint of that ledger.
pub(crate) fn cosigned(anchor: &Anchor, checkpoint: &[u8], origin: &Origin) -> bool {
    anchor
        .cosigned(checkpoint, origin, QuorumClass::High)
        .is_ok_and(|cosigned| cosigned.is_quorum())
}
