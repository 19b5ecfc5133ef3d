//! Which exchanges are meant.

use clap::Args;
use jisr_ledger::archive::{Exchange, Role};
use jisr_ledger::statement::Tag;
use jisr_ledger::vault::normalised;
use jisr_proto::statement::SubjectIdentifier;
use jisr_proto::v1::SubjectKind;

use crate::failure::Failure;
use crate::instant;

/// What an exchange may have come to, as outcomes are written.
const OUTCOMES: [&str; 10] = [
    "open",
    "answered",
    "delivered",
    "refused",
    "failed",
    "cancelled",
    "not_sent",
    "never_received",
    "outcome_unknown",
    "answer_gone",
];

/// Filters; an exchange must fit all that are given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// The other side: a member (JO/GOV/psd), a subsystem, or the origin of the provider's node
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
    /// Purpose code
    #[arg(long, value_name = "CODE")]
    purpose: Option<String>,
    /// Method, alone or as SERVICE/METHOD
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Full name of the service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// What it came to; open: it is not closed
    #[arg(long, value_name = "OUTCOME", value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Begun at this instant or later, RFC 3339
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// Begun before this instant, RFC 3339
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// Case reference, exactly; needs --data
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// A person: personal-number=9871234567, travel-document=… or sector-pseudonym=…, or the value alone for any of them;
    /// needs --data
    #[arg(long, value_name = "[KIND=]VALUE")]
    subject: Option<String>,
}

/// The same, checked.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    peer: Option<String>,
    purpose: Option<String>,
    method: Option<String>,
    service: Option<String>,
    outcome: Option<String>,
    from_us: Option<u64>,
    until_us: Option<u64>,
    case: Option<String>,
    subject: Option<String>,
}

impl FilterArgs {
    pub(super) fn parse(&self, has_keys: bool) -> Result<Filter, Failure> {
        if !has_keys && (self.case.is_some() || self.subject.is_some()) {
            return Err(Failure::usage(
                "case and subject rest encrypted, and no keys are given",
                "add --data with the data directory of the node whose ledger this is",
            ));
        }
        Ok(Filter {
            peer: self.peer.clone(),
            purpose: self.purpose.clone(),
            method: self.method.clone(),
            service: self.service.clone(),
            outcome: self.outcome.clone(),
            from_us: self.from.as_deref().map(instant::parse).transpose()?,
            until_us: self.until.as_deref().map(instant::parse).transpose()?,
            case: self.case.clone(),
            subject: self.subject.clone(),
        })
    }
}

/// Whether this is the person who is wanted: by kind and value, or by the value alone.
fn names(wanted: &str, one: &SubjectIdentifier) -> bool {
    let parted = wanted.split_once('=').and_then(|(kind, value)| {
        let kind = SubjectKind::from_str_name(&kind.to_ascii_uppercase().replace('-', "_"))?;
        Some((kind, value))
    });
    let value = parted.map_or(wanted, |(_, value)| value);
    let is_kind = parted.is_none_or(|(kind, _)| one.kind == kind as u32);
    is_kind && normalised(&one.value) == normalised(value)
}

impl Filter {
    /// Whether the exchange is meant; `None` where that cannot be told, since what decides it does not open.
    pub(super) fn takes(&self, exchange: &Exchange) -> Option<bool> {
        let wants = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let plain = self.peer(exchange)
            && wants(&self.purpose, exchange.purpose().unwrap_or_default())
            && wants(&self.service, &exchange.service)
            && self.method(exchange)
            && wants(&self.outcome, &exchange.outcome_name())
            && self.from_us.is_none_or(|from| exchange.began_us >= from)
            && self.until_us.is_none_or(|until| exchange.began_us < until);
        if !plain {
            return Some(false);
        }
        let case = part(exchange, self.case.as_deref(), Tag::Case, |wanted| {
            let case = exchange.asked().and_then(|asked| asked.case());
            case.is_some_and(|case| normalised(case) == normalised(wanted))
        });
        let subject = part(exchange, self.subject.as_deref(), Tag::Subject, |wanted| {
            let subject = exchange.asked().and_then(|asked| asked.subject());
            subject.is_some_and(|subject| subject.identifiers.iter().any(|one| names(wanted, one)))
        });
        match (case, subject) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    fn peer(&self, exchange: &Exchange) -> bool {
        let Some(wanted) = self.peer.as_deref() else {
            return true;
        };
        let subsystem = match exchange.role {
            Role::Consumer => &exchange.provider,
            Role::Provider => &exchange.consumer,
        };
        let origin = (exchange.role == Role::Consumer).then_some(exchange.provider_origin.as_str());
        wanted == exchange.peer || wanted == subsystem || origin == Some(wanted)
    }

    fn method(&self, exchange: &Exchange) -> bool {
        self.method
            .as_deref()
            .is_none_or(|wanted| match wanted.rsplit_once('/') {
                None => wanted == exchange.method,
                Some((service, method)) => service == exchange.service && method == exchange.method,
            })
    }
}

/// Whether a personal part is as wanted; `None` where it is there and does not open.
fn part(exchange: &Exchange, wanted: Option<&str>, tag: Tag, holds: impl FnOnce(&str) -> bool) -> Option<bool> {
    let Some(wanted) = wanted else { return Some(true) };
    let question = exchange.question.as_ref();
    let is_withheld = question.is_some_and(|entry| entry.erased.contains(&tag) || entry.sealed.contains(&tag));
    (!is_withheld).then(|| holds(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::tests::exchange;

    #[test]
    fn each_filter_takes_what_fits() {
        let exchange = exchange("x");
        let some = |text: &str| Some(text.to_owned());
        let takes = [
            Filter {
                peer: some("JO/GOV/psd"),
                ..Filter::default()
            },
            Filter {
                peer: some("JO/GOV/psd/residency"),
                ..Filter::default()
            },
            Filter {
                method: some("CheckStatus"),
                ..Filter::default()
            },
            Filter {
                method: some("jo.residency.v1.ResidencePermits/CheckStatus"),
                ..Filter::default()
            },
            Filter {
                outcome: some("delivered"),
                ..Filter::default()
            },
            Filter {
                from_us: Some(exchange.began_us),
                ..Filter::default()
            },
            Filter {
                until_us: Some(exchange.began_us + 1),
                ..Filter::default()
            },
            Filter {
                purpose: some("x"),
                ..Filter::default()
            },
            Filter {
                case: some("ق-1"),
                ..Filter::default()
            },
            Filter {
                subject: some("9901234567"),
                ..Filter::default()
            },
            // Written in another way, as persons and cases are found for evidence too.
            Filter {
                case: some("\u{fed5}-\u{661}"),
                ..Filter::default()
            },
            Filter {
                subject: some("990 123\u{664}567"),
                ..Filter::default()
            },
            Filter {
                subject: some("personal-number=9901234567"),
                ..Filter::default()
            },
        ];
        for filter in takes {
            assert_eq!(filter.takes(&exchange), Some(true), "{filter:?}");
        }
    }

    #[test]
    fn each_filter_leaves_what_does_not_fit() {
        let exchange = exchange("x");
        let some = |text: &str| Some(text.to_owned());
        let leaves = [
            Filter {
                peer: some("JO/GOV/mol"),
                ..Filter::default()
            },
            Filter {
                method: some("other.Service/CheckStatus"),
                ..Filter::default()
            },
            Filter {
                outcome: some("open"),
                ..Filter::default()
            },
            Filter {
                from_us: Some(exchange.began_us + 1),
                ..Filter::default()
            },
            Filter {
                until_us: Some(exchange.began_us),
                ..Filter::default()
            },
            Filter {
                case: some("ق"),
                ..Filter::default()
            },
            Filter {
                subject: some("99"),
                ..Filter::default()
            },
            Filter {
                subject: some("travel-document=9901234567"),
                ..Filter::default()
            },
        ];
        for filter in leaves {
            assert_eq!(filter.takes(&exchange), Some(false), "{filter:?}");
        }
    }

    #[test]
    fn what_does_not_open_is_neither_taken_nor_left() {
        let mut exchange = exchange("x");
        if let Some(question) = &mut exchange.question {
            question.erased = vec![Tag::Case];
        }
        let filter = Filter {
            case: Some("ق-1".to_owned()),
            ..Filter::default()
        };
        assert_eq!(filter.takes(&exchange), None);
    }
}
