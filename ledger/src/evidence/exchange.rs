//! The exchange itself: do its statements fit together, and how did it end?

use super::{Case, Doubt, Outcome, ground::Entry, lacks, wrong};
use crate::statement::Tag;
use jisr_proto::{
    ident::SubsystemId,
    statement::{Citation, Core, Kind},
};

/// How far two clocks may be apart, microseconds.
const SKEW_US: u64 = 60_000_000;
/// How far `created_us` may step back within one ledger: statements are made before they wait for a commit. Microseconds.
const STEP_BACK_US: u64 = 1_000_000;

/// Whether a statement of this kind ends the exchange on its side.
fn closes(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Answered
            | Kind::Delivered
            | Kind::Refused
            | Kind::Failed
            | Kind::Cancelled
            | Kind::NotSent
            | Kind::NeverReceived
            | Kind::OutcomeUnknown
            | Kind::AnswerGone
    )
}

impl Case<'_> {
    fn is_consumers(&self, entry: &Entry) -> bool {
        self.consumer() == Some(&entry.origin)
    }

    /// What closes the exchange on one side. ANSWER_GONE after ANSWERED repeats that the exchange is closed.
    fn closing_of(&self, consumer: bool) -> Vec<&Entry> {
        let own = self
            .statements
            .iter()
            .filter(|entry| self.is_consumers(entry) == consumer);
        let mut closing: Vec<&Entry> = own.filter(|entry| closes(entry.parsed.kind())).collect();
        if !consumer && closing.iter().any(|entry| entry.parsed.kind() == Kind::Answered) {
            closing.retain(|entry| entry.parsed.kind() != Kind::AnswerGone);
        }
        closing
    }
}

/// What a statement of this kind cites.
fn cites(kind: Kind, consumer: bool) -> Kind {
    match kind {
        Kind::Delivered | Kind::LateAnswer => Kind::Answered,
        kind if consumer => kind,
        _ => Kind::Asked,
    }
}

/// Every citation is of a statement in the file, of the kind that it must be of.
pub(super) fn citations(case: &Case) -> Outcome {
    let mut count = 0;
    let mut withheld = 0;
    for entry in &case.statements {
        let kind = entry.parsed.kind();
        let Some(part) = entry.parsed.part(Tag::Peer) else {
            continue;
        };
        let Some(citation) = entry.parsed.citation().filter(|_| part.opened.is_some()) else {
            withheld += 1;
            continue;
        };
        let is_cited = |other: &&Entry| other.origin.as_str() == citation.origin && other.index == citation.index;
        let Some(cited) = case.statements.iter().find(is_cited) else {
            return lacks(format!(
                "entry {} of {}, which {kind:?} cites, is not there",
                citation.index, citation.origin
            ));
        };
        if cited.parsed.leaf() != citation.leaf.as_ref() {
            return wrong(format!(
                "{kind:?} cites another statement than the one that stands there"
            ));
        }
        if cited.parsed.kind() != cites(kind, case.is_consumers(entry)) {
            return wrong(format!("{kind:?} cites a statement {:?}", cited.parsed.kind()));
        }
        one_root(case, citation)?;
        count += 1;
    }
    if withheld > 0 {
        return lacks(format!("{withheld} citations are withheld"));
    }
    Ok(format!("{count}, each of the other side's statement in the file"))
}

/// Where a checkpoint in the file has the size that is cited, it has the root that is cited.
fn one_root(case: &Case, citation: &Citation) -> Result<(), Doubt> {
    match case.ground.root(&citation.origin, citation.tree_size) {
        Some(known) if citation.root != known.as_slice() => wrong(format!(
            "{} showed two trees of size {}",
            citation.origin, citation.tree_size
        )),
        _ => Ok(()),
    }
}

/// The statements speak of the same question, from ledgers that may speak of it.
pub(super) fn consistency(case: &Case) -> Outcome {
    let Some(first) = case.core() else {
        return wrong("there is no statement");
    };
    for entry in &case.statements {
        let core = entry.parsed.core();
        let kind = entry.parsed.kind();
        if !is_same_question(first, core) {
            return wrong(format!("{kind:?} speaks of another question than the first statement"));
        }
        let speaker = if case.is_consumers(entry) {
            &core.consumer
        } else {
            &core.provider
        };
        let member = speaker.parse::<SubsystemId>().ok().map(|subsystem| subsystem.member());
        if member.is_none() || member != entry.origin.member() {
            return wrong(format!(
                "{kind:?} stands in the ledger of {}, which is no side of it",
                entry.origin
            ));
        }
        if !case.is_consumers(entry) && entry.origin.as_str() != core.provider_origin {
            return wrong(format!(
                "{kind:?} stands in {}, but {} was asked",
                entry.origin, core.provider_origin
            ));
        }
        let side_is_wrong = match kind {
            Kind::Asked | Kind::Delivered | Kind::LateAnswer | Kind::NotSent => !case.is_consumers(entry),
            Kind::Received | Kind::Answered => case.is_consumers(entry),
            _ => false,
        };
        if side_is_wrong {
            return wrong(format!("{kind:?} stands in the ledger of the other side"));
        }
    }
    if let Some((origin, size)) = &case.ground.fork {
        return wrong(format!("{origin} showed two trees of size {size}"));
    }
    Ok("the statements speak of one question".to_owned())
}

fn is_same_question(one: &Core, other: &Core) -> bool {
    one.consumer == other.consumer
        && one.provider == other.provider
        && one.provider_origin == other.provider_origin
        && one.service == other.service
        && one.method == other.method
        && one.agreement == other.agreement
}

/// Each side closed the exchange exactly once.
pub(super) fn closing(case: &Case) -> Outcome {
    for kind in [Kind::Asked, Kind::Received] {
        if case.of_kind(kind).count() > 1 {
            return wrong(format!("there are two statements {kind:?}"));
        }
    }
    let (consumer, provider) = (case.closing_of(true), case.closing_of(false));
    if consumer.len() > 1 || provider.len() > 1 {
        return wrong("one side closed the exchange twice");
    }
    let Some(consumer) = consumer.first() else {
        return lacks("the consumer's closing statement is not there");
    };
    let kind = consumer.parsed.kind();
    let cites = consumer.parsed.part(Tag::Peer).is_some();
    let is_at_home = !cites && matches!(kind, Kind::Refused | Kind::NotSent);
    if case.asked().is_none() && !is_at_home {
        return lacks("ASKED is not there");
    }
    if is_at_home && provider.is_empty() {
        return Ok(format!("by {}", outcome(case)));
    }
    let Some(provider) = provider.first() else {
        return lacks("the provider's closing statement is not there");
    };
    let was_received = case.of_kind(Kind::Received).next().is_some();
    // ANSWERED cites the question: whoever answered it has received it.
    let says_enough = matches!(
        provider.parsed.kind(),
        Kind::Answered | Kind::Refused | Kind::NeverReceived
    );
    if !was_received && !says_enough {
        return lacks("RECEIVED is not there");
    }
    if was_received && provider.parsed.kind() == Kind::NeverReceived {
        return wrong("the provider says both that it received the question and that it never did");
    }
    Ok(format!("by {}", outcome(case)))
}

/// How the exchange ended, for people.
pub(super) fn outcome(case: &Case) -> String {
    let side = |consumer: bool, name: &str| {
        case.closing_of(consumer).first().map(|entry| {
            let core = entry.parsed.core();
            let rule = if core.rule.is_empty() {
                String::new()
            } else {
                format!(" {}", core.rule)
            };
            format!("{name} {:?}{rule}, status {}", entry.parsed.kind(), core.status)
        })
    };
    [side(true, "consumer"), side(false, "provider")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// The times are in order: to the second within each ledger, within the clocks' skew between them.
pub(super) fn times(case: &Case, time_us: u64) -> Outcome {
    for (one, next) in case.statements.iter().zip(case.statements.iter().skip(1)) {
        let latest = next.parsed.core().created_us.saturating_add(STEP_BACK_US);
        if one.origin == next.origin && one.parsed.core().created_us > latest {
            return wrong(format!(
                "time went back in {} by more than 1 s between two statements",
                one.origin
            ));
        }
    }
    let newest = case
        .statements
        .iter()
        .map(|entry| entry.parsed.core().created_us)
        .max()
        .unwrap_or(0);
    if newest > time_us.saturating_add(SKEW_US) {
        return lacks("a statement was made after the time as of which the evidence is judged");
    }
    let created = |kind| case.of_kind(kind).next().map(|entry| entry.parsed.core().created_us);
    let steps = [
        (Kind::Asked, Kind::Received),
        (Kind::Received, Kind::Answered),
        (Kind::Answered, Kind::Delivered),
    ];
    for (before, after) in steps {
        if let (Some(one), Some(next)) = (created(before), created(after))
            && one > next.saturating_add(SKEW_US)
        {
            return lacks(format!(
                "{after:?} is dated before {before:?} by more than 60 s: a clock was wrong"
            ));
        }
    }
    let expires = case.asked().map(|entry| entry.parsed.core().expires_us);
    if let (Some(expires), Some(received)) = (expires, created(Kind::Received))
        && received > expires.saturating_add(SKEW_US)
    {
        return lacks("the question was received after it had expired by more than 60 s: a clock was wrong");
    }
    Ok("in order, to 1 s within each ledger and 60 s between the two clocks".to_owned())
}
