//! A question as it reaches the provider: who asks, with which seal, and whether it is meant for this node and in time.

use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::{Verified, seal};
use jisr_proto::ident::{ExchangeId, MethodPath, NodeId, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind, Sealed};
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::directory::{NodeRow, View};
use crate::reconciling::ID_AGE_US_MAX;

/// How long a question waits for the snapshot it cites.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(2);

/// A question whose seal, sender, address and time have been checked.
pub(crate) struct Question {
    /// ASKED, as it stands in the consumer's ledger.
    pub asked: Verified<seal::Sealed>,
    /// The consumer's node.
    pub from: Arc<NodeRow>,
    /// Exchange id.
    pub exchange: ExchangeId,
    /// Consumer subsystem.
    pub consumer: SubsystemId,
    /// Provider subsystem.
    pub provider: SubsystemId,
    /// Service and method.
    pub path: MethodPath,
}

/// Checks who asks, with which seal, and whether it is meant for this node. Nothing that fails here grows the ledger.
pub(crate) fn verify(closets: &Closets, view: &View, peer: &NodeId, asked: &Sealed) -> Result<Question, Fault> {
    let from = view.node(peer).cloned().ok_or_else(|| {
        Fault::new(
            Reason::OriginUnlisted,
            format!("snapshot {} does not list {peer}", view.version),
        )
    })?;
    let asked = closets.verify_seal(asked, &from)?;
    let core = asked.statement.core();
    let malformed = |error: &dyn std::fmt::Display| Fault::new(Reason::MalformedStatement, error.to_string());
    if core.kind() != Kind::Asked {
        return Err(malformed(&"the statement is not an ASKED"));
    }
    if core.instance != closets.node.instance().as_str() {
        return Err(Fault::new(
            Reason::WrongInstance,
            format!("this network is {}", closets.node.instance()),
        ));
    }
    let consumer: SubsystemId = core.consumer.parse().map_err(|error| malformed(&error))?;
    let provider: SubsystemId = core.provider.parse().map_err(|error| malformed(&error))?;
    let path = MethodPath {
        service: core.service.parse().map_err(|error| malformed(&error))?,
        method: core.method.parse().map_err(|error| malformed(&error))?,
    };
    let exchange = ExchangeId::try_from(core.exchange_id.as_ref()).map_err(|error| malformed(&error))?;
    if consumer.member() != peer.member() {
        let detail = format!("{peer} cannot ask for {consumer}");
        return Err(Fault::new(Reason::PeerIdentityMismatch, detail));
    }
    if provider.member() != closets.node.member() {
        return Err(Fault::new(
            Reason::WrongProvider,
            format!("this is {}, the question is for {provider}", closets.node),
        ));
    }
    if core.provider_origin != closets.origin.as_str() {
        let detail = format!(
            "this is {}, the question is for {}",
            closets.origin, core.provider_origin
        );
        return Err(Fault::new(Reason::WrongNode, detail));
    }
    Ok(Question {
        from,
        exchange,
        consumer,
        provider,
        path,
        asked,
    })
}

/// The view, once it is at least as new as the one the question cites.
pub(crate) async fn up_to_date(closets: &Closets, view: Arc<View>, cited: u64) -> Result<Arc<View>, Fault> {
    if cited <= view.version {
        return Ok(view);
    }
    closets.registry.look_again();
    let mut versions = closets.directory.follow();
    let arrived = tokio::time::timeout(SNAPSHOT_WAIT, versions.wait_for(|version| *version >= cited)).await;
    match arrived {
        Ok(Ok(_)) => closets.directory.current(closets.now_us()),
        _ => {
            let detail = format!("the question cites snapshot {cited}, this node holds {}", view.version);
            Err(Fault::new(Reason::SnapshotBehind, detail))
        }
    }
}

/// The lifetime of a question, by both clocks. An expired one may not grow the ledger: it could come again and again.
pub(crate) fn check_time(closets: &Closets, core: &Core) -> Result<(), Fault> {
    let (now, limits) = (closets.now_us(), &closets.config.limits);
    let clocks = format!(
        "ASKED was made at {} µs by the consumer's clock, this node's clock says {now} µs",
        core.created_us
    );
    if core.created_us > now.saturating_add(limits.skew_us) {
        return Err(Fault::new(Reason::ClockSkew, clocks));
    }
    if core.expires_us <= core.created_us || core.expires_us - core.created_us > limits.lifetime_max_us {
        let detail = format!(
            "its lifetime must lie between 0 and {} s",
            limits.lifetime_max_us / 1_000_000
        );
        return Err(Fault::new(Reason::LifetimeTooLong, detail));
    }
    if now > core.expires_us.saturating_add(limits.skew_us) {
        return Err(Fault::new(Reason::Expired, clocks));
    }
    Ok(())
}

/// The time in an exchange id is about that of its ASKED: windows of ids are compared between nodes, and must come to an end.
pub(crate) fn check_id(closets: &Closets, exchange: ExchangeId, created_us: u64) -> Result<(), Fault> {
    let (made_us, limits) = (exchange.time_ms().saturating_mul(1000), &closets.config.limits);
    if made_us.abs_diff(created_us) <= ID_AGE_US_MAX.saturating_add(limits.skew_us) {
        return Ok(());
    }
    let detail = format!(
        "exchange id {exchange} was made at {made_us} µs, the question at {created_us} µs: they lie more than {} s apart",
        ID_AGE_US_MAX / 1_000_000
    );
    Err(Fault::new(Reason::ExchangeIdInvalid, detail))
}
