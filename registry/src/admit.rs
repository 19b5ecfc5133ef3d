//! What administrators do: admit and approve members, issue tokens, revoke nodes.

use std::sync::PoisonError;

use jisr_certs::digest;
use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;

use crate::office::Office;
use crate::refusal::Refusal;
use crate::state::{Act, MemberAct, RevokeNodeAct, TokenAct};
use crate::token::{Secret, Token};

/// Lifetime of a token where none is asked for, seconds.
const TOKEN_LIFETIME_S: u64 = 24 * 3600;
/// Longest lifetime of a token, seconds.
const TOKEN_LIFETIME_S_MAX: u64 = 30 * 86_400;

impl Office {
    /// Admits a member; another administrator has to approve it.
    ///
    /// # Errors
    /// ALREADY_ADMITTED, REQUEST_INVALID.
    pub(crate) async fn admit(&self, request: wire::AdmitRequest) -> Result<wire::AdmitResponse, Refusal> {
        let act = MemberAct {
            member: request.member.parse()?,
            name_ar: request.name_ar,
            name_en: request.name_en,
            administrator: folded(&request.administrator),
        };
        let (member, administrator) = (act.member.clone(), act.administrator.clone());
        self.desk.submit(move |_, _| Ok((Act::Admit(act), ()))).await?;
        tracing::info!(%member, administrator, "admission");
        Ok(wire::AdmitResponse {})
    }

    /// Approves a member that somebody else admitted.
    ///
    /// # Errors
    /// NOT_ADMITTED, ALREADY_ADMITTED, FOUR_EYES, REQUEST_INVALID.
    pub(crate) async fn approve(&self, request: wire::ApproveRequest) -> Result<wire::ApproveResponse, Refusal> {
        let member: MemberId = request.member.parse()?;
        let administrator = folded(&request.administrator);
        let (approved, by) = (member.clone(), administrator.clone());
        self.desk
            .submit(move |state, _| {
                let row = state.admitted(&member)?;
                let (name_ar, name_en) = (row.name_ar.clone(), row.name_en.clone());
                Ok((
                    Act::Approve(MemberAct {
                        member,
                        name_ar,
                        name_en,
                        administrator,
                    }),
                    (),
                ))
            })
            .await?;
        tracing::info!(member = %approved, administrator = by, "approval");
        Ok(wire::ApproveResponse {})
    }

    /// Issues a one-time token for a node of an approved member. The ledger holds its digest only; the secret is nowhere but in
    /// the text that is returned.
    ///
    /// # Errors
    /// NOT_ADMITTED, REQUEST_INVALID, OVERLOADED where the node has too many unused ones.
    pub(crate) async fn issue_token(
        &self,
        request: wire::IssueTokenRequest,
    ) -> Result<wire::IssueTokenResponse, Refusal> {
        let node: NodeId = request.node.parse()?;
        let lifetime_s = if request.lifetime_s == 0 {
            TOKEN_LIFETIME_S
        } else {
            request.lifetime_s
        };
        if lifetime_s > TOKEN_LIFETIME_S_MAX {
            let rule = format!("a token lives at most {TOKEN_LIFETIME_S_MAX} s, not {lifetime_s}");
            return Err(Refusal::invalid(rule));
        }
        let secret = Secret::draw()?;
        let digest = secret.digest();
        let (of, administrator) = (node.clone(), folded(&request.administrator));
        let done = self
            .desk
            .submit(move |_, at_us| {
                let expires_us = at_us + lifetime_s * 1_000_000;
                Ok((
                    Act::Token(TokenAct {
                        node: of,
                        token: digest,
                        expires_us,
                        administrator,
                    }),
                    expires_us,
                ))
            })
            .await?;
        let text = Token {
            instance: &self.base.config.instance,
            node: &node,
            registry: &self.base.public,
            secret: &secret,
            root: &self.base.root,
            registry_key: &self.base.registry_key,
            checkpoint: &self
                .newest_cosigned()
                .map_or_else(|| self.base.ledger.checkpoint().note.clone(), |(_, cosigned)| cosigned),
            expires_us: done.value,
        }
        .text();
        tracing::info!(%node, "token issued");
        Ok(wire::IssueTokenResponse { token: text })
    }

    /// Revokes the certificates of a listed node; it is not listed any more, and its open calls end.
    ///
    /// # Errors
    /// UNKNOWN_NODE, REQUEST_INVALID.
    pub(crate) async fn revoke_node(
        &self,
        request: wire::RevokeNodeRequest,
    ) -> Result<wire::RevokeNodeResponse, Refusal> {
        let node: NodeId = request.node.parse()?;
        let administrator = folded(&request.administrator);
        tracing::warn!(%node, reason = request.reason, administrator, "node revoked");
        let done = self
            .desk
            .submit(move |state, _| {
                let listed = state.nodes().get(&node);
                let row = &listed
                    .ok_or_else(|| Refusal::new(Reason::UnknownNode, format!("{node} is not listed")))?
                    .row;
                let certificates = [&row.tls_certificate, &row.seal_certificate];
                let act = RevokeNodeAct {
                    certificates: certificates.iter().map(|der| digest::sha256(&[der])).collect(),
                    reason: request.reason,
                    node,
                    administrator,
                };
                Ok((Act::RevokeNode(act), ()))
            })
            .await?;
        Ok(wire::RevokeNodeResponse {
            snapshot_version: done.snapshot.version,
        })
    }

    /// What the registry is and holds.
    pub(crate) fn status(&self) -> wire::RegistryStatusResponse {
        let checkpoint = self.base.ledger.checkpoint();
        let newest = self.desk.newest();
        let (state, state_text) = self.told();
        let stamped = *self.stamped.lock().unwrap_or_else(PoisonError::into_inner);
        self.desk.look(|rows| wire::RegistryStatusResponse {
            instance: self.base.config.instance.to_string(),
            origin: checkpoint.origin.to_string(),
            size: checkpoint.size,
            root: checkpoint.root.to_vec().into(),
            snapshot_version: newest.version,
            snapshot_expires_us: newest.expires_us,
            members: rows.members().keys().map(MemberId::to_string).collect(),
            nodes: rows.nodes().keys().map(NodeId::to_string).collect(),
            services: rows
                .services()
                .keys()
                .map(|(name, provider)| format!("{name} {provider}"))
                .collect(),
            agreements: rows
                .agreements()
                .keys()
                .map(|digest| crate::text::hex(digest))
                .collect(),
            state: state.to_owned(),
            state_text,
            cosigned_size: self.newest_cosigned().map_or(0, |(size, _)| size),
            stamped_size: stamped.size,
            stamped_us: stamped.time_us,
        })
    }
}

impl Office {
    /// How the registry stands; a witness that lost its memory is said even where everything else runs.
    fn told(&self) -> (&'static str, String) {
        let (state, text) = self.standing.told();
        match self.base.witness.lost() {
            Some(lost) => (
                state,
                format!(
                    "{text}{}the witness cosigns nothing: {lost}",
                    if text.is_empty() { "" } else { "; " }
                ),
            ),
            None => (state, text),
        }
    }
}

/// An administrator's name as it is recorded: whoever types `Huda` is `huda`. Other alphabets stay as they are, and are refused.
fn folded(administrator: &str) -> String {
    administrator.to_ascii_lowercase()
}
