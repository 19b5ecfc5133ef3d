//! The checks on one exchange, in their order, each with what it means.

use super::{
    Case, Doubt, Outcome, Shared, agreed, exchange, seals,
    snapshots::{self, schema},
    stamps,
};
use crate::report::{Check, Verdict};

/// What each check tells, whatever it finds.
const MEANINGS: [(&str, &str); 20] = [
    ("format", "tells whether this is evidence at all"),
    (
        "digest",
        "tells whether the file came through unharmed; it proves nothing against who made it",
    ),
    ("anchor", "tells whether file and verifier speak of the same network"),
    ("statements", "what the file holds of either side's word"),
    (
        "registry-entries",
        "tells whether the registry's own ledger has what the exchange rests on",
    ),
    (
        "snapshots",
        "tells whether each side acted on a published picture of the network that then was in force",
    ),
    (
        "certificates",
        "tells whose keys these are, up to the root that the anchor names",
    ),
    (
        "seals",
        "tells whether each statement is its side's word: it stands in that side's signed ledger",
    ),
    (
        "cosignatures",
        "tells whether others saw these ledgers, so that no keeper could rewrite his later",
    ),
    (
        "citations",
        "tells whether each side answered exactly what the other side's ledger holds",
    ),
    (
        "consistency",
        "tells whether all statements speak of one question between the same two sides",
    ),
    ("agreement", "tells whether the question was allowed"),
    ("agreed", "tells whether an officer of each side allowed it"),
    ("schema", "tells what the messages mean"),
    ("closing", "tells how the exchange ended, once on each side"),
    ("times", "tells whether the clocks bear the story out"),
    ("revocation", "tells whether keys and agreement were still good"),
    ("payload", "the messages themselves are no part of the file"),
    (
        "stamps",
        "time-stamps: an authority says when the ledgers existed, whatever became of keys and keepers since",
    ),
    (
        "withheld",
        "what whoever gave the file kept back; its place and hash are proven, its content is not shown",
    ),
];

/// A line of the report: what was found, and what the check means.
pub(super) fn line(id: &'static str, outcome: Outcome) -> Check {
    let (verdict, found) = match outcome {
        Ok(found) => (Verdict::Valid, found),
        Err(Doubt::Lacks(found)) => (Verdict::Indeterminate, found),
        Err(Doubt::Wrong(found)) => (Verdict::Invalid, found),
    };
    let meaning = MEANINGS.iter().find(|(known, _)| *known == id);
    let text = match meaning {
        Some((_, meaning)) => format!("{found} — {meaning}"),
        None => found,
    };
    Check { id, verdict, text }
}

/// All checks on an exchange, from `statements` on.
pub(super) fn checks(case: &Case, shared: &Shared, time_us: u64) -> Vec<Check> {
    let facts = &shared.facts;
    let entries = shared.entries.clone().and_then(|()| facts.needed_by(case));
    let (keys, certificates) = match seals::certificates(case, shared) {
        Ok((keys, text)) => (keys, Ok(text)),
        Err(doubt) => (Vec::new(), Err(doubt)),
    };
    vec![
        line("statements", Ok(case.listed())),
        line("registry-entries", entries),
        line("snapshots", snapshots::check(case, shared)),
        line("certificates", certificates),
        line("seals", seals::seals(case, &keys, shared.cache)),
        line("cosignatures", seals::cosignatures(case, shared)),
        line("citations", exchange::citations(case)),
        line("consistency", exchange::consistency(case)),
        line("agreement", agreed::agreement(case, facts)),
        line("agreed", agreed::agreed(case, shared)),
        line("schema", schema(case, facts)),
        line("closing", exchange::closing(case)),
        line("times", exchange::times(case, time_us)),
        line("revocation", seals::revocation(case, shared)),
        line(
            "payload",
            Ok("not present: the statements commit to the messages".to_owned()),
        ),
        line("stamps", stamps::check(case, shared, time_us)),
        line("withheld", Ok(case.withheld())),
    ]
}

/// The sentence that stands for an exchange of which every check is VALID.
pub(super) fn proven(case: &Case) -> String {
    format!("exchange {} is proven: {}", case.exchange, exchange::outcome(case))
}
