//! The anchor: what a verifier trusts to begin with, in one file (docs/formats.md, Anchor).

use crate::{
    note::{KeyType, NoteError, VerifierKey},
    policy::{Cosigned, Policy},
    snapshot::Listed,
    tree::Hash,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jisr_certs::{stamp::Trust, validity::Validity};
use jisr_proto::ident::{Instance, Origin};
use serde::Deserialize;
use std::{fmt, str::FromStr};

/// Longest anchor file, bytes.
pub const ANCHOR_BYTES_MAX: usize = 256 * 1024;

/// Why an anchor was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The file is not TOML of this form; the text names the line and the key.
    #[error("the anchor is not the documented TOML: {0}; get it anew from the registry")]
    Form(String),
    /// A value breaks a rule.
    #[error("the anchor's key {key} is wrong: {why}; get the anchor anew from the registry")]
    Value {
        /// Which key.
        key: &'static str,
        /// Which rule it breaks.
        why: String,
    },
}

/// How strong the evidence for a method must be, or that the ledger is the registry's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuorumClass {
    /// Everyday look-ups.
    Routine,
    /// The default.
    Standard,
    /// The highest.
    High,
    /// Entries of the registry's ledger.
    Registry,
}

impl QuorumClass {
    /// From the number of a `jisr.v1.EvidenceClass`; unspecified and unknown ones count as STANDARD and HIGH.
    #[must_use]
    pub fn from_evidence_class(number: u32) -> Self {
        match number {
            1 => Self::Routine,
            0 | 2 => Self::Standard,
            _ => Self::High,
        }
    }
}

impl fmt::Display for QuorumClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routine => "ROUTINE",
            Self::Standard => "STANDARD",
            Self::High => "HIGH",
            Self::Registry => "REGISTRY",
        })
    }
}

/// How many operators must have cosigned, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
pub struct Quorum {
    /// For ROUTINE.
    pub routine: u32,
    /// For STANDARD.
    pub standard: u32,
    /// For HIGH.
    pub high: u32,
    /// For the registry's own ledger.
    pub registry: u32,
}

/// A witness that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorWitness {
    /// Its key, type `0x04`.
    pub key: VerifierKey,
    /// Member that runs it, or `JO/registry`.
    pub operator: String,
}

/// What a verifier trusts to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The network.
    pub instance: Instance,
    /// SHA-256 of the DER root certificate.
    pub root: Hash,
    /// Origin of the registry's ledger.
    pub registry_origin: Origin,
    /// Seal key of the registry's ledger.
    pub registry_key: VerifierKey,
    /// Key that signs snapshots.
    pub snapshot_key: VerifierKey,
    /// Witnesses that count.
    pub witnesses: Vec<AnchorWitness>,
    /// How many of their operators must have cosigned.
    pub quorum: Quorum,
    /// Time-stamp authorities outside the network that are trusted, each by its own certificate or that of a CA above it, DER.
    pub time_stamps: Vec<Bytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnchor {
    format: u32,
    instance: String,
    root: String,
    registry_origin: String,
    registry_key: String,
    snapshot_key: String,
    #[serde(default)]
    witness: Vec<RawWitness>,
    quorum: Quorum,
    #[serde(default)]
    timestamp: Vec<RawTimeStamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeStamp {
    certificate: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWitness {
    key: String,
    operator: String,
}

impl FromStr for Anchor {
    type Err = AnchorError;

    fn from_str(text: &str) -> Result<Self, AnchorError> {
        if text.len() > ANCHOR_BYTES_MAX {
            return Err(AnchorError::Form("it is longer than 256 KiB".into()));
        }
        let raw: RawAnchor = toml::from_str(text).map_err(|error| AnchorError::Form(error.to_string()))?;
        if raw.format != 1 {
            return Err(wrong("format", "it is not 1: this program is too old for it"));
        }
        let instance: Instance = raw.instance.parse().map_err(|error| wrong("instance", error))?;
        let registry_origin: Origin = raw
            .registry_origin
            .parse()
            .map_err(|error| wrong("registry_origin", error))?;
        if registry_origin.node().is_some() || registry_origin.instance() != instance {
            return Err(wrong(
                "registry_origin",
                "it is not the origin of this instance's registry",
            ));
        }
        let mut witnesses: Vec<AnchorWitness> = Vec::with_capacity(raw.witness.len());
        for raw in raw.witness {
            let key: VerifierKey = raw.key.parse().map_err(|error| wrong("witness.key", error))?;
            if key.key_type() != KeyType::Cosignature {
                return Err(wrong("witness.key", "its type is not 0x04"));
            }
            if witnesses.iter().any(|known| known.key.name() == key.name()) {
                return Err(wrong("witness.key", "the name stands there twice"));
            }
            witnesses.push(AnchorWitness {
                operator: operator(raw.operator, &instance)?,
                key,
            });
        }
        Ok(Self {
            root: root(&raw.root).ok_or_else(|| wrong("root", "it is not 64 lower-case hex digits"))?,
            registry_key: named_key(&raw.registry_key, "registry_key", registry_origin.as_str())?,
            snapshot_key: named_key(&raw.snapshot_key, "snapshot_key", &instance.snapshot_name())?,
            instance,
            registry_origin,
            witnesses,
            quorum: raw.quorum,
            time_stamps: time_stamps(&raw.timestamp)?,
        })
    }
}

/// The certificates, each once.
fn time_stamps(raw: &[RawTimeStamp]) -> Result<Vec<Bytes>, AnchorError> {
    let mut certificates: Vec<Bytes> = Vec::with_capacity(raw.len());
    for RawTimeStamp { certificate } in raw {
        let der = STANDARD
            .decode(certificate)
            .ok()
            .filter(|der| Validity::of(der).is_some());
        let der = der.ok_or_else(|| wrong("timestamp.certificate", "it is no certificate, DER in base64"))?;
        if certificates.iter().any(|known| *known == der) {
            return Err(wrong("timestamp.certificate", "the certificate stands there twice"));
        }
        certificates.push(der.into());
    }
    Ok(certificates)
}

fn wrong(key: &'static str, why: impl ToString) -> AnchorError {
    AnchorError::Value {
        key,
        why: why.to_string(),
    }
}

/// A member of the instance, or its registry.
fn operator(operator: String, instance: &Instance) -> Result<String, AnchorError> {
    let member = || operator.parse::<jisr_proto::ident::MemberId>();
    if operator == instance.registry() || member().is_ok_and(|member| member.instance() == *instance) {
        return Ok(operator);
    }
    Err(wrong(
        "witness.operator",
        format!(
            "{operator} is neither a member of {instance} nor {}",
            instance.registry()
        ),
    ))
}

fn named_key(text: &str, field: &'static str, name: &str) -> Result<VerifierKey, AnchorError> {
    let key: VerifierKey = text.parse().map_err(|error: NoteError| wrong(field, error))?;
    if key.key_type() != KeyType::Ed25519 || key.name() != name {
        return Err(wrong(
            field,
            format!("it is not a key of type 0x01 with the name {name}"),
        ));
    }
    Ok(key)
}

fn root(hex: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect();
    bytes?.try_into().ok()
}

impl fmt::Display for Anchor {
    /// The file, byte for byte the same for equal anchors. No value can hold a character that TOML would escape.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format = 1\ninstance = \"{}\"", self.instance)?;
        let root: String = self.root.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(f, "root = \"{root}\"\nregistry_origin = \"{}\"", self.registry_origin)?;
        writeln!(
            f,
            "registry_key = \"{}\"\nsnapshot_key = \"{}\"",
            self.registry_key, self.snapshot_key
        )?;
        for witness in &self.witnesses {
            writeln!(
                f,
                "\n[[witness]]\nkey = \"{}\"\noperator = \"{}\"",
                witness.key, witness.operator
            )?;
        }
        let Quorum {
            routine,
            standard,
            high,
            registry,
        } = self.quorum;
        writeln!(
            f,
            "\n[quorum]\nROUTINE = {routine}\nSTANDARD = {standard}\nHIGH = {high}\nREGISTRY = {registry}"
        )?;
        for certificate in &self.time_stamps {
            writeln!(f, "\n[[timestamp]]\ncertificate = \"{}\"", STANDARD.encode(certificate))?;
        }
        Ok(())
    }
}

impl Quorum {
    /// Operators needed for a class.
    #[must_use]
    pub fn of(&self, class: QuorumClass) -> u32 {
        match class {
            QuorumClass::Routine => self.routine,
            QuorumClass::Standard => self.standard,
            QuorumClass::High => self.high,
            QuorumClass::Registry => self.registry,
        }
    }
}

impl Anchor {
    /// Whose time-stamps count: the network's own authority, and those that the anchor names.
    #[must_use]
    pub fn time_stamp_trust(&self) -> Trust {
        let own = Trust::none().with_root(self.root);
        self.time_stamps
            .iter()
            .fold(own, |trust, der| trust.with_certificate(der))
    }

    /// The policy of this anchor and of rows of one snapshot, which the caller has verified.
    #[must_use]
    pub fn with(&self, snapshot: &Listed) -> Policy {
        let mut policy = Policy::new(self);
        policy.learn(snapshot);
        policy
    }

    /// Who of the anchor's own witnesses cosigned a checkpoint of `ledger`: [`Policy::cosigned`] of this anchor alone, where
    /// no exchange is in question.
    ///
    /// # Errors
    /// The note is malformed, or the cosignature of a known witness, even of one that does not count, does not hold.
    pub fn cosigned(&self, note: &[u8], ledger: &Origin, class: QuorumClass) -> Result<Cosigned, NoteError> {
        Policy::new(self).cosigned(note, ledger, class, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::tests::{pair, raw, seal_key, signed};
    use crate::note::{self, Checkpoint, SignedNote, cosigned_message, signature_line};

    fn anchor() -> Anchor {
        let witness = |seed, name: &str, operator: &str| AnchorWitness {
            key: VerifierKey::new_witness(name, raw(&pair(seed))).expect("good"),
            operator: operator.into(),
        };
        Anchor {
            instance: "JO".parse().expect("good"),
            root: [0xab; 32],
            registry_origin: "jisr/JO/registry/2026".parse().expect("good"),
            registry_key: seal_key(1, "jisr/JO/registry/2026"),
            snapshot_key: seal_key(2, "jisr/JO/snapshot"),
            witnesses: vec![
                witness(3, "jisr/JO/registry/witness", "JO/registry"),
                witness(4, "jisr/JO/GOV/mol/node1/witness", "JO/GOV/mol"),
                witness(5, "jisr/JO/GOV/psd/node1/witness", "JO/GOV/psd"),
                witness(6, "jisr/JO/GOV/psd/node2/witness", "JO/GOV/psd"),
            ],
            quorum: Quorum {
                routine: 1,
                standard: 1,
                high: 2,
                registry: 0,
            },
            time_stamps: Vec::new(),
        }
    }

    #[test]
    fn it_survives_being_a_file() {
        assert_eq!(anchor().to_string().parse(), Ok(anchor()));
    }

    #[test]
    fn bad_anchors_are_refused() {
        let good = anchor().to_string();
        let changes = [
            ("format = 1", "format = 2"),
            ("format = 1", "format = 1\nextra = 1"),
            ("\"JO\"", "\"jo\""),
            ("abab", "ABAB"),
            ("abab", "ab"),
            ("registry/2026\"", "registry/2027\""),
            ("jisr/JO/snapshot", "jisr/JO/snapshots"),
            ("operator = \"JO/registry\"", "operator = \"SY/registry\""),
            ("operator = \"JO/registry\"", "operator = \"JO/registry\"\nweight = 2"),
            ("ROUTINE = 1", "ROUTINE = -1"),
            ("REGISTRY = 0\n", ""),
            ("STANDARD = 1", "STANDARD = \"1\""),
            ("psd/node2/witness", "psd/node1/witness"),
        ];
        for (from, to) in changes {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(bad.parse::<Anchor>().is_err(), "{from} -> {to}");
        }
        assert!(String::new().parse::<Anchor>().is_err());
    }

    #[test]
    fn a_quorum_counts_operators_and_never_the_ledgers_own() {
        let origin: Origin = "jisr/JO/GOV/mol/node1/2026".parse().expect("good");
        let checkpoint = Checkpoint {
            origin: origin.to_string(),
            size: 1,
            root: [0; 32],
        };
        let mut note = signed(&checkpoint.text(), 9, origin.as_str());
        let text = SignedNote::parse(&note).expect("good").text.to_owned();
        let cosign = |seed: u8, name: &str| {
            let mut signature = 7u64.to_be_bytes().to_vec();
            signature.extend_from_slice(pair(seed).sign(cosigned_message(&text, 7).as_bytes()).as_ref());
            signature_line(
                &VerifierKey::new_witness(name, raw(&pair(seed))).expect("good"),
                &signature,
            )
        };
        let count = |note: &[u8]| {
            anchor()
                .cosigned(note, &origin, QuorumClass::High)
                .expect("good")
                .operators
        };
        assert_eq!(count(&note), 0);
        note.extend_from_slice(cosign(4, "jisr/JO/GOV/mol/node1/witness").as_bytes());
        assert_eq!(count(&note), 0);
        note.extend_from_slice(cosign(5, "jisr/JO/GOV/psd/node1/witness").as_bytes());
        note.extend_from_slice(cosign(6, "jisr/JO/GOV/psd/node2/witness").as_bytes());
        assert_eq!(count(&note), 1);
        note.extend_from_slice(cosign(3, "jisr/JO/registry/witness").as_bytes());
        assert!(
            anchor()
                .cosigned(&note, &origin, QuorumClass::High)
                .expect("good")
                .is_quorum()
        );
        assert!(note::open(&note, &seal_key(9, origin.as_str())).is_ok());
    }
}
