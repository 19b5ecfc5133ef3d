//! Sums up: exchange by exchange, then the ledgers as wholes.

use std::collections::HashSet;

use jisr_proto::ident::ExchangeId;

use super::checkpoints::{Held, Noted, Roots};
use super::exchange::{One, Standing};
use super::finding::{About, Difference, Finding, Open, Outcome, Proof};
use super::sheet::Sheet;
use super::{Comparison, Direction, Options, Side, Whose};
use crate::tree::Hash;

/// Findings, and open exchanges, that are named one by one; more are counted.
pub(super) const NAMED_MAX: usize = 100_000;

/// What was found so far.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    ledgers: &'a [Whose; 2],
    asked: [Direction; 2],
    held: [Held; 2],
    /// By who holds the checkpoints.
    fits: [u64; 2],
    forked: [Vec<(u64, Hash, Hash, Noted)>; 2],
    beyond: [Vec<(u64, Hash, Noted)>; 2],
    findings: Vec<Finding>,
    /// Statements that stand at another index than the other side says: where the ledger was rebuilt, all behind the place.
    /// They count where it was not.
    moved: [Excused; 2],
    /// What is newer than a directory. It counts where that is forked: then it is no older copy.
    beyond_claims: [Excused; 2],
    open: Vec<Open>,
    unnamed: u64,
}

impl<'a> Judge<'a> {
    pub(super) fn new(ledgers: &'a [Whose; 2]) -> Self {
        Self {
            ledgers,
            asked: [Direction::default(); 2],
            held: [Held::default(); 2],
            fits: [0; 2],
            forked: [Vec::new(), Vec::new()],
            beyond: [Vec::new(), Vec::new()],
            findings: Vec::new(),
            moved: Default::default(),
            beyond_claims: Default::default(),
            open: Vec::new(),
            unnamed: 0,
        }
    }

    /// Takes how the checkpoints that `holder` has fit the other's tree.
    pub(super) fn checkpoints(&mut self, holder: Side, roots: Roots) {
        let fits = holder.of_mut(&mut self.fits);
        *fits = (*fits).max(roots.fits);
        let beyond: Vec<_> = roots.beyond().collect();
        let held = holder.of_mut(&mut self.held);
        let sizes = roots
            .forked
            .iter()
            .map(|fork| fork.0)
            .chain(beyond.iter().map(|one| one.0));
        held.newest = sizes.chain([held.newest, roots.fits]).max().unwrap_or_default();
        held.checkpoints += roots.taken + beyond.len() as u64;
        let forked = holder.of_mut(&mut self.forked);
        forked.extend(roots.forked);
        forked.sort_unstable_by_key(|fork| fork.0);
        forked.truncate(NAMED_MAX);
        let known = holder.of_mut(&mut self.beyond);
        known.extend(beyond);
        known.sort_unstable_by_key(|one| one.0);
        known.truncate(NAMED_MAX);
    }

    /// Takes the exchanges of one slice.
    pub(super) fn exchanges(&mut self, sheet: Sheet<'_>) {
        for side in Side::BOTH {
            let proofs = side.of(&sheet.finals).values().flatten().count();
            side.of_mut(&mut self.held).proofs += proofs as u64;
        }
        let mut pairs: Vec<_> = sheet.pairs.iter().collect();
        pairs.sort_unstable_by_key(|(key, _)| **key);
        for ((id, asker), pair) in pairs {
            let one = One {
                ledgers: self.ledgers,
                sheet: &sheet,
                pair,
                asker: *asker,
            };
            self.exchange(*id, &one);
        }
    }

    fn exchange(&mut self, id: ExchangeId, one: &One<'_>) {
        let Some(about) = one.about(id) else { return };
        let judged = one.judge();
        let direction = one.asker.of_mut(&mut self.asked);
        direction.exchanges += 1;
        direction.receipts += one.asker.other().of(&one.pair.receipts).len() as u64;
        if !judged.findings.is_empty() {
            direction.different += 1;
            for finding in judged.findings {
                keep(&mut self.findings, finding.about(&about), &mut self.unnamed);
            }
            return;
        }
        let standing = one.standing(judged.beyond.as_ref().map(|finding| finding.side));
        *standing.count(direction) += 1;
        if let Standing::Open(side, why) = standing {
            let exchange = about.clone();
            keep(&mut self.open, Open { exchange, side, why }, &mut self.unnamed);
        }
        for (finding, excused) in [
            (judged.moved, &mut self.moved),
            (judged.beyond, &mut self.beyond_claims),
        ] {
            if let Some(finding) = finding {
                let excused = finding.side.of_mut(excused);
                excused.count += 1;
                keep(&mut excused.findings, (finding.about(&about), standing), &mut 0);
            }
        }
    }

    /// Sums up.
    pub(super) fn end(mut self, options: Options) -> Comparison {
        let mut findings = Vec::new();
        let mut known = HashSet::new();
        for owner in Side::BOTH {
            let counts = match self.fork(owner) {
                Some(fork) => {
                    findings.push(fork);
                    std::mem::take(owner.of_mut(&mut self.beyond_claims))
                }
                None => {
                    findings.extend(self.shorter(owner, options));
                    std::mem::take(owner.of_mut(&mut self.moved))
                }
            };
            self.count_after_all(counts, &mut known);
        }
        self.findings
            .sort_by_key(|finding| (by_time(finding.exchange.as_ref()), finding.side));
        self.open.sort_by_key(|open| by_time(Some(&open.exchange)));
        findings.append(&mut self.findings);
        let differs = findings.iter().any(|finding| finding.kind != Difference::LedgerShorter);
        let outcome = match findings.is_empty() {
            true => Outcome::Same,
            false if differs => Outcome::Differs,
            false => Outcome::Indeterminate,
        };
        Comparison {
            outcome,
            reason: reason(outcome, &findings, &self.asked),
            ledgers: self.ledgers.clone(),
            asked: self.asked,
            held: self.held,
            findings,
            open: self.open,
            unnamed: self.unnamed,
        }
    }

    /// What was held back counts: the exchanges differ, and are no longer counted as what they were.
    fn count_after_all(&mut self, held_back: Excused, known: &mut HashSet<(ExchangeId, Side)>) {
        for (finding, standing) in held_back.findings {
            let Some(about) = &finding.exchange else { continue };
            if known.insert((about.id, about.asker)) {
                let direction = about.asker.of_mut(&mut self.asked);
                *standing.count(direction) -= 1;
                direction.different += 1;
            }
            self.findings.push(finding);
        }
        self.open
            .retain(|open| !known.contains(&(open.exchange.id, open.exchange.asker)));
    }

    fn fork(&self, owner: Side) -> Option<Finding> {
        let holder = owner.other();
        let forked = holder.of(&self.forked);
        let (size, held, found, noted) = forked.first()?;
        let (a, b) = (holder.as_str(), owner.as_str());
        let mut what = vec![format!(
            "{a} holds {} checkpoints, signed by the key of {b}, that are no stage of {b}'s directory",
            forked.len()
        )];
        what.push(match holder.of(&self.fits) {
            0 => format!("the first of them has size {size}; none of a smaller size fits"),
            fits => format!("up to size {fits} they fit; the first that does not has size {size}"),
        });
        what.push(format!("the root at size {size} is {} in {b}'s directory", text(found)));
        let moved = owner.of(&self.moved).count;
        if moved > 0 {
            what.push(format!(
                "{moved} exchanges stand in {b}'s directory at another place than where {b} sealed them"
            ));
        }
        if let Some((size, ..)) = holder.of(&self.beyond).last() {
            what.push(format!(
                "{b}'s directory ends before size {size}, of which {a} holds a checkpoint too"
            ));
        }
        let mut proofs = vec![checkpoint_proof(holder, *size, *held, noted)];
        if let Some((size, held, _, noted)) = forked.last().filter(|_| forked.len() > 1) {
            proofs.push(checkpoint_proof(holder, *size, *held, noted));
        }
        Some(Finding {
            kind: Difference::LedgerForked,
            side: owner,
            exchange: None,
            what,
            proofs,
        })
    }

    fn shorter(&self, owner: Side, options: Options) -> Option<Finding> {
        let holder = owner.other();
        let beyond = holder.of(&self.beyond);
        let (size, root, noted) = beyond.last()?;
        let first_us = beyond.iter().map(|one| one.2.at_us).min()?;
        let apart_us = u64::try_from(options.apart.as_micros()).unwrap_or(u64::MAX);
        let ledger = owner.of(self.ledgers);
        // A ledger that has ended has no newer copy.
        let is_newer = holder.of(self.ledgers).newest_us.saturating_sub(first_us) < apart_us && !ledger.is_ended;
        if is_newer {
            return None;
        }
        let (a, b) = (holder.as_str(), owner.as_str());
        let what = vec![
            format!(
                "{b}'s directory ends after {} statements; {a} holds a checkpoint of size {size}, signed by the key of {b}",
                ledger.size
            ),
            format!(
                "either this copy of {b} is older than that, or its end was removed: ask {b} for the ledger up to size {size}"
            ),
        ];
        Some(Finding {
            kind: Difference::LedgerShorter,
            side: owner,
            exchange: None,
            what,
            proofs: vec![checkpoint_proof(holder, *size, *root, noted)],
        })
    }
}

/// Findings that count only under a condition, with how their exchanges stand otherwise.
#[derive(Debug, Default)]
struct Excused {
    count: u64,
    findings: Vec<(Finding, Standing)>,
}

/// Keeps what is named one by one, and counts the rest.
fn keep<T>(kept: &mut Vec<T>, one: T, unnamed: &mut u64) {
    if kept.len() < NAMED_MAX {
        kept.push(one);
    } else {
        *unnamed += 1;
    }
}

impl Finding {
    fn about(self, about: &About) -> Self {
        Self {
            exchange: Some(about.clone()),
            ..self
        }
    }
}

fn by_time(about: Option<&About>) -> Option<(u64, ExchangeId)> {
    about.map(|about| (about.at_us, about.id))
}

fn reason(outcome: Outcome, findings: &[Finding], asked: &[Direction; 2]) -> String {
    let [a, b] = asked;
    match outcome {
        Outcome::Same => format!(
            "{} exchanges agree, {} were closed by one side alone, {} are open; nothing contradicts",
            a.agreed + b.agreed,
            a.alone + b.alone,
            a.open + b.open
        ),
        Outcome::Differs => {
            let forked = findings
                .iter()
                .filter(|finding| finding.kind == Difference::LedgerForked);
            format!(
                "{} exchanges differ, {} ledgers are forked",
                a.different + b.different,
                forked.count()
            )
        }
        Outcome::Indeterminate => {
            let what = findings.first().map(|finding| finding.what.join("; "));
            what.unwrap_or_default()
        }
    }
}

fn checkpoint_proof(holder: Side, tree_size: u64, root: Hash, noted: &Noted) -> Proof {
    Proof {
        holder,
        entry: noted.entry,
        record: "PEER_NOTE",
        leaf: None,
        tree_size,
        root,
        is_signed: true,
        cosigned_by: Vec::new(),
        note: Some(noted.note),
    }
}

fn text(hash: &Hash) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(hash)
}
