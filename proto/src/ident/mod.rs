//! Identifiers, parsed in one place (docs/formats.md, Identifiers).
//!
//! | type | text |
//! | --- | --- |
//! | [`Instance`] | `JO` |
//! | [`Code`] | `mol` |
//! | [`Epoch`] | `2026`, `2026-2` |
//! | [`MemberId`] | `JO/GOV/mol` |
//! | [`SubsystemId`] | `JO/GOV/mol/permits` |
//! | [`NodeId`] | `JO/GOV/mol/node/node1` |
//! | [`OfficerId`] | `JO/GOV/mol/officer/rania` |
//! | [`Origin`] | `jisr/JO/GOV/mol/node1/2026`, `jisr/JO/registry/2026` |
//! | [`ServiceName`] | `jo.residency.v1.ResidencePermits` |
//! | [`MethodPath`] | `/jo.residency.v1.ResidencePermits/CheckStatus` |
//! | [`ExchangeId`] | `01932b5e-7c00-7abc-8def-0123456789ab` |
//!
//! A value of one of these types has been checked; nothing needs to check it again. All of them are cheap to clone.

mod exchange;
mod member;
mod names;
mod origin;
mod service;
mod spiffe;
#[cfg(test)]
mod tests;
mod text;

pub use exchange::ExchangeId;
pub use member::{MemberId, NodeId, OfficerId, SubsystemId};
pub use names::{Code, Epoch, Instance};
pub use origin::Origin;
pub use service::{MethodName, MethodPath, ServiceName};

/// Why a text is not the identifier it should be. The message holds the rule and an example, so that whoever wrote the
/// text can correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentError {
    /// Not an instance.
    #[error("{0:?} is not an instance: 2 to 16 of A-Z and 0-9, a letter first, such as JO")]
    Instance(String),
    /// Not a code of a member, subsystem, node or officer.
    #[error(
        "{0:?} is not a code: 1 to 32 of a-z, 0-9 and -, a letter first, no - at the end and no --, such as mol or permits"
    )]
    Code(String),
    /// Not an epoch.
    #[error(
        "{0:?} is not an epoch: a year of four digits, or a year and the number of a later ledger, such as 2026 or 2026-2"
    )]
    Epoch(String),
    /// Not a member.
    #[error("{0:?} is not a member: INSTANCE/CLASS/code, the class 2 to 8 of A-Z, such as JO/GOV/mol")]
    Member(String),
    /// Not a subsystem.
    #[error(
        "{0:?} is not a subsystem: a member and a code, such as JO/GOV/mol/permits; the codes node, officer, subsystem and registry are reserved"
    )]
    Subsystem(String),
    /// Not a node.
    #[error("{0:?} is not a node: a member, the word node and a code, such as JO/GOV/mol/node/node1")]
    Node(String),
    /// Not an officer.
    #[error("{0:?} is not an officer: a member, the word officer and a code, such as JO/GOV/mol/officer/rania")]
    Officer(String),
    /// Not an origin of a ledger.
    #[error(
        "{0:?} is not the origin of a ledger: jisr/MEMBER/NODE-CODE/EPOCH or jisr/INSTANCE/registry/EPOCH, such as jisr/JO/GOV/mol/node1/2026"
    )]
    Origin(String),
    /// Not a service.
    #[error(
        "{0:?} is not a service: the full protobuf name with its package, at most 200 bytes, such as jo.residency.v1.ResidencePermits"
    )]
    Service(String),
    /// Not a method.
    #[error("{0:?} is not a method: a protobuf name of at most 200 bytes, such as CheckStatus")]
    Method(String),
    /// Not a method path.
    #[error(
        "{0:?} is not the path of a gRPC method: /package.Service/Method, such as /jo.residency.v1.ResidencePermits/CheckStatus"
    )]
    Path(String),
    /// Not an exchange id.
    #[error(
        "{0:?} is not an exchange id: a UUID of version 7 (RFC 9562) in lower case, such as 01932b5e-7c00-7abc-8def-0123456789ab"
    )]
    Exchange(String),
    /// Not a SPIFFE id of the kind wanted.
    #[error("{0:?} is not the SPIFFE id of a {1}: its parts are those of the identifier in lower case, such as {2}")]
    Spiffe(String, &'static str, &'static str),
}

/// At most this much of a refused text is repeated in an error, in characters.
const QUOTED_MAX: usize = 120;

/// What an error repeats of a text that was refused.
fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_MAX).collect()
}
