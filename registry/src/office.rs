//! The office: everything that the doors need, in one value. Each task of the registry is a file that adds its method.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jisr_ledger::ledger::Record;
use jisr_ledger::seal::SealVerifier;
use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::reason::Reason;

use crate::cosigned::Cosigned;
use crate::desk::Desk;
use crate::door::Peer;
use crate::health::Health;
use crate::init::Base;
use crate::places;
use crate::rate::{self, Rate};
use crate::refusal::Refusal;
use crate::stamping::Newest;
use crate::standing::Standing;
use crate::state::{Hash, State};

/// How far a caller's clock may be off, microseconds.
pub(crate) const SKEW_US: u64 = 60_000_000;

/// What the registry works with.
pub(crate) struct Office {
    pub(crate) desk: Desk,
    pub(crate) base: Base,
    pub(crate) verifier: Arc<SealVerifier>,
    pub(crate) standing: Arc<Standing>,
    /// What nodes cosigned of the own ledger.
    pub(crate) cosigned: Cosigned,
    /// What nodes say of their backends.
    pub(crate) health: Health,
    /// The newest time-stamp on the own ledger.
    pub(crate) stamped: Mutex<Newest>,
    proofs: Rate<NodeId>,
    hellos: Rate<NodeId>,
    reports: Rate<NodeId>,
    strangers: Rate<IpAddr>,
    all_strangers: Rate<()>,
    callers: Rate<NodeId>,
}

/// A listed node that calls. Only [`Office::caller`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The node.
    pub(crate) node: NodeId,
    /// Its member.
    pub(crate) member: MemberId,
    /// SHA-256 of the TLS certificate that it showed.
    certificate: Hash,
    /// Last moment of that certificate, microseconds.
    not_after_us: u64,
}

impl Office {
    /// Opens the office.
    pub(crate) fn new(desk: Desk, base: Base, standing: Arc<Standing>) -> Office {
        let limits = &base.config.limits;
        Office {
            strangers: Rate::new(limits.enrolments_per_minute),
            all_strangers: Rate::new(limits.enrolments_per_minute_all),
            callers: Rate::new(limits.requests_per_minute),
            proofs: Rate::new(limits.proofs_per_minute),
            hellos: Rate::new(limits.hellos_per_minute),
            reports: Rate::new(limits.reports_per_minute),
            verifier: Arc::new(SealVerifier::new()),
            cosigned: Cosigned::default(),
            health: Health::default(),
            stamped: Mutex::default(),
            standing,
            desk,
            base,
        }
    }

    /// Who calls: a node whose certificate is in force and listed now.
    ///
    /// # Errors
    /// CALLER_UNAUTHENTICATED, CERTIFICATE_REVOKED, CERTIFICATE_INVALID where it expired, OVERLOADED.
    pub(crate) fn caller(&self, peer: &Peer) -> Result<Caller, Refusal> {
        let missing = || {
            Refusal::new(
                Reason::CallerUnauthenticated,
                "no client certificate came; only Enrol needs none",
            )
        };
        let identity = peer.identity.as_ref().ok_or_else(missing)?;
        let caller = Caller {
            node: identity.node.clone(),
            member: identity.node.member(),
            certificate: identity.sha256,
            not_after_us: identity.not_after_us,
        };
        self.check_in_force(&caller)?;
        if !self.callers.admit(caller.node.clone(), self.base.clock.now_us()) {
            let rule = format!(
                "{} made more calls in this minute than the registry answers",
                caller.node
            );
            return Err(Refusal::new(Reason::Overloaded, rule));
        }
        Ok(caller)
    }

    /// Whether a caller's certificate is in force and listed at this moment.
    ///
    /// # Errors
    /// CALLER_UNAUTHENTICATED, CERTIFICATE_REVOKED, CERTIFICATE_INVALID where it expired.
    pub(crate) fn check_in_force(&self, caller: &Caller) -> Result<(), Refusal> {
        if caller.not_after_us < self.base.clock.now_us() {
            let rule = format!(
                "the TLS certificate of {} has expired; enrol again with a new token",
                caller.node
            );
            return Err(Refusal::new(Reason::CertificateInvalid, rule));
        }
        self.desk.look(|state| caller.listed(state))
    }

    /// Counts a proof, a tile or a cosignature that a node asks for.
    ///
    /// # Errors
    /// PROOF_BUDGET.
    pub(crate) fn spend_proof(&self, caller: &Caller) -> Result<(), Refusal> {
        self.spend(
            &self.proofs,
            caller,
            "proofs, tiles and cosignatures",
            "proofs_per_minute",
        )
    }

    /// Counts a `Hello`, for which ledgers are compared and a proof is made.
    ///
    /// # Errors
    /// PROOF_BUDGET.
    pub(crate) fn spend_hello(&self, caller: &Caller) -> Result<(), Refusal> {
        self.spend(&self.hellos, caller, "comparisons", "hellos_per_minute")
    }

    /// Counts a report, whose notes are verified and which the log repeats.
    ///
    /// # Errors
    /// PROOF_BUDGET.
    pub(crate) fn spend_report(&self, caller: &Caller) -> Result<(), Refusal> {
        self.spend(&self.reports, caller, "reports", "reports_per_minute")
    }

    fn spend(&self, of: &Rate<NodeId>, caller: &Caller, what: &str, limit: &str) -> Result<(), Refusal> {
        let now_us = self.base.clock.now_us();
        if of.admit(caller.node.clone(), now_us) {
            return Ok(());
        }
        let (most, wait_s) = (of.per_minute(), rate::wait_s(now_us));
        let rule = format!(
            "the registry takes {most} {what} a minute of each node (limits.{limit}), and {} asked for more; it answers again in {wait_s} s",
            caller.node
        );
        Err(Refusal::new(Reason::ProofBudget, rule))
    }

    /// Puts a checkpoint with cosignatures of nodes down in the own ledger, if there is one to put down.
    pub(crate) fn record(&self, cosigned: Option<Bytes>) {
        let Some(note) = cosigned else { return };
        if let Err(error) = self.base.ledger.note_later(Record::Cosigned(note)) {
            tracing::warn!(%error, "a cosigned checkpoint could not be recorded");
        }
    }

    /// Counts a call without a certificate, for its address and for all.
    ///
    /// # Errors
    /// OVERLOADED.
    pub(crate) fn stranger(&self, peer: Option<&Peer>) -> Result<(), Refusal> {
        let peer = peer.ok_or_else(|| Refusal::new(Reason::Internal, "the connection does not say who is there"))?;
        let now_us = self.base.clock.now_us();
        let (of, whose, limit) = if !self.strangers.admit(places::network(peer.address), now_us) {
            (
                self.strangers.per_minute(),
                "from this address",
                "enrolments_per_minute",
            )
        } else if !self.all_strangers.admit((), now_us) {
            (self.all_strangers.per_minute(), "in all", "enrolments_per_minute_all")
        } else {
            return Ok(());
        };
        let wait_s = rate::wait_s(now_us);
        let rule =
            format!("the registry answers {of} enrolments a minute {whose} (limits.{limit}); try again in {wait_s} s");
        Err(Refusal::new(Reason::Overloaded, rule))
    }
}

impl Caller {
    /// SHA-256 of the TLS certificate that it showed.
    pub(crate) fn certificate(&self) -> &Hash {
        &self.certificate
    }

    /// Whether it is still listed with this certificate.
    ///
    /// # Errors
    /// CERTIFICATE_REVOKED or CALLER_UNAUTHENTICATED.
    pub(crate) fn listed(&self, state: &State) -> Result<(), Refusal> {
        match state.node_by_tls_certificate(&self.certificate) {
            Some((node, _)) if *node == self.node => Ok(()),
            _ if state.revoked().contains(&self.certificate) => {
                let rule = format!(
                    "the certificate of {} was revoked; ask the registry's administrators",
                    self.node
                );
                Err(Refusal::new(Reason::CertificateRevoked, rule))
            }
            _ => {
                let rule = format!(
                    "the certificate is not the one listed for {}; it enrolled again or never",
                    self.node
                );
                Err(Refusal::new(Reason::CallerUnauthenticated, rule))
            }
        }
    }
}

/// A digest in a request.
///
/// # Errors
/// REQUEST_INVALID where it is not 32 bytes.
pub(crate) fn hash(value: &[u8], what: &str) -> Result<Hash, Refusal> {
    let wrong = |_| Refusal::invalid(format!("{what} has {} instead of 32 bytes", value.len()));
    value.try_into().map_err(wrong)
}
