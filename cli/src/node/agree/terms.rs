//! The terms of an agreement, as a person and as a machine reads them.

use std::fmt;

use bytes::Bytes;
use jisr_certs::digest::{self, Hash};
use jisr_proto::canonical;
use jisr_proto::statement::Agreement;
use jisr_proto::v1::EvidenceClass;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::instant::show;
use crate::output;

/// An agreement and its digest.
pub(super) struct Terms {
    digest: Hash,
    agreement: Agreement,
}

/// The digest of an agreement's canonical bytes (docs/formats.md, Agreement).
pub(super) fn digest(document: &[u8]) -> Hash {
    digest::domain("jisr.agreement", &[document])
}

impl Terms {
    /// Reads canonical bytes. What is not canonical is nobody's to sign.
    pub(super) fn read(document: &Bytes) -> Result<Terms, Failure> {
        let agreement = canonical::decode::<Agreement>(document).map_err(|error| {
            Failure::refused(
                format!("a document that was proposed is no agreement: {error}"),
                "the party that proposed it",
                "an agreement is canonical protobuf, so that both parties sign the same bytes",
                "ask that party to propose it again with its own jisr",
            )
        })?;
        Ok(Terms {
            digest: digest(document),
            agreement,
        })
    }

    /// One object with every term; times are microseconds since 1970.
    pub(super) fn object(&self, agreed: &[String]) -> Value {
        let agreement = &self.agreement;
        let methods: Vec<Value> = agreement
            .methods
            .iter()
            .map(|method| {
                json!({
                    "service": method.service,
                    "method": method.method,
                    "schema": output::hex(&method.schema),
                    "mask": method.mask,
                    "no_side_effects": method.no_side_effects,
                    "evidence_class": class(method.evidence_class),
                })
            })
            .collect();
        let purposes: Vec<Value> = agreement
            .purposes
            .iter()
            .map(|purpose| json!({"code": purpose.code, "legal_basis": purpose.legal_basis}))
            .collect();
        json!({
            "digest": output::hex(&self.digest),
            "agreed": agreed,
            "consumer": agreement.consumer,
            "provider": agreement.provider,
            "methods": methods,
            "purposes": purposes,
            "consent_required": agreement.consent_required,
            "rate_per_minute": agreement.rate_per_minute,
            "subjects_per_case": agreement.subjects_per_case,
            "valid_from_us": agreement.valid_from_us,
            "valid_until_us": agreement.valid_until_us,
        })
    }
}

/// Name of an evidence class; an unspecified one counts as STANDARD.
fn class(number: u32) -> &'static str {
    let known = i32::try_from(number)
        .ok()
        .and_then(|number| EvidenceClass::try_from(number).ok());
    match known {
        Some(EvidenceClass::Unspecified) => EvidenceClass::Standard.as_str_name(),
        Some(class) => class.as_str_name(),
        None => "unknown",
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agreement = &self.agreement;
        writeln!(f, "agreement {}", output::hex(&self.digest))?;
        writeln!(f, "  consumer      {}", agreement.consumer)?;
        writeln!(f, "  provider      {}", agreement.provider)?;
        for method in &agreement.methods {
            let effects = if method.no_side_effects {
                "no side effects"
            } else {
                "with side effects"
            };
            let class = class(method.evidence_class);
            writeln!(
                f,
                "  may call      {}/{} ({effects}, evidence {class})",
                method.service, method.method
            )?;
            writeln!(
                f,
                "                fields {}, schema {}",
                method.mask,
                output::hex(&method.schema)
            )?;
        }
        for purpose in &agreement.purposes {
            writeln!(f, "  purpose       {}: {}", purpose.code, purpose.legal_basis)?;
        }
        let consent = if agreement.consent_required {
            "a reference must come with each call"
        } else {
            "not required"
        };
        writeln!(f, "  consent       {consent}")?;
        writeln!(
            f,
            "  limits        {}, {}",
            limit(agreement.rate_per_minute, "calls a minute"),
            limit(agreement.subjects_per_case, "persons a case")
        )?;
        write!(
            f,
            "  valid         {} to {}",
            show(agreement.valid_from_us),
            show(agreement.valid_until_us)
        )
    }
}

fn limit(number: u32, what: &str) -> String {
    if number == 0 {
        format!("no limit on {what}")
    } else {
        format!("{number} {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_every_term() {
        let agreement = Agreement {
            format: 1,
            consumer: "JO/GOV/mol/permits".into(),
            provider: "JO/GOV/psd/residency".into(),
            consent_required: true,
            rate_per_minute: 60,
            ..Agreement::default()
        };
        let terms = Terms::read(&canonical::encode(&agreement)).unwrap();
        let text = terms.to_string();
        for part in [
            "JO/GOV/mol/permits",
            "JO/GOV/psd/residency",
            "must come",
            "60 calls a minute",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(terms.object(&[])["digest"], output::hex(&terms.digest));
    }

    #[test]
    fn what_is_not_canonical_is_not_shown_for_signing() {
        // Field 1 twice, and a field number that nobody knows.
        for document in [&[0x08, 0x01, 0x08, 0x01][..], &[0xf8, 0x01, 0x01], &[0xff]] {
            assert!(Terms::read(&Bytes::copy_from_slice(document)).is_err());
        }
    }
}
