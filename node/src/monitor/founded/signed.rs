//! One document that an administrator signed: whose it is, and that it was signed then.

use bytes::Bytes;
use jisr_certs::administrator;
use jisr_certs::digest::{self, Hash};
use jisr_proto::canonical;
use jisr_proto::snapshot::{AdministrativeAct, SignedAct};

use super::{ADMIT, CERTIFY, Founded, PUBLISH};

/// How far the signer's clock may be from the entry's time, microseconds.
const SKEW_US: u64 = 60_000_000;

/// A document whose signature held.
pub(super) struct Read {
    /// Name of the administrator.
    pub(super) by: String,
    /// SHA-256 of their certificate.
    pub(super) certificate: Hash,
    /// Digest of the document.
    pub(super) digest: Hash,
    /// What it says.
    pub(super) act: AdministrativeAct,
}

impl Founded {
    /// Reads what stands in an entry made at `at_us`.
    pub(super) fn read(&self, signed: Option<&SignedAct>, at_us: u64) -> Result<Read, String> {
        let signed = signed.ok_or("no administrator signed it")?;
        let certificate = digest::sha256(&[&signed.certificate]);
        let found = self
            .administrators
            .iter()
            .find(|(_, row)| row.certificate.sha256 == certificate);
        let (by, row) = found.ok_or("the certificate is no administrator's")?;
        if !(row.certificate.not_before_us..=row.certificate.not_after_us).contains(&at_us) {
            return Err(format!("the certificate of {by} was not in force then"));
        }
        row.certificate
            .verify(&signed.document, &signed.signature)
            .map_err(|error| format!("{by}: {error}"))?;
        let act: AdministrativeAct = canonical::decode(&signed.document).map_err(|error| error.to_string())?;
        if act.format != 1 || act.instance != self.instance.as_str() || act.nonce.len() != 16 {
            return Err(format!("what {by} signed is no act for this network"));
        }
        if act.created_us.abs_diff(at_us) > SKEW_US {
            return Err(format!("{by} signed it at another time than the entry's"));
        }
        let digest = administrator::digest(&signed.document);
        if self.seen.contains(&digest) {
            return Err(format!("it was done before: {by} signed it once"));
        }
        Ok(Read {
            by: by.clone(),
            certificate,
            digest,
            act,
        })
    }

    /// Whether this administrator holds a role.
    pub(super) fn holds(&self, by: &str, role: u32) -> Result<(), String> {
        let roles = self.administrators.get(by).map_or(0, |row| row.roles);
        if role != 0 && roles & role == role {
            return Ok(());
        }
        Err(format!("{by} does not have the role for it"))
    }
}

/// The role that an act takes which takes four eyes; `None` for others.
pub(super) fn four_eyes_role(act: &AdministrativeAct) -> Option<u32> {
    let orders = [
        act.admission.is_some().then_some(ADMIT),
        act.removal.is_some().then_some(ADMIT),
        act.appointment.is_some().then_some(CERTIFY),
        act.witness_policy.is_some().then_some(PUBLISH),
    ];
    let others = act.change.is_some()
        || act.token.is_some()
        || act.revocation.is_some()
        || act.approval.is_some()
        || act.rejection.is_some()
        || act.confirmation.is_some();
    match orders.into_iter().flatten().collect::<Vec<_>>().as_slice() {
        [role] if !others => Some(*role),
        _ => None,
    }
}

/// A digest of 32 bytes.
pub(super) fn hash(value: &Bytes) -> Result<Hash, String> {
    let wrong = |_| format!("a digest has {} instead of 32 bytes", value.len());
    value.as_ref().try_into().map_err(wrong)
}
