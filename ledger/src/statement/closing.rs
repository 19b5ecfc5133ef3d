//! Which kinds of statement end an exchange, on which side.

use jisr_proto::statement::Kind;

/// Kinds by which a provider closes an exchange, where they cite the question.
#[must_use]
pub fn closes_at_provider(kind: Kind) -> bool {
    kind == Kind::Answered || ends_without_answer(kind)
}

/// Kinds by which a consumer closes what the provider sealed: they may stand as a receipt.
#[must_use]
pub fn can_receipt(kind: Kind) -> bool {
    matches!(kind, Kind::Delivered | Kind::LateAnswer) || ends_without_answer(kind)
}

/// Kinds that stand on both sides.
fn ends_without_answer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Refused | Kind::Failed | Kind::Cancelled | Kind::NeverReceived | Kind::OutcomeUnknown | Kind::AnswerGone
    )
}
