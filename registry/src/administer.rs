//! What administrators do: every act comes signed; those that create trust wait for a second administrator.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::digest;
use jisr_certs::issue::Issuing;
use jisr_certs::validity::{ADMINISTRATOR_DAYS, Validity};
use jisr_proto::ident::{Code, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot as rows;

use crate::administration::{Order, Roles, Signed};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::state::{Act, ApproveAct, ChangeAct, Ground, Hash, RevokeNodeAct, State, TokenAct};

impl Office {
    /// Does what an administrator signed, or proposes it to a second one.
    ///
    /// # Errors
    /// ADMINISTRATOR_INVALID, ROLE_MISSING, CLOCK_SKEW, ACT_REPLAYED, REQUEST_INVALID, and what the act's own rules refuse.
    pub(crate) async fn administer(
        self: &Arc<Self>,
        request: wire::AdministerRequest,
    ) -> Result<wire::AdministerResponse, Refusal> {
        let unsigned = || Refusal::new(Reason::AdministratorInvalid, "no administrator signed it");
        let signed = Signed::read(request.act.ok_or_else(unsigned)?, &self.base.config.instance)?;
        let digest = signed.digest;
        tracing::info!(act = crate::text::hex(&digest), order = ?signed.order, "an administrator's act came");
        match signed.order.clone() {
            Order::Approve(act) => self.approve(signed, act).await,
            Order::Reject { act, .. } => self.enter(Act::Reject(Box::new(signed)), act).await,
            Order::Change(row) => {
                let act = Act::Change(Box::new(ChangeAct { row, signed }));
                self.enter(act, digest).await
            }
            Order::Token {
                node,
                token,
                expires_us,
            } => self.issue_token(node, token, expires_us, signed).await,
            Order::Revoke {
                node,
                certificates,
                reason,
            } => self.revoke(node, certificates, reason, signed).await,
            Order::Confirm { size, root } => self.confirm(&signed, size, root).await,
            Order::Admit(_) | Order::Remove { .. } | Order::Appoint { .. } | Order::WitnessPolicy(_) => {
                let proposed = self.enter(Act::Propose(Box::new(signed)), digest).await?;
                Ok(wire::AdministerResponse {
                    pending: true,
                    ..proposed
                })
            }
        }
    }

    async fn enter(&self, act: Act, about: Hash) -> Result<wire::AdministerResponse, Refusal> {
        let done = self.desk.submit(move |_, _| Ok((act, ()))).await?;
        Ok(wire::AdministerResponse {
            act: Bytes::copy_from_slice(&about),
            snapshot_version: done.snapshot.version,
            ..wire::AdministerResponse::default()
        })
    }

    async fn approve(&self, signed: Signed, about: Hash) -> Result<wire::AdministerResponse, Refusal> {
        let issuing = Arc::clone(&self.base.issuing);
        let done = self.desk.submit(move |state, at_us| {
            let certificates = appointed(state, &about, &issuing, at_us)?;
            let act = ApproveAct {
                signed,
                certificates: certificates.clone(),
            };
            Ok((Act::Approve(Box::new(act)), certificates))
        });
        let done = done.await?;
        let root = self.base.issuing.issuers().into_iter().next_back();
        let mut certificates = done.value;
        if !certificates.is_empty() {
            certificates.extend(root.map(|der| Bytes::copy_from_slice(&der)));
        }
        Ok(wire::AdministerResponse {
            act: Bytes::copy_from_slice(&about),
            snapshot_version: done.snapshot.version,
            certificates,
            ..wire::AdministerResponse::default()
        })
    }

    /// The ledger holds the token's digest; its secret never comes here before a node enrols.
    async fn issue_token(
        &self,
        node: NodeId,
        token: Hash,
        expires_us: u64,
        signed: Signed,
    ) -> Result<wire::AdministerResponse, Refusal> {
        let about = signed.digest;
        let act = Act::Token(TokenAct {
            node: node.clone(),
            token,
            expires_us,
            signed,
        });
        let entered = self.enter(act, about).await?;
        let cosigned = self.newest_cosigned().map(|(_, cosigned)| cosigned);
        Ok(wire::AdministerResponse {
            token: Some(wire::Token {
                format: 1,
                instance: self.base.config.instance.to_string(),
                node: node.to_string(),
                registry: self.base.public.clone(),
                secret: Bytes::new(),
                root: Bytes::copy_from_slice(&self.base.root),
                registry_key: self.base.registry_key.clone(),
                checkpoint: cosigned.unwrap_or_else(|| self.base.ledger.checkpoint().note.clone()),
                expires_us,
            }),
            ..entered
        })
    }

    async fn revoke(
        &self,
        node: NodeId,
        named: Vec<Hash>,
        reason: u32,
        signed: Signed,
    ) -> Result<wire::AdministerResponse, Refusal> {
        let about = signed.digest;
        tracing::warn!(%node, reason, "certificates are to be revoked");
        let done = self.desk.submit(move |state, at_us| {
            state.signer(&signed, Roles::CERTIFY, at_us)?;
            let certificates = if named.is_empty() {
                state.certificates_of(&node)
            } else {
                named
            };
            if certificates.is_empty() {
                return Err(Refusal::new(Reason::UnknownNode, format!("{node} is not listed")));
            }
            let act = RevokeNodeAct {
                certificates,
                reason,
                node,
                ground: Ground::Ordered(Box::new(signed)),
            };
            Ok((Act::RevokeNode(act), ()))
        });
        Ok(wire::AdministerResponse {
            act: Bytes::copy_from_slice(&about),
            snapshot_version: done.await?.snapshot.version,
            ..wire::AdministerResponse::default()
        })
    }

    /// Acts that await a second administrator.
    pub(crate) fn acts(&self) -> wire::ActsResponse {
        let now_us = self.base.clock.now_us();
        let mut acts = self.desk.look(|state| {
            let waiting = state.pending().values().filter(|row| row.expires_us > now_us);
            let act = |row: &crate::state::Pending| wire::PendingAct {
                signed: Some(row.signed.wire.clone()),
                administrator: row.by.to_string(),
                entry: row.entry,
                expires_us: row.expires_us,
            };
            waiting.map(act).collect::<Vec<_>>()
        });
        acts.sort_by_key(|act| act.entry);
        wire::ActsResponse { acts }
    }

    /// Who the administrators are.
    pub(crate) fn administrators(&self) -> wire::AdministratorsResponse {
        let row = |(name, row): (&Code, &crate::state::Administrator)| rows::Administrator {
            name: name.to_string(),
            roles: row.roles.number(),
            certificates: row.chain.clone(),
        };
        self.desk.look(|state| wire::AdministratorsResponse {
            administrators: state.administrators().iter().map(row).collect(),
            dangerous_single: state.is_single(),
        })
    }

    /// The members, as the snapshot shows them.
    pub(crate) fn members(&self) -> wire::MembersResponse {
        let members = self.desk.look(|state| {
            let members = state.members().values();
            members.map(crate::state::Member::shown).collect()
        });
        wire::MembersResponse { members }
    }
}

/// The certificate that an act which is approved now needs, and its issuer's; none for most.
fn appointed(state: &State, act: &Hash, issuing: &Issuing, at_us: u64) -> Result<Vec<Bytes>, Refusal> {
    let Order::Appoint { name, request, .. } = &state.awaiting(act, at_us)?.signed.order else {
        return Ok(Vec::new());
    };
    if request.is_empty() {
        return Ok(Vec::new());
    }
    let validity = Validity::days(at_us, ADMINISTRATOR_DAYS);
    let leaf = issuing
        .issue_administrator(request, name, validity)
        .map_err(|e| Refusal::new(Reason::CsrInvalid, e.to_string()))?;
    tracing::info!(%name, certificate = crate::text::hex(&digest::sha256(&[&leaf])), "an administrator's certificate is issued");
    Ok([leaf, issuing.certificate().der.clone()]
        .iter()
        .map(|der| Bytes::copy_from_slice(der))
        .collect())
}
