//! What a status says to whoever called: reason, party, rule and remedy, as the list of reasons or the sender has them.

use jisr_proto::reason::Party;
use jisr_proto::status::{DOMAIN, ERROR_INFO_TYPE, ErrorInfo};
use prost::Message;
use serde::Serialize;
use tonic::{Code, Status};

use crate::failure::Failure;
use crate::output::printable;

/// A status that is not OK. Empty texts are not known.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Fault {
    /// gRPC status code by name, `PERMISSION_DENIED`.
    pub(crate) code: &'static str,
    /// Reason from the closed list, `AGREEMENT_EXPIRED`; empty where a backend refused in its own words.
    pub(crate) reason: String,
    /// Who has to act.
    pub(crate) party: String,
    /// The rule that was applied.
    pub(crate) rule: String,
    /// Names, limits, times.
    pub(crate) detail: String,
    /// What to do.
    pub(crate) remedy: String,
    /// The status message as it came.
    pub(crate) message: String,
}

impl Fault {
    /// Reads a status. Texts are taken from the status itself, so that reasons newer than this program are told too.
    pub(crate) fn read(status: &Status) -> Fault {
        let (code, message) = (name(status.code()), status.message().to_owned());
        let Some(mut info) = info(status.details()) else {
            return Fault {
                code,
                message,
                ..Fault::default()
            };
        };
        let mut text = |key: &str| info.metadata.remove(key).unwrap_or_default();
        let (party, rule, detail, remedy) = (text("party"), text("rule"), text("detail"), text("remedy"));
        Fault {
            code,
            reason: info.reason,
            party,
            rule,
            detail,
            remedy,
            message,
        }
    }
}

fn info(details: &[u8]) -> Option<ErrorInfo> {
    let status = jisr_proto::status::Status::decode(details).ok()?;
    let ours = status.details.iter().filter(|any| any.type_url == ERROR_INFO_TYPE);
    ours.filter_map(|any| ErrorInfo::decode(any.value.as_slice()).ok())
        .find(|info| info.domain == DOMAIN)
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        if fault.reason.is_empty() {
            let what = format!("{}: {}", fault.code, printable(&fault.message));
            return Failure::refused(what, "whoever answered", "", remedy(fault.code));
        }
        let detail = if fault.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", fault.detail)
        };
        let what = format!("{} ({}){detail}", fault.reason, fault.code);
        Failure::refused(
            printable(&what),
            party(&fault.party),
            printable(&fault.rule),
            printable(&fault.remedy),
        )
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Fault::read(&status).into()
    }
}

/// The party in words.
fn party(code: &str) -> String {
    let words = match code.parse() {
        Ok(Party::Caller) => "you, the caller",
        Ok(Party::OwnNode) => "the node that answered",
        Ok(Party::Peer) => "the node at the other end",
        Ok(Party::Registry) => "the registry",
        Ok(Party::Backend) => "the provider's backend",
        Err(_) => return printable(code),
    };
    words.to_owned()
}

/// Help where the status brings none.
fn remedy(code: &str) -> &'static str {
    match code {
        "UNAVAILABLE" => "check that the server runs and call again",
        "DEADLINE_EXCEEDED" => "call again, with a longer --timeout if the work takes that long",
        "UNIMPLEMENTED" => "check the name of service and method",
        "INVALID_ARGUMENT" => "correct the request",
        _ => "ask whoever runs the service, with the exchange id if there is one",
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_proto::reason::Reason;

    #[test]
    fn a_refusal_names_reason_party_rule_and_remedy() {
        let told = jisr_proto::status::Fault::new(Reason::UnknownService, "jo.example.v1.Nothing");
        let failure = Failure::from(Status::from(told));
        assert_eq!(failure.code(), crate::failure::REFUSED);
        let text = failure.explain();
        let parts = [
            "UNKNOWN_SERVICE",
            "the caller",
            Reason::UnknownService.rule(),
            Reason::UnknownService.remedy(),
        ];
        for part in parts.into_iter().chain(["jo.example.v1.Nothing"]) {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_status_in_the_backends_own_words_is_told_as_it_is() {
        let fault = Fault::read(&Status::invalid_argument("no such\u{1b}[2J number"));
        assert_eq!((fault.code, fault.reason.as_str()), ("INVALID_ARGUMENT", ""));
        let text = Failure::from(fault).explain();
        assert!(
            text.contains("no such [2J number") && !text.contains('\u{1b}'),
            "{text:?}"
        );
    }

    #[test]
    fn garbage_in_the_details_is_ignored() {
        let status = Status::with_details(Code::Aborted, "x", bytes::Bytes::from_static(&[0xff; 20]));
        assert_eq!(Fault::read(&status).reason, "");
    }
}
