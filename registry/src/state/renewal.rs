//! TLS certificates of listed nodes: further ones, and those that are needed no more.

use bytes::Bytes;
use jisr_certs::validity::Validity;
use jisr_certs::{csr, digest};
use jisr_ledger::note::VerifierKey;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement;
use jisr_proto::ident::NodeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::Sealed;

use super::{Hash, Issued, Node, RenewAct, State};
use crate::office::SKEW_US;
use crate::refusal::Refusal;

/// TLS certificates that a node has at once.
const CERTIFICATES_MAX: usize = 3;

/// What a node's CERTIFICATE_ASKED says, verified.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// DER PKCS#10.
    pub(crate) request: Bytes,
    /// The key that it is for: a P-256 point, uncompressed.
    pub(crate) key: Vec<u8>,
    /// SHA-256 of the TLS certificate that the node uses meanwhile.
    pub(crate) certificate: Hash,
}

impl Node {
    /// SHA-256 of its TLS certificates, the newest last.
    fn tls(&self) -> impl DoubleEndedIterator<Item = Hash> {
        self.row.tls_certificates.iter().map(|der| digest::sha256(&[der]))
    }

    /// SHA-256 of its TLS certificates that have ended, ascending.
    pub(crate) fn ended(&self, at_us: u64) -> Vec<Hash> {
        let ended = |der: &&Bytes| Validity::of(der).is_none_or(|of| at_us > of.not_after_us);
        let ended = self.row.tls_certificates.iter().filter(ended);
        sorted(ended.map(|der| digest::sha256(&[der])))
    }

    /// SHA-256 of its TLS certificates before the newest, ascending.
    pub(crate) fn older(&self) -> Vec<Hash> {
        sorted(self.tls().rev().skip(1))
    }
}

fn sorted(of: impl Iterator<Item = Hash>) -> Vec<Hash> {
    let mut all: Vec<Hash> = of.collect();
    all.sort_unstable();
    all
}

impl State {
    /// Reads what a node asks for: sealed in its ledger, just now, for a key whose owner signed too, while a TLS certificate of it is
    /// in force.
    ///
    /// # Errors
    /// UNKNOWN_NODE, SEAL_INVALID, CSR_INVALID, CLOCK_SKEW, CERTIFICATE_INVALID.
    pub(crate) fn wanted(&self, node: &NodeId, asked: &Sealed, at_us: u64) -> Result<Wanted, Refusal> {
        let listed = self.listed(node)?;
        let seal = |e: &dyn std::fmt::Display| Refusal::new(Reason::SealInvalid, format!("CERTIFICATE_ASKED: {e}"));
        let raw = super::rules::hash(&listed.row.seal_key, "the listed seal key")?;
        let key = VerifierKey::new_seal(listed.origin.as_str(), raw).map_err(|e| seal(&e))?;
        let verified = SealVerifier::new().verify(asked, &key).map_err(|e| seal(&e))?;
        let core = verified.statement.core();
        let Some(statement::Act::CertificateAsked(act)) = verified.statement.act() else {
            return Err(seal(&"the statement is of another kind"));
        };
        if core.instance != self.instance.as_str() {
            return Err(seal(&format!("it is of the instance {}", core.instance)));
        }
        if core.created_us.abs_diff(at_us) > SKEW_US {
            let off_s = core.created_us.abs_diff(at_us) / 1_000_000;
            let rule = format!(
                "CERTIFICATE_ASKED is dated {off_s} s off the registry's clock; at most 60 s are allowed, and it is asked anew each time"
            );
            return Err(Refusal::new(Reason::ClockSkew, rule));
        }
        let certificate = super::rules::hash(&act.certificate, "the certificate in use")?;
        let in_force = |der: &&Bytes| Validity::of(der).is_some_and(|of| at_us <= of.not_after_us);
        let of_node = |der: &Bytes| digest::sha256(&[der]) == certificate;
        if !listed.row.tls_certificates.iter().filter(in_force).any(of_node) {
            let rule =
                format!("{node} asks with no listed TLS certificate that is in force; enrol again with a new token");
            return Err(Refusal::new(Reason::CertificateInvalid, rule));
        }
        let key = csr::tls_key_of(&act.request, node).map_err(|e| Refusal::new(Reason::CsrInvalid, e.to_string()))?;
        Ok(Wanted {
            request: act.request.clone(),
            key,
            certificate,
        })
    }

    /// Whether a node may have a further TLS certificate now: not before half the life of its newest one is over, so that no node
    /// fills the registry's ledger.
    ///
    /// # Errors
    /// UNKNOWN_NODE, NOT_ADMITTED, OVERLOADED.
    pub(crate) fn check_due(&self, node: &NodeId, at_us: u64) -> Result<(), Refusal> {
        let listed = self.listed(node)?;
        self.admitted(&node.member())?;
        let newest = listed.row.tls_certificates.last().and_then(|der| Validity::of(der));
        let half_us = newest.map_or(0, |of| of.not_before_us.midpoint(of.not_after_us));
        if at_us < half_us {
            let wait_s = (half_us - at_us) / 1_000_000;
            let rule = format!(
                "the newest TLS certificate of {node} has more than half its life left; it can be renewed in {wait_s} s"
            );
            return Err(Refusal::new(Reason::Overloaded, rule));
        }
        if listed.row.tls_certificates.len() - listed.ended(at_us).len() >= CERTIFICATES_MAX {
            let rule = format!("{node} has {CERTIFICATES_MAX} TLS certificates in force; one must end first");
            return Err(Refusal::new(Reason::Overloaded, rule));
        }
        Ok(())
    }

    /// Whether the entry may stand: the node asked for what is listed, and nothing leaves that others may still need.
    pub(super) fn check_renewal(&self, act: &RenewAct, at_us: u64) -> Result<(), Refusal> {
        let listed = self.listed(&act.node)?;
        let Some(issued) = &act.issued else {
            let leaves = !act.withdrawn.is_empty() && act.withdrawn == listed.older();
            let rule = || Refusal::invalid("only the certificates before the newest are withdrawn, all of them");
            return leaves.then_some(()).ok_or_else(rule);
        };
        self.check_due(&act.node, at_us)?;
        let wanted = self.wanted(&act.node, &issued.asked, at_us)?;
        if act.withdrawn != listed.ended(at_us) {
            return Err(Refusal::invalid("exactly those certificates leave that have ended"));
        }
        let refuse = |rule: &str| Err(Refusal::new(Reason::CsrInvalid, rule.to_owned()));
        if csr::tls_key_in(&issued.certificate).as_ref() != Some(&wanted.key) {
            return refuse("the TLS certificate is not for the key that the node asked for");
        }
        let digest = digest::sha256(&[&issued.certificate]);
        if self.by_tls_certificate.contains_key(&digest) || self.revoked.contains(&digest) {
            return refuse("the TLS certificate is or was listed already");
        }
        Ok(())
    }

    pub(super) fn renew(&mut self, act: &RenewAct) {
        self.withdraw(&act.node, &act.withdrawn);
        if let Some((listed, Issued { certificate, .. })) = self.nodes.get_mut(&act.node).zip(act.issued.as_ref()) {
            listed.row.tls_certificates.push(certificate.clone());
            self.by_tls_certificate
                .insert(digest::sha256(&[certificate]), act.node.clone());
        }
    }

    /// Lists these TLS certificates of a node no more.
    pub(super) fn withdraw(&mut self, node: &NodeId, certificates: &[Hash]) {
        let Some(listed) = self.nodes.get_mut(node) else {
            return;
        };
        let by_tls_certificate = &mut self.by_tls_certificate;
        listed.row.tls_certificates.retain(|der| {
            let digest = digest::sha256(&[der]);
            let leaves = certificates.contains(&digest);
            if leaves {
                by_tls_certificate.remove(&digest);
            }
            !leaves
        });
    }

    fn listed(&self, node: &NodeId) -> Result<&Node, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownNode, format!("{node} is not listed"));
        self.nodes.get(node).ok_or_else(unknown)
    }
}
