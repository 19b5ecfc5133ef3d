//! Judges one exchange: every claim of either ledger about the other's statements of it.

use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

use super::claims::{Claim, cited_kind, claim, closes};
use super::finding::{About, Difference, Finding, Proof};
use super::sheet::{Final, Pair, Receipt, Sheet, Stood, Terms};
use super::{Direction, Side, Whose};
use crate::tree::Hash;

/// How an exchange without difference stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// The consumer's closing statement cites the provider's.
    Agreed,
    /// The consumer closed it alone.
    Alone,
    /// This side has not closed it, and why that is said.
    Open(Side, &'static str),
}

impl Standing {
    /// Where such an exchange is counted.
    pub(super) fn count(self, direction: &mut Direction) -> &mut u64 {
        match self {
            Self::Agreed => &mut direction.agreed,
            Self::Alone => &mut direction.alone,
            Self::Open(..) => &mut direction.open,
        }
    }
}

/// One exchange.
pub(super) struct One<'s> {
    pub(super) ledgers: &'s [Whose; 2],
    pub(super) sheet: &'s Sheet<'s>,
    pub(super) pair: &'s Pair,
    pub(super) asker: Side,
}

/// What judging one exchange yields.
pub(super) struct Judged {
    /// What is cited that the other's directory is too short for, were it no older copy.
    pub(super) beyond: Option<Finding>,
    /// Differences.
    pub(super) findings: Vec<Finding>,
    /// A statement stands at another place, which in a forked ledger is no difference of its own.
    pub(super) moved: Option<Finding>,
}

impl<'s> One<'s> {
    pub(super) fn about(&self, id: ExchangeId) -> Option<About> {
        let [a, b] = &self.pair.stood;
        let first = a.iter().chain(b).min_by_key(|stood| stood.at_us)?;
        let terms = self.sheet.terms.get(first.terms)?;
        // A call that was refused at home was never meant to arrive.
        if a.iter().chain(b).all(|stood| stood.is_alone) {
            return None;
        }
        Some(About {
            id,
            asker: self.asker,
            at_us: first.at_us,
            service: terms.service.clone(),
            method: terms.method.clone(),
        })
    }

    pub(super) fn judge(&self) -> Judged {
        let mut judged = Judged {
            beyond: None,
            findings: Vec::new(),
            moved: None,
        };
        for holder in Side::BOTH {
            let owner = holder.other();
            let mut claims = Claims::about(owner);
            for stood in holder.of(&self.pair.stood) {
                self.citation(holder, stood, &mut claims);
            }
            for receipt in holder.of(&self.pair.receipts) {
                self.receipt(holder, receipt, &mut claims);
            }
            let Claims {
                lacking,
                invented,
                differs,
                moved,
                beyond,
            } = claims;
            if !beyond.what.is_empty() {
                judged.beyond = Some(beyond);
            }
            if !moved.what.is_empty() {
                judged.moved = Some(moved);
            }
            let own = self.contradictions(holder);
            judged.findings.extend([lacking, invented, differs, own]);
        }
        judged.findings.retain(|finding| !finding.what.is_empty());
        judged
    }

    fn citation(&self, holder: Side, stood: &Stood, claims: &mut Claims) {
        let Some(cites) = stood.cites else { return };
        let owner = holder.other();
        let kind = cited_kind(stood.kind, holder == self.asker);
        let says = format!(
            "{}'s {} (entry {}) cites {} at entry {} of {}",
            holder.as_str(),
            name(stood.kind),
            stood.index,
            name(kind),
            cites.index,
            owner.as_str()
        );
        // Of several statements that cite the same, the first has it with it.
        let same = holder.of(&self.pair.stood).iter().filter_map(|stood| stood.cites);
        let shown = same.filter(|other| (other.index, other.leaf) == (cites.index, cites.leaf));
        let note = shown.filter_map(|other| other.shown).next();
        let proof = Proof {
            holder,
            entry: stood.index,
            record: if cites.shown.is_some() {
                "PEER_STATEMENT"
            } else {
                "PEER"
            },
            leaf: Some((cites.index, cites.leaf)),
            tree_size: cites.tree_size,
            root: cites.root,
            is_signed: note.is_some(),
            cosigned_by: Vec::new(),
            note,
        };
        let fares = claim(
            self.pair,
            owner,
            owner.of(self.ledgers).size,
            (cites.index, cites.leaf),
            kind,
        );
        if let Claim::Holds(other) = fares {
            if other.kind != kind {
                let why = format!("{says}, where {} stands", name(other.kind));
                claims.differs.add(why, None);
            }
            if let Some(field) = self.other_terms(stood, other) {
                let why = format!("{says}, which names another {field}");
                claims.differs.add(why, None);
            }
            return;
        }
        claims.take(fares, says, kind, note.is_some(), self.with_final(holder, proof));
    }

    fn receipt(&self, holder: Side, receipt: &Receipt, claims: &mut Claims) {
        let owner = holder.other();
        let says = format!(
            "{} holds a receipt: {} at entry {} of {}",
            holder.as_str(),
            name(receipt.kind),
            receipt.index,
            owner.as_str()
        );
        let proof = Proof {
            holder,
            entry: receipt.entry,
            record: "RECEIPT",
            leaf: Some((receipt.index, receipt.leaf)),
            tree_size: receipt.tree_size,
            root: Hash::default(),
            is_signed: true,
            cosigned_by: Vec::new(),
            note: Some(receipt.note),
        };
        let size = owner.of(self.ledgers).size;
        let fares = claim(self.pair, owner, size, (receipt.index, receipt.leaf), receipt.kind);
        claims.take(fares, says, receipt.kind, true, self.with_final(holder, proof));
    }

    /// The final proof of the same leaf stands beside what it is about.
    fn with_final(&self, holder: Side, proof: Proof) -> Vec<Proof> {
        let found = proof
            .leaf
            .and_then(|(_, leaf)| *holder.of(&self.sheet.finals).get(&leaf)?);
        let last = found.map(|Final { entry, index, note }| Proof {
            entry,
            record: "PEER_PROOF",
            leaf: proof.leaf.map(|(_, leaf)| (index, leaf)),
            tree_size: 0,
            root: Hash::default(),
            is_signed: true,
            note: Some(note),
            ..proof.clone()
        });
        std::iter::once(proof).chain(last).collect()
    }

    /// The first field in which two statements of one exchange speak of different questions.
    fn other_terms(&self, one: &Stood, other: &Stood) -> Option<&'static str> {
        let (one, other): (&Terms, &Terms) = (self.sheet.terms.get(one.terms)?, self.sheet.terms.get(other.terms)?);
        let fields = [
            ("consumer", one.consumer != other.consumer),
            ("provider", one.provider != other.provider),
            ("provider's node", one.provider_origin != other.provider_origin),
            ("service", one.service != other.service),
            ("method", one.method != other.method),
            ("agreement", one.agreement != other.agreement),
        ];
        fields.into_iter().find_map(|(field, differs)| differs.then_some(field))
    }

    /// What one side's own statements of the exchange say against each other.
    fn contradictions(&self, side: Side) -> Finding {
        let own = side.of(&self.pair.stood);
        let mut finding = Finding::empty(Difference::ExchangeDiffers, side);
        let count = |kind: Kind| own.iter().filter(|stood| stood.kind == kind).count();
        let who = side.as_str();
        for kind in [Kind::Asked, Kind::Received] {
            if count(kind) > 1 {
                finding.add(format!("{who} holds {} {} times", name(kind), count(kind)), None);
            }
        }
        let is_answered = count(Kind::Answered) > 0;
        let closing: Vec<_> = own
            .iter()
            .filter(|stood| closes(stood) && stood.cites.is_some())
            .filter(|stood| !(side != self.asker && is_answered && stood.kind == Kind::AnswerGone))
            .map(|stood| format!("{} (entry {})", name(stood.kind), stood.index))
            .collect();
        if closing.len() > 1 {
            finding.add(format!("{who} closes it more than once: {}", closing.join(", ")), None);
        }
        if side != self.asker && count(Kind::Received) > 0 && count(Kind::NeverReceived) > 0 {
            finding.add(format!("{who} holds both RECEIVED and NEVER_RECEIVED"), None);
        }
        finding
    }

    pub(super) fn standing(&self, is_beyond: Option<Side>) -> Standing {
        if let Some(side) = is_beyond {
            return Standing::Open(side, "what closes it is newer than the directory");
        }
        let (consumer, provider) = (self.asker, self.asker.other());
        let of_consumer = consumer.of(&self.pair.stood);
        let of_provider = provider.of(&self.pair.stood);
        let closing = of_consumer.iter().find(|stood| closes(stood));
        if closing.is_none() {
            return Standing::Open(consumer, "the consumer has not closed it");
        }
        let received = of_provider.iter().any(|stood| stood.kind == Kind::Received);
        if received && !of_provider.iter().any(closes) {
            return Standing::Open(provider, "the provider has not closed it");
        }
        match closing.is_some_and(|stood| stood.cites.is_some()) {
            true => Standing::Agreed,
            false => Standing::Alone,
        }
    }
}

/// What the claims about one ledger come to.
struct Claims {
    lacking: Finding,
    invented: Finding,
    differs: Finding,
    moved: Finding,
    beyond: Finding,
}

impl Claims {
    fn about(owner: Side) -> Self {
        Self {
            lacking: Finding::empty(Difference::ExchangeLacking, owner),
            invented: Finding::empty(Difference::ExchangeInvented, owner.other()),
            differs: Finding::empty(Difference::ExchangeDiffers, owner),
            moved: Finding::empty(Difference::ExchangeDiffers, owner),
            beyond: Finding::empty(Difference::ExchangeLacking, owner),
        }
    }

    /// Takes a claim that does not hold as it stands.
    fn take(&mut self, fares: Claim<'_>, says: String, kind: Kind, is_signed: bool, proofs: Vec<Proof>) {
        let add = |finding: &mut Finding, why: String| {
            finding.what.push(why);
            finding.proofs.extend(proofs.iter().cloned());
        };
        match fares {
            Claim::Holds(_) => {}
            Claim::Beyond => add(&mut self.beyond, format!("{says}; the directory ends before it")),
            Claim::Moved(stood) => add(&mut self.moved, format!("{says}; it stands at entry {}", stood.index)),
            Claim::Other(stood) if is_signed => {
                let why = format!("{says}; another {} stands at entry {}", name(kind), stood.index);
                add(&mut self.differs, why);
            }
            Claim::Lacks if is_signed => add(&mut self.lacking, format!("{says}; it is not there")),
            Claim::Other(_) | Claim::Lacks => {
                add(
                    &mut self.invented,
                    format!("{says}; it is not there, and no seal of it is shown"),
                );
            }
        }
    }
}

impl Finding {
    fn empty(kind: Difference, side: Side) -> Self {
        Self {
            kind,
            side,
            exchange: None,
            what: Vec::new(),
            proofs: Vec::new(),
        }
    }

    fn add(&mut self, what: String, proof: Option<Proof>) {
        self.what.push(what);
        self.proofs.extend(proof);
    }
}

fn name(kind: Kind) -> &'static str {
    kind.as_str_name()
}
