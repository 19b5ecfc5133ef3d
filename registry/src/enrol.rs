//! Enrolment: a token and keys made at the node become two certificates and a listed origin.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::ed25519::PublicKey;
use jisr_certs::issue::Issuing;
use jisr_certs::validity::Validity;
use jisr_certs::{csr, digest, profile};
use jisr_ledger::note;
use jisr_ledger::snapshot::{Showing, node_key};
use jisr_proto::ident::{Epoch, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{EnrolRequest, EnrolResponse};
use jisr_proto::snapshot as wire;

use crate::desk::Done;
use crate::office::{Office, SKEW_US};
use crate::refusal::Refusal;
use crate::snapshot::Published;
use crate::state::{Act, EnrolAct, Ground, Hash, RevokeNodeAct, SUPERSEDED, State, TokenUse};
use crate::{text, token};

/// Largest certificate or request that is read, bytes.
const DER_BYTES_MAX: usize = 8 << 10;

/// A request to enrol whose form is right; the token and the keys are still to be checked.
pub(crate) struct Enrolment {
    node: NodeId,
    token: Hash,
    tls_csr: Bytes,
    seal_csr: Bytes,
    witness_key: Bytes,
    address: String,
    local_ca: Bytes,
}

/// What certificates are issued with.
struct Issuance {
    issuing: Arc<Issuing>,
    epoch: Epoch,
    tls_days: u64,
    seal_days: u64,
}

impl Office {
    /// Enrols a node. The token is found before anything else is looked at or computed for the caller; the entry is durable before
    /// anything is returned. Whoever asks again with the same token and the same keys may not have heard the answer, and hears it.
    ///
    /// # Errors
    /// TOKEN_INVALID, TOKEN_USED, TOKEN_EXPIRED, CLOCK_SKEW, CSR_INVALID, REQUEST_INVALID.
    pub(crate) async fn enrol(&self, request: EnrolRequest) -> Result<EnrolResponse, Refusal> {
        let token = self.find_token(&request)?;
        self.check_clock(request.now_us)?;
        let known_size = request.known_size;
        let enrolment = Arc::new(Enrolment::read(request, token)?);
        if let Some(row) = self.again(&enrolment)? {
            tracing::info!(
                node = row.id,
                origin = row.origin,
                "node hears once more how it is enrolled"
            );
            return self.enrolled(row, known_size, self.desk.newest()).await;
        }
        let done = match self.list(Arc::clone(&enrolment)).await {
            // The same request was under way.
            Err(refusal) if refusal.reason == Reason::TokenUsed => {
                let row = self.again(&enrolment)?.ok_or(refusal)?;
                return self.enrolled(row, known_size, self.desk.newest()).await;
            }
            done => done?,
        };
        let row = done.value;
        tracing::info!(node = row.id, origin = row.origin, "node enrolled");
        let snapshot = match self.revoke_superseded().await {
            Ok(revoked) => revoked.unwrap_or(done.snapshot),
            Err(refusal) => {
                tracing::error!(%refusal, "the certificate of a ledger that was succeeded is not revoked yet; the next enrolment does it");
                done.snapshot
            }
        };
        self.enrolled(row, known_size, snapshot).await
    }

    /// Issues the certificates and lists the node.
    async fn list(&self, enrolment: Arc<Enrolment>) -> Result<Done<wire::Node>, Refusal> {
        let issuance = Issuance {
            issuing: Arc::clone(&self.base.issuing),
            epoch: self.base.config.epoch.clone(),
            tls_days: self.base.config.tls_days,
            seal_days: self.base.config.seal_days,
        };
        let listed = self.desk.submit(move |state, at_us| {
            if let TokenUse::Again(_) = state.token_use(&enrolment.token, &enrolment.node, at_us)? {
                let rule = format!("{} enrolled with this token already", enrolment.node);
                return Err(Refusal::new(Reason::TokenUsed, rule));
            }
            let row = enrolment.issue(&issuance, state, at_us)?;
            let act = EnrolAct {
                row: row.clone(),
                token: enrolment.token,
            };
            Ok((Act::Enrol(act), row))
        });
        listed.await
    }

    /// Finds the token by its digest, and nothing else: an unknown one costs a hash and a look into a table. That comparison
    /// takes other times for other digests tells nothing of a secret, whose digest nobody can choose.
    fn find_token(&self, request: &EnrolRequest) -> Result<Hash, Refusal> {
        let token = token(request)?;
        let node: NodeId = request.node.parse()?;
        let now_us = self.base.clock.now_us();
        self.desk
            .look(|state| state.token_use(&token, &node, now_us).map(drop))?;
        Ok(token)
    }

    /// The row of the node that enrolled with this token, where it is this one.
    fn again(&self, enrolment: &Enrolment) -> Result<Option<wire::Node>, Refusal> {
        let now_us = self.base.clock.now_us();
        let listed = self.desk.look(|state| {
            Ok::<_, Refusal>(match state.token_use(&enrolment.token, &enrolment.node, now_us)? {
                TokenUse::First => None,
                TokenUse::Again(listed) => Some(listed.row.clone()),
            })
        })?;
        let Some(row) = listed else { return Ok(None) };
        enrolment.check_same(&row)?;
        Ok(Some(row))
    }

    /// What a node is told that stands in the ledger with this row, and in this snapshot.
    async fn enrolled(&self, row: wire::Node, known_size: u64, snapshot: Published) -> Result<EnrolResponse, Refusal> {
        let consistency = self.continues(known_size, &snapshot).await?;
        let mut showing = Showing::new(&snapshot.picture.rows);
        showing.row(&node_key(&row.id));
        let shown = showing.finish().rows.into_iter().next();
        Ok(EnrolResponse {
            row: shown,
            consistency,
            tls_certificate: row.tls_certificates.into_iter().next_back().unwrap_or_default(),
            seal_certificate: row.seal_certificate,
            issuers: self
                .base
                .issuing
                .issuers()
                .iter()
                .map(|der| Bytes::copy_from_slice(der))
                .collect(),
            origin: row.origin,
            snapshot: Some(snapshot.signed.as_ref().clone()),
            anchor: self.base.anchor.clone(),
        })
    }

    /// Proof that the ledger under the snapshot continues what the newcomer's token pins. Where it does not there is none to make,
    /// and the newcomer says so.
    async fn continues(&self, known_size: u64, snapshot: &Published) -> Result<Vec<Bytes>, Refusal> {
        let seal = snapshot.signed.entry.as_ref().and_then(|entry| entry.seal.as_ref());
        let size = seal
            .and_then(|seal| note::open(&seal.checkpoint, &self.base.own_key).ok())
            .map_or(0, |checkpoint| checkpoint.size);
        self.consistency(known_size, size).await
    }

    /// Revokes the seal certificates of ledgers that were succeeded; the snapshot that shows the last of them, if there were any.
    /// What a crash kept from being revoked is, at the next enrolment.
    async fn revoke_superseded(&self) -> Result<Option<Published>, Refusal> {
        let mut shown = None;
        while self.desk.look(|state| state.superseded().is_some()) {
            let done = self.desk.submit(|state, _| {
                let (certificate, node) = state
                    .superseded()
                    .ok_or_else(|| Refusal::invalid("there is no ledger that was succeeded"))?;
                let act = RevokeNodeAct {
                    certificates: vec![*certificate],
                    reason: SUPERSEDED,
                    node: node.clone(),
                    ground: Ground::Superseded,
                };
                Ok((Act::RevokeNode(act), ()))
            });
            match done.await {
                Ok(done) => shown = Some(done.snapshot),
                // Somebody else revoked it meanwhile.
                Err(_) if self.desk.look(|state| state.superseded().is_none()) => break,
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(shown)
    }

    fn check_clock(&self, theirs_us: u64) -> Result<(), Refusal> {
        let ours_us = self.base.clock.now_us();
        if ours_us.abs_diff(theirs_us) <= SKEW_US {
            return Ok(());
        }
        let (ours_s, theirs_s) = (ours_us / 1_000_000, theirs_us / 1_000_000);
        let off_s = ours_s.abs_diff(theirs_s);
        let way = if theirs_us < ours_us { "behind" } else { "ahead of" };
        let rule = format!(
            "the node's clock says {theirs_s} s since 1970, the registry's {ours_s}: {off_s} s {way} the registry; at most 60 s are allowed"
        );
        Err(Refusal::new(Reason::ClockSkew, rule))
    }
}

/// Digest of a request's token.
///
/// # Errors
/// TOKEN_INVALID: it has another length.
pub(crate) fn token(request: &EnrolRequest) -> Result<Hash, Refusal> {
    if request.token.len() != 32 {
        let rule = format!("the token's secret has {} instead of 32 bytes", request.token.len());
        return Err(Refusal::new(Reason::TokenInvalid, rule));
    }
    Ok(token::digest_of(&request.token))
}

impl Enrolment {
    pub(crate) fn read(request: EnrolRequest, token: Hash) -> Result<Enrolment, Refusal> {
        let sized = [
            (&request.tls_csr, "tls_csr"),
            (&request.seal_csr, "seal_csr"),
            (&request.local_ca, "local_ca"),
        ];
        for (der, what) in sized {
            if der.is_empty() || der.len() > DER_BYTES_MAX {
                return Err(Refusal::invalid(format!(
                    "{what} has {} bytes, 1 to {DER_BYTES_MAX} are possible",
                    der.len()
                )));
            }
        }
        Ok(Enrolment {
            node: request.node.parse()?,
            token,
            tls_csr: request.tls_csr,
            seal_csr: request.seal_csr,
            witness_key: request.witness_key,
            address: text::address(&request.address).map_err(|e| Refusal::invalid(format!("address: {e}")))?,
            local_ca: request.local_ca,
        })
    }

    /// Whether this asks for just what the row answered: the same keys, each shown by a signature, and the same address.
    fn check_same(&self, row: &wire::Node) -> Result<(), Refusal> {
        let refuse = |what: &str, e: &dyn std::fmt::Display| Refusal::new(Reason::CsrInvalid, format!("{what}: {e}"));
        let tls = row.tls_certificates.last().cloned().unwrap_or_default();
        let tls = csr::is_for_tls(&self.tls_csr, &tls).map_err(|e| refuse("TLS request", &e))?;
        let seal = csr::is_for_seal(&self.seal_csr, &row.seal_certificate).map_err(|e| refuse("seal request", &e))?;
        let other = [
            (tls, "TLS key"),
            (seal, "seal key"),
            (self.witness_key == row.witness_key, "witness key"),
            (digest::sha256(&[&self.local_ca]).as_slice() == row.local_ca, "local CA"),
            (self.address == row.address, "address"),
        ];
        let other: Vec<&str> = other.iter().filter(|(same, _)| !same).map(|(_, what)| *what).collect();
        if other.is_empty() {
            return Ok(());
        }
        let rule = format!(
            "{} enrolled with this token already, and this request has another {}; only the same request is answered again, until the token expires",
            self.node,
            other.join(", ")
        );
        Err(Refusal::new(Reason::TokenUsed, rule))
    }

    fn issue(&self, issuance: &Issuance, state: &State, at_us: u64) -> Result<wire::Node, Refusal> {
        let refuse = |what: &str, e: &dyn std::fmt::Display| Refusal::new(Reason::CsrInvalid, format!("{what}: {e}"));
        PublicKey::from_slice(&self.witness_key).map_err(|e| refuse("witness key", &e))?;
        let local_ca = profile::check_local_ca(&self.local_ca, at_us).map_err(|e| refuse("local CA", &e))?;
        let origin = state
            .next_origin(&self.node, &issuance.epoch)
            .ok_or_else(|| Refusal::invalid(format!("{} has used up the origins of this year", self.node)))?;
        let tls = issuance
            .issuing
            .issue_node_tls(&self.tls_csr, &self.node, Validity::days(at_us, issuance.tls_days))
            .map_err(|e| refuse("TLS request", &e))?;
        let seal = issuance
            .issuing
            .issue_seal(&self.seal_csr, &origin, Validity::days(at_us, issuance.seal_days))
            .map_err(|e| refuse("seal request", &e))?;
        let [issuing, root] = issuance.issuing.issuers();
        let root = profile::check_root(&root, at_us).map_err(|e| refuse("own root", &e))?;
        // What was issued is checked as everybody else will check it, before it is listed.
        let chain = [seal.clone(), issuing.clone()];
        let checked = profile::check_seal(&chain, &root, at_us).map_err(|e| refuse("seal certificate", &e))?;
        profile::check_node_tls(&[tls.clone(), issuing], &root, at_us).map_err(|e| refuse("TLS certificate", &e))?;
        Ok(wire::Node {
            id: self.node.to_string(),
            origin: origin.to_string(),
            address: self.address.clone(),
            tls_certificates: vec![Bytes::copy_from_slice(&tls)],
            seal_certificate: Bytes::copy_from_slice(&seal),
            seal_key: Bytes::copy_from_slice(checked.key.as_bytes()),
            witness_key: self.witness_key.clone(),
            local_ca: Bytes::copy_from_slice(&local_ca.sha256),
            entry: 0,
        })
    }
}
