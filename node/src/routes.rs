//! Who asks, who is asked, and which of its nodes.

use std::sync::Arc;

use jisr_certs::digest;
use jisr_proto::ident::{ExchangeId, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::consumer::{Allowed, Call};
use crate::directory::{NodeRow, View};

/// The subsystem that asks: the one of the credential, or the one of several that `jisr-client` names.
pub(crate) fn consumer(call: &Call) -> Result<SubsystemId, Fault> {
    match (&call.asserted.client, &*call.callers) {
        (Some(named), callers) if callers.contains(named) => Ok(named.clone()),
        (Some(named), _) => Err(Fault::new(
            Reason::SubsystemNotYours,
            format!("the caller's credential does not stand for {named}"),
        )),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Fault::new(
            Reason::CallerUnauthenticated,
            "the caller showed no credential".to_owned(),
        )),
        (None, several) => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            let detail = format!(
                "the credential stands for {}; name one in jisr-client",
                names.join(", ")
            );
            Err(Fault::new(Reason::SubsystemAmbiguous, detail))
        }
    }
}

/// The subsystem that is asked: the type is the address. Where several publish the service, `jisr-provider` names one,
/// or the one with which there is an agreement is meant.
pub(crate) fn provider(view: &View, call: &Call, consumer: &SubsystemId) -> Result<SubsystemId, Fault> {
    let publishers = view.publishers(&call.path.service);
    if publishers.is_empty() {
        let detail = format!("nobody publishes {} in snapshot {}", call.path.service, view.version);
        return Err(Fault::new(Reason::UnknownService, detail));
    }
    if let Some(named) = &call.asserted.provider {
        if publishers.iter().any(|row| row.provider == *named) {
            return Ok(named.clone());
        }
        return Err(if view.nodes_of(&named.member()).is_empty() {
            let detail = format!("snapshot {} lists no node of {}", view.version, named.member());
            Fault::new(Reason::UnknownMember, detail)
        } else {
            Fault::new(
                Reason::UnknownProvider,
                format!("{named} does not publish {}", call.path.service),
            )
        });
    }
    if let [only] = publishers {
        return Ok(only.provider.clone());
    }
    let agreed = |row: &&Arc<crate::directory::ServiceRow>| {
        view.agreements_of(consumer).iter().any(|agreement| {
            agreement.provider == row.provider
                && agreement
                    .method(&call.path.service, call.path.method.as_str())
                    .is_some()
        })
    };
    let mut candidates = publishers.iter().filter(agreed);
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only.provider.clone()),
        _ => {
            let names: Vec<String> = publishers.iter().map(|row| row.provider.to_string()).collect();
            let detail = format!(
                "{} is published by {}; name one in jisr-provider",
                call.path.service,
                names.join(", ")
            );
            Err(Fault::new(Reason::ProviderAmbiguous, detail))
        }
    }
}

/// The node that will run the exchange. With effects it is the one that the rendezvous hash of the exchange id names, so
/// that no retry can reach another one; without, any node will do, and one that is connected is preferred.
pub(crate) fn node(closets: &Closets, allowed: &Allowed, exchange: ExchangeId) -> Result<Arc<NodeRow>, Fault> {
    let nodes = allowed.view.nodes_of(&allowed.provider.member());
    if let [only] = nodes {
        return Ok(Arc::clone(only));
    }
    let score = |row: &NodeRow| digest::sha256(&[exchange.as_bytes(), row.origin.as_str().as_bytes()]);
    let chosen = if allowed.permit.no_side_effects() {
        nodes.iter().max_by_key(|row| {
            let is_admitted = closets.trust.admits(row).is_ok();
            (is_admitted, closets.peers.connected(&row.id), score(row))
        })
    } else {
        nodes.iter().max_by_key(|row| score(row))
    };
    chosen.cloned().ok_or_else(|| {
        let detail = format!(
            "{} has no enrolled node in snapshot {}",
            allowed.provider.member(),
            allowed.view.version
        );
        Fault::new(Reason::UnknownMember, detail)
    })
}
