//! Which kinds of statement end an exchange, on which side.

use jisr_proto::statement::Kind;

/// Kinds by which a provider closes an exchange, where they cite the question.
#[must_use]
pub fn closes_at_provider(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Answered
            | Kind::Refused
            | Kind::Failed
            | Kind::Cancelled
            | Kind::NeverReceived
            | Kind::OutcomeUnknown
            | Kind::AnswerGone
    )
}

/// Kinds by which a consumer closes what the provider sealed: they may stand as a receipt.
#[must_use]
pub fn can_receipt(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Delivered
            | Kind::LateAnswer
            | Kind::Refused
            | Kind::Failed
            | Kind::Cancelled
            | Kind::NeverReceived
            | Kind::OutcomeUnknown
            | Kind::AnswerGone
    )
}
