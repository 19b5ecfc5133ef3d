//! How the node is, as its operator reads it.

use bytes::Bytes;
use jisr_proto::admin::{PeerStatus, StampStatus, StatusResponse};

use super::admin::Addresses;
use crate::closets::Closets;

/// Tells how the node is.
pub(super) fn tell(closets: &Closets, addresses: Addresses) -> StatusResponse {
    let view = closets.directory.newest();
    let checkpoint = closets.ledger.checkpoint();
    let peers = peers(closets);
    let (state, mut state_text) = closets.standing.told();
    if let Some(lost) = closets.watching.witness.lost() {
        let part = if state_text.is_empty() { "" } else { "; " };
        state_text = format!("{state_text}{part}the witness cosigns nothing: {lost}");
    }
    StatusResponse {
        node: closets.node.to_string(),
        origin: closets.origin.to_string(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        ledger_size: checkpoint.size,
        ledger_root: Bytes::copy_from_slice(&checkpoint.root),
        cosigned_size: closets.cosigning.size(),
        cosigned_us: closets.counters.cosigned_us.value(),
        snapshot_version: view.as_ref().map_or(0, |view| view.version),
        snapshot_expires_us: view.map_or(0, |view| view.expires_us),
        tls_certificate_expires_us: closets.identity.expires_us(),
        open_exchanges: closets.counters.open.value(),
        exchanges_answered: closets.counters.answered.value(),
        exchanges_refused: closets.counters.refused.value(),
        exchanges_failed: closets.counters.failed.value(),
        registry_connected: closets.counters.registry_connected.value() == 1,
        local_address: addresses.local.to_string(),
        peer_address: addresses.peer.to_string(),
        proofs_owed: peers.iter().map(|peer| peer.proofs_owed).sum(),
        peers,
        state: state.to_owned(),
        state_text,
        witness_away_since_us: closets.away.since_us(),
        witness_state: closets.away.state().name().to_owned(),
        receipts_owed: closets.receipts_owed.total(),
        findings: closets.findings.count(),
        mirrors: closets.mirrors.status(checkpoint.size, closets.now_us()),
        stamp: Some(stamp(closets)),
    }
}

fn stamp(closets: &Closets) -> StampStatus {
    let newest = closets.stamping.status();
    StampStatus {
        size: newest.size,
        time_us: newest.time_us,
        authority: newest.authority,
        error: newest.error,
        off: closets.config.stamping.ways.is_empty(),
    }
}

/// Listed nodes that this node has spoken with, or whose ledger it has checked.
fn peers(closets: &Closets) -> Vec<PeerStatus> {
    let owed: std::collections::HashMap<_, _> = closets.owed.counts().into_iter().collect();
    let Some(view) = closets.directory.newest() else {
        return Vec::new();
    };
    let mut peers: Vec<PeerStatus> = view
        .nodes()
        .filter(|row| row.id != closets.node)
        .filter_map(|row| {
            let checked = closets.watching.checked(&row.origin);
            let owes = owed.get(&row.id);
            let receipts_owed = closets.receipts_owed.by(&row.id);
            let owes_too_many = closets.receipts_owed.admits(&row.id).err().map(|fault| fault.reason);
            let refused = closets.trust.reason(&row.origin).or(owes_too_many);
            if checked.is_none() && owes.is_none() && refused.is_none() && receipts_owed == 0 {
                return None;
            }
            let (checked_size, checked_us) = checked.unwrap_or_default();
            Some(PeerStatus {
                node: row.id.to_string(),
                connected: closets.peers.connected(&row.id),
                proofs_owed: owes.copied().unwrap_or_default(),
                failures: closets.refusals.of(row.id.as_str()),
                refused: refused.map_or_else(String::new, |reason| reason.as_str().to_owned()),
                checked_size,
                checked_us,
                receipts_owed,
            })
        })
        .collect();
    peers.sort_by(|one, other| one.node.cmp(&other.node));
    peers
}
