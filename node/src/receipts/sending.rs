//! The consumer shows its closing statements to the providers, in batches, until each was recorded there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::ledger::Ledger;
use jisr_proto::ident::NodeId;
use jisr_proto::peer::{Receipt, ReceiptsRequest};
use jisr_proto::statement::Statement;
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::outbox::{Fresh, Place};
use super::recalling::{Told, save};
use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::doors::Stopped;
use crate::form::RECEIPTS_MAX;

/// Bytes of one call, some of them: what every node takes, whatever messages it is configured for.
const BATCH_BYTES_MAX: usize = 512 << 10;
/// Bytes of a path in a tree of any size that is met with, about.
const PATH_BYTES: usize = 1024;
/// Receipts that wait for one provider; beyond that the oldest are told when the node starts the next time.
const DUE_MAX: usize = 65_536;
/// For so long a receipt waits for a cosigned checkpoint, under which it is final at once.
const COSIGNED_WAIT: Duration = Duration::from_secs(3);
/// Longest pause after a provider did not take a batch.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Between two notes of how far the receipts are told.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// What is to be shown to one provider's node.
struct Account {
    row: Arc<NodeRow>,
    /// By index in the own ledger.
    due: BTreeMap<u64, Statement>,
    /// A batch is on its way.
    busy: bool,
    /// When something came to be due while nothing was.
    since: Instant,
    not_before: Instant,
    pause: Duration,
}

/// What became of a batch.
struct Delivered {
    to: NodeId,
    /// Indexes that are recorded there.
    recorded: Vec<u64>,
    /// Why no more is.
    error: Option<String>,
}

struct Courier {
    closets: Arc<Closets>,
    accounts: HashMap<NodeId, Account>,
    /// Appended, and not durable yet.
    unplaced: Vec<Fresh>,
    told: Told,
    sending: JoinSet<Delivered>,
}

/// Sends receipts until `stopped`.
pub(crate) async fn send(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut courier = Courier {
        told: Told::load(&closets),
        closets: Arc::clone(&closets),
        accounts: HashMap::new(),
        unplaced: Vec::new(),
        sending: JoinSet::new(),
    };
    let mut saved = Instant::now();
    let mut round = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(round) => {
                courier.round();
                round = Instant::now() + closets.config.receipts.send;
            }
            () = closets.outbox.hurry() => courier.round(),
            Some(Ok(delivered)) = courier.sending.join_next() => courier.settle(delivered),
            _ = stopped.wait_for(|stop| *stop) => break,
        }
        if saved.elapsed() >= SAVE_EVERY {
            saved = Instant::now();
            save(&closets, &mut courier.told).await;
        }
    }
    save(&closets, &mut courier.told).await;
}

impl Courier {
    /// Takes in what is new and sends what can be sent.
    fn round(&mut self) {
        let mut fresh = std::mem::take(&mut self.unplaced);
        fresh.extend(self.closets.outbox.take());
        for mut fresh in fresh {
            let index = match &mut fresh.place {
                Place::Known(index) => Ok(Some(*index)),
                Place::Told(told) => told.index(),
            };
            match index {
                Ok(Some(index)) => self.due(fresh, index),
                Ok(None) => self.unplaced.push(fresh),
                Err(error) => tracing::debug!(%error, "a receipt was never appended"),
            }
        }
        let ready: Vec<NodeId> = self.accounts.keys().cloned().collect();
        for to in ready {
            self.begin(&to);
        }
    }

    fn due(&mut self, fresh: Fresh, index: u64) {
        let now = Instant::now();
        let account = self.accounts.entry(fresh.to.id.clone()).or_insert_with(|| Account {
            row: Arc::clone(&fresh.to),
            due: BTreeMap::new(),
            busy: false,
            since: now,
            not_before: now,
            pause: Duration::ZERO,
        });
        if account.due.is_empty() {
            account.since = now;
        }
        // An exchange that was asked of an earlier ledger of that node has nobody who takes its receipt.
        account.row = fresh.to;
        account.due.insert(index, fresh.statement);
        if account.due.len() > DUE_MAX {
            account.due.pop_first();
        }
    }

    /// Sends one batch to a provider that is not busy.
    fn begin(&mut self, to: &NodeId) {
        let now = Instant::now();
        let Some(account) = self.accounts.get_mut(to) else {
            return;
        };
        if account.busy || account.due.is_empty() || now < account.not_before {
            return;
        }
        let first = account.due.first_key_value().map_or(0, |(index, _)| *index);
        let cosigned = self.closets.cosigning.covering(first).filter(|(size, _)| first < *size);
        let (size, checkpoint) = match cosigned {
            Some(cosigned) => cosigned,
            None if account.since.elapsed() < COSIGNED_WAIT => return self.closets.cosigning.cosign_now(),
            None => {
                let newest = self.closets.ledger.checkpoint();
                (newest.size, newest.note.clone())
            }
        };
        let mut room = BATCH_BYTES_MAX;
        let covered = account.due.range(..size).take(RECEIPTS_MAX).take_while(|(_, one)| {
            let fits = room > 0;
            room = room.saturating_sub(one.encoded_len() + PATH_BYTES);
            fits
        });
        let batch: Vec<(u64, Statement)> = covered.map(|(index, one)| (*index, one.clone())).collect();
        account.busy = true;
        let (closets, row) = (Arc::clone(&self.closets), Arc::clone(&account.row));
        self.sending.spawn(deliver(closets, row, batch, size, checkpoint));
    }

    fn settle(&mut self, delivered: Delivered) {
        let Some(account) = self.accounts.get_mut(&delivered.to) else {
            return;
        };
        account.busy = false;
        for index in &delivered.recorded {
            account.due.remove(index);
        }
        account.since = Instant::now();
        if let Some(last) = delivered.recorded.last() {
            let first_due = account.due.first_key_value().map(|(index, _)| *index);
            self.told
                .advance(&account.row.origin, first_due.unwrap_or(last.saturating_add(1)));
        }
        if let Some(error) = delivered.error {
            account.pause = (account.pause * 2).clamp(self.closets.config.receipts.send, PAUSE_MAX);
            account.not_before = Instant::now() + account.pause;
            tracing::debug!(peer = %delivered.to, error, "receipts were not taken; they are sent again");
            return;
        }
        account.pause = Duration::ZERO;
        if account.due.len() >= RECEIPTS_MAX {
            self.begin(&delivered.to);
        }
    }
}

async fn deliver(
    closets: Arc<Closets>,
    row: Arc<NodeRow>,
    batch: Vec<(u64, Statement)>,
    size: u64,
    checkpoint: Bytes,
) -> Delivered {
    let failed = |error: String| Delivered {
        to: row.id.clone(),
        recorded: Vec::new(),
        error: Some(error),
    };
    let indexes: Vec<u64> = batch.iter().map(|(index, _)| *index).collect();
    let ledger = closets.ledger.clone();
    let shown = tokio::task::spawn_blocking(move || shown(&ledger, batch, size)).await;
    let Some(receipts) = shown.ok().flatten() else {
        return failed("a path could not be made".to_owned());
    };
    let request = ReceiptsRequest { checkpoint, receipts };
    match closets.peers.receipts(closets.as_ref(), &row, &request).await {
        Err(error) => failed(format!("{error:?}")),
        Ok(response) => {
            let recorded = usize::try_from(response.recorded)
                .unwrap_or(usize::MAX)
                .min(indexes.len());
            let left = indexes.len() - recorded;
            Delivered {
                to: row.id.clone(),
                recorded: indexes.into_iter().take(recorded).collect(),
                error: (left > 0).then(|| format!("{left} of them are not recorded yet")),
            }
        }
    }
}

/// The statements with their paths; `None` where the ledger cannot prove one.
fn shown(ledger: &Ledger, batch: Vec<(u64, Statement)>, size: u64) -> Option<Vec<Receipt>> {
    let receipts = batch.into_iter().map(|(index, statement)| {
        let path = Bytes::from(ledger.prove(index, size)?.concat());
        let hashes = (0..path.len() / 32).map(|at| path.slice(at * 32..at * 32 + 32));
        Some(Receipt {
            index,
            path: hashes.collect(),
            statement: Some(statement),
        })
    });
    receipts.collect()
}
