//! Reasons on the wire: `google.rpc.Status` with one `google.rpc.ErrorInfo` of domain `jisr`, as
//! <https://google.aip.dev/193> describes it. gRPC carries it in `grpc-status-details-bin`.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use prost::{Message, Name};

use crate::reason::{Party, Reason};

/// The `domain` of our [`ErrorInfo`].
pub const DOMAIN: &str = "jisr";

/// The type URL of [`ErrorInfo`] in a [`Status`].
pub const ERROR_INFO_TYPE: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// The longest detail that is carried, in bytes; statuses travel in HTTP/2 trailers, which peers limit.
const DETAIL_BYTES_MAX: usize = 512;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// gRPC status code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// For programs.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<prost_types::Any>,
}

impl Name for Status {
    const NAME: &'static str = "Status";
    const PACKAGE: &'static str = "google.rpc";
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct ErrorInfo {
    /// Name of the reason.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Whose list the reason is from.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// More about it, by key.
    #[prost(btree_map = "string, string", tag = "3")]
    pub metadata: BTreeMap<String, String>,
}

impl Name for ErrorInfo {
    const NAME: &'static str = "ErrorInfo";
    const PACKAGE: &'static str = "google.rpc";
}

/// A refusal or failure as it is told to whoever asked. Carries nothing about persons: it may end up in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// Who has to act, as seen by whoever tells.
    pub party: Party,
    /// What exactly: names, limits, times. One line; may be empty.
    pub detail: String,
}

impl Fault {
    /// A fault that this process states itself.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Fault {
        Fault {
            reason,
            party: reason.party(),
            detail: one_line(&detail.into()),
        }
    }

    /// A fault that the node at the other end stated; the party is turned to how we see it.
    pub fn by_peer(reason: Reason, detail: impl Into<String>) -> Fault {
        Fault::new(reason, detail).mirrored()
    }

    /// The same fault as the node at the other end sees it.
    #[must_use]
    pub fn mirrored(mut self) -> Fault {
        self.party = self.party.mirrored();
        self
    }

    /// The gRPC status code.
    pub fn code(&self) -> tonic::Code {
        self.reason.code()
    }

    /// What people read: reason, party, rule, detail and remedy in one line.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The bytes of a [`Status`], for `grpc-status-details-bin`.
    pub fn to_status_bytes(&self) -> Bytes {
        let mut metadata = BTreeMap::from([
            ("party".to_owned(), self.party.as_str().to_owned()),
            ("rule".to_owned(), self.reason.rule().to_owned()),
            ("remedy".to_owned(), self.reason.remedy().to_owned()),
        ]);
        if !self.detail.is_empty() {
            metadata.insert("detail".to_owned(), self.detail.clone());
        }
        let info = ErrorInfo {
            reason: self.reason.as_str().to_owned(),
            domain: DOMAIN.to_owned(),
            metadata,
        };
        let details = vec![prost_types::Any {
            type_url: ERROR_INFO_TYPE.to_owned(),
            value: info.encode_to_vec(),
        }];
        Status {
            code: self.code() as i32,
            message: self.message(),
            details,
        }
        .encode_to_vec()
        .into()
    }

    /// Finds our fault in the bytes of a [`Status`]; none if there is none, or its reason is not known to this version.
    pub fn parse(status: &[u8]) -> Option<Fault> {
        let status = Status::decode(status).ok()?;
        let ours = |any: &prost_types::Any| {
            let info = ErrorInfo::decode(any.value.as_slice()).ok()?;
            (info.domain == DOMAIN).then_some(info)
        };
        let info = status
            .details
            .iter()
            .filter(|any| any.type_url == ERROR_INFO_TYPE)
            .find_map(ours)?;
        let mut fault = Fault::new(
            info.reason.parse().ok()?,
            info.metadata.get("detail").cloned().unwrap_or_default(),
        );
        if let Some(party) = info.metadata.get("party") {
            fault.party = party.parse().ok()?;
        }
        Some(fault)
    }

    /// Finds our fault in a status that tonic received.
    pub fn from_tonic(status: &tonic::Status) -> Option<Fault> {
        Fault::parse(status.details())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (to be solved by {}): {}",
            self.reason,
            self.party.words(),
            self.reason.rule()
        )?;
        if !self.detail.is_empty() {
            write!(f, " Detail: {}.", self.detail.trim_end_matches('.'))?;
        }
        write!(f, " Remedy: {}", self.reason.remedy())
    }
}

impl std::error::Error for Fault {}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Fault {
        Fault::new(reason, "")
    }
}

impl From<Fault> for tonic::Status {
    fn from(fault: Fault) -> tonic::Status {
        tonic::Status::with_details(fault.code(), fault.message(), fault.to_status_bytes())
    }
}

/// Details can quote what a stranger sent; they are cut to size, and cannot forge lines in a log.
fn one_line(detail: &str) -> String {
    let mut line = String::new();
    for letter in detail.chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        if line.len() + letter.len_utf8() > DETAIL_BYTES_MAX {
            break;
        }
        line.push(letter);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_wire() {
        for reason in Reason::ALL {
            let fault = Fault::by_peer(*reason, "العميل 17");
            let status = tonic::Status::from(fault.clone());
            assert_eq!(status.code(), reason.code());
            assert_eq!(Fault::from_tonic(&status), Some(fault));
        }
    }

    #[test]
    fn the_message_names_party_rule_detail_and_remedy_in_one_line() {
        let message = Fault::new(Reason::LedgerFull, "0 bytes free\nFAKE LINE").message();
        for part in [
            "LEDGER_FULL",
            "this node",
            Reason::LedgerFull.rule(),
            "0 bytes free",
            Reason::LedgerFull.remedy(),
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains('\n'));
    }

    #[test]
    fn strange_statuses_hold_no_fault() {
        let info = |domain: &str, reason: &str| {
            let info = ErrorInfo {
                reason: reason.into(),
                domain: domain.into(),
                metadata: BTreeMap::new(),
            };
            let any = prost_types::Any {
                type_url: ERROR_INFO_TYPE.into(),
                value: info.encode_to_vec(),
            };
            Status {
                code: 5,
                message: String::new(),
                details: vec![any],
            }
            .encode_to_vec()
        };
        assert!(Fault::parse(&info(DOMAIN, "REPLAYED")).is_some());
        assert_eq!(Fault::parse(&info("example.org", "REPLAYED")), None);
        assert_eq!(Fault::parse(&info(DOMAIN, "FROM_THE_FUTURE")), None);
        assert_eq!(Fault::parse(b""), None);
        assert_eq!(Fault::parse(&[0xff; 40]), None);
    }

    #[test]
    fn a_detail_is_cut_at_a_character() {
        let fault = Fault::new(Reason::Internal, "ش".repeat(5000));
        assert!(fault.detail.len() <= DETAIL_BYTES_MAX && fault.detail.len() > DETAIL_BYTES_MAX - 4);
    }
}
