//! Reconciliation: each pair of nodes compares, window by window, what both hold of their exchanges, and finds the exact
//! exchange that one of them lacks, invented or holds otherwise (docs/formats.md, Reconciliation).
//!
//! A window is compared once it is closed, and again until no exchange with an id of it can begin any more. Equal roots end
//! it with one call; otherwise the ids are bisected ([`comparing`]) and each exchange that differs is judged by what the other
//! side's ledger shows of it, under its seal ([`judging`]). What is only unfinished here is finished; what no honest peer
//! could say is a finding. A peer that says things it does not prove is said in the log, and found nothing about.

mod answering;
mod asking;
mod comparing;
mod judging;
mod progress;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jisr_ledger::ledger::{Ledger, ReadError};
use jisr_proto::ident::{ExchangeId, NodeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Finding, FindingKind};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use answering::answer;

use crate::closets::Closets;
use crate::directory::NodeRow;
use crate::doors::Stopped;
use crate::form::CHUNK_MS;
use crate::pairing::{self, Range, Selection, Sum};
use comparing::Stop;
use judging::Found;
use progress::Progress;

/// An exchange id is at most so much older or newer than its ASKED, the difference of clocks aside; microseconds.
pub(crate) const ID_AGE_US_MAX: u64 = 600_000_000;
/// Peers with which a comparison runs at one time.
const AT_ONCE: usize = 4;
/// So often a peer may contradict itself in one window before the window is left.
const CONTRADICTIONS_MAX: u32 = 5;
/// Exchanges that one finding names, and notes that it carries.
const NAMED_MAX: usize = 256;
const NOTES_MAX: usize = 4;
/// Between two looks whether findings stand in the ledger.
const LOOK: Duration = Duration::from_millis(20);
/// How long the sums of a window are kept, and of how many.
const SUMS_KEPT: Duration = Duration::from_secs(10);
const SUMS_MAX: usize = 4;

/// Sums of all peers over one range.
type Sums = Arc<HashMap<Selection, Sum>>;

/// What reconciliation remembers beside its progress.
#[derive(Debug, Default)]
pub(crate) struct Reconciling {
    /// Who asked this node to compare: whoever does may hold something of it.
    asked: Mutex<HashSet<Origin>>,
    /// Sums that were computed lately, since all peers ask for the same windows.
    sums: Mutex<Vec<(Range, Instant, Sums)>>,
    /// Rows read for each peer in this minute.
    rows: Mutex<HashMap<NodeId, (u64, u64)>>,
}

impl Reconciling {
    /// Sums of the own ledger over a range, and how many rows had to be read for them now. Blocks on disk.
    fn sums(&self, ledger: &Ledger, range: &Range) -> Result<(Sums, u64), ReadError> {
        let mut kept = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since, _)| since.elapsed() < SUMS_KEPT);
        if let Some((_, _, sums)) = kept.iter().find(|(of, ..)| of == range) {
            return Ok((Arc::clone(sums), 0));
        }
        let (sums, rows) = pairing::sums(ledger, range)?;
        let sums = Arc::new(sums);
        if kept.len() == SUMS_MAX {
            kept.remove(0);
        }
        kept.push((*range, Instant::now(), Arc::clone(&sums)));
        Ok((sums, rows))
    }

    /// Sums are computed anew: something was settled.
    fn forget_sums(&self) {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn asked_by(&self, origin: &Origin) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(origin) {
            asked.insert(origin.clone());
        }
    }

    fn was_asked_by(&self, origin: &Origin) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.contains(origin)
    }
}

/// Compares closed windows with all peers, until `stopped`.
pub(crate) async fn run(closets: Arc<Closets>, mut stopped: Stopped) {
    let window = Duration::from_millis(closets.config.reconcile.window_ms);
    let tick = (window / 4).clamp(Duration::from_millis(200), Duration::from_secs(15));
    let mut known: Option<Progress> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(tick) => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
        if !closets.standing.is_running() {
            continue;
        }
        let progress = match &mut known {
            Some(progress) => progress,
            none => {
                let of = Arc::clone(&closets);
                let Ok(loaded) = tokio::task::spawn_blocking(move || Progress::load(&of)).await else {
                    continue;
                };
                none.insert(loaded)
            }
        };
        let compare = async {
            round(&closets, progress).await;
            // What was compared is put down once what was found stands in the ledger: a crash in between compares it again.
            while !closets.findings.is_recorded() {
                tokio::time::sleep(LOOK).await;
            }
            progress.found_all();
            progress.save(&closets).await;
        };
        tokio::select! {
            () = compare => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    if let Some(progress) = known.as_mut().filter(|_| closets.findings.is_recorded()) {
        progress.save(&closets).await;
    }
}

/// One comparison of everything that is due.
async fn round(closets: &Arc<Closets>, progress: &mut Progress) {
    let Ok(view) = closets.directory.current(closets.now_us()) else {
        return;
    };
    let times = &closets.config.reconcile;
    let now_ms = closets.now_us() / 1000;
    let target = floor(now_ms.saturating_sub(times.grace_ms), times.window_ms);
    // Until then an exchange with an id of the window may begin.
    let late_ms = (ID_AGE_US_MAX + closets.config.limits.skew_us) / 1000;
    let is_final = floor(target.saturating_sub(late_ms), times.window_ms);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut comparing = JoinSet::new();
    for row in view.nodes().filter(|row| row.id != closets.node) {
        if !progress.is_due(&row.origin, target) || closets.trust.admits(row).is_err() {
            continue;
        }
        let partner = closets.reconciling.was_asked_by(&row.origin) || view.are_partners(&closets.node, &row.id);
        let from = progress.from(&row.origin);
        let until = target.min(from.saturating_add(CHUNK_MS));
        let (closets, row, places) = (Arc::clone(closets), Arc::clone(row), Arc::clone(&places));
        let known = progress.found(&row.origin);
        comparing.spawn(async move {
            let _place = places.acquire().await;
            let mut found = Vec::new();
            let outcome = Box::pin(compare(&closets, &row, (from, until), partner, &known, &mut found)).await;
            (row, from, until, found, outcome)
        });
    }
    let mut outcomes = Vec::new();
    while let Some(compared) = comparing.join_next().await {
        let Ok((row, from, until, found, outcome)) = compared else {
            continue;
        };
        // What was found before the peer could be asked no longer is found, and need not be asked for again.
        if !found.is_empty() {
            let exchanges = found.iter().map(|one| one.exchange);
            progress.about_to_find(&row.origin, exchanges, closets.ledger.size());
            progress.save(closets).await;
            report(closets, &row, (from, until), found);
        }
        outcomes.push((row, until, outcome));
    }
    // Nothing is compared for good in the file before what was found there stands in the ledger.
    for (row, until, outcome) in outcomes {
        match outcome {
            Ok(()) => progress.compared(&row.origin, until, is_final),
            Err(Stop::Away(text)) => {
                tracing::debug!(peer = %row.id, text, "a window could not be compared yet");
                progress.postponed(&row.origin);
            }
            Err(Stop::Contradiction(text)) => {
                closets.refusals.count(row.id.as_str(), Reason::PeerMisbehaved);
                tracing::error!(peer = %row.id, text, "what a peer says of its exchanges with this node does not hold together");
                if progress.contradicted(&row.origin) >= CONTRADICTIONS_MAX {
                    progress.compared(&row.origin, until, is_final);
                }
            }
        }
    }
}

fn floor(ms: u64, window_ms: u64) -> u64 {
    ms - ms % window_ms
}

/// Compares one range of time with one peer, in both roles, answered and unanswered exchanges. With a peer of whom this ledger
/// holds nothing, and who is no partner, there is nothing to compare.
async fn compare(
    closets: &Arc<Closets>,
    row: &Arc<NodeRow>,
    (from, until): (u64, u64),
    partner: bool,
    known: &HashSet<ExchangeId>,
    found: &mut Vec<Found>,
) -> Result<(), Stop> {
    let range = Range::of_time(from, until);
    let looking = Arc::clone(closets);
    let sums = tokio::task::spawn_blocking(move || looking.reconciling.sums(&looking.ledger, &range)).await;
    let (sums, _) = sums
        .map_err(|error| Stop::Away(error.to_string()))?
        .map_err(|error| Stop::Away(error.to_string()))?;
    if !partner && !sums.keys().any(|selection| selection.peer == row.origin) {
        return Ok(());
    }
    for asked_by_us in [true, false] {
        for unanswered in [false, true] {
            let selection = Selection {
                peer: row.origin.clone(),
                asked_by_us,
                unanswered,
            };
            let own = sums.get(&selection).cloned().unwrap_or_else(|| Sum::of([]));
            let differences = asking::differences(closets, row, (from, until), &selection, own).await?;
            for difference in differences {
                if known.contains(&difference.exchange)
                    || found.iter().any(|one: &Found| one.exchange == difference.exchange)
                {
                    continue;
                }
                found.extend(judging::judge(closets, row, asked_by_us, &difference).await?);
            }
        }
    }
    Ok(())
}

/// One finding for each kind.
fn report(closets: &Closets, row: &NodeRow, (from, until): (u64, u64), found: Vec<Found>) {
    let mut kinds: HashMap<FindingKind, Vec<Found>> = HashMap::new();
    for one in found {
        kinds.entry(one.kind).or_default().push(one);
    }
    for (kind, mut found) in kinds {
        found.sort_unstable_by_key(|one| one.exchange);
        let mut notes: Vec<_> = found.iter().flat_map(|one| one.notes.iter().cloned()).collect();
        notes.dedup();
        notes.truncate(NOTES_MAX);
        let count = found.len();
        let named = found.iter().take(NAMED_MAX);
        let ids = named.map(|one| bytes::Bytes::copy_from_slice(one.exchange.as_bytes()));
        let text = match found.first() {
            Some(first) if count == 1 => format!("exchange {}: {}", first.exchange, first.text),
            Some(first) => format!("{count} exchanges; the first, {}: {}", first.exchange, first.text),
            None => continue,
        };
        closets.findings.found(Finding {
            kind: kind.into(),
            origin: row.origin.to_string(),
            exchanges: ids.collect(),
            count: if count > NAMED_MAX { count as u64 } else { 0 },
            from_us: from.saturating_mul(1000),
            until_us: until.saturating_mul(1000),
            notes,
            text,
            ..Finding::default()
        });
    }
}
