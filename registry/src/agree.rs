//! The course of an agreement: proposed by the first AGREED, registered with the second, revoked by either party.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::ident::MemberId;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot::AgreementAct as Stored;
use jisr_proto::statement::Sealed;

use crate::agreement::Terms;
use crate::office::{Caller, Office, hash};
use crate::proposals::Proposal;
use crate::refusal::Refusal;
use crate::state::{Act, AgreementAct, RevokeAgreementAct, State};

impl Office {
    /// Takes a party's AGREED. With the other party's, the agreement is registered.
    ///
    /// # Errors
    /// AGREEMENT_INVALID, MASK_UNSUPPORTED, UNKNOWN_SERVICE, UNKNOWN_METHOD, NOT_A_PARTY, SEAL_INVALID, OFFICER_INVALID,
    /// AGREEMENT_EXPIRED, AGREEMENT_REVOKED.
    pub(crate) async fn agree(
        &self,
        caller: Caller,
        request: wire::AgreeRequest,
    ) -> Result<wire::AgreeResponse, Refusal> {
        let terms = Arc::new(Terms::read(request.document, &self.base.config.instance)?);
        let side = terms.side(&caller.member).ok_or_else(|| {
            Refusal::new(
                Reason::NotAParty,
                format!("{} is neither consumer nor provider", caller.member),
            )
        })?;
        let now_us = self.base.clock.now_us();
        let node = self.desk.look(|state| state.nodes().get(&caller.node).cloned());
        let node =
            node.ok_or_else(|| Refusal::new(Reason::CallerUnauthenticated, "the node is not listed any more"))?;
        let agreed = request
            .agreed
            .ok_or_else(|| Refusal::new(Reason::SealInvalid, "no AGREED came"))?;
        terms.verify_agreed(&agreed, &node, &self.verifier, now_us)?;
        if self.desk.look(|state| state.agreements().contains_key(&terms.digest)) {
            return Ok(self.answer(&terms, true));
        }
        let published = self.desk.look(|state| {
            state.check_unregistered(&terms.digest)?;
            terms.published(state)
        })?;
        terms.check(published, &self.base.schemas, now_us).await?;
        let proposal = self.base.proposals.put(Arc::clone(&terms), side, agreed).await?;
        let Some(both) = proposal.both() else {
            return Ok(self.answer(&terms, false));
        };
        self.register(&terms, both).await?;
        Ok(self.answer(&terms, true))
    }

    async fn register(&self, terms: &Arc<Terms>, both: [Sealed; 2]) -> Result<(), Refusal> {
        let verifier = Arc::clone(&self.verifier);
        let entered = Arc::clone(terms);
        let registered = self.desk.submit(move |state, at_us| {
            // The other party's AGREED came earlier: its node and its officer must still stand.
            for sealed in &both {
                verify_by_listed(&entered, sealed, state, &verifier, at_us)?;
            }
            if entered.agreement.valid_until_us <= at_us {
                return Err(Refusal::new(
                    Reason::AgreementExpired,
                    "its validity has ended by the registry's clock",
                ));
            }
            let act = AgreementAct {
                document: entered.document.clone(),
                agreement: entered.agreement.clone(),
                agreed: both.to_vec(),
            };
            Ok((Act::Agreement(Box::new(act)), ()))
        });
        match registered.await {
            Ok(_) => {}
            // Both parties' last calls can cross; who comes second finds it done.
            Err(_) if self.desk.look(|state| state.agreements().contains_key(&terms.digest)) => {}
            Err(refusal) => return Err(refusal),
        }
        self.forget_settled().await
    }

    /// Forgets the proposals that are registered, revoked or expired.
    pub(crate) async fn forget_settled(&self) -> Result<(), Refusal> {
        let now_us = self.base.clock.now_us();
        let settled = |proposal: &Proposal| {
            let digest = &proposal.terms.digest;
            let known = self
                .desk
                .look(|state| state.agreements().contains_key(digest) || state.is_gone(digest));
            known || proposal.terms.agreement.valid_until_us <= now_us
        };
        self.base.proposals.forget(settled).await
    }

    /// The proposals that concern the caller's member.
    pub(crate) fn proposed(&self, caller: &Caller) -> wire::ProposalsResponse {
        let now_us = self.base.clock.now_us();
        let open = |proposal: &Proposal| {
            let registered = self
                .desk
                .look(|state| state.check_unregistered(&proposal.terms.digest).is_err());
            !registered && proposal.terms.agreement.valid_until_us > now_us
        };
        let row = |proposal: Proposal| wire::Proposal {
            digest: Bytes::copy_from_slice(&proposal.terms.digest),
            document: proposal.terms.document.clone(),
            agreed: proposal.agreed().iter().map(MemberId::to_string).collect(),
        };
        let proposals = self
            .base
            .proposals
            .of(&caller.member)
            .into_iter()
            .filter(open)
            .map(row)
            .collect();
        wire::ProposalsResponse { proposals }
    }

    /// Revokes an agreement of the caller's member.
    ///
    /// # Errors
    /// UNKNOWN_AGREEMENT, NOT_A_PARTY, REQUEST_INVALID.
    pub(crate) async fn revoke_agreement(
        &self,
        caller: Caller,
        request: wire::RevokeAgreementRequest,
    ) -> Result<wire::RevokeAgreementResponse, Refusal> {
        let digest = hash(&request.digest, "the agreement's digest")?;
        let act = RevokeAgreementAct {
            digest,
            member: caller.member.clone(),
            reason: request.reason,
        };
        let submitted = self.desk.submit(move |state, _| {
            caller.listed(state)?;
            Ok((Act::RevokeAgreement(act), ()))
        });
        Ok(wire::RevokeAgreementResponse {
            snapshot_version: submitted.await?.snapshot.version,
        })
    }

    fn answer(&self, terms: &Terms, registered: bool) -> wire::AgreeResponse {
        wire::AgreeResponse {
            digest: Bytes::copy_from_slice(&terms.digest),
            registered,
            snapshot_version: self.desk.newest().version,
        }
    }
}

/// Reads a stored proposal again, at start: its AGREED were verified when they came, and are again before registration.
///
/// # Errors
/// As [`Terms::read`]; AGREEMENT_INVALID where an AGREED is of neither party.
pub(crate) fn read_stored(stored: &Stored, instance: &jisr_proto::ident::Instance) -> Result<Proposal, Refusal> {
    let terms = Arc::new(Terms::read(stored.document.clone(), instance)?);
    let mut proposal = Proposal {
        terms: Arc::clone(&terms),
        consumer: None,
        provider: None,
    };
    for sealed in &stored.agreed {
        let side = crate::agreed::speaker(sealed).and_then(|member| terms.side(&member));
        match side {
            Some(crate::agreement::Side::Consumer) => proposal.consumer = Some(sealed.clone()),
            Some(crate::agreement::Side::Provider) => proposal.provider = Some(sealed.clone()),
            None => {
                return Err(Refusal::new(
                    Reason::AgreementInvalid,
                    "it holds an AGREED of neither party",
                ));
            }
        }
    }
    Ok(proposal)
}

/// Verifies an AGREED with the key of whichever listed node of the speaker's member sealed it.
fn verify_by_listed(
    terms: &Terms,
    sealed: &Sealed,
    state: &State,
    verifier: &jisr_ledger::seal::SealVerifier,
    now_us: u64,
) -> Result<(), Refusal> {
    let member = crate::agreed::speaker(sealed)
        .ok_or_else(|| Refusal::new(Reason::SealInvalid, "a stored AGREED cannot be read"))?;
    let mut refused = Refusal::new(
        Reason::SealInvalid,
        format!("{member} has no listed node; it agrees again"),
    );
    for (id, node) in state.nodes().iter().filter(|(id, _)| id.member() == member) {
        match terms.verify_agreed(sealed, node, verifier, now_us) {
            Ok(()) => return Ok(()),
            Err(refusal) => refused = Refusal::new(refusal.reason, format!("AGREED of {id}: {}", refusal.detail)),
        }
    }
    Err(refused)
}
