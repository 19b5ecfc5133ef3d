//! One question: its metadata, and what came back.

use jisr_proto::status::Fault;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

use crate::agency::Agency;
use crate::demo::network::PURPOSE;

use super::answers::Finding;

/// The legal duty that public bodies name with each question.
pub(in crate::demo) const DUTY: &str = "Labour Law No. 8 of 1996";

/// How an exchange ended, as the application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum Outcome {
    /// The provider's backend answered, even if it answered that it knows nothing.
    Answered,
    /// A node refused for right or content.
    Refused,
    /// Something did not work.
    Failed,
}

impl Outcome {
    /// The word in `summary.json`.
    pub(in crate::demo) fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// An exchange that was tried.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Exchange {
    /// Exchange id as the node tells it; empty if it told none.
    pub(in crate::demo) id: String,
    /// Who was asked.
    pub(in crate::demo) provider: Agency,
    /// Service and method.
    pub(in crate::demo) method: &'static str,
    /// What for.
    pub(in crate::demo) purpose: &'static str,
    /// How it ended.
    pub(in crate::demo) outcome: Outcome,
    /// Reason of a refusal or failure; empty for an answer.
    pub(in crate::demo) reason: String,
    /// For people.
    pub(in crate::demo) answer: String,
}

/// A question of the Ministry of Labour.
pub(super) struct Question<'a> {
    pub(super) provider: Agency,
    pub(super) method: &'static str,
    pub(super) case: &'a str,
}

impl Question<'_> {
    /// The message with the metadata that types cannot say, percent-encoded.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let case = self.case.replace('/', "%2F");
        let said = [
            ("jisr-purpose", PURPOSE),
            ("jisr-case", &case),
            ("jisr-officer", "rania"),
            ("jisr-duty", DUTY),
        ];
        for (key, value) in said {
            request
                .metadata_mut()
                .insert(key, value.parse().expect("printable ASCII"));
        }
        request
    }

    /// What came back, and what the ministry reads in it.
    pub(super) fn answered<T>(
        &self,
        reply: Result<Response<T>, Status>,
        read: impl FnOnce(&T) -> Finding,
    ) -> (Exchange, Finding) {
        let (metadata, outcome, reason, finding) = match &reply {
            Ok(response) => (
                response.metadata(),
                Outcome::Answered,
                String::new(),
                read(response.get_ref()),
            ),
            Err(status) => self.not_ok(status),
        };
        let exchange = Exchange {
            id: exchange_id(metadata),
            provider: self.provider,
            method: self.method,
            purpose: PURPOSE,
            outcome,
            reason,
            answer: finding.text.clone(),
        };
        (exchange, finding)
    }

    /// A status that a node made carries a reason of ours; any other one is the backend's own answer.
    fn not_ok<'s>(&self, status: &'s Status) -> (&'s MetadataMap, Outcome, String, Finding) {
        match Fault::parse(status.details()) {
            Some(fault) => {
                let finding = Finding::bad(format!("refused: {}", fault.reason.as_str()));
                (
                    status.metadata(),
                    outcome(status.code()),
                    fault.reason.as_str().to_owned(),
                    finding,
                )
            }
            None if status.code() == Code::NotFound => {
                let finding = Finding::bad(format!("not known to {}", self.provider));
                (status.metadata(), Outcome::Answered, String::new(), finding)
            }
            None => {
                let text = format!("{:?}: {}", status.code(), status.message());
                (
                    status.metadata(),
                    Outcome::Failed,
                    format!("{:?}", status.code()),
                    Finding::bad(text),
                )
            }
        }
    }
}

/// Refused are questions that were wrong or not allowed; what is down or broken fails.
fn outcome(code: Code) -> Outcome {
    match code {
        Code::PermissionDenied
        | Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Unauthenticated
        | Code::Unimplemented => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

fn exchange_id(metadata: &MetadataMap) -> String {
    metadata
        .get("jisr-exchange-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_proto::reason::Reason;

    const QUESTION: Question<'_> = Question {
        provider: Agency::Psd,
        method: "a.B/C",
        case: "2026/1",
    };

    fn ended(status: Status) -> Exchange {
        QUESTION
            .answered(Err::<Response<()>, _>(status), |()| Finding::good(String::new()))
            .0
    }

    #[test]
    fn a_node_s_refusal_a_backend_s_no_and_a_failure_are_told_apart() {
        let fault = Fault::new(Reason::MethodNotAgreed, "");
        let refused = ended(Status::with_details(
            fault.code(),
            fault.message(),
            fault.to_status_bytes(),
        ));
        assert_eq!(
            (refused.outcome, refused.reason.as_str()),
            (Outcome::Refused, "METHOD_NOT_AGREED")
        );
        let unknown = ended(Status::not_found("nobody"));
        assert_eq!((unknown.outcome, unknown.reason.as_str()), (Outcome::Answered, ""));
        assert_eq!(ended(Status::unavailable("gone")).outcome, Outcome::Failed);
    }

    #[test]
    fn metadata_is_percent_encoded() {
        let request = QUESTION.request(());
        assert_eq!(request.metadata().get("jisr-case").unwrap(), "2026%2F1");
    }
}
