//! Why something was refused or failed: a closed list.
//!
//! A reason stands in statements ([`crate::statement::Core`], field `rule`), in statuses ([`crate::status`]) and in
//! logs. Each names the party at fault, the rule, and what to do about it.

mod list;

use std::fmt;
use std::str::FromStr;

pub use list::Reason;

/// Who has to act, as seen by the node that states the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The application, operator or administrator who called.
    Caller,
    /// The node, or other server, that states the reason.
    OwnNode,
    /// The node at the other end.
    Peer,
    /// The registry.
    Registry,
    /// The provider's application behind its node.
    Backend,
}

impl Party {
    /// As it stands in statuses: `CALLER`, `OWN_NODE`, `PEER`, `REGISTRY`, `BACKEND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Party::Caller => "CALLER",
            Party::OwnNode => "OWN_NODE",
            Party::Peer => "PEER",
            Party::Registry => "REGISTRY",
            Party::Backend => "BACKEND",
        }
    }

    /// The same party as the node at the other end sees it: its peer is we, and we are its peer.
    pub fn mirrored(self) -> Party {
        match self {
            Party::OwnNode => Party::Peer,
            Party::Peer => Party::OwnNode,
            other => other,
        }
    }

    /// In words, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Party::Caller => "the caller",
            Party::OwnNode => "this node",
            Party::Peer => "the peer's node",
            Party::Registry => "the registry",
            Party::Backend => "the provider's backend",
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Party {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [
            Party::Caller,
            Party::OwnNode,
            Party::Peer,
            Party::Registry,
            Party::Backend,
        ]
        .into_iter()
        .find(|party| party.as_str() == name)
        .ok_or(UnknownName)
    }
}

/// A name that is not in the list: the sender is newer than we are, or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such reason or party is known to this version")]
pub struct UnknownName;

impl Reason {
    /// The gRPC status code as the number that stands in statuses and statements.
    pub fn status(self) -> u32 {
        (self.code() as i32).cast_unsigned()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Reason::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == name)
            .ok_or(UnknownName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_variants_and_can_be_read_back() {
        for reason in Reason::ALL {
            let mut snake = String::new();
            for letter in format!("{reason:?}").chars() {
                if letter.is_ascii_uppercase() && !snake.is_empty() {
                    snake.push('_');
                }
                snake.push(letter.to_ascii_uppercase());
            }
            assert_eq!(snake, reason.as_str());
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert_eq!("NO_SUCH_REASON".parse::<Reason>(), Err(UnknownName));
    }

    #[test]
    fn every_reason_says_what_to_do_in_one_line() {
        for reason in Reason::ALL {
            assert_ne!(reason.code(), tonic::Code::Ok, "{reason}");
            for text in [reason.rule(), reason.remedy()] {
                assert!(
                    text.len() > 20 && text.ends_with('.') && !text.contains('\n'),
                    "{reason}: {text}"
                );
            }
        }
    }

    #[test]
    fn parties_can_be_read_back_and_mirroring_twice_changes_nothing() {
        for party in [
            Party::Caller,
            Party::OwnNode,
            Party::Peer,
            Party::Registry,
            Party::Backend,
        ] {
            assert_eq!(party.as_str().parse(), Ok(party));
            assert_eq!(party.mirrored().mirrored(), party);
        }
    }

    #[test]
    fn the_page_lists_them_all_and_no_others() {
        let page = include_str!("../../../docs/formats.md");
        let section = page.split("## Reasons").nth(1).expect("the page has the section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
        let expected: Vec<String> = Reason::ALL
            .iter()
            .map(|reason| {
                format!(
                    "| {} | {} | {} |",
                    reason.as_str(),
                    reason.party().as_str(),
                    status_name(reason.code())
                )
            })
            .collect();
        assert_eq!(rows, expected);
    }

    /// Names of the gRPC status codes as the protocol writes them.
    fn status_name(code: tonic::Code) -> String {
        let name = format!("{code:?}");
        let mut spelled = String::new();
        for (at, letter) in name.char_indices() {
            if at > 0 && letter.is_ascii_uppercase() {
                spelled.push('_');
            }
            spelled.push(letter.to_ascii_uppercase());
        }
        spelled
    }
}
