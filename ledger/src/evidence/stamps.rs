//! Time-stamps: when the ledgers existed, by the word of an authority.

use super::{Case, Doubt, Outcome, Refusal, Shared, instant::utc, lacks, wrong};
use crate::{
    seal,
    stamp::{Proven, RENEWALS_MAX, Renewal, Unproven, judge},
};
use bytes::Bytes;
use jisr_certs::stamp::{TOKEN_BYTES_MAX, Trust};
use jisr_proto::evidence::Stamp;
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

/// Most tokens on one checkpoint.
const TOKENS_MAX: usize = 8;
/// How far a statement may say that it was made after the time at which its ledger already existed, microseconds.
const SKEW_US: u64 = 60 * 1_000_000;

/// A token, taken apart and not judged yet.
pub(super) struct Token {
    /// Position among the checkpoints.
    pub(super) note: usize,
    token: Bytes,
    renewals: Vec<Renewal>,
}

/// What was found about the tokens of a file, each judged once.
pub(super) struct Judged {
    trust: Trust,
    /// By position.
    found: RefCell<HashMap<usize, Result<Proven, Unproven>>>,
}

impl Judged {
    pub(super) fn new(trust: Trust) -> Self {
        Self {
            trust,
            found: RefCell::default(),
        }
    }

    fn judge(&self, place: usize, token: &Token, text: &str, time_us: u64) -> Result<Proven, Unproven> {
        let mut found = self.found.borrow_mut();
        let judged = || judge(text, &token.token, &token.renewals, &self.trust, time_us);
        found.entry(place).or_insert_with(judged).clone()
    }
}

/// Takes the list apart; `notes` is how many checkpoints there are.
pub(super) fn read(stamps: &[Stamp], notes: usize) -> Result<Vec<Token>, Refusal> {
    let bad = |why: &str| ("format", format!("a time-stamp: {why}"));
    let mut tokens = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let note = usize::try_from(stamp.checkpoint).ok().filter(|at| *at < notes);
        let note = note.ok_or_else(|| bad("it points at no checkpoint"))?;
        if stamp.renewals.len() > RENEWALS_MAX {
            return Err(bad("it was renewed more often than it can have been"));
        }
        let renewals = stamp.renewals.iter().map(|renewal| {
            Ok(Renewal {
                index: renewal.index,
                size: renewal.size,
                path: seal::path(&renewal.path).map_err(|_| bad("a path is out of form"))?,
                token: renewal.token.clone(),
            })
        });
        let renewals = renewals.collect::<Result<Vec<_>, Refusal>>()?;
        let mut all = renewals.iter().map(|renewal| &renewal.token).chain([&stamp.token]);
        let out_of_form = all.any(|token| token.is_empty() || token.len() > TOKEN_BYTES_MAX);
        drop(all);
        if out_of_form {
            return Err(bad("a token is empty or longer than 16 KiB"));
        }
        tokens.push(Token {
            note,
            token: stamp.token.clone(),
            renewals,
        });
    }
    let in_order = tokens.is_sorted_by(|one, next| (one.note, &one.token) < (next.note, &next.token));
    let too_many = tokens
        .windows(TOKENS_MAX + 1)
        .any(|run| run.first().map(|one| one.note) == run.last().map(|one| one.note));
    if !in_order || too_many {
        return Err(bad(
            "they do not stand by checkpoint and token, each once, at most 8 on one checkpoint",
        ));
    }
    Ok(tokens)
}

/// Judges the time-stamps on the checkpoints under which the statements of the exchange stand.
pub(super) fn check(case: &Case, shared: &Shared, time_us: u64) -> Outcome {
    let notes: BTreeSet<usize> = case.statements.iter().map(|entry| entry.note).collect();
    let mut said = Vec::new();
    let mut lacking = None;
    let mut unstamped = Vec::new();
    for at in &notes {
        let Some(note) = case.ground.notes.get(*at) else {
            continue;
        };
        let place = format!("{} of size {}", note.checkpoint.origin, note.checkpoint.size);
        let tokens = case.ground.stamps.iter().enumerate();
        let mut is_stamped = false;
        for (number, token) in tokens.filter(|(_, token)| token.note == *at) {
            is_stamped = true;
            match shared.stamps.judge(number, token, &note.checkpoint.text(), time_us) {
                Ok(proven) => {
                    contradicted(case, *at, &proven, time_us)?;
                    said.push(format!("{place} {}", words(&proven)));
                }
                Err(Unproven::Wrong(why)) => return wrong(format!("{place}: {why}")),
                Err(Unproven::Lacks(why)) => lacking = Some(format!("{place}: {why}")),
            }
        }
        if !is_stamped {
            unstamped.push(note.checkpoint.origin.clone());
        }
    }
    if let Some(why) = lacking {
        return lacks(why);
    }
    if said.is_empty() {
        return Ok("not present".to_owned());
    }
    if !unstamped.is_empty() {
        said.push(format!("not present for {}", unstamped.join(" and ")));
    }
    Ok(said.join("; "))
}

/// Nothing in a ledger is younger than a time at which it existed, and no time is to come.
fn contradicted(case: &Case, note: usize, proven: &Proven, time_us: u64) -> Result<(), Doubt> {
    let latest = proven
        .first
        .time_us
        .saturating_add(proven.first.accuracy_us)
        .saturating_add(SKEW_US);
    let mut under = case.statements.iter().filter(|entry| entry.note == note);
    if let Some(entry) = under.find(|entry| entry.parsed.core().created_us > latest) {
        return wrong(format!(
            "entry {} of {} says that it was made at {}, and its ledger held it before {}",
            entry.index,
            entry.origin,
            utc(entry.parsed.core().created_us),
            utc(latest)
        ));
    }
    if proven.newest().time_us > time_us.saturating_add(SKEW_US) {
        return lacks(format!(
            "a time-stamp is of {}, later than the instant of judgement",
            utc(proven.newest().time_us)
        ));
    }
    Ok(())
}

fn words(proven: &Proven) -> String {
    let first = &proven.first;
    let renewed = proven.renewed.as_ref().map_or_else(String::new, |renewed| {
        format!(", renewed last at {} by {}", utc(renewed.time_us), renewed.authority)
    });
    format!(
        "existed by {} (± {} ms), says {}{}{renewed}",
        utc(first.time_us),
        first.accuracy_us / 1000,
        first.authority,
        if first.is_built_in {
            ", the network's own authority"
        } else {
            ""
        }
    )
}
