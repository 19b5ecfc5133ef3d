//! Statements: the facts of an exchange as lists of salted parts, of which any can be shown, withheld or erased alone.
//!
//! Own statements are built as a [`Draft`] and closed; those of others are [`Parsed`] from the bytes that came, which are
//! kept as they are. docs/formats.md, Statement.

mod act;
mod closing;
mod draft;
mod parsed;
mod payload;
mod rules;
mod shape;
mod text;
mod view;

pub use act::Act;
pub use closing::{can_receipt, closes_at_provider};
pub use draft::{Closed, Draft};
pub use parsed::{Opened, Parsed, Part, Shown};
pub use payload::{PayloadCommitment, PayloadHasher};
pub use rules::{FINDING_EXCHANGES_MAX, FINDING_NOTES_MAX, NAMED_MAX, RETENTION, STORED_PAYLOAD};
pub(crate) use rules::{erasure as read_erasure, hold as read_hold, release as read_release};
pub use text::check_text;
pub(crate) use view::{CitationView, CoreView, PartView, View};

use crate::tree::{Hash, node_hash};
use jisr_certs::digest::{domain, sha256};
use jisr_proto::{canonical::CanonicalError, statement::Kind};

/// Most parts that a statement can have: one for each tag.
pub const PARTS_MAX: usize = 10;
/// Longest content of a part, bytes. Acts are the longest: an agreement with both AGREED, an enrolment.
pub const CONTENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tag {
    /// A `Core`: always present, always shown.
    Core = 1,
    /// Purpose code.
    Purpose = 2,
    /// Case reference.
    Case = 3,
    /// Officer reference.
    Officer = 4,
    /// Consent reference.
    Consent = 5,
    /// Legal duty.
    Duty = 6,
    /// The persons the exchange is about.
    Subject = 7,
    /// Commitment to the message.
    Payload = 8,
    /// Citation of the other side's statement.
    Peer = 9,
    /// Body of an administrative act.
    Act = 10,
}

impl Tag {
    /// All tags, ascending.
    pub const ALL: [Self; PARTS_MAX] = [
        Self::Core,
        Self::Purpose,
        Self::Case,
        Self::Officer,
        Self::Consent,
        Self::Duty,
        Self::Subject,
        Self::Payload,
        Self::Peer,
        Self::Act,
    ];

    /// The tag with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Data class under whose key the part rests encrypted; `None` where it rests in the clear.
    #[must_use]
    pub fn data_class(self) -> Option<u8> {
        match self {
            Self::Case | Self::Officer | Self::Consent => Some(1),
            Self::Subject => Some(2),
            Self::Payload => Some(3),
            Self::Core | Self::Purpose | Self::Duty | Self::Peer | Self::Act => None,
        }
    }

    /// Whether it can be erased: not what the ledger itself is made of, which a verifier must read.
    #[must_use]
    pub fn can_be_erased(self) -> bool {
        !matches!(self, Self::Core | Self::Peer | Self::Act)
    }

    /// Its name in docs/formats.md.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "CORE",
            Self::Purpose => "PURPOSE",
            Self::Case => "CASE",
            Self::Officer => "OFFICER",
            Self::Consent => "CONSENT",
            Self::Duty => "DUTY",
            Self::Subject => "SUBJECT",
            Self::Payload => "PAYLOAD",
            Self::Peer => "PEER",
            Self::Act => "ACT",
        }
    }
}

/// Hash of a part: `SHA-256(0x00 ‖ tag ‖ salt ‖ content)`.
#[must_use]
pub fn part_hash(tag: Tag, salt: &[u8; 32], content: &[u8]) -> Hash {
    sha256(&[&[0, tag.number()], salt, content])
}

/// Leaf input of the statement with these part hashes, in order: `D(jisr.statement, RFC 6962 root)`.
#[must_use]
pub fn leaf_input<'h>(parts: impl IntoIterator<Item = &'h Hash>) -> Hash {
    let mut hashes = [[0u8; 32]; PARTS_MAX];
    let mut count = 0;
    for (slot, hash) in hashes.iter_mut().zip(parts) {
        *slot = *hash;
        count += 1;
    }
    let root = root_over(hashes.get(..count).unwrap_or_default());
    domain("jisr.statement", &[&root])
}

/// RFC 6962 root over a handful of hashes, without the frontier's allocation.
fn root_over(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => crate::tree::empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
            node_hash(&root_over(left), &root_over(right))
        }
    }
}

/// Why a statement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The list of parts breaks a rule.
    #[error("the statement's parts break a rule: {0}; its maker must send the statement as it was signed")]
    Parts(&'static str),
    /// A part's message is not canonical.
    #[error("the part {part} is not as documented: {source}")]
    Canonical {
        /// Name of the part.
        part: &'static str,
        /// What is wrong with its bytes.
        source: CanonicalError,
    },
    /// A text part breaks a rule.
    #[error("the part {part} is no acceptable text: {why}; its maker must refuse such text when it is given")]
    Text {
        /// Name of the part.
        part: &'static str,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The kind and the rest do not go together.
    #[error("a statement {kind:?} {why}; its maker must follow the table of kinds")]
    Shape {
        /// Kind of the statement.
        kind: Kind,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The core is of a version or kind that is not known here.
    #[error("the statement is of a format or kind that this program does not know ({0}); upgrade whoever is behind")]
    Unknown(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::root_of;

    #[test]
    fn the_small_root_is_the_tree_root() {
        let hashes: Vec<Hash> = (0..10u8).map(|i| [i; 32]).collect();
        for count in 0..=hashes.len() {
            assert_eq!(root_over(&hashes[..count]), root_of(&hashes[..count]));
        }
    }

    #[test]
    fn tags_and_numbers_agree() {
        for (at, tag) in Tag::ALL.iter().enumerate() {
            assert_eq!(usize::from(tag.number()), at + 1);
            assert_eq!(Tag::from_number(tag.number()), Some(*tag));
        }
        assert_eq!(Tag::from_number(0), None);
        assert_eq!(Tag::from_number(11), None);
    }
}
