//! Fewer cosignatures: as many as evidence of one exchange needs, and some to spare.

use super::{Known, Parties, Policy};
use crate::note::{Signature, SignedNote};
use bytes::Bytes;
use jisr_proto::ident::Origin;
use std::collections::HashSet;

/// Operators whose cosignatures are kept where no class needs as many.
const OPERATORS_KEPT: usize = 3;

/// A line that could be kept, in the order in which that is done: the anchor's witnesses first, whom every verifier of the network
/// knows; then operators beyond both parties; then who cosigned first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'n> {
    is_snapshots: bool,
    is_party: bool,
    time_s: u64,
    name: &'n str,
    operator: &'n str,
}

/// What is done with a line.
enum Line<'n> {
    /// The ledger's own signature, or whoever is not known.
    Stays,
    /// The word of a known witness that does not count for this ledger.
    Goes,
    /// That of one that counts.
    Counts(Rank<'n>),
}

impl Policy {
    /// A checkpoint's note with the cosignatures of at most 3 operators, or of one more than any class needs: of those that count,
    /// the anchor's witnesses first, then operators beyond both parties. Whoever is not known stays: another anchor may name him.
    /// A note that does not parse stays as it is.
    #[must_use]
    pub fn with_fewer(&self, note: &Bytes, ledger: &Origin, parties: Option<&Parties>) -> Bytes {
        let Ok(parsed) = SignedNote::parse(note) else {
            return note.clone();
        };
        let signatures = parsed.signatures.iter();
        let judged: Vec<Line<'_>> = signatures.map(|line| self.judge(line, ledger, parties)).collect();
        let mut ordered: Vec<&Rank<'_>> = judged.iter().filter_map(Line::rank).collect();
        ordered.sort_unstable();
        let mut operators = HashSet::new();
        let kept: HashSet<&str> = ordered
            .into_iter()
            .filter(|rank| operators.insert(rank.operator))
            .take(self.kept())
            .map(|rank| rank.name)
            .collect();
        let head = parsed.text.len() + 1;
        let (text, lines) = note.split_at_checked(head).unwrap_or((note, &[]));
        let mut few = text.to_vec();
        for (line, judged) in lines.split_inclusive(|byte| *byte == b'\n').zip(&judged) {
            let stays = match judged {
                Line::Stays => true,
                Line::Goes => false,
                Line::Counts(rank) => kept.contains(rank.name),
            };
            if stays {
                few.extend_from_slice(line);
            }
        }
        few.into()
    }

    fn kept(&self) -> usize {
        let quorum = &self.quorum;
        let needed = [quorum.routine, quorum.standard, quorum.high, quorum.registry];
        let most = needed.into_iter().max().unwrap_or_default();
        let one_more = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
        OPERATORS_KEPT.max(one_more)
    }

    fn judge<'n>(&'n self, line: &Signature<'n>, ledger: &Origin, parties: Option<&Parties>) -> Line<'n> {
        let is_key = |known: &&Known| known.key(line.name).is_some_and(|key| key.id() == line.id);
        let mut of_name = self.known.get(line.name).into_iter().flatten();
        let Some(known) = of_name.find(is_key) else {
            return Line::Stays;
        };
        let owner = ledger.operator();
        if *known.operator == *owner || (!known.anchored && owner == self.registry) {
            return Line::Goes;
        }
        let Some((time, _)) = line.bytes.split_first_chunk::<8>() else {
            return Line::Goes;
        };
        Line::Counts(Rank {
            is_snapshots: !known.anchored,
            is_party: parties.is_some_and(|parties| parties.is_one(&known.operator)),
            time_s: u64::from_be_bytes(*time),
            name: line.name,
            operator: &known.operator,
        })
    }
}

impl<'n> Line<'n> {
    fn rank(&self) -> Option<&Rank<'n>> {
        match self {
            Self::Counts(rank) => Some(rank),
            Self::Stays | Self::Goes => None,
        }
    }
}
