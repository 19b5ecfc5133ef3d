//! After a start: what the last run left untold is told, and what is owed is remembered again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::files::replace_derived;
use jisr_ledger::ledger::{Entry, PairRow, ReadError};
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;

use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::doors::Stopped;
use crate::pairing;
use crate::receipts::Answered;
use crate::settling;

/// How far back: what was closed before that is left to the comparison of windows.
const BACK_MS: u64 = 600_000;
/// Receipts are told nearly in the order of their indexes: so many before the last one told are told again.
const AGAIN: u64 = 1024;
/// Exchanges closed without an answer that are followed again.
const FOLLOWED_MAX: usize = 1024;
/// Between two looks whether the ledger is confirmed.
const LOOK: Duration = Duration::from_millis(200);

/// How far the receipts are told, by the provider's ledger: all before that index are recorded there, nearly. Kept in a file
/// of its own beside the ledger; where that is lost, or cut short by a crash, some receipts are told twice, which does no harm. So it
/// is not durable: under traffic it would cost a sync a second.
pub(super) struct Told {
    path: PathBuf,
    /// Origin of the own ledger, whose indexes these are.
    origin: Origin,
    next: BTreeMap<Origin, u64>,
    changed: bool,
}

impl Told {
    /// What the last run put down.
    pub(super) fn load(closets: &Closets) -> Told {
        let mut told = Told {
            path: closets.config.data.join("receipts-told"),
            origin: closets.origin.clone(),
            next: BTreeMap::new(),
            changed: false,
        };
        let text = std::fs::read_to_string(&told.path).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() == Some(told.origin.as_str()) {
            told.next = lines
                .filter_map(|line| line.split_once(' '))
                .filter_map(|(origin, next)| Some((origin.parse().ok()?, next.parse().ok()?)))
                .collect();
        }
        told
    }

    /// Everything for this provider before `next` is recorded there.
    pub(super) fn advance(&mut self, provider: &Origin, next: u64) {
        let known = self.next.entry(provider.clone()).or_default();
        self.changed |= *known < next;
        *known = next.max(*known);
    }

    fn is_due(&self, provider: &Origin, index: u64) -> bool {
        self.next
            .get(provider)
            .is_none_or(|next| index.saturating_add(AGAIN) >= *next)
    }

    fn text(&self) -> String {
        let lines = self.next.iter().map(|(origin, next)| format!("{origin} {next}\n"));
        std::iter::once(format!("{}\n", self.origin)).chain(lines).collect()
    }
}

/// Puts down how far the receipts are told, if that changed.
pub(super) async fn save(closets: &Closets, told: &mut Told) {
    if !std::mem::take(&mut told.changed) {
        return;
    }
    let (path, text) = (told.path.clone(), told.text());
    let saved = tokio::task::spawn_blocking(move || replace_derived(&path, text.as_bytes())).await;
    if !matches!(saved, Ok(Ok(()))) {
        tracing::warn!(node = %closets.node, "how far receipts are told could not be put down; some will be told twice");
    }
}

/// Looks through the exchanges of the ledger's last ten minutes, once it is confirmed: receipts that were not recorded are
/// told again, those that are owed are remembered, and exchanges that were closed without an answer are followed again.
pub(crate) async fn recall(closets: Arc<Closets>, newest_us: u64, mut stopped: Stopped) {
    while !closets.standing.is_running() || closets.directory.newest().is_none() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
    let looking = Arc::clone(&closets);
    let Ok(found) = tokio::task::spawn_blocking(move || look(&looking, newest_us / 1000)).await else {
        return;
    };
    match found {
        Ok(unanswered) => follow(&closets, &unanswered),
        Err(error) => tracing::error!(%error, "exchanges from before the start could not be looked through"),
    }
}

/// Returns ASKED of exchanges that were closed without an answer, newest last.
fn look(closets: &Closets, newest_ms: u64) -> Result<Vec<Entry>, ReadError> {
    let told = Told::load(closets);
    let Some(view) = closets.directory.newest() else {
        return Ok(Vec::new());
    };
    let mut unanswered = Vec::new();
    let (from, until) = (newest_ms.saturating_sub(BACK_MS), newest_ms.saturating_add(BACK_MS));
    pairing::each(&closets.ledger, from, until, |row| {
        let Some(peer) = view.node_of_origin(&row.peer).filter(|peer| peer.id != closets.node) else {
            return Ok(());
        };
        match row.closed {
            Some(index) if row.asked_by_us && (row.answered.is_some() || row.otherwise.is_some()) => {
                if told.is_due(&row.peer, index) {
                    tell_again(closets, peer, index)?;
                }
            }
            Some(_) if row.asked_by_us => unanswered.push(row.exchange),
            _ => owe_again(closets, peer, row),
        }
        Ok(())
    })?;
    let first = unanswered.len().saturating_sub(FOLLOWED_MAX);
    let mut found = Vec::new();
    for exchange in unanswered.into_iter().skip(first) {
        found.extend(given_up(closets, exchange)?);
    }
    Ok(found)
}

fn tell_again(closets: &Closets, peer: &Arc<NodeRow>, index: u64) -> Result<(), ReadError> {
    let statement = closets.ledger.entry(index)?.and_then(|entry| entry.statement.to_wire());
    if let Some(statement) = statement {
        closets.outbox.put_again(peer, statement, index);
    }
    Ok(())
}

fn owe_again(closets: &Closets, peer: &Arc<NodeRow>, row: &PairRow) {
    if let (Some(leaf), Some(index), false, false) = (row.answered, row.closed, row.asked_by_us, row.receipt) {
        closets
            .receipts_owed
            .note(peer, row.exchange, Answered { index, leaf }, closets.now_us());
    }
}

/// ASKED of an exchange that the application gave up, or for which no answer came in time: an answer may have come since.
fn given_up(closets: &Closets, exchange: ExchangeId) -> Result<Option<Entry>, ReadError> {
    let entries = closets.ledger.find(exchange)?;
    let gave_up = entries.iter().any(|entry| {
        let rule = entry.statement.core().rule.parse();
        matches!(entry.statement.kind(), Kind::Failed | Kind::Cancelled)
            && matches!(
                rule,
                Ok(Reason::DeadlineExceeded | Reason::Cancelled | Reason::PeerUnreachable | Reason::BodyTooLarge)
            )
    });
    let asked = entries.into_iter().find(|entry| entry.statement.kind() == Kind::Asked);
    Ok(asked.filter(|_| gave_up))
}

fn follow(closets: &Arc<Closets>, unanswered: &[Entry]) {
    for asked in unanswered {
        let asked = settling::asked_of(closets, asked);
        let asked = asked.and_then(|asked| Ok((settling::asked_node(closets, &asked)?, asked)));
        match asked {
            Ok((to, asked)) => settling::learn_later(closets, asked, to),
            Err(fault) => tracing::debug!(%fault, "an exchange that was given up is not followed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again_but_for_the_last_ones() {
        let mut told = Told {
            path: PathBuf::new(),
            origin: "jisr/JO/GOV/mol/node1/2026".parse().unwrap(),
            next: BTreeMap::new(),
            changed: false,
        };
        let provider: Origin = "jisr/JO/GOV/psd/node1/2026".parse().unwrap();
        assert!(told.is_due(&provider, 0));
        told.advance(&provider, 5_000);
        told.advance(&provider, 4_000);
        assert!(told.changed && told.is_due(&provider, 5_000) && told.is_due(&provider, 4_000));
        assert!(!told.is_due(&provider, 3_000));
        assert_eq!(
            told.text(),
            "jisr/JO/GOV/mol/node1/2026\njisr/JO/GOV/psd/node1/2026 5000\n"
        );
    }
}
