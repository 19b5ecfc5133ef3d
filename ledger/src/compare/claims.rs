//! One claim: what a ledger says stands in the other, and whether it does.

use jisr_proto::statement::Kind;

use super::Side;
use super::sheet::{Pair, Stood};
use crate::tree::Hash;

/// How a claim fares.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim<'p> {
    /// The statement stands where it is said to stand.
    Holds(&'p Stood),
    /// It stands elsewhere.
    Moved(&'p Stood),
    /// The directory ends before that place.
    Beyond,
    /// Another statement of the same kind stands in the exchange.
    Other(&'p Stood),
    /// Nothing of the kind stands there.
    Lacks,
}

/// Compares a claim about the ledger of `owner`, of `size` statements, with what it holds of the exchange.
pub(super) fn claim(pair: &Pair, owner: Side, size: u64, (index, leaf): (u64, Hash), kind: Kind) -> Claim<'_> {
    let own = owner.of(&pair.stood);
    match own.iter().find(|stood| stood.leaf == leaf) {
        Some(stood) if stood.index == index => Claim::Holds(stood),
        Some(stood) => Claim::Moved(stood),
        None if index >= size => Claim::Beyond,
        None => match own.iter().find(|stood| stood.kind == kind) {
            Some(stood) => Claim::Other(stood),
            None => Claim::Lacks,
        },
    }
}

/// What a statement of this kind cites.
pub(super) fn cited_kind(kind: Kind, by_consumer: bool) -> Kind {
    match kind {
        Kind::Delivered | Kind::LateAnswer => Kind::Answered,
        kind if by_consumer => kind,
        _ => Kind::Asked,
    }
}

/// Whether a statement ends the exchange on its side.
pub(super) fn closes(stood: &Stood) -> bool {
    let opens_or_follows = matches!(stood.kind, Kind::Asked | Kind::Received | Kind::LateAnswer);
    !opens_or_follows && !stood.is_alone && !stood.is_repeat
}
