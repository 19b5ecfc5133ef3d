//! The closet of findings: what another ledger, or its owner, says that cannot be true, or is owed and did not come.
//!
//! A finding is taken in at once and never waits for anything: a task of its own appends it as FINDING and, where it is about the
//! ledger of a peer as such, reports it to the registry, which compares it with what it witnessed.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jisr_ledger::statement::Draft;
use jisr_proto::registry::ReportRequest;
use jisr_proto::statement::{Finding, FindingKind, Kind};
use tokio::sync::Notify;

use crate::closets::Closets;
use crate::counters::Counter;
use crate::doors::Stopped;
use crate::node::administrative;

/// Findings that wait for the ledger or the registry; what is found beyond that is only counted and said in the log.
const WAITING_MAX: usize = 1024;
/// Findings that are remembered so as to be said once; beyond it nothing new of their kind is taken in.
const ONCE_MAX: usize = 65_536;
/// Notes that one finding carries.
const NOTES_MAX: usize = 4;
/// Exchanges that one finding names.
const EXCHANGES_MAX: usize = 256;
/// Between two attempts to write or report what waits.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the registry may take over a report.
const REPORT_WAIT: Duration = Duration::from_secs(10);

/// What was found since the start.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    count: Counter,
    queues: Mutex<Queues>,
    news: Notify,
    /// What is said once, by what it is about.
    once: Mutex<HashSet<String>>,
}

#[derive(Debug, Default)]
struct Queues {
    /// To be appended.
    found: VecDeque<Finding>,
    /// To be reported.
    recorded: VecDeque<Finding>,
}

impl Findings {
    /// Takes a finding in. It is appended as soon as the ledger takes entries, and reported once it stands.
    pub(crate) fn found(&self, mut finding: Finding) {
        finding.exchanges.truncate(EXCHANGES_MAX);
        finding.notes.retain(|note| !note.is_empty());
        finding.notes.truncate(NOTES_MAX);
        tracing::error!(
            kind = finding.kind().as_str_name(),
            ledger = finding.origin,
            "finding: {}",
            finding.text
        );
        self.count.up();
        let mut queues = self.lock();
        if queues.found.len() < WAITING_MAX {
            queues.found.push_back(finding);
            self.news.notify_one();
        } else {
            tracing::error!("{WAITING_MAX} findings wait for the ledger already; this one is only in the log");
        }
    }

    /// Takes a finding in, unless one about the same was before.
    pub(crate) fn found_once(&self, about: String, finding: Finding) {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        if once.len() < ONCE_MAX && once.insert(about) {
            drop(once);
            self.found(finding);
        }
    }

    /// How many there were since the start.
    pub(crate) fn count(&self) -> u64 {
        self.count.value()
    }

    fn next_found(&self) -> Option<Finding> {
        self.lock().found.front().cloned()
    }

    /// The oldest one stands in the ledger.
    fn recorded(&self) {
        let mut queues = self.lock();
        if let Some(finding) = queues.found.pop_front()
            && is_reported(finding.kind())
            && queues.recorded.len() < WAITING_MAX
        {
            queues.recorded.push_back(finding);
        }
    }

    fn next_recorded(&self) -> Option<Finding> {
        self.lock().recorded.front().cloned()
    }

    fn reported(&self) {
        self.lock().recorded.pop_front();
    }

    /// Whether all that was found stands in the ledger.
    pub(crate) fn is_recorded(&self) -> bool {
        self.lock().found.is_empty()
    }

    fn is_idle(&self) -> bool {
        let queues = self.lock();
        queues.found.is_empty() && queues.recorded.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the registry can compare with its own memory as a witness.
fn is_reported(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::LedgerForked | FindingKind::LedgerRolledBack | FindingKind::LedgerUnproven
    )
}

/// Appends and reports what was found, until `stopped`.
pub(crate) async fn record(closets: Arc<Closets>, mut stopped: Stopped) {
    loop {
        append(&closets).await;
        report(&closets).await;
        let again = async {
            if closets.findings.is_idle() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(AGAIN).await;
        };
        tokio::select! {
            () = again => {}
            () = closets.findings.news.notified() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn append(closets: &Closets) {
    while let Some(finding) = closets.findings.next_found() {
        if !closets.standing.is_running() {
            return;
        }
        let statement = Draft::new(administrative(closets, Kind::Finding)).act(&finding).close();
        match closets.append(vec![statement]).await {
            Ok(_) => closets.findings.recorded(),
            Err(fault) => {
                tracing::warn!(%fault, "a finding could not be appended; it is tried again");
                return;
            }
        }
    }
}

async fn report(closets: &Closets) {
    while let Some(finding) = closets.findings.next_recorded() {
        let origin = finding.origin.clone();
        let mut client = closets.registry.client();
        let request = ReportRequest { finding: Some(finding) };
        let told = tokio::time::timeout(REPORT_WAIT, client.report(request)).await;
        match told {
            Ok(Ok(response)) if response.get_ref().proven => {
                tracing::error!(
                    ledger = origin,
                    "the registry compared: what was reported of that ledger is proven"
                );
            }
            Ok(Ok(_)) => tracing::info!(ledger = origin, "the registry took a report in"),
            Ok(Err(status)) if is_final(status.code()) => {
                tracing::warn!(ledger = origin, %status, "the registry refused a report");
            }
            _ => return,
        }
        closets.findings.reported();
    }
}

/// Whether asking again would not help.
fn is_final(code: tonic::Code) -> bool {
    matches!(
        code,
        tonic::Code::InvalidArgument
            | tonic::Code::PermissionDenied
            | tonic::Code::FailedPrecondition
            | tonic::Code::NotFound
            | tonic::Code::Unimplemented
    )
}
