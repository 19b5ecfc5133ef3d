//! How far each peer was compared, in a small file beside the ledger: a gap after a time away is made up for.
//!
//! The first line is the own ledger's origin; each further one a peer's origin, the millisecond up to which everything is
//! compared for good, and the exchanges of later windows that were found different. What is about to be found is put down
//! before the ledger has it, marked, with the ledger's size: whether it was found is looked up from there on after a crash.
//! Where the file is lost, the last day is compared again.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jisr_ledger::ledger::{Ledger, ReadError};
use jisr_ledger::statement::Act;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::statement::{Finding, FindingKind};

use crate::closets::Closets;

/// How far back a ledger is compared of which no progress is known.
const BACK_MS: u64 = 86_400_000;
/// Exchanges that are remembered as found with one peer; beyond it some may be found twice.
const FOUND_MAX: usize = 65_536;
/// First and longest pause after a peer could not be asked.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Stands before an exchange that is about to be found.
const ABOUT: char = '?';

#[derive(Debug, Default)]
struct Peer {
    /// Compared for good up to here.
    until_ms: u64,
    /// Compared for the first time up to here.
    seen_ms: u64,
    found: HashSet<ExchangeId>,
    /// Those of `found` of which it is not known whether the ledger has them.
    about: HashSet<ExchangeId>,
    contradictions: u32,
    pause: Duration,
    not_before: Option<Instant>,
}

/// How far each peer was compared.
#[derive(Debug)]
pub(super) struct Progress {
    path: PathBuf,
    origin: Origin,
    /// Where a comparison begins with a peer of whom nothing is known.
    begin_ms: u64,
    peers: HashMap<Origin, Peer>,
    /// How long the ledger was before the first of what is about to be found could stand in it.
    since: Option<u64>,
    saved: String,
}

impl Progress {
    /// What the last run put down. Blocks on disk.
    pub(super) fn load(closets: &Closets) -> Progress {
        let now_ms = closets.now_us() / 1000;
        let window_ms = closets.config.reconcile.window_ms;
        let first = closets.ledger.entry(0).ok().flatten();
        let began_ms = first.map_or(0, |started| started.statement.core().created_us / 1000);
        let oldest_ms = began_ms.saturating_sub(super::ID_AGE_US_MAX / 1000);
        let mut progress = Progress {
            path: closets.config.data.join("reconciled"),
            origin: closets.origin.clone(),
            begin_ms: super::floor(now_ms.saturating_sub(BACK_MS).max(oldest_ms), window_ms),
            peers: HashMap::new(),
            since: None,
            saved: String::new(),
        };
        if let Ok(text) = std::fs::read_to_string(&progress.path) {
            progress.read(&text);
        }
        if let Some(since) = progress.since {
            match findings(&closets.ledger, since) {
                Ok(findings) => progress.look_up(&findings),
                Err(error) => {
                    tracing::warn!(node = %closets.node, %error, "what was found last is not known; it is found again")
                }
            }
            progress.forget_unfound();
        }
        progress
    }

    /// What is about to be found counts as found if one of these says it.
    fn look_up(&mut self, findings: &[Finding]) {
        for finding in findings {
            let Some(peer) = finding
                .origin
                .parse()
                .ok()
                .and_then(|origin: Origin| self.peers.get_mut(&origin))
            else {
                continue;
            };
            peer.about.retain(|id| !says(finding, id));
        }
    }

    /// What the ledger does not have was not found.
    fn forget_unfound(&mut self) {
        for peer in self.peers.values_mut() {
            for id in peer.about.drain() {
                peer.found.remove(&id);
            }
        }
        self.since = None;
    }

    fn read(&mut self, text: &str) {
        let mut lines = text.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        if first.next() != Some(self.origin.as_str()) {
            return;
        }
        self.since = first.next().and_then(|size| size.parse().ok());
        for line in lines {
            let mut words = line.split(' ');
            let origin: Option<Origin> = words.next().and_then(|word| word.parse().ok());
            let until_ms: Option<u64> = words.next().and_then(|word| word.parse().ok());
            let (Some(origin), Some(until_ms)) = (origin, until_ms) else {
                continue;
            };
            let mut peer = Peer {
                until_ms,
                seen_ms: until_ms,
                ..Peer::default()
            };
            for word in words {
                let about = word.strip_prefix(ABOUT);
                let Ok(id) = about.unwrap_or(word).parse() else {
                    continue;
                };
                peer.found.insert(id);
                if about.is_some() {
                    peer.about.insert(id);
                }
            }
            self.peers.insert(origin, peer);
        }
        self.saved = self.text();
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self
            .peers
            .iter()
            .map(|(origin, peer)| {
                let mark = |id: &ExchangeId| {
                    peer.about
                        .contains(id)
                        .then_some(ABOUT)
                        .map(String::from)
                        .unwrap_or_default()
                };
                let mut found: Vec<_> = peer.found.iter().map(|id| format!(" {}{id}", mark(id))).collect();
                found.sort_unstable();
                format!("{origin} {}{}\n", peer.until_ms, found.concat())
            })
            .collect();
        lines.sort_unstable();
        let since = self.since.map(|size| format!(" {size}")).unwrap_or_default();
        format!("{}{since}\n{}", self.origin, lines.concat())
    }

    /// Puts it down, if it changed.
    pub(super) async fn save(&mut self, closets: &Closets) {
        let text = self.text();
        if text == self.saved {
            return;
        }
        let (path, bytes, disk) = (self.path.clone(), text.clone(), closets.disk.clone());
        let written = tokio::task::spawn_blocking(move || disk.replace(&path, bytes.as_bytes())).await;
        if matches!(written, Ok(Ok(()))) {
            self.saved = text;
        } else {
            tracing::warn!(node = %closets.node, "how far peers are compared could not be put down; it is tried again");
        }
    }

    fn peer(&mut self, origin: &Origin) -> &mut Peer {
        let begin_ms = self.begin_ms;
        self.peers.entry(origin.clone()).or_insert_with(|| Peer {
            until_ms: begin_ms,
            seen_ms: begin_ms,
            ..Peer::default()
        })
    }

    /// Whether a window before `target` was not compared yet, and the peer is to be asked now.
    pub(super) fn is_due(&mut self, origin: &Origin, target: u64) -> bool {
        let peer = self.peer(origin);
        peer.seen_ms < target && peer.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// Where the comparison begins.
    pub(super) fn from(&mut self, origin: &Origin) -> u64 {
        self.peer(origin).until_ms
    }

    /// Exchanges that were found.
    pub(super) fn found(&mut self, origin: &Origin) -> HashSet<ExchangeId> {
        self.peer(origin).found.clone()
    }

    /// These are about to be found, in a ledger of so many entries. To be saved before they are.
    pub(super) fn about_to_find(&mut self, origin: &Origin, exchanges: impl Iterator<Item = ExchangeId>, size: u64) {
        self.since.get_or_insert(size);
        let peer = self.peer(origin);
        let room = FOUND_MAX.saturating_sub(peer.found.len());
        for id in exchanges.take(room) {
            peer.found.insert(id);
            peer.about.insert(id);
        }
    }

    /// All that was about to be found stands in the ledger.
    pub(super) fn found_all(&mut self) {
        self.since = None;
        self.peers.values_mut().for_each(|peer| peer.about.clear());
    }

    /// All up to `until` is compared; what is before `is_final` for good.
    pub(super) fn compared(&mut self, origin: &Origin, until: u64, is_final: u64) {
        let peer = self.peer(origin);
        peer.seen_ms = peer.seen_ms.max(until);
        peer.until_ms = peer.until_ms.max(until.min(is_final));
        peer.contradictions = 0;
        peer.pause = Duration::ZERO;
        peer.not_before = None;
        let until_ms = peer.until_ms;
        peer.found.retain(|id| id.time_ms() >= until_ms);
        peer.about.retain(|id| id.time_ms() >= until_ms);
    }

    /// The peer could not be asked.
    pub(super) fn postponed(&mut self, origin: &Origin) {
        let peer = self.peer(origin);
        let (least, most) = PAUSE;
        peer.pause = (peer.pause * 2).clamp(least, most);
        peer.not_before = Some(Instant::now() + peer.pause);
    }

    /// The peer contradicted itself. How often now.
    pub(super) fn contradicted(&mut self, origin: &Origin) -> u32 {
        self.postponed(origin);
        let peer = self.peer(origin);
        peer.contradictions += 1;
        peer.contradictions
    }
}

/// What the ledger says from here on of exchanges with peers. Blocks on disk.
fn findings(ledger: &Ledger, since: u64) -> Result<Vec<Finding>, ReadError> {
    let mut findings = Vec::new();
    for index in since..ledger.size() {
        let Some(entry) = ledger.entry(index)? else {
            break;
        };
        if let Some(Act::Finding(finding)) = entry.statement.act() {
            findings.push(finding.clone());
        }
    }
    Ok(findings)
}

/// Whether this finding says that the exchange was found. One of many exchanges names only the first of them.
fn says(finding: &Finding, id: &ExchangeId) -> bool {
    let is_of_exchanges = matches!(
        finding.kind(),
        FindingKind::ExchangeLacking | FindingKind::ExchangeInvented | FindingKind::ExchangeDiffers
    );
    let is_named = finding.exchanges.iter().any(|named| named == id.as_bytes().as_slice());
    let window = finding.from_us / 1000..finding.until_us / 1000;
    is_of_exchanges && (is_named || (finding.count > 0 && window.contains(&id.time_ms())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            path: PathBuf::new(),
            origin: "jisr/JO/GOV/mol/node1/2026".parse().unwrap(),
            begin_ms: 1_000,
            peers: HashMap::new(),
            since: None,
            saved: String::new(),
        }
    }

    #[test]
    fn a_window_is_final_when_no_exchange_can_come_into_it_and_then_its_findings_are_forgotten() {
        let peer: Origin = "jisr/JO/GOV/psd/node1/2026".parse().unwrap();
        let (early, late) = (
            ExchangeId::new_v7(2_000_000, [1; 10]),
            ExchangeId::new_v7(4_500_000, [1; 10]),
        );
        let mut progress = progress();
        assert!(progress.is_due(&peer, 5_000));
        progress.about_to_find(&peer, [early, late].into_iter(), 7);
        progress.found_all();
        progress.compared(&peer, 5_000, 1_000);
        assert!(!progress.is_due(&peer, 5_000) && progress.is_due(&peer, 6_000));
        assert_eq!(progress.from(&peer), 1_000);
        assert_eq!(progress.found(&peer).len(), 2);
        progress.compared(&peer, 6_000, 3_000);
        assert_eq!(progress.from(&peer), 3_000);
        assert_eq!(progress.found(&peer), HashSet::from([late]));
        let text = progress.text();
        let mut again = self::progress();
        again.read(&text);
        assert_eq!(again.text(), text);
        assert_eq!((again.from(&peer), again.found(&peer).len()), (3_000, 1));
    }

    #[test]
    fn what_was_about_to_be_found_is_found_if_the_ledger_says_so() {
        let peer: Origin = "jisr/JO/GOV/psd/node1/2026".parse().unwrap();
        let ids = [1, 2, 3, 4].map(|byte| ExchangeId::new_v7(2_000_000, [byte; 10]));
        let [before, named, unnamed, unfound] = ids;
        let mut progress = progress();
        progress.about_to_find(&peer, [before].into_iter(), 3);
        progress.found_all();
        progress.about_to_find(&peer, [named, unnamed, unfound].into_iter(), 9);
        progress.about_to_find(&peer, [named].into_iter(), 11);
        let mut again = self::progress();
        again.read(&progress.text());
        assert_eq!((again.since, again.text()), (Some(9), progress.text()));

        let mut finding = Finding {
            kind: FindingKind::ExchangeLacking.into(),
            origin: peer.to_string(),
            exchanges: vec![bytes::Bytes::copy_from_slice(named.as_bytes())],
            from_us: 1_999_000,
            until_us: 2_001_000,
            ..Finding::default()
        };
        assert!(says(&finding, &named) && !says(&finding, &unnamed));
        again.look_up(&[finding.clone()]);
        again.forget_unfound();
        assert_eq!(again.found(&peer), HashSet::from([before, named]));
        assert_eq!(again.since, None);

        // One that names only the first of many speaks of all in its window.
        finding.count = 300;
        assert!(says(&finding, &unnamed) && !says(&finding, &ExchangeId::new_v7(2_001_000, [1; 10])));
        finding.kind = FindingKind::ReceiptsMissing.into();
        assert!(!says(&finding, &named));
    }

    #[test]
    fn progress_of_another_ledger_does_not_count() {
        let mut progress = progress();
        progress.read("jisr/JO/GOV/mol/node1/2025\njisr/JO/GOV/psd/node1/2026 5000\n");
        assert!(progress.peers.is_empty());
        progress.read("jisr/JO/GOV/mol/node1/2026\nnonsense\njisr/JO/GOV/psd/node1/2026 x\n\n");
        assert!(progress.peers.is_empty());
    }
}
