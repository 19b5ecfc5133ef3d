//! Why the registry refuses a request: a reason of the closed list and what exactly. Becomes a gRPC status at the doors only.

use jisr_proto::annotations::SchemaError;
use jisr_proto::canonical::CanonicalError;
use jisr_proto::ident::IdentError;
use jisr_proto::reason::{Party, Reason};
use jisr_proto::status::Fault;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// The rule.
    pub reason: Reason,
    /// Names, limits, times.
    pub detail: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            detail: detail.into(),
        }
    }

    /// A field of the request that is not of its form.
    pub fn invalid(detail: impl Into<String>) -> Refusal {
        Refusal::new(Reason::RequestInvalid, detail)
    }

    /// The refusal as its caller sees it. Parties are named as in statements of a node; here the own side is the
    /// registry, and the other side whoever called.
    pub fn fault(self) -> Fault {
        let mut fault = Fault::new(self.reason, self.detail);
        fault.party = match fault.party {
            Party::OwnNode => Party::Registry,
            Party::Peer => Party::Caller,
            party => party,
        };
        fault
    }
}

impl From<IdentError> for Refusal {
    fn from(error: IdentError) -> Refusal {
        Refusal::invalid(error.to_string())
    }
}

impl From<CanonicalError> for Refusal {
    fn from(error: CanonicalError) -> Refusal {
        Refusal::invalid(error.to_string())
    }
}

impl From<SchemaError> for Refusal {
    fn from(error: SchemaError) -> Refusal {
        let fault = Fault::from(error);
        Refusal::new(fault.reason, fault.detail)
    }
}
