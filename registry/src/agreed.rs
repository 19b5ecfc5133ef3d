//! A party's yes: the AGREED statement that its node sealed and its officer signed.

use jisr_certs::digest;
use jisr_certs::profile;
use jisr_ledger::note::VerifierKey;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::{Act, Parsed};
use jisr_proto::ident::MemberId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Agreed, Sealed};

use crate::agreement::{Terms, invalid};
use crate::office::{SKEW_US, hash};
use crate::refusal::Refusal;
use crate::state::Node;

impl Terms {
    /// Verifies a party's AGREED: sealed in the ledger of its node, about this document, signed by an officer of its own.
    ///
    /// # Errors
    /// SEAL_INVALID, OFFICER_INVALID, or AGREEMENT_INVALID for an AGREED about something else.
    pub(crate) fn verify_agreed(
        &self,
        sealed: &Sealed,
        node: &Node,
        verifier: &SealVerifier,
        now_us: u64,
    ) -> Result<(), Refusal> {
        let seal = |e: String| Refusal::new(Reason::SealInvalid, e);
        let raw = hash(&node.row.seal_key, "the listed seal key")?;
        let key = VerifierKey::new_seal(node.origin.as_str(), raw).map_err(|e| seal(e.to_string()))?;
        let verified = verifier.verify(sealed, &key).map_err(|e| seal(e.to_string()))?;
        let core = verified.statement.core();
        if core.instance != self.agreement.instance {
            return Err(invalid(format!("the AGREED is of the instance {}", core.instance)));
        }
        if core.created_us > now_us.saturating_add(SKEW_US) {
            let ahead_s = (core.created_us - now_us) / 1_000_000;
            let rule =
                format!("the AGREED is dated {ahead_s} s ahead of the registry's clock; at most 60 s are allowed");
            return Err(Refusal::new(Reason::ClockSkew, rule));
        }
        match verified.statement.act() {
            Some(Act::Agreed(agreed)) => self.check_officer(agreed, node, now_us),
            _ => Err(invalid(format!(
                "the statement is a {}, not an AGREED",
                core.kind().as_str_name()
            ))),
        }
    }

    fn check_officer(&self, agreed: &Agreed, node: &Node, now_us: u64) -> Result<(), Refusal> {
        let officer = |e: String| Refusal::new(Reason::OfficerInvalid, e);
        let member = node
            .origin
            .member()
            .ok_or_else(|| officer("the registry is no party".to_owned()))?;
        if agreed.agreement.as_ref() != self.digest.as_slice() {
            return Err(invalid("the AGREED cites another agreement"));
        }
        if agreed.member != member.as_str() {
            return Err(officer(format!(
                "the AGREED speaks for {} in the ledger of {member}",
                agreed.member
            )));
        }
        let [certificate, authority] = agreed.certificates.as_slice() else {
            return Err(officer(format!(
                "{} certificates came: officer and local CA are needed",
                agreed.certificates.len()
            )));
        };
        if digest::sha256(&[authority]) != *node.row.local_ca {
            return Err(officer(format!(
                "the second certificate is not the local CA that {} enrolled with",
                node.row.id
            )));
        }
        let authority = profile::check_local_ca(authority, now_us).map_err(|e| officer(e.to_string()))?;
        let verified = profile::check_officer(certificate, &authority, now_us).map_err(|e| officer(e.to_string()))?;
        if verified.officer.member() != member {
            return Err(officer(format!("{} is no officer of {member}", verified.officer)));
        }
        verified
            .verify_agreement(&self.document, &agreed.signature)
            .map_err(|e| officer(e.to_string()))
    }
}

/// The member for which an AGREED speaks, by its own words; nothing of it is verified.
pub(crate) fn speaker(sealed: &Sealed) -> Option<MemberId> {
    match Parsed::parse(sealed.statement.as_ref()?).ok()?.act()? {
        Act::Agreed(agreed) => agreed.member.parse().ok(),
        _ => None,
    }
}
