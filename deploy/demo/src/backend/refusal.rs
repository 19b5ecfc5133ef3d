//! What a backend answers when it cannot answer: standard status codes, with an `ErrorInfo` for programs and an Arabic
//! `LocalizedMessage` for people (<https://google.aip.dev/193>).

use jisr_proto::status::{ERROR_INFO_TYPE, ErrorInfo, Status as RichStatus};
use prost::Message;
use tonic::{Code, Status};

/// Domain of the reasons below.
const DOMAIN: &str = "jo";

/// `google.rpc.LocalizedMessage`.
#[derive(Clone, PartialEq, Message)]
struct LocalizedMessage {
    /// BCP 47.
    #[prost(string, tag = "1")]
    locale: String,
    /// For people.
    #[prost(string, tag = "2")]
    message: String,
}

/// Why a call is not answered. The texts say nothing about the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The register has no such person.
    #[error("the person is not known here")]
    PersonUnknown,
    /// The person is known, the thing asked for is not there.
    #[error("there is no such permit")]
    NoPermit,
    /// No such company.
    #[error("there is no company with this number")]
    CompanyUnknown,
    /// Several people fit.
    #[error("the description fits more than one person: add the travel document")]
    Ambiguous,
    /// A field is missing or malformed; which one and why.
    #[error("field {0}: {1}")]
    Field(&'static str, &'static str),
    /// The register keeps no pseudonyms of this sector.
    #[error("pseudonyms are not kept here: name the person by personal number or travel document")]
    NoPseudonyms,
    /// A method with effects was called past the node.
    #[error("metadata jisr-exchange-id is missing: this method is called through a node")]
    NoExchange,
    /// The exchange id was used for another request.
    #[error("this exchange was another request")]
    OtherRequest,
    /// The permit was cancelled.
    #[error("a cancelled permit is not renewed")]
    PermitCancelled,
    /// The register failed; the log says how.
    #[error("the register cannot be read at the moment")]
    Register,
}

impl Refusal {
    fn parts(&self) -> (Code, &'static str, &'static str) {
        match self {
            Self::PersonUnknown => (Code::NotFound, "PERSON_UNKNOWN", "الشخص غير معروف لدينا"),
            Self::NoPermit => (Code::NotFound, "NO_PERMIT", "لا يوجد إذن أو تصريح بهذا الوصف"),
            Self::CompanyUnknown => (Code::NotFound, "COMPANY_UNKNOWN", "لا توجد شركة بهذا الرقم"),
            Self::Ambiguous => (
                Code::FailedPrecondition,
                "PERSON_AMBIGUOUS",
                "ينطبق الوصف على أكثر من شخص، فأضف وثيقة السفر",
            ),
            Self::Field(..) => (Code::InvalidArgument, "FIELD_INVALID", "حقل ناقص أو غير صحيح"),
            Self::NoPseudonyms => (
                Code::InvalidArgument,
                "PSEUDONYM_NOT_KEPT",
                "لا تُحفظ هنا أسماء مستعارة، فاستعمل الرقم أو وثيقة السفر",
            ),
            Self::NoExchange => (
                Code::FailedPrecondition,
                "EXCHANGE_MISSING",
                "تُستدعى هذه الخدمة عبر العقدة فقط",
            ),
            Self::OtherRequest => (
                Code::FailedPrecondition,
                "EXCHANGE_REUSED",
                "رقم التبادل مستعمل لطلب آخر",
            ),
            Self::PermitCancelled => (Code::FailedPrecondition, "PERMIT_CANCELLED", "لا يُجدد تصريح ملغى"),
            Self::Register => (Code::Internal, "REGISTER_FAILED", "تعذرت قراءة السجل حاليًا"),
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "the register failed");
        Self::Register
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason, arabic) = refusal.parts();
        let info = ErrorInfo {
            reason: reason.to_owned(),
            domain: DOMAIN.to_owned(),
            ..ErrorInfo::default()
        };
        let localized = LocalizedMessage {
            locale: "ar-JO".to_owned(),
            message: arabic.to_owned(),
        };
        let any = |type_url: &str, value| prost_types::Any {
            type_url: type_url.to_owned(),
            value,
        };
        let rich = RichStatus {
            code: code as i32,
            message: refusal.to_string(),
            details: vec![
                any(ERROR_INFO_TYPE, info.encode_to_vec()),
                any(
                    "type.googleapis.com/google.rpc.LocalizedMessage",
                    localized.encode_to_vec(),
                ),
            ],
        };
        Self::with_details(code, refusal.to_string(), rich.encode_to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_programs_and_people() {
        let status = Status::from(Refusal::PersonUnknown);
        assert_eq!(status.code(), Code::NotFound);
        let rich = RichStatus::decode(status.details()).unwrap();
        let info = ErrorInfo::decode(rich.details[0].value.as_slice()).unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("PERSON_UNKNOWN", "jo"));
        let localized = LocalizedMessage::decode(rich.details[1].value.as_slice()).unwrap();
        assert_eq!(localized.locale, "ar-JO");
    }
}
