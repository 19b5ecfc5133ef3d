//! Which parts of statements a file shows: named, not numbered.

use clap::{Args, ValueEnum};
use jisr_ledger::statement::Tag;

/// Which parts to show. CORE, which says who asked whom and when, always is, and so is what links the two ledgers.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Parts {
    /// Parts to withhold, separated by commas
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    withhold: Vec<Part>,
    /// Parts to open, separated by commas: all others are withheld
    #[arg(
        long,
        value_enum,
        value_name = "PARTS",
        value_delimiter = ',',
        conflicts_with = "withhold"
    )]
    open: Vec<Part>,
}

/// A part of a statement that may be withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What for
    Purpose,
    /// Case reference
    Case,
    /// Officer reference
    Officer,
    /// Consent reference
    Consent,
    /// Legal duty
    Duty,
    /// Whom it is about
    Subject,
    /// Commitments to request and reply
    Payload,
}

impl Part {
    fn tag(self) -> Tag {
        match self {
            Part::Purpose => Tag::Purpose,
            Part::Case => Tag::Case,
            Part::Officer => Tag::Officer,
            Part::Consent => Tag::Consent,
            Part::Duty => Tag::Duty,
            Part::Subject => Tag::Subject,
            Part::Payload => Tag::Payload,
        }
    }
}

impl Parts {
    /// Whether nothing is said of parts.
    pub(super) fn is_silent(&self) -> bool {
        self.withhold.is_empty() && self.open.is_empty()
    }

    /// The parts to withhold, ascending.
    pub(super) fn withheld(&self) -> Vec<Tag> {
        let chosen = |part: &Part| match self.open.is_empty() {
            true => self.withhold.contains(part),
            false => !self.open.contains(part),
        };
        let parts = Part::value_variants().iter().filter(|part| chosen(part));
        let mut tags: Vec<Tag> = parts.map(|part| part.tag()).collect();
        tags.sort_unstable_by_key(|tag| tag.number());
        tags
    }

    /// As the node's admin door takes them.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.withheld().iter().map(|tag| u32::from(tag.number())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        parts: Parts,
    }

    fn numbers(extra: &[&str]) -> Result<Vec<u32>, clap::Error> {
        Line::try_parse_from(std::iter::once(&"x").chain(extra)).map(|line| line.parts.numbers())
    }

    #[test]
    fn parts_are_named_not_numbered() {
        assert_eq!(numbers(&["--withhold", "subject,case"]).unwrap(), [3, 7]);
        assert_eq!(numbers(&["--open", "purpose,payload,duty"]).unwrap(), [3, 4, 5, 7]);
        assert!(numbers(&[]).unwrap().is_empty());
        assert!(numbers(&["--withhold", "core"]).is_err());
        assert!(numbers(&["--withhold", "case", "--open", "duty"]).is_err());
    }
}
