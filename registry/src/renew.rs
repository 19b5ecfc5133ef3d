//! Renewal: a listed node gets a further TLS certificate, for a key made anew, on the strength of the one it has and of its seal.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::issue::Issuing;
use jisr_certs::validity::Validity;
use jisr_certs::{csr, digest, profile};
use jisr_proto::ident::NodeId;
use jisr_proto::reason::Reason;
use jisr_proto::registry::{RenewRequest, RenewResponse, RetireResponse};
use jisr_proto::statement::Sealed;

use crate::office::{Caller, Office};
use crate::refusal::Refusal;
use crate::state::{Act, Hash, Issued, RenewAct, State, Wanted};

impl Office {
    /// Issues and lists a further TLS certificate for the calling node. Asked again with the same key it answers the same, so a node
    /// that crashed meanwhile adds nothing.
    ///
    /// # Errors
    /// SEAL_INVALID, CSR_INVALID, CLOCK_SKEW, CERTIFICATE_INVALID, CERTIFICATE_REVOKED, OVERLOADED where it is too early.
    pub(crate) async fn renew(&self, caller: Caller, request: RenewRequest) -> Result<RenewResponse, Refusal> {
        let asked = request
            .asked
            .ok_or_else(|| Refusal::invalid("no CERTIFICATE_ASKED came along"))?;
        let issuing = Arc::clone(&self.base.issuing);
        let issuers = issuing.issuers();
        let now_us = self.base.clock.now_us();
        let known = self.desk.look(|state| {
            let wanted = wanted(state, &caller, &asked, now_us)?;
            issued_for(state, &caller, &wanted.key)
        })?;
        let (certificate, snapshot_version) = match known {
            Some(known) => (known, self.desk.newest().version),
            None => {
                let (days, node) = (self.base.config.tls_days, caller.node.clone());
                let done = self.desk.submit(move |state, at_us| {
                    let wanted = wanted(state, &caller, &asked, at_us)?;
                    state.check_due(&caller.node, at_us)?;
                    let certificate = issue(&issuing, &wanted, &caller.node, (days, at_us))?;
                    let listed = state.nodes().get(&caller.node);
                    let act = RenewAct {
                        withdrawn: listed.map(|listed| listed.ended(at_us)).unwrap_or_default(),
                        node: caller.node,
                        issued: Some(Issued {
                            certificate: certificate.clone(),
                            asked,
                        }),
                    };
                    Ok((Act::Renew(Box::new(act)), certificate))
                });
                let done = done.await?;
                tracing::info!(%node, "a further TLS certificate is issued");
                (done.value, done.snapshot.version)
            }
        };
        Ok(RenewResponse {
            tls_certificate: certificate,
            issuers: issuers.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            snapshot_version,
        })
    }

    /// Lists those TLS certificates of the calling node no more that are older than the one it calls with, which is its newest.
    /// Nothing is done where there are none.
    ///
    /// # Errors
    /// REQUEST_INVALID where it calls with an older one.
    pub(crate) async fn retire(&self, caller: Caller) -> Result<RetireResponse, Refusal> {
        let older = |state: &State| -> Result<Vec<Hash>, Refusal> {
            caller.listed(state)?;
            let older = state.nodes().get(&caller.node).map(crate::state::Node::older);
            let older = older.unwrap_or_default();
            if older.contains(caller.certificate()) {
                let rule = format!("{} does not use its newest TLS certificate yet", caller.node);
                return Err(Refusal::invalid(rule));
            }
            Ok(older)
        };
        if self.desk.look(older)?.is_empty() {
            return Ok(RetireResponse {
                snapshot_version: self.desk.newest().version,
            });
        }
        let node = caller.node.clone();
        let done = self.desk.submit(move |state, _| {
            caller.listed(state)?;
            let act = RenewAct {
                withdrawn: state
                    .nodes()
                    .get(&caller.node)
                    .map(crate::state::Node::older)
                    .unwrap_or_default(),
                node: caller.node,
                issued: None,
            };
            Ok((Act::Renew(Box::new(act)), ()))
        });
        let done = done.await?;
        tracing::info!(%node, "older TLS certificates are listed no more");
        Ok(RetireResponse {
            snapshot_version: done.snapshot.version,
        })
    }
}

/// What the calling node asks for, with the certificate that it calls with.
fn wanted(state: &State, caller: &Caller, asked: &Sealed, at_us: u64) -> Result<Wanted, Refusal> {
    caller.listed(state)?;
    let wanted = state.wanted(&caller.node, asked, at_us)?;
    if wanted.certificate != *caller.certificate() {
        let rule = format!(
            "{} calls with another TLS certificate than its CERTIFICATE_ASKED names",
            caller.node
        );
        return Err(Refusal::new(Reason::CertificateInvalid, rule));
    }
    Ok(wanted)
}

/// What is issued is checked as everybody else will check it, before it is listed.
fn issue(issuing: &Issuing, wanted: &Wanted, node: &NodeId, (days, at_us): (u64, u64)) -> Result<Bytes, Refusal> {
    let refuse = |e: &dyn std::fmt::Display| Refusal::new(Reason::CsrInvalid, format!("TLS request: {e}"));
    let issued = issuing
        .issue_node_tls(&wanted.request, node, Validity::days(at_us, days))
        .map_err(|e| refuse(&e))?;
    let [authority, root] = issuing.issuers();
    let root = profile::check_root(&root, at_us).map_err(|e| refuse(&e))?;
    profile::check_node_tls(&[issued.clone(), authority], &root, at_us).map_err(|e| refuse(&e))?;
    Ok(Bytes::copy_from_slice(&issued))
}

/// The certificate that the node has for this key already; never the one that it calls with.
fn issued_for(state: &State, caller: &Caller, key: &[u8]) -> Result<Option<Bytes>, Refusal> {
    let listed = state.nodes().get(&caller.node).into_iter();
    let mut listed = listed.flat_map(|node| &node.row.tls_certificates);
    match listed.find(|der| csr::tls_key_in(der).as_deref() == Some(key)) {
        Some(der) if digest::sha256(&[der]) == *caller.certificate() => Err(Refusal::new(
            Reason::CsrInvalid,
            format!(
                "{} asks for the key that it has a certificate for; a key is made anew",
                caller.node
            ),
        )),
        found => Ok(found.cloned()),
    }
}
