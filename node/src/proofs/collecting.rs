//! Asking debtors for what they owe, and judging what they show.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use jisr_ledger::anchor::QuorumClass;
use jisr_ledger::ledger::Record;
use jisr_ledger::note;
use jisr_ledger::policy::Parties;
use jisr_ledger::seal;
use jisr_ledger::tree::{self, Hash};
use jisr_proto::ident::Origin;
use jisr_proto::peer::{ProveRequest, ProveResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Finding, FindingKind};
use tokio::time::Instant;

use super::account::{Account, Due, Limits};
use super::{INDEXES_MAX, Owed};
use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::doors::Stopped;
use crate::peers::PeerError;

/// Between two rounds.
const EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What a debtor did when it was asked.
#[derive(Debug)]
enum Told {
    /// It paid these; `more`: it may pay another round at once.
    Paid { paid: HashSet<u64>, more: bool },
    /// It answered, and paid nothing or not in order.
    Unpaid,
    /// It did not answer.
    Silent,
}

/// Why what a debtor showed does not hold.
#[derive(Debug)]
enum Wrong {
    /// Not what was asked for. It paid nothing.
    Answer(String),
    /// A statement that it sealed does not stand in the tree that it shows.
    Ledger(String),
    /// The own ledger did not take it.
    Own(String),
}

/// Asks every debtor each second for what it owes, until `stopped`.
pub(crate) async fn collect(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let passed = last.elapsed();
        last = Instant::now();
        if !closets.standing.is_running() {
            continue;
        }
        if closets.cosigning.reaches_quorum() {
            closets.owed.reached_for(passed);
        }
        close_unlisted(&closets);
        for row in closets.owed.debtors() {
            let is_reached = tokio::select! {
                is_reached = collect_from(&closets, &row) => is_reached,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            judge(&closets, &row, is_reached);
        }
    }
}

impl Owed {
    /// Takes out the accounts that `is_listed` does not hold: nobody can pay for those ledgers any more.
    fn close(&self, is_listed: impl Fn(&NodeRow) -> bool) -> Vec<Account> {
        let mut accounts = self.lock();
        let closed = accounts.extract_if(|_, account| !is_listed(&account.row));
        closed.map(|(_, account)| account).collect()
    }

    /// Who owes something.
    fn debtors(&self) -> Vec<Arc<NodeRow>> {
        let accounts = self.lock();
        let owing = accounts.values().filter(|account| !account.due.is_empty());
        owing.map(|account| Arc::clone(&account.row)).collect()
    }

    fn next(&self, origin: &Origin, from: u64) -> Vec<Due> {
        let mut accounts = self.lock();
        accounts
            .get_mut(origin)
            .map(|account| account.next(from))
            .unwrap_or_default()
    }

    fn paid(&self, origin: &Origin, paid: &HashSet<u64>) {
        if let Some(account) = self.lock().get_mut(origin) {
            account.pay(paid);
        }
    }

    fn is_to_be_found(&self, origin: &Origin, limit_ms: u64) -> bool {
        let now_ms = self.reached_ms.load(Ordering::Relaxed);
        let mut accounts = self.lock();
        let account = accounts.get_mut(origin);
        account.is_some_and(|account| account.is_to_be_found(now_ms, limit_ms))
    }

    fn overdue(&self, origin: &Origin, limits: &Limits) -> usize {
        let now_ms = self.reached_ms.load(Ordering::Relaxed);
        self.lock()
            .get(origin)
            .map_or(0, |account| account.overdue(now_ms, limits))
    }
}

/// A ledger that the snapshot lists no longer, or under another key, pays nothing any more. What it still owed is said once.
fn close_unlisted(closets: &Closets) {
    let Some(view) = closets.directory.newest() else {
        return;
    };
    let is_listed = |row: &NodeRow| {
        let listed = view.node_of_origin(&row.origin);
        listed.is_some_and(|listed| listed.seal_key == row.seal_key)
    };
    for account in closets
        .owed
        .close(is_listed)
        .into_iter()
        .filter(|account| !account.due.is_empty())
    {
        let (row, owed) = (&account.row, account.due.len());
        closets.findings.found(Finding {
            kind: FindingKind::LedgerUnproven.into(),
            origin: row.origin.to_string(),
            count: owed as u64,
            notes: vec![account.newest.1, closets.watching.checked_note(&row.origin)],
            text: format!(
                "{}: snapshot {} lists this ledger no longer, and {owed} of its statements were never shown under a checkpoint that witnesses cosigned",
                row.id, view.version
            ),
            ..Finding::default()
        });
    }
}

/// Collects until all is paid that the debtor's cosigned checkpoint covers. Whether it answered.
async fn collect_from(closets: &Closets, row: &NodeRow) -> bool {
    let mut from = 0;
    loop {
        let due = closets.owed.next(&row.origin, from);
        let Some(last) = due.last().map(|due| due.index) else {
            return true;
        };
        match ask(closets, row, &due).await {
            Told::Paid { paid, more } => {
                closets.owed.paid(&row.origin, &paid);
                if !more {
                    return true;
                }
                from = last;
            }
            Told::Unpaid => return true,
            Told::Silent => return false,
        }
    }
}

/// One page of debts.
async fn ask(closets: &Closets, row: &NodeRow, due: &[Due]) -> Told {
    let mut indexes: Vec<u64> = due.iter().map(|due| due.index).collect();
    indexes.dedup();
    let asked = indexes.len();
    let response = match closets.peers.prove(closets, row, &ProveRequest { indexes }).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(peer = %row.id, ?error, "a peer did not show its proofs");
            return match error {
                PeerError::Unsent(_) | PeerError::Broken(_) => Told::Silent,
                PeerError::Refused(_) | PeerError::TooLarge(_) => Told::Unpaid,
            };
        }
    };
    match record(closets, row, due, &response) {
        Ok((covered, paid)) => Told::Paid {
            more: asked == INDEXES_MAX && covered == due.len(),
            paid,
        },
        Err(Wrong::Answer(text)) => {
            tracing::warn!(peer = %row.id, text, "a peer was asked for proofs and showed something else");
            Told::Unpaid
        }
        Err(Wrong::Ledger(text)) => {
            let (_, seen) = closets.owed.newest_checkpoint(&row.origin);
            closets
                .watching
                .forked(row, FindingKind::LedgerForked, [response.checkpoint, seen], text);
            Told::Unpaid
        }
        Err(Wrong::Own(text)) => {
            tracing::warn!(
                text,
                "the proofs of a peer could not be recorded; they are asked for again"
            );
            Told::Unpaid
        }
    }
}

/// Verifies proofs and stores them. Returns how many debts the checkpoint covers, and the indexes that are paid.
fn record(
    closets: &Closets,
    row: &NodeRow,
    due: &[Due],
    response: &ProveResponse,
) -> Result<(usize, HashSet<u64>), Wrong> {
    if response.checkpoint.is_empty() {
        return Ok((0, HashSet::new()));
    }
    let checkpoint =
        note::open(&response.checkpoint, &row.seal_key).map_err(|error| Wrong::Answer(error.to_string()))?;
    let (standard, high) = finality(closets, row, &response.checkpoint);
    let covered: Vec<&Due> = due.iter().filter(|due| due.index < checkpoint.size).collect();
    let mut proofs = Vec::with_capacity(covered.len());
    for due in covered.iter().filter(|due| if due.high { high } else { standard }) {
        let at = response.paths.binary_search_by_key(&due.index, |path| path.index);
        let path = at.ok().and_then(|at| response.paths.get(at));
        let path = path.ok_or_else(|| Wrong::Answer(format!("no path for entry {} came", due.index)))?;
        let path = seal::path(&path.hashes).map_err(|error| Wrong::Answer(error.to_string()))?;
        let leaf = tree::leaf_hash(&due.leaf);
        if !tree::verify_inclusion(due.index, checkpoint.size, &leaf, &path, &checkpoint.root) {
            return Err(Wrong::Ledger(format!(
                "entry {}, which it sealed, does not stand in its tree of {} entries that witnesses cosigned",
                due.index, checkpoint.size
            )));
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
        closets
            .ledger
            .note_later(proof)
            .map_err(|error| Wrong::Own(error.to_string()))?;
    }
    Ok((covered.len(), paid))
}

/// Whether a quorum cosigned a peer's checkpoint: for any class below the highest, and for the highest between that peer and this
/// node.
fn finality(closets: &Closets, row: &NodeRow, checkpoint: &Bytes) -> (bool, bool) {
    let policy = closets.directory.policy();
    let parties = Parties {
        consumer: closets.node.member(),
        provider: row.id.member(),
    };
    let is_final = |class| {
        policy
            .cosigned(checkpoint, &row.origin, class, Some(&parties))
            .is_ok_and(|cosigned| cosigned.is_quorum())
    };
    (is_final(QuorumClass::Standard), is_final(QuorumClass::High))
}

/// Refuses whoever owes too much for too long, and takes back whoever paid.
fn judge(closets: &Closets, row: &NodeRow, is_reached: bool) {
    let limits = Limits {
        limit_ms: u64::try_from(closets.config.watch.unproven.as_millis()).unwrap_or(u64::MAX),
        is_reached,
        high: reaches_beyond(closets, row),
    };
    let overdue = closets.owed.overdue(&row.origin, &limits);
    if overdue == 0 {
        if closets.trust.take_back(&row.origin, Reason::PeerLedgerUnproven) {
            tracing::info!(peer = %row.id, "a peer has shown its earlier seals and is taken back");
        }
        return;
    }
    let text = format!(
        "{overdue} of its statements were not shown under a checkpoint that witnesses cosigned within {} s",
        closets.config.watch.unproven.as_secs()
    );
    if !closets.trust.refuse(row, Reason::PeerLedgerUnproven, text.clone()) {
        return;
    }
    if closets.owed.is_to_be_found(&row.origin, limits.limit_ms) {
        let (_, seen) = closets.owed.newest_checkpoint(&row.origin);
        closets.findings.found(Finding {
            kind: FindingKind::LedgerUnproven.into(),
            origin: row.origin.to_string(),
            count: overdue as u64,
            notes: vec![seen, closets.watching.checked_note(&row.origin)],
            text: format!("{}: {text}", row.id),
            ..Finding::default()
        });
    } else {
        tracing::error!(peer = %row.id, text, "a peer is refused for what it owes once more");
    }
}

/// Whether this node itself reaches an operator beyond the registry and both parties: then a peer can be asked to.
fn reaches_beyond(closets: &Closets, row: &NodeRow) -> bool {
    let registry = closets.directory.anchor().instance.registry();
    let (own, theirs) = (closets.node.member(), row.id.member());
    let operators = closets.cosigning.operators();
    operators
        .iter()
        .any(|operator| *operator != registry && *operator != own.as_str() && *operator != theirs.as_str())
}
