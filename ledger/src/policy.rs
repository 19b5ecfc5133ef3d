//! Whose cosignatures count, and how many are enough: the anchor's witnesses, and those that proven snapshots list
//! (docs/formats.md, Quorum).

mod few;

use crate::{
    anchor::{Anchor, Quorum, QuorumClass},
    note::{Computed, KeyType, NoteError, SignedNote, VerifierKey, Verifies, cosigned_message},
    snapshot::Listed,
};
use jisr_proto::{
    ident::{MemberId, NodeId, Origin, SubsystemId},
    statement::Core,
};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, OnceLock},
};

/// A witness's word, and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignedBy {
    /// Name of the witness's key.
    pub name: String,
    /// Member that runs the witness, or `JO/registry`.
    pub operator: String,
    /// When, seconds since 1970-01-01T00:00:00Z by the witness's clock.
    pub time_s: u64,
}

/// Who cosigned a checkpoint, and whether that is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Cosignatures of witnesses that count for this ledger.
    pub by: Vec<CosignedBy>,
    /// Different operators among them, never the ledger's own.
    pub operators: u32,
    /// Operators needed.
    pub needed: u32,
    /// The class is HIGH, and no operator beyond the registry and both parties is among them.
    pub none_beyond: bool,
}

impl Cosigned {
    /// Whether the quorum is reached.
    #[must_use]
    pub fn is_quorum(&self) -> bool {
        self.operators >= self.needed && !self.none_beyond
    }

    /// When the first of them cosigned, microseconds since 1970-01-01T00:00:00Z; none if nobody did.
    #[must_use]
    pub fn first_us(&self) -> Option<u64> {
        let first = self.by.iter().map(|by| by.time_s).min()?;
        Some(first.saturating_mul(1_000_000))
    }
}

impl fmt::Display for Cosigned {
    /// The operators and how many are needed: `2 of 1 operators (JO/GOV/psd, JO/registry)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<&str> = self.by.iter().map(|by| by.operator.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        write!(f, "{} operators, {} needed", self.operators, self.needed)?;
        if !names.is_empty() {
            write!(f, " ({})", names.join(", "))?;
        }
        if self.none_beyond {
            f.write_str(", none of them beyond the registry and both parties")?;
        }
        Ok(())
    }
}

/// The members of an exchange's consumer and provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Who asked.
    pub consumer: MemberId,
    /// Who was asked.
    pub provider: MemberId,
}

impl Parties {
    /// The parties that a statement of an exchange names; none where it is no such statement.
    #[must_use]
    pub fn of(core: &Core) -> Option<Self> {
        let member = |subsystem: &str| Some(subsystem.parse::<SubsystemId>().ok()?.member());
        Some(Self {
            consumer: member(&core.consumer)?,
            provider: member(&core.provider)?,
        })
    }

    fn is_one(&self, operator: &str) -> bool {
        self.consumer.as_str() == operator || self.provider.as_str() == operator
    }
}

/// A witness key and who answers for it. The key is decoded when a signature by it is first met.
#[derive(Clone, Debug)]
struct Known {
    raw: [u8; 32],
    key: OnceLock<Option<VerifierKey>>,
    operator: Arc<str>,
    /// The anchor names it, not only a snapshot.
    anchored: bool,
}

/// Whose cosignatures count, and how many operators must have given theirs. Made of an anchor, which is trusted, and of
/// snapshots, which the caller has verified up to it. Where the anchor names a witness, its key is the only one of that name.
/// For the registry's own ledger only the anchor's witnesses count: otherwise the registry would name who vouches for it.
#[derive(Clone, Debug)]
pub struct Policy {
    quorum: Quorum,
    registry: String,
    known: HashMap<String, Vec<Known>>,
}

impl Policy {
    /// The anchor's witnesses and quorum, and nobody else.
    #[must_use]
    pub fn new(anchor: &Anchor) -> Self {
        let mut policy = Self {
            quorum: anchor.quorum,
            registry: anchor.instance.registry(),
            known: HashMap::new(),
        };
        for witness in &anchor.witnesses {
            policy.add(witness.key.name(), witness.key.raw(), &witness.operator, true);
        }
        policy
    }

    /// Adds the witnesses that these rows of a snapshot list: its witnesses, and the witness of each of its nodes, which the node's
    /// member operates. The caller has verified that they stand in it. Rows that break a rule are passed over.
    pub fn learn(&mut self, snapshot: &Listed) {
        for witness in &snapshot.witnesses {
            let is_member = || witness.operator.parse::<MemberId>().is_ok();
            if let Ok(raw) = witness.key.as_ref().try_into()
                && (witness.operator == self.registry || is_member())
            {
                self.add(&witness.name, raw, &witness.operator, false);
            }
        }
        for node in &snapshot.nodes {
            if let (Ok(id), Ok(raw)) = (node.id.parse::<NodeId>(), node.witness_key.as_ref().try_into()) {
                self.add(&id.witness_name(), raw, id.member().as_str(), false);
            }
        }
    }

    fn add(&mut self, name: &str, raw: [u8; 32], operator: &str, anchored: bool) {
        let of_name = self.known.entry(name.to_owned()).or_default();
        let is_settled = of_name
            .iter()
            .any(|known| (known.anchored && !anchored) || (known.raw == raw && &*known.operator == operator));
        if !is_settled {
            of_name.push(Known {
                raw,
                key: OnceLock::new(),
                operator: operator.into(),
                anchored,
            });
        }
    }

    /// How many operators a class needs.
    #[must_use]
    pub fn needed(&self, class: QuorumClass) -> u32 {
        self.quorum.of(class)
    }

    /// Who cosigned a checkpoint of `ledger`, and whether that is enough for the class. Where an exchange is in question its
    /// parties are given, and HIGH needs an operator beyond them and the registry. A witness counts where its operator is not
    /// the ledger's own; two witnesses of one operator count once.
    ///
    /// # Errors
    /// The note is malformed, or the cosignature of a known witness, even of one that does not count, stands there twice or
    /// does not hold.
    pub fn cosigned(
        &self,
        note: &[u8],
        ledger: &Origin,
        class: QuorumClass,
        parties: Option<&Parties>,
    ) -> Result<Cosigned, NoteError> {
        self.cosigned_with(note, ledger, class, parties, &Computed)
    }

    /// As [`Policy::cosigned`], the signatures checked by `check`.
    pub(crate) fn cosigned_with(
        &self,
        note: &[u8],
        ledger: &Origin,
        class: QuorumClass,
        parties: Option<&Parties>,
        check: &impl Verifies,
    ) -> Result<Cosigned, NoteError> {
        let note = SignedNote::parse(note)?;
        let own = ledger.operator();
        let of_registry = own == self.registry;
        let mut by = Vec::new();
        for (name, time_s, known) in self.lines(&note, check)? {
            if *known.operator != *own && (known.anchored || !of_registry) {
                by.push(CosignedBy {
                    name,
                    operator: known.operator.to_string(),
                    time_s,
                });
            }
        }
        let operators: BTreeSet<&str> = by.iter().map(|by| by.operator.as_str()).collect();
        let none_beyond = class == QuorumClass::High
            && parties.is_some_and(|parties| {
                let is_beyond = |operator: &&str| **operator != *self.registry && !parties.is_one(operator);
                !operators.iter().any(is_beyond)
            });
        let operators = u32::try_from(operators.len()).unwrap_or(u32::MAX);
        Ok(Cosigned {
            by,
            operators,
            needed: self.needed(class),
            none_beyond,
        })
    }

    /// The lines by known keys, each verified.
    fn lines(&self, note: &SignedNote<'_>, check: &impl Verifies) -> Result<Vec<(String, u64, &Known)>, NoteError> {
        let mut found: Vec<(String, u64, &Known)> = Vec::new();
        for line in &note.signatures {
            let same_name = self.known.get(line.name).map(Vec::as_slice).unwrap_or_default();
            let Some((key, known)) = same_name.iter().find_map(|known| {
                let key = known.key(line.name).filter(|key| key.id() == line.id)?;
                Some((key, known))
            }) else {
                continue;
            };
            if found
                .iter()
                .any(|(name, _, other)| name == line.name && other.raw == known.raw)
            {
                return Err(NoteError::Duplicate(line.name.to_owned()));
            }
            let bad = || NoteError::BadSignature(line.name.to_owned());
            let (time, signature) = line.bytes.split_first_chunk::<8>().ok_or_else(bad)?;
            let time_s = u64::from_be_bytes(*time);
            if !check.holds(key, cosigned_message(note.text, time_s).as_bytes(), signature) {
                return Err(bad());
            }
            found.push((line.name.to_owned(), time_s, known));
        }
        Ok(found)
    }
}

impl Known {
    /// The key under its name; none where it is no key.
    fn key(&self, name: &str) -> Option<&VerifierKey> {
        let key = self.key.get_or_init(|| VerifierKey::new_witness(name, self.raw).ok());
        key.as_ref().filter(|key| key.key_type() == KeyType::Cosignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        anchor::AnchorWitness,
        note::{
            self, Checkpoint,
            tests::{pair, raw, seal_key, signed},
        },
    };
    use bytes::Bytes;
    use jisr_proto::snapshot::{Node, Witness};

    const LEDGER: &str = "jisr/JO/GOV/mol/node1/2026";
    const REGISTRY: &str = "jisr/JO/registry/2026";

    /// The registry's witness stands in the anchor; the snapshot lists it with another key, an audit office, two nodes of mol
    /// and psd, and rows that are none.
    fn policy() -> Policy {
        let anchor = Anchor {
            instance: "JO".parse().expect("good"),
            root: [0xab; 32],
            registry_origin: REGISTRY.parse().expect("good"),
            registry_key: seal_key(1, REGISTRY),
            snapshot_key: seal_key(2, "jisr/JO/snapshot"),
            witnesses: vec![AnchorWitness {
                key: VerifierKey::new_witness("jisr/JO/registry/witness", raw(&pair(3))).expect("good"),
                operator: "JO/registry".into(),
            }],
            quorum: Quorum {
                routine: 1,
                standard: 1,
                high: 1,
                registry: 1,
            },
            time_stamps: Vec::new(),
        };
        let witness = |seed: u8, name: &str, operator: &str| Witness {
            name: name.into(),
            key: raw(&pair(seed)).to_vec().into(),
            operator: operator.into(),
        };
        let node = |seed: u8, id: &str| Node {
            id: id.into(),
            witness_key: raw(&pair(seed)).to_vec().into(),
            ..Node::default()
        };
        anchor.with(&Listed {
            witnesses: vec![
                witness(9, "jisr/JO/registry/witness", "JO/GOV/aud"),
                witness(6, "audit.example/witness", "JO/GOV/aud"),
                witness(7, "stranger.example/witness", "nobody"),
            ],
            nodes: vec![
                node(4, "JO/GOV/mol/node/node1"),
                node(5, "JO/GOV/psd/node/node1"),
                node(8, "no node"),
            ],
            ..Listed::default()
        })
    }

    fn cosigned_by(origin: &str, witnesses: &[(u8, &str)]) -> Vec<u8> {
        let checkpoint = Checkpoint {
            origin: origin.into(),
            size: 1,
            root: [0; 32],
        };
        let text = checkpoint.text();
        let mut note = signed(&text, 20, origin);
        for (seed, name) in witnesses {
            let mut signature = 7u64.to_be_bytes().to_vec();
            signature.extend_from_slice(pair(*seed).sign(cosigned_message(&text, 7).as_bytes()).as_ref());
            let key = VerifierKey::new_witness(name, raw(&pair(*seed))).expect("good");
            note.extend_from_slice(note::signature_line(&key, &signature).as_bytes());
        }
        note
    }

    fn judged(origin: &str, class: QuorumClass, witnesses: &[(u8, &str)]) -> Cosigned {
        let parties = Parties {
            consumer: "JO/GOV/mol".parse().expect("good"),
            provider: "JO/GOV/psd".parse().expect("good"),
        };
        let note = cosigned_by(origin, witnesses);
        let origin = origin.parse().expect("good");
        policy()
            .cosigned(&note, &origin, class, Some(&parties))
            .expect("all hold")
    }

    #[test]
    fn snapshots_add_witnesses_but_never_for_the_ledgers_own_member() {
        let by = |name| judged(LEDGER, QuorumClass::Standard, &[name]);
        assert!(!by((4, "jisr/JO/GOV/mol/node1/witness")).is_quorum());
        assert!(by((5, "jisr/JO/GOV/psd/node1/witness")).is_quorum());
        assert!(by((6, "audit.example/witness")).is_quorum());
        assert!(by((3, "jisr/JO/registry/witness")).is_quorum());
        assert!(!by((7, "stranger.example/witness")).is_quorum());
        assert_eq!(by((6, "audit.example/witness")).first_us(), Some(7_000_000));
    }

    #[test]
    fn the_anchors_key_is_the_only_one_of_its_name() {
        assert!(!judged(LEDGER, QuorumClass::Standard, &[(9, "jisr/JO/registry/witness")]).is_quorum());
    }

    #[test]
    fn the_registry_does_not_name_who_vouches_for_it() {
        let by = [(6, "audit.example/witness"), (5, "jisr/JO/GOV/psd/node1/witness")];
        assert_eq!(judged(REGISTRY, QuorumClass::Registry, &by).operators, 0);
    }

    #[test]
    fn high_needs_one_beyond_the_registry_and_both_parties() {
        let registry = (3, "jisr/JO/registry/witness");
        let party = (5, "jisr/JO/GOV/psd/node1/witness");
        let audit = (6, "audit.example/witness");
        let short = judged(LEDGER, QuorumClass::High, &[registry, party]);
        assert!(short.none_beyond && !short.is_quorum());
        assert!(
            short
                .to_string()
                .ends_with("none of them beyond the registry and both parties")
        );
        assert!(judged(LEDGER, QuorumClass::High, &[audit]).is_quorum());
        assert!(judged(LEDGER, QuorumClass::Standard, &[registry]).is_quorum());
    }

    #[test]
    fn fewer_cosignatures_are_still_a_quorum() {
        let ledger: Origin = LEDGER.parse().expect("good");
        let parties = Parties {
            consumer: "JO/GOV/mol".parse().expect("good"),
            provider: "JO/GOV/psd".parse().expect("good"),
        };
        let own = (4, "jisr/JO/GOV/mol/node1/witness");
        let psd = (5, "jisr/JO/GOV/psd/node1/witness");
        let audit = (6, "audit.example/witness");
        let registry = (3, "jisr/JO/registry/witness");
        let stranger = (7, "stranger.example/witness");
        let few = |policy: &Policy, witnesses: &[(u8, &str)]| {
            policy.with_fewer(&cosigned_by(LEDGER, witnesses).into(), &ledger, Some(&parties))
        };
        // Three operators: nothing goes but the owner's word, which never counts.
        let all = [own, psd, audit, registry, stranger];
        let others = [psd, audit, registry, stranger];
        assert_eq!(few(&policy(), &all), cosigned_by(LEDGER, &others));
        let mut crowded = policy();
        for seed in 30..38u8 {
            let name = format!("w{seed}.example/witness");
            crowded.add(&name, raw(&pair(seed)), &format!("JO/GOV/w{seed}"), false);
        }
        let names: Vec<(u8, String)> = (30..38u8)
            .map(|seed| (seed, format!("w{seed}.example/witness")))
            .collect();
        let crowd = names.iter().map(|(seed, name)| (*seed, name.as_str()));
        let witnesses: Vec<(u8, &str)> = [stranger, psd, own]
            .into_iter()
            .chain(crowd)
            .chain([registry])
            .collect();
        let note = few(&crowded, &witnesses);
        let kept = [
            stranger,
            (30, "w30.example/witness"),
            (31, "w31.example/witness"),
            registry,
        ];
        assert_eq!(note, cosigned_by(LEDGER, &kept));
        let judged = crowded
            .cosigned(&note, &ledger, QuorumClass::High, Some(&parties))
            .expect("all hold");
        assert!(judged.is_quorum() && judged.operators == 3);
        let no_note = Bytes::from_static(b"no note");
        assert_eq!(policy().with_fewer(&no_note, &ledger, None), no_note);
    }

    #[test]
    fn a_known_witness_signs_once_and_truly() {
        let ledger: Origin = LEDGER.parse().expect("good");
        let judge = |note: &[u8]| policy().cosigned(note, &ledger, QuorumClass::Standard, None);
        let audit = (6, "audit.example/witness");
        assert!(matches!(
            judge(&cosigned_by(LEDGER, &[audit, audit])),
            Err(NoteError::Duplicate(_))
        ));
        let good = String::from_utf8(cosigned_by(LEDGER, &[audit])).expect("text");
        let other = good.replace("\n1\n", "\n2\n");
        assert_ne!(good, other);
        assert!(matches!(judge(other.as_bytes()), Err(NoteError::BadSignature(_))));
    }
}
