//! Judges one exchange: every claim of either ledger about the other's statements of it.

use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;

use super::claims::{Claim, cited_kind, claim, closes};
use super::finding::{About, Difference, Finding, Proof};
use super::sheet::{Final, Pair, Receipt, Sheet, Stood, Terms};
use super::{Side, Whose};
use crate::tree::Hash;

/// How an exchange without difference stands.
pub(super) enum Standing {
    Agreed,
    Alone,
    Open(Side, &'static str),
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
    /// Something is cited that the other's directory is too short for.
    pub(super) is_beyond: Option<Side>,
    /// Findings, and whether they say only that a statement stands at another place.
    pub(super) findings: Vec<(bool, Finding)>,
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
            is_beyond: None,
            findings: Vec::new(),
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
            if claims.is_beyond {
                judged.is_beyond = Some(owner);
            }
            let Claims {
                lacking,
                invented,
                differs,
                moved,
                ..
            } = claims;
            judged
                .findings
                .extend([lacking, invented, differs].map(|finding| (false, finding)));
            judged.findings.push((true, moved));
            judged.findings.push((false, self.contradictions(holder)));
        }
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
            is_signed: cites.shown.is_some(),
            cosigned_by: Vec::new(),
            note: cites.shown,
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
        let is_signed = cites.shown.is_some();
        claims.take(fares, says, kind, is_signed, self.with_final(holder, proof));
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
    is_beyond: bool,
}

impl Claims {
    fn about(owner: Side) -> Self {
        Self {
            lacking: Finding::empty(Difference::ExchangeLacking, owner),
            invented: Finding::empty(Difference::ExchangeInvented, owner.other()),
            differs: Finding::empty(Difference::ExchangeDiffers, owner),
            moved: Finding::empty(Difference::ExchangeDiffers, owner),
            is_beyond: false,
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
            Claim::Beyond => self.is_beyond = true,
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
